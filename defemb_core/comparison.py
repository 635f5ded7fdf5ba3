"""Two tables of one vocabulary side by side, and what changed for each token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from defemb_core.cache import cache_folder, table_sha256, write_json
from defemb_core.described import Described
from defemb_core.errors import RunError, SettingsError
from defemb_core.frequency import plm_vocabulary
from defemb_core.hub import BUNDLED
from defemb_core.import_table import ImportedTable, is_table, read_table
from defemb_core.isotropy import isotropy_by_group
from defemb_core.plm import PLM, load_plm
from defemb_core.reconstruction import Reconstruction
from defemb_core.reconstruction_files import load_reconstruction, plm_place

PAIR = "pair.json"  # in a folder for work on two tables that are no run and its PLM's: which they are
Load = Callable[[str, str | None], PLM]
Side = Reconstruction | PLM | ImportedTable


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Described):
    """Two tables of one vocabulary, row by row: a PLM's own and a run's unless others are named.

    Attributes:
        plm: whose vocabulary it is; where `second` is a run, the PLM that the run was made from.
        second: the run, a PLM for its own table, or a table from a file.
        first: what it is compared with: another of these, None for `plm`.
        names: what the two tables are called on screen.

    Raises:
        RunError: the run was made from another table than the PLM's.
        SettingsError: the two tables are not of one vocabulary and one width.

    Example:
        >>> pair = de.Comparison(plm, made)
        >>> bool((pair.changed == made.rebuilt).all())
        True
    """

    plm: PLM
    second: Side
    first: Side | None = None
    names: tuple[str, str] = ("original", "rebuilt")

    def __post_init__(self) -> None:
        if isinstance(self.second, Reconstruction):
            made_from = self.second.provenance["plm"]["table_sha256"]
            if made_from != self.plm.digest:
                raise RunError(
                    f"the run was made from a table with SHA-256 {made_from[:12]}..., {self.plm.name!r} now has "
                    f"{self.plm.digest[:12]}...; load the PLM's earlier revision or rebuild"
                )
        if not self.is_usual:
            self._check_tables()

    def _check_tables(self) -> None:
        """Refuse tables whose rows do not stand for the same tokens, or have other columns."""
        shapes = [f"{rows:,} x {columns:,}" for rows, columns in (self.original.shape, self.rebuilt.shape)]
        sides = [side for side in (self.first or self.plm, self.second) if not isinstance(side, ImportedTable)]
        tokens = [_tokens(side) for side in sides]  # rows from a file have found their tokens already
        row = next((row for row, pair in enumerate(zip(*tokens, strict=False)) if len(set(pair)) > 1), None)
        if row is not None:
            differ = f"row {row:,} is {tokens[0][row]!r} in the one and {tokens[1][row]!r} in the other"
        elif shapes[0] != shapes[1]:
            differ = f"their tables are {shapes[0]} and {shapes[1]}"
        else:
            return
        raise SettingsError(
            f"{self.names[0]!r} and {self.names[1]!r} cannot be compared: {differ}; choose tables of one vocabulary"
        )

    @property
    def facts(self) -> dict[str, object]:
        """What a console and a notebook say of it."""
        what = "rows rebuilt" if self.is_usual else "rows that differ"
        both = " and ".join(self.names)
        return {"Comparison": both, "PLM": self.plm.title, what: f"{self.changed.sum():,} of {len(self.changed):,}"}

    @property
    def is_usual(self) -> bool:
        """Whether it is a PLM's own table and a run's, which are called original and rebuilt."""
        return self.first is None and isinstance(self.second, Reconstruction)

    @property
    def original(self) -> np.ndarray:
        """The first table, the PLM's own if no other is named, float32 (V, H)."""
        return (self.first or self.plm).matrix

    @property
    def rebuilt(self) -> np.ndarray:
        """The second table, mostly a run's, float32 (V, H)."""
        return self.second.matrix

    @property
    def reconstruction(self) -> Reconstruction:
        """The run whose table is the second.

        Raises:
            RunError: the second table is no run's.
        """
        if not isinstance(self.second, Reconstruction):
            what = "table from a file" if isinstance(self.second, ImportedTable) else "checkpoint"
            raise RunError(f"{self.names[1]!r} is a {what}, no run; choose a run at the left for this page")
        return self.second

    @property
    def evidence(self) -> dict[str, Any] | None:
        """What the second table's run knows of itself against its PLM; None where that is not what is compared."""
        return self.reconstruction.evidence if self.is_usual else None

    @property
    def definitions(self) -> pl.DataFrame | None:
        """The definitions that the second table's run has used; None if it is no run's."""
        return self.second.definitions if isinstance(self.second, Reconstruction) else None

    @cached_property
    def changed(self) -> np.ndarray:
        """Which rows are rebuilt, bool (V,); of any two tables: which rows differ."""
        return self.reconstruction.rebuilt if self.is_usual else (self.original != self.rebuilt).any(axis=1)

    @cached_property
    def vocabulary(self) -> pl.DataFrame:
        """The vocabulary frame, of the second table's run or else of the first's, or else the PLM's."""
        runs = [side for side in (self.second, self.first) if isinstance(side, Reconstruction)]
        return runs[0].vocabulary if runs else plm_vocabulary(self.plm)

    @cached_property
    def original_digest(self) -> str:
        """SHA-256 of the first table."""
        return self.plm.digest if self.first is None else table_sha256(self.original)

    @cached_property
    def rebuilt_digest(self) -> str:
        """SHA-256 of the second table."""
        return table_sha256(self.rebuilt)

    @cached_property
    def key(self) -> str:
        """SHA-256 over both tables and the frequency groups: two runs may share a table and differ in their groups."""
        groups = self.vocabulary["group"].to_physical().to_numpy().tobytes()
        parts = self.original_digest.encode(), self.rebuilt_digest.encode(), groups
        return hashlib.sha256(b" ".join(parts)).hexdigest()


