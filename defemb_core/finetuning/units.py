"""The files of an evaluation by fine-tuning: what it is, and a file for each table and seed that is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defemb_core.cache import json_text, write_json, write_text
from defemb_core.errors import RunError
from defemb_core.runs import Status, list_runs, run_path, runs_folder

CONFIG, UNITS, GOLD, FIGURES, SEEDS = "config.json", "units", "gold.json", "figures", "seeds"
CHECKPOINTS = "checkpoints"
ESTIMATE = "estimate.json"
EVALUATIONS = "evaluations"
# What may differ when an evaluation goes on: it changes no figure.
_FREE = {"estimate", "versions"}


@dataclass(frozen=True)
class Unit:
    """One table, fine-tuned with one seed.

    Attributes:
        table: its name.
        seed: of head, order and dropout.
        metrics: figures by name; None where one is undefined.
        predictions: answers to the examples, in their order, by set: class numbers, scores or texts.
        scores: for summaries each example's figures, by metric.
        seconds: that it took, from where it last went on.
    """

    table: str
    seed: int
    metrics: dict[str, float | None]
    predictions: dict[str, list[Any]]
    scores: dict[str, list[float]]
    seconds: float


def evaluations_folder() -> Path:
    """Return where evaluations by fine-tuning lie: beside the runs."""
    return runs_folder() / EVALUATIONS


def evaluation_path(name: str) -> Path:
    """Return the directory of an evaluation; raises RunError for what is no name."""
    return run_path(name, evaluations_folder())


def estimate_path(name: str) -> Path:
    """Return the directory of an estimate's process, which is no evaluation; raises RunError for what is no name."""
    return run_path(name, evaluations_folder() / "estimates")


def list_evaluations() -> list[tuple[Path, Status]]:
    """Return the evaluations and what their status says, newest first."""
    return list_runs(evaluations_folder())


def begin(folder: Path, config: dict[str, Any], gold: dict[str, list[float]]) -> None:
    """Write what an evaluation is; one that goes on must be the same.

    Raises:
        RunError: the folder's evaluation has other settings, tables or data.
    """
    if (folder / CONFIG).is_file():
        known = read_config(folder)
        told = _differing(known, json.loads(json_text(config)))
        if told:
            raise RunError(f"the evaluation in {str(folder)!r} has {told}; give it a new name")
    write_json(folder / GOLD, gold)
    write_json(folder / CONFIG, config)


def read_config(folder: Path) -> dict[str, Any]:
    """Return what an evaluation is.

    Raises:
        RunError: the folder holds none.
    """
    return dict(_read(folder / CONFIG))


def read_gold(folder: Path) -> dict[str, list[float]]:
    """Return the labels by set; empty for summaries."""
    return dict(_read(folder / GOLD))


def unit_file(folder: Path, table: int, seed: int) -> Path:
    """Return the file of the table at a place among the evaluation's, and a seed."""
    return folder / UNITS / f"{table}-{seed}.json"


def write_unit(file: Path, unit: Unit) -> None:
    """Write a unit, whole or not at all."""
    write_text(file, json.dumps(unit.__dict__, ensure_ascii=False, allow_nan=False) + "\n")


def read_unit(file: Path) -> Unit | None:
    """Return a unit, None if it is not done.

    Raises:
        RunError: the file is damaged.
    """
    if not file.is_file():
        return None
    try:
        return Unit(**_read(file))
    except TypeError:
        raise RunError(f"{str(file)!r} is no unit of an evaluation; delete it and go on with --resume") from None


def read_units(folder: Path) -> list[Unit]:
    """Return the units that are done, a table after the other, seeds in order."""
    config = read_config(folder)
    seeds = range(config["settings"]["seeds"])
    files = [unit_file(folder, table, seed) for table in range(len(config["tables"])) for seed in seeds]
    return [unit for unit in map(read_unit, files) if unit is not None]


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        raise RunError(f"{str(file.parent)!r} is no evaluation: it has no readable {file.name}") from None


def _differing(known: dict[str, Any], now: dict[str, Any]) -> str:
    """Return in words what the first difference of two descriptions is, "" if they are the same."""
    for name in sorted({*known, *now} - _FREE):
        old, new = known.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            return _differing(old, new)
        return f"{name} {str(old)[:80]}, not {str(new)[:80]}"
    return ""
