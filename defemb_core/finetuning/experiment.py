"""Every table with every seed, one unit after the other; what is done is kept, and need not be done again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from defemb_core.finetuning.results import write_figures
from defemb_core.finetuning.settings import FinetuningSettings
from defemb_core.finetuning.tables import Table
from defemb_core.finetuning.timing import Estimate
from defemb_core.finetuning.trainers import Example, Tell
from defemb_core.finetuning.units import CHECKPOINTS, Unit, begin, read_unit, unit_file, write_unit
from defemb_core.plm import PLM
from defemb_core.process_setup import release_memory
from defemb_core.progress import Progress, memory_for

if TYPE_CHECKING:
    from transformers import TrainerCallback


class Work(Protocol):
    """What is fine-tuned: tables of a PLM, a task, and how."""

    kind: str

    @property
    def plm(self) -> PLM:
        """Whose weights all tables share."""

    @property
    def tables(self) -> Sequence[Table]:
        """What is put into it."""

    @property
    def settings(self) -> FinetuningSettings:
        """How each is fine-tuned."""

    @property
    def train(self) -> list[Example]:
        """Examples to learn from."""

    def estimate(self, tell: Tell | None = None) -> Estimate:
        """Time a few updates, and say what all units will take."""

    def describe(self) -> dict[str, Any]:
        """Return what figures depend on besides."""

    def gold(self) -> dict[str, list[float]]:
        """Return the labels by set."""

    def unit(self, table: Table, seed: int, place: Path, tell: Tell, callbacks: Sequence[TrainerCallback]) -> Unit:
        """Fine-tune and judge one table with one seed."""


def stages(work: Work, folder: Path) -> dict[str, float]:
    """Return each unit that is still to be done, seeds first, and its share of the work that is left."""
    left = [_stage(work, table, seed) for table, seed in _order(work) if not unit_file(folder, table, seed).is_file()]
    return {name: 1 / len(left) for name in left}


def run_experiment(
    work: Work,
    folder: Path,
    progress: Progress,
    estimate: float | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Fine-tune every table with every seed, in a run's directory; units that lie there are taken as they are.

    The first seed of all tables comes first, so that what is done at any time compares them. Written are config.json
    (what it is), gold.json (labels), a file a unit, and after each unit figures.csv, figures.parquet and seeds.csv.

    Args:
        work: what.
        folder: its directory.
        progress: told of each unit's updates.
        estimate: seconds that it was to take in all, if that was measured.
        callbacks: given to every Trainer.

    Raises:
        RunError: the folder has an evaluation of something else.
    """
    begin(folder, configuration(work, estimate), work.gold())
    for table, seed in _order(work):
        file = unit_file(folder, table, seed)
        if read_unit(file) is None:
            name = _stage(work, table, seed)
            updates = work.settings.updates(len(work.train))
            place = folder / CHECKPOINTS / file.stem
            with memory_for(name):
                made = work.unit(work.tables[table], seed, place, _telling(progress, name, updates + 1), callbacks)
            write_unit(file, made)
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
            release_memory()
            progress(name, updates + 1, updates + 1)
            write_figures(folder)
    write_figures(folder)


def configuration(work: Work, estimate: float | None = None) -> dict[str, Any]:
    """Return what an evaluation is, as JSON values."""
    plm = work.plm
    return {
        "kind": work.kind,
        "plm": {"name": plm.name, "revision": plm.revision, "table_sha256": plm.digest},
        "tables": [{"name": table.name, "sha256": table.digest} for table in work.tables],
        "settings": asdict(work.settings),
        **work.describe(),
        "estimate": estimate,
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
    }


def _order(work: Work) -> list[tuple[int, int]]:
    return [(table, seed) for seed in range(work.settings.seeds) for table in range(len(work.tables))]


def _stage(work: Work, table: int, seed: int) -> str:
    return f"{work.tables[table].name}, seed {seed}"


def _telling(progress: Progress, stage: str, total: int) -> Tell:
    """Return who is told of a unit's updates; judging counts as one more."""

    def tell(update: int) -> None:
        progress(stage, min(update, total - 1), total)

    return tell
