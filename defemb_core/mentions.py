"""What the definitions of other words say about a word by using it: whose definitions mention it.

"Kennel" and "leash" are defined by way of "dog"; so the words that mention it tell about it, as extended gloss overlaps
do (Banerjee and Pedersen 2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.features import token_counts, weigh_tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from defemb_core.plm import PLM

NONE = np.empty(0, dtype=np.int64)


def bag_of_mentions(
    plm: PLM, vocabulary: pl.DataFrame, ids: np.ndarray, definitions: pl.DataFrame, more: np.ndarray = NONE
) -> np.ndarray:
    """Return, for each row, the weighted mean of the input embeddings of the words whose definitions mention its word.

    A definition counts by the inverse of its length in words, a token of its headwords by the square of its inverse
    document frequency, as in bags of embeddings. The word's own rows, in any case, are left out. The mean of all bags
    is subtracted and the rest multiplied by the square root of the number of mentions: the noise of a mean of n things
    falls by that factor, so that afterwards every bag is about as noisy and those of few mentions say little.

    Args:
        plm: gives tokenizer and table.
        vocabulary: the vocabulary frame.
        ids: rows whose texts are whole words, (n,).
        definitions: the dictionary's definition frame; its lines of a word's forms are passed over, since they repeat
            what the word's own say.
        more: further such rows, (m,), which change nothing for `ids`: weights and mean stay theirs.

    Returns:
        float32 (n + m, H), those of `more` last; zeros for a word that no definition mentions.
    """
    folded = vocabulary["text"].str.to_lowercase()
    own, rows = folded[ids].unique(maintain_order=True), np.concatenate([ids, more])
    words = folded[rows].unique(maintain_order=True)  # those of `ids` come first
    definitions = definitions.filter(pl.col("form_of").is_null())
    by_gloss = definitions.group_by("definition", maintain_order=True).agg(pl.col("word").unique(maintain_order=True))
    mentions = _mentions(by_gloss.with_row_index("gloss"), words)
    used = mentions.filter(pl.col("word") < len(own))["gloss"].unique().sort()
    mentions = mentions.filter(pl.col("gloss").is_in(used.implode()))
    place = np.searchsorted(used.to_numpy(), mentions["gloss"].to_numpy())
    heads, headwords = _heads(plm, by_gloss["word"][used.to_numpy()])
    found = mentions["word"].to_numpy()
    counts = (_sparse(mentions["share"].to_numpy(), found, place, (len(words), len(used))) @ heads).tocoo()
    line_of_row = _lines(words, folded)
    counts.data[line_of_row[counts.coords[1]] == counts.coords[0]] = 0
    totals = np.asarray(counts.sum(axis=1), dtype=np.float32).reshape(-1, 1)
    bags = np.asarray(counts.tocsr() @ plm.matrix) / np.where(totals > 0, totals, np.float32(1))
    mentioned = totals[:, 0] > 0
    number = np.bincount(found, weights=headwords[place], minlength=len(words))
    weight = np.where(mentioned, np.sqrt(number), 0.0).astype(np.float32).reshape(-1, 1)
    known = np.flatnonzero(mentioned[: len(own)])
    mean = bags[known].mean(axis=0) if known.size else np.float32(0)
    return ((bags - mean) * weight)[line_of_row[rows]]


def _heads(plm: PLM, words: pl.Series) -> tuple[csr_array, np.ndarray]:
    """Return what lists of headwords are made of: weighed tokens, each headword alike, (n, V); and their numbers."""
    spoken = words.explode()
    distinct = spoken.unique(maintain_order=True)
    place = _lines(distinct, spoken)
    counts = token_counts(plm, distinct)
    each = np.asarray(counts.sum(axis=1)).ravel()
    weighed = weigh_tokens(counts)
    weighed.data /= np.repeat(np.where(each > 0, each, 1), np.diff(weighed.indptr)).astype(np.float32)
    numbers = words.list.len().to_numpy()
    lines = np.repeat(np.arange(len(words)), numbers)
    together = _sparse(np.ones(len(lines), np.float32), lines, place, (len(words), len(distinct)))
    return together @ weighed, numbers


def _sparse(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array((values, (rows, columns)), shape=shape)


def _mentions(by_gloss: pl.DataFrame, words: pl.Series) -> pl.DataFrame:
    """Return which gloss mentions which word: `gloss`, `word` (line of `words`), `share` (inverse of the length)."""
    spoken = by_gloss.select("gloss", text=pl.col("definition").str.to_lowercase().str.extract_all(r"\w+"))
    spoken = spoken.with_columns(share=(1.0 / pl.col("text").list.len()).cast(pl.Float32)).explode("text")
    lines = pl.DataFrame({"text": words}).with_row_index("word")
    return spoken.join(lines, on="text").unique(["gloss", "word"]).sort("word", "gloss")


def _lines(words: pl.Series, texts: pl.Series) -> np.ndarray:
    """Return which of `words` each text is, int64, -1 for none."""
    lines = pl.DataFrame({"text": words}).with_row_index("line")
    found = pl.DataFrame({"text": texts}).join(lines, on="text", how="left", maintain_order="left")
    return found["line"].cast(pl.Int64).fill_null(-1).to_numpy()
