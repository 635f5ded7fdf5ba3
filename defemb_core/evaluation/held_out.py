"""How well definitions find rows that the map never saw."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.pieces import parts_of

SHARE = 0.2
TIE = 1e-6  # cosines as close as this are equal; they are computed in float32
BLOCK = 2048  # predictions compared at a time: 2,048 x 50,000 similarities are 400 MB in float32


@dataclass(frozen=True)
class HeldOut:
    """Evidence from held-out tokens.

    Attributes:
        tokens: how many were held out.
        cosine: mean centred cosine of predicted and true row, -1 to 1, higher is better, 0 is chance.
        mrr: mean reciprocal rank of the true row among all held-out rows, 0 to 1, higher is better. Rows that tie share
            the mean of their ranks, so that a prediction which is the same for all of them earns chance.
        median_rank: median of those ranks, 1 is best, (tokens + 1) / 2 is chance.
    """

    tokens: int
    cosine: float
    mrr: float
    median_rank: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """What held-out tokens earn, each by itself.

    Attributes:
        cosines: centred cosine of predicted and true row, (n,).
        ranks: rank of the true row among all n, (n,).
    """

    cosines: np.ndarray
    ranks: np.ndarray

    def of(self, chosen: np.ndarray | slice = slice(None)) -> HeldOut:
        """Return the figures of some tokens, of all if none are named; their ranks stay those among all."""
        cosines, ranks = self.cosines[chosen], self.ranks[chosen]
        return HeldOut(len(ranks), float(cosines.mean()), float((1.0 / ranks).mean()), float(np.median(ranks)))

    def by(self, senses: pl.DataFrame, ids: np.ndarray, columns: Sequence[str] = ("source", "how")) -> dict[str, Any]:
        """Return the same figures for the tokens of each source, and of each way in which they were matched.

        Args:
            senses: as describe_matches returns them; a token's first line says where it belongs.
            ids: the tokens, (n,).
            columns: by what.

        Returns:
            column, then its value, to HeldOut as a dict.
        """
        first = senses.unique("token_id", keep="first", maintain_order=True)
        lines = pl.DataFrame({"token_id": ids}).join(first, on="token_id", how="left", maintain_order="left")
        return {column: self._by_value(lines[column].cast(pl.String)) for column in columns}

    def _by_value(self, values: pl.Series) -> dict[str, dict[str, Any]]:
        return {value: asdict(self.of((values == value).to_numpy())) for value in values.unique().sort()}


def split_words(words: np.ndarray, seed: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Return (fitted, held out) row numbers 0..n-1, both ascending, rows of one word together.

    A cased tokenizer has rows for "dog", "Dog" and "DOG", of the same definitions and much alike, and any has "dogs":
    one that is fitted would tell of another that is held out. Which words are held out depends on their names and the
    seed: runs of other dictionaries or settings hold out the same words, as far as they have them, and compare.

    Args:
        words: the word of each row, (n,), as word_families returns it.
        seed: of the draw.
        share: of the words, held out; one at least is.

    Raises:
        SettingsError: fewer than two words.
    """
    names, word = np.unique(words, return_inverse=True)
    if len(names) < 2:
        raise SettingsError(
            f"{len(names)} words with a definition are too few to hold some out; name a larger dictionary"
        )
    order = np.argsort([_drawn(f"{seed} {name}") for name in names.tolist()], kind="stable")
    held_out = np.isin(word, order[: max(1, int(len(names) * share))])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def held_out_rows(senses: pl.DataFrame, vocabulary: pl.DataFrame, seed: int) -> np.ndarray:
    """Return which rows a run has held out, int64 (n,), ascending; word pieces are drawn among themselves.

    Args:
        senses: the run's definitions, as describe_matches returns them.
        vocabulary: the vocabulary frame.
        seed: of the split, the run's.
    """
    ids = senses["token_id"].unique().sort().to_numpy()
    words = word_families(senses, vocabulary, ids)
    parts = [part for part in parts_of(senses, ids) if part.any()]
    return np.sort(np.concatenate([ids[part][split_words(words[part], seed)[1]] for part in parts]))


