from pathlib import Path

import streamlit as st

from defemb_core.export import FORMATS, export
from defemb_core.export_card import card
from defemb_core.report import report_html
from pages.shared import state
from pages.shared.evidence import show_evidence
from pages.shared.router import through_router
from pages.shared.text import as_text

EXPLAINED = {
    "checkpoint": "a folder for from_pretrained (and sentence-transformers), the rebuilt rows in place",
    "safetensors": "the table as one tensor, with the marks of rebuilt rows",
    "npy": "the table as a NumPy array",
    "parquet": "one line a token: text, kind, group and its row",
    "word2vec": "text, one line a token, for gensim and the like",
}
SUFFIXES = {"safetensors": ".safetensors", "npy": ".npy", "parquet": ".parquet", "word2vec": ".txt"}

through_router()
st.title("Export")
comparison = state.comparison_or_stop()
made_by_run, folder = comparison.reconstruction, state.chosen_run()
assert folder is not None  # a reconstruction is a run's

with st.container(border=True):
    st.subheader(as_text(f"{comparison.plm.title}, rebuilt"), anchor=False)
    show_evidence(folder)

to = st.radio("Format", FORMATS, captions=list(EXPLAINED.values()), key="format", bind="query-params")
default = Path("exports").absolute() / f"{folder.name}{SUFFIXES.get(to, '')}"
out = Path(
    st.text_input("Write to", str(default), key=f"out-{to}-{folder.name}", help="A new file or folder on this machine.")
).expanduser()
force = st.checkbox("Replace an earlier export", key="force")
if st.button("Export", type="primary", icon=":material/download:"):
    with st.spinner(f"Writing {to}"):
        written = export(made_by_run, comparison.plm, to, out, force)
    st.session_state["exported"] = (to, written)
made, path = st.session_state.get("exported", ("", out))
if made == to:
    st.success(f"Written to {as_text(str(path))}", icon=":material/check_circle:")
    if path.is_file():
        st.download_button(
            "Download a copy", path.read_bytes, path.name, icon=":material/download:", on_click="ignore", key="copy"
        )
    else:
        st.code(f'AutoModel.from_pretrained("{path}")', language="python")
st.subheader("Report", anchor=False)
st.caption("This comparison as one HTML file that opens anywhere, offline: figures, maps, tokens, how to cite.")
known = state.neighbours_of(comparison) is not None
st.download_button(
    "Download the report", lambda: report_html(comparison).encode(), f"{folder.name}.html", "text/html", key="report",
    icon=":material/description:", on_click="ignore", disabled=not known,
    help="Some seconds." if known else "It needs every row's neighbours: the Projection page finds them.",
)  # fmt: skip
with st.expander("The card that goes with every export", icon=":material/badge:"):
    st.json(card(made_by_run))
