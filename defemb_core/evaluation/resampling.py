"""The bootstrap: how far a figure would move had other pairs, or other tokens, been drawn.

Items are drawn with replacement, as many as there are, again and again (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 6 and 13).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
_AT_ONCE = 2**20  # counts that exist at a time: 8 MiB in float64


def resampled_counts(items: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each item was drawn, float64 (b, items), until `resamples` lines have been given.

    Equal arguments give equal counts: figures of several tables on the same items are paired.
    """
    draw = np.random.default_rng(seed)
    size = max(1, _AT_ONCE // items)
    for start in range(0, resamples, size):
        lines = min(size, resamples - start)
        drawn = draw.integers(items, size=(lines, items)) + np.arange(lines)[:, None] * items
        yield np.bincount(drawn.ravel(), minlength=lines * items).reshape(lines, items).astype(np.float64)


def interval(resampled: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of a resampled figure, (b,); resamples without a figure (NaN) are left out."""
    if not np.isfinite(resampled).any():
        return float("nan"), float("nan")
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def two_sided_p(differences: np.ndarray) -> float:
    """Return how easily a difference as far from 0 comes about by the draw of the items alone, 0 to 1.

    Twice the smaller share of resampled differences (b,) on one side of 0, with one resample more on either side, so
    that b resamples never claim less than 2 / (b + 1) (Davison and Hinkley, Bootstrap Methods and their Application,
    1997, section 4.4). It agrees with the percentile interval: below 0.05 the interval leaves 0 out. For correlations
    that share a variable, as two tables' with the same human scores do, Wilcox (Comparing dependent robust
    correlations, British Journal of Mathematical and Statistical Psychology 69, 2016) recommends this bootstrap.
    """
    known = differences[np.isfinite(differences)]
    fewer = min((known <= 0).sum(), (known >= 0).sum())
    return min(1.0, float(2 * (1 + fewer) / (1 + known.size)))


def compare_means(values: np.ndarray, resamples: int, seed: int) -> list[dict[str, float]]:
    """Return each line's mean with its interval, and its difference to the first line's; of `values` (T, n).

    Keys: `mean, low, high`, and of all but the first line `difference, difference_low, difference_high, p`.
    """
    count = values.shape[1]
    drawn = np.concatenate([counts @ values.T / count for counts in resampled_counts(count, resamples, seed)]).T
    lines = []
    for number, line in enumerate(drawn):
        low, high = interval(line)
        told = {"mean": float(values[number].mean()), "low": low, "high": high}
        if number:
            low, high = interval(line - drawn[0])
            told |= {"difference": float((values[number] - values[0]).mean()), "difference_low": low}
            told |= {"difference_high": high, "p": two_sided_p(line - drawn[0])}
        lines.append(told)
    return lines
