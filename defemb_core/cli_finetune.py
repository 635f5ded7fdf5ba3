"""The command `finetune`: whether the rebuilt table is a better start for a task than the original."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from defemb_core.cache import write_json
from defemb_core.cli_figures import aligned, check_out, write_out
from defemb_core.errors import RunError, SettingsError
from defemb_core.finetuning.experiment import run_experiment, stages
from defemb_core.finetuning.request import Request, open_work, request_of
from defemb_core.finetuning.results import P_NOTE, figures, for_reading
from defemb_core.finetuning.settings import RECIPES
from defemb_core.finetuning.timing import TIMED
from defemb_core.finetuning.units import (
    ESTIMATE,
    estimate_path,
    evaluation_path,
    evaluations_folder,
    list_evaluations,
    read_config,
)
from defemb_core.runs import COMMAND, working_in
from defemb_core.terminal import Bar

NUMBERS = (
    ("epochs", float, "passes over the examples"),
    ("rate", float, "the peak learning rate"),
    ("batch", int, "examples an update"),
    ("max_length", int, "tokens of an example at most"),
    ("weight_decay", float, "of AdamW"),
    ("warmup", float, "share of the updates in which the rate rises, 0 to 1"),
    ("seeds", int, "how many, from 0 up: of the head's first weights, the order and dropout (default: 3)"),
    ("limit", int, "examples to learn from at most, 0 for all"),
    ("eval_limit", int, "examples to judge by at most, 0 for all"),
)
CAPTION = "{task}: mean over seeds, in brackets 95 % of resampled examples"
TIMING = "timing a few updates"


def add_finetune(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "fine-tune the PLM with the original and with rebuilt tables, same seeds, and compare"
    parser: argparse.ArgumentParser = commands.add_parser(
        "finetune", help=does, description=f"{does}. Unless told otherwise as published. {RECIPES}"
    )
    parser.add_argument(
        "run", metavar="RUN", nargs="*", help="runs, or files of tables, of one PLM; a PLM for its own table alone"
    )
    parser.add_argument("--task", help="of GLUE: rte, mrpc, stsb, cola, sst2, qnli, qqp, mnli, wnli; or of summaries: "
                        "cnn-dailymail, xsum, billsum, summarisation (your own)")  # fmt: skip
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with GLUE's TSV files, or train.jsonl and test.jsonl; without it by 'datasets'",
    )
    for name, kind, what in NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=what)
    parser.add_argument(
        "--train-table", action=argparse.BooleanOptionalAction, help="whether the table learns too (default: yes)"
    )
    parser.add_argument("--name", help="of the evaluation, in the folder 'evaluations' beside the runs")
    parser.add_argument("--estimate", action="store_true", help="time a few updates, say how long it would take, end")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation --name")
    parser.add_argument("--show", nargs="*", metavar="NAME", help="list the evaluations, or show those named")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures to FILE.csv or a table to FILE.tex")
    parser.add_argument("--force", action="store_true", help="replace an earlier FILE")
    return parser


def finetune_lines(options: argparse.Namespace) -> Iterator[str]:
    """Do the command's work and yield what it prints.

    Raises:
        DefembError: what is asked for does not exist, cannot be read, or does not fit together.
    """
    check_out(options.out, options.force)
    if options.show is not None:
        folders = [evaluation_path(name) for name in options.show]
        yield from _show(folders, options) if folders else _listed()
        return
    if options.resume and not options.run:
        if not options.name:
            raise SettingsError("--resume needs the --name of an evaluation; --show lists them")
        folder = evaluation_path(options.name)
        request = _earlier(folder)
    else:
        request = request_of(options)
        folder = evaluation_path(options.name or request.name())
    if options.estimate:
        yield _estimated(request, estimate_path(folder.name))
        return
    yield from _run(request, folder, options.resume)
    yield from _show([folder], options)


def _run(request: Request, folder: Path, resume: bool) -> Iterator[str]:
    opened = None if (folder / COMMAND).is_file() else open_work(request)  # a mistake then leaves no directory
    with working_in(folder, {TIMING: 0.01}, resume) as reporter, Bar(reporter) as progress:
        work = opened or open_work(request)
        if not (folder / COMMAND).is_file():
            write_json(folder / COMMAND, request.arguments(folder.name))
        left = stages(work, folder)
        estimate = None
        if left:
            estimate = work.estimate(lambda done: progress(TIMING, done, TIMED + 1))
            yield f"this will take {estimate}"
        reporter.shares = {TIMING: 0.01, **{name: share * 0.99 for name, share in left.items()}}
        run_experiment(work, folder, progress, estimate.seconds if estimate else None)


def _estimated(request: Request, folder: Path) -> str:
    """Say how long it would take; kept where the page that asked looks for it."""
    if not (folder / COMMAND).is_file():
        return str(open_work(request).estimate())
    with working_in(folder, {TIMING: 1.0}, again=True) as reporter:
        made = open_work(request).estimate(lambda done: reporter(TIMING, done, TIMED + 1))
        write_json(folder / ESTIMATE, {"seconds": made.seconds, "said": str(made)})
    return str(made)


def _earlier(folder: Path) -> Request:
    """Return what an evaluation was started with."""
    try:
        words = [str(word) for word in json.loads((folder / COMMAND).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise RunError(f"there is no evaluation {folder.name!r} to go on with; --show lists them") from None
    commands = argparse.ArgumentParser().add_subparsers()
    return request_of(add_finetune(commands).parse_args(words[1:]))


def _listed() -> list[str]:
    found = list_evaluations()
    if not found:
        return [f"no evaluation yet in {evaluations_folder()}"]
    return [
        f"{folder.name:<40} {status.state:<12} {status.fraction:>4.0%}  {status.message}" for folder, status in found
    ]


def _show(folders: Sequence[Path], options: argparse.Namespace) -> list[str]:
    """Return the figures of evaluations, one under the other; with the evaluation's name where there are several."""
    made = [figures(folder) for folder in folders]
    tasks = ", ".join(dict.fromkeys(str(read_config(folder)["task"]) for folder in folders))
    if len(folders) > 1:
        named = zip(folders, made, strict=True)
        made = [frame.select(pl.lit(folder.name).alias("evaluation"), pl.all()) for folder, frame in named]
    whole = pl.concat(made)
    shown = pl.concat([for_reading(frame) for frame in made])
    caption = CAPTION.format(task=tasks)
    notes = [note for folder in folders for note in read_config(folder)["notes"]]
    wrote = write_out(whole, shown, caption, options.out) if options.out else []
    return [caption, *aligned(shown), *notes, P_NOTE, *map(str, folders), *wrote]
