"""A chart of how well rows of new tokens can be made: each start's figures on words whose own rows were hidden."""

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.figures.layout import escape_hover, lay_out
from defemb_core.palette import GRID, MORE_TABLES

MEASURES = {
    "cosine": ("cosine with the true row", "circle"),
    "mrr": ("mean reciprocal rank", "diamond"),
    "overlap": ("shared nearest tokens", "square"),
}
"""What the measures are called, and their marks: colour does not carry them alone."""
_APART = 0.2  # of a start's height, between two measures


def starts_figure(compared: pl.DataFrame, names: dict[str, str]) -> go.Figure:
    """Dots with intervals, a line a start and measure.

    Args:
        compared: as new_tokens.compare.compare_starts returns it.
        names: what the starts are called.
    """
    starts = {start: place for place, start in enumerate(compared["start"].unique(maintain_order=True))}
    figure, told = go.Figure(), []
    for number, (measure, (title, symbol)) in enumerate(MEASURES.items()):
        lines = compared.filter(pl.col("measure") == measure)
        places = np.array([starts[start] + _APART * (number - 1) for start in lines["start"]])
        figure.add_trace(_dots(lines, places, title, symbol, MORE_TABLES[number]))
        found = ", ".join(f"{names[start]} {mean:.3f}" for start, mean in lines.select("start", "mean").iter_rows())
        told.append(f"{title}: {found}")
    words = f"{compared['words'][0]:,}"
    title = "Rows of words that were hidden"
    note = f"{words} words; bars: 95 % of resampled words"
    lay_out(figure, title, note, "0 is chance, 1 is best", "", f"Dot chart {title!r}. {'; '.join(told)}.")
    low, high = float(compared["low"].min()), float(compared["high"].max())  # type: ignore[arg-type]
    figure.update_layout(height=180 + 58 * len(starts))
    figure.update_xaxes(range=[min(-0.03, low - 0.03), min(1.02, high + 0.08)], zeroline=True, zerolinecolor=GRID)
    return figure.update_yaxes(
        tickvals=list(starts.values()),
        ticktext=[escape_hover(names[start]) for start in starts],
        range=[len(starts) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )


def _dots(lines: pl.DataFrame, places: np.ndarray, title: str, symbol: str, colour: str) -> go.Scatter:
    value, low, high = (lines[name].to_numpy() for name in ("mean", "low", "high"))
    return go.Scatter(
        x=value,
        y=places,
        mode="markers",
        name=title,
        marker={"color": colour, "size": 11, "symbol": symbol},
        error_x={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low,
                 "color": colour, "thickness": 2, "width": 4},
        customdata=np.stack([low, high], axis=1),
        showlegend=True,
        hovertemplate=f"{title}: %{{x:.3f}} (%{{customdata[0]:.3f}} to %{{customdata[1]:.3f}})<extra></extra>",
    )  # fmt: skip
