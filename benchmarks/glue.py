"""GLUE with the original and with rebuilt tables: RTE, MRPC and STS-B on the bundled PLM, same seeds.

    python -m benchmarks glue DATA RUN [RUN...] [--seeds 3] [--epochs 3] [--rate 5e-5] [--tasks rte,mrpc,stsb]

DATA is a folder with GLUE's TSV files. Each task is an evaluation called benchmark-TASK beside the runs; started again
the benchmark goes on with what is missing. Rate and epochs are a budget for two cores, the same for every table and
chosen without a look at any result: small PLMs learn at higher rates than those of the published recipes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from defemb_core.cli_figures import aligned
from defemb_core.errors import RunError
from defemb_core.finetuning.experiment import run_experiment, stages
from defemb_core.finetuning.request import Request, open_work
from defemb_core.finetuning.results import P_NOTE, figures, for_reading, seed_figures
from defemb_core.finetuning.units import evaluation_path
from defemb_core.runs import read_status, working_in
from defemb_core.terminal import Bar


def main(arguments: Sequence[str]) -> None:
    """Run what is missing of each task, and print all figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks glue")
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--tasks", default="rte,mrpc,stsb")
    options = parser.parse_args(arguments)
    print(describe_machine(), flush=True)
    chosen = {"seeds": options.seeds, "epochs": options.epochs, "rate": options.rate}
    for task in options.tasks.split(","):
        _run(Request(tuple(options.runs), task, str(options.data), chosen))
    print(P_NOTE)


def _run(request: Request) -> None:
    folder = evaluation_path(f"benchmark-{request.task}")
    if not _is_complete(folder):
        work = open_work(request)
        with working_in(folder, stages(work, folder), resume=True) as reporter, Bar(reporter) as progress:
            run_experiment(work, folder, progress)
    seconds = float(np.median(seed_figures(folder)["seconds"].to_numpy()))
    print(f"\n{request.task}, median seconds of a table and seed: {seconds:,.0f}")
    print("\n".join(aligned(for_reading(figures(folder)))), flush=True)


def _is_complete(folder: Path) -> bool:
    try:
        return read_status(folder).state == "complete"
    except RunError:
        return False
