"""Finding tokens: many by text or regular expression, one by its name."""

import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.text import plain
from pages.shared.own_definition import name_of


def find_tokens(frame: pl.DataFrame, wanted: str, regular: bool) -> pl.DataFrame:
    """Return the lines whose text holds `wanted`, in any case; all lines if it is empty.

    The order stays, but for lines whose whole text is `wanted`: those come first.

    Raises:
        SettingsError: a regular expression that cannot be read.
    """
    if not wanted:
        return frame
    if not regular:
        text = pl.col("text").str.to_lowercase()
        found = frame.filter(text.str.contains(wanted.lower(), literal=True))
        return found.sort(text != wanted.lower(), maintain_order=True)
    try:
        return frame.filter(pl.col("text").str.contains(f"(?i){wanted}"))
    except pl.exceptions.ComputeError:
        raise SettingsError(
            f"{wanted!r} is no regular expression; check its brackets, or search for plain text"
        ) from None


def token_named(vocabulary: pl.DataFrame, name: str) -> int | None:
    """Return the row that a name stands for, None if there is none.

    A name is # and a row's number ("#2924"), a row as the tokenizer stores it, a row's text in this case or in another,
    or "##" and the text of a row inside a word. Where several rows fit, those that start a word come first, then the
    more frequent ones.
    """
    name = name.strip()
    if name.startswith("#") and name[1:].isascii() and name[1:].isdigit():
        number = int(name[1:])
        return number if number < vocabulary.height else None
    text, inside = pl.col("text"), pl.lit(name.removeprefix("##"))
    fits = {
        "stored": pl.col("token") == name,
        "written": text == name,
        "inside": pl.lit(name.startswith("##")) & ~pl.col("starts_word") & (text == inside),
        "folded": text.str.to_lowercase() == name.lower(),
    }
    found = vocabulary.filter(pl.any_horizontal(*fits.values())) if name else vocabulary.head(0)
    by = [fits["written"] & pl.col("starts_word"), *fits.values(), pl.col("starts_word")]
    best = found.sort(*by, "rank", descending=[True] * len(by) + [False], nulls_last=True)
    return None if best.is_empty() else int(best["token_id"][0])


def row_named(vocabulary: pl.DataFrame, name: str) -> int:
    """Return the row that a name stands for; see token_named.

    Raises:
        SettingsError: there is none.
    """
    row = token_named(vocabulary, name)
    if row is None:
        raise SettingsError(
            f"the table has no token {plain(name.strip())!r}; write it as a reader does, or its row as #2924"
        )
    return row


def shown_names(vocabulary: pl.DataFrame, rows: list[int]) -> list[str]:
    """Return what rows are called on charts: by their texts, those inside a word with a mark before it."""
    return [name_of(row) if row["kind"] == "subword" else str(row["text"])
            for row in vocabulary[rows].iter_rows(named=True)]  # fmt: skip


def label_of(vocabulary: pl.DataFrame, token_id: int) -> str:
    """Return a name by which token_named finds this very row: readable where that is enough, else # and its number."""
    name = name_of(vocabulary.row(token_id, named=True))
    return name if token_named(vocabulary, name) == token_id else f"#{token_id}"
