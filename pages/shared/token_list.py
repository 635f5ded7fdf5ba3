"""The list of tokens: searched, sorted, and one of them picked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.processes import start_analysis
from defemb_core.runs import analysis_status
from pages.shared import state, tables
from pages.shared.progress import watch_analysis
from pages.shared.search import find_tokens


@dataclass(frozen=True)
class Order:
    """How the list may be sorted.

    Attributes:
        column: of the frame of changes; an order whose column it lacks is not offered.
        descending: whether the largest come first.
        explanation: what the number is; half a sentence.
        with_kept: whether "Rare only" lists rows that were kept as they were, too.
    """

    column: str
    descending: bool
    explanation: str
    with_kept: bool = False


ORDERS: Final = {
    "new neighbours": Order("turnover", True, "how many of the ten nearest neighbours are new"),
    "movement": Order("movement", True, "movement, 1 - cosine of the original with the rebuilt row"),
    "shortest rows": Order("norm_original", False, "norm of the original row, shortest first", True),
    "longest rows": Order("norm_original", True, "norm of the original row, longest first", True),
    "like unused rows": Order(
        "unused_distance",
        False,
        "distance (1 - cosine) of the original row to the mean of the rows that no text uses: "
        "the nearest, which training may hardly have met, come first",
        True,
    ),
    "like unused rows, less the shared part": Order(
        "unused_distance_removed",
        False,
        "that distance after the first principal direction, which all rows may share, is taken out",
        True,
    ),
    "hubs": Order("hubness_rebuilt", True, "how many rows have it among their ten nearest in the second table"),
    "rarest": Order("rank", True, "frequency rank, rarest first", True),
}
"""All are measured in the full space, never in a map."""
UNDERTRAINED: Final = ("unused_distance", "unused_distance_removed")
"""Columns that are measured when the list is sorted by them first; only where the PLM has rows that no text uses."""


def pick_token(comparison: Comparison, changes: pl.DataFrame, folder: Path) -> int:
    """Show search, order and list; return the token that is picked, or whose id is typed, else the first found.

    Args:
        comparison: the two tables.
        changes: as token_changes returns them.
        folder: where the two tables' neighbours are measured.
    """
    wanted = st.text_input("Search", key="q", bind="query-params", placeholder="text, or a regular expression")
    by = _choose_order(changes)
    options = st.columns(2)
    regular = options[0].toggle(
        "Regex", help="The search text is a regular expression.", key="regex", bind="query-params"
    )
    rare = options[1].toggle(
        "Rare only", True, key="rare", help="Low-frequency tokens: those that were rebuilt, or all of them where the "
        "order tells of the original row. A search looks at all.",
        bind="query-params", disabled=bool(wanted),
    )  # fmt: skip
    if "turnover" not in changes.columns:
        _offer_turnover(folder)
    order = ORDERS[by]
    if order.column in UNDERTRAINED:
        changes = changes.join(state.undertrained_of(comparison), on="token_id", maintain_order="left")
    sorted_ = changes.sort(order.column, "movement", descending=[order.descending, True], nulls_last=True)
    found = find_tokens(sorted_, wanted, regular)
    if rare and not wanted:
        found = found.filter((pl.col("group") == "rare") & (pl.col("rebuilt") | order.with_kept))
    st.caption(f"Sorted by {order.explanation}, measured in the full space.")
    columns = dict.fromkeys(["text", "kind", order.column, "turnover", "cosine", "group", "zipf", "norm_original",
                             "norm_rebuilt", "token_id"])  # fmt: skip
    chosen = tables.show(
        found, "tokens", total=changes.height, select=True, height=min(420, 38 + 35 * max(found.height, 1)),
        column_order=list(columns),
    )  # fmt: skip
    picked = int(found["token_id"][chosen[0]]) if chosen else None
    if picked is not None and picked != st.session_state.get("picked"):
        st.session_state["token"] = picked
    st.session_state["picked"] = picked  # a token id typed later stands until another row is picked
    return _ask_for_id(found, changes.height)


def _choose_order(changes: pl.DataFrame) -> str:
    has = {*changes.columns, *(UNDERTRAINED if (changes["kind"] == "unused").any() else ())}
    known = [name for name, order in ORDERS.items() if order.column in has]
    if st.session_state.get("sort") not in known:  # the neighbours of another run may not be known yet
        st.session_state.pop("sort", None)
    told = "\n".join(f"- **{name}**: {ORDERS[name].explanation}" for name in known)
    return st.selectbox("Sort by", known, key="sort", bind="query-params", help=f"{told}\n\nAll in the full space.")


def _offer_turnover(folder: Path) -> None:
    """Show how far the search for neighbours is, or offer to begin it."""
    status = analysis_status(folder)
    if status and status.is_active:
        watch_analysis(folder)
    elif st.button(
        "Measure every token's change of neighbours", icon=":material/hub:", help="About half a minute, once."
    ):
        start_analysis(folder)
        st.rerun()


def _ask_for_id(found: pl.DataFrame, rows: int) -> int:
    if found.is_empty():
        st.info("No token matches; try fewer letters.", icon=":material/info:")
    first = int(found["token_id"][0]) if found.height else 0
    token = st.number_input(
        "Token id", 0, rows - 1, None, key="token", bind="query-params", placeholder=f"{first}, the first found",
        help="The row of the table: pick a token in the list, or type an id.",
    )  # fmt: skip
    return first if token is None else int(token)
