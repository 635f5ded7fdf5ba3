"""The tables whose spectra and isotropy are shown: the two compared, and any other finished runs of the PLM."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.analysis import read_neighbours
from defemb_core.cache import table_sha256
from defemb_core.comparison import Comparison, isotropy_of
from defemb_core.cosines import Cosines, cosine_histogram
from defemb_core.hubness import Hubness, measure_hubness
from defemb_core.isotropy import isotropy_by_group
from defemb_core.reconstruction import Reconstruction
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import runs_folder
from defemb_core.spectrum import Spectrum, singular_values
from pages.shared import state

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Shown:
    """A table that is shown.

    Attributes:
        matrix: float32 (V, H).
        digest: of the matrix.
        isotropy: figures by group, then by measure.
        groups: the frequency group of each row; the same for all tables that are shown.
        key: of the groups.
    """

    matrix: np.ndarray
    digest: str
    isotropy: Figures
    groups: np.ndarray
    key: str

    def member(self, group: str) -> np.ndarray:
        """Which rows are of one group, of "all" those that are neither special nor unused; bool (V,)."""
        return np.asarray(self.groups != "none" if group == "all" else self.groups == group)

    def spectrum(self, group: str, centred: bool) -> Spectrum:
        """The singular values of a group's rows."""
        return _kept(self.digest, self.key, ("spectrum", group, centred), partial(_spectrum, self, group, centred))

    def cosines(self, group: str) -> Cosines:
        """The cosines between a group's rows."""
        return _kept(self.digest, self.key, ("cosines", group), partial(_cosines, self, group))

    def norms(self, group: str) -> np.ndarray:
        """The Euclidean norms of a group's rows."""
        norms = _kept(self.digest, "", ("norms",), lambda: np.linalg.norm(self.matrix, axis=1))
        return np.asarray(norms[self.member(group)])

    def hubness(self, group: str) -> Hubness | None:
        """How often a group's rows are neighbours of any row; None while the table's neighbours are not known."""
        known: dict[str, Hubness] = _hubness()
        if self.digest not in known:
            neighbours = read_neighbours(self.digest, len(self.matrix))
            if neighbours is None:
                return None
            known[self.digest] = measure_hubness(neighbours)
        found = known[self.digest]
        return Hubness(found.occurrence[self.member(group)], found.k)


@st.cache_resource
def _hubness() -> dict[str, Hubness]:
    """Return what is known by the tables' digests: 4 bytes a row, kept while the server runs."""
    return {}


def _spectrum(table: Shown, group: str, centred: bool) -> Spectrum:
    return singular_values(table.matrix[table.member(group)], centred)


def _cosines(table: Shown, group: str) -> Cosines:
    return cosine_histogram(table.matrix[table.member(group)])


@st.cache_resource(max_entries=200, show_spinner="Measuring")
def _kept(digest: str, key: str, what: tuple[Any, ...], _make: Any) -> Any:
    """Return what `_make` makes, made once for each table, its groups and what is asked."""
    del digest, key, what
    return _make()


def choose_tables(comparison: Comparison) -> dict[str, Shown]:
    """Offer every table of this vocabulary, the two compared to begin with; return those chosen by name."""
    groups = comparison.vocabulary["group"].cast(pl.String).to_numpy()
    first, second = comparison.names
    before, after = _kept(comparison.key, "", ("isotropy",), lambda: isotropy_of(comparison))
    known = {
        first: lambda: Shown(comparison.original, comparison.original_digest, before, groups, comparison.key),
        second: lambda: Shown(comparison.rebuilt, comparison.rebuilt_digest, after, groups, comparison.key),
    }
    others = [folder.name for folder in state.complete_runs(state.chosen_plm())]
    in_pair = {Path(name).name for name in state.compared() if name}
    options = [*known, *(name for name in others if name not in in_pair and name not in known)]
    chosen = [name for name in st.session_state.get("tables") or [] if name in options]
    if chosen != (st.session_state.get("tables") or []):  # a run that is gone, or an address of other runs
        st.session_state.pop("tables")
    names = st.multiselect(
        "Tables", options, list(comparison.names), key="tables", bind="query-params",
        help="The two that are compared at the left, and any other finished run of this PLM.",
    )  # fmt: skip
    return {name: known[name]() if name in known else _of_run(name, comparison) for name in names}


def _of_run(name: str, comparison: Comparison) -> Shown:
    """Return another run's table, measured by the comparison's frequency groups."""
    folder = runs_folder() / name
    run, digest = _run(str(folder), (folder / "config.json").stat().st_mtime_ns)
    groups = comparison.vocabulary["group"].cast(pl.String).to_numpy()
    measured = run.evidence["isotropy"]["rebuilt"]
    if run.vocabulary["group"].cast(pl.String).to_list() != groups.tolist():
        measured = _kept(digest, comparison.key, ("isotropy",), lambda: _measured(run.matrix, groups))
    return Shown(run.matrix, digest, measured, groups, comparison.key)


def _measured(matrix: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, float]]:
    return {group: found.to_dict() for group, found in isotropy_by_group(matrix, groups).items()}


@st.cache_resource(max_entries=4, show_spinner="Opening the run")
def _run(folder: str, stamp: int) -> tuple[Reconstruction, str]:
    del stamp
    run = load_reconstruction(Path(folder))
    return run, table_sha256(run.matrix)
