"""Everything about one token: its definitions, what the PLM read, its rows' figures."""

from typing import Any

import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.features import definition_texts
from defemb_core.methods import STUDENTS
from defemb_core.prompts import make_prompts
from defemb_core.text import plain
from pages.shared.text import as_text
from pages.shared.token_links import compare, try_definition

FOUND = {
    "exact": "by the word as it is",
    "case-folded": "by the word in another case",
    "respelled": "without accents, with another apostrophe or with blanks for hyphens",
    "lemma": "as a form of the word",
    "numeral": "made from the number",
    "unicode": "the character's name",
    "glossary": "from a glossary",
    "piece": "of a word that contains it",
    "other-cut": "of a word whose text contains it",
}
PROMPT = "What a PLM reads to fill the masked place with meaning; the token's own word is hidden."


def show_token(comparison: Comparison, changes: pl.DataFrame, token_id: int) -> None:
    """Show one token, but for its neighbours."""
    token = changes.row(token_id, named=True)
    show_heading(token)
    facts = st.columns(4)
    facts[0].metric("Cosine", f"{token['cosine']:.3f}", help="Original with rebuilt, -1 to 1; 1 is unmoved.")
    facts[1].metric("Norm before", f"{token['norm_original']:.2f}", help="Euclidean length of the row.")
    facts[2].metric("Norm after", f"{token['norm_rebuilt']:.2f}", help="Euclidean length of the row.")
    turnover = f"{token['turnover']:.0%}" if "turnover" in token else "–"
    facts[3].metric("Turnover", turnover, help="Share of the ten nearest in the full space that are new.")
    _show_definitions(comparison, token_id, token["rebuilt"])
    _offer_next(comparison, token)


def show_heading(token: dict[str, Any]) -> None:
    """Show a token's text and what its row is; `token` is a line of token_changes."""
    st.subheader(f"“{as_text(plain(token['text']))}”", anchor=False)
    zipf = "no Zipf frequency" if token["zipf"] is None else f"Zipf {token['zipf']:.1f}"
    kept = "rebuilt" if token["rebuilt"] else "kept as it was"
    st.caption(
        f"row {token['token_id']:,} · {token['kind']} · {token['group']} · {zipf} · {kept} · "
        f"stored as {as_text(token['token'])}"
    )


def _show_definitions(comparison: Comparison, token_id: int, rebuilt: bool) -> None:
    if comparison.definitions is None:  # two checkpoints
        return
    senses = comparison.definitions.filter(pl.col("token_id") == token_id)
    if senses.is_empty():
        row = "its row is new all the same, by a method without definitions" if rebuilt else "its row is the original's"
        st.info(f"The dictionary has no definition of this token: {row}.", icon=":material/info:")
        return
    for sense in senses.iter_rows(named=True):
        line = f"({sense['pos']}) {sense['gloss']}" if sense["pos"] else sense["gloss"]
        st.text(
            f"{sense['weight']:.2f}  {line}",
            help=f"{sense['weight']:.2f} is the sense's weight in the token's features. Found {FOUND[sense['how']]}: "
            f"{as_text(sense['word'])}, in {as_text(sense['source'])}.",
        )
    with st.expander("How it was found, and what was read", icon=":material/manage_search:"):
        _show_reading(comparison, senses)


def _show_reading(comparison: Comparison, senses: pl.DataFrame) -> None:
    """Show where senses come from, and each as the method read it: as a bag of words, and as a prompt."""
    plm, settings = comparison.plm, comparison.reconstruction.settings
    mask = plm.mask_token or ""
    found = senses.select("how", "word", "source").unique(maintain_order=True)
    ways = [f"{FOUND[how]}: {as_text(word)}, in {as_text(source)}" for how, word, source in found.iter_rows()]
    st.caption(f"Found {'; '.join(ways)}.")
    glosses, texts = definition_texts(senses, settings.relations, mask)
    st.markdown("As a bag of words", help="Part of speech, definition and related words, without the word itself.")
    st.code("\n".join(plain(text, 500) for text in texts), language=None, wrap_lines=True)
    if mask:
        read = "As prompts" if settings.method in STUDENTS else "As prompts, which methods frozen and trained read"
        st.markdown(read, help=PROMPT)
        prompts = make_prompts(glosses, senses, comparison.vocabulary, mask)
        st.code("\n".join(plain(prompt, 500) for prompt in prompts), language=None, wrap_lines=True)


def _offer_next(comparison: Comparison, token: dict[str, Any]) -> None:
    """Offer to try a definition of the token, and to compare it with others."""
    vocabulary, token_id = comparison.vocabulary, int(token["token_id"])
    refused = token["group"] == "none" or comparison.definitions is None
    with st.container(horizontal=True):
        st.button(
            "Try a definition", icon=":material/edit_note:", type="primary", disabled=refused,
            help="See at once where another definition would put its row.", on_click=try_definition,
            args=(vocabulary, token_id),
        )  # fmt: skip
        st.button(
            "Compare with other tokens", icon=":material/grid_on:", on_click=compare, args=(vocabulary, [token_id])
        )
