"""A chart of fine-tuning: each table's figure with every seed, and its mean."""

import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out
from defemb_core.figures.series import Colours, line_of
from defemb_core.palette import NEUTRAL
from defemb_core.text import plain


def seeds_figure(figures: pl.DataFrame, seeds: pl.DataFrame, metric: str, colours: Colours = None) -> go.Figure:
    """Dots, one a seed, on a line a table, a diamond at their mean; a dashed line where one answer to everything is.

    Args:
        figures: `metric`, `table`, `seeds` (null for one answer to everything), `mean`.
        seeds: `metric`, `table`, `seed`, `value`.
        metric: which.
        colours: by table; the usual ones if None.

    Raises:
        SettingsError: no seed is done.
    """
    means = figures.filter((pl.col("metric") == metric) & pl.col("mean").is_not_null())
    known = seeds.filter((pl.col("metric") == metric) & pl.col("value").is_not_null())
    if known.is_empty():
        raise SettingsError("no table and seed is done yet; wait for the first")
    tables = known["table"].unique(maintain_order=True).to_list()
    figure, told = go.Figure(), []
    for place, table in enumerate(tables):
        lines = known.filter(pl.col("table") == table)
        mean = means.filter(pl.col("table") == table)["mean"].to_list()
        figure.add_trace(_dots(table, lines, place, colours))
        figure.add_trace(_diamond(table, mean, place, colours))
        values = ", ".join(f"{value:.3f}" for value in lines["value"])
        told.append(f"{plain(table)}: {values}" + (f", mean {mean[0]:.3f}" if mean else ""))
    note = "a dot a seed, the diamond is their mean"
    for name, value in means.filter(pl.col("seeds").is_null()).select("table", "mean").iter_rows():
        figure.add_vline(x=value, line={"color": NEUTRAL, "width": 1.5, "dash": "dash"})
        note += f"; dashed: {name}, {value:.3f}"
    title = f"{metric} of each table"
    lay_out(figure, title, note, metric, "", f"Dot chart {title!r}. {'; '.join(told)}; {note}.")
    figure.update_layout(height=170 + 52 * len(tables), showlegend=False)
    figure.update_xaxes(range=_range([*known["value"], *means["mean"]]))
    names = [escape_hover(table) for table in tables]
    return figure.update_yaxes(
        tickvals=list(range(len(tables))),
        ticktext=names,
        range=[len(tables) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )


def _range(values: list[float]) -> list[float]:
    """Return where the axis begins and ends: a tenth of room on either side, and 0.05 at least in all."""
    low, high = min(values), max(values)
    room = max(0.1 * (high - low), (0.05 - (high - low)) / 2)
    return [low - room, high + room]


def _dots(table: str, lines: pl.DataFrame, place: int, colours: Colours) -> go.Scatter:
    return go.Scatter(
        x=lines["value"].to_numpy(),
        y=[place] * lines.height,
        mode="markers",
        name=escape_hover(table),
        marker={"color": line_of(table, colours)["color"], "size": 10, "opacity": 0.6},
        customdata=lines["seed"].to_numpy(),
        hovertemplate=f"{escape_hover(table)}, seed %{{customdata}}: %{{x:.4f}}<extra></extra>",
    )


def _diamond(table: str, mean: list[float], place: int, colours: Colours) -> go.Scatter:
    return go.Scatter(
        x=mean,
        y=[place] * len(mean),
        mode="markers",
        name=escape_hover(table),
        marker={
            "color": line_of(table, colours)["color"],
            "size": 15,
            "symbol": "diamond-open",
            "line": {"width": 2.5},
        },
        hovertemplate=f"{escape_hover(table)}, mean: %{{x:.4f}}<extra></extra>",
    )
