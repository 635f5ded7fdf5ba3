"""What is compared, the same on every page and part of the URL."""

import streamlit as st

from defemb_core.hub import BUNDLED
from pages.shared.state import CHECKPOINT, OWN, complete_runs


def show_sidebar() -> None:
    """Show the choices: the PLM (original), a finished run (rebuilt), and what else may stand in place of either."""
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
        second = _choose(
            "Run (rebuilt)", "run", [*names, CHECKPOINT], 0 if names else None,
            "A finished reconstruction of this PLM, whose table is called rebuilt on every page; or the table of "
            "another checkpoint with the same vocabulary.",
        )  # fmt: skip
        first = _choose(
            "Compared with", "against", [OWN, *(name for name in [*names, CHECKPOINT] if name != second)], 0,
            "The PLM's own table (original), another run of this PLM, or another checkpoint with the same vocabulary.",
        )  # fmt: skip
        if CHECKPOINT in (first, second):
            st.text_input(
                "Checkpoint", key="checkpoint", bind="query-params", persist_state="session",
                placeholder="a hub name, a folder or a file",
                help="A PLM whose rows stand for the same tokens, a fine-tuned copy of this one, say; or a table's "
                "file, as Export writes it.",
            )  # fmt: skip


def _choose(label: str, key: str, names: list[str], index: int | None, explained: str) -> str | None:
    """Show one choice of a table; a name that is not there any more gives way to the first."""
    if st.session_state.get(key) not in names:
        st.session_state.pop(key, None)
    chosen: str | None = st.selectbox(
        label, names, index, key=key, bind="query-params", placeholder="no finished run yet", help=explained
    )
    return chosen
