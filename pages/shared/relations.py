"""Low-frequency semantics of the two tables: a table and its downloads."""

import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.evaluate import CAVEAT, Question
from defemb_core.evaluation.relations import RELATIONS
from defemb_core.text import plain
from pages.shared.downloads import offer_figures
from pages.shared.evaluations import evaluation_of
from pages.shared.text import as_text

WHAT = """For tokens with a new row that are words of WordNet: how near, in the full space, the words are that WordNet
relates to them. **Synonyms** share a sense, **hypernyms** are the broader words, **co-hyponyms** share a broader word.
Forms of the token's own word (“dogs” of “dog”) do not count, on either side."""
MRR = "Mean reciprocal rank of the nearest related word, 0 to 1, 1 is best: 0.5 is second place. In brackets 95 % of \
resamples of the tokens."
CAPTION = "Mean reciprocal rank of the nearest related word; in brackets 95 % of resamples."
COLUMNS = {
    "relation": None,
    "group": st.column_config.TextColumn(
        "group", help="Frequency group; held out: those of the 20 % that the held-out figures are about."
    ),
    "tokens": st.column_config.NumberColumn(
        "tokens", help="Asked about: at most 1,000 of a group are drawn, and those count that have such a word."
    ),
    "p": st.column_config.TextColumn(
        "p", help="How easily the draw of the tokens alone would make such a difference, 0 to 1, two-sided."
    ),
}
PRECISION = "Share of such words among the 3 and among the 10 nearest, 0 to 1. A token with one synonym reaches 0.1 \
among ten."


def show_relations(comparison: Comparison) -> None:
    """Show how near related words are."""
    measured = evaluation_of(comparison, Question("relations"), "Ranking neighbours of rebuilt tokens")
    if measured is None:
        return
    relation = st.segmented_control(
        "Relation", RELATIONS, default=RELATIONS[0], required=True, key="relation", bind="query-params"
    )
    st.caption("Mean reciprocal rank (MRR) of the nearest such word, 1 is best, and their share (P) among the nearest.")
    shown = measured.shown
    told = dict.fromkeys(comparison.names, MRR) | {name: PRECISION for name in shown.columns if name.startswith("P@")}
    columns = {name: st.column_config.TextColumn(plain(name, 80), help=text) for name, text in told.items()}
    st.dataframe(
        shown.filter(pl.col("relation") == relation),
        column_config={**COLUMNS, **columns},
        hide_index=True,
        key="relations",
    )
    offer_figures("low-frequency-semantics", measured.figures, shown, CAPTION)
    st.warning(f"Read with care: {CAVEAT}.", icon=":material/priority_high:")
    for note in measured.notes:
        if note != CAVEAT:
            st.caption(as_text(note))
