"""Charts of isotropy, coverage and norms."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out, number, span
from defemb_core.figures.series import Colours, line_of, make_room, step_trace
from defemb_core.isotropy import GROUPS, MEASURES, Isotropy
from defemb_core.palette import GRID, GROUP_COLOURS, KIND_COLOURS, NEUTRAL
from defemb_core.text import plain

COVERAGE_BY = {"group": "frequency group", "kind": "kind", "source": "source", "how": "found"}
"""What coverage is counted by, and the axis's name for it."""
_PARTS_OF_ROWS = ("group", "kind")


def isotropy_figure(
    isotropies: Mapping[str, Mapping[str, Isotropy | Mapping[str, float]]],
    measure: str = "i_w",
    colours: Colours = None,
) -> go.Figure:
    """Bars of one measure of isotropy by frequency group, side by side for each table.

    Args:
        isotropies: by table ("original", "rebuilt"), then by group, as `isotropy.isotropy_by_group` returns them or
            as dicts of their attributes. A group that a table lacks has no bar.
        measure: an attribute of `Isotropy`, one of `isotropy.MEASURES`.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: for an unknown measure or nothing to draw.
    """
    if measure not in MEASURES:
        raise SettingsError(f"unknown measure {measure!r}; use one of {', '.join(MEASURES)}")
    measured = MEASURES[measure]
    groups = [g for g in ("all", *GROUPS) if any(g in by_group for by_group in isotropies.values())]
    if not groups:
        raise SettingsError("no isotropy to draw; pass at least one table with one group")
    figure, told = go.Figure(), []
    for table, by_group in isotropies.items():
        values = {group: _attribute(by_group[group], measure) for group in groups if group in by_group}
        figure.add_trace(_value_bars(table, values, colours))
        told.append(f"{plain(table)}: " + ", ".join(f"{group} {number(value)}" for group, value in values.items()))
    title, y_title = f"{measured.name} by frequency group", f"{measured.name}, {measured.scale}"
    lay_out(figure, title, "", "frequency group", y_title, f"Bar chart {title!r}. {'; '.join(told)}.")
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.08)
    figure.update_xaxes(categoryorder="array", categoryarray=groups, showgrid=False)
    return figure.update_yaxes(rangemode="tozero", zeroline=True, zerolinecolor=GRID)


def coverage_figure(coverage: pl.DataFrame, title: str = "Rows with a definition") -> go.Figure:
    """Bars of the share of rows that have a definition, with counts.

    Args:
        coverage: lines of `definitions.coverage`: one of `COVERAGE_BY`'s columns, `rows`, `covered`, `share` (0 to 1).
        title: plain text.

    Raises:
        SettingsError: for a frame without these columns or lines.
    """
    by = next((column for column in COVERAGE_BY if column in coverage.columns), None)
    if by is None or not {"rows", "covered", "share"} <= set(coverage.columns) or coverage.is_empty():
        raise SettingsError(f"coverage needs lines with {' or '.join(COVERAGE_BY)}, and rows, covered and share")
    names, shares = [str(name) for name in coverage[by]], coverage["share"].to_numpy()
    counts = [f"{covered:,} of {rows:,}" for covered, rows in coverage.select("covered", "rows").iter_rows()]
    texts = [f"{share:.1%} · {count}" for share, count in zip(shares, counts, strict=True)]
    figure = go.Figure([_share_track(names, texts), _share_bars(names, shares, texts)])
    covered = coverage["covered"].sum()
    rows = coverage["rows"].sum() if by in _PARTS_OF_ROWS else coverage["rows"][0]  # parts, or all of them each time
    note = f"{covered:,} of {rows:,} rows covered"
    told = "; ".join(f"{plain(name)} {text.replace(' · ', ', ')}" for name, text in zip(names, texts, strict=True))
    lay_out(figure, title, note, "share of rows", COVERAGE_BY[by], f"Bar chart {plain(title)!r}. {note}: {told}.")
    figure.update_layout(barmode="overlay", height=150 + 38 * len(names), showlegend=False, margin_r=170)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure.update_yaxes(autorange="reversed", showgrid=False, type="category", title_standoff=14)


def norm_figure(
    norms: Mapping[str, np.ndarray], title: str = "Norms of the rows", bins: int = 60, colours: Colours = None
) -> go.Figure:
    """Histogram of row norms, counted here in bins that all tables share; every row is in one of them.

    Args:
        norms: Euclidean norms (V,) by name: "original", "rebuilt", or a part of one, "rebuilt/rare".
        title: plain text.
        bins: number of bins over the whole range, 1 to 1,000.
        colours: by table; the usual ones of original and rebuilt if None.

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
        counts = np.histogram(norm, edges)[0].astype(np.int32)
        trace = step_trace(name, counts, edges, "norm %{x:.4g}: %{y:,} rows<extra></extra>", colours)
        figure.add_trace(trace.update(name=f"{trace.name} · {norm.size:,}"))
        middle = f", median {number(float(np.median(norm)))}" if norm.size else ""
        told.append(f"{plain(name)}: {norm.size:,} rows, {span(norm)}{middle}")
    note = f"{bins} bins of {number(float(edges[1] - edges[0]))} each; no row left out"
    description = f"Histogram {plain(title)!r} of row norms. {'; '.join(told)}."
    lay_out(figure, title, note, "Euclidean norm of a row (units of the table)", "rows (count)", description)
    make_room(figure)
    return figure.update_yaxes(rangemode="tozero")


def _attribute(isotropy: Isotropy | Mapping[str, float], measure: str) -> float:
    return float(isotropy[measure] if isinstance(isotropy, Mapping) else getattr(isotropy, measure))


def _value_bars(table: str, values: Mapping[str, float], colours: Colours) -> go.Bar:
    return go.Bar(
        x=list(values),
        y=np.array(list(values.values())),
        text=[number(value) for value in values.values()],
        textposition="outside",
        textangle=0,
        cliponaxis=False,
        name=escape_hover(table),
        marker={"color": line_of(table, colours)["color"], "line": {"width": 0}},
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
