"""What is compared, the same on every page and part of the URL."""

import streamlit as st

from defemb_core.hub import BUNDLED
from pages.shared.state import complete_runs


def show_sidebar() -> None:
    """Show the two choices: the PLM (original) and a finished run (rebuilt)."""
    if "next_run" in st.session_state:  # a run that just finished becomes the rebuilt table
        st.session_state["run"] = st.session_state.pop("next_run")
    with st.sidebar:
        plm = st.selectbox(
            "PLM (original)",
            list(dict.fromkeys([BUNDLED, st.session_state.get("plm") or BUNDLED])),
            key="plm",
            accept_new_options=True,
            bind="query-params",
            help="The pretrained language model: 'bundled' (all-MiniLM-L6-v2, works offline), a hub name such as "
            "FacebookAI/roberta-base, or a folder on this machine.",
        )
        names = [folder.name for folder in complete_runs(plm or BUNDLED)]
        if st.session_state.get("run") not in names:
            st.session_state.pop("run", None)
        st.selectbox(
            "Run (rebuilt)",
            names,
            key="run",
            bind="query-params",
            placeholder="no finished run yet",
            disabled=not names,
            help="A finished reconstruction of this PLM. Its table is called rebuilt on every page.",
        )
