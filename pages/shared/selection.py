"""Two maps of the same tokens: what is selected on one is marked on the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.projection import Projection
from defemb_core.text import plain
from pages.shared import charts


@dataclass(frozen=True)
class Selection:
    """Rows selected, and on which map ("" for none)."""

    rows: np.ndarray
    source: str = ""


def chosen_rows(maps: Sequence[Projection], by: str) -> Selection:
    """Return what is selected on the map that was used last.

    A lasso or box is read as its outline, so that thousands of points need not be listed; a click as its point.
    """
    source = st.session_state.get("map-used", "")
    event = st.session_state.get(f"chart-{source}") if source else None
    if not event or not event["selection"]:
        return Selection(np.empty(0, np.int32))
    figures = charts.figures()
    chosen, coordinates = event["selection"], maps[source == "rebuilt"].coordinates
    found = [figures.rows_in_polygon(coordinates, area["x"], area["y"]) for area in chosen.get("lasso", [])]
    found += [figures.rows_in_box(coordinates, area["x"], area["y"]) for area in chosen.get("box", [])]
    if not found and chosen.get("points"):
        traces = st.session_state.get(f"traces-{source}-{by}", [])
        found = [figures.selected_rows(traces, chosen["points"])]
    rows = np.unique(np.concatenate(found)) if found else np.empty(0, np.int32)
    return Selection(rows.astype(np.int32), source if rows.size else "")


def shared_limits(maps: Sequence[Projection]) -> np.ndarray:
    """Return the limits of both axes, (2, 2): lowest and highest x and y of all maps, with a margin."""
    low = np.min([projection.coordinates.min(axis=0) for projection in maps], axis=0)
    high = np.max([projection.coordinates.max(axis=0) for projection in maps], axis=0)
    margin = 0.04 * (high - low)
    return np.stack([low - margin, high + margin])


def show_map(
    name: str,
    projection: Projection,
    limits: np.ndarray,
    changes: pl.DataFrame,
    by: str,
    marked: np.ndarray,
) -> None:
    """Show one map within the limits that both share, the rows in `marked` ringed."""
    figures = charts.figures()
    colour = colour_by(changes, by)
    st.session_state[f"traces-{name}-{by}"] = figures.trace_rows(colour, marked)
    unit = "UMAP {} (no unit)" if projection.method == "umap" else "principal direction {}"
    figure = figures.map_figure(
        projection.coordinates, colour, name, marked if marked.size else None, unit.format(1), unit.format(2),
        labels=labels_of(changes),
    )  # fmt: skip
    figure.update_xaxes(range=[float(x) for x in limits[:, 0]])
    figure.update_yaxes(range=[float(y) for y in limits[:, 1]])
    charts.show(
        figure,
        f"chart-{name}",
        on_select=lambda: _use(name),
        selection_mode=("points", "box", "lasso"),
        height=620,
    )


def colour_by(changes: pl.DataFrame, by: str) -> Any:
    """Return the colouring that the page's control names."""
    from defemb_core import palette

    if by == "group":
        return palette.colour_by_group(changes)
    if by == "kind":
        return palette.colour_by_kind(changes)
    if by == "coverage":
        return palette.colour_by_coverage(changes["rebuilt"].to_numpy())
    titles = {"movement": "movement (1 - cosine)", "turnover": "share of new neighbours"}
    return palette.colour_by_values(by, changes[by].to_numpy(), titles[by])


@st.cache_resource(max_entries=4, show_spinner=False)
def _labels(_texts: pl.Series, key: int) -> list[str]:
    del key
    return [plain(text) for text in _texts]


def labels_of(changes: pl.DataFrame) -> list[str]:
    """Return every row's text for hovering, as visible characters."""
    return _labels(changes["text"], int(changes["text"].hash().sum()))


def _use(name: str) -> None:
    """Remember which map was used last."""
    event = st.session_state.get(f"chart-{name}")
    if event and any(event["selection"].get(kind) for kind in ("points", "box", "lasso")):
        st.session_state["map-used"] = name
    elif st.session_state.get("map-used") == name:
        st.session_state["map-used"] = ""
