"""The methods: how each predicts rows, from definitions or from the table alone, and how well on rows it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from defemb_core.baselines import all_but_the_top, whitening
from defemb_core.definitionemb import cross_fit
from defemb_core.evaluation.held_out import (
    HeldOut,
    Judgement,
    check_folds,
    judge_held_out,
    split_words,
    word_families,
)
from defemb_core.features import bag_of_embeddings, definition_texts, encoder_reader, read_prompts, with_relations
from defemb_core.mentions import bag_of_mentions
from defemb_core.mixture import View, fit_mixture, mixed
from defemb_core.pieces import apart, cuts_of, parts_of
from defemb_core.prompts import Prompts, make_prompts, tokenize_prompts
from defemb_core.student import Examples
from defemb_core.trained import Lesson, kept_to_judge, recipe_of, trained_states

if TYPE_CHECKING:
    from pathlib import Path

    from defemb_core.plm import PLM
    from defemb_core.progress import Clock
    from defemb_core.reconstruction import Settings

Method = Literal["instant", "frozen", "trained", "mean-of-definition", "random", "all-but-the-top", "whitening"]
METHODS: tuple[Method, ...] = get_args(Method)
BASELINES: tuple[Method, ...] = ("mean-of-definition", "random", "all-but-the-top", "whitening")
# They turn the table as a whole; definitions have no part in it.
TRANSFORMATIONS: tuple[Method, ...] = ("all-but-the-top", "whitening")

# They read prompts with the PLM.
STUDENTS: tuple[Method, ...] = ("frozen", "trained")


@dataclass(frozen=True, eq=False)
class Prediction:
    """Rows as a method has them.

    Attributes:
        ids: which rows of the table, int64 (n,), ascending.
        rows: float32 (n, H).
        held_out: how near predictions come to rows that had no part in making them; None where nothing is predicted.
        more: further evidence: the same figures by source and way of matching, what the method chose by itself.
    """

    ids: np.ndarray
    rows: np.ndarray
    held_out: HeldOut | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Features:
    """What maps predict from, one line a covered token.

    Attributes:
        views: feature blocks (tokens, d) of one map each; two where a student was trained: with its states, and with
            the PLM's own.
        judges: which tokens were kept from the student to judge it by, bool (tokens,).
        chosen: what the method chose by itself.
    """

    views: Sequence[View]
    judges: np.ndarray
    chosen: dict[str, Any] = field(default_factory=dict)

    def of(self, tokens: np.ndarray) -> Features:
        """Return those of some tokens, named by number or by a mask."""
        return Features([[block[tokens] for block in view] for view in self.views], self.judges[tokens], self.chosen)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a method predicts from.

    Attributes:
        plm: its table is the original.
        vocabulary: the vocabulary frame with frequency groups.
        senses: as describe_matches returns them, of at least twice as many tokens as there are folds.
        definitions: the whole dictionary's definition frame.
    """

    plm: PLM
    vocabulary: pl.DataFrame
    senses: pl.DataFrame
    definitions: pl.DataFrame


