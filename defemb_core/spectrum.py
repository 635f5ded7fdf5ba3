"""Singular values of an embedding table: how many directions it really uses, and how unevenly."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError

# Rows that are widened to float64 at a time: 4,096 x 1,024 x 8 bytes are 32 MiB, and products run at full speed.
_BLOCK_ROWS = 4096


def checked_matrix(matrix: np.ndarray, name: str = "matrix") -> np.ndarray:
    """A table as every analysis takes it: float32, contiguous, two-dimensional, at least two rows, finite.

    Args:
        matrix: anything numpy reads as numbers, (V, H).
        name: what the message calls it.

    Returns:
        The same array where it fits already, else a float32 copy.

    Raises:
        SettingsError: for another number of dimensions, fewer than two rows, no columns, NaN or infinity.
    """
    array = np.asarray(matrix)
    if array.dtype.kind not in "fiu":
        raise SettingsError(f"{name} holds {array.dtype}, not numbers; pass a float32 array of rows x columns")
    if array.ndim != 2:
        raise SettingsError(f"{name} has {array.ndim} dimensions, not 2; pass an array of rows x columns")
    if array.shape[0] < 2 or array.shape[1] < 1:
        raise SettingsError(f"{name} is {array.shape[0]} x {array.shape[1]}; pass at least two rows and one column")
    # A float64 value past float32's range becomes infinity. One pass without a mask finds it, and any other: float32
    # values cannot overflow a float64 sum, NaN and infinity cannot leave it.
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
        total = array.sum(dtype=np.float64)
    if not np.isfinite(total):
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise SettingsError(f"{name} has NaN or infinity in row {row}; leave such rows out or load the table again")
    return array


def row_blocks(count: int, size: int = _BLOCK_ROWS) -> Iterator[slice]:
    """Consecutive slices that cover `count` rows, `size` at a time."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def gram(matrix: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """W^T W in float64, (H, H), of the rows of W minus `mean` (H,) where one is given.

    Widening block by block keeps the memory at one block, and float64 keeps small eigenvalues: a float32 Gram matrix
    would lose every singular value under 0.0003 of the largest, this one only those under about 1e-8 of it.
    """
    total = np.zeros((matrix.shape[1], matrix.shape[1]))
    for block in row_blocks(matrix.shape[0]):
        wide = matrix[block].astype(np.float64)
        if mean is not None:
            wide -= mean
        total += wide.T @ wide
    return total


def oriented(vectors: np.ndarray) -> np.ndarray:
    """Columns (H, n) with the sign that makes each one's largest-magnitude component positive.

    An eigensolver is free to return either sign; this convention makes results repeat across machines.
    """
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.where(largest < 0, -1.0, 1.0)


def cleared(eigenvalues: np.ndarray) -> np.ndarray:
    """Eigenvalues of a symmetric positive matrix with those that are rounding noise set to exactly 0.

    Noise is what lies under size x float64 epsilon x the largest one, the usual numerical rank.
    """
    floor = eigenvalues.max(initial=0.0) * eigenvalues.size * np.finfo(np.float64).eps
    return np.where(eigenvalues > floor, eigenvalues, 0.0)


def effective_rank(values: np.ndarray) -> float:
    """Effective rank of singular values: exp of the entropy of s_i / sum s (Roy & Vetterli 2007).

    1 where a single direction carries everything, n where n directions carry the same; 0 where all values are 0.
    """
    total = float(values.sum())
    if total <= 0:
        return 0.0
    share = values[values > 0] / total
    return float(np.exp(-np.sum(share * np.log(share))))


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one table.

    Attributes:
        values: float64 (min(V, H),), descending, in the table's units; rounding noise is exactly 0.
        centred: whether the mean row was subtracted first. Without it a direction that all rows share shows up as one
            large first value, which is what anisotropy looks like.
        rows: V.
    """

    values: np.ndarray
    centred: bool
    rows: int

    @property
    def normalised(self) -> np.ndarray:
        """Values divided by the largest: 1 first, comparable between tables of different scale."""
        return self.values / self.values[0] if self.values[0] > 0 else self.values.copy()

    @property
    def cumulative_variance(self) -> np.ndarray:
        """Share of the sum of squares in the first 1, 2, ... values, float64, ascending to 1; zeros if all are 0.

        Of a centred spectrum these are shares of the variance.
        """
        squares = np.square(self.values)
        return np.cumsum(squares) / squares.sum() if squares.any() else squares

    @property
    def effective_rank(self) -> float:
        """Exp of the entropy of the values' shares, 1 to min(V, H) (Roy & Vetterli 2007)."""
        return effective_rank(self.values)


def singular_values(matrix: np.ndarray, centred: bool = False) -> Spectrum:
    """Singular values of a table, largest first.

    A table with more rows than columns goes through the eigenvalues of its float64 Gram matrix: exact to about 1e-8
    of the largest value, which is finer than float32 rows are, and many times faster than a decomposition of all
    rows. Any other shape is decomposed directly.

    Args:
        matrix: (V, H).
        centred: subtract the mean row first, so that the squares divided by V are the variances.

    Raises:
        SettingsError: for fewer than two rows, NaN or infinity.

    Example:
        >>> spectrum = de.singular_values(np.diag([4.0, 2.0, 1.0]))
        >>> [round(float(value), 3) for value in spectrum.values]
        [4.0, 2.0, 1.0]
    """
    table = checked_matrix(matrix)
    mean = table.mean(axis=0, dtype=np.float64) if centred else None
    if table.shape[0] > table.shape[1]:
        values = np.sqrt(cleared(np.linalg.eigvalsh(gram(table, mean))[::-1]))
    else:
        wide = table.astype(np.float64) - (0.0 if mean is None else mean)
        values = cleared(np.linalg.svd(wide, compute_uv=False))
    return Spectrum(values, centred, table.shape[0])
