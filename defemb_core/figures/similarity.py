"""A chart of word similarity: each set's correlation in both tables, with its interval."""

import numpy as np
import plotly.graph_objects as go
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import escape_hover, lay_out
from defemb_core.figures.series import Colours, line_of
from defemb_core.palette import GRID
from defemb_core.text import plain

_APART = 0.13  # of a set's height, from its middle to each table's line


def similarity_figure(similarity: pl.DataFrame, part: str, colours: Colours = None) -> go.Figure:
    """Dots with intervals, a line a set and table, one below the other.

    Args:
        similarity: as word_similarity.measure_similarity returns it.
        part: which pairs.
        colours: by table; the usual ones of original and rebuilt if None.

    Raises:
        SettingsError: no set has enough pairs of this part.
    """
    known = similarity.filter((pl.col("part") == part) & pl.col("spearman").is_not_null())
    if known.is_empty():
        raise SettingsError(f"no set has enough pairs {plain(part)}; choose all pairs")
    sets = {name: place for place, name in enumerate(known["set"].unique(maintain_order=True))}
    tables = known["table"].unique(maintain_order=True).to_list()
    figure, told = go.Figure(), []
    for number, table in enumerate(tables):
        lines = known.filter(pl.col("table") == table)
        offset = _APART * (2 * number - len(tables) + 1)
        figure.add_trace(_dots(table, lines, np.array([sets[name] + offset for name in lines["set"]]), colours))
        found = ", ".join(f"{plain(name)} {value:.3f}" for name, value in lines.select("set", "spearman").iter_rows())
        told.append(f"{plain(table)}: {found}")
    left_out = similarity["set"].n_unique() - len(sets)
    note = "of cosines with human scores; bars: 95 % of resampled pairs"
    note += f"; too few pairs in {left_out}" if left_out else ""
    title = f"Word similarity, {part}"
    axis = "Spearman's correlation, -1 to 1"
    lay_out(figure, title, note, axis, "", f"Dot chart {title!r}. {'; '.join(told)}.")
    counts = dict(known.select("set", "pairs").iter_rows())
    names = [f"{escape_hover(name)} · {counts[name]:,}" for name in sets]
    figure.update_layout(height=170 + 46 * len(sets))
    figure.update_xaxes(range=_range(known), zeroline=True, zerolinecolor=GRID)
    return figure.update_yaxes(
        tickvals=list(sets.values()), ticktext=names, range=[len(sets) - 0.5, -0.5], showgrid=False, zeroline=False
    )


def _range(known: pl.DataFrame) -> list[float]:
    low, high = (known[end].to_numpy() for end in ("low", "high"))
    return [min(0.0, float(np.nanmin(low)) - 0.05), min(1.02, float(np.nanmax(high)) + 0.05)]


def _dots(table: str, lines: pl.DataFrame, places: np.ndarray, colours: Colours) -> go.Scatter:
    value, low, high = (lines[name].to_numpy() for name in ("spearman", "low", "high"))
    colour = line_of(table, colours)["color"]
    return go.Scatter(
        x=value,
        y=places,
        mode="markers",
        name=escape_hover(table),
        marker={"color": colour, "size": 11},
        error_x={"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low,
                 "color": colour, "thickness": 2, "width": 4},
        customdata=np.stack([low, high], axis=1),
        showlegend=True,
        hovertemplate=f"{escape_hover(table)}: %{{x:.3f}} (%{{customdata[0]:.3f}} to %{{customdata[1]:.3f}})"
        "<extra></extra>",
    )  # fmt: skip
