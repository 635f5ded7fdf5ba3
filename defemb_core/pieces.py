"""Word pieces: rows without a definition of their own, told by the definitions of words that contain them.

"##ground" has no definition, yet "playground" and "underground" have, and are cut into pieces of which it is one. Such
evidence is weaker than a definition of the row itself and is marked so; weaker still are words that the tokenizer cuts
otherwise, which tell of rows that no word is cut into.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.definitions import HOW, OTHER_CUT, PIECES, describe_matches, match_definitions
from defemb_core.other_cuts import cut_otherwise
from defemb_core.prompts import Cut, plain_tokenizer
from defemb_core.text import folded, without_accents

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from defemb_core.dictionaries import Beyond, Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

# Words that tell of a piece, at most: those of the fewest pieces first, in the dictionary's order.
MAX_WORDS = 5
# Words of more pieces say little about each.
MAX_PIECES = 4
MAX_PIECES_OF_SEVERAL = 8  # the same of a name or an expression
AT_ONCE = 50_000  # words that the tokenizer is given at once


def matched_senses(plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, settings: Settings) -> pl.DataFrame:
    """Return the definitions of rows, and of words that contain further rows if the settings say so.

    As describe_matches returns them, with match_pieces' columns `pieces` and `at` where word pieces are asked for.
    """
    matches = match_definitions(vocabulary, dictionary, settings.max_senses, settings.left_out)
    senses = describe_matches(vocabulary, matches, dictionary)
    if settings.pieces:
        ways = [how for how in PIECES if how not in settings.left_out]
        pieces = _piece_senses(plm, vocabulary, dictionary, matches["token_id"], ways)
        senses = pl.concat([senses, *pieces], how="diagonal").sort("token_id", maintain_order=True)
    return senses


def _piece_senses(
    plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, covered: pl.Series, ways: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Yield the senses of words that contain rows, a way after the other, each for rows that nothing before tells of.

    Of each way those of the dictionary's own words come first, then of those that were left unread, forms among them.
    """
    start = dictionary.definitions.height
    for how in ways:
        forms = how == OTHER_CUT  # evidence as weak as that is no better without them
        matches = match_pieces(plm, vocabulary, dictionary, covered.unique().to_numpy(), forms, how)
        yield describe_matches(vocabulary, matches, dictionary)
        covered = pl.concat([covered, matches["token_id"]]).unique()
        for source in dictionary.sources or (dictionary,):
            if source.beyond:
                unread = _unread(plm, vocabulary, source, source.beyond, covered, how)
                matches = match_pieces(plm, vocabulary, unread, covered.to_numpy(), True, how)
                yield describe_matches(vocabulary, matches, unread).with_columns(pl.col("definition") + start)
                covered = pl.concat([covered, matches["token_id"]]).unique()
                start += unread.definitions.height


def _unread(
    plm: PLM, vocabulary: pl.DataFrame, source: Dictionary, beyond: Beyond, covered: pl.Series, how: str
) -> Dictionary:
    """Return what a source left unread of words that contain rows without a definition."""
    rows = vocabulary.filter((pl.col("group") != "none") & ~pl.col("token_id").is_in(covered.implode()))
    texts = rows.select(spelled=folded("text")).select(without_accents("spelled"))["spelled"]
    words = beyond.words().alias("text").to_frame().with_columns(spelled=folded("text"))
    near = words.filter(without_accents("spelled").str.contains_any(texts.filter(texts != "").implode()))
    told = _telling(plm, vocabulary, near.with_row_index("line"), covered.to_numpy(), how)["text"].unique()
    return dataclasses.replace(source, definitions=beyond.read(told.sort().to_list()), beyond=None)


