"""The methods: how each predicts rows, from definitions or from the table alone, and how well on rows it never saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from defemb_core.baselines import all_but_the_top, whitening
from defemb_core.definitionemb import cross_fit, fit_map
from defemb_core.evaluation.held_out import HeldOut, judge_held_out, split_held_out
from defemb_core.features import bag_of_embeddings, definition_texts, encode_prompts
from defemb_core.prompts import make_prompts

if TYPE_CHECKING:
    from pathlib import Path

    from defemb_core.plm import PLM
    from defemb_core.progress import Clock
    from defemb_core.reconstruction import Settings

Method = Literal["instant", "frozen", "mean-of-definition", "random", "all-but-the-top", "whitening"]
METHODS: tuple[Method, ...] = get_args(Method)
BASELINES: tuple[Method, ...] = ("mean-of-definition", "random", "all-but-the-top", "whitening")
# They turn the table as a whole; definitions have no part in it.
TRANSFORMATIONS: tuple[Method, ...] = ("all-but-the-top", "whitening")

_QUICK = {"definitions": 0.05, "bags": 0.2, "map": 0.2, "held-out": 0.25, "rows": 0.05, "isotropy": 0.25}
# Share of each stage in the whole work, measured on the bundled PLM and WordNet; the progress bar moves by these.
STAGE_SHARES: dict[str, dict[str, float]] = {
    "instant": _QUICK,
    "random": _QUICK,
    "frozen": {
        "definitions": 0.01,
        "bags": 0.02,
        "encoder": 0.9,
        "map": 0.03,
        "held-out": 0.02,
        "rows": 0.01,
        "isotropy": 0.01,
    },
    "mean-of-definition": {"definitions": 0.1, "bags": 0.45, "held-out": 0.15, "rows": 0.05, "isotropy": 0.25},
    "all-but-the-top": {"definitions": 0.2, "map": 0.25, "rows": 0.05, "isotropy": 0.5},
    "whitening": {"definitions": 0.2, "map": 0.25, "rows": 0.05, "isotropy": 0.5},
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Rows as a method has them.

    Attributes:
        ids: which rows of the table, int64 (n,), ascending.
        rows: float32 (n, H).
        held_out: how near predictions come to rows that had no part in making them; None where nothing is predicted.
        chosen: what the method chose by itself, for the evidence.
    """

    ids: np.ndarray
    rows: np.ndarray
    held_out: HeldOut | None = None
    chosen: dict[str, Any] = field(default_factory=dict)


def predict_rows(
    plm: PLM,
    vocabulary: pl.DataFrame,
    senses: pl.DataFrame,
    settings: Settings,
    clock: Clock,
    checkpoint: Path | None = None,
) -> Prediction:
    """Predict rows by `settings.method`.

    - instant, frozen: a ridge map from the definitions' features, cross-fitted, so that no row helps to predict itself;
      its held-out evidence comes from the map fitted on 80 % of the covered tokens.
    - mean-of-definition: the definitions' bag of embeddings itself, without a map.
    - random: instant; its senses have been `shuffled`. A control.
    - all-but-the-top, whitening: all rows that take part, turned together; definitions have no part.

    Args:
        plm: its table is the original.
        vocabulary: the vocabulary frame with frequency groups.
        senses: as describe_matches returns them, of at least twice as many tokens as `settings.folds`.
        settings: how.
        clock: told of every stage.
        checkpoint: folder for what an interrupted run need not do again.

    Raises:
        SettingsError: more directions than columns.
        PLMError: method "frozen" with a tokenizer that has no mask token.
    """
    if settings.method in TRANSFORMATIONS:
        return _transformed(plm.matrix, vocabulary, settings, clock)
    ids = senses["token_id"].unique(maintain_order=True).to_numpy()
    blocks = _token_features(plm, senses, settings, clock, checkpoint)
    if settings.method == "mean-of-definition":
        return _unmapped(plm.matrix, ids, blocks[0], settings, clock)
    with clock.stage("map"):
        fitted = cross_fit(blocks, plm.matrix[ids], settings.folds, settings.seed)
    with clock.stage("held-out"):
        fit, held = split_held_out(len(ids), settings.seed)
        mapping = fit_map([block[fit] for block in blocks], plm.matrix[ids[fit]], settings.folds, settings.seed)
        predicted = mapping.predict(np.concatenate([block[held] for block in blocks], axis=1))
        held_out = judge_held_out(predicted, plm.matrix[ids[held]], mapping.intercept)
    return Prediction(ids, fitted.predictions, held_out, {"strength": fitted.strength})


def shuffled(senses: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the senses dealt out to the tokens at random, drawn by `seed`.

    Tokens, weights and numbers of senses stay; what the senses say is permuted line by line, so that a token gets
    those of several others (one in as many lines stays where it was).
    """
    said = ["word", "pos", "gloss", "related", "sense", "source", "definition"]
    order = np.random.default_rng(seed).permutation(senses.height)
    return senses.with_columns(senses.select(said)[order])


def _token_features(
    plm: PLM, senses: pl.DataFrame, settings: Settings, clock: Clock, checkpoint: Path | None
) -> list[np.ndarray]:
    """Return feature blocks, one line a covered token: the weighted mean over its senses."""
    glosses, texts = definition_texts(senses, settings.relations, plm.mask_token or "")
    with clock.stage("bags"):
        blocks = [bag_of_embeddings(plm, texts)]
    if settings.method == "frozen":
        with clock.stage("encoder"):
            prompts = make_prompts(glosses, senses["pos"], plm.mask_token or "")
            states = encode_prompts(
                plm, prompts, progress=lambda done, of: clock.tell("encoder", done, of), checkpoint=checkpoint
            )
            blocks += [states.mask, states.mean]
    starts = np.flatnonzero(np.diff(senses["token_id"].to_numpy(), prepend=-1))
    weight = senses["weight"].to_numpy()[:, None]
    return [np.add.reduceat(block * weight, starts, axis=0) for block in blocks]


def _unmapped(matrix: np.ndarray, ids: np.ndarray, bags: np.ndarray, settings: Settings, clock: Clock) -> Prediction:
    """Return bags as rows; the evidence is of the same tokens as the other methods', though nothing is fitted."""
    with clock.stage("held-out"):
        fit, held = split_held_out(len(ids), settings.seed)
        held_out = judge_held_out(bags[held], matrix[ids[held]], matrix[ids[fit]].mean(axis=0))
    return Prediction(ids, bags, held_out)


def _transformed(matrix: np.ndarray, vocabulary: pl.DataFrame, settings: Settings, clock: Clock) -> Prediction:
    with clock.stage("map"):
        ids = np.flatnonzero((vocabulary["group"] != "none").to_numpy())
        if settings.method == "whitening":
            return Prediction(ids, whitening(matrix[ids]))
        rows, removed = all_but_the_top(matrix[ids], settings.directions)
        return Prediction(ids, rows, None, {"directions": removed})
