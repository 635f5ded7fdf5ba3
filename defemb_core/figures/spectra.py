"""Charts of what a table's rows span: singular values, the variance they add up to, the cosines between rows."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from defemb_core.cosines import SAMPLED_PAIRS, Cosines
from defemb_core.errors import SettingsError
from defemb_core.figures.layout import lay_out, number, span
from defemb_core.figures.series import Colours, line_of, make_room, series_name, step_trace
from defemb_core.hubness import Hubness
from defemb_core.spectrum import Spectrum
from defemb_core.text import plain

# Share of the variance whose number of directions is told.
_MOST = 0.9


def spectrum_figure(
    spectra: Mapping[str, Spectrum], normalised: bool, title: str, logarithmic: bool = True, colours: Colours = None
) -> go.Figure:
    """Singular values by index: colour for the table, dashes for the group of rows.

    Args:
        spectra: by name: "original", "rebuilt", or a part of one, "rebuilt/rare".
        normalised: divide each by its largest value, which makes tables of different scale comparable.
        title: plain text.
        logarithmic: whether values stand on a logarithmic scale, where those of 0 have no place.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: for no spectra.
    """
    _refuse_none(spectra)
    figure, told, left_out = go.Figure(), [], 0
    for name, spectrum in spectra.items():
        values = spectrum.normalised if normalised else spectrum.values
        kept = values[values > 0] if logarithmic else values
        left_out += values.size - kept.size
        figure.add_trace(_index_trace(name, kept, colours))
        told.append(f"{plain(name)} {span(kept)} over {kept.size:,}, effective rank {spectrum.effective_rank:,.1f}")
    note = _centring(spectra) + (f"; {left_out:,} values of 0 not shown" if left_out else "")
    y_title = "singular value / largest (no unit)" if normalised else "singular value (units of the table)"
    scale = "logarithmic" if logarithmic else "linear"
    description = f"Line chart {plain(title)!r}, singular values on a {scale} scale, largest to smallest: "
    description += f"{'; '.join(told)}; {note}."
    lay_out(figure, title, note, "index of the singular value, largest first", y_title, description)
    figure.update_layout(hovermode="x unified")
    narrow = _decades(figure) < 3 if logarithmic else False
    make_room(figure)
    _show_indices(figure, spectra)
    if not logarithmic:
        return figure.update_yaxes(rangemode="tozero")
    return figure.update_yaxes(type="log", dtick="D2" if narrow else 1, tickformat="~g")


def variance_figure(spectra: Mapping[str, Spectrum], title: str, colours: Colours = None) -> go.Figure:
    """Share of all squared singular values in the first so many: of the variance, where the mean row was subtracted.

    A straight line from 0 to 1 is a table that uses all directions alike; a line that jumps up uses few.

    Args:
        spectra: as in spectrum_figure.
        title: plain text.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: for no spectra.
    """
    _refuse_none(spectra)
    figure, enough = go.Figure(), {}
    for name, spectrum in spectra.items():
        shares = spectrum.cumulative_variance
        figure.add_trace(_index_trace(name, shares, colours))
        enough[name] = min(int(np.searchsorted(shares, _MOST)) + 1, shares.size)
    told = ", ".join(f"{plain(name)} {count:,} of {spectra[name].values.size:,}" for name, count in enough.items())
    description = f"Line chart {plain(title)!r}, cumulative share of squared singular values, {_centring(spectra)}. "
    description += f"Directions that hold {_MOST:.0%}: {told}."
    note = f"{_MOST:.0%} in {_few(enough)} directions"
    lay_out(figure, title, note, "number of directions, largest first", "share of the variance", description)
    figure.update_layout(hovermode="x unified")
    make_room(figure)
    _show_indices(figure, spectra)
    return figure.update_yaxes(range=[0, 1.02], tickformat=".0%")


def cosine_figure(cosines: Mapping[str, Cosines], title: str, colours: Colours = None) -> go.Figure:
    """Histogram of the cosines between rows, as shares of the pairs counted; it says how many these are.

    Args:
        cosines: by name: "original", "rebuilt", or a part of one, "rebuilt/rare".
        title: plain text.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: for nothing to draw.
    """
    _refuse_none(cosines)
    figure, told = go.Figure(), []
    for name, found in cosines.items():
        shares = (found.counts / found.pairs).astype(np.float32)
        hover = "cosine %{x:.2f}: %{y:.2%} of the pairs"
        figure.add_trace(step_trace(name, shares, found.edges, hover, colours))
        told.append(f"{plain(name)}: mean {found.mean:+.3f}, {_pairs(found)}")
    counted = sorted({_pairs(found) for found in cosines.values()})
    note = counted[0] if len(counted) == 1 else f"{SAMPLED_PAIRS:,} pairs of each group drawn at random, or all"
    description = f"Histogram {plain(title)!r} of the cosine of two rows, -1 to 1. {'; '.join(told)}."
    lay_out(figure, title, note, "cosine of two rows (-1 to 1)", "share of the pairs", description)
    make_room(figure)
    edges = np.concatenate([found.edges[_occupied(found)] for found in cosines.values()])
    figure.update_xaxes(range=[float(edges.min()) - 0.02, float(edges.max()) + 0.02])
    return figure.update_yaxes(rangemode="tozero", tickformat=".1%")


def hubness_figure(hubness: Mapping[str, Hubness], title: str, colours: Colours = None) -> go.Figure:
    """Share of the rows that are a neighbour of at least so many others, both on logarithmic scales.

    Args:
        hubness: by name: "original", "rebuilt", or a part of one, "rebuilt/rare".
        title: plain text.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: for nothing to draw.
    """
    _refuse_none(hubness)
    figure, told = go.Figure(), []
    skewness = {name: found.skewness for name, found in hubness.items()}
    for name, found in hubness.items():
        at_least = np.cumsum(np.bincount(found.occurrence)[::-1])[::-1][1:] / found.occurrence.size
        figure.add_trace(_index_trace(name, at_least, colours, "%{y:.2%} of the rows"))
        told.append(
            f"{plain(name)}: skewness {found.skewness:.2f}, {found.antihubs:.1%} of the rows nobody's neighbour"
        )
    k = next(iter(hubness.values())).k
    description = f"Line chart {plain(title)!r}, rows by how many others' {k} nearest neighbours they are among. "
    x_title = f"among the {k} nearest of at least so many rows"
    lay_out(
        figure, title, f"skewness {_few(skewness)}", x_title, "share of the rows", f"{description}{'; '.join(told)}."
    )
    figure.update_layout(hovermode="x unified")
    make_room(figure)
    figure.update_xaxes(type="log", dtick=1)
    return figure.update_yaxes(type="log", dtick=1, tickformat="~p")


def _pairs(found: Cosines) -> str:
    """How many pairs a histogram counts, and whether these are all."""
    if found.exact:
        return f"all {found.pairs:,} pairs"
    return f"{found.pairs:,} of {found.all_pairs:,} pairs, drawn at random"


def _occupied(found: Cosines) -> list[int]:
    """Left and right edge of what a histogram's bins hold."""
    bins = np.flatnonzero(found.counts)
    return [int(bins[0]), int(bins[-1]) + 1]


