"""Try a definition: where a token's rebuilt row would lie, in milliseconds and without a run.

Method instant predicts a row from a bag of embeddings by a ridge map. The maps of a run, fitted once and kept
(trial_files.py), answer any further definition: one bag and one product.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.definitionemb import RidgeMap, RidgeProblem
from defemb_core.definitions import PIECES
from defemb_core.dictionaries.glossary_entry import checked_cells
from defemb_core.errors import DictionaryError, SettingsError
from defemb_core.evaluation.held_out import word_families
from defemb_core.features import counts_without, definition_texts, token_weights, weighted_means
from defemb_core.mentions import bag_of_mentions
from defemb_core.methods import combined, none_if_even, row_weights
from defemb_core.pieces import parts_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from defemb_core.comparison import Comparison
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

# Words of a definition that a trial names as those that it was read by.
MOST_READ = 12


@dataclass(frozen=True)
class Wording:
    """One sense as a user words it.

    Attributes:
        definition: the gloss; related words may follow it after a semicolon.
        pos: part of speech in words, if any.
    """

    definition: str
    pos: str | None = None


@dataclass(frozen=True, eq=False)
class TrialMaps:
    """What answers trials of one run; see fit_trials.

    Attributes:
        maps: one a fold, fitted without it, and last the one fitted on all rows with a definition.
        fold: int8 (V,), the map that did not see a row; -1, the last one, for rows without a definition.
        weight: float32 (V,), what a token weighs in a bag.
        mention: int32 (V,), the line of `mentions` that is a row's; -1 for none.
        mentions: float32 (m, H), bags of the words whose definitions mention a row's word; None if they do not count.
        centre: float64 (H,), the mean row of those that the run predicted.
        distance: how far such rows lie from it, the median.
    """

    maps: tuple[RidgeMap, ...]
    fold: np.ndarray
    weight: np.ndarray
    mention: np.ndarray
    mentions: np.ndarray | None
    centre: np.ndarray
    distance: float


@dataclass(frozen=True, eq=False)
class Trial:
    """The row that a definition gives.

    Attributes:
        row: float32 (H,), blended and scaled as the run's settings say.
        fold: which of the maps made it; None for the one that was fitted on all rows with a definition.
        senses: how many of the wordings count: the run's settings cap them.
        read: the tokens that weigh most in the bag, heaviest first: `token_id i64, share f64` (of the whole bag).
    """

    row: np.ndarray
    fold: int | None
    senses: int
    read: pl.DataFrame


def trial_settings(settings: Settings) -> Settings:
    """Return a run's settings as a trial has them: those of method instant.

    Raises:
        SettingsError: the run's definitions were dealt out at random, so that there is nothing to learn from them.
    """
    if settings.method == "random":
        raise SettingsError("this run is a control, its definitions were dealt out at random; choose another run")
    return dataclasses.replace(settings, method="instant")


def fit_trials(comparison: Comparison, definitions: pl.DataFrame | None) -> TrialMaps:
    """Fit the maps of method instant on the rows that the run has definitions of; seconds.

    The maps are those that the run would have, or has, if its method is instant: for a token and its own definitions
    the answer is its rebuilt row. Word pieces that only other words tell of have no part, as in a run.

    Args:
        comparison: a run and its PLM.
        definitions: the definition frame of the run's dictionary, for mentions; None leaves them out.

    Raises:
        SettingsError: see trial_settings, or there are too few rows with a definition for the folds.
    """
    plm, run, vocabulary = comparison.plm, comparison.reconstruction, comparison.vocabulary
    settings = trial_settings(run.settings)
    covered = np.unique(run.definitions["token_id"].to_numpy())
    own = parts_of(run.definitions, covered)[0]
    words = word_families(run.definitions, vocabulary, covered)[own]
    senses = run.definitions.filter(~pl.col("how").cast(pl.String).is_in(PIECES))
    ids, starts = np.unique(senses["token_id"].to_numpy(), return_index=True)
    bags, weight = _bags(plm, senses, settings.relations)
    blocks, mention, mentions = [combined(bags, senses, starts)], np.full(plm.rows, -1, np.int32), None
    if settings.mentions and definitions is not None:
        of_own, mention, mentions = _mentions(plm, vocabulary, ids, definitions)
        blocks.append(of_own)
    counts = none_if_even(row_weights(vocabulary, ids, settings))
    problem = RidgeProblem(blocks, plm.matrix[ids], settings.folds, settings.seed, counts, words)
    strength, fold = problem.best_strength(), np.full(plm.rows, -1, np.int8)
    for number, rows in enumerate(problem.folds):
        fold[ids[rows]] = number
    maps = [problem.map_without(k, strength) for k in range(settings.folds)]
    centre = plm.matrix[covered].mean(axis=0, dtype=np.float64)
    distance = float(np.median(np.linalg.norm(plm.matrix[covered] - centre, axis=1)))
    return TrialMaps((*maps, problem.map_of_all(strength)), fold, weight, mention, mentions, centre, distance)


def try_definition(
    trials: TrialMaps,
    comparison: Comparison,
    wordings: Sequence[Wording],
    token_id: int | None = None,
    word: str = "",
) -> Trial:
    """Return the row that a token would get from these definitions alone, as a glossary's would count; milliseconds.

    The map is one that the token's own row had no part in. What tokens weigh stays as the run's definitions have it:
    one definition more among thousands changes that by nothing to speak of.

    Args:
        trials: the run's, of fit_trials.
        comparison: the run.
        wordings: the senses, first the one that weighs most.
        token_id: the row; None for a word that the table has no row for, whose distance to the mean row is then the
            usual one, and which no definition mentions.
        word: such a word; it is hidden in its definitions as a token's own is.

    Raises:
        DictionaryError: a definition is blank, too long or no text, or says nothing but the word itself.
    """
    plm, settings = comparison.plm, trial_settings(comparison.reconstruction.settings)
    text = word if token_id is None else comparison.vocabulary["text"][int(token_id)]
    named = word if token_id is None else "token"  # what a row's text holds is no matter of a definition's
    used = [_checked(named, wording) for wording in wordings[: settings.max_senses]]
    if not used:
        raise DictionaryError("the definition is blank; write one")
    lines = pl.DataFrame(
        {"gloss": [one.definition for one in used], "pos": [one.pos for one in used], "related": None, "text": text},
        schema={"gloss": pl.String, "pos": pl.String, "related": pl.String, "text": pl.String},
    )
    own = np.full(len(used), -1 if token_id is None else token_id)
    counts = counts_without(plm, definition_texts(lines, settings.relations, "")[1], own)
    counts.data *= trials.weight[counts.indices]
    if not counts.sum():
        raise DictionaryError(f"the definition says nothing but {text!r} itself; say what it means in other words")
    raw = 1.0 / np.sqrt(1.0 + np.arange(len(used)))
    shares = (raw / raw.sum()).astype(np.float32)
    features = [shares @ weighted_means(counts, plm.matrix)]
    if trials.mentions is not None:
        line = -1 if token_id is None else int(trials.mention[token_id])
        features.append(trials.mentions[line] if line >= 0 else np.zeros(plm.width, np.float32))
    fold = -1 if token_id is None else int(trials.fold[token_id])
    predicted = trials.maps[fold].predict(np.concatenate(features)[None])[0]
    row = _as_the_run_does(predicted, trials, settings, None if token_id is None else plm.matrix[token_id])
    return Trial(row, None if fold < 0 else fold, len(used), _read(counts, shares))


def _checked(word: str, wording: Wording) -> Wording:
    """Return the wording in one line, refused where a glossary would refuse it."""
    cells = checked_cells(word, wording.definition, wording.pos)
    return Wording(cells["definition"], cells["pos"] or None)


def _bags(plm: PLM, senses: pl.DataFrame, relations: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the bags of senses (n, H) and what tokens weigh in them (V,)."""
    counts = counts_without(plm, definition_texts(senses, relations, "")[1], senses["token_id"].to_numpy())
    weight = token_weights(counts)
    counts.data *= weight[counts.indices]
    return weighted_means(counts, plm.matrix), weight


