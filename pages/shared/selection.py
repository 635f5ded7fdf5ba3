"""The selected tokens of a comparison, and what the points of its maps are coloured by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.errors import SettingsError
from pages.shared.search import find_tokens
from pages.shared.text import as_text

# What maps can be coloured by: columns of a comparison's changes, and "coverage".
COLOURINGS = {
    "frequency group": "group",
    "kind of token": "kind",
    "part of speech": "pos",
    "rebuilt or kept": "coverage",
    "movement": "movement",
    "new neighbours": "turnover",
    "how often a neighbour, original": "hubness_original",
    "how often a neighbour, rebuilt": "hubness_rebuilt",
    "Zipf frequency": "zipf",
    "length of the original row": "norm_original",
    "length of the rebuilt row": "norm_rebuilt",
}
# What the numbers of a column are, with unit and range; a column that is not named here goes by its own name.
TITLES = {
    "movement": "movement (1 - cosine)",
    "turnover": "share of new neighbours",
    "hubness_original": "among how many rows' ten nearest it is, original",
    "hubness_rebuilt": "among how many rows' ten nearest it is, rebuilt",
    "zipf": "Zipf frequency: log10 of occurrences in a billion words",
    "norm_original": "length of the original row",
    "norm_rebuilt": "length of the rebuilt row",
    "cosine": "cosine of original and rebuilt row, -1 to 1",
}


@dataclass(frozen=True, eq=False)
class Selection:
    """Selected rows.

    Attributes:
        rows: int32, ascending.
        of: the comparison that the rows belong to.
        serial: of the last selection that a browser's maps made; they take no answer to an earlier one.
    """

    rows: np.ndarray
    of: str = ""
    serial: int = 0


def chosen_rows(of: str) -> Selection:
    """Return what was selected last in the comparison `of`."""
    selection: Selection | None = st.session_state.get("selection")
    return selection if selection and selection.of == of else Selection(np.empty(0, np.int32))


def select(rows: np.ndarray, of: str, serial: int | None = None) -> None:
    """Select rows of the comparison `of`; `serial` is given by maps only."""
    rows = np.unique(rows).astype(np.int32)
    last: Selection | None = st.session_state.get("selection")
    if serial is None:
        serial = last.serial if last else 0
    st.session_state["selection"] = Selection(rows, of, serial)


def search_to_select(changes: pl.DataFrame, of: str) -> None:
    """Show a search box that selects what it finds; emptied, it selects nothing."""
    box, switch = st.columns([5, 1], vertical_alignment="bottom")
    wanted = box.text_input(
        "Mark tokens", key="mark", bind="query-params", placeholder="text, or a regular expression"
    ).strip()  # fmt: skip
    regular = switch.toggle(
        "Regex", help="The search text is a regular expression.", key="mark-regex", bind="query-params"
    )
    searched = (of, wanted, regular)
    if searched == st.session_state.get("marked-by", (of, "", regular)):
        return
    try:
        found = find_tokens(changes, wanted, regular)["token_id"].to_numpy() if wanted else np.empty(0)
    except SettingsError as exc:
        st.error(as_text(str(exc)), icon=":material/error:")
        return
    select(found, of)
    st.session_state["marked-by"] = searched
    if wanted:
        st.toast(f"{found.size:,} of {changes.height:,} tokens marked")


def colourings(changes: pl.DataFrame) -> dict[str, str]:
    """Return what these changes can be coloured by: names on screen and what `colour_by` takes."""
    return {name: by for name, by in COLOURINGS.items() if by == "coverage" or by in changes.columns}


def sizings(changes: pl.DataFrame) -> dict[str, str]:
    """Return what points can be sized by: names on screen and the columns of numbers that `colour_by` takes."""
    alike = {"nothing, all alike": ""}
    return alike | {name: by for name, by in colourings(changes).items() if by in TITLES}


def colour_by(changes: pl.DataFrame, by: str) -> Any:
    """Return the colouring by a column of `changes`, or by "coverage": whether a row was rebuilt."""
    from defemb_core import palette

    if by == "group":
        return palette.colour_by_group(changes)
    if by == "kind":
        return palette.colour_by_kind(changes)
    if by == "pos":
        return palette.colour_by_pos(changes)
    if by == "coverage":
        return palette.colour_by_coverage(changes["rebuilt"].to_numpy())
    numbers = changes[by].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return palette.colour_by_values(by.replace("_", " "), numbers, TITLES.get(by, by.replace("_", " ")))