def predict_rows(inputs: Inputs, settings: Settings, clock: Clock, checkpoint: Path | None = None) -> Prediction:
    """Predict rows by `settings.method`.

    - instant, frozen, trained: a ridge map from the definitions' features, cross-fitted, so that no row helps to
      predict itself or another of its word ("bank", "Bank"); its held-out evidence comes from the map fitted on 80 % of
      the covered words. A student of "trained" learns from those 80 % too, so that it knows rows which the map then
      predicts; evidence says how many. Its states and the PLM's own have a map each, whose predictions are mixed in
      the share that ranks the rows best which it was judged by meanwhile (mixture.fit_mixture).
    - mean-of-definition: the definitions' bag of embeddings itself, without a map.
    - random: instant; its senses have been `shuffled`. A control.
    - all-but-the-top, whitening: all rows that take part, turned together; definitions have no part.

    Args:
        inputs: PLM, vocabulary and definitions.
        settings: how.
        clock: told of every stage.
        checkpoint: folder for what an interrupted run need not do again.

    Raises:
        SettingsError: more directions than columns, or too few rows to learn from.
        PLMError: method "frozen" or "trained" with a tokenizer that has no mask token.
        TrainingError: the training of method "trained" cannot go on.
    """
    if settings.method in TRANSFORMATIONS:
        return _transformed(inputs, settings, clock)
    ids, starts = np.unique(inputs.senses["token_id"].to_numpy(), return_index=True)
    if settings.method == "mean-of-definition":
        return _unmapped(inputs, ids, starts, settings, clock)
    weights = row_weights(inputs.vocabulary, ids, settings)
    rows, words = inputs.plm.matrix[ids], word_families(inputs.senses, inputs.vocabulary, ids)
    parts = [part for part in parts_of(inputs.senses, ids) if part.any()]
    for part in parts:  # before hours are spent on features
        check_folds(words[part], weights[part], settings.folds, settings.seed, pieces=part is not parts[0])
    features = token_features(inputs, starts, weights, settings, clock, checkpoint)
    predicted, judged, more = np.empty_like(rows), [], features.chosen
    for part in parts:
        own = features if part.all() else features.of(part)
        with clock.stage("map"):
            even, folds = none_if_even(weights[part]), (settings.folds, settings.seed)
            fitted = [cross_fit(view, rows[part], *folds, even, words[part]) for view in own.views]
        with clock.stage("held-out"):
            judgement, shares = _judge(own, rows[part], weights[part], words[part], settings)
            judged.append(judgement)
        predicted[part] = mixed([one.predictions for one in fitted], shares)
        if part is parts[0]:
            more |= {"strength": fitted[0].strength}
            more |= {"student_share": shares[0], "own_strength": fitted[1].strength} if len(fitted) > 1 else {}
    held = [ids[part][split_words(words[part], settings.seed)[1]] for part in parts]
    more |= {"held_out_by": judged[0].by(inputs.senses, held[0])}
    if len(parts) > 1:
        by_how = judged[1].by(inputs.senses, held[1], ["how"])
        more |= {"held_out_pieces": asdict(judged[1].of()), "held_out_pieces_by": by_how}
    return Prediction(ids, predicted, judged[0].of(), more)


def _judge(
    features: Features, rows: np.ndarray, weights: np.ndarray, words: np.ndarray, settings: Settings
) -> tuple[Judgement, Sequence[float]]:
    """Judge the map that is fitted on 80 % of the words by the others; return the shares of its views too."""
    fit, held = split_words(words, settings.seed)
    own, even = features.of(fit), none_if_even(weights[fit])
    mapping = fit_mixture(own.views, rows[fit], settings.folds, settings.seed, even, words[fit], own.judges)
    predicted = mapping.predict(features.of(held).views)
    return judge_held_out(predicted, rows[held], rows[fit].mean(axis=0, dtype=np.float64)), mapping.shares


def row_weights(vocabulary: pl.DataFrame, ids: np.ndarray, settings: Settings) -> np.ndarray:
    """Return how much each row counts when a map or a student learns from it, float32 (n,)."""
    rare = (vocabulary["group"] == "rare").to_numpy()[ids]
    given = settings.rare_weight
    weight = float(settings.method != "trained") if given is None else given
    return np.where(rare, np.float32(weight), np.float32(1))


def none_if_even(weights: np.ndarray) -> np.ndarray | None:
    """Return the weights, None where all are 1."""
    return None if (weights == 1).all() else weights


