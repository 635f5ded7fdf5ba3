"""Plotly figures of results, for the app, the report and notebooks alike: readable on white and on dark pages."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.isotropy import GROUPS, Isotropy
from defemb_core.palette import (
    GRID,
    GROUP_COLOURS,
    KIND_COLOURS,
    NEUTRAL,
    NO_VALUE,
    PERCENTILES,
    SELECTED,
    SEQUENTIAL,
    TABLE_COLOURS,
    TEXT,
    ColourBy,
)
from defemb_core.spectrum import Spectrum

# Rows of each trace of a map, in the order of its traces: what turns the points of a selection back into rows.
TraceRows = tuple[np.ndarray, ...]

# Name, and axis title with unit or range, of the measures that an isotropy figure can show.
MEASURES: dict[str, tuple[str, str]] = {
    "i_w": ("I(W)", "I(W), 0 to 1, 1 is isotropic"),
    "i_w_positive": ("I(W), positive signs", "I(W), one sign each, 0 to 1, 1 is isotropic"),
    "mean_cosine": ("Mean cosine", "mean cosine of all pairs, −1 to 1, 0 is isotropic"),
    "effective_rank": ("Effective rank", "effective rank (directions)"),
    "participation_ratio": ("Participation ratio", "participation ratio (directions)"),
    "iso_score": ("IsoScore", "IsoScore, 0 to 1, 1 is isotropic"),
}

_LONGEST_LABEL = 40
_MOST_LABELLED = 30
_TITLE_LINE, _SUBTITLE_LINE = 60, 88
_DASHES = {"": "solid", "all": "solid", "frequent": "dash", "medium": "dashdot", "rare": "dot"}
# Rows of a map up to which points have a size (pixels) and an opacity.
_MARKERS = ((500, 8.0, 0.9), (5000, 5.0, 0.8), (100_000, 3.2, 0.65), (float("inf"), 2.5, 0.5))
# What Plotly reads as markup: tags, entities, formulas between dollar signs (where MathJax is loaded), templates, %{x}.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"})


def map_figure(
    coordinates: np.ndarray,
    colour: ColourBy,
    title: str,
    selected: np.ndarray | None = None,
    x_title: str = "first axis (no unit)",
    y_title: str = "second axis (no unit)",
    shown_of: tuple[int, int] | None = None,
    *,
    labels: Sequence[str] | None = None,
) -> go.Figure:
    """Scatter plot of a map, one trace a category, the largest category at the back.

    Coordinates and values travel as typed arrays. Row numbers do not travel at all: `trace_rows` says which row each
    point of each trace is.

    Args:
        coordinates: float32 (V, 2), every one of which is drawn.
        colour: what the V points are coloured by.
        title: plain text.
        selected: rows of `coordinates` to mark with a ring; up to 30 of them carry their label.
        x_title: axis name with unit.
        y_title: axis name with unit.
        shown_of: rows drawn and rows that the table has, where they differ: the first is V.
        labels: what a reader sees of each row on hover, plain text; without them only the category is shown.

    Raises:
        SettingsError: for coordinates, values, labels or rows that do not fit each other.
    """
    points = _checked_map(coordinates, colour, labels, shown_of)
    shown = shown_of or (len(points), len(points))
    texts = None if labels is None else np.array([escape_hover(label) for label in labels], dtype=object)
    figure = go.Figure([_map_trace(points[rows], name, colour, rows, texts) for name, rows in _drawn(colour)])
    marked = _checked_selection(selected, len(points))
    if marked.size:
        figure.add_trace(_ring_trace(points[marked]))
    if texts is not None and marked.size <= _MOST_LABELLED:
        figure.update_layout(annotations=[_tag(points[row], texts[row]) for row in marked])
    note = f"{shown[0]:,} of {shown[1]:,} rows shown"
    if colour.continuous:
        note += f"; colours from the {PERCENTILES[0]}st to the {PERCENTILES[1]}th percentile"
    _lay_out(figure, title, note, x_title, y_title, _map_description(title, points, colour, shown, marked.size))
    figure.update_layout(height=600, dragmode="lasso", hovermode="closest", uirevision="map")
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(zeroline=False, scaleanchor="x", scaleratio=1)
    return figure


def trace_rows(colour: ColourBy, selected: np.ndarray | None = None) -> TraceRows:
    """Rows (int32) of each trace of the map that `map_figure` draws from the same colours and selection."""
    marked = _checked_selection(selected, len(colour.values))
    return tuple(rows for _, rows in _drawn(colour)) + ((marked,) if marked.size else ())


def selected_rows(figure_traces: TraceRows, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Rows that a click, box or lasso event names, ascending, each once, int32.

    Args:
        figure_traces: `trace_rows` of the figure that the event came from.
        points: dicts with `curve_number` and `point_index` (Streamlit), or `curveNumber` and `pointIndex` or
            `pointNumber` (plotly.js). A point that the figure does not have is left out: events may be older than
            the figure.
    """
    rows: list[int] = []
    for point in points:
        trace = _first(point, "curve_number", "curveNumber")
        index = _first(point, "point_index", "pointIndex", "point_number", "pointNumber")
        if 0 <= trace < len(figure_traces) and 0 <= index < len(figure_traces[trace]):
            rows.append(int(figure_traces[trace][index]))
    return np.unique(np.array(rows, dtype=np.int32))


