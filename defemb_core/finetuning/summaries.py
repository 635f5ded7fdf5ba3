"""Texts and their summaries: a folder of JSON lines, or a known set through the `datasets` package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from defemb_core.errors import EvaluationError
from defemb_core.finetuning.glue_data import DRAW, load_set

DOCUMENT = ("document", "article", "text", "source", "dialogue")
SUMMARY = ("summary", "highlights", "target", "abstract")
LOCAL = "summarisation"


@dataclass(frozen=True)
class SummarySet:
    """A set of texts with summaries, and how summaries are written.

    Attributes:
        hub: the name and configuration that the `datasets` package takes; None for the user's own files.
        decoding: for transformers' generate.
    """

    hub: tuple[str, str | None] | None
    decoding: Mapping[str, float]


def _decoding(beams: int, penalty: float, longest: int, shortest: int) -> dict[str, float]:
    return {
        "num_beams": beams, "length_penalty": penalty, "max_length": longest, "min_length": shortest,
        "no_repeat_ngram_size": 3,
    }  # fmt: skip


SUMMARIES = {
    # As the published scripts of DefinitionEMB (arXiv 2408.01308) write with BART.
    "cnn-dailymail": SummarySet(("abisee/cnn_dailymail", "3.0.0"), _decoding(4, 2.0, 140, 55)),
    "xsum": SummarySet(("EdinburghNLP/xsum", None), _decoding(6, 1.0, 60, 10)),
    "billsum": SummarySet(("FiscalNote/billsum", None), _decoding(4, 0.6, 200, 10)),
    # Nothing is published of a user's own texts: the settings with the widest range of lengths, BillSum's.
    LOCAL: SummarySet(None, _decoding(4, 0.6, 200, 10)),
}


@dataclass(frozen=True, eq=False)
class SummaryData:
    """What is learned from and judged by.

    Attributes:
        task: a name in SUMMARIES.
        train, evaluation: `document str`, `summary str`.
        left_out: sentences on lines that lack either.
    """

    task: str
    train: pl.DataFrame
    evaluation: pl.DataFrame
    left_out: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all texts."""
        parts = (self.train, self.evaluation)
        return hashlib.sha256(b"\n".join(part.write_ndjson().encode() for part in parts)).hexdigest()

    def limited(self, train: int, evaluation: int) -> SummaryData:
        """Return at most so many texts of either kind, drawn by a fixed seed; 0 keeps all."""
        return SummaryData(self.task, _drawn(self.train, train), _drawn(self.evaluation, evaluation), self.left_out)


def load_summaries(task: str, folder: Path | None = None) -> SummaryData:
    """Load texts and summaries.

    Args:
        task: a name in SUMMARIES.
        folder: with train.jsonl and test.jsonl (or validation.jsonl, dev.jsonl): a line a text, with fields named like
            `document` and `summary`; None for the `datasets` package.

    Raises:
        EvaluationError: files are missing, damaged or without such fields; without a folder: the task is the user's
            own, or the package is not there or finds nothing.
    """
    if folder is not None:
        return _local(task, folder.expanduser())
    hub = SUMMARIES[task].hub
    if hub is None:
        raise EvaluationError("name the folder with train.jsonl and test.jsonl: a line a text, document and summary")
    found = load_set(*hub)
    parts = [_named({name: list(found[part][name]) for name in found[part].column_names}) for part in ("train", "test")]
    return SummaryData(task, parts[0], parts[1])


def _named(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    names = [next(name for name in known if name in columns) for known in (DOCUMENT, SUMMARY)]
    return pl.DataFrame({"document": columns[names[0]], "summary": columns[names[1]]})


def _local(task: str, folder: Path) -> SummaryData:
    (train, missing), (evaluation, lacking) = (_read(file) for file in find_texts(folder))
    return SummaryData(task, train, evaluation, tuple(note for note in (missing, lacking) if note))


def find_texts(folder: Path) -> tuple[Path, Path]:
    """Return the files to learn from and to judge by; raises EvaluationError where one is missing."""
    return _find(folder, ("train",)), _find(folder, ("test", "validation", "dev", "val"))


def _find(folder: Path, stems: tuple[str, ...]) -> Path:
    for stem in stems:
        for suffix in (".jsonl", ".ndjson", ".json"):
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    raise EvaluationError(f"{str(folder)!r} has no file {stems[0]}.jsonl; name the folder that holds it")


def _read(file: Path) -> tuple[pl.DataFrame, str]:
    """Return a file's texts, and a sentence on lines that were left out."""
    rows, left_out = [], []
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise EvaluationError(f"cannot read {str(file)!r} ({exc}); save it as JSON lines in UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise EvaluationError(f"line {number:,} of {file.name!r} is no JSON object; write one a line")
        values = [next((record[name] for name in known if name in record), None) for known in (DOCUMENT, SUMMARY)]
        if all(isinstance(value, str) and value.strip() for value in values):
            rows.append(tuple(values))
        else:
            left_out.append(number)
    if not rows:
        raise EvaluationError(
            f"{file.name!r} has no line with a text and its summary; name the fields 'document' and 'summary'"
        )
    told = ", ".join(map(str, left_out[:10])) + (", ..." if len(left_out) > 10 else "")
    note = (
        f"{file.name}: {len(left_out):,} lines without a text or a summary left out (line {told})" if left_out else ""
    )
    return pl.DataFrame(rows, {"document": pl.String, "summary": pl.String}, orient="row"), note


def _drawn(part: pl.DataFrame, count: int) -> pl.DataFrame:
    if not 0 < count < part.height:
        return part
    return part[np.sort(np.random.default_rng(DRAW).choice(part.height, count, replace=False))]
