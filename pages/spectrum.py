import numpy as np
import polars as pl
import streamlit as st

from pages.shared import charts, state
from pages.shared.measures import MEASURES
from pages.shared.router import through_router

through_router()
st.title("Spectrum and isotropy")
comparison = state.comparison_or_stop()
tables = {
    "original": (comparison.original, comparison.plm.digest),
    "rebuilt": (comparison.rebuilt, comparison.rebuilt_digest),
}
groups = comparison.vocabulary["group"].cast(pl.String).to_numpy()
isotropy = {name: state.isotropy_of(matrix, digest, groups) for name, (matrix, digest) in tables.items()}

columns = st.columns(5)
for column, (measure, (label, explanation)) in zip(columns, MEASURES.items(), strict=True):
    before, after = (getattr(isotropy[name]["all"], measure) for name in tables)
    digits = 1 if measure in {"effective_rank", "participation_ratio"} else 3
    column.metric(
        label, f"{after:.{digits}f}", f"{after - before:+.{digits}f}", help=f"{explanation} Rebuilt, and the change.",
        delta_color="inverse" if measure == "mean_cosine" else "normal",
    )  # fmt: skip
norms = {name: np.linalg.norm(matrix, axis=1) for name, (matrix, _) in tables.items()}
before, after = (isotropy[name]["all"].i_w_positive for name in tables)
st.caption(
    "The rebuilt table and its change against the original, over rows that are neither special nor unused. "
    f"With one sign of each eigenvector only, as some papers have it, I(W) goes from {before:.3f} to {after:.3f}."
)
if abs(norms["rebuilt"].mean() / norms["original"].mean() - 1) > 0.05:
    st.warning(
        f"The mean norm of the rows went from {norms['original'].mean():.2f} to {norms['rebuilt'].mean():.2f}. Shorter "
        "rows raise I(W) by themselves: judge by the scale-free figures too, or rebuild with matched norms.",
        icon=":material/straighten:",
    )

left, right = st.columns(2, gap="large")
with left:
    labels = {label: measure for measure, (label, _) in MEASURES.items()}
    measure = labels[st.selectbox("Measure", list(labels), key="measure", bind="query-params")]
    charts.show(charts.figures().isotropy_figure(isotropy, measure), "isotropy")
with right:
    options = st.columns(3)
    normalised = options[0].toggle("Normalised", True, key="normalised", help="Divided by the largest singular value.")
    centred = options[1].toggle("Centred", key="centred", help="The mean row subtracted first.")
    by_group = options[2].toggle("By group", key="by-group", help="One line a frequency group.")
    spectra = {}
    for name, (matrix, digest) in tables.items():
        for group in ("frequent", "medium", "rare") if by_group else ("all",):
            rows = None if group == "all" else groups == group
            key = name if group == "all" else f"{name} {group}"
            spectra[key] = state.spectrum_of(matrix, digest, group, rows, centred)
    charts.show(charts.figures().spectrum_figure(spectra, normalised, "Singular values"), "spectrum")

st.subheader("Row norms")
charts.show(
    charts.figures().norm_figure(norms),
    "norms",
)

st.subheader("All figures")
figures = pl.DataFrame(
    [
        {"table": name, "group": group, **measured.to_dict()}
        for name in tables
        for group, measured in isotropy[name].items()
    ]
)
st.dataframe(figures, hide_index=True, key="figures")
