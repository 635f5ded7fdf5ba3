from pathlib import Path

import streamlit as st

from defemb_core.export import TARGETS, export, export_notes, planned_files
from defemb_core.export_card import card
from defemb_core.export_formats import FORMATS
from defemb_core.export_place import CHECKPOINT, LOADS
from defemb_core.hub_upload import uploadable
from defemb_core.report import report_html
from pages.shared import state
from pages.shared.evidence import show_evidence
from pages.shared.progress import moving
from pages.shared.router import through_router
from pages.shared.text import as_text
from pages.shared.upload import show_upload

OPENS = 'transformers.AutoModel.from_pretrained("{path}")'
LARGEST_DOWNLOAD = 200_000_000  # bytes; a browser's copy passes through the server's memory

through_router()
st.title("Export")
comparison = state.comparison_or_stop()
made_by_run, folder = comparison.reconstruction, state.chosen_run()
assert folder is not None  # a reconstruction is a run's

with st.container(border=True):
    st.subheader(as_text(f"{comparison.plm.title}, rebuilt"), anchor=False)
    show_evidence(folder)

captions = [LOADS, *(known.reads for known in FORMATS.values())]
to = st.radio("Format", TARGETS, captions=captions, key="format", bind="query-params")
suffix = "" if to == CHECKPOINT else FORMATS[to].suffix
stem = folder.name if to in {CHECKPOINT, suffix[1:]} else f"{folder.name}-{to}"
out = Path(
    st.text_input(
        "Write to", str(Path("exports").absolute() / f"{stem}{suffix}"), key=f"out-{to}-{folder.name}",
        help="A new file or folder on this machine.",
    )
).expanduser()  # fmt: skip
planned = planned_files(made_by_run, comparison.plm, to, out)
st.caption(as_text(f"About {sum(planned.values()) / 1e6:,.1f} MB: {', '.join(planned)}."))
force = st.checkbox("Replace an earlier export", key="force")
if st.button("Export", type="primary", icon=":material/download:"):
    bar = st.progress(0.0, f"Writing {to}")
    st.button("Cancel", icon=":material/stop_circle:", help="What is written so far is deleted.")
    analysis = state.analysis_of(comparison) if to in FORMATS and FORMATS[to].needs_maps else None
    # A click on Cancel ends this script at the bar's next step; export then leaves nothing behind.
    written = export(made_by_run, comparison.plm, to, out, force, analysis=analysis, progress=moving(bar))
    st.session_state["exported"] = (to, written, export_notes(written), uploadable(written))
    st.rerun()
made, path, notes, files = st.session_state.get("exported", ("", out, [], []))
if made == to and path.exists():
    st.success(f"Written to {as_text(str(path))}", icon=":material/check_circle:")
    for note in notes:
        st.write(as_text(note))
    st.code((OPENS if to == CHECKPOINT else FORMATS[to].opens).format(path=path), language="python")
    if path.is_file() and path.stat().st_size <= LARGEST_DOWNLOAD:
        st.download_button(
            "Download a copy", path.read_bytes, path.name, icon=":material/download:", on_click="ignore", key="copy"
        )
    if files:
        show_upload(path, files)
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
