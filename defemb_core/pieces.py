"""Word pieces: rows without a definition of their own, told by the definitions of words that contain them.

"##ground" has no definition, yet "playground" and "underground" have, and are cut into pieces of which it is one. Such
evidence is weaker than a definition of the row itself and is marked so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.definitions import HOW, describe_matches, match_definitions
from defemb_core.prompts import Cut, plain_tokenizer

if TYPE_CHECKING:
    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

# Words that tell of a piece, at most: those of the fewest pieces first, in the dictionary's order.
MAX_WORDS = 5
# Words of more pieces say little about each.
MAX_PIECES = 4
MAX_PIECES_OF_SEVERAL = 8  # the same of a name or an expression


def matched_senses(plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, settings: Settings) -> pl.DataFrame:
    """Return the definitions of rows, and of words that contain further rows if the settings say so.

    As describe_matches returns them, with match_pieces' columns `pieces` and `at` where word pieces are asked for.
    """
    matches = match_definitions(vocabulary, dictionary, settings.max_senses, settings.left_out)
    senses = describe_matches(vocabulary, matches, dictionary)
    if settings.pieces:
        found = match_pieces(plm, vocabulary, dictionary, matches["token_id"].unique().to_numpy())
        pieces = describe_matches(vocabulary, found, dictionary)
        senses = pl.concat([senses, pieces], how="diagonal").sort("token_id", maintain_order=True)
    return senses


def match_pieces(plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, covered: np.ndarray) -> pl.DataFrame:
    """Return definitions of words that contain rows without one of their own.

    A word's first sense counts (its other forms do not), in lower case if the tokenizer folds case and as the
    dictionary writes it otherwise. Single words come first, then names and expressions of several: "Ludwig van
    Beethoven" tells of "ludwig".

    Args:
        plm: its tokenizer cuts the words.
        vocabulary: the vocabulary frame.
        dictionary: where words and definitions come from.
        covered: rows that have a definition of their own.

    Returns:
        One line a row and containing word, in row order: `token_id i64, definition u32` (line of
        `dictionary.definitions`), `weight f32` (sums to 1 a row), `how` ("piece"), `text` (the word), `pieces
        list[i64]` (the rows that it is cut into) and `at i64` (which of them this row is).
    """
    words = (
        dictionary.definitions.with_row_index("line")
        .filter((pl.col("sense") == 0) & pl.col("form_of").is_null() & pl.col("word").str.contains(r"\p{L}"))
        .select("line", text="word", several=~pl.col("word").str.contains(r"^\w+$"))
    )
    encodings = plain_tokenizer(plm.tokenizer).encode_batch_fast(
        [f" {word}" for word in words["text"]], add_special_tokens=False
    )
    cut = words.with_columns(pieces=pl.Series([e.ids for e in encodings], dtype=pl.List(pl.Int64)))
    rows = vocabulary.select("token_id", open=(pl.col("group") != "none") & ~pl.col("token_id").is_in(covered.tolist()))
    number, most = pl.col("pieces").list.len(), pl.when("several").then(MAX_PIECES_OF_SEVERAL).otherwise(MAX_PIECES)
    found = (
        cut.filter(number.is_between(2, most))
        .with_columns(at=pl.int_ranges(number), token_id=pl.col("pieces"))
        .explode("at", "token_id")
        .join(rows.filter("open"), on="token_id")
        .sort("token_id", "several", number, "line", "at")
        .unique(["token_id", "text"], keep="first", maintain_order=True)
        .filter(pl.int_range(pl.len()).over("token_id") < MAX_WORDS)
    )
    return found.select(
        "token_id",
        definition="line",
        weight=(1.0 / pl.len().over("token_id")).cast(pl.Float32),
        how=pl.lit("piece").cast(HOW),
        text="text",
        pieces="pieces",
        at="at",
    )


def cuts_of(senses: pl.DataFrame) -> list[Cut | None] | None:
    """Return, a line of the senses, how its word is cut and which piece is asked for; None where no line is of a piece.

    Lines of rows with a definition of their own have None.
    """
    if "pieces" not in senses.columns:
        return None
    lines = senses.select("pieces", "at").iter_rows()
    return [None if pieces is None else (tuple(pieces), at) for pieces, at in lines]


def parts_of(senses: pl.DataFrame, ids: np.ndarray) -> list[np.ndarray]:
    """Return which tokens have definitions of their own, and which only those of words that contain them."""
    pieces = np.isin(ids, senses.filter(pl.col("how") == "piece")["token_id"].to_numpy())
    return [~pieces, pieces]


def apart(make: Callable[[np.ndarray], np.ndarray], senses: pl.DataFrame, ids: np.ndarray) -> np.ndarray:
    """Return the lines that `make` returns for numbers of `ids`, given those of each part by themselves.

    So what weighs tokens by all that it is given is the same for whole words whether pieces are rebuilt or not.
    """
    numbers = [np.flatnonzero(part) for part in parts_of(senses, ids) if part.any()]
    return np.concatenate([make(lines) for lines in numbers])[np.argsort(np.concatenate(numbers))]
