from pathlib import Path

import streamlit as st

from defemb_core.new_tokens.findings import read_findings
from pages.shared import state
from pages.shared.new_tokens import ask, choose_start, choose_terms, start_work, watch_work
from pages.shared.new_tokens_shown import show_comparison, show_terms, show_written
from pages.shared.router import through_router
from pages.shared.text import as_text

WHAT = """Words that the tokenizer cuts into pieces become tokens of their own. Each gets a row of the table that is
built from its definition, so that the PLM knows something of it before it has read it once."""

through_router()
st.title("New tokens")
st.caption(WHAT)
plm, run = state.plm_named(state.chosen_plm()), state.chosen_run()
terms = choose_terms()
start = choose_start()
compare = st.checkbox(
    "Compare the starts on hidden words", key="new-compare",
    help="A fifth of the words that the table has are hidden and their rows made as a new word's are. About a minute "
    "for the bundled PLM.",
)  # fmt: skip
asked = ask(run, terms, start, compare)
if st.button("Look", type="primary", icon=":material/search:", disabled=asked is None):
    st.session_state.pop("new-written", None)  # of other terms, perhaps
    st.session_state["new-tokens"] = str(start_work(asked or [], "--dry-run", "--nearest"))
folder = st.session_state.get("new-tokens")
if folder is None:
    st.info("Nothing is written yet when you look: you see first what would be added.", icon=":material/info:")
    st.stop()
if watch_work(Path(folder)):
    st.stop()
found = read_findings(Path(folder))
if found is None:
    st.stop()
show_terms(found)
if found.compared is not None:
    show_comparison(found.compared)
st.subheader("Write the checkpoint", anchor=False)
st.caption("The PLM with the new tokens, which transformers and sentence-transformers load; all else stays to the bit.")
out = st.text_input(
    "Write to", str(Path("exports").absolute() / f"{plm.folder.name if run is None else run.name}-tokens"),
    key="new-out", help="A new folder on this machine.",
)  # fmt: skip
rebuilt = run is not None and st.checkbox(
    "With this run's rebuilt rows",
    key="new-rebuilt",
    help="Else the old rows are the PLM's own. New rows are the same.",
)
force = st.checkbox("Replace an earlier export", key="new-force")
if st.button("Write", type="primary", icon=":material/download:", disabled=asked is None):
    more = ["--force"] * force + ["--rebuilt"] * rebuilt
    st.session_state["new-written"] = str(start_work(asked or [], f"--out={Path(out).expanduser()}", *more))
written = st.session_state.get("new-written")
if written is not None and not watch_work(Path(written)):
    show_written(read_findings(Path(written)))
st.caption(f"PLM: {as_text(plm.title)} (chosen at the left).")
