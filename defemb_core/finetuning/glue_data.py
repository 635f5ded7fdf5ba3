"""A GLUE task's examples: from a folder of its files, or through the `datasets` package where the user has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from defemb_core.errors import EvaluationError, first_line
from defemb_core.finetuning.glue_files import SCHEMA, Examples, find_file, read_examples
from defemb_core.finetuning.tasks import Task

HUB = "nyu-mll/glue"
DRAW = 0  # the seed of which examples are taken where not all are: the same for every table and seed


@dataclass(frozen=True, eq=False)
class GlueData:
    """What is learned from, and what is judged by.

    Attributes:
        task: which.
        train: labelled examples.
        evaluations: the sets to judge by, by name.
    """

    task: Task
    train: Examples
    evaluations: Mapping[str, Examples]

    def notes(self) -> list[str]:
        """Sentences on what was left out."""
        return [note for part in (self.train, *self.evaluations.values()) for note in part.notes()]

    @property
    def digest(self) -> str:
        """SHA-256 of all texts and labels."""
        parts = [self.train, *self.evaluations.values()]
        return hashlib.sha256(b"\n".join(part.frame.write_csv().encode() for part in parts)).hexdigest()

    def limited(self, train: int, evaluation: int) -> GlueData:
        """Return at most so many examples of either kind, drawn by a fixed seed; 0 keeps all."""
        sets = {name: _drawn(part, evaluation) for name, part in self.evaluations.items()}
        return GlueData(self.task, _drawn(self.train, train), sets)


def load_glue(task: Task, folder: Path | None = None) -> GlueData:
    """Load a task's examples.

    Args:
        task: which.
        folder: with GLUE's files, the task's own or the one above it; None for the `datasets` package.

    Raises:
        EvaluationError: files are missing or cannot be read; without a folder: the package is not installed, or finds
            no examples.
    """
    if folder is None:
        return _through_datasets(task)
    folder = folder.expanduser()
    sets = {name: read_examples(task, find_file(task, folder, stems)) for name, stems in task.evaluations.items()}
    return GlueData(task, read_examples(task, find_file(task, folder, task.files)), sets)


def load_set(repository: str, configuration: str | None) -> Any:
    """Return a set by the `datasets` package.

    Raises:
        EvaluationError: the package is not installed, or finds no such set.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise EvaluationError(
            "no folder of files is named, and the package 'datasets' is not installed; name the folder, "
            "or pip install datasets"
        ) from None
    try:
        return load_dataset(repository, configuration)
    except Exception as exc:  # every kind of network and file failure
        raise EvaluationError(
            f"the package 'datasets' cannot load {repository!r} ({first_line(exc)}); name a folder of files"
        ) from None


def _through_datasets(task: Task) -> GlueData:
    found = load_set(HUB, task.name)

    def part(name: str) -> Examples:
        frame = pl.DataFrame({key: list(found[name][key]) for key in found[name].column_names})
        names = {column.lower(): column for column in frame.columns}
        texts = [next(names[known] for known in column if known in names) for column in task.texts]
        second = pl.col(texts[1]) if len(texts) > 1 else pl.lit(None, pl.String)
        label = pl.col(next(names[known] for known in task.label if known in names)).cast(pl.Float64)
        whole = frame.select(pl.col(texts[0]).alias("first"), second.alias("second"), label.alias("label"))
        kept = whole if task.is_regression else whole.filter(pl.col("label") >= 0)
        return Examples(f"{task.title}/{name}", kept.cast(SCHEMA))  # type: ignore[arg-type]

    sets = {name: part("validation" if name == "dev" else f"validation_{name}") for name in task.evaluations}
    return GlueData(task, part("train"), sets)


def _drawn(part: Examples, count: int) -> Examples:
    if not 0 < count < part.frame.height:
        return part
    rows = np.sort(np.random.default_rng(DRAW).choice(part.frame.height, count, replace=False))
    return Examples(part.name, part.frame[rows], part.left_out)
