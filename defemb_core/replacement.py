"""Predicted rows in the place of original ones: which, how long, and in what share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from defemb_core.methods import Prediction
    from defemb_core.reconstruction import Settings


def replace_rows(
    original: np.ndarray, vocabulary: pl.DataFrame, predicted: Prediction, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the new table and which of its rows differ from the original by intent."""
    chosen = _lowest_frequency(vocabulary, predicted.ids, settings.alpha)
    ids, rows = predicted.ids[chosen], predicted.rows[chosen]
    if settings.match_norms:
        rows = match_norms(rows, original[ids], original[predicted.ids].mean(axis=0))
    matrix, rebuilt = original.copy(), np.zeros(len(original), dtype=bool)
    if settings.blend > 0:  # a blend of 0 leaves the table as it is, to the bit
        matrix[ids] = rows if settings.blend == 1 else (1 - settings.blend) * original[ids] + settings.blend * rows
        rebuilt[ids] = True
    return matrix, rebuilt


def _lowest_frequency(vocabulary: pl.DataFrame, ids: np.ndarray, alpha: float) -> np.ndarray:
    """Return which of the covered `ids` are rebuilt: the share alpha of them with the lowest frequency, bool (n,)."""
    allowed = (vocabulary["group"] != "none").to_numpy()[ids]
    rank = vocabulary["rank"].to_numpy()[ids]
    candidates = np.flatnonzero(allowed)
    rarest = candidates[np.argsort(-rank[candidates], kind="stable")][: round(alpha * len(candidates))]
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[rarest] = True
    return chosen


def match_norms(rows: np.ndarray, originals: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return rows as far from the mean row as their originals are, in their own direction, float32 (n, H).

    Args:
        rows: predicted rows, (n, H); one that equals the mean row stays.
        originals: the rows that they replace, (n, H).
        centre: the mean row, (H,). Scaling whole rows instead would stretch the part that all of them share.
    """
    away = rows - centre
    norms = np.linalg.norm(away, axis=1, keepdims=True)
    wanted = np.linalg.norm(originals - centre, axis=1, keepdims=True)
    return (centre + away * (wanted / np.where(norms > 0, norms, 1.0))).astype(np.float32)
