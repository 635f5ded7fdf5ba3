"""One map, or two from different features of the same rows whose predictions are mixed in the share that ranks best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defemb_core.definitionemb import RidgeMap, RidgeProblem
from defemb_core.evaluation.held_out import judge_held_out

View = Sequence[np.ndarray]
"""Feature blocks that one map takes side by side, (n, d_b) each."""

# Shares of the first view that are tried; of equal ones the largest is taken.
SHARES = tuple(share / 10 for share in range(10, -1, -1))


@dataclass(frozen=True)
class MixedMap:
    """Maps of several views, and how much each counts in a prediction.

    Attributes:
        maps: one a view.
        shares: one a view, 0 to 1; they sum to 1.
    """

    maps: Sequence[RidgeMap]
    shares: Sequence[float]

    def predict(self, views: Sequence[View]) -> np.ndarray:
        """Return the predicted rows, float32 (n, H)."""
        pairs = zip(self.maps, views, strict=True)
        return mixed([mapping.predict(np.concatenate(view, axis=1)) for mapping, view in pairs], self.shares)


def fit_mixture(
    views: Sequence[View],
    rows: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    judges: np.ndarray | None = None,
) -> MixedMap:
    """Fit a map of each view; of two, choose the share of the first by the rank of rows that maps without them predict.

    Squared error would choose the strength of each map and nearly the whole of one view; ranks know that a mean of two
    predictions which err differently is nearer to the row than to others.

    Args:
        views: one or two, each with blocks for all rows.
        rows: the true rows, (n, H).
        folds: see definitionemb.fit_map.
        seed: see definitionemb.fit_map.
        weights: see definitionemb.fit_map.
        groups: see definitionemb.fit_map.
        judges: rows by which the share is chosen, bool (n,), best those from which no feature was learned; all if none.

    Raises:
        SettingsError: see definitionemb.fit_map.
    """
    maps, crossed = [], []
    for view in views:
        problem = RidgeProblem(view, rows, folds, seed, weights, groups)
        strength = problem.best_strength()
        maps.append(problem.map_of_all(strength))
        if len(views) > 1:
            crossed.append(problem.predict_folds(strength))
    if len(views) == 1:
        return MixedMap(maps, (1.0,))
    by = np.flatnonzero(judges) if judges is not None and judges.any() else np.arange(len(rows))
    share = best_share([predictions[by] for predictions in crossed], rows[by], rows.mean(axis=0, dtype=np.float64))
    return MixedMap(maps, (share, 1 - share))


def best_share(predictions: Sequence[np.ndarray], rows: np.ndarray, centre: np.ndarray) -> float:
    """Return the share of the first of two predictions of rows (n, H) each whose mean reciprocal rank is highest."""

    def mrr(share: float) -> float:
        return judge_held_out(mixed(predictions, (share, 1 - share)), rows, centre).of().mrr

    return max(SHARES, key=mrr)


def mixed(predictions: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """Return the weighted sum of predictions (n, H) each; one of share 1 is returned as it is, to the bit."""
    parts = [np.float32(share) * each for each, share in zip(predictions, shares, strict=True) if 0 < share < 1]
    if not parts:
        return predictions[list(shares).index(1)]
    return np.asarray(sum(parts[1:], start=parts[0]))
