from pathlib import Path

import streamlit as st

from defemb_core.export import TARGETS, check_format, check_out, planned_files
from defemb_core.export_card import card
from defemb_core.export_formats import FORMATS
from defemb_core.export_jobs import start_export
from defemb_core.export_place import CHECKPOINT, LOADS
from pages.shared import state
from pages.shared.evidence import show_evidence
from pages.shared.exports import show_exports, show_report
from pages.shared.router import through_router
from pages.shared.text import as_text

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
)  # fmt: skip
planned = planned_files(made_by_run, comparison.plm, to, out)
st.caption(as_text(f"About {sum(planned.values()) / 1e6:,.1f} MB: {', '.join(planned)}."))
force = st.checkbox("Replace an earlier export", key="force")
if st.button("Export", type="primary", icon=":material/download:"):
    check_format(to, state.analysis_of(comparison) if to in FORMATS and FORMATS[to].needs_maps else None)
    check_out(made_by_run, comparison.plm, to, out, force)  # what is wrong with the place is said at once
    start_export(folder, to, out, force)
    st.rerun()
show_exports(folder)
show_report(comparison, f"{folder.name}.html")
with st.expander("The card that goes with every export", icon=":material/badge:"):
    st.json(card(made_by_run))
