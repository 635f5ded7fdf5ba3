"""Maps: scatter plots of whole vocabularies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out, number, span, wrapped
from defemb_core.palette import (
    NEUTRAL,
    NO_VALUE,
    PERCENTILES,
    SELECTED,
    SEQUENTIAL,
    ColourBy,
)
from defemb_core.text import plain

_MOST_LABELLED = 30
# Rows of a map up to which points have a size (pixels) and an opacity.
_MARKERS = ((500, 8.0, 0.9), (5000, 5.0, 0.8), (100_000, 3.2, 0.65), (float("inf"), 2.5, 0.5))


def map_figure(
    coordinates: np.ndarray,
    colour: ColourBy,
    title: str,
    selected: np.ndarray | None = None,
    axes: tuple[str, str] = ("first axis (no unit)", "second axis (no unit)"),
    labels: Sequence[str] | None = None,
) -> go.Figure:
    """Scatter plot of a map, one trace a category, the largest category at the back.

    Coordinates and values travel as typed arrays, row numbers not at all.

    Args:
        coordinates: float32 (V, 2), every one of which is drawn.
        colour: what the V points are coloured by.
        title: plain text.
        selected: rows of `coordinates` to mark with a ring; up to 30 of them carry their label.
        axes: names of x and y with their units.
        labels: what a reader sees of each row on hover, plain text; without them only the category is shown.

    Raises:
        SettingsError: for coordinates, values, labels or rows that do not fit each other.
    """
    points = _checked_map(coordinates, colour, labels)
    texts = None if labels is None else np.array([escape_hover(label) for label in labels], dtype=object)
    figure = go.Figure([_map_trace(points[rows], name, colour, rows, texts) for name, rows in drawn_rows(colour)])
    marked = _checked_selection(selected, len(points))
    if marked.size:
        figure.add_trace(_ring_trace(points[marked]))
    if texts is not None and marked.size <= _MOST_LABELLED:
        figure.update_layout(annotations=[_tag(points[row], texts[row]) for row in marked])
    note = f"all {len(points):,} rows" + (f", {marked.size:,} marked" if marked.size else "")
    if colour.continuous:
        note += f"; colours from the {PERCENTILES[0]}st to the {PERCENTILES[1]}th percentile"
    lay_out(figure, title, note, *axes, describe_map(title, points, colour, marked.size))
    figure.update_layout(height=600, dragmode="lasso", hovermode="closest", uirevision="map")
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(zeroline=False, scaleanchor="x", scaleratio=1)
    return figure


def _checked_map(coordinates: np.ndarray, colour: ColourBy, labels: Sequence[str] | None) -> np.ndarray:
    """Coordinates as float32 that fit all the rest."""
    points = np.asarray(coordinates, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise SettingsError(f"coordinates are {points.shape}; a map has two finite columns")
    for name, count in {"values": len(colour.values), "labels": len(points) if labels is None else len(labels)}.items():
        if count != len(points):
            raise SettingsError(f"{count:,} {name} for {len(points):,} points; give one for each point")
    return points


def _checked_selection(selected: np.ndarray | None, rows: int) -> np.ndarray:
    """Selected rows, int32, ascending, each once."""
    marked = np.unique(np.asarray([] if selected is None else selected, dtype=np.int64))
    if marked.size and not 0 <= marked[0] <= marked[-1] < rows:
        raise SettingsError(f"selected rows {marked[0]} to {marked[-1]} of {rows:,} points; select rows that are drawn")
    return marked.astype(np.int32)


def drawn_rows(colour: ColourBy) -> list[tuple[str, np.ndarray]]:
    """Categories and their rows from back to front: no value, then the largest first, which would hide smaller ones."""
    return sorted(colour.members().items(), key=lambda item: (item[0] != NO_VALUE, -item[1].size))


def marker_look(rows: int, total: int) -> tuple[float, float]:
    """Size (pixels) and opacity: dense maps need small, see-through points, a category of few rows larger ones."""
    size, opacity = next(look for most, *look in _MARKERS if total <= most)
    least = 7.0 if rows <= 30 else 5.0 if rows <= 400 else 0.0
    return max(size, least), opacity if least <= size else 0.85


def _map_trace(
    points: np.ndarray, name: str, colour: ColourBy, rows: np.ndarray, texts: np.ndarray | None
) -> go.Scattergl:
    """The points of one category, or all that have a value."""
    size, opacity = marker_look(len(rows), len(colour.values))
    marker: dict[str, Any] = {"size": size, "opacity": opacity}
    hover = escape_hover(name)
    if colour.continuous and name != NO_VALUE:
        marker |= _colour_scale(colour, rows)
        hover += ": %{marker.color:.3g}"
    else:
        marker |= {"color": colour.colours.get(name, NEUTRAL), "symbol": colour.shapes.get(name, "circle")}
    return go.Scattergl(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker=marker,
        name=f"{escape_hover(name)} · {len(rows):,}",
        legendrank=1 + list(colour.members()).index(name),
        showlegend=True,
        hovertext=None if texts is None else texts[rows],
        hovertemplate=("" if texts is None else "%{hovertext}<br>") + hover + "<extra></extra>",
    )


def _colour_scale(colour: ColourBy, rows: np.ndarray) -> dict[str, Any]:
    """Marker settings of points that are coloured by a number."""
    low, high = colour.limits or (0.0, 1.0)
    bar_title = {"text": wrapped(colour.explanation, 48), "side": "right", "font_size": 13}
    return {
        "color": colour.values[rows],
        "colorscale": [[i / (len(SEQUENTIAL) - 1), hue] for i, hue in enumerate(SEQUENTIAL)],
        "cmin": low,
        "cmax": high,
        "colorbar": {"title": bar_title, "thickness": 12, "outlinewidth": 0, "len": 0.9, "nticks": 6},
    }


def _ring_trace(points: np.ndarray) -> go.Scattergl:
    """Rings around selected points; what lies below answers to the pointer."""
    size, width = (11, 2) if len(points) <= _MOST_LABELLED else (7, 1.5) if len(points) <= 1000 else (5, 1)
    return go.Scattergl(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker={"symbol": "circle-open", "size": size, "color": SELECTED, "line": {"width": width, "color": SELECTED}},
        name=f"selected · {len(points):,}",
        showlegend=False,  # the subtitle counts them; one line more would shrink the map beside its twin
        hoverinfo="skip",
    )


def _tag(point: np.ndarray, text: str) -> dict[str, Any]:
    """A label above a selected point, with a ground of its own, so that it reads on any points and any page."""
    return {
        "x": float(point[0]),
        "y": float(point[1]),
        "text": text,
        "showarrow": False,
        "yshift": 17,
        "font": {"color": "#ffffff", "size": 12},
        "bgcolor": SELECTED,
        "borderpad": 2,
        "opacity": 0.9,
    }


def describe_map(title: str, points: np.ndarray, colour: ColourBy, selected: int) -> str:
    """Counts and ranges of a map in words."""
    parts = [f"{plain(name)} {rows.size:,}" for name, rows in colour.members().items()]
    text = f"Scatter plot {plain(title)!r} of all {len(points):,} rows, coloured by "
    text += f"{plain(colour.name)} ({plain(colour.explanation)}): {', '.join(parts) or 'no rows'}"
    if colour.limits:
        text += f", colour scale {number(colour.limits[0])} to {number(colour.limits[1])}"
    x, y = (span(points[:, axis]) for axis in (0, 1))
    return text + f"; x {x}, y {y}" + (f"; {selected:,} rows marked." if selected else ".")
