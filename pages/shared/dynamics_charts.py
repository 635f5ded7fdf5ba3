"""The charts of the page Dynamics: measures over steps, a map that plays, spectra, the tokens that moved most."""

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.dynamics.measures import Dynamics
from defemb_core.dynamics.summary import moved_most
from defemb_core.isotropy import GROUPS, MEASURES
from defemb_core.palette import GROUP_COLOURS, NEUTRAL, SEEN_COLOURS, colour_by_group, colour_by_seen
from defemb_core.text import plain
from pages.shared import charts, tables

ALL_ROWS = "all rows"
CHANGE = "change since the start"
# How many times as far as they moved points may be drawn; the least that lets a reader see most of them move.
TIMES = (1, 5, 20, 100)
_VISIBLE = 0.02  # of the width of the map
MOVEMENTS = {
    "relative": ("share of its own length", "How far a row is from where it began, over the length it began with."),
    "moved": ("share of the rows", "Rows that differ from the first snapshot in any bit."),
    "l2": ("units of the table", "Length of row - first row."),
    "cosine": ("cosine", "Cosine of the row with what it was at first; 1 is unturned."),
    "explained": (
        "share of the squared displacement",
        "What one common scale explains: weight decay shrinks all alike.",
    ),
}
SPREAD = {"seen and unseen": "seen", "frequency group": "group"}
COLUMNS = {
    "count": st.column_config.NumberColumn("times seen", help="In the training batches.", format="%d"),
    "relative": st.column_config.NumberColumn("moved by", help="Of its own length at first.", format="percent"),
    "l2": st.column_config.NumberColumn("distance", help="Length of row - first row.", format="%.4f"),
    "cosine": st.column_config.NumberColumn("cosine to start", format="%.4f"),
}


def show_movement(dynamics: Dynamics) -> None:
    """Show how far rows have moved over the steps."""
    left, right = st.columns(2)
    name = left.selectbox("Movement", list(MOVEMENTS), key="movement", bind="query-params", format_func=_words)
    kinds = list(SPREAD) if dynamics.knows_seen else list(SPREAD)[1:]
    by = SPREAD[right.selectbox("Rows by", kinds, key="movement_by", bind="query-params")]
    lines = dynamics.displacement.filter(
        (pl.col("group") == "all") & (pl.col("seen") != "every") if by == "seen" else
        pl.col("group").is_in(GROUPS) & (pl.col("seen") == "every")
    )  # fmt: skip
    unit, explained = MOVEMENTS[name]
    drawn = {str(part): (of["step"].to_list(), of[name].to_list()) for (part,), of in _apart(lines, by)}
    title = f"Movement: {_words(name)}"
    colours = SEEN_COLOURS | GROUP_COLOURS
    percent = name in ("relative", "moved", "explained")
    figure = charts.figures().steps_figure(drawn, title, _rows_note(lines, by), unit, colours, percent)
    charts.show(figure, "dynamics-movement")
    _below(figure, explained + " Means over the rows; measured in the full space.", "dynamics-movement")


def show_isotropy(dynamics: Dynamics) -> None:
    """Show the measure of isotropy that is chosen, over the steps, by frequency group."""
    left, right = st.columns(2)
    names = {measure.name: key for key, measure in MEASURES.items()}
    name = names[left.selectbox("Isotropy", list(names), key="dynamics_measure", bind="query-params")]
    shown = right.selectbox("Shown", [CHANGE, "value"], key="dynamics_shown", bind="query-params")
    measure, drawn = MEASURES[name], {}
    for (part,), of in _apart(dynamics.isotropy, "group"):
        values = of[name] - of[name][0] if shown == CHANGE else of[name]
        drawn[ALL_ROWS if part == "all" else str(part)] = (of["step"].to_list(), values.to_list())
    title = f"{measure.name}: {CHANGE}" if shown == CHANGE else measure.name
    colours = GROUP_COLOURS | {ALL_ROWS: NEUTRAL}
    figure = charts.figures().steps_figure(drawn, title, measure.scale, shown, colours)
    charts.show(figure, "dynamics-isotropy")
    _below(figure, measure.meaning, "dynamics-isotropy")


