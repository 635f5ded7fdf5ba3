"""Other cuts of words: rows that no word is cut into, told by words whose text contains theirs.

The tokenizer keeps "Winchester" whole, yet could have written it "win ##chester". Such cuts are what subword
regularisation trains with (Kudo 2018, arXiv 1804.10959); the pieces around the row are the longest that fit, as
WordPiece takes them. A row inside words may be a word by its text alone, "##quay". That a text contains another often
is chance: this is the weakest evidence there is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import polars as pl

from defemb_core.prompts import plain_tokenizer

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

    from defemb_core.plm import PLM

_PARTS = re.compile(r"\w+|[^\w\s]")
# Whether a piece is all of a word, begins it, or goes on with it.
_IS_ALL = pl.col("part") == pl.col("piece")
_BEGINS = pl.col("part").str.starts_with(pl.col("piece")) & ~_IS_ALL
_GOES_ON = pl.col("part").str.slice(1).str.contains(pl.col("piece"), literal=True)
_Rows = dict[str, int]


def cut_otherwise(
    plm: PLM, vocabulary: pl.DataFrame, words: pl.DataFrame, open_rows: np.ndarray, most: int
) -> pl.DataFrame:
    """Return words that can be cut so that rows are pieces of them, the shortest first.

    Args:
        plm: its tokenizer says how words are spelled for it, in lower case say.
        vocabulary: the vocabulary frame.
        words: with the columns `line`, `text` and `several` (whether the text is more than one word).
        open_rows: the rows that are asked for, (n,); those without letters are passed over.
        most: words of a row, at most.

    Returns:
        The words' columns, `pieces list[i64]` (rows; one alone where the row spells the word), `at i64` and `token_id`
        (`pieces[at]`): a line a row and word, in row order, single words before those of several.
    """
    rows = vocabulary.filter(pl.col("token_id").is_in(open_rows.tolist()) & pl.col("text").str.contains(r"\p{L}"))
    spelled = words.with_columns(spelled=_spelled(plain_tokenizer(plm.tokenizer), words["text"]))
    parts = spelled.with_columns(part=pl.col("spelled").str.extract_all(r"\w+")).explode("part").drop_nulls("part")
    texts = rows["text"].unique().implode()
    found = (
        parts.with_columns(piece=pl.col("part").str.extract_many(texts, overlapping=True))
        .explode("piece")
        .drop_nulls("piece")
        .join(rows.select("token_id", "starts_word", piece="text"), on="piece")
        .filter(pl.when("starts_word").then(_BEGINS).otherwise(_GOES_ON | _IS_ALL))
        .sort("token_id", "several", pl.col("text").str.len_chars(), "line")
        .unique(["token_id", "text"], keep="first", maintain_order=True)
    )
    first = found.filter(pl.int_range(pl.len()).over("token_id") < most)
    starts, inside = (_rows_of(vocabulary, where) for where in (True, False))
    cuts = [_cut(line, starts, inside) for line in first.iter_rows(named=True)]
    pieces = pl.Series("pieces", [cut and cut[0] for cut in cuts], dtype=pl.List(pl.Int64))
    at = pl.Series("at", [cut and cut[1] for cut in cuts], dtype=pl.Int64)
    return first.with_columns(pieces, at).drop_nulls("pieces").select(*words.columns, "pieces", "at", "token_id")


def _spelled(tokenizer: Tokenizer, words: pl.Series) -> pl.Series:
    """Return words as the tokenizer reads them: without accents, in lower case, whatever it does before it cuts."""
    if (normalizer := tokenizer.normalizer) is None:
        return words.alias("spelled")
    return pl.Series("spelled", [normalizer.normalize_str(word) for word in words], dtype=pl.String)


def _rows_of(vocabulary: pl.DataFrame, starts_word: bool) -> _Rows:
    """Return rows that take part by their text, those that start words or the others; of two the first counts."""
    chosen = vocabulary.filter((pl.col("starts_word") == starts_word) & (pl.col("group") != "none"))
    return dict(chosen.reverse().select("text", "token_id").iter_rows())


def _cut(line: dict[str, Any], starts: _Rows, inside: _Rows) -> tuple[list[int], int] | None:
    """Return the rows of a word of which a given one is a piece, and where it stands; None where some have no row."""
    part, piece = line["part"], line["piece"]
    pieces: list[int] = []
    at = None
    for word in _PARTS.findall(line["spelled"]):
        if at is None and word == part:
            place = 0 if line["starts_word"] or part == piece else part.index(piece, 1)
            before = _longest(part[:place], starts, inside)
            after = _longest(part[place + len(piece) :], inside, inside)
            own = None if before is None or after is None else [*before, line["token_id"], *after]
            at = len(pieces) + len(before or ())
        else:
            own = _longest(word, starts, inside)
        if own is None:
            return None
        pieces += own
    return None if at is None else (pieces, at)


def _longest(text: str, first: _Rows, others: _Rows) -> list[int] | None:
    """Return the rows of a text, each the longest that fits, the first of `first`; None if there is none somewhere."""
    rows: list[int] = []
    while text:
        known = others if rows else first
        length = next((length for length in range(len(text), 0, -1) if text[:length] in known), None)
        if length is None:
            return None
        rows.append(known[text[:length]])
        text = text[length:]
    return rows