def shuffled(senses: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the senses dealt out to the tokens at random, drawn by `seed`.

    Tokens, weights and numbers of senses stay; what the senses say is permuted line by line, so that a token gets
    those of several others (one in as many lines stays where it was).
    """
    said = ["word", "pos", "gloss", "related", "sense", "source", "definition"]
    order = np.random.default_rng(seed).permutation(senses.height)
    return senses.with_columns(senses.select(said)[order])


def token_features(
    inputs: Inputs,
    starts: np.ndarray,
    weights: np.ndarray,
    settings: Settings,
    clock: Clock,
    checkpoint: Path | None,
) -> Features:
    """Return the features of each covered token, the weighted means over its senses."""
    plm, senses = inputs.plm, inputs.senses
    ids = senses["token_id"].to_numpy()
    with clock.stage("bags"), ThreadPoolExecutor(1) as beside:  # neither keeps two cores busy by itself
        mentioned = beside.submit(mentions_of, inputs, starts, settings) if settings.mentions else None
        glosses, texts = definition_texts(senses, settings.relations, plm.mask_token or "")
        bags = apart(lambda lines: bag_of_embeddings(plm, [texts[i] for i in lines], ids[lines]), senses, ids)
        bags = combined(bags, senses, starts)
        mentions = [mentioned.result()] if mentioned else []
    if settings.method == "trained" and settings.relations:  # frozen gains 0.01 MRR by them and takes twice the time
        glosses = with_relations(glosses, senses, plm.mask_token or "")
    if settings.method in STUDENTS:
        texts = make_prompts(glosses, senses, inputs.vocabulary, plm.mask_token or "")
        longest = recipe_of(settings).longest if settings.method == "trained" else plm.max_tokens
        prompts = tokenize_prompts(plm, texts, cuts_of(senses), longest, ids.tolist())
    views, judges, chosen = [[bags, *mentions]], np.zeros(len(starts), dtype=bool), {}
    if settings.method in STUDENTS:
        with clock.stage("encoder"):
            told = partial(clock.tell, "encoder")
            states = read_prompts(plm, encoder_reader(plm), prompts, progress=told, checkpoint=checkpoint)
            read = [combined(block, senses, starts) for block in (states.mask, states.mean)]
            del states  # of each prompt; a training needs the memory
        views = [[bags, *read, *mentions]]
    if settings.method == "trained":
        lesson = _lesson(inputs, prompts, starts, weights, settings)
        judges = kept_to_judge(lesson, settings.seed)
        states, chosen["training"] = trained_states(plm, lesson, settings, clock, checkpoint)
        learned = [combined(block, senses, starts) for block in (states.mask, states.mean)]
        views = [[bags, *learned, *mentions], *views]
    return Features(views, judges, chosen)


def combined(block: np.ndarray, senses: pl.DataFrame, starts: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each token's lines of a block, float32 (tokens, d)."""
    from scipy.sparse import csr_array

    lines = np.arange(senses.height, dtype=np.int64)
    shares = senses["weight"].to_numpy().astype(np.float32)
    ends = np.append(starts, senses.height)
    return np.asarray(csr_array((shares, lines, ends), shape=(len(starts), senses.height)) @ block)


def mentions_of(inputs: Inputs, starts: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the bags of mentions; of the control, dealt out to the tokens at random like its senses.

    A piece has none: the definitions that say "art" tell nothing of "##art".
    """
    ids = inputs.senses["token_id"].to_numpy()[starts]
    whole = parts_of(inputs.senses, ids)[0]
    bags = np.zeros((len(ids), inputs.plm.width), dtype=np.float32)
    bags[whole] = bag_of_mentions(inputs.plm, inputs.vocabulary, ids[whole], inputs.definitions)
    return bags[np.random.default_rng(settings.seed).permutation(len(bags))] if settings.method == "random" else bags


def _lesson(inputs: Inputs, prompts: Prompts, starts: np.ndarray, weights: np.ndarray, settings: Settings) -> Lesson:
    """Return what a student may learn: all but the held-out tokens, and those whose rows count."""
    senses = inputs.senses
    token = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, senses.height)))
    learned = np.zeros(len(starts), dtype=bool)
    ids = senses["token_id"].to_numpy()[starts]
    words = word_families(senses, inputs.vocabulary, ids)
    for part in parts_of(senses, ids):
        if len(np.unique(words[part])) > 1:
            learned[np.flatnonzero(part)[split_words(words[part], settings.seed)[0]]] = True
    share = senses["weight"].to_numpy().astype(np.float32) * weights[token]
    return Lesson(
        Examples(prompts, prompts.lines, senses["token_id"].to_numpy(), share), token, learned & (weights > 0), words
    )


def _unmapped(inputs: Inputs, ids: np.ndarray, starts: np.ndarray, settings: Settings, clock: Clock) -> Prediction:
    """Return bags as rows; the evidence is of the same tokens as the other methods', though nothing is fitted."""
    senses, matrix = inputs.senses, inputs.plm.matrix
    with clock.stage("bags"):
        _, texts = definition_texts(senses, settings.relations, "")
        bags = combined(bag_of_embeddings(inputs.plm, texts, senses["token_id"].to_numpy()), senses, starts)
    with clock.stage("held-out"):
        fit, held = split_words(word_families(senses, inputs.vocabulary, ids), settings.seed)
        judgement = judge_held_out(bags[held], matrix[ids[held]], matrix[ids[fit]].mean(axis=0))
    return Prediction(ids, bags, judgement.of(), {"held_out_by": judgement.by(senses, ids[held])})


def _transformed(inputs: Inputs, settings: Settings, clock: Clock) -> Prediction:
    with clock.stage("map"):
        ids = np.flatnonzero((inputs.vocabulary["group"] != "none").to_numpy())
        if settings.method == "whitening":
            return Prediction(ids, whitening(inputs.plm.matrix[ids]))
        rows, removed = all_but_the_top(inputs.plm.matrix[ids], settings.directions)
        return Prediction(ids, rows, None, {"directions": removed})
