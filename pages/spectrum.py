import numpy as np
import polars as pl
import streamlit as st

from pages.shared import charts, state

MEASURES = {
    "i_w": ("I(W)", "min Z(v) / max Z(v) over the eigenvectors of W'W, both signs of each (Mu and Viswanath 2018); 0 to 1, 1 is "
            "isotropic. It depends on the table's scale."),
    "mean_cosine": ("mean cosine", "Average cosine of all pairs of rows, exact; near 0 is isotropic, 1 is a single direction."),
    "effective_rank": ("effective rank", "exp of the entropy of the singular values' shares (Roy and Vetterli 2007); 1 to H."),
    "participation_ratio": ("participation ratio", "(sum of variances) squared over sum of squared variances; 1 to H."),
    "iso_score": ("IsoScore", "(participation ratio - 1) / (H - 1); 0 to 1, 1 is isotropic."),
}  # fmt: skip

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
        f"{label}, rebuilt", f"{after:.{digits}f}", f"{after - before:+.{digits}f} against the original", help=explanation,
        delta_color="inverse" if measure == "mean_cosine" else "normal",
    )  # fmt: skip
before, after = (isotropy[name]["all"].i_w_positive for name in tables)
st.caption(f"Rows that take part, special and unused ones left out. With one sign of each eigenvector only, as some papers "
           f"compute it, I(W) is {before:.3f} for the original and {after:.3f} for the rebuilt table.")  # fmt: skip

left, right = st.columns(2, gap="large")
with left:
    measure = st.segmented_control(
        "Measure", list(MEASURES), format_func=lambda m: MEASURES[m][0], default="i_w", required=True, key="measure",
        bind="query-params",
    )  # fmt: skip
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
    charts.figures().norm_figure({name: np.linalg.norm(matrix, axis=1) for name, (matrix, _) in tables.items()}),
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
