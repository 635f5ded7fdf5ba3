"""The distribution of the cosines between rows: what the mean cosine is the mean of."""

from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import normalise_rows

# Pairs that are drawn where there are more: a share is then known to within 0.0011 (one standard error).
SAMPLED_PAIRS = 200_000
BINS = 200
# Pairs whose rows are gathered at a time: 8,192 x 2 x 768 x 4 bytes are 48 MiB.
_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Cosines:
    """Counts of cosines in bins of one width from -1 to 1.

    Attributes:
        counts: int64 (BINS,), pairs of distinct rows in each bin.
        mean: of the pairs counted, -1 to 1, near 0 is isotropic.
        pairs: how many were counted.
        all_pairs: how many there are; more than `pairs` where those counted are a sample.
    """

    counts: np.ndarray
    mean: float
    pairs: int
    all_pairs: int

    @property
    def exact(self) -> bool:
        """Whether every pair was counted."""
        return self.pairs == self.all_pairs

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, float64 (BINS + 1,), from -1 to 1."""
        return np.linspace(-1.0, 1.0, BINS + 1)


def cosine_histogram(matrix: np.ndarray, seed: int = 0) -> Cosines:
    """Count the cosines of pairs of distinct rows: of every pair up to 200,000, else of so many drawn with `seed`.

    Pairs are drawn independently and uniformly, with replacement. Rows of zeros point nowhere and take no part.

    Args:
        matrix: (V, H).
        seed: of the draw.

    Raises:
        SettingsError: for NaN or infinity, or fewer than two rows that are not zero.
    """
    units = normalise_rows(matrix)
    units = units[units.any(axis=1)]
    rows = len(units)
    if rows < 2:
        raise SettingsError(f"{rows} rows point anywhere; pass at least two that are not zero")
    all_pairs = rows * (rows - 1) // 2
    if all_pairs <= SAMPLED_PAIRS:
        first, second = np.triu_indices(rows, 1)
    else:
        random = np.random.default_rng(seed)
        first = random.integers(rows, size=SAMPLED_PAIRS)
        second = (first + random.integers(1, rows, size=SAMPLED_PAIRS)) % rows  # never the same row twice
    cosines = _cosines(units, first, second)
    counts, _ = np.histogram(cosines, BINS, (-1.0, 1.0))
    return Cosines(counts, float(cosines.mean(dtype=np.float64)), first.size, all_pairs)


def _cosines(units: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosines (n,) of unit rows, a block of pairs at a time."""
    found = np.empty(first.size, np.float32)
    for start in range(0, first.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = np.vecdot(units[first[part]], units[second[part]])
    return np.clip(found, -1.0, 1.0)