def open_comparison(folder: Path | str, load: Load = load_plm, against: str = "") -> Comparison:
    """Open a complete run together with the PLM that it was made from, or any two tables of one vocabulary.

    Args:
        folder: a run's directory; the folder of a pair (`work_folder`); the name or folder of a checkpoint, or the
            file of a table (`read_table`), if `against` says what it is compared with.
        load: gives a PLM by name and revision; a program that keeps PLMs in memory passes its own.
        against: the first table: a run's directory, a checkpoint's name or folder, or a table's file; empty for the
            PLM's own.

    Raises:
        RunError: no complete run, or the PLM's table is another one by now.
        PLMError: the PLM cannot be loaded any more.
        SettingsError: two tables of different vocabularies, or a file that is compared with none.
        TableError: a file cannot be read or does not fit.

    Example:
        >>> opened = de.open_comparison("run")
        >>> opened.plm.name, opened.names
        ('bundled', ('original', 'rebuilt'))
    """
    if (Path(folder) / PAIR).is_file():
        folder, against = _read_pair(Path(folder))
    files = [is_table(name) for name in (str(folder), against)]
    if files[0] and (files[1] or not against):
        raise SettingsError(f"{Path(folder).name!r} is a file; compare it with a run or a PLM, whose rows they are")
    if any(files):
        return _with_file(str(folder), against, files[1], load)
    if not against:
        reconstruction = load_reconstruction(Path(folder))
        return Comparison(_made_from(reconstruction, folder, load), reconstruction)
    second, first = _side(str(folder), load), _side(against, load)
    runs = [(side, at) for side, at in ((second, folder), (first, against)) if isinstance(side, Reconstruction)]
    plm = _made_from(*runs[0], load) if runs else load(against, None)
    if isinstance(first, Reconstruction) or first.digest != plm.digest:
        return Comparison(plm, second, first, _names(str(folder), against, second, first))
    if isinstance(second, Reconstruction):
        return Comparison(plm, second)
    return Comparison(plm, second, names=_names(str(folder), against, second, first))


def _with_file(folder: str, against: str, is_first: bool, load: Load) -> Comparison:
    """Open a table from a file, the first or the second, with a run or a PLM, whose rows it takes."""
    name = folder if is_first else against
    other = _side(name, load)
    plm = _made_from(other, name, load) if isinstance(other, Reconstruction) else other
    table = read_table(Path(against if is_first else folder), plm)
    second, first = (other, table) if is_first else (table, other)
    names = _names(folder, against, second, first)
    return Comparison(plm, second, None if first is plm else first, names)


def work_folder(comparison: Comparison, folder: str, against: str) -> Path:
    """Return the folder for work on two tables, which `open_comparison` opens: the run's, or one of the pair's own.

    Args:
        comparison: of the two.
        folder: as `open_comparison` took it.
        against: as `open_comparison` took it.

    Raises:
        RunError: the cache folder cannot be written.
    """
    if comparison.is_usual:
        return Path(folder)
    place = cache_folder() / "pairs" / comparison.key[:32]
    if not (place / PAIR).is_file():
        try:
            write_json(place / PAIR, [folder, against])
        except OSError as exc:
            raise RunError(
                f"cannot write to {str(place)!r} ({exc.strerror or exc}); set DEFEMB_CACHE to a folder with space"
            ) from None
    return place


def _read_pair(folder: Path) -> tuple[str, str]:
    try:
        second, first = json.loads((folder / PAIR).read_text(encoding="utf-8"))
        return str(second), str(first)
    except (OSError, ValueError, TypeError):
        raise RunError(f"{str(folder)!r} does not say which tables are compared; delete it") from None


def _side(name: str, load: Load) -> Reconstruction | PLM:
    """Return the run in a directory, else the PLM of that name or folder."""
    with suppress(OSError, ValueError):  # a name that cannot be a path is none of a run's
        if (Path(name) / "status.json").is_file():
            return load_reconstruction(Path(name))
    return load(name, None)


def _made_from(reconstruction: Reconstruction, run: Path | str, load: Load) -> PLM:
    plm = reconstruction.provenance["plm"]
    return load(plm_place(plm["name"], Path(run)), None if plm["name"] == BUNDLED else plm["revision"])


def _names(folder: str, against: str, second: Side, first: Side) -> tuple[str, str]:
    """Return short names of both tables, their whole ones where the short are the same."""
    one = Path(against).name if isinstance(first, Reconstruction) else first.title
    other = Path(folder).name if isinstance(second, Reconstruction) else second.title
    return (one, other) if one != other else (against, folder)


def _tokens(side: Reconstruction | PLM) -> list[str]:
    """Return what each row stands for, as the tokenizer stores it."""
    frame = side.vocabulary if isinstance(side, Reconstruction) else plm_vocabulary(side)
    return frame["token"].to_list()


def isotropy_of(comparison: Comparison) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return both tables' isotropy by group, as `isotropy_by_group` has it; of a run and its PLM the run's own figures.

    Any other two tables are measured now, a second for each 30,000 rows, both by the groups of `vocabulary`.
    """
    if comparison.evidence:
        kept = comparison.evidence["isotropy"]
        return kept["original"], kept["rebuilt"]
    groups = comparison.vocabulary["group"].cast(pl.String).to_numpy()
    first, second = (isotropy_by_group(table, groups) for table in (comparison.original, comparison.rebuilt))
    return {g: of.to_dict() for g, of in first.items()}, {g: of.to_dict() for g, of in second.items()}
