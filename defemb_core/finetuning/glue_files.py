"""Files of the GLUE distribution: tab-separated, columns by name, quotation marks are text."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import polars as pl

from defemb_core.errors import EvaluationError
from defemb_core.finetuning.tasks import Task
from defemb_core.text import decoded

SUFFIXES = (".tsv", ".txt")
# What stands where there is no label: nothing, SNLI's dash, the hub's number of an unknown one.
NO_LABEL = {"", "-", "-1", "nan", "none", "null"}
SCHEMA = {"first": pl.String, "second": pl.String, "label": pl.Float64}


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples of a task.

    Attributes:
        name: of the file, or of the set.
        frame: `first str`, `second str` (null where a task has one text), `label f64` (a class's number, or a score).
        left_out: numbers of lines without a label or a text, the file's first line is 1.
    """

    name: str
    frame: pl.DataFrame
    left_out: tuple[int, ...] = ()

    def notes(self) -> list[str]:
        """Sentences on what was left out."""
        if not self.left_out:
            return []
        lines = ", ".join(map(str, self.left_out[:10])) + (", ..." if len(self.left_out) > 10 else "")
        return [f"{self.name}: {len(self.left_out):,} lines without a label or a text left out (line {lines})"]


def find_file(task: Task, folder: Path, stems: tuple[str, ...]) -> Path:
    """Return the file of a task in a folder of GLUE: there, or in the task's own folder within it.

    Raises:
        EvaluationError: there is no such folder or file.
    """
    if not folder.is_dir():
        raise EvaluationError(f"no folder {str(folder)!r}; name one with the files of GLUE, {task.title}/train.tsv say")
    own = {"".join(c for c in name.lower() if c.isalnum()) for name in (task.name, task.title)}
    inside = sorted(p for p in folder.iterdir() if "".join(c for c in p.name.lower() if c.isalnum()) in own)
    places = [*(place for place in inside if place.is_dir()), folder]
    for place in places:
        for stem in stems:
            for suffix in SUFFIXES:
                if (place / f"{stem}{suffix}").is_file():
                    return place / f"{stem}{suffix}"
    raise EvaluationError(
        f"{str(folder)!r} has no file of {task.title} called {stems[0]}{SUFFIXES[0]}, there or in its folder "
        f"{task.title}; name the folder that holds it"
    )


def read_examples(task: Task, file: Path) -> Examples:
    """Read a file's examples; see parse_examples.

    Raises:
        EvaluationError: it cannot be read, or holds no labelled example.
    """
    try:
        return parse_examples(task, file.read_bytes(), f"{file.parent.name}/{file.name}")
    except OSError as exc:
        raise EvaluationError(f"cannot read {str(file)!r} ({exc.strerror or exc}); name another folder") from None


def parse_examples(task: Task, content: bytes, name: str) -> Examples:
    """Read examples from a file's bytes.

    Cells are separated by tabs and nothing else: quotation marks are the text's own, as the files have them unpaired.
    The header says where texts and label stand, in any order and case; CoLA's files have none. Labels are names or
    their numbers. Lines without one are left out, and counted.

    Raises:
        EvaluationError: a column is missing, a label is none of the task's, or there is no labelled example; a file
            to be sent in for scoring, as GLUE's test files are, has none.
    """
    lines = [line.rstrip("\r").split("\t") for line in _text(content, name).split("\n")]
    while lines and lines[-1] == [""]:
        lines.pop()
    if not lines:
        raise EvaluationError(f"{name!r} is empty; a file of {task.title} has a line an example")
    places, start = _places(task, lines[0], name)
    rows, left_out = [], []
    for number, cells in enumerate(lines[start:], start + 1):
        texts = [cells[place].strip() if place < len(cells) else "" for place in places[:-1]]
        label = cells[places[-1]].strip() if places[-1] < len(cells) else ""
        if label.lower() in NO_LABEL or not all(texts):
            left_out.append(number)
        else:
            rows.append((texts[0], texts[1] if len(texts) > 1 else None, _number(task, label, number, name)))
    if not rows:
        raise EvaluationError(
            f"{name!r} has no labels: test files of GLUE have none, only its server can judge by them; "
            "take the file of the dev set"
        )
    return Examples(name, pl.DataFrame(rows, SCHEMA, orient="row"), tuple(left_out))


def _text(content: bytes, name: str) -> str:
    text = decoded(content)
    if text is None:
        raise EvaluationError(f"{name!r} is no text; a file of GLUE is tab-separated text")
    return text


def _places(task: Task, header: list[str], name: str) -> tuple[tuple[int, ...], int]:
    """Return the places of texts and, at the end, of the label; and how many lines the header takes."""
    names = [cell.strip().lower() for cell in header]
    wanted = [*task.texts, task.label]
    found = [next((names.index(known) for known in column if known in names), None) for column in wanted]
    if task.bare and not any(place is not None for place in found):
        return task.bare, 0
    if found[-1] is None and None not in found[:-1]:
        raise EvaluationError(
            f"{name!r} has no column {task.label[0]!r}: test files of GLUE have no labels, only its server can judge "
            "by them; take the file of the dev set"
        )
    missing = next((column[0] for column, place in zip(wanted, found, strict=True) if place is None), None)
    if missing:
        columns = ", ".join(repr(cell[:30]) for cell in header[:6])
        raise EvaluationError(f"{name!r} has no column {missing!r} of {task.title}, its first line is {columns}")
    return tuple(place for place in found if place is not None), 1


def _number(task: Task, label: str, line: int, name: str) -> float:
    """Return a label as a number: its place among the task's, or the score that it is."""
    if task.is_regression:
        try:
            value = float(label)
        except ValueError:
            value = float("nan")
        if isfinite(value):
            return value
        raise EvaluationError(f"line {line:,} of {name!r} has the score {label[:40]!r}, which is no number; correct it")
    names = [known.lower() for known in task.labels]
    if label.lower() in names:
        return float(names.index(label.lower()))
    if label.isdecimal() and int(label) < len(names):
        return float(label)
    raise EvaluationError(
        f"line {line:,} of {name!r} has the label {label[:40]!r}; {task.title} has {', '.join(task.labels)}"
    )
