import streamlit as st

from pages.shared import state, tables
from pages.shared.kept_selections import show_kept_selections
from pages.shared.linked_maps import VIEWS, Look, show_linked_maps
from pages.shared.projection_settings import (
    TRUST_HELP,
    find_maps,
    named_regions,
    offer_map_of,
    projection_settings,
    trust_line,
)
from pages.shared.router import through_router
from pages.shared.selection import chosen_rows, colourings, search_to_select, sizings

through_router()
st.title("Projection")
comparison = state.comparison_or_stop()
changes = state.changes_of(comparison)
settings = projection_settings(comparison)
analysis = state.analysis_of(comparison, settings)

left, middle, beside, right = st.columns([4, 3, 3, 2], vertical_alignment="bottom")
view = left.segmented_control(
    "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params",
    help="Two maps side by side; or one map with an arrow from each token's original to its rebuilt place; or one map "
    "whose points move from original to rebuilt.",
)  # fmt: skip
known = colourings(changes)
by = known[middle.selectbox("Colour by", list(known), key="colour", bind="query-params")]
sizes = sizings(changes)
size = sizes[
    beside.selectbox(
        "Size by", list(sizes), key="size", bind="query-params", help="Points are the larger, the larger this is."
    )
]
regions = right.toggle(
    "Regions", True, key="regions", bind="query-params",
    help="Names of dense regions: words that the definitions of their tokens have in common more than others.",
)  # fmt: skip
search_to_select(changes, comparison.key)
look = Look(by, view, size)
if analysis is None:
    find_maps(state.work_folder(comparison), settings)
    show_linked_maps(state.pca_of(comparison), comparison, changes, look)
    st.caption("Until then: all rows of both tables on the original's first two principal directions (PCA).")
else:
    areas = named_regions(analysis) if regions else None
    show_linked_maps(analysis.maps, comparison, changes, look, analysis.rows, areas)
    st.caption(trust_line(analysis, comparison.names), help=TRUST_HELP)

st.subheader("Selected tokens", anchor=False)
selected = chosen_rows(comparison.key).rows
show_kept_selections(comparison)
if selected.size == 0:
    st.info(
        "Drag a lasso or a box on either map, or search: tokens are marked on both maps and listed here.",
        icon=":material/lasso_select:",
    )
else:
    offer_map_of(selected)
    tables.show(
        changes[selected.tolist()].sort("movement", descending=True), "selected", total=changes.height,
        column_order=["text", "group", "kind", "movement", "turnover", "cosine", "zipf", "rebuilt", "token_id"],
    )  # fmt: skip
