"""Exact nearest neighbours among the rows of a table, in its full space, never in a 2-D map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbour_search import SCORE_BYTES, prepare_search, query_all_rows, query_rows
from defemb_core.spectrum import checked_matrix, row_blocks

METRICS = ("cosine", "euclidean")
# Above so many rows, if all are queried, the products of half of the pairs will do; below, loading numba takes longer.
_MANY_QUERIES = 4096


@dataclass(frozen=True)
class Neighbours:
    """The k nearest rows of each queried row, nearest first, the row itself never among them.

    Attributes:
        indices: int32 (Q, k), row numbers.
        similarities: float32 (Q, k), descending: the cosine, -1 to 1, or minus the Euclidean distance.
        metric: "cosine" or "euclidean".
    """

    indices: np.ndarray
    similarities: np.ndarray
    metric: str = "cosine"

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.indices.shape != self.similarities.shape:
            raise SettingsError(
                f"neighbour indices are {self.indices.shape}, similarities {self.similarities.shape}; give both (Q, k)"
            )

    @property
    def k(self) -> int:
        """How many neighbours each queried row has."""
        return self.indices.shape[1]

    def nearest(self, k: int) -> "Neighbours":
        """The first k of each row's neighbours."""
        if not 1 <= k <= self.k:
            raise SettingsError(f"k is {k}, but {self.k} neighbours are known; choose 1 to {self.k}")
        return Neighbours(self.indices[:, :k], self.similarities[:, :k], self.metric)


def normalise_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows divided by their Euclidean norm, float32 (V, H); a row of zeros stays zero.

    Args:
        matrix: (V, H).

    Raises:
        SettingsError: for fewer than two rows, NaN or infinity.
    """
    table = checked_matrix(matrix)
    # Dividing by the largest component first keeps the squares of very large or very small rows in range.
    largest = np.abs(table).max(axis=1, keepdims=True)
    unit = np.divide(table, largest, out=np.zeros_like(table), where=largest > 0)
    norms = np.sqrt(np.vecdot(unit, unit))[:, None]
    return np.divide(unit, norms, out=unit, where=norms > 0)


def nearest_neighbours(
    matrix: np.ndarray,
    k: int,
    metric: str = "cosine",
    *,
    rows: Sequence[int] | np.ndarray | None = None,
    of: np.ndarray | None = None,
    normalised: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Neighbours:
    """Exact k nearest neighbours in the full space, by blocked matrix products, half of them where all rows are asked.

    Similarities are computed again pair by pair for the best few of each block, so the answer depends neither on the
    block size nor on which other rows are queried; equal similarities are ordered by the lower row. A row of zeros
    has cosine 0 to every row. Next to the matrix (and its normalised copy) at most about 150 MB are used, and a
    kilobyte or so a row where all rows are asked for 20.

    Args:
        matrix: (V, H).
        k: neighbours a row, 1 to V - 1, or to V with `of`.
        metric: "cosine" or "euclidean".
        rows: which rows to query, all by default.
        of: another table (Q, H) whose rows are queried instead of the matrix's own; none of these is left out then.
        normalised: matrix and `of` come from `normalise_rows` already; skips doing so (cosine only).
        progress: called with the queried rows done and their number after each block.

    Raises:
        SettingsError: for an invalid matrix, k, metric or row.

    Example:
        >>> near = de.nearest_neighbours(plm.matrix, k=2, rows=[3118])
        >>> vocabulary["text"][near.indices[0].tolist()].to_list()
        ['1983', '1985']
    """
    if metric not in METRICS:
        raise SettingsError(f"unknown metric {metric!r}; use one of {', '.join(METRICS)}")
    if normalised and metric != "cosine":
        raise SettingsError("normalised rows serve the cosine only; pass the table as it is")
    prepare = _as_prepared if normalised else normalise_rows if metric == "cosine" else checked_matrix
    points = prepare(matrix)
    origins = points if of is None else _checked_origins(of, points, prepare)
    queries = _checked_rows(rows, origins.shape[0])
    search = prepare_search(points, origins, metric, k, queries)
    if rows is None and of is None and queries.size > _MANY_QUERIES:
        return Neighbours(*query_all_rows(search, progress), metric)
    indices = np.empty((queries.size, k), dtype=np.int32)
    similarities = np.empty((queries.size, k), dtype=np.float32)
    for part in row_blocks(queries.size, max(1, SCORE_BYTES // (4 * points.shape[0]))):
        indices[part], similarities[part] = query_rows(search, queries[part])
        if progress is not None:
            progress(min(part.stop, queries.size), queries.size)
    return Neighbours(indices, similarities, metric)


def neighbour_turnover(before: Neighbours, after: Neighbours) -> np.ndarray:
    """Share of each row's neighbours that are different in `after`: 1 - |A and B| / k, float32 (Q,).

    0: the same neighbours in whatever order, 1: none of them is left. Both must have been asked for the same rows.

    Raises:
        SettingsError: where the numbers of rows or of neighbours differ.
    """
    if before.indices.shape != after.indices.shape:
        raise SettingsError(
            f"neighbours are {before.indices.shape} and {after.indices.shape}; query the same rows with the same k"
        )
    # No row holds an index twice, so an index that both hold is one that follows itself once all are sorted.
    both = np.sort(np.concatenate([before.indices, after.indices], axis=1), axis=1)
    shared = np.count_nonzero(both[:, 1:] == both[:, :-1], axis=1)
    return (1.0 - shared / before.k).astype(np.float32)


def _as_prepared(matrix: np.ndarray) -> np.ndarray:
    """The rows that `normalise_rows` gave, read no more than their products will be: a click waits for every pass."""
    if matrix.ndim != 2 or matrix.dtype != np.float32 or not matrix.flags.c_contiguous or matrix.shape[0] < 2:
        return checked_matrix(matrix)
    return matrix


def _checked_origins(of: np.ndarray, points: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Rows of another table, as wide as the points and prepared like them."""
    if of.ndim != 2 or of.shape[1] != points.shape[1]:
        raise SettingsError(f"rows to query are {of.shape}, the table is {points.shape}; give both the same width")
    # A table has at least two rows; a query may be a single one.
    return prepare(of) if of.shape[0] > 1 else prepare(np.repeat(of, 2, axis=0))[:1]


def _checked_rows(rows: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    """Row numbers to query, int64 (Q,)."""
    if rows is None:
        return np.arange(count)
    queries = np.asarray(rows)
    if queries.ndim != 1 or queries.size == 0 or queries.dtype.kind not in "iu":
        raise SettingsError(f"rows are {queries.dtype} of shape {queries.shape}; pass a list of row numbers")
    if queries.min() < 0 or queries.max() >= count:
        wrong = int(queries.min()) if queries.min() < 0 else int(queries.max())
        raise SettingsError(f"row {wrong} does not exist; the table has rows 0 to {count - 1}")
    return queries.astype(np.int64)
