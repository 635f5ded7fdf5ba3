"""Charts of a training: measures over its steps, spectra at some of them, and a map with a slider of steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out, number, span
from defemb_core.palette import SEQUENTIAL, ColourBy
from defemb_core.text import plain

# Steps whose spectra are drawn: more lines than this lie on top of each other.
_SPECTRA = 6
# Milliseconds that one step of a playing map lasts.
_FRAME = 300


def steps_figure(
    lines: Mapping[str, tuple[Sequence[int], Sequence[float | None]]],
    title: str,
    note: str,
    y_title: str,
    colours: Mapping[str, str],
    percent: bool = False,
) -> go.Figure:
    """A measure over the steps of a training, a line a part of the rows.

    Args:
        lines: by name: steps, and the value at each, None where there is none.
        title: plain text.
        note: below it.
        y_title: what is measured, with its unit.
        colours: by name of the line.
        percent: whether values are shares.

    Raises:
        SettingsError: for nothing to draw.
    """
    if not lines:
        raise SettingsError("nothing to draw; pass at least one line")
    figure, told = go.Figure(), []
    for name, (steps, values) in lines.items():
        known = np.array([np.nan if value is None else value for value in values], np.float64)
        figure.add_trace(_line(name, np.asarray(steps, np.int64), known, colours[name], percent))
        finite = known[np.isfinite(known)]
        told.append(
            f"{plain(name)} {number(finite[0])} at first, {number(finite[-1])} at last" if finite.size else name
        )
    steps = next(iter(lines.values()))[0]
    description = f"Line chart {plain(title)!r} over the steps {steps[0]:,} to {steps[-1]:,}: {'; '.join(told)}. {note}"
    lay_out(figure, title, note, "step (updates made)", y_title, description)
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(exponentformat="e", rangemode="tozero" if percent else "normal")
    return figure.update_yaxes(tickformat=".3~%") if percent else figure


def spectrum_steps_figure(spectrum: pl.DataFrame, title: str) -> go.Figure:
    """Singular values by index at some of the steps, first and last among them.

    Args:
        spectrum: SPECTRUM_SCHEMA.
        title: plain text.
    """
    steps = spectrum["step"].unique().sort().to_list()
    chosen = [steps[round(at)] for at in np.linspace(0, len(steps) - 1, min(_SPECTRA, len(steps)))]
    figure, told = go.Figure(), []
    for number_of, step in enumerate(chosen):
        values = spectrum.filter((pl.col("step") == step) & (pl.col("value") > 0)).sort("index")
        colour = SEQUENTIAL[round(number_of * (len(SEQUENTIAL) - 1) / max(1, len(chosen) - 1))]
        index = values["index"].to_numpy().astype(np.int32)
        figure.add_trace(
            go.Scatter(
                x=index, y=values["value"].to_numpy().astype(np.float32), mode="lines", name=f"step {step:,}",
                line={"color": colour, "width": 2}, showlegend=True, hovertemplate="%{y:.4g}",
            )
        )  # fmt: skip
        told.append(f"step {step:,} {span(values['value'].to_numpy())}")
    note = f"mean row not subtracted; {len(chosen)} of {len(steps)} steps"
    description = f"Line chart {plain(title)!r}, singular values on a logarithmic scale: {'; '.join(told)}; {note}."
    lay_out(figure, title, note, "index of the singular value, largest first", "singular value", description)
    figure.update_layout(hovermode="x unified")
    return figure.update_yaxes(type="log", tickformat="~g")


def played_map_figure(
    coordinates: np.ndarray,
    steps: Sequence[int],
    colour: ColourBy,
    labels: Sequence[str],
    title: str,
    note: str,
    magnified: float = 1.0,
) -> go.Figure:
    """A map that plays the steps of a training; the slider moves points in the browser and asks no server.

    Args:
        coordinates: float32 (steps, n, 2), all along the same two axes.
        steps: as many.
        colour: categories of the n points.
        labels: what a reader sees of each on hover, plain text.
        title: plain text.
        note: below it: which rows these are.
        magnified: how many times as far as it moved each point is drawn from its first place.

    Raises:
        SettingsError: coordinates that do not fit steps, values or labels.
    """
    if coordinates.shape != (len(steps), len(labels), 2) or len(colour.values) != len(labels):
        raise SettingsError(
            f"coordinates are {coordinates.shape} for {len(steps)} steps, {len(labels)} labels and "
            f"{len(colour.values)} values; give a place for each"
        )
    drawn = coordinates[0] + np.float32(magnified) * (coordinates - coordinates[0])
    texts = np.array([escape_hover(label, 120) for label in labels], dtype=object)
    parts = sorted(colour.members().items(), key=lambda part: -part[1].size)
    figure = go.Figure([_points(drawn[0][rows], name, colour, texts[rows]) for name, rows in parts])
    figure.frames = [
        go.Frame(name=f"{step}", data=[{"x": places[rows, 0], "y": places[rows, 1]} for _, rows in parts])
        for step, places in zip(steps, drawn, strict=True)
    ]
    counted = ", ".join(f"{plain(name)} {rows.size:,}" for name, rows in parts)
    description = (
        f"Map {plain(title)!r} of {len(labels):,} rows at {len(steps)} steps, {steps[0]:,} to {steps[-1]:,}, by "
    )
    description += f"{plain(colour.name)}: {counted}. {note}"
    lay_out(figure, title, note, "first direction (units of the table)", "second direction", description)
    figure.update_layout(
        height=720, hovermode="closest", dragmode="pan", sliders=[_slider(steps)], updatemenus=[_buttons()],
        legend={"yref": "container", "y": 0, "yanchor": "bottom"}, margin_b=175,
    )  # fmt: skip
    for axis, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
        low, high = float(drawn[..., axis].min()), float(drawn[..., axis].max())
        room = 0.03 * (high - low) or 1.0
        update(range=[low - room, high + room], zeroline=True, zerolinewidth=2)
    return figure


def _line(name: str, steps: np.ndarray, values: np.ndarray, colour: str, percent: bool) -> go.Scatter:
    return go.Scatter(
        x=steps, y=values, mode="lines+markers", name=escape_hover(name), line={"color": colour, "width": 2},
        marker={"size": 5}, showlegend=True, hovertemplate="%{y:.3~%}" if percent else "%{y:.5g}",
    )  # fmt: skip


def _points(places: np.ndarray, name: str, colour: ColourBy, texts: np.ndarray) -> go.Scatter:
    # Not Scattergl, which Plotly does not animate; some thousands of points play well without.
    return go.Scatter(
        x=places[:, 0], y=places[:, 1], mode="markers", name=f"{escape_hover(name)} · {len(places):,}",
        marker={"size": 5, "opacity": 0.6, "color": colour.colours[name]}, hovertext=texts,
        hovertemplate="%{hovertext}<extra></extra>", showlegend=True,
    )  # fmt: skip


def _slider(steps: Sequence[int]) -> dict[str, Any]:
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    return {
        "active": 0,
        "currentvalue": {"prefix": "step ", "font": {"size": 15}, "xanchor": "left"},
        "pad": {"t": 45, "b": 5},
        "x": 0.12,
        "len": 0.88,
        "steps": [{"label": f"{step:,}", "method": "animate", "args": [[f"{step}"], at_once]} for step in steps],
    }


def _buttons() -> dict[str, Any]:
    playing = {"fromcurrent": True, "frame": {"duration": _FRAME, "redraw": False}, "transition": {"duration": 0}}
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    return {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "x": 0,
        "y": 0,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"t": 75},
        "buttons": [
            {"label": "▶", "method": "animate", "args": [None, playing]},
            {"label": "❚❚", "method": "animate", "args": [[None], still]},
        ],
    }
