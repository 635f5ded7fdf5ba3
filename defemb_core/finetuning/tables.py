"""The tables that a PLM is fine-tuned with: its own, those of runs, and those of files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from defemb_core.cache import table_sha256
from defemb_core.comparison import Load, open_comparison
from defemb_core.errors import RunError, SettingsError
from defemb_core.import_table import is_table
from defemb_core.plm import PLM, load_plm
from defemb_core.runs import STATUS, run_path

ORIGINAL = "original"


@dataclass(frozen=True, eq=False)
class Table:
    """A table to put into the PLM.

    Attributes:
        name: what it is called in figures.
        matrix: float32 (V, H).
        decoder_matrix: of a PLM whose decoder has a table of its own, or None for the PLM's.
    """

    name: str
    matrix: np.ndarray
    decoder_matrix: np.ndarray | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the table, or of both."""
        parts = [part for part in (self.matrix, self.decoder_matrix) if part is not None]
        return "+".join(table_sha256(part) for part in parts)


def open_tables(names: Sequence[str], load: Load = load_plm) -> tuple[PLM, list[Table]]:
    """Open the tables of one PLM: first its own, called "original", then those named.

    Args:
        names: runs' names or directories, files of tables, or the PLM's own name; "original" may be among them.
        load: gives a PLM by name and revision.

    Raises:
        SettingsError: nothing is named, or things of different PLMs.
        DefembError: as open_comparison does.
    """
    wanted = [_place(name) for name in dict.fromkeys(names) if name != ORIGINAL]
    runs = [name for name in wanted if (Path(name) / STATUS).is_file()]
    others = [name for name in wanted if name not in runs and not is_table(name)]
    if not runs and not others:
        raise SettingsError("name a run, or a PLM for its own table alone")
    comparisons = {name: open_comparison(name, load) for name in runs}
    plm = comparisons[runs[0]].plm if runs else load(others[0], None)
    for name in others:
        if load(name, None).digest != plm.digest:
            raise SettingsError(
                f"{name!r} is another PLM than {plm.name!r}; their other weights would differ, not the table alone"
            )
    for name, comparison in comparisons.items():
        if comparison.plm.digest != plm.digest:
            raise SettingsError(f"{name!r} was made from another PLM than {runs[0]!r}; fine-tune tables of one PLM")
    tables = [Table(ORIGINAL, plm.matrix, plm.decoder_matrix)]
    for name in wanted:
        if name in comparisons:
            made = comparisons[name].reconstruction
            tables.append(Table(_name(name, tables), made.matrix, made.decoder_matrix))
        elif is_table(name):
            matrix = open_comparison(name, load, against=runs[0] if runs else others[0]).rebuilt
            tables.append(Table(_name(name, tables), matrix, plm.decoder_matrix))
    return plm, tables


def _place(name: str) -> str:
    """Return a run's directory for its name in the runs folder; anything else as it is."""
    with suppress(RunError):
        if (run_path(name) / STATUS).is_file():
            return str(run_path(name))
    return name


def _name(place: str, known: Sequence[Table]) -> str:
    name, taken = Path(place).name, {table.name for table in known}
    return name if name not in taken else f"{name} ({len(taken)})"
