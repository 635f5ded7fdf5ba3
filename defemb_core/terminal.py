"""Progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from defemb_core.runs import Reporter


class Bar:
    """Shows progress on stderr: a bar on a terminal, a plain line a stage otherwise; passes it on to the run."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.stage = ""
        self.bar: Any = None

    def __enter__(self) -> Callable[[str, int, int], None]:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=100, bar_format="{desc:<24} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}")
        return self._show

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def _show(self, stage: str, done: int, total: int) -> None:
        self.reporter(stage, done, total)
        if self.bar is not None:
            self.bar.set_description_str(stage, refresh=False)
            self.bar.n = round(100 * self.reporter.status.fraction)
            self.bar.refresh()
        elif stage != self.stage:
            sys.stderr.write(f"{stage}\n")
        self.stage = stage
