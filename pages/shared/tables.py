"""Tables of tokens: texts shown as text, every row counted, a download that no spreadsheet runs as a formula."""

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

from defemb_core.text import LONGEST, formula_safe, plain

# Rows sent to the browser at once; the rest is counted, searched for, and in the download.
SHOWN = 2000
_COLUMNS = {
    "token_id": st.column_config.NumberColumn("id", help="The row of the table.", format="%d"),
    "token": st.column_config.TextColumn("token", help="As the tokenizer stores it."),
    "text": st.column_config.TextColumn("text", help="As a reader writes it."),
    "starts_word": st.column_config.CheckboxColumn("starts word"),
    "zipf": st.column_config.NumberColumn(
        "Zipf", help="log10 of occurrences in a billion words (wordfreq).", format="%.1f"
    ),
    "rank": st.column_config.NumberColumn("rank", help="0 is the most frequent.", format="%d"),
    "rebuilt": st.column_config.CheckboxColumn("rebuilt"),
    "cosine": st.column_config.NumberColumn("cosine", help="Original row with rebuilt row, -1 to 1.", format="%.3f"),
    "movement": st.column_config.NumberColumn("movement", help="1 - cosine; 0 is unmoved.", format="%.3f"),
    "turnover": st.column_config.ProgressColumn(
        "turnover", help="Share of the ten nearest neighbours (full space) that are new.", format="percent", max_value=1
    ),
    "norm_original": st.column_config.NumberColumn("norm original", format="%.2f"),
    "norm_rebuilt": st.column_config.NumberColumn("norm rebuilt", format="%.2f"),
    "unused_distance": st.column_config.NumberColumn(
        "to unused rows", help="1 - cosine with the mean of the rows that no text uses; 0 is like them.", format="%.3f"
    ),
    "unused_distance_removed": st.column_config.NumberColumn(
        "to unused rows, less the shared part",
        format="%.3f",
        help="The same after the table's first principal direction, which all rows may share, is taken out.",
    ),
    "hubness_rebuilt": st.column_config.NumberColumn(
        "near to", help="Among how many rows' ten nearest it is in the second table; 10 on average.", format="%d"
    ),
    "elsewhere": st.column_config.NumberColumn(
        "other rank", help="Its place among all rows in the other table; 1 is the nearest.", format="%d"
    ),
    "change": st.column_config.TextColumn(
        "change", help="new or lost: among the ten in one table only; else how many places nearer (+) or farther (-)."
    ),
    "score": st.column_config.NumberColumn("score", help="How well the row answers; higher is better.", format="%.3f"),
    "similarity": st.column_config.NumberColumn("cosine", help="In the full space, -1 to 1.", format="%.3f"),
}


def as_plain(frame: pl.DataFrame, *columns: str, longest: int = LONGEST) -> pl.DataFrame:
    """Return the frame with those of its columns made plain that are named, each text cut at `longest`.

    Not by map_elements: the engine's threads would wait for Python while sessions in Python wait for the engine, and
    ten sessions that opened at once stopped the server.
    """
    found = [column for column in columns if column in frame.columns]
    made = {name: [None if text is None else plain(text, longest) for text in frame[name]] for name in found}
    return frame.with_columns(pl.Series(name, texts, dtype=pl.String) for name, texts in made.items())


def show(
    frame: pl.DataFrame,
    name: str,
    total: int | None = None,
    select: bool = False,
    on_click: Callable[[int], None] | None = None,
    version: object = "",
    **options: Any,
) -> list[int]:
    """Show a frame and return the positions of the rows selected.

    Args:
        frame: what to show.
        name: of the download, and the widget's key.
        total: how many rows there are in all, if `frame` is a part of them.
        select: whether one row can be selected.
        on_click: called with the position of a row whose cell is clicked, before the page runs again.
        version: of a table that is another one, with nothing selected, when this changes.
        options: further arguments of st.dataframe.
    """
    shown = as_plain(frame.head(SHOWN), "token", "text")
    key = f"table-{name}-{version}" if version != "" else f"table-{name}"
    selecting: dict[str, Any] = {"on_select": "rerun", "selection_mode": "single-row"} if select else {}
    if on_click:
        selecting = {"on_select": lambda: _clicked(key, on_click), "selection_mode": "single-cell"}
    event = st.dataframe(
        shown,
        key=key,
        column_config=_COLUMNS | options.pop("column_config", {}),
        hide_index=True,
        width="stretch",
        **selecting,
        **options,
    )
    cut = f", the first {SHOWN:,} shown" if frame.height > SHOWN else ""
    line, button = st.columns([2, 1], vertical_alignment="center")
    line.caption(f"{frame.height:,} of {total or frame.height:,} rows{cut}.")
    with button:
        csv_button(frame, name)
    return list(event["selection"]["rows"]) if select else []


def csv_button(frame: pl.DataFrame, name: str) -> None:
    """Offer all of a frame as a CSV file that no spreadsheet runs as a formula."""
    st.download_button(
        "CSV", lambda: formula_safe(frame).write_csv().encode(), f"{name}.csv", "text/csv", key=f"csv-{name}",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip


def _clicked(key: str, on_click: Callable[[int], None]) -> None:
    for row, _ in st.session_state[key]["selection"]["cells"]:
        on_click(int(row))
