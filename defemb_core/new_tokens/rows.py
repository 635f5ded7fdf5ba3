"""Rows for words that a table has none for: what a definition says of them, and the usual starts to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import word_families
from defemb_core.methods import Inputs, none_if_even, row_weights, token_features
from defemb_core.mixture import fit_mixture

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.progress import Clock
    from defemb_core.reconstruction import Settings

Start = Literal["definition-and-pieces", "definition", "mean-of-pieces", "mean-of-all", "random"]
STARTS: tuple[Start, ...] = get_args(Start)
FROM_DEFINITIONS: tuple[Start, ...] = ("definition-and-pieces", "definition")
METHODS = ("instant", "frozen")
"""Those whose map rows may be predicted by."""
EXPLAINED: dict[Start, str] = {
    "definition-and-pieces": "predicted from the definition and from the mean of the pieces, by one map",
    "definition": "predicted from the definition",
    "mean-of-pieces": "the mean of the rows that the tokenizer cuts the word into",
    "mean-of-all": "the mean of all rows",
    "random": "drawn from a normal distribution with the table's mean and covariance",
}


@dataclass(frozen=True, eq=False)
class Words:
    """New words and what their rows can be made from.

    Attributes:
        plm: its tokenizer does not know the new words; its matrix has lines for them, whose values count for nothing.
        vocabulary: the vocabulary frame, lines for the new words in it.
        senses: definitions of old rows and of new ones, as describe_matches returns them.
        definitions: the whole dictionary's definition frame.
        new: rows of the new words, int64 (n,), ascending.
        pieces: the rows that each new word is cut into; and that old words would be cut into without their own row.
    """

    plm: PLM
    vocabulary: pl.DataFrame
    senses: pl.DataFrame
    definitions: pl.DataFrame
    new: np.ndarray
    pieces: Mapping[int, Sequence[int]]

    @property
    def old(self) -> np.ndarray:
        """The rows that words are made from: all but new, special and unused ones, int64."""
        taking_part = (self.vocabulary["group"] != "none").to_numpy().copy()
        taking_part[self.new] = False
        return np.flatnonzero(taking_part)


def start_rows(words: Words, starts: Sequence[Start], settings: Settings, clock: Clock) -> dict[Start, np.ndarray]:
    """Return the rows of the new words by each start, float32 (n, H).

    - definition: the ridge map of the settings' method (instant or frozen), fitted on all old words with a definition.
    - definition-and-pieces: the same with one feature block more, the mean of the pieces; fitted on the old words that
      can be cut into pieces, each by the pieces that it would have without its own row.
    - mean-of-pieces: what a tokenizer's user has before anything is added.
    - mean-of-all: the mean of all rows that are neither special nor unused.
    - random: one draw a word from the normal distribution with mean and covariance of these rows (Hewitt 2021,
      "Initializing New Word Embeddings for Pretrained Language Models"), by the settings' seed.

    Predictions of a ridge map lie nearer to the mean row than rows do: they are moved away from it, in their own
    direction, to the median distance of the rows that the map was fitted on, as a run does if `match_norms` is set.

    Args:
        words: the new words; with the first two starts each needs a definition.
        starts: which.
        settings: method, senses, folds, seed, and what counts as part of a definition.
        clock: told of every stage.

    Raises:
        SettingsError: another method, or too few words to fit a map on.
    """
    if settings.method not in METHODS:
        raise SettingsError(f"method {settings.method!r} makes no rows for new words; choose {' or '.join(METHODS)}")
    made: dict[Start, np.ndarray] = {}
    if set(starts) & set(FROM_DEFINITIONS):
        made |= _by_definition(words, starts, settings, clock)
    old = words.plm.matrix[words.old]
    if "mean-of-pieces" in starts:
        made["mean-of-pieces"] = pieces_means(words, words.new)
    if "mean-of-all" in starts:
        made["mean-of-all"] = np.tile(old.mean(axis=0, dtype=np.float64).astype(np.float32), (len(words.new), 1))
    if "random" in starts:
        made["random"] = drawn_rows(old, len(words.new), settings.seed)
    return {start: made[start] for start in starts}


def pieces_means(words: Words, rows: np.ndarray) -> np.ndarray:
    """Return the mean of the rows that each word is cut into, float32 (n, H); of a word without pieces the mean row."""
    usual = words.plm.matrix[words.old].mean(axis=0, dtype=np.float64)
    means = [words.plm.matrix[list(p)].mean(axis=0) if (p := words.pieces.get(int(row))) else usual for row in rows]
    return np.asarray(means, dtype=np.float32).reshape(len(rows), words.plm.width)


def drawn_rows(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return `count` draws from the normal distribution with mean and covariance of rows (n, H), float32 (count, H)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows - mean, rowvar=False).reshape(len(mean), len(mean)))
    drawn = np.random.default_rng(seed).standard_normal((count, len(mean)))
    return (mean + (drawn * np.sqrt(np.maximum(values, 0))) @ vectors.T).astype(np.float32)


def _by_definition(words: Words, starts: Sequence[Start], settings: Settings, clock: Clock) -> dict[Start, np.ndarray]:
    senses, vocabulary = words.senses, words.vocabulary
    ids, first = np.unique(senses["token_id"].to_numpy(), return_index=True)
    inputs = Inputs(words.plm, vocabulary, senses, words.definitions)
    weights = row_weights(vocabulary, ids, settings)
    told = token_features(inputs, first, weights, settings, clock, None)
    is_new, families = np.isin(ids, words.new), word_families(senses, vocabulary, ids)
    made: dict[Start, np.ndarray] = {}
    for start in (start for start in FROM_DEFINITIONS if start in starts):
        features, fitted = told, ~is_new
        if start == "definition-and-pieces":
            means = pieces_means(words, ids)
            features = replace(told, views=[[*view, means] for view in told.views])
            fitted = fitted & np.isin(ids, list(words.pieces))
        with clock.stage("map"):
            rows = words.plm.matrix[ids[fitted]]
            own, even = features.of(fitted), none_if_even(weights[fitted])
            folds = (settings.folds, settings.seed)
            mapping = fit_mixture(own.views, rows, *folds, even, families[fitted], own.judges)
            predicted = mapping.predict(features.of(is_new).views)
            made[start] = _as_far_as_usual(predicted, rows) if settings.match_norms else predicted
    return made


def _as_far_as_usual(predicted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return predictions as far from the mean of some rows as these are, the median, float32 (n, H)."""
    centre = rows.mean(axis=0, dtype=np.float64)
    usual = np.median(np.linalg.norm(rows - centre, axis=1))
    away = predicted - centre
    norms = np.linalg.norm(away, axis=1, keepdims=True)
    return (centre + away * (usual / np.where(norms > 0, norms, 1.0))).astype(np.float32)
