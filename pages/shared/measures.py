"""Measures of isotropy as the pages name and explain them; keys are the fields of Isotropy."""

MEASURES = {
    "i_w": ("I(W)", "min Z(v) / max Z(v) over the eigenvectors of W'W, both signs of each (Mu and Viswanath 2018); "
            "0 to 1, 1 is isotropic. It depends on the table's scale."),
    "mean_cosine": ("mean cosine", "Average cosine of all pairs of rows, exact; near 0 is isotropic, 1 one direction."),
    "effective_rank": ("effective rank", "exp of the entropy of the singular values' shares (Roy and Vetterli 2007); "
                       "1 to H."),
    "participation_ratio": ("participation ratio", "(sum of variances) squared over sum of squared variances; 1 to H."),
    "iso_score": ("IsoScore", "(participation ratio - 1) / (H - 1); 0 to 1, 1 is isotropic."),
}  # fmt: skip
