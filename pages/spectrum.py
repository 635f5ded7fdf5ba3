import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import isotropy_of
from defemb_core.isotropy import GROUPS, MEASURES
from pages.shared import charts, state
from pages.shared.router import through_router

through_router()
st.title("Spectrum and isotropy")
comparison = state.comparison_or_stop()
first, second = comparison.names
tables = dict(zip(comparison.names, (comparison.original, comparison.rebuilt), strict=True))
isotropy = dict(zip(comparison.names, isotropy_of(comparison), strict=True))

in_cards = [name for name in MEASURES if name != "i_w_positive"]
for column, name in zip(st.columns(len(in_cards)), in_cards, strict=True):
    measure, (before, after) = MEASURES[name], (isotropy[table]["all"][name] for table in tables)
    column.metric(
        measure.name, f"{after:.{measure.decimals}f}", f"{after - before:+.{measure.decimals}f}",
        help=f"{measure.meaning} {measure.scale}. Rebuilt, and the change.",
        delta_color="inverse" if name == "mean_cosine" else "normal",
    )  # fmt: skip
norms = {name: np.linalg.norm(matrix, axis=1) for name, matrix in tables.items()}
before, after = (isotropy[table]["all"]["i_w_positive"] for table in tables)
st.caption(
    "The second table (rebuilt) and its change against the first (original), over rows neither special nor unused. "
    f"With one sign of each eigenvector only, as some papers have it, I(W) goes from {before:.3f} to {after:.3f}."
)
if abs(norms[second].mean() / norms[first].mean() - 1) > 0.05:
    st.warning(
        f"The mean norm of the rows went from {norms['original'].mean():.2f} to {norms['rebuilt'].mean():.2f}. Shorter "
        "rows raise I(W) by themselves: judge by the scale-free figures too, or rebuild with matched norms.",
        icon=":material/straighten:",
    )

left, right = st.columns(2, gap="large")
with left:
    names = {measure.name: name for name, measure in MEASURES.items()}
    shown = names[st.selectbox("Measure", list(names), key="measure", bind="query-params")]
    charts.show(charts.figures().isotropy_figure(isotropy, shown), "isotropy")
with right:
    options = st.columns(3)
    normalised = options[0].toggle("Normalised", True, key="normalised", help="Divided by the largest singular value.")
    centred = options[1].toggle("Centred", key="centred", help="The mean row subtracted first.")
    by_group = options[2].toggle("By group", key="by-group", help="One line a frequency group.")
    spectra = {
        table if group == "all" else f"{table}/{group}": state.spectrum_of(comparison, table, group, centred)
        for table in tables
        for group in (GROUPS if by_group else ("all",))
        if group in isotropy[table]  # a group without rows has none
    }
    charts.show(charts.figures().spectrum_figure(spectra, normalised, "Singular values"), "spectrum")

st.subheader("Row norms")
charts.show(charts.figures().norm_figure(norms), "norms")

st.subheader("All figures")
figures = [
    {"table": table, "group": group, **measured} for table in tables for group, measured in isotropy[table].items()
]
st.dataframe(pl.DataFrame(figures), hide_index=True, key="figures")
