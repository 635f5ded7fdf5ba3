"""Everything about one token: its definitions, its rows' figures, its neighbours in both tables."""

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.neighbours import nearest_neighbours
from defemb_core.text import plain
from pages.shared import state, tables
from pages.shared.text import as_text

NEIGHBOURS = 10


def show_token(comparison: Comparison, changes: pl.DataFrame, token_id: int) -> None:
    """Show one token; neighbours are exact and come from the full space."""
    token = changes.row(token_id, named=True)
    st.subheader(f"“{as_text(plain(token['text']))}”", anchor=False)
    zipf = "no Zipf frequency" if token["zipf"] is None else f"Zipf {token['zipf']:.1f}"
    kept = "rebuilt" if token["rebuilt"] else "kept as it was"
    st.caption(
        f"row {token_id:,} · {token['kind']} · {token['group']} · {zipf} · {kept} · stored as {as_text(token['token'])}"
    )
    facts = st.columns(4)
    facts[0].metric("Cosine", f"{token['cosine']:.3f}", help="Original with rebuilt, -1 to 1; 1 is unmoved.")
    facts[1].metric("Norm before", f"{token['norm_original']:.2f}", help="Euclidean length of the row.")
    facts[2].metric("Norm after", f"{token['norm_rebuilt']:.2f}", help="Euclidean length of the row.")
    turnover = f"{token['turnover']:.0%}" if "turnover" in token else "–"
    facts[3].metric("Turnover", turnover, help="Share of the ten nearest in the full space that are new.")
    _show_definitions(comparison, token_id, token["rebuilt"])
    before, after = st.columns(2)
    with before:
        st.markdown(f"**Nearest in {_the(comparison, 0)}**")
        _show_neighbours(comparison, comparison.original, comparison.original_digest, token_id, "original")
    with after:
        st.markdown(f"**Nearest in {_the(comparison, 1)}**")
        _show_neighbours(comparison, comparison.rebuilt, comparison.rebuilt_digest, token_id, "rebuilt")


def _the(comparison: Comparison, side: int) -> str:
    """Return what a table is called in a sentence."""
    return f"the {comparison.names[side]}" if comparison.is_usual else as_text(comparison.names[side])


def _show_definitions(comparison: Comparison, token_id: int, rebuilt: bool) -> None:
    if comparison.definitions is None:  # two checkpoints
        return
    senses = comparison.definitions.filter(pl.col("token_id") == token_id)
    if senses.is_empty():
        row = "its row is new all the same, by a method without definitions" if rebuilt else "its row is the original's"
        st.info(f"The dictionary has no definition of this token: {row}.", icon=":material/info:")
    for sense in senses.iter_rows(named=True):
        line = f"({sense['pos']}) {sense['gloss']}" if sense["pos"] else sense["gloss"]
        st.text(f"{sense['weight']:.2f}  {line}", help="The number is the sense's weight in the token's features.")


def _show_neighbours(comparison: Comparison, matrix: np.ndarray, digest: str, token_id: int, name: str) -> None:
    units = state.unit_rows(matrix, digest)
    found = nearest_neighbours(units, NEIGHBOURS, rows=[token_id], normalised=True)
    lines = comparison.vocabulary[found.indices[0].tolist()].select("text", "group", "kind", "token_id")
    lines = lines.with_columns(similarity=pl.Series(found.similarities[0]))
    tables.show(lines, f"neighbours-{name}", column_order=["text", "similarity", "group", "kind", "token_id"])
