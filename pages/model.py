import polars as pl
import streamlit as st

from defemb_core.cli import Request
from defemb_core.dictionaries import WORDNET
from defemb_core.frequency import SOURCES
from defemb_core.hub import BUNDLED
from defemb_core.reconstruction import Settings
from defemb_core.vocabulary import KINDS, tokenizer_kind
from pages.shared import state, tables
from pages.shared.progress import active_runs, start_reconstruction
from pages.shared.router import through_router
from pages.shared.search import find_tokens
from pages.shared.text import as_text

through_router()
st.title("Model and vocabulary")
name = state.chosen_plm()

if not state.complete_runs():
    with st.container(border=True):
        st.subheader("See a real model's embeddings, and repair them")
        st.markdown(
            "Pretrained embedding tables crowd into a cone, and rare tokens lose their meaning. defemb rebuilds each "
            "token's row from its dictionary definition and shows the table before and after."
        )
        if active_runs():
            st.page_link("pages/reconstruction.py", label="A run is at work: watch it", icon=":material/construction:")
        elif st.button(
            "Rebuild the bundled model",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update(plm=BUNDLED),  # whose run is to be seen on all pages
        ):
            start_reconstruction(Request(BUNDLED, WORDNET, Settings("instant")))
            st.switch_page("pages/reconstruction.py")
        st.caption(
            "all-MiniLM-L6-v2 with WordNet's definitions: some ten seconds, then a minute or two for the UMAP maps."
        )

plm = state.plm_named(name)
st.subheader(as_text(plm.title))
facts = st.columns(4)
facts[0].metric("Rows (V)", f"{plm.rows:,}", help="Rows of the embedding table, one a token id.")
facts[1].metric("Columns (H)", f"{plm.width:,}", help="Dimensions of each embedding.")
facts[2].metric("Parameters", f"{plm.parameters / 1e6:.1f} M", help="In the whole checkpoint.")
facts[3].metric("Output rows", plm.output_rows, help="Rows of a language-model head, and whether they are the input's.")
st.caption(
    f"{as_text(plm.architecture)}; revision {as_text(plm.revision or 'local folder')}; "
    f"licence {as_text(plm.licence or 'not named by the card')}; "
    f"tokenizer {tokenizer_kind(plm.tokenizer)}; mask token {as_text(plm.mask_token or 'none')}."
)

with st.expander("Frequency groups", icon=":material/tune:"):
    st.segmented_control(
        "Frequency from", SOURCES, default=state.frequency_choice(plm)[0], required=True,
        key=state.frequency_key(plm), persist_state="session",
        help="vocabulary: the order of the rows, most frequent first. wordfreq: counts of words in large corpora.",
    )  # fmt: skip
    st.slider("Frequent up to, rare from (% of ranked rows)", 0, 100, (30, 80), key="cuts", persist_state="session")
vocabulary = state.vocabulary_of(name, *state.frequency_choice(plm))

st.subheader("Vocabulary")
st.caption(f"Frequency groups by {state.frequency_in_words(plm)}; special and unused rows take no part.")
left, right = st.columns([2, 3], gap="large")
with left:
    counts = (
        vocabulary.group_by("kind", "group").len().pivot("group", index="kind", values="len").sort("kind").fill_null(0)
    )
    st.dataframe(
        counts, hide_index=True, key="kinds-by-group", column_order=["kind", "frequent", "medium", "rare", "none"]
    )
with right:
    wanted = st.text_input("Find rows", placeholder="part of a token's text", key="find")
    kinds = st.pills("Kinds", KINDS.categories.to_list(), selection_mode="multi", key="kinds")
    shown = find_tokens(vocabulary.sort("rank"), wanted, regular=False)
    tables.show(shown.filter(pl.col("kind").is_in(kinds)) if kinds else shown, "vocabulary", total=vocabulary.height)
