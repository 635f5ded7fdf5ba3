import streamlit as st

from defemb_core.processes import start_analysis
from defemb_core.runs import analysis_status
from pages.shared import state, tables
from pages.shared.linked_maps import VIEWS, show_linked_maps
from pages.shared.progress import watch_analysis
from pages.shared.router import through_router
from pages.shared.selection import chosen_rows, colourings, search_to_select

through_router()
st.title("Projection")
comparison = state.comparison_or_stop()
folder = state.analysis_folder(comparison)
analysis = state.analysis_of(comparison)
changes = state.changes_of(comparison)

if analysis is None:
    status = analysis_status(folder)
    if status is None or status.state == "complete":  # complete: its cache has been cleared since
        start_analysis(folder)
        st.rerun()
    if status.is_active:
        st.info("PCA now; the UMAP maps appear here as soon as they are done.", icon=":material/hourglass_top:")
        watch_analysis(folder)
    elif st.button(f"Compute the UMAP maps ({status.state} before)", icon=":material/play_arrow:"):
        start_analysis(folder)
        st.rerun()

left, middle, right = st.columns([2, 3, 3])
methods = ["umap", "pca"] if analysis else ["pca"]
method = left.segmented_control(
    "Projection", methods, format_func=str.upper, default=methods[0], required=True, key=f"map-{len(methods)}"
)
view = middle.segmented_control(
    "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params",
    help="Two maps side by side; or one map with an arrow from each token's original to its rebuilt place; or one map "
    "whose points move from original to rebuilt.",
)  # fmt: skip
known = colourings(changes)
by = known[right.selectbox("Colour by", list(known), key="colour", bind="query-params")]
search_to_select(changes, comparison.key)
maps = analysis.maps if analysis and method == "umap" else state.pca_of(comparison)
show_linked_maps(maps, comparison, changes, by, view)
st.caption(
    "Every row of the table is drawn. "
    + (
        "UMAP from exact neighbours (cosine, 15), seed 0; the rebuilt map starts from the original's coordinates and "
        "is Procrustes-aligned to it. Distances in a map are only a hint: neighbours and movement are measured in the "
        "full space."
        if method == "umap"
        else f"Both tables on the original's first two principal directions, which hold "
        f"{sum(maps[0].settings['explained']):.1%} of its variance and {sum(maps[1].settings['explained']):.1%} of the "
        "rebuilt table's: a shadow of the full space."
    )
)

st.subheader("Selected tokens", anchor=False)
selected = chosen_rows(comparison.key).rows
if selected.size == 0:
    st.info(
        "Drag a lasso or a box on either map, or search: tokens are marked on both maps and listed here.",
        icon=":material/lasso_select:",
    )
else:
    tables.show(
        changes[selected.tolist()].sort("movement", descending=True), "selected", total=changes.height,
        column_order=["text", "group", "kind", "movement", "turnover", "cosine", "zipf", "rebuilt", "token_id"],
    )  # fmt: skip