def _drawn(name: str) -> int:
    """Return a number that a name always has, as good as drawn at random from 0 to 2^63 - 1."""
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()) >> 1


def word_families(senses: pl.DataFrame, vocabulary: pl.DataFrame, ids: np.ndarray) -> np.ndarray:
    """Return what rows have to be held out together by, str (n,): equal for the forms of one word, in any case.

    A row goes with the rows of its own text and of every lemma whose definitions it has. Held apart, "dogs" would be
    judged by a map that was fitted on the same definitions of "dog" and on its row, which is much like it: the MRR of
    such forms is 0.79 then and 0.56 together (benchmarks/RESULTS.md). A family's name is its shortest word, the first
    of these by the alphabet: one form more changes it seldom.

    Args:
        senses: as describe_matches returns them.
        vocabulary: the vocabulary frame.
        ids: rows, (n,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    own = vocabulary["text"][ids].str.to_lowercase()
    rows = pl.DataFrame({"token_id": ids, "text": own})
    pairs = rows.join(senses.filter(pl.col("form_of").is_not_null()), on="token_id", maintain_order="left")
    lemmas = pairs.select(pl.col("form_of").str.to_lowercase())["form_of"]
    words, numbers = np.unique(np.concatenate([own, pairs["text"], lemmas]).astype(str), return_inverse=True)
    of_rows, of_forms, of_lemmas = np.split(numbers, [len(own), len(own) + len(lemmas)])
    links = coo_array((np.ones(len(lemmas)), (of_forms, of_lemmas)), shape=(len(words), len(words)))
    family = connected_components(links, directed=False)[1]
    by_length = np.argsort([len(word) for word in words.tolist()], kind="stable")
    _, first = np.unique(family[by_length], return_index=True)
    return np.asarray(words[by_length[first]][family[of_rows]])


def check_folds(words: np.ndarray, weights: np.ndarray, folds: int, seed: int, pieces: bool = False) -> None:
    """Refuse rows of too few words for a map that is fitted on those that are not held out.

    Args:
        words: see split_words.
        weights: how much each row counts in fitting, (n,).
        folds: of the fit; each needs a word that counts.
        seed: of the split.
        pieces: whether these are the rows that other words tell of.

    Raises:
        SettingsError: there are too few.
    """
    fit = split_words(words, seed)[0] if len(np.unique(words)) > 1 else np.array([], dtype=np.int64)
    known = len(np.unique(words[fit][weights[fit] > 0]))
    if known < folds:
        rare = ", let rare rows in with --rare-weight 1" if (weights == 0).any() else ""
        other = "leave word pieces out with --no-pieces" if pieces else "name a larger dictionary"
        raise SettingsError(
            f"of {len(words)} rows {'of word pieces' if pieces else 'with a definition'} {known} are left to learn "
            f"from, too few for {folds} folds; take fewer folds{rare} or {other}"
        )


def judge_held_out(predicted: np.ndarray, true: np.ndarray, centre: np.ndarray) -> Judgement:
    """Judge predictions of held-out rows.

    Args:
        predicted: (n, H).
        true: (n, H), the rows themselves.
        centre: (H,), the mean of the rows that the map was fitted on; subtracted from both, so that the direction that
            all rows share earns nothing.
    """
    a, b = _unit(predicted - centre), _unit(true - centre)
    own = (a * b).sum(axis=1)
    ranks = np.empty(len(a))
    for start in range(0, len(a), BLOCK):
        stop = start + BLOCK
        above = a[start:stop] @ b.T - own[start:stop, None]
        closer, equal = (above > TIE).sum(axis=1), (np.abs(above) <= TIE).sum(axis=1)  # a row ties with itself
        ranks[start:stop] = 1 + closer + (equal - 1) / 2
    return Judgement(own, ranks)


def chance_mrr(tokens: int) -> float:
    """Return the mean reciprocal rank of guesses: the expected reciprocal of a rank drawn evenly from 1 to `tokens`."""
    return float(np.mean(1.0 / np.arange(1, tokens + 1))) if tokens else 0.0


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
