"""Two maps of the same tokens: what is selected on one is marked on the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.projection import Projection
from pages.shared import charts


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows selected on a map.

    Attributes:
        rows: int32, ascending.
        chart: the chart that shows the selection by itself; all others ring its rows.
        of: the comparison that the rows belong to.
    """

    rows: np.ndarray
    chart: str = ""
    of: str = ""


def chosen_rows(of: str) -> Selection:
    """Return what was selected last on a map of the comparison `of`."""
    selection: Selection | None = st.session_state.get("selection")
    return selection if selection and selection.of == of else Selection(np.empty(0, np.int32))


def shared_limits(maps: Sequence[Projection]) -> np.ndarray:
    """Return the limits of both axes, (2, 2): lowest and highest x and y of all maps, with a margin."""
    low = np.min([projection.coordinates.min(axis=0) for projection in maps], axis=0)
    high = np.max([projection.coordinates.max(axis=0) for projection in maps], axis=0)
    margin = 0.04 * (high - low)
    return np.stack([low - margin, high + margin])


def show_map(
    name: str, projection: Projection, limits: np.ndarray, comparison: Comparison, changes: pl.DataFrame, by: str
) -> None:
    """Show one map within the limits that both share; what is selected on another chart is ringed."""
    figures = charts.figures()
    colour, selection = colour_by(changes, by), chosen_rows(comparison.key)
    chart = f"chart-{name}-{projection.method}-{by}"  # its own for every figure: points of one are not the other's
    marked = np.empty(0, np.int32) if selection.chart == chart and _shows_it(chart) else selection.rows
    unit = "UMAP {} (no unit)" if projection.method == "umap" else "principal direction {}"
    figure = figures.map_figure(
        projection.coordinates, colour, name, marked, (unit.format(1), unit.format(2)), changes["text"].to_list()
    )
    figure.update_xaxes(range=[float(x) for x in limits[:, 0]])
    figure.update_yaxes(range=[float(y) for y in limits[:, 1]])
    traces = figures.trace_rows(colour, marked)
    charts.show(
        figure,
        chart,
        on_select=lambda: _select(chart, comparison.key, projection.coordinates, traces),
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


def _shows_it(chart: str) -> bool:
    """Return whether the chart itself shows a selection; one that was left for another page comes back without."""
    chosen = (st.session_state.get(chart) or {}).get("selection") or {}
    return any(chosen.get(kind) for kind in ("points", "box", "lasso"))


def _select(chart: str, of: str, coordinates: np.ndarray, traces: Sequence[np.ndarray]) -> None:
    """Remember the rows that the chart's event names.

    A lasso or box is read as its outline, so that thousands of points need not be listed; a click as its point.
    """
    figures, chosen = charts.figures(), st.session_state[chart]["selection"]
    found = [figures.rows_in_polygon(coordinates, area["x"], area["y"]) for area in chosen.get("lasso", [])]
    found += [figures.rows_in_box(coordinates, area["x"], area["y"]) for area in chosen.get("box", [])]
    if not found and chosen.get("points"):
        found = [figures.selected_rows(tuple(traces), chosen["points"])]
    rows = np.unique(np.concatenate(found)).astype(np.int32) if found else np.empty(0, np.int32)
    if rows.size or chosen_rows(of).chart == chart:  # an empty event clears only the chart's own selection
        st.session_state["selection"] = Selection(rows, chart, of)
