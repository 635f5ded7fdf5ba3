"""Charts of spectra, isotropy, coverage and norms."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out, number, span
from defemb_core.isotropy import GROUPS, MEASURES, Isotropy
from defemb_core.palette import GRID, GROUP_COLOURS, KIND_COLOURS, NEUTRAL, TABLE_COLOURS
from defemb_core.spectrum import Spectrum
from defemb_core.text import plain

COVERAGE_BY = {"group": "frequency group", "kind": "kind", "source": "source", "how": "found"}
"""What coverage is counted by, and the axis's name for it."""
_PARTS_OF_ROWS = ("group", "kind")
_DASHES = {"": "solid", "frequent": "dash", "medium": "dashdot", "rare": "dot"}


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
        told.append(f"{plain(name)} {span(kept)} over {kept.size:,}, effective rank {spectrum.effective_rank:,.1f}")
    centred = sorted({spectrum.centred for spectrum in spectra.values()})
    note = "; ".join({True: "mean row subtracted", False: "mean row not subtracted"}[kind] for kind in centred)
    note += f"; {left_out:,} values of 0 not shown" if left_out else ""
    y_title = "singular value / largest (no unit)" if normalised else "singular value (units of the table)"
    description = f"Line chart {plain(title)!r}, singular values, largest to smallest: {'; '.join(told)}; {note}."
    lay_out(figure, title, note, "index of the singular value, largest first", y_title, description)
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
        measure: an attribute of `Isotropy`, one of `isotropy.MEASURES`.

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
        figure.add_trace(_value_bars(table, values))
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
        middle = f", median {number(float(np.median(norm)))}" if norm.size else ""
        told.append(f"{plain(name)}: {norm.size:,} rows, {span(norm)}{middle}")
    note = f"{bins} bins of {number(float(edges[1] - edges[0]))} each; no row left out"
    description = f"Histogram {plain(title)!r} of row norms. {'; '.join(told)}."
    lay_out(figure, title, note, "Euclidean norm of a row (units of the table)", "rows (count)", description)
    return figure.update_yaxes(rangemode="tozero")


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
        text=[number(value) for value in values.values()],
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
