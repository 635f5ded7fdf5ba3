"""Charts of a few tokens: a map of one's neighbours, and how near tokens are to each other."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out, number
from defemb_core.palette import NEUTRAL, SELECTED, TABLE_COLOURS
from defemb_core.text import plain

SIDES = {
    "both": (NEUTRAL, "square"),
    "original": (TABLE_COLOURS["original"], "circle"),
    "rebuilt": (TABLE_COLOURS["rebuilt"], "diamond"),
    "token": (SELECTED, "star"),
}
"""What a point of a local map may be, from back to front: its colour and shape."""
_LETTERS = 16  # of a label that are shown
_PLACES = ("middle right", "middle left", "top center", "bottom center")
_LETTER, _LINE, _GAP = 7.0, 15.0, 9.0  # pixels that a letter is wide, a line high, a label away from its point
_SEEN = (380.0, 300.0)  # pixels of the drawing that labels are placed for
_DIVERGING = [[0.0, "#0072b2"], [0.5, "#e8e8e8"], [1.0, "#d55e00"]]


def local_map_figure(
    points: np.ndarray,
    labels: Sequence[str],
    sides: Sequence[str],
    shown: float,
    title: str,
    names: Mapping[str, str],
) -> go.Figure:
    """Draw a few rows around one of them, each with its text.

    Args:
        points: (n, 2), of queries.local_map.
        labels: plain texts, one a point.
        sides: what each point is, of SIDES.
        shown: the share of the rows' variance that the map shows, 0 to 1.
        title: plain text.
        names: what the sides are called, plain texts.

    Raises:
        SettingsError: numbers of points, labels and sides differ.
    """
    if not len(points) == len(labels) == len(sides):
        raise SettingsError(f"{len(points)} points, {len(labels)} labels and {len(sides)} sides; give one each a point")
    places, figure, told = np.array(label_places(points, labels)), go.Figure(), []
    for side in (side for side in SIDES if side in sides):
        found = [i for i, own in enumerate(sides) if own == side]
        own = [labels[i] for i in found]
        figure.add_trace(_points_trace(points[found], own, places[found].tolist(), side, names[side]))
        told.append(f"{plain(names[side], 60)}: {', '.join(map(plain, own))}")
    note = f"only these {len(points)} rows; shows {shown:.0%} of how they differ"
    lay_out(figure, title, note, "", "", f"Scatter plot {plain(title, 100)!r}, {note}. {'; '.join(told)}.")
    figure.update_layout(height=420, margin={"l": 10, "r": 10, "b": 10}, legend={"y": -0.02})
    bare = {"showticklabels": False, "zeroline": False, "showgrid": False, "title_text": ""}
    low, high = points.min(axis=0), points.max(axis=0)
    widest = max(float((high - low).max()), 1e-6)
    for axis, at, room in ((figure.update_xaxes, 0, 0.28), (figure.update_yaxes, 1, 0.1)):  # room for the labels
        axis(**bare, range=[float(low[at]) - room * widest, float(high[at]) + room * widest])
    return figure.update_yaxes(scaleanchor="x", scaleratio=1)


def _points_trace(points: np.ndarray, labels: list[str], places: list[str], side: str, name: str) -> go.Scatter:
    colour, symbol = SIDES[side]
    return go.Scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers+text",
        marker={"color": colour, "symbol": symbol, "size": 15 if side == "token" else 8},
        text=[escape_hover(label, _LETTERS) for label in labels],
        textposition=places,
        textfont={"size": 12},
        name=escape_hover(name, 60),
        hovertext=[escape_hover(label) for label in labels],
        hovertemplate=f"%{{hovertext}}<br>{escape_hover(name, 60)}<extra></extra>",
        cliponaxis=False,
    )


def label_places(points: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Return where each label goes beside its point, one after the other, where it covers least.

    Beside the point, towards the middle of the map, is what it prefers.
    """
    spots = (points - points.min(axis=0)) * (_SEEN / np.maximum(np.ptp(points, axis=0), 1e-9)).min()
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    places = []
    for (x, y), label in zip(spots, labels, strict=True):
        sides = _PLACES[:2] if x <= spots[:, 0].max() / 2 else _PLACES[1::-1]  # towards the middle first
        order = (*sides, *_PLACES[2:])
        boxes = [_box(float(x), float(y), min(len(plain(label)), _LETTERS) * _LETTER, place) for place in order]
        costs = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        places.append(order[best])
    return places


