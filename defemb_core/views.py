"""Two tables as a notebook shows them: the nearest words of a word in each, and both maps side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.comparison import Comparison
from defemb_core.errors import SettingsError
from defemb_core.neighbours import normalise_rows
from defemb_core.palette import TEXT, ColourBy, colour_by_group
from defemb_core.projection import Projection, project_pca
from defemb_core.queries import nearest_to
from defemb_core.text import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go


def nearest_words(comparison: Comparison, words: Sequence[str], k: int = 5) -> pl.DataFrame:
    """Return the nearest words of some words in both tables, by cosine in the full space, exactly.

    Args:
        comparison: of two tables.
        words: each must be one token of the vocabulary, written as a reader writes it.
        k: how many neighbours.

    Returns:
        A line a word: `word str`, then a column a table, called as the table is: the k nearest, the nearest first,
        separated by commas.

    Raises:
        SettingsError: a word is no single token of this vocabulary.

    Example:
        >>> near = de.nearest_words(pair, ["1984"], k=2)
        >>> near.columns
        ['word', 'original', 'rebuilt']
        >>> print(near["original"][0])
        1983, 1985
    """
    rows = token_rows(comparison.vocabulary, words)
    texts = comparison.vocabulary["text"].to_list()
    columns: dict[str, list[str]] = {"word": list(words)}
    for name, table in zip(comparison.names, (comparison.original, comparison.rebuilt), strict=True):
        units = normalise_rows(table)
        found = [nearest_to(units, units[row], k, [row]).rows for row in rows]
        columns[name] = [", ".join(plain(texts[other]) for other in others) for others in found]
    return pl.DataFrame(columns)


def token_rows(vocabulary: pl.DataFrame, words: Sequence[str]) -> list[int]:
    """Return the row of each word's token: of several with one text the one that starts a word, the most frequent.

    Raises:
        SettingsError: a word is no single token.
    """
    ranked = vocabulary.sort(~pl.col("starts_word"), "rank", maintain_order=True)
    places = dict(reversed(list(zip(ranked["text"], ranked["token_id"], strict=True))))
    missing = next((word for word in words if word not in places), None)
    if missing is not None:
        raise SettingsError(f"{missing!r} is no single token of this vocabulary; name a word that is, in its own case")
    return [int(places[word]) for word in words]


def draw_maps(
    comparison: Comparison,
    maps: Sequence[Projection] | None = None,
    marked: Sequence[str] = (),
    by: ColourBy | None = None,
) -> go.Figure:
    """Draw both tables' maps side by side within the same limits; every row is drawn.

    A map in two dimensions is a shadow: distances and neighbours are to be measured in the full space.

    Args:
        comparison: of two tables.
        maps: of the first and of the second table's rows; PCA on the first table's axes if none are given.
        marked: words, single tokens of the vocabulary, that are marked on both maps.
        by: what points are coloured by, their frequency group if nothing is said.

    Raises:
        SettingsError: a word is no single token, or the maps are not of all rows.

    Example:
        >>> figure = de.draw_maps(pair, marked=["1984"])
        >>> figure.layout.title.text
        'original and rebuilt, PCA'
    """
    from plotly.subplots import make_subplots

    from defemb_core.figures import map_figure

    maps = maps or project_pca([comparison.original, comparison.rebuilt])
    colour, rows = by or colour_by_group(comparison.vocabulary), token_rows(comparison.vocabulary, marked)
    texts = [plain(text) for text in comparison.vocabulary["text"]]
    together = np.concatenate([made.coordinates for made in maps])
    figure = make_subplots(1, 2, subplot_titles=comparison.names, horizontal_spacing=0.03)
    for column, made in enumerate(maps, 1):
        one = map_figure(made.coordinates, colour, "", np.array(rows, dtype=np.int64), labels=texts)
        for trace in one.data:
            trace.update(legendgroup=trace.name, showlegend=column == 1 and trace.showlegend is not False)
            figure.add_trace(trace, 1, column)
        for tag in one.layout.annotations:
            figure.add_annotation(tag, row=1, col=column)
    _lay_out(figure, together, f"{comparison.names[0]} and {comparison.names[1]}, {maps[0].method.upper()}")
    return figure


def _lay_out(figure: go.Figure, points: np.ndarray, title: str) -> None:
    """Give both maps the same limits and no axes, which have no unit."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.03 * (high - low)
    figure.update_xaxes(range=[float(low[0] - margin[0]), float(high[0] + margin[0])], visible=False)
    figure.update_yaxes(range=[float(low[1] - margin[1]), float(high[1] + margin[1])], visible=False)
    figure.update_layout(
        title=title, height=520, margin={"l": 10, "r": 10, "t": 80, "b": 10}, hovermode="closest",
        legend={"orientation": "h", "y": -0.02, "itemsizing": "constant"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font_color=TEXT,
    )  # fmt: skip
