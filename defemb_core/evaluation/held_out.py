"""How well definitions find rows that the map never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError

SHARE = 0.2
TIE = 1e-12  # cosines as close as this are equal
BLOCK = 2048  # predictions compared at a time: 2,048 x 50,000 similarities are 400 MB


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


def split_held_out(rows: int, seed: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Return (fitted, held out) row numbers 0..rows-1, both ascending; at least one is held out.

    Raises:
        SettingsError: fewer than two rows.
    """
    if rows < 2:
        raise SettingsError(f"{rows} rows with a definition are too few to hold some out; name a larger dictionary")
    order = np.random.default_rng(seed).permutation(rows)
    cut = max(1, int(rows * share))
    return np.sort(order[cut:]), np.sort(order[:cut])


def split_words(words: np.ndarray, seed: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Return (fitted, held out) row numbers as split_held_out, rows of one word together.

    A cased tokenizer has rows for "dog", "Dog" and "DOG", of the same definitions and much alike: one that is fitted
    would tell of another that is held out. Where all words differ the split is split_held_out's.

    Args:
        words: the word of each row, folded, (n,).
        seed: of the split.
        share: of the words, held out.

    Raises:
        SettingsError: fewer than two words.
    """
    _, first, word = np.unique(words, return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))[word]  # words in the order in which they come
    _, held = split_held_out(len(first), seed, share)
    held_out = np.isin(number, held)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


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


def judge_held_out(predicted: np.ndarray, true: np.ndarray, centre: np.ndarray) -> HeldOut:
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
    return HeldOut(len(a), float(own.mean()), float((1.0 / ranks).mean()), float(np.median(ranks)))


def chance_mrr(tokens: int) -> float:
    """Return the mean reciprocal rank of guesses: the expected reciprocal of a rank drawn evenly from 1 to `tokens`."""
    return float(np.mean(1.0 / np.arange(1, tokens + 1))) if tokens else 0.0


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)
