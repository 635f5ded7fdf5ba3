"""The charts of the spectrum page: each of every table chosen and every group chosen, with its words and its data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.isotropy import MEASURES
from pages.shared import charts, tables
from pages.shared.spectrum_tables import Shown
from pages.shared.text import as_text

Parts = Mapping[str, tuple[Shown, str]]
"""What is drawn: by name, "rebuilt/rare" say, the table and the group of its rows."""

EXPLAINED = {
    "isotropy": (
        "How evenly rows point in all directions.",
        "",
    ),
    "spectrum": (
        "How strong each direction of the table is, strongest first.",
        "Singular values of the rows. A flat line is a table that uses all directions alike; a steep start is a table "
        "whose rows share a few. Without centring, the direction of the mean row is the first.",
    ),
    "variance": (
        "How few directions hold how much of the table.",
        "Squared singular values of the centred rows, added up from the largest, as a share of their sum: the variance "
        "that so many principal directions hold. The lower the line, the more evenly directions are used.",
    ),
    "cosines": (
        "How alike two rows are, for pairs of rows.",
        "Around 0 rows point anywhere; a histogram to the right of 0 is the cone that degenerate tables crowd into. "
        "All pairs where there are at most 200,000, else that many drawn at random (seed 0): a share is then "
        "known to within about 0.1 %. The mean cosine in the table below is exact, over all pairs.",
    ),
    "norms": (
        "How long the rows are.",
        "Euclidean length. Rows of rare tokens are often shorter or longer than others: they were hardly trained. I(W) "
        "depends on this length, the scale-free measures do not.",
    ),
    "hubness": (
        "How often a row is a near neighbour of others.",
        "Share of the rows that are among the ten nearest neighbours (cosine, full space) of at least so many other "
        "rows. On average each is among ten. Skewness near 0 means that all are equally often; strong hubs, rows that "
        "are near to everything, raise it.",
    ),
}  # fmt: skip


def parts_of(shown: Mapping[str, Shown], rows: list[str]) -> dict[str, tuple[Shown, str]]:
    """Return every table's every group that has rows to measure, by name."""
    return {
        name if group == "all" else f"{name}/{group}": (table, group)
        for name, table in shown.items()
        for group in rows
        if group in table.isotropy
    }


def show_chart(figure: Any, name: str, more: str = "") -> None:
    """Show a chart with one sentence, more of it on hover, and its data to take away; the image has its own button."""
    charts.show(figure, name, image=(st.session_state.get("image") or "SVG").lower())
    said, button = st.columns([5, 1], vertical_alignment="center")
    sentence, explained = EXPLAINED[name]
    said.caption(sentence, help=more or explained)
    with button:
        tables.csv_button(charts.figures().figure_data(figure), name)


def show_cards(shown: Mapping[str, Shown], names: tuple[str, str]) -> None:
    """Show every measure of the second table that is compared, all rows, and its change from the first."""
    first, second = (shown[name] for name in names)
    in_cards = [name for name in MEASURES if name != "i_w_positive"]
    for column, name in zip(st.columns(len(in_cards)), in_cards, strict=True):
        measure, (before, after) = MEASURES[name], (table.isotropy["all"][name] for table in (first, second))
        column.metric(
            measure.name, f"{after:.{measure.decimals}f}", f"{after - before:+.{measure.decimals}f}",
            help=f"{measure.meaning} {measure.scale}. Of {as_text(names[1])}, and the change from {as_text(names[0])}.",
            delta_color="inverse" if name == "mean_cosine" else "normal",
        )  # fmt: skip
    st.caption(f"All rows of {as_text(names[1])}, and how they differ from {as_text(names[0])}.")
    before, after = (float(np.mean(table.norms("all"))) for table in (first, second))
    if abs(after / before - 1) > 0.05:
        st.warning(
            f"The mean norm of the rows goes from {before:.2f} to {after:.2f}. Shorter rows raise I(W) by themselves: "
            "judge by the scale-free figures too, or rebuild with matched norms.",
            icon=":material/straighten:",
        )


def show_isotropy(shown: Mapping[str, Shown], colours: dict[str, str]) -> None:
    """Show the measure that is chosen by frequency group."""
    names = {measure.name: name for name, measure in MEASURES.items()}
    name = names[st.selectbox("Measure", list(names), key="measure", bind="query-params", label_visibility="collapsed")]
    isotropy = {table: of.isotropy for table, of in shown.items()}
    figure = charts.figures().isotropy_figure(isotropy, name, colours)
    show_chart(figure, "isotropy", f"{MEASURES[name].meaning} {MEASURES[name].scale}.")


def show_spectrum(parts: Parts, colours: dict[str, str]) -> None:
    """Show singular values with their three switches."""
    with st.container(horizontal=True):
        normalised = st.toggle("Normalised", True, key="normalised", help="Divided by the largest singular value.")
        centred = st.toggle("Centred", key="centred", help="The mean row subtracted first.")
        logarithmic = st.toggle("Log scale", True, key="log", help="Singular values on a logarithmic scale.")
    spectra = {name: table.spectrum(group, centred) for name, (table, group) in parts.items()}
    figure = charts.figures().spectrum_figure(spectra, normalised, "Singular values", logarithmic, colours)
    show_chart(figure, "spectrum")


def show_hubness(parts: Parts, colours: dict[str, str]) -> None:
    """Show hubness of the tables whose neighbours are known, and name the others."""
    found = {name: table.hubness(group) for name, (table, group) in parts.items()}
    known = {name: of for name, of in found.items() if of is not None}
    if known:
        show_chart(charts.figures().hubness_figure(known, "Hubness", colours), "hubness")
    if len(known) < len(found):
        missing = ", ".join(dict.fromkeys(name.rpartition("/")[0] or name for name in found if name not in known))
        st.info(
            f"Hubness needs the nearest neighbours of every row, not known yet for {as_text(missing)}. The Projection "
            "page finds them for the two tables that are compared.",
            icon=":material/hub:",
        )
        st.page_link("pages/projection.py", label="Go to Projection", icon=":material/scatter_plot:")


def show_figures(shown: Mapping[str, Shown]) -> None:
    """Show every measure of every table and group as a table to take away."""
    lines = [
        {"table": name, "group": group, "rows": measured["rows"], "mean_norm": float(table.norms(group).mean())}
        | {measure: measured[measure] for measure in MEASURES}
        | {"hubness": hubs.skewness if (hubs := table.hubness(group)) else None}
        for name, table in shown.items()
        for group, measured in table.isotropy.items()
    ]
    columns: dict[str, Any] = {
        key: st.column_config.NumberColumn(
            of.name, help=f"{of.meaning} {of.scale}.", format=f"%.{of.decimals + 1}f"
        )
        for key, of in MEASURES.items()
    }  # fmt: skip
    columns["mean_norm"] = st.column_config.NumberColumn("Mean norm", help="Euclidean length of a row.", format="%.3f")
    columns["hubness"] = st.column_config.NumberColumn(
        "Hubness", format="%.2f",
        help="Skewness of how often rows are among the ten nearest of others; near 0 is even, empty: not known yet.",
    )  # fmt: skip
    frame = pl.DataFrame(lines, infer_schema_length=None)
    st.dataframe(frame, hide_index=True, key="figures", column_config=columns)
    tables.csv_button(frame, "isotropy-figures")
