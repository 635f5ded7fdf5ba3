import streamlit as st

from pages.shared import state
from pages.shared.router import through_router
from pages.shared.token_card import show_token
from pages.shared.token_compare import show_comparison
from pages.shared.token_links import COMPARE, QUERIES, TOKEN, VIEWS
from pages.shared.token_list import pick_token
from pages.shared.token_neighbours import show_neighbours
from pages.shared.token_queries import show_queries
from pages.shared.token_trial import show_trial

through_router()
st.title("Tokens")
comparison = state.comparison_or_stop()
changes = state.changes_of(comparison)
view = st.segmented_control(
    "View", VIEWS, default=TOKEN, required=True, key="view", bind="query-params", label_visibility="collapsed"
)
if view == TOKEN:
    left, right = st.columns([3, 4], gap="large")
    with left:
        token = pick_token(comparison, changes, state.work_folder(comparison))
    with right:
        show_token(comparison, changes, token)
    show_neighbours(comparison, token)
elif view == COMPARE:
    show_comparison(comparison)
elif view == QUERIES:
    show_queries(comparison)
else:
    show_trial(comparison, changes)
