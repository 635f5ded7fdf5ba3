"""From one view of the Tokens page to another, with the tokens at hand."""

from collections.abc import Sequence
from typing import Final

import polars as pl
import streamlit as st

from pages.shared.search import label_of

TOKEN, COMPARE, QUERIES, TRY = VIEWS = ("Token", "Compare", "Queries", "Try a definition")
MOST: Final = 10
"""Tokens that can be compared at a time."""


def open_token(token_id: int) -> None:
    """Open a token's card; called before the page runs again."""
    st.session_state["view"] = TOKEN
    st.session_state["token"] = token_id


def compare(vocabulary: pl.DataFrame, rows: Sequence[int]) -> None:
    """Compare tokens; called before the page runs again."""
    st.session_state["view"] = COMPARE
    st.session_state["compare"] = labels_of(vocabulary, rows)


def try_definition(vocabulary: pl.DataFrame, token_id: int) -> None:
    """Try definitions of a token; called before the page runs again."""
    st.session_state["view"] = TRY
    st.session_state["try"] = label_of(vocabulary, token_id)


def labels_of(vocabulary: pl.DataFrame, rows: Sequence[int]) -> list[str]:
    """Return names of the first rows, as many as can be compared, each once."""
    return [label_of(vocabulary, int(row)) for row in list(dict.fromkeys(rows))[:MOST]]


def choose_tokens(vocabulary: pl.DataFrame, fewest: int) -> list[str]:
    """Show the choice of tokens, which Compare and Queries share; return their names."""
    known = st.session_state.get("compare") or []
    opened = st.session_state.get("token")
    offered = [label_of(vocabulary, opened)] if opened is not None and opened < vocabulary.height else []
    return st.multiselect(
        "Tokens", list(dict.fromkeys([*known, *offered])), key="compare", bind="query-params",
        accept_new_options=True, max_selections=MOST,
        placeholder=f"Type a token and press Enter, {fewest} to {MOST} of them",
        help="A token as a reader writes it, ## and its text for one inside a word, or its row as #2924.",
    )  # fmt: skip
