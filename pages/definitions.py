import polars as pl
import streamlit as st

from defemb_core.definitions import MAX_SENSES, coverage, describe_matches, match_definitions
from defemb_core.dictionaries import WORDNET
from pages.shared import charts, state, tables
from pages.shared.own_definition import offer_definition
from pages.shared.router import through_router
from pages.shared.text import as_text

through_router()
st.title("Definitions and coverage")
spec = st.text_input(
    "Dictionary",
    WORDNET,
    key="dictionary",
    bind="query-params",
    help="'wordnet', or 'wordnet:FOLDER' for a copy of its files; 'glossary' for definitions of your own, or "
    "'glossary:FILE'. Several are separated by commas.",
)
dictionary = state.dictionary_named(spec)
plm = state.chosen_plm()
vocabulary = state.vocabulary_of(plm, *state.frequency_choice(state.plm_named(plm)))
matches = match_definitions(vocabulary, dictionary, MAX_SENSES)
taking_part = vocabulary.filter(pl.col("group") != "none")
covered = taking_part.filter(pl.col("token_id").is_in(matches["token_id"].implode()))
words = taking_part.filter(pl.col("kind") == "word").height

facts = st.columns(4)
facts[0].metric("Senses in the dictionary", f"{dictionary.definitions.height:,}")
facts[1].metric("Rows with a definition", f"{covered.height:,}", help="These can be rebuilt.")
facts[2].metric("Share of whole words", f"{covered.height / max(words, 1):.1%}", help="Of rows whose kind is word.")
facts[3].metric("Rows without one", f"{taking_part.height - covered.height:,}", help="They keep their original rows.")
st.caption(
    f"{as_text(dictionary.name)} from {as_text(dictionary.origin)}, SHA-256 {dictionary.digest[:16]}…; "
    "special and unused rows take no part."
)
for note in dictionary.notes:
    st.caption(as_text(note))

left, right = st.columns(2, gap="large")
with left:
    charts.show(
        charts.figures().coverage_figure(coverage(taking_part, matches, "group"), "By frequency group"),
        "coverage-group",
    )
with right:
    charts.show(
        charts.figures().coverage_figure(coverage(taking_part, matches, "kind"), "By kind of token"), "coverage-kind"
    )

st.subheader("Look a token up")
word = st.text_input("Token", "bank", key="word", bind="query-params", help="As a reader writes it.")
found = matches.join(vocabulary.filter(pl.col("text") == word), on="token_id", how="semi")
if found.is_empty():
    st.info(f"No row of the table is the word “{as_text(word)}” with a definition.", icon=":material/info:")
for sense in describe_matches(vocabulary, found, dictionary).iter_rows(named=True):
    with st.container(border=True):
        st.markdown(f"**{as_text(sense['word'])}** · {as_text(sense['pos'] or 'no part of speech')} · "
                    f"weight {sense['weight']:.2f} · found {sense['how']}")  # fmt: skip
        st.text(sense["gloss"])
        if sense["related"]:
            st.caption(as_text(sense["related"]))

st.subheader("Rows without a definition")
st.caption("Whole words, numbers, symbols and word pieces that this dictionary does not define, rarest first.")
missing = taking_part.join(covered.select("token_id"), on="token_id", how="anti").sort("rank", descending=True)
chosen = tables.show(missing, "without-definition", total=taking_part.height, select=True)
# A selection outlives the rows that a saved definition takes away.
offer_definition(vocabulary, missing.row(chosen[0], named=True) if chosen and chosen[0] < missing.height else None)