def _few(values: Mapping[str, float]) -> str:
    """A number each for one or two tables, the range of more: a subtitle has no room for all."""
    numbers = [number(value) for value in sorted(values.values())]
    if len(values) > 2:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(f"{number(value)} ({plain(name)})" for name, value in values.items())


def _refuse_none(given: Mapping[str, object]) -> None:
    if not given:
        raise SettingsError("nothing to draw; pass at least one table")


def _centring(spectra: Mapping[str, Spectrum]) -> str:
    centred = sorted({spectrum.centred for spectrum in spectra.values()})
    return "; ".join({True: "mean row subtracted", False: "mean row not subtracted"}[kind] for kind in centred)


def _show_indices(figure: go.Figure, spectra: Mapping[str, Spectrum]) -> None:
    """Let the horizontal axis hold the indices of the longest spectrum."""
    longest = max(spectrum.values.size for spectrum in spectra.values())
    figure.update_xaxes(range=[1 - 0.01 * longest, 1.01 * longest], tick0=1)


def _index_trace(name: str, values: np.ndarray, colours: Colours, hover: str = "%{y:.3g}") -> go.Scatter:
    return go.Scatter(
        x=np.arange(1, values.size + 1, dtype=np.int32),
        y=values.astype(np.float32),
        mode="lines",
        name=series_name(name),
        line=line_of(name, colours),
        showlegend=True,
        hovertemplate=hover,
    )


def _decades(figure: go.Figure) -> float:
    """How many powers of ten the values of a figure's traces span."""
    values = np.concatenate([trace.y for trace in figure.data])
    return float(np.log10(values.max() / values.min())) if values.size else 0.0
