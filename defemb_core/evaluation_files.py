"""Evaluations on disk: each a directory within the run's or the pair's that it is about, like a run with a status."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import polars as pl

from defemb_core.cache import write_atomically, write_json
from defemb_core.evaluate import Evaluation, Question
from defemb_core.evaluation.word_similarity import ALL

EVALUATIONS = "evaluations"  # the folder within a run's or pair's
FIGURES, CONFIG = "figures.parquet", "config.json"
_VERSION = 1  # another number when what is measured or kept changes


def evaluation_folder(folder: Path, question: Question) -> Path:
    """Return the directory of an evaluation of the run or pair in `folder`; one a question."""
    usual = question == Question(question.what)
    digest = hashlib.sha256(json.dumps(question.arguments()).encode()).hexdigest()[:12]
    return folder / EVALUATIONS / (question.what if usual else f"{question.what}-{digest}")


def save_evaluation(made: Evaluation, key: str, folder: Path) -> None:
    """Write an evaluation of the two tables that `key` (Comparison.key) stands for into its directory."""
    write_atomically(folder / FIGURES, made.figures.write_parquet)
    write_json(
        folder / CONFIG, {"version": _VERSION, "key": key, "question": asdict(made.question), "notes": made.notes}
    )


def measured_runs(folders: Sequence[Path], question: Question) -> dict[Path, Evaluation]:
    """Return what has been measured of runs in answer to a question, by the run's directory, in their order."""
    found = {folder: read_evaluation(evaluation_folder(folder, question)) for folder in folders}
    return {folder: made for folder, made in found.items() if made}


def read_evaluation(folder: Path, key: str = "") -> Evaluation | None:
    """Return the evaluation in a directory, None if it is absent, damaged, or of other tables than `key` stands for.

    Without a key the tables are not looked at: those of a run that is as it was made.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["version"] != _VERSION or config["key"] != (key or config["key"]):
            return None
        asked = {field.name: config["question"][field.name] for field in fields(Question)}
        asked |= {name: tuple(asked[name]) for name in ("pairs", "sentences")}
        return Evaluation(Question(**asked), pl.read_parquet(folder / FIGURES), [str(note) for note in config["notes"]])
    except (OSError, ValueError, TypeError, KeyError, pl.exceptions.PolarsError):
        return None


def runs_side_by_side(measured: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return a line a set with the correlation over all pairs of the original's table and of each run's.

    Args:
        measured: frames of measure_similarity by the run's name, each of two tables on the same sets: the first, the
            same for all, and the run's.

    Returns:
        `set str`, `pairs i64`, `original f64`, and a column f64 a run, -1 to 1; null where pairs are too few.
    """
    joined = pl.DataFrame(schema={"set": pl.String})
    for name, frame in measured.items():
        lines = frame.filter(pl.col("part") == ALL).select("set", "table", "pairs", "spearman")
        first, second = (lines.filter(pl.col("table") == table) for table in lines["table"].unique(maintain_order=True))
        if joined.is_empty():
            joined = first.select("set", "pairs", original="spearman")
        joined = joined.join(second.select("set", pl.col("spearman").alias(name)), on="set", how="left")
    return joined