def match_pieces(
    plm: PLM,
    vocabulary: pl.DataFrame,
    dictionary: Dictionary,
    covered: np.ndarray,
    forms: bool = False,
    how: str = "piece",
) -> pl.DataFrame:
    """Return definitions of words that contain rows without one of their own.

    A word's first sense counts, in lower case if the tokenizer folds case and as the dictionary writes it otherwise.
    Single words come first, then names and expressions of several: "Ludwig van Beethoven" tells of "ludwig".

    Args:
        plm: its tokenizer cuts the words.
        vocabulary: the vocabulary frame.
        dictionary: where words and definitions come from.
        covered: rows that have a definition of their own.
        forms: whether words that are only forms of others ("blackberries") count too.
        how: "piece" for words as the tokenizer cuts them, "other-cut" for words that it cuts otherwise.

    Returns:
        One line a row and containing word, in row order: `token_id i64, definition u32` (line of
        `dictionary.definitions`), `weight f32` (sums to 1 a row), `how`, `text` (the word), `pieces
        list[i64]` (the rows that it is cut into) and `at i64` (which of them this row is).
    """
    lines = dictionary.definitions.with_row_index("line")
    lemmas = lines.filter((pl.col("sense") == 0) & pl.col("form_of").is_null())
    words = (lines.unique("word", keep="first", maintain_order=True) if forms else lemmas).select("line", text="word")
    return _telling(plm, vocabulary, words, covered, how).select(
        "token_id",
        definition="line",
        weight=(1.0 / pl.len().over("token_id")).cast(pl.Float32),
        how=pl.lit(how).cast(HOW),
        text="text",
        pieces="pieces",
        at="at",
    )


def _telling(plm: PLM, vocabulary: pl.DataFrame, words: pl.DataFrame, covered: np.ndarray, how: str) -> pl.DataFrame:
    """Return which words tell of rows without a definition of their own, at most MAX_WORDS of each row.

    `words` have `line` and `text` and the dictionary's order; the other arguments are those of match_pieces. One line a
    row and word comes back: the words' columns, `several`, `pieces`, `at` and `token_id`.
    """
    words = words.filter(pl.col("text").str.contains(r"\p{L}"))
    words = words.with_columns(several=~pl.col("text").str.contains(r"^\w+$"))
    rows = vocabulary.select("token_id", open=(pl.col("group") != "none") & ~pl.col("token_id").is_in(covered.tolist()))
    if how == OTHER_CUT:
        return cut_otherwise(plm, vocabulary, words, rows.filter("open")["token_id"].to_numpy(), MAX_WORDS)
    cut = words.with_columns(pieces=_pieces(plain_tokenizer(plm.tokenizer), words["text"]))
    number, most = pl.col("pieces").list.len(), pl.when("several").then(MAX_PIECES_OF_SEVERAL).otherwise(MAX_PIECES)
    return (
        cut.filter(number.is_between(2, most))
        .with_columns(at=pl.int_ranges(number), token_id=pl.col("pieces"))
        .explode("at", "token_id")
        .join(rows.filter("open"), on="token_id")
        .sort("token_id", "several", number, "line", "at")
        .unique(["token_id", "text"], keep="first", maintain_order=True)
        .filter(pl.int_range(pl.len()).over("token_id") < MAX_WORDS)
    )


def _pieces(tokenizer: Tokenizer, words: pl.Series) -> pl.Series:
    """Return the rows that each word is cut into; some words at a time, since what a tokenizer answers is large."""
    cut = [pl.Series("pieces", [], dtype=pl.List(pl.Int64))]
    for part in words.to_frame().iter_slices(AT_ONCE):
        encodings = tokenizer.encode_batch_fast([f" {word}" for word in part.to_series()], add_special_tokens=False)
        cut.append(pl.Series("pieces", [encoding.ids for encoding in encodings], dtype=pl.List(pl.Int64)))
    return pl.concat(cut)


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
    pieces = np.isin(ids, senses.filter(pl.col("how").cast(pl.String).is_in(PIECES))["token_id"].to_numpy())
    return [~pieces, pieces]


def apart(make: Callable[[np.ndarray], np.ndarray], senses: pl.DataFrame, ids: np.ndarray) -> np.ndarray:
    """Return the lines that `make` returns for numbers of `ids`, given those of each part by themselves.

    So what weighs tokens by all that it is given is the same for whole words whether pieces are rebuilt or not.
    """
    numbers = [np.flatnonzero(part) for part in parts_of(senses, ids) if part.any()]
    return np.concatenate([make(lines) for lines in numbers])[np.argsort(np.concatenate(numbers))]
