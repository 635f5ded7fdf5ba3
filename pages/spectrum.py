import streamlit as st

from defemb_core.isotropy import GROUPS
from defemb_core.palette import table_colours
from pages.shared import charts, state
from pages.shared.router import through_router
from pages.shared.spectrum_charts import (
    parts_of,
    show_cards,
    show_chart,
    show_figures,
    show_hubness,
    show_isotropy,
    show_spectrum,
)
from pages.shared.spectrum_tables import choose_tables

through_router()
st.title("Spectrum and isotropy")
comparison = state.comparison_or_stop()
choices = st.columns([4, 4, 2], vertical_alignment="bottom")
with choices[0]:
    shown = choose_tables(comparison)
rows = choices[1].pills(
    "Rows", ["all", *GROUPS], selection_mode="multi", default=["all"], key="rows", bind="query-params",
    help="Frequency groups; all: every row that is neither special nor unused.",
)  # fmt: skip
choices[2].segmented_control(
    "Save charts as", ["SVG", "PNG"], default="SVG", required=True, key="image",
    bind="query-params", help="What the camera at the right above each chart writes.",
)  # fmt: skip
if not shown:
    st.info("Choose a table above.", icon=":material/info:")
    st.stop()
colours = table_colours(comparison.names, [name for name in shown if name not in comparison.names])
parts = parts_of(shown, list(rows) or ["all"])

if set(comparison.names) <= shown.keys():
    show_cards(shown, comparison.names)
left, right = st.columns(2, gap="large")
with left:
    show_isotropy(shown, colours)
with right:
    show_spectrum(parts, colours)
figures = charts.figures()
left, right = st.columns(2, gap="large")
with left:
    variances = {name: table.spectrum(group, centred=True) for name, (table, group) in parts.items()}
    show_chart(figures.variance_figure(variances, "Cumulative variance", colours), "variance")
with right:
    cosines = {name: table.cosines(group) for name, (table, group) in parts.items()}
    show_chart(figures.cosine_figure(cosines, "Cosines between rows", colours), "cosines")
left, right = st.columns(2, gap="large")
with left:
    norms = {name: table.norms(group) for name, (table, group) in parts.items()}
    show_chart(figures.norm_figure(norms, "Norms of the rows", colours=colours), "norms")
with right:
    show_hubness(parts, colours)

st.subheader("All figures")
show_figures(shown)
