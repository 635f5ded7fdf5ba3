"""The map from definition features to embedding rows: closed-form ridge regression, cross-fitted.

scikit-learn's RidgeCV finds one strength for one data set by a singular value decomposition of all samples. Here one
Gram matrix, split by fold, serves every fold and every strength at once: a rebuilt table in seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from defemb_core.errors import SettingsError

Part = TypeVar("Part")
Done = TypeVar("Done")

# Ridge strengths per feature, on features scaled to unit variance a block: from hardly any shrinkage to a lot.
STRENGTHS = tuple(float(s) for s in 10.0 ** np.arange(-1.0, 4.01, 0.25))


@dataclass(frozen=True)
class RidgeMap:
    """An affine map from features (n, d) to rows (n, H), fitted by ridge regression.

    Attributes:
        centre: mean of the fitted features, (d,).
        scale: factor of each feature, (d,); equal within a block.
        weights: (d, H).
        intercept: mean of the fitted rows, (H,).
        strength: the ridge penalty per feature.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    strength: float

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the predicted rows, float32 (n, H)."""
        return (((features - self.centre) * self.scale) @ self.weights + self.intercept).astype(np.float32)


@dataclass(frozen=True)
class CrossFit:
    """Predictions for every row by a map that did not see that row.

    Attributes:
        predictions: float32 (n, H).
        strength: the ridge penalty per feature, the one of STRENGTHS with the least squared error over all folds.
    """

    predictions: np.ndarray
    strength: float


def fit_map(
    blocks: Sequence[np.ndarray],
    rows: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> RidgeMap:
    """Fit the map from features to rows; its strength is chosen by cross-validation on these same rows.

    Args:
        blocks: feature blocks, each (n, d_b); each is centred and scaled by one factor to unit variance, so that no
            block outweighs another by its units. Predictions take the blocks side by side.
        rows: the true rows, (n, H).
        folds: folds of the cross-validation.
        seed: of the folds.
        weights: how much each row's error counts, (n,), 0 or more; None for all alike.
        groups: a label a row, (n,): rows of one label share a fold, since they are too much alike to judge each other
            ("dog" and "Dog"). Where all labels differ the folds are those of None.

    Raises:
        SettingsError: fewer groups (rows, without labels) of positive weight than folds, or folds below 2.
    """
    problem = RidgeProblem(blocks, rows, folds, seed, weights, groups)
    return problem.map_of_all(problem.best_strength())


def cross_fit(
    blocks: Sequence[np.ndarray],
    rows: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> CrossFit:
    """Predict each row by the map fitted on the other folds; one strength serves all folds.

    The strength, a single number, is chosen on all folds together; everything else that makes a prediction is blind to
    the row predicted.

    Args:
        blocks: see fit_map.
        rows: the true rows, (n, H).
        folds: into how many parts the rows are cut.
        seed: of the cut.
        weights: see fit_map; a row of weight 0 is predicted and never learned from.
        groups: see fit_map; no row helps to predict one of its group.

    Raises:
        SettingsError: see fit_map.
    """
    problem = RidgeProblem(blocks, rows, folds, seed, weights, groups)
    strength = problem.best_strength()
    return CrossFit(problem.predict_folds(strength), strength)


class RidgeProblem:
    """One ridge problem in folds: Gram matrices once, an eigendecomposition a fold, all strengths from that."""

    def __init__(
        self,
        blocks: Sequence[np.ndarray],
        rows: np.ndarray,
        folds: int,
        seed: int,
        weights: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> None:
        weight = np.ones(len(rows), np.float32) if weights is None else np.asarray(weights, dtype=np.float32)
        labels = np.arange(len(rows)) if groups is None else groups
        self.folds = _cut(labels, weight > 0, folds, seed, dealt_out=weights is not None)
        order = np.concatenate(self.folds)  # rows by fold from here on: a fold is a slice, and none is copied
        ends = np.cumsum([len(fold) for fold in self.folds]).tolist()
        self.slices = [slice(start, end) for start, end in pairwise([0, *ends])]
        self.weight = None if weights is None else weight[order, None]
        self.centre = np.concatenate([_mean(b, weights) for b in blocks])
        self.scale = np.concatenate([np.full(b.shape[1], _unit_variance(b)) for b in blocks])
        self.intercept = _mean(rows, weights)
        self.x = np.empty((len(rows), len(self.centre)), dtype=np.float32)
        for block, end in zip(blocks, np.cumsum([b.shape[1] for b in blocks]), strict=True):
            self.x[:, end - block.shape[1] : end] = block[order]
        self.x -= self.centre.astype(np.float32)
        self.x *= self.scale.astype(np.float32)
        self.y = rows[order] - self.intercept.astype(np.float32)
        self.totals = [float(weight[fold].sum()) for fold in self.folds]
        summed = _side_by_side(self._summed, self.slices)
        self.grams, self.products = [gram for gram, _, _ in summed], [product for _, product, _ in summed]
        self.sums = [sums for _, _, sums in summed]
        self.means = [self._means_without(k) for k in range(folds)]
        self.decompositions = _side_by_side(self._decompose, range(folds))

    def _summed(self, fold: slice) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Return a fold's weighted X'X, X'Y and the sums of its features and rows.

        Products of a fold are formed in float32, in half the time; what is summed and decomposed is float64.
        """
        x, y = self.x[fold], self.y[fold]
        counted = x if self.weight is None else x * self.weight[fold]
        gram, product = ((counted.T @ values).astype(np.float64) for values in (x, y))
        rows = y if self.weight is None else y * self.weight[fold]
        return gram, product, (counted.sum(axis=0, dtype=np.float64), rows.sum(axis=0, dtype=np.float64))

    def _means_without(self, left_out: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the means (d,), (H,) of the other folds' features and rows; a mean over all would know the row."""
        total = sum(self.totals) - self.totals[left_out]
        kept = [sums for k, sums in enumerate(self.sums) if k != left_out]
        return np.sum([x for x, _ in kept], axis=0) / total, np.sum([y for _, y in kept], axis=0) / total

    def _decompose(self, left_out: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return eigenvalues, eigenvectors and the products in that basis, without the fold left out."""
        kept = [k for k in range(len(self.folds)) if k != left_out]
        gram, product = _total([self.grams[k] for k in kept]), _total([self.products[k] for k in kept])
        if left_out is not None:
            x_mean, y_mean = self.means[left_out]
            total = sum(self.totals) - self.totals[left_out]
            gram -= total * np.outer(x_mean, x_mean)
            product -= total * np.outer(x_mean, y_mean)
        values, vectors = np.linalg.eigh(gram)
        return values, vectors, vectors.T @ product

    def _shrink(self, values: np.ndarray, strength: float) -> np.ndarray:
        return 1.0 / (np.maximum(values, 0.0) + strength * self.x.shape[1])

    def best_strength(self) -> float:
        """Return the one of STRENGTHS with the least squared error over all folds."""
        return STRENGTHS[int(np.argmin(self.errors()))]

    def errors(self) -> np.ndarray:
        """Return the weighted mean squared error a row over all folds, for each strength.

        With D = shrink(strength), the error |XVDA - Y|^2 is D' K D - 2 D' c + |Y|^2, so that no prediction is formed.
        """
        return np.sum(_side_by_side(self._fold_errors, range(len(self.folds))), axis=0) / sum(self.totals)

    def _fold_errors(self, k: int) -> np.ndarray:
        """Return the weighted squared error of a fold's rows as the others predict them, for each strength."""
        (values, vectors, product), (x_mean, y_mean), fold = self.decompositions[k], self.means[k], self.slices[k]
        # Moving the fold's rows, of weight n, to the others' mean m: all rows, of weight N, sum to 0, so that they
        # themselves sum to -(N - n) m.
        moved = 2 * sum(self.totals) - self.totals[k]
        gram = moved * np.outer(x_mean, x_mean)
        gram += self.grams[k]
        linear = ((vectors.T @ (self.products[k] + moved * np.outer(x_mean, y_mean))) * product).sum(axis=1)
        quadratic = np.matmul(vectors.T @ gram, vectors, out=gram)  # in place: these are the largest arrays
        quadratic *= product @ product.T
        squared = self.y[fold] ** 2 if self.weight is None else self.y[fold] ** 2 * self.weight[fold]
        norm = float(squared.sum(dtype=np.float64) + moved * (y_mean**2).sum())
        shrinks = [self._shrink(values, strength) for strength in STRENGTHS]
        return np.array([shrink @ quadratic @ shrink - 2.0 * shrink @ linear + norm for shrink in shrinks])

    def predict_folds(self, strength: float) -> np.ndarray:
        """Return each fold's rows as the other folds' map predicts them, float32 (n, H)."""
        predictions = np.empty(self.y.shape, dtype=np.float32)

        def predict(k: int) -> None:
            mapping, fold = self.map_without(k, strength), self.slices[k]
            predictions[self.folds[k]] = self.x[fold] @ mapping.weights.astype(np.float32) + mapping.intercept

        _side_by_side(predict, range(len(self.folds)))
        return predictions

    def map_without(self, k: int, strength: float) -> RidgeMap:
        """Return the map fitted on all folds but one, which it is to predict."""
        (values, vectors, product), (x_mean, y_mean) = self.decompositions[k], self.means[k]
        weights = vectors @ (self._shrink(values, strength)[:, None] * product)
        return RidgeMap(self.centre, self.scale, weights, y_mean + self.intercept - x_mean @ weights, strength)

    def map_of_all(self, strength: float) -> RidgeMap:
        """Return the map fitted on all rows."""
        [(values, vectors, product)] = _side_by_side(self._decompose, [None])
        weights = vectors @ (self._shrink(values, strength)[:, None] * product)
        return RidgeMap(self.centre, self.scale, weights, self.intercept, strength)


def _side_by_side(work: Callable[[Part], Done], parts: Iterable[Part]) -> list[Done]:
    """Return what `work` returns for each part, in their order; each is computed by one thread alone.

    The threads of one matrix product wait for each other, busily: on cores that have other work too an
    eigendecomposition takes several times as long by two of them as by one. One thread a part gives the same bits on
    any number of cores.
    """
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


def _cut(labels: np.ndarray, counts: np.ndarray, folds: int, seed: int, dealt_out: bool) -> list[np.ndarray]:
    """Return the rows of each fold, those of one label together.

    Args:
        labels: of the rows, (n,).
        counts: which rows are learned from, bool (n,).
        folds: how many.
        seed: of the order in which labels go into folds.
        dealt_out: whether labels are dealt out one by one, those with rows that count first, so that each fold has as
            many of these.
    """
    _, first, found = np.unique(labels, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[found]  # labels in the order in which they come
    counted = np.bincount(group, weights=counts, minlength=len(first)) > 0
    if folds < 2 or counted.sum() < folds:
        what = "rows" if len(first) == len(labels) else "words"
        raise SettingsError(
            f"cannot cut {counted.sum()} covered {what} into {folds} folds; take 2 folds or more, fewer than {what}"
        )
    order = np.random.default_rng(seed).permutation(len(first))
    # Those that count keep their folds whatever else is predicted.
    order = order[np.argsort(~counted[order], kind="stable")]
    parts = [order[k::folds] for k in range(folds)] if dealt_out else np.array_split(order, folds)
    place, fold = (np.empty(len(first), dtype=np.int64) for _ in range(2))
    place[order] = np.arange(len(order))
    for number, part in enumerate(parts):
        fold[part] = number
    rows = np.argsort(place[group], kind="stable")
    return [rows[fold[group[rows]] == number] for number in range(folds)]


def _mean(block: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the columns' mean, weighted if there are weights, float64 (d,)."""
    if weights is None:
        return np.asarray(block.mean(axis=0, dtype=np.float64))
    counted = weights > 0
    return np.average(block[counted], axis=0, weights=weights[counted])


def _total(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return their sum; numpy's would stack them first."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _unit_variance(block: np.ndarray) -> float:
    spread = float(np.sqrt(block.var(axis=0, dtype=np.float64).mean()))
    return 1.0 / spread if spread > 0 else 0.0