def _box(x: float, y: float, width: float, place: str) -> tuple[float, float, float, float]:
    """Return the corners of a label beside a point, in pixels."""
    if place == "middle right":
        return x + _GAP, y - _LINE / 2, x + _GAP + width, y + _LINE / 2
    if place == "middle left":
        return x - _GAP - width, y - _LINE / 2, x - _GAP, y + _LINE / 2
    bottom = y + _GAP if place == "top center" else y - _GAP - _LINE
    return x - width / 2, bottom, x + width / 2, bottom + _LINE


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def nearness_figures(cosines: Mapping[str, np.ndarray], labels: Sequence[str]) -> list[go.Figure]:
    """Draw how near tokens are to each other in two tables, on one scale, and the change from the first to the second.

    Args:
        cosines: (n, n) by the table's name, of two tables.
        labels: plain texts of the tokens.

    Returns:
        A heat map a table, and one of the change.

    Raises:
        SettingsError: matrices and labels do not fit each other.
    """
    count = len(labels)
    if any(matrix.shape != (count, count) for matrix in cosines.values()):
        raise SettingsError(f"{count} labels for cosines of other sizes; give one for each line")
    apart = ~np.eye(count, dtype=bool)
    values = np.concatenate([matrix[apart] for matrix in cosines.values()])
    limits = (min(0.0, float(values.min())), float(values.max())) if values.size else (0.0, 1.0)
    made = [_heat_map(matrix, labels, f"Cosines, {name}", "cosine", "Cividis", limits)
            for name, matrix in cosines.items()]  # fmt: skip
    (first, before), (second, after) = cosines.items()
    most = float(np.abs((after - before)[apart]).max(initial=1e-6))
    title = f"Change, {second} - {first}"
    return [*made, _heat_map(after - before, labels, title, "change", _DIVERGING, (-most, most))]


def _heat_map(
    values: np.ndarray,
    labels: Sequence[str],
    title: str,
    what: str,
    scale: str | list[list[object]],
    limits: tuple[float, float],
) -> go.Figure:
    """Draw a symmetric matrix; its diagonal, which says nothing, is left empty."""
    shown = values.astype(np.float64).copy()
    np.fill_diagonal(shown, np.nan)
    texts = [f"{i + 1} {escape_hover(label, 14)}" for i, label in enumerate(labels)]  # two rows may read the same
    rounded = np.round(shown, 2) + 0.0  # no minus before a zero
    written = [["" if np.isnan(value) else f"{value:+.2f}" if what == "change" else f"{value:.2f}" for value in line]
               for line in rounded]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=shown, x=texts, y=texts, text=written, texttemplate="%{text}", colorscale=scale, zmin=limits[0],
            zmax=limits[1], xgap=2, ygap=2, hoverongaps=False,
            hovertemplate=f"%{{x}} – %{{y}}<br>{what} %{{z:.3f}}<extra></extra>",
            colorbar={"thickness": 10, "outlinewidth": 0, "len": 0.9},
        )
    )  # fmt: skip
    pairs = [f"{plain(labels[i])} and {plain(labels[j])} {number(float(values[i, j]))}"
             for i in range(len(labels)) for j in range(i)]  # fmt: skip
    note = f"colours from {limits[0]:.2f} to {limits[1]:.2f}"
    lay_out(figure, title, note, "", "", f"Heat map {plain(title, 200)!r} of {what}: {'; '.join(pairs)}.")
    figure.update_layout(height=180 + 34 * max(len(labels), 4), margin={"l": 10, "r": 10, "b": 10})
    figure.update_xaxes(showgrid=False, zeroline=False, title_text="", tickangle=-40)
    return figure.update_yaxes(showgrid=False, zeroline=False, title_text="", autorange="reversed")
