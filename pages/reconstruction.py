import streamlit as st

from defemb_core.cli import Request
from defemb_core.runs import run_path
from pages.shared import state
from pages.shared.dictionary_choice import choose_dictionary
from pages.shared.estimates import show_estimates
from pages.shared.evidence import show_evidence_or_error
from pages.shared.history import show_history
from pages.shared.progress import active_runs, start_reconstruction, watch_run
from pages.shared.router import through_router
from pages.shared.settings import choose_method, choose_settings
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
    show_evidence_or_error(run_path(finished))
    for column, (page, label) in zip(st.columns(4), NEXT.items(), strict=True):
        column.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:")

plm = state.plm_named(state.chosen_plm())
st.subheader("Rebuild a table")
dictionary = choose_dictionary()  # outside the form: its parts depend on each other
method = choose_method()  # outside too: the form shows what counts for it
with st.form("settings", border=True):
    settings = choose_settings(method)
    takes = st.container()
    if st.form_submit_button("Rebuild", type="primary", icon=":material/play_arrow:", disabled=bool(active_runs())):
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
with takes:  # last, so that nothing else waits for it
    show_estimates(plm)