def rows_in_polygon(
    coordinates: np.ndarray, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Rows (int32, ascending) whose point lies inside a polygon, by the even-odd rule.

    A point is inside where a ray from it to the right crosses the outline an odd number of times, so that what a
    self-crossing lasso encloses twice is outside, as in the browser. On the outline itself either may hold.

    Args:
        coordinates: (V, 2).
        xs: x of the corners in order, at least three; the last joins the first.
        ys: y of the corners.

    Raises:
        SettingsError: for corners that are no polygon.
    """
    corners = _checked_corners(xs, ys, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = rows_in_box(coordinates, (low[0], high[0]), (low[1], high[1]))
    x, y = np.asarray(coordinates, dtype=np.float64)[near].T
    inside = np.zeros(near.size, dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * ((y - y1) / (y2 - y1)) + x1)
    return near[inside]


def rows_in_box(
    coordinates: np.ndarray, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Rows (int32, ascending) whose point lies in a box or on its edge.

    Args:
        coordinates: (V, 2).
        xs: x of two opposite corners, in any order.
        ys: y of them.

    Raises:
        SettingsError: for corners that are no box.
    """
    corners = _checked_corners(xs, ys, 2)
    points = np.asarray(coordinates, dtype=np.float64)
    inside = (points >= corners.min(axis=0)) & (points <= corners.max(axis=0))
    return np.flatnonzero(inside.all(axis=1)).astype(np.int32)


def escape_hover(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Write any text so that Plotly shows it as it is, and a reader sees all of it.

    Plotly reads tags (<b>, <a>, <extra>), entities (&amp;), $formulas$ and templates (%{x}) in texts. Characters that
    show nothing or reorder what is around them (controls, direction marks, joiners, blanks other than the space,
    unpaired surrogates) are written as their code point, "[U+202E]"; so is a text of spaces alone.

    Args:
        text: any string.
        longest: characters of `text` that are shown; a longer one ends in an ellipsis.
    """
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    if not cut.isprintable() or cut.isspace():
        blank = cut.isspace()
        cut = "".join(c if c.isprintable() and not blank else f"[U+{ord(c):04X}]" for c in cut)
    return cut.translate(_ENTITIES)


def spectrum_figure(spectra: Mapping[str, Spectrum], normalised: bool, title: str) -> go.Figure:
    """Singular values by index, on a logarithmic scale: colour for the table, dashes for the group of rows.

    Args:
        spectra: by name: "original", "rebuilt", or a part of one, "rebuilt/rare".
        normalised: divide each by its largest value, which makes tables of different scale comparable.
        title: plain text.

    Raises:
        SettingsError: for no spectra.
    """
    if not spectra:
        raise SettingsError("no spectra to draw; pass at least one")
    figure, told, left_out = go.Figure(), [], 0
    for name, spectrum in spectra.items():
        values = spectrum.normalised if normalised else spectrum.values
        kept = values[values > 0]
        left_out += values.size - kept.size
        figure.add_trace(_spectrum_trace(name, kept))
        told.append(f"{_plain(name)} {_span(kept)} over {kept.size:,}, effective rank {spectrum.effective_rank:,.1f}")
    centred = sorted({spectrum.centred for spectrum in spectra.values()})
    note = "; ".join({True: "mean row subtracted", False: "mean row not subtracted"}[kind] for kind in centred)
    note += f"; {left_out:,} values of 0 not shown" if left_out else ""
    y_title = "singular value / largest (no unit)" if normalised else "singular value (units of the table)"
    description = f"Line chart {_plain(title)!r}, singular values, largest to smallest: {'; '.join(told)}; {note}."
    _lay_out(figure, title, note, "index of the singular value, largest first", y_title, description)
    figure.update_layout(hovermode="x unified")
    narrow = _decades(figure) < 3
    longest = max(spectrum.values.size for spectrum in spectra.values())
    figure.update_xaxes(range=[1 - 0.01 * longest, 1.01 * longest], tick0=1)
    return figure.update_yaxes(type="log", dtick="D2" if narrow else 1, tickformat="~g")


def isotropy_figure(
    isotropies: Mapping[str, Mapping[str, Isotropy | Mapping[str, float]]], measure: str = "i_w"
) -> go.Figure:
    """Bars of one measure of isotropy by frequency group, side by side for each table.

    Args:
        isotropies: by table ("original", "rebuilt"), then by group, as `isotropy.isotropy_by_group` returns them or
            as dicts of their attributes. A group that a table lacks has no bar.
        measure: an attribute of `Isotropy`, one of `MEASURES`.

    Raises:
        SettingsError: for an unknown measure or nothing to draw.
    """
    if measure not in MEASURES:
        raise SettingsError(f"unknown measure {measure!r}; use one of {', '.join(MEASURES)}")
    name, y_title = MEASURES[measure]
    groups = [g for g in ("all", *GROUPS) if any(g in by_group for by_group in isotropies.values())]
    if not groups:
        raise SettingsError("no isotropy to draw; pass at least one table with one group")
    figure, told = go.Figure(), []
    for table, by_group in isotropies.items():
        values = {group: _attribute(by_group[group], measure) for group in groups if group in by_group}
        figure.add_trace(_value_bars(table, values))
        told.append(f"{_plain(table)}: " + ", ".join(f"{group} {_number(value)}" for group, value in values.items()))
    title = f"{name} by frequency group"
    _lay_out(figure, title, "", "frequency group", y_title, f"Bar chart {title!r}. {'; '.join(told)}.")
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.08)
    figure.update_xaxes(categoryorder="array", categoryarray=groups, showgrid=False)
    return figure.update_yaxes(rangemode="tozero", zeroline=True, zerolinecolor=GRID)


def coverage_figure(coverage: pl.DataFrame, title: str = "Rows with a definition") -> go.Figure:
    """Bars of the share of rows that have a definition, with counts.

    Args:
        coverage: lines of `definitions.coverage`: `group` or `kind`, `rows`, `covered`, `share` (0 to 1).
        title: plain text.

    Raises:
        SettingsError: for a frame without these columns or lines.
    """
    by = next((column for column in ("group", "kind") if column in coverage.columns), None)
    if by is None or not {"rows", "covered", "share"} <= set(coverage.columns) or coverage.is_empty():
        raise SettingsError("coverage needs lines with group or kind, rows, covered and share")
    names, shares = [str(name) for name in coverage[by]], coverage["share"].to_numpy()
    counts = [f"{covered:,} of {rows:,}" for covered, rows in coverage.select("covered", "rows").iter_rows()]
    texts = [f"{share:.1%} · {count}" for share, count in zip(shares, counts, strict=True)]
    figure = go.Figure([_share_track(names, texts), _share_bars(names, shares, texts)])
    covered, rows = coverage["covered"].sum(), coverage["rows"].sum()
    note = f"{covered:,} of {rows:,} rows covered"
    told = "; ".join(f"{_plain(name)} {text.replace(' · ', ', ')}" for name, text in zip(names, texts, strict=True))
    y_title = "frequency group" if by == "group" else by
    _lay_out(figure, title, note, "share of rows", y_title, f"Bar chart {_plain(title)!r}. {note}: {told}.")
    figure.update_layout(barmode="overlay", height=150 + 38 * len(names), showlegend=False, margin_r=170)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure.update_yaxes(autorange="reversed", showgrid=False, type="category")


def norm_figure(norms: Mapping[str, np.ndarray], title: str = "Norms of the rows", bins: int = 60) -> go.Figure:
    """Histogram of row norms, counted here in bins that all tables share; every row is in one of them.

    Args:
        norms: Euclidean norms (V,) by table ("original", "rebuilt").
        title: plain text.
        bins: number of bins over the whole range, 1 to 1,000.

    Raises:
        SettingsError: for no rows, NaN or infinity, or an unusable number of bins.
    """
    if not 1 <= bins <= 1000:
        raise SettingsError(f"bins is {bins}; choose 1 to 1,000")
    values = {name: np.asarray(norm, dtype=np.float64).ravel() for name, norm in norms.items()}
    together = np.concatenate([*values.values(), np.zeros(0)])
    if not together.size or not np.isfinite(together).all():
        raise SettingsError("norms are missing, NaN or infinite; pass at least one finite norm")
    edges = np.histogram_bin_edges(together, bins)
    figure, told = go.Figure(), []
    for name, norm in values.items():
        figure.add_trace(_step_trace(name, np.histogram(norm, edges)[0], edges))
        middle = f", median {_number(float(np.median(norm)))}" if norm.size else ""
        told.append(f"{_plain(name)}: {norm.size:,} rows, {_span(norm)}{middle}")
    note = f"{bins} bins of {_number(float(edges[1] - edges[0]))} each; no row left out"
    description = f"Histogram {_plain(title)!r} of row norms. {'; '.join(told)}."
    _lay_out(figure, title, note, "Euclidean norm of a row (units of the table)", "rows (count)", description)
    return figure.update_yaxes(rangemode="tozero")


def describe(figure: go.Figure) -> str:
    """Text alternative of a figure of this module, plain text for screen readers: what it shows, counts, ranges.

    Raises:
        SettingsError: for a figure that carries none.
    """
    meta = figure.layout.meta
    if not isinstance(meta, Mapping) or "description" not in meta:
        raise SettingsError("the figure carries no description; pass one that this module made")
    return str(meta["description"])


def _lay_out(figure: go.Figure, title: str, note: str, x_title: str, y_title: str, description: str) -> None:
    """What all figures share. Fonts and their colours stand in the template, where a theme replaces them."""
    heading, below = _wrapped(title, _TITLE_LINE), _wrapped(note, _SUBTITLE_LINE)
    lines = [text.count("<br>") + 1 if text else 0 for text in (heading, below)]
    top = 12 * max(lines[0], 1)  # Plotly sets a title of two lines half a line higher than one of one
    figure.update_layout(
        template=go.layout.Template(layout={"font": {"color": TEXT, "size": 13}}),
        title={"text": heading, "font_size": 17, "x": 0, "xref": "container", "pad": {"l": 12, "t": top}},
        title_subtitle={"text": below, "font_size": 13},
        title_y=1,
        title_yanchor="top",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 60, "r": 20, "t": 28 + 23 * lines[0] + 20 * lines[1], "b": 60},
        height=430,
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": TEXT, "activecolor": TEXT},
        legend={"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top", "itemsizing": "constant", "font_size": 13},
        meta={"description": description},
    )
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "automargin": True, "title_standoff": 8, "title_font_size": 14}
    figure.update_xaxes(**axis, title_text=escape_hover(x_title, _SUBTITLE_LINE))
    figure.update_yaxes(**axis, title_text=escape_hover(y_title, _SUBTITLE_LINE))


def _wrapped(text: str, width: int) -> str:
    """Plain text as Plotly markup, in lines that fit half a page."""
    return "<br>".join(escape_hover(line, width) for line in textwrap.wrap(text, width)[:3])


def _plain(text: str) -> str:
    """Text for a description: no invisible characters, but no markup either."""
    return "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in text)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _span(values: np.ndarray) -> str:
    return f"{_number(float(values.min()))} to {_number(float(values.max()))}" if values.size else "none"


def _checked_map(
    coordinates: np.ndarray, colour: ColourBy, labels: Sequence[str] | None, shown_of: tuple[int, int] | None
) -> np.ndarray:
    """Coordinates as float32 that fit all the rest."""
    points = np.asarray(coordinates, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise SettingsError(f"coordinates are {points.shape}; a map has two finite columns")
    for name, count in {"values": len(colour.values), "labels": len(points) if labels is None else len(labels)}.items():
        if count != len(points):
            raise SettingsError(f"{count:,} {name} for {len(points):,} points; give one for each point")
    if shown_of and (shown_of[0] != len(points) or shown_of[1] < shown_of[0]):
        raise SettingsError(f"shown_of is {shown_of}, but {len(points):,} points are drawn; count them first")
    return points


def _checked_selection(selected: np.ndarray | None, rows: int) -> np.ndarray:
    """Selected rows, int32, ascending, each once."""
    marked = np.unique(np.asarray([] if selected is None else selected, dtype=np.int64))
    if marked.size and not 0 <= marked[0] <= marked[-1] < rows:
        raise SettingsError(f"selected rows {marked[0]} to {marked[-1]} of {rows:,} points; select rows that are drawn")
    return marked.astype(np.int32)


def _checked_corners(xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, fewest: int) -> np.ndarray:
    """Corners (n, 2), float64."""
    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.size < fewest:
        raise SettingsError(f"the selection has {x.size} x and {y.size} y; give as many of both, at least {fewest}")
    if not np.isfinite([x, y]).all():
        raise SettingsError("the selection has corners that are NaN or infinite; draw it again")
    return np.stack([x, y], axis=1)


def _first(point: Mapping[str, Any], *keys: str) -> int:
    """The first of some keys that a point has, -1 if it has none or no whole number there."""
    value = next((point[key] for key in keys if key in point), None)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _drawn(colour: ColourBy) -> list[tuple[str, np.ndarray]]:
    """Categories and their rows from back to front: no value, then the largest first, which would hide smaller ones."""
    return sorted(colour.members().items(), key=lambda item: (item[0] != NO_VALUE, -item[1].size))


def _marker(rows: int, total: int) -> dict[str, float]:
    """Size (pixels) and opacity: dense maps need small, see-through points, a category of few rows larger ones."""
    size, opacity = next(look for most, *look in _MARKERS if total <= most)
    least = 7.0 if rows <= 30 else 5.0 if rows <= 400 else 0.0
    return {"size": max(size, least), "opacity": opacity if least <= size else 0.85}


def _map_trace(
    points: np.ndarray, name: str, colour: ColourBy, rows: np.ndarray, texts: np.ndarray | None
) -> go.Scattergl:
    """The points of one category, or all that have a value."""
    marker: dict[str, Any] = _marker(len(rows), len(colour.values))
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
    bar_title = {"text": _wrapped(colour.explanation, 48), "side": "right", "font_size": 13}
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
        legendrank=1000,
        showlegend=True,
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


def _map_description(title: str, points: np.ndarray, colour: ColourBy, shown: tuple[int, int], selected: int) -> str:
    """Counts and ranges of a map in words."""
    parts = [f"{_plain(name)} {rows.size:,}" for name, rows in colour.members().items()]
    text = f"Scatter plot {_plain(title)!r} of {shown[0]:,} of {shown[1]:,} rows, coloured by {_plain(colour.name)}"
    text += f" ({_plain(colour.explanation)}): {', '.join(parts) or 'no rows'}"
    if colour.limits:
        text += f", colour scale {_number(colour.limits[0])} to {_number(colour.limits[1])}"
    x, y = (_span(points[:, axis]) for axis in (0, 1))
    return text + f"; x {x}, y {y}" + (f"; {selected:,} rows marked." if selected else ".")


def _table_and_group(name: str) -> tuple[str, str]:
    """The parts of "rebuilt/rare"; no group in "rebuilt"."""
    table, _, group = name.partition("/")
    return table, group


def _table_colour(table: str) -> str:
    return TABLE_COLOURS.get(table, NEUTRAL)


def _spectrum_trace(name: str, values: np.ndarray) -> go.Scatter:
    table, group = _table_and_group(name)
    label = escape_hover(f"{table}, {group}" if group else table)
    return go.Scatter(
        x=np.arange(1, values.size + 1, dtype=np.int32),
        y=values.astype(np.float32),
        mode="lines",
        name=label,
        line={"color": _table_colour(table), "dash": _DASHES.get(group, "longdash"), "width": 2},
        showlegend=True,
        hovertemplate="%{y:.3g}",
    )


def _decades(figure: go.Figure) -> float:
    """How many powers of ten the values of a figure's traces span."""
    values = np.concatenate([trace.y for trace in figure.data])
    return float(np.log10(values.max() / values.min())) if values.size else 0.0


def _attribute(isotropy: Isotropy | Mapping[str, float], measure: str) -> float:
    return float(isotropy[measure] if isinstance(isotropy, Mapping) else getattr(isotropy, measure))


def _value_bars(table: str, values: Mapping[str, float]) -> go.Bar:
    return go.Bar(
        x=list(values),
        y=np.array(list(values.values())),
        text=[_number(value) for value in values.values()],
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        name=escape_hover(table),
        marker={"color": _table_colour(table), "line": {"width": 0}},
        showlegend=True,
        hovertemplate=f"{escape_hover(table)}, %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def _share_track(names: list[str], texts: list[str]) -> go.Bar:
    """The whole of each bar, faint, with the figures at its end, so that they stand in one column."""
    return go.Bar(
        x=np.ones(len(names)),
        y=[escape_hover(name) for name in names],
        orientation="h",
        marker={"color": GRID, "line": {"width": 0}},
        text=texts,
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )


def _share_bars(names: list[str], shares: np.ndarray, texts: list[str]) -> go.Bar:
    hues = {**GROUP_COLOURS, **KIND_COLOURS}
    return go.Bar(
        x=shares,
        y=[escape_hover(name) for name in names],
        orientation="h",
        marker={"color": [hues.get(name, NEUTRAL) for name in names], "line": {"width": 0}},
        hovertext=texts,
        hovertemplate="%{y}: %{hovertext}<extra></extra>",
    )


def _step_trace(name: str, counts: np.ndarray, edges: np.ndarray) -> go.Scatter:
    """A histogram's outline: a filled step line, so that two of them show through each other."""
    colour = _table_colour(name)
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    # A bin's count stands at both of its edges; the line jumps between bins.
    return go.Scatter(
        x=np.repeat(edges, 2)[1:-1].astype(np.float32),
        y=np.repeat(counts, 2).astype(np.int32),
        mode="lines",
        name=f"{escape_hover(name)} · {int(counts.sum()):,}",
        line={"color": colour, "width": 1.5},
        fill="tozeroy",
        fillcolor=f"rgba({red}, {green}, {blue}, 0.25)",
        showlegend=True,
        hovertemplate="norm %{x:.4g}: %{y:,} rows<extra></extra>",
    )
