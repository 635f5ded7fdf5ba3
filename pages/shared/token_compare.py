"""Several tokens at once: how near they are to each other in both tables, and what changed."""

from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.queries import cosine_matrix
from defemb_core.text import plain
from pages.shared import charts, tables
from pages.shared.search import row_named, shown_names
from pages.shared.token_links import choose_tokens
from pages.shared.token_neighbours import units_of


def show_comparison(comparison: Comparison) -> None:
    """Show the cosines of two to ten tokens in each table, and the change, as heat maps and as a list of pairs."""
    vocabulary = comparison.vocabulary
    names = choose_tokens(vocabulary, 2)
    rows = list(dict.fromkeys(row_named(vocabulary, name) for name in names))
    if len(rows) < 2:
        st.info("Choose two tokens or more: how near they are to each other is shown here.", icon=":material/info:")
        return
    texts = shown_names(vocabulary, rows)
    cosines = {name: cosine_matrix(units, rows) for name, units in units_of(comparison).items()}
    drawn = charts.figures().nearness_figures(dict(zip(comparison.names, cosines.values(), strict=True)), texts)
    upper, lower = st.columns(2, gap="large"), st.columns(2, gap="large")
    for column, figure, name in zip((*upper, lower[0]), drawn, (*cosines, "change"), strict=True):
        with column:
            charts.show(figure, f"cosines-{name}")
    with lower[1]:
        st.markdown("**Pairs, largest change first**", help="Cosines in the full space, -1 to 1.")
        tables.show(pairs_of(texts, cosines), "pairs", column_config=_columns(comparison))


def pairs_of(texts: list[str], cosines: dict[str, np.ndarray]) -> pl.DataFrame:
    """Return a line a pair: `text`, `with`, `original`, `rebuilt` (cosines) and `difference`, the largest first."""
    one, other = np.triu_indices(len(texts), 1)
    frame = pl.DataFrame(
        {
            "text": [texts[i] for i in one],
            "with": [texts[i] for i in other],
            **{name: matrix[one, other] for name, matrix in cosines.items()},
        }
    )
    return frame.with_columns(difference=pl.col("rebuilt") - pl.col("original")).sort(
        pl.col("difference").abs(), descending=True
    )


def _columns(comparison: Comparison) -> dict[str, Any]:
    first, second = (plain(name) for name in comparison.names)
    return {
        "original": st.column_config.NumberColumn(first, format="%.3f"),
        "rebuilt": st.column_config.NumberColumn(second, format="%.3f"),
        "difference": st.column_config.NumberColumn("change", format="%+.3f", help="The second less the first."),
    }
