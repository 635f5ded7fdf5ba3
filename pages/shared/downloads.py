"""Figures to take along: CSV for spreadsheets, a table for papers."""

import polars as pl
import streamlit as st

from defemb_core.latex import latex_table
from defemb_core.text import formula_safe


def offer_figures(name: str, figures: pl.DataFrame, shown: pl.DataFrame, caption: str) -> None:
    """Show two buttons: `figures` as CSV, `shown` for LaTeX; both are written when they are pressed."""
    csv, tex, line = st.columns([1, 1, 3], vertical_alignment="center")
    csv.download_button(
        "CSV", lambda: formula_safe(figures).write_csv().encode(), f"{name}.csv", "text/csv", key=f"csv-{name}",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip
    tex.download_button(
        "LaTeX", lambda: latex_table(shown, caption).encode(), f"{name}.tex", "text/x-tex", key=f"tex-{name}",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip
    line.caption("Both hold all lines.")