def show_map(dynamics: Dynamics) -> None:
    """Show rows along the first table's two strongest directions, with a slider of steps that asks no server."""
    st.subheader(
        "The table along two directions, step by step",
        help="The two right singular vectors of the first table with the largest singular values, mean row not "
        "subtracted; the same two for every step, so that places compare. The cross of the two thicker lines is 0: "
        "rows that share a direction lie to one side of it.",
    )
    left, right = st.columns([3, 4], vertical_alignment="bottom")
    kinds = ["seen in training", "frequency group"] if dynamics.knows_seen else ["frequency group"]
    by = left.segmented_control(
        "Colour by", kinds, default=kinds[0], required=True, key="dynamics_colour", bind="query-params"
    )
    times = right.segmented_control(
        "Movement drawn", TIMES, default=_enough(dynamics), required=True, key="dynamics_times",
        format_func="× {}".format, bind="query-params",
        help="How many times as far from its first place as it is each point is drawn. Above 1 small movements can be "
        "seen, but points no longer stand where their rows are.",
    )  # fmt: skip
    svd = dynamics.svd
    tokens = dynamics.tokens[svd.rows.tolist()]
    colour = colour_by_group(tokens) if by == "frequency group" else colour_by_seen(tokens["seen"])
    share = " to ".join(dict.fromkeys(f"{one:.1%}" for one in svd.explained[[0, -1]]))
    note = f"Movement drawn {times} times as far as it is. " if times > 1 else ""
    note += f"{svd.rows.size:,} of {dynamics.tokens.height:,} rows: those that moved most and others drawn at random. "
    note += f"The directions hold {share} of the squared length of all rows"
    labels = [_label(line) for line in tokens.iter_rows(named=True)]
    figure = charts.figures().played_map_figure(
        svd.coordinates, dynamics.steps, colour, labels, "Rows in two directions", note, float(times)
    )
    charts.show(figure, f"dynamics-map-{by}-{times}")


def show_spectrum(dynamics: Dynamics) -> None:
    """Show the singular values at some of the steps."""
    figure = charts.figures().spectrum_steps_figure(dynamics.spectrum, "Singular values over the training")
    charts.show(figure, "dynamics-spectrum")
    _below(
        figure, "How strong each direction of the table is. Lines on top of each other: its shape stays.", "spectrum"
    )


def show_tokens(dynamics: Dynamics) -> None:
    """Show the tokens whose rows moved farthest of their length."""
    st.markdown("**Tokens that moved most**")
    moved = moved_most(dynamics)
    tables.show(
        moved, "moved-most", total=dynamics.tokens.height, column_config=COLUMNS, height=360,
        column_order=["token", "count", "relative", "cosine", "group", "l2", "token_id"],
    )  # fmt: skip


def _enough(dynamics: Dynamics) -> int:
    """Return the least magnification at which half of the rows that moved can be seen to move."""
    places = dynamics.svd.coordinates
    far = np.linalg.norm(places[-1] - places[0], axis=1)
    typical = float(np.median(far[far > 0])) if (far > 0).any() else 0.0
    wide = float(np.ptp(places[0], axis=0).max())
    return next((times for times in TIMES if times * typical > _VISIBLE * wide), TIMES[-1]) if typical else 1


def _apart(lines: pl.DataFrame, by: str) -> list[tuple[tuple[object, ...], pl.DataFrame]]:
    return list(lines.group_by(by, maintain_order=True))


def _rows_note(lines: pl.DataFrame, by: str) -> str:
    counts = lines.group_by(by, maintain_order=True).agg(pl.col("rows").first())
    return ", ".join(f"{rows:,} {part}" for part, rows in counts.iter_rows()) + " rows"


def _below(figure: object, sentence: str, name: str) -> None:
    said, button = st.columns([5, 1], vertical_alignment="center")
    said.caption(sentence)
    with button:
        tables.csv_button(charts.figures().figure_data(figure), name)


def _words(name: str) -> str:
    return {
        "relative": "of a row's length", "moved": "rows that changed", "l2": "distance", "cosine": "cosine to start",
        "explained": "explained by one scale",
    }[name]  # fmt: skip


def _label(line: dict[str, object]) -> str:
    count = line["count"]
    seen = "" if count is None else f", seen {count:,} times"
    return f"{plain(str(line['token']))} ({line['group']}{seen})"
