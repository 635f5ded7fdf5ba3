"""A box to write a definition for a row that has none; it goes into the user's own glossary."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

from defemb_core.definitions import INSIDE, marked_names
from defemb_core.dictionaries import GLOSSARY, WORDNET, parts_of
from defemb_core.dictionaries.glossary import KINDS
from defemb_core.dictionaries.glossary_entry import add_entry, checked_cells
from defemb_core.dictionaries.glossary_files import user_glossary
from defemb_core.errors import DefembError, DictionaryError
from defemb_core.text import plain
from pages.shared.text import as_text

PARTS_OF_SPEECH = ("", "noun", "proper noun", "verb", "adjective", "adverb", "abbreviation", "prefix", "suffix")
_SAVED = "own-saved"


def offer_definition(vocabulary: pl.DataFrame, row: dict[str, Any] | None) -> None:
    """Show the box; once a definition is saved, the page's dictionary has the user's glossary in it.

    Args:
        vocabulary: the vocabulary frame.
        row: the line of it that is selected, if any.
    """
    st.subheader("Write a definition")
    st.caption(
        f"Select a row above or type its token. Definitions are kept in {as_text(str(user_glossary()))}, the "
        "dictionary “glossary”, which comes before all others."
    )
    # Another row is another form: what was typed for one does not stay for the next.
    key = "own" if row is None else f"own-{row['token_id']}"
    with st.form(key, clear_on_submit=False):
        left, right = st.columns([3, 1])
        left.text_input(
            "Token to define", "" if row is None else name_of(row), key=f"{key}-token",
            help=f"As a reader writes it; a word piece with {INSIDE} before it.",
        )  # fmt: skip
        right.selectbox("Part of speech", PARTS_OF_SPEECH, key=f"{key}-pos", format_func=lambda pos: pos or "none")
        st.text_area(
            "Definition", key=f"{key}-definition", help="What a dictionary would say, without the word itself."
        )
        st.form_submit_button("Save definition", icon=":material/save:", on_click=_save, args=(vocabulary, key))
    saved, said = st.session_state.pop(_SAVED, (True, ""))
    if said:
        (st.success if saved else st.error)(as_text(said), icon=f":material/{'check_circle' if saved else 'error'}:")


def name_of(row: dict[str, Any]) -> str:
    """Return how a glossary names a row: by its text if that is a word, number or symbol, else with a mark."""
    if row["kind"] in KINDS:
        return str(row["text"])
    return str(row["token"] if row["starts_word"] else f"{INSIDE}{row['text']}")


def _save(vocabulary: pl.DataFrame, key: str) -> None:
    """Save what the form holds. It is called before the page runs: only then can the page's dictionary be changed."""
    token, definition, pos = (st.session_state[f"{key}-{name}"] for name in ("token", "definition", "pos"))
    try:
        added = keep_definitions(vocabulary, token, [(definition, pos or None)])
    except DefembError as error:
        st.session_state[_SAVED] = (False, str(error))
        return
    done = "is saved" if added else "was there already"
    st.session_state[_SAVED] = (True, f"The definition of “{plain(token.strip())}” {done}")
    st.session_state[f"{key}-definition"] = ""


def keep_definitions(vocabulary: pl.DataFrame, token: str, senses: Sequence[tuple[str, str | None]]) -> int:
    """Write definitions, each with its part of speech, into the user's glossary, which the pages then use.

    Returns:
        How many were not there yet.

    Raises:
        DictionaryError: the table has no such row, a definition is blank or no text, or the file cannot be written.
    """
    _check_row(vocabulary, token.strip())
    for definition, pos in senses:  # all of them before the first is written
        checked_cells(token, definition, pos)
    added = sum(add_entry(user_glossary(), token, definition, pos) for definition, pos in senses)
    spec = st.session_state.get("dictionary") or WORDNET
    if GLOSSARY not in parts_of(spec):
        st.session_state["dictionary"] = f"{spec},{GLOSSARY}"
    return added


def _check_row(vocabulary: pl.DataFrame, token: str) -> None:
    """Refuse what a glossary would name no row of the table by.

    Raises:
        DictionaryError: there is no such row.
    """
    kind = pl.col("kind").cast(pl.String)
    by_text = kind.is_in(KINDS) & (pl.col("text").str.to_lowercase() == token.lower())
    marked = (marked_names(vocabulary)["word"].str.to_lowercase() == token.lower()).any()
    if token and not marked and vocabulary.filter(by_text).is_empty():
        raise DictionaryError(
            f"the table has no row {plain(token)!r} that a definition could stand for; take one from the list, a word "
            f"piece with {INSIDE} before it"
        )
