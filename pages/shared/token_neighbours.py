"""A token's neighbours in both tables side by side: who is new, who is lost, who moved; and a small map of them."""

from functools import partial

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.neighbours import Neighbours, nearest_neighbours
from defemb_core.queries import local_map, local_rows, neighbour_ranks
from defemb_core.text import plain
from pages.shared import charts, state, tables
from pages.shared.search import shown_names
from pages.shared.text import as_text
from pages.shared.token_links import open_token

NEIGHBOURS = 10
TABLES = ("original", "rebuilt")
WHERE = {"original": "lost", "rebuilt": "new"}
"""What a neighbour is called that is among the nearest in one table only."""
SHOWN = ["text", "similarity", "change", "elsewhere", "group", "kind", "token_id"]
MAPS = """Only these rows, laid out by their distances (classical scaling of rows at length 1, which is PCA of just
these). Far more is left out than a map of two directions shows: the lists above are exact, the map is a hint. The two
maps have axes of their own."""


def units_of(comparison: Comparison) -> dict[str, np.ndarray]:
    """Return both tables' rows at length 1, by name."""
    digests = comparison.original_digest, comparison.rebuilt_digest
    matrices = comparison.original, comparison.rebuilt
    return {
        name: state.unit_rows(*pair) for name, pair in zip(TABLES, zip(matrices, digests, strict=True), strict=True)
    }


def the_table(comparison: Comparison, name: str) -> str:
    """Return what a table, "original" or "rebuilt", is called in a sentence, as Markdown."""
    called = comparison.names[TABLES.index(name)]
    return f"the {called}" if comparison.is_usual else as_text(called)


def show_neighbours(comparison: Comparison, token_id: int) -> None:
    """Show the ten nearest in each table, exact, in the full space; a click on one opens its card."""
    units = units_of(comparison)
    count = min(NEIGHBOURS, comparison.plm.rows - 1)
    found = {name: nearest_neighbours(units[name], count, rows=[token_id], normalised=True) for name in TABLES}
    new = len(np.setdiff1d(found["rebuilt"].indices, found["original"].indices))
    text = as_text(plain(comparison.vocabulary["text"][token_id]))
    st.markdown(
        f"#### Neighbours of {text}: {new} of {count} are new",
        help="The nearest rows by cosine, exact and in the full space. Click a token to open it.",
    )
    for column, name, other in zip(st.columns(2, gap="large"), TABLES, reversed(TABLES), strict=True):
        with column:
            st.markdown(f"**Nearest in {the_table(comparison, name)}**")
            frame = neighbour_frame(comparison, found[name], units[other], token_id, name)
            ids = frame["token_id"].to_list()
            tables.show(
                frame, f"neighbours-{name}", column_order=SHOWN, on_click=partial(_open, ids),
                height=38 + 35 * len(ids), version=token_id,
            )  # fmt: skip
    _show_maps(comparison, token_id, found, units)


def neighbour_frame(
    comparison: Comparison, found: Neighbours, other: np.ndarray, token_id: int, table: str
) -> pl.DataFrame:
    """Return neighbours with their places in the other table.

    Args:
        comparison: gives the vocabulary.
        found: of the token alone.
        other: the other table's rows at length 1.
        token_id: the token.
        table: where they were found.

    Returns:
        The vocabulary's lines of the neighbours, nearest first, with `similarity f32`, `elsewhere i64` (the rank in the
        other table) and `change str`: "new" or "lost", else how many places nearer (+) or farther (-) the row is in the
        rebuilt table.
    """
    rows = found.indices[0]
    ranks = neighbour_ranks(other, token_id, rows)
    sign = 1 if table == "rebuilt" else -1
    change = [
        WHERE[table] if rank > len(rows) else f"{sign * (rank - here):+d}" if rank != here else "same"
        for here, rank in enumerate(ranks.tolist(), start=1)
    ]
    lines = comparison.vocabulary[rows.tolist()]
    return lines.with_columns(
        similarity=pl.Series(found.similarities[0]), elsewhere=pl.Series(ranks), change=pl.Series(change)
    )


def _open(ids: list[int], position: int) -> None:
    open_token(ids[position])


def _show_maps(
    comparison: Comparison, token_id: int, found: dict[str, Neighbours], units: dict[str, np.ndarray]
) -> None:
    """Show the neighbours of both tables as two small maps, one a table."""
    rows = local_rows(token_id, found["original"], found["rebuilt"])
    near = {name: set(one.indices[0].tolist()) for name, one in found.items()}
    sides = ["token" if row == token_id else "both" if row in near["original"] & near["rebuilt"]
             else "original" if row in near["original"] else "rebuilt" for row in rows.tolist()]  # fmt: skip
    labels = shown_names(comparison.vocabulary, rows.tolist())
    st.markdown("**Small maps of these neighbours**", help=MAPS)
    for column, name in zip(st.columns(2, gap="large"), TABLES, strict=True):
        with column:
            points, shown = local_map(units[name][rows])
            title = f"Around it in {'the ' * comparison.is_usual}{comparison.names[TABLES.index(name)]}"
            figure = charts.figures().local_map_figure(points, labels, sides, shown, title, _names(comparison))
            charts.show(figure, f"local-{name}")


def _names(comparison: Comparison) -> dict[str, str]:
    """Return what the points of a small map are."""
    first, second = (("the " * comparison.is_usual) + name for name in comparison.names)
    return {
        "both": "near in both",
        "original": f"near in {first} only",
        "rebuilt": f"near in {second} only",
        "token": "the token",
    }
