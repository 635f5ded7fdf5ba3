"""Original and rebuilt as maps in the browser: pan, zoom, hover, marks and legend without asking the server.

The front end is `assets/maps.js`, built from `frontend/`. Coordinates, tokens and colours are elements of their own,
which Streamlit does not send again unless their bytes change; what is left is a few kilobytes.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.projection import Projection
from pages.shared import selection

VIEWS = ("two maps", "arrows", "animation")
Areas = Sequence[Sequence[tuple[float, float, str]]]
_BUNDLE = Path(__file__).parents[2] / "assets" / "maps.js"
_KEY = "linked-maps"


@dataclass(frozen=True)
class Look:
    """How maps look.

    Attributes:
        by: the column of a comparison's changes to colour by, or "coverage".
        view: one of `VIEWS`.
        size: the column of numbers that says how large points are; "" for all alike.
    """

    by: str
    view: str = VIEWS[0]
    size: str = ""


def show_linked_maps(
    maps: Sequence[Projection],
    comparison: Comparison,
    changes: pl.DataFrame,
    look: Look,
    rows: np.ndarray | None = None,
    areas: Areas | None = None,
) -> None:
    """Show both maps of a comparison; what is selected on them is `selection.chosen_rows`.

    Args:
        maps: original and rebuilt.
        comparison: what the maps are of.
        changes: `state.changes_of` the comparison.
        look: colours, sizes and arrangement.
        rows: the rows of the table that are on the maps, ascending, in their order; None for all.
        areas: names of areas for each map, x and y in its own units.
    """
    from defemb_core.figures import linked_maps

    drawn = np.arange(changes.height, dtype=np.int32) if rows is None else rows
    part = changes if drawn.size == changes.height else changes[drawn]
    key = f"{comparison.key} {hashlib.sha256(drawn.tobytes()).hexdigest()}"
    points = [projection.coordinates for projection in maps]
    parts = [
        linked_maps.points_part(points[0], points[1]),
        _tokens(part, key),
        _colours(part, look.by, f"{key} {changes.columns}"),
        *([_sizes(part, look.size, f"{key} {changes.columns}")] if look.size else []),
    ]
    told = _described(points, part, look.by, comparison.names, maps[0].method, parts[0].digest + parts[2].digest)
    chosen = selection.chosen_rows(comparison.key)
    marked = np.flatnonzero(np.isin(drawn, chosen.rows))
    marks = {"serial": chosen.serial, "rows": linked_maps.encode_rows(marked, drawn.size)}
    state = {
        **told,
        "total": changes.height,
        "parts": {part.slot: part.digest for part in parts},
        "view": look.view,
        "areas": linked_maps.place_areas(points, areas),
        "sizes": linked_maps.describe_sizes(selection.colour_by(part, look.size)) if look.size else None,
        "marks": {**marks, "elsewhere": chosen.rows.size - marked.size},
    }
    _mount([part.message for part in parts], state, lambda: _select(comparison.key, drawn))


def _mount(messages: Sequence[bytes], state: dict[str, Any], on_selection: Callable[[], None]) -> None:
    """Put the arrays and the maps on the page, as elements of one component."""
    mount = _component()
    with st.container(gap=None, key=f"{_KEY}-parts"):
        for i, message in enumerate(messages):
            mount(key=f"{_KEY}-{i}", data=message)
        mount(key=_KEY, data=state, on_selection_change=on_selection)


def _component() -> Any:
    """The front end, registered anew by every run of the page: a no-op where it is known."""
    return st.components.v2.component("defemb_maps", js=_bundle(_BUNDLE.stat().st_mtime_ns))


@st.cache_resource(max_entries=1, show_spinner=False)
def _bundle(stamp: int) -> str:
    del stamp
    return _BUNDLE.read_text(encoding="utf-8")


@st.cache_resource(max_entries=4, show_spinner=False)
def _tokens(_changes: pl.DataFrame, key: str) -> Any:
    del key
    from defemb_core.figures.linked_maps import tokens_part

    return tokens_part(_changes)


@st.cache_resource(max_entries=12, show_spinner=False)
def _colours(_changes: pl.DataFrame, by: str, key: str) -> Any:
    del key
    from defemb_core.figures.linked_maps import colours_part

    return colours_part(selection.colour_by(_changes, by))


@st.cache_resource(max_entries=12, show_spinner=False)
def _sizes(_changes: pl.DataFrame, by: str, key: str) -> Any:
    del key
    from defemb_core.figures.linked_maps import sizes_part

    return sizes_part(selection.colour_by(_changes, by))


@st.cache_resource(max_entries=12, show_spinner=False)
def _described(
    _points: Sequence[np.ndarray], _changes: pl.DataFrame, by: str, names: tuple[str, str], method: str, digests: str
) -> Any:
    del digests
    from defemb_core.figures.linked_maps import describe_maps

    unit = "UMAP {} (no unit)" if method == "umap" else "principal direction {}"
    return describe_maps(_points, selection.colour_by(_changes, by), names, (unit.format(1), unit.format(2)))


def _select(of: str, drawn: np.ndarray) -> None:
    """Take over what was selected in the browser, positions among the rows `drawn`."""
    from defemb_core.figures.linked_maps import decode_rows

    told = st.session_state[_KEY]["selection"]
    selection.select(drawn[decode_rows(told["rows"], drawn.size)], of, int(told["serial"]))
