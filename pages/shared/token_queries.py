"""Questions to both tables: analogies, what lies between tokens, the odd one out."""

from functools import partial
from typing import Final

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.queries import ANALOGIES, Answers, analogy, between, odd_one_out
from pages.shared import tables
from pages.shared.search import row_named, token_named
from pages.shared.token_links import choose_tokens, open_token
from pages.shared.token_neighbours import the_table, units_of

ANSWERS: Final = 10
KINDS: Final = ("analogy", "between", "odd one out")
EXAMPLE: Final = {"a": "man", "b": "king", "c": "woman"}
SCORES: Final = """
- **3CosAdd**: cosine to b, minus cosine to a, plus cosine to c (Mikolov, Yih and Zweig 2013); -3 to 3.
- **3CosMul**: the same three multiplied and divided, each moved to 0 to 1, so that none decides alone
  (Levy and Goldberg 2014).
"""


def show_queries(comparison: Comparison) -> None:
    """Show one kind of question and both tables' answers."""
    kind = st.segmented_control("Question", KINDS, default=KINDS[0], required=True, key="query", bind="query-params")
    units = units_of(comparison)
    if kind == "analogy":
        _show_analogy(comparison, units)
        return
    fewest = 2 if kind == "between" else 3
    names = choose_tokens(comparison.vocabulary, fewest)
    rows = list(dict.fromkeys(row_named(comparison.vocabulary, name) for name in names))
    if len(rows) < fewest:
        st.info(f"Choose {fewest} tokens or more.", icon=":material/info:")
    elif kind == "between":
        st.caption(
            "The rows nearest (cosine) to the mean of the chosen rows at length 1; the chosen ones are no answer."
        )
        _show_answers(comparison, {name: between(matrix, rows, ANSWERS) for name, matrix in units.items()})
    else:
        _show_odd(comparison, units, rows)


def _show_analogy(comparison: Comparison, units: dict[str, np.ndarray]) -> None:
    """Show "a is to b as c is to ?"; the tokens that ask are no answer."""
    vocabulary, asked = comparison.vocabulary, {}
    known = all(token_named(vocabulary, word) is not None for word in EXAMPLE.values())
    columns = st.columns([2, 2, 2, 3], vertical_alignment="bottom")
    for column, (key, word), label in zip(columns, EXAMPLE.items(), ("a", "is to b", "as c"), strict=False):
        asked[key] = column.text_input(label, word if known else "", key=key, bind="query-params")
    score = columns[3].segmented_control(
        "is to …, by", ANALOGIES, default=ANALOGIES[0], required=True, key="score", bind="query-params", help=SCORES
    )
    if not all(word.strip() for word in asked.values()):
        st.info("Name three tokens: man is to king as woman is to …", icon=":material/info:")
        return
    a, b, c = (row_named(vocabulary, word) for word in asked.values())
    _show_answers(comparison, {name: analogy(matrix, a, b, c, ANSWERS, score) for name, matrix in units.items()})


def _show_answers(comparison: Comparison, answers: dict[str, Answers]) -> None:
    """Show both tables' answers side by side; a click on one opens its card."""
    for column, (name, found) in zip(st.columns(2, gap="large"), answers.items(), strict=True):
        with column:
            st.markdown(f"**In {the_table(comparison, name)}**")
            show_rows(comparison, found, f"answers-{name}")


def show_rows(comparison: Comparison, found: Answers, name: str, score: str = "score") -> None:
    """Show rows with a score each, best first, as a table of which a click opens a token's card."""
    ids = found.rows.tolist()
    frame = comparison.vocabulary[ids].with_columns(pl.Series(score, found.scores))
    tables.show(
        frame, name, on_click=partial(_open, ids), height=38 + 35 * max(len(ids), 1), version=hash(tuple(ids)),
        column_order=["text", score, "group", "kind", "token_id"],
    )  # fmt: skip


def _open(ids: list[int], position: int) -> None:
    open_token(ids[position])


def _show_odd(comparison: Comparison, units: dict[str, np.ndarray], rows: list[int]) -> None:
    """Show which of the tokens is least near to the others, in each table."""
    texts = comparison.vocabulary["text"][rows]
    st.caption("Each token's mean cosine with the others, in the full space; the least is the odd one's.")
    for column, (name, matrix) in zip(st.columns(2, gap="large"), units.items(), strict=True):
        means = odd_one_out(matrix, rows)
        order = np.argsort(means, kind="stable")
        found = Answers(np.array(rows)[order], means[order])
        with column:
            st.markdown(f"**In {the_table(comparison, name)}**")
            st.text(f"The odd one out is “{tables.plain(texts[int(order[0])])}”.")
            show_rows(comparison, found, f"odd-{name}", "similarity")
