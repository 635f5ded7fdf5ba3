import polars as pl
import streamlit as st

from defemb_core.processes import start_analysis
from defemb_core.runs import analysis_status
from pages.shared import state, tables
from pages.shared.progress import watch_analysis
from pages.shared.router import through_router
from pages.shared.search import find_tokens
from pages.shared.token_card import show_token

through_router()
st.title("Tokens")
comparison = state.comparison_or_stop()
changes = state.changes_of(comparison)
folder = state.analysis_folder(comparison)

left, right = st.columns([3, 4], gap="large")
with left:
    wanted = st.text_input("Search", key="q", bind="query-params", placeholder="text, or a regular expression")
    options = st.columns(2)
    regular = options[0].toggle(
        "Regex", help="The search text is a regular expression.", key="regex", bind="query-params"
    )
    rare = options[1].toggle(
        "Rare only",
        True,
        help="Low-frequency tokens that were rebuilt; a search looks at all.",
        key="rare",
        bind="query-params",
        disabled=bool(wanted),
    )
    if "turnover" not in changes.columns:
        status = analysis_status(folder)
        if status and status.is_active:
            watch_analysis(folder)
        elif st.button(
            "Measure every token's change of neighbours", icon=":material/hub:", help="About half a minute, once."
        ):
            start_analysis(folder)
            st.rerun()
    by = "turnover" if "turnover" in changes.columns else "movement"
    found = find_tokens(changes.sort(by, "movement", descending=True), wanted, regular)
    if rare and not wanted:
        found = found.filter((pl.col("group") == "rare") & pl.col("rebuilt"))
    order = "how many of the ten nearest neighbours are new" if by == "turnover" else "movement, 1 - cosine"
    st.caption(f"Sorted by {order}, measured in the full space.")
    chosen = tables.show(
        found, "tokens", total=changes.height, select=True, height=min(560, 38 + 35 * max(found.height, 1)),
        column_order=["text", "kind", by, "cosine", "group", "zipf", "norm_original", "norm_rebuilt", "token_id"],
    )  # fmt: skip
    picked = int(found["token_id"][chosen[0]]) if chosen else None
    if picked is not None and picked != st.session_state.get("picked"):
        st.session_state["token"] = picked
    st.session_state["picked"] = picked  # a token id typed later stands until another row is picked
with right:
    if found.is_empty():
        st.info("No token matches; try fewer letters.", icon=":material/info:")
    first = int(found["token_id"][0]) if found.height else 0
    token = st.number_input(
        "Token id", 0, changes.height - 1, None, key="token", bind="query-params",
        placeholder=f"{first}, the first found",
        help="The row of the table: pick a token in the list, or type an id.",
    )  # fmt: skip
    show_token(comparison, changes, first if token is None else int(token))
