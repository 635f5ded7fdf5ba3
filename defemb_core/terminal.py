"""Progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defemb_core.progress import Progress
from defemb_core.runs import Reporter, working_in


class Bar:
    """Shows progress on stderr: a bar on a terminal, a plain line a stage otherwise; passes it on to the run."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.stage = ""
        self.bar: Any = None
        self.said = ""  # the training's last figures

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=100, bar_format="{desc:<24} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}{postfix}"
            )
        return self._show

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def _show(self, stage: str, done: int, total: int, /, **figures: float) -> None:
        self.reporter(stage, done, total, **figures)
        if figures:
            self.said = " " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        if self.bar is not None:
            self.bar.set_description_str(stage, refresh=False)
            self.bar.set_postfix_str(self.said if stage.endswith("training") else "", refresh=False)
            self.bar.n = round(100 * self.reporter.status.fraction)
            self.bar.refresh()
        elif stage != self.stage:
            sys.stderr.write(f"{stage}\n")
        elif "validation" in figures:  # the loss curve, a line an evaluation
            sys.stderr.write(f"{stage} {done:,} of {total:,}:{self.said}\n")
        self.stage = stage


@contextmanager
def stages_shown() -> Iterator[Progress]:
    """Show on stderr how far work is that is no run: a bar a stage on a terminal, a plain line a stage otherwise."""
    from tqdm import tqdm

    bar: Any = tqdm(total=100, bar_format="{desc:<24} {percentage:3.0f}% |{bar}| {elapsed}", disable=None)
    last = ""

    def show(stage: str, done: int, total: int, /, **figures: float) -> None:
        del figures
        nonlocal last
        if bar.disable and stage != last:
            sys.stderr.write(f"{stage}\n")
        elif not bar.disable:
            bar.set_description_str(stage, refresh=False)
            bar.n = round(100 * done / max(total, 1))
            bar.refresh()
        last = stage

    with bar:
        yield show


@contextmanager
def watched(job: Path | None, shares: dict[str, float]) -> Iterator[Progress]:
    """Show how far work is; if a folder is named, keep that there too, for a page to watch, and stop when it says so.

    Args:
        job: the folder, made if missing; what an earlier piece of work left there is taken over.
        shares: see Reporter.

    Raises:
        RunError: the folder holds something else, or a process is at work in it.
    """
    if job is None:
        with stages_shown() as progress:
            yield progress
    else:
        with working_in(job, shares, resume=True, again=True) as reporter, Bar(reporter) as progress:
            yield progress
