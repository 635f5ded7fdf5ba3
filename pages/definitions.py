import polars as pl
import streamlit as st

from defemb_core.definitions import PIECES
from pages.shared import state, tables
from pages.shared.coverage import show_coverage
from pages.shared.dictionary_choice import choose_dictionary
from pages.shared.own_definition import offer_definition
from pages.shared.router import through_router
from pages.shared.text import as_text

through_router()
st.title("Definitions and coverage")
spec = choose_dictionary()
pieces = st.toggle(
    "Word pieces too", key="with-pieces", bind="query-params",
    help="Rows without a definition of their own are told by words that contain them: weaker evidence.",
)  # fmt: skip
dictionary = state.dictionary_named(spec)
plm = state.chosen_plm()
vocabulary = state.vocabulary_of(plm, *state.frequency_choice(state.plm_named(plm)))
senses = state.senses_of(spec, pieces)
taking_part = vocabulary.filter(pl.col("group") != "none")
covered = taking_part.filter(pl.col("token_id").is_in(senses["token_id"].implode()))
show_coverage(taking_part, senses, dictionary)

st.subheader("Look a token up")
word = st.text_input("Token", "bank", key="word", bind="query-params", help="As a reader writes it.")
rows = vocabulary.filter(pl.col("text") == word).select("token_id", "token")
found = senses.join(rows, on="token_id", maintain_order="left")
if found.is_empty():
    st.info(f"No row of the table is the word “{as_text(word)}” with a definition.", icon=":material/info:")
for sense in found.iter_rows(named=True):
    with st.container(border=True):
        st.markdown(f"**{as_text(sense['word'])}** · {as_text(sense['pos'] or 'no part of speech')} · "
                    f"weight {sense['weight']:.2f} · found {sense['how']}"
                    + (f" of {as_text(sense['token'])}" if sense["how"] in PIECES else ""))  # fmt: skip
        st.text(sense["gloss"])
        if sense["related"]:
            st.caption(as_text(sense["related"]))

st.subheader("Rows without a definition")
st.caption("Whole words, numbers, symbols and word pieces that this dictionary does not define, rarest first.")
missing = taking_part.join(covered.select("token_id"), on="token_id", how="anti").sort("rank", descending=True)
chosen = tables.show(missing, "without-definition", total=taking_part.height, select=True)
# A selection outlives the rows that a saved definition takes away.
offer_definition(vocabulary, missing.row(chosen[0], named=True) if chosen and chosen[0] < missing.height else None)
