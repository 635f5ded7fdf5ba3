import streamlit as st

from defemb_core.cli import Request
from defemb_core.dictionaries import WORDNET
from defemb_core.reconstruction import METHODS, Settings
from defemb_core.runs import run_path
from pages.shared import state
from pages.shared.evidence import show_evidence
from pages.shared.history import show_history
from pages.shared.progress import active_runs, start_reconstruction, watch_run
from pages.shared.router import through_router
from pages.shared.text import as_text

NEXT = {
    "projection": "See both maps",
    "spectrum": "Compare spectra",
    "tokens": "Look at rare tokens",
    "export": "Export",
}

through_router()
st.title("Reconstruction")
for folder in active_runs():
    with st.container(border=True):
        watch_run(folder)
finished = st.session_state.get("finished_run")
if finished and (run_path(finished) / "evidence.json").is_file():  # it may have been deleted since
    st.success(f"{as_text(finished)} is complete.", icon=":material/check_circle:")
    show_evidence(run_path(finished))
    for column, (page, label) in zip(st.columns(4), NEXT.items(), strict=True):
        column.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:")

plm = state.plm_named(state.chosen_plm())
with st.form("settings", border=True):
    st.subheader("Rebuild a table")
    left, middle, right = st.columns(3, gap="large")
    method = left.segmented_control(
        "Method", METHODS, default="instant", required=True,
        help="instant: definitions as bags of input embeddings, seconds. frozen: these and the PLM's states, a minute "
        "or two on two cores, better on held-out tokens.",
    )  # fmt: skip
    dictionary = left.text_input("Dictionary", WORDNET, help="'wordnet' or 'wordnet:FOLDER'.")
    relations = left.toggle(
        "Related words", Settings.relations, help="Synonyms, hypernyms and derived words join the definition."
    )
    alpha = middle.slider(
        "Share rebuilt (alpha)", 0.0, 1.0, Settings.alpha, 0.05,
        help="Of the rows that have a definition, from the least frequent up. 1 rebuilds all of them.",
    )  # fmt: skip
    blend = middle.slider(
        "Blend", 0.0, 1.0, Settings.blend, 0.05, help="Share of the rebuilt row in the new one; 0 is the original."
    )
    match_norms = middle.toggle(
        "Match norms", Settings.match_norms, help="Scale each rebuilt row's distance to the mean row to its original's."
    )
    senses = right.number_input(
        "Senses a token", 1, 50, Settings.max_senses, help="From the first; later senses weigh less."
    )
    folds = right.number_input(
        "Folds", 2, 20, Settings.folds, help="Cross-fitting: each row comes from a map that did not see it."
    )
    seed = right.number_input(
        "Seed", 0, 2**31 - 1, Settings.seed, help="The same seed gives the same table, to the bit."
    )
    if st.form_submit_button("Rebuild", type="primary", icon=":material/play_arrow:", disabled=bool(active_runs())):
        settings = Settings(method, alpha, blend, match_norms, relations, int(senses), int(folds), int(seed))
        st.session_state.pop("finished_run", None)
        start_reconstruction(Request(state.chosen_plm(), dictionary, settings, *state.frequency_choice(plm)))
        st.rerun()
st.caption(
    f"PLM: {as_text(plm.title)} (chosen at the left). "
    f"Frequency by {state.frequency_in_words(plm)} (chosen on the Model page). "
    "The work runs in a process of its own: closing this page does not stop it."
)

st.subheader("History")
show_history()
