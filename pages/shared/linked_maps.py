"""Original and rebuilt as maps in the browser: pan, zoom, hover, marks and legend without asking the server.

The front end is `assets/maps.js`, built from `frontend/`. Coordinates, tokens and colours are elements of their own,
which Streamlit does not send again unless their bytes change; what is left is a few kilobytes.
"""

from collections.abc import Sequence
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


def show_linked_maps(
    maps: Sequence[Projection],
    comparison: Comparison,
    changes: pl.DataFrame,
    by: str,
    view: str = VIEWS[0],
    areas: Areas | None = None,
) -> None:
    """Show both maps of a comparison; what is selected on them is `selection.chosen_rows`.

    Args:
        maps: original and rebuilt, rows in the vocabulary's order.
        comparison: what the maps are of.
        changes: `state.changes_of` the comparison.
        by: the column of `changes` to colour by.
        view: one of `VIEWS`.
        areas: names of areas for each map, x and y in its own units.
    """
    from defemb_core.figures import linked_maps

    points = [projection.coordinates for projection in maps]
    parts = [
        linked_maps.points_part(points[0], points[1]),
        _tokens(changes, comparison.key),
        _colours(changes, by, f"{comparison.key} {changes.columns}"),
    ]
    chosen = selection.chosen_rows(comparison.key)
    state = {
        **_described(points, changes, by, comparison.names, maps[0].method, parts[0].digest + parts[2].digest),
        "parts": {part.slot: part.digest for part in parts},
        "view": view,
        "areas": linked_maps.place_areas(points, areas),
        "marks": {"serial": chosen.serial, "rows": linked_maps.encode_rows(chosen.rows, changes.height)},
    }
    mount = _component()
    with st.container(gap=None, key=_KEY + "-parts"):
        for part in parts:
            mount(key=f"{_KEY}-{part.slot}", data=part.message)
        mount(key=_KEY, data=state, on_selection_change=lambda: _select(comparison.key, changes.height))


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
def _described(
    _points: Sequence[np.ndarray], _changes: pl.DataFrame, by: str, names: tuple[str, str], method: str, digests: str
) -> Any:
    del digests
    from defemb_core.figures.linked_maps import describe_maps

    unit = "UMAP {} (no unit)" if method == "umap" else "principal direction {}"
    return describe_maps(_points, selection.colour_by(_changes, by), names, (unit.format(1), unit.format(2)))


def _select(of: str, rows: int) -> None:
    """Take over what was selected in the browser."""
    from defemb_core.figures.linked_maps import decode_rows

    told = st.session_state[_KEY]["selection"]
    selection.select(decode_rows(told["rows"], rows), of, int(told["serial"]))