def _mentions(
    plm: PLM, vocabulary: pl.DataFrame, ids: np.ndarray, definitions: pl.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bags of mentions of `ids` as a run has them (n, H), a line a row (V,), and the lines (m, H).

    Words without a definition have bags too, for the day that they get one.
    """
    others = np.setdiff1d(np.flatnonzero((vocabulary["kind"] == "word").to_numpy()), ids)
    rows, bags = np.concatenate([ids, others]), bag_of_mentions(plm, vocabulary, ids, definitions, others)
    said = bags.any(axis=1)
    line = np.full(plm.rows, -1, np.int32)
    line[rows[said]] = np.arange(said.sum())
    return bags[: len(ids)], line, bags[said]


def _as_the_run_does(row: np.ndarray, trials: TrialMaps, settings: Settings, original: np.ndarray | None) -> np.ndarray:
    """Return a predicted row (H,) scaled around the mean row and blended with its original, if it has one."""
    if settings.match_norms:
        away = row - trials.centre
        length = float(np.linalg.norm(away))
        wanted = trials.distance if original is None else float(np.linalg.norm(original - trials.centre))
        row = trials.centre + away * (wanted / length if length > 0 else 1.0)
    if original is not None:
        row = (1 - settings.blend) * original + settings.blend * row
    return row.astype(np.float32)


def _read(counts: csr_array, shares: np.ndarray) -> pl.DataFrame:
    """Return the tokens that weigh most in the mean of lines of weights (n, V), each line by its share."""
    lines = counts.tocoo()
    totals = np.asarray(counts.sum(axis=1)).ravel()
    rows, columns = lines.coords
    frame = pl.DataFrame({"token_id": columns, "share": lines.data * (shares / np.where(totals > 0, totals, 1))[rows]})
    summed = frame.with_columns(pl.col("token_id").cast(pl.Int64), pl.col("share").cast(pl.Float64))
    summed = summed.group_by("token_id").agg(pl.col("share").sum())
    return summed.sort("share", "token_id", descending=[True, False]).head(MOST_READ)
