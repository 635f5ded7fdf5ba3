"""Exact nearest neighbours among the rows of a table, in its full space, never in a 2-D map."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix, row_blocks

METRICS = ("cosine", "euclidean")
# Scores (float32) that exist at a time: 64 MiB, which is 550 queries against 30,522 rows, 67 against 250,000.
_SCORE_BYTES = 64 * 2**20
# Gathered candidate rows (float32) that exist at a time.
_GATHER_BYTES = 32 * 2**20
# Below this many queries a partition by numpy takes milliseconds, and torch need not be imported (seconds) for it.
_FEW_QUERIES = 32
# Above so many rows, if all are queried, the products of half of the pairs will do; below, loading numba takes longer.
_MANY_QUERIES = 4096
# Above this many candidates within the slack it pays to look for identical rows among them.
_MANY_TIES = 1000
_NOT_FINITE = "the table has NaN or infinity; leave such rows out or load the table again"
# Candidates beyond k whose similarity is computed again; more of them make the slow path for near-ties rarer.
_SPARE = 8


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


@dataclass(frozen=True)
class _Search:
    """What stays the same from block to block.

    A query q is compared by q . points + offset, which orders rows as the metric does. `slack` bounds how far such a
    score, summed in the order that the matrix product chose, may be from the pairwise value.
    """

    points: np.ndarray  # (V, H), unit rows for cosine
    origins: np.ndarray  # what queries are rows of: the points themselves, or a table of its own
    offset: np.ndarray | None  # (V,), minus half the squared norm for Euclidean
    slack: float
    metric: str
    k: int

    @cached_property
    def copies_before(self) -> np.ndarray:
        """How many identical rows come before each one, (V,); some vocabularies hold thousands of copies."""
        rows = self.points.view(np.dtype((np.void, self.points.itemsize * self.points.shape[1])))[:, 0]
        order = np.argsort(rows, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], rows[order[1:]] != rows[order[:-1]]]))
        counts = np.diff(np.append(starts, order.size))
        before = np.empty(order.size, dtype=np.int64)
        before[order] = np.arange(order.size) - np.repeat(starts, counts)
        return before


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
    has cosine 0 to every row. Next to the matrix (and its normalised copy) at most about 150 MB are used.

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
    search = _prepared(points, origins, metric, k, queries)
    if rows is None and of is None and queries.size > _MANY_QUERIES:
        return Neighbours(*_query_all(search, progress), metric)
    indices = np.empty((queries.size, k), dtype=np.int32)
    similarities = np.empty((queries.size, k), dtype=np.float32)
    for part in row_blocks(queries.size, max(1, _SCORE_BYTES // (4 * points.shape[0]))):
        indices[part], similarities[part] = _query(search, queries[part])
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


def _prepared(points: np.ndarray, origins: np.ndarray, metric: str, k: int, queries: np.ndarray) -> _Search:
    """Score offsets and slack, with k checked."""
    width = points.shape[1]
    count = points.shape[0] - (origins is points)
    if not 1 <= k <= count:
        raise SettingsError(f"k is {k}, but a row has {count} possible neighbours; choose 1 to {count}")
    # Rounding errors of a float32 sum of H products grow with sqrt(H); twice that for safety.
    slack = 2 * float(np.finfo(np.float32).eps) * width**0.5
    if metric == "cosine":
        return _Search(points, origins, None, slack, metric, k)
    with np.errstate(over="ignore"):  # reported below
        squares = np.vecdot(points, points)
        asked = squares[queries] if origins is points else np.vecdot(origins[queries], origins[queries])
    if not (np.isfinite(squares).all() and np.isfinite(asked).all()):
        raise SettingsError("rows are too large for float32 distances; divide the table by a constant first")
    scale = float(squares.max()) ** 0.5 * max(float(asked.max()), float(squares.max())) ** 0.5
    return _Search(points, origins, squares / -2, slack * scale, metric, k)


def _query(search: _Search, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of one block of queries: row numbers int32 and similarities float32, both (B, k)."""
    scores = search.origins[queries] @ search.points.T
    if not np.isfinite(scores).all():
        raise SettingsError(_NOT_FINITE)
    if search.offset is not None:
        scores += search.offset
    if search.origins is search.points:
        scores[np.arange(queries.size), queries] = -np.inf
    rows = search.points.shape[0]
    count = min(search.k + _SPARE, rows)
    best = _best(scores, count)
    found = np.take_along_axis(scores, best, axis=1)
    indices, similarities = _ordered(search, queries, best, found)
    if count < rows:
        # A row left out may still belong in where the last one kept scores within the slack of the k-th.
        limit = found[:, search.k - 1] - 2 * search.slack
        for line in np.flatnonzero(found[:, -1] >= limit):
            close = _close(search, queries[line], scores[line] >= limit[line])[None]
            pair = _ordered(search, queries[[line]], close, scores[line][close])
            indices[line], similarities[line] = pair[0][0], pair[1][0]
    return indices, similarities


def _query_all(search: _Search, progress: Callable[[int, int], None] | None) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of all rows: row numbers int32 and similarities float32, both (V, k)."""
    from defemb_core.all_pairs import best_of_all_pairs

    rows = len(search.points)
    if not np.isfinite(search.points).all():
        raise SettingsError(_NOT_FINITE)
    offset = np.zeros(rows, dtype=np.float32) if search.offset is None else search.offset
    count = min(search.k + _SPARE, rows - 1)
    best, found = best_of_all_pairs(search.points, offset, count, progress)
    indices, similarities = _ordered(search, np.arange(rows), best, found)
    # As in _query: these may have a row among their nearest that was left out.
    unsure = np.flatnonzero((found[:, -1] >= found[:, search.k - 1] - 2 * search.slack) & (count < rows - 1))
    for block in row_blocks(unsure.size, max(1, _SCORE_BYTES // (4 * rows))):
        indices[unsure[block]], similarities[unsure[block]] = _query(search, unsure[block])
    return indices, similarities


def _close(search: _Search, query: int, near: np.ndarray) -> np.ndarray:
    """Rows that may be among the k nearest, out of those within the slack, without copies that cannot win."""
    close = np.flatnonzero(near)
    if search.metric == "cosine" and not search.origins[query].any():
        return close[: search.k]  # cosine 0 to every row: the lowest rows win
    if close.size > _MANY_TIES:
        close = close[search.copies_before[close] <= search.k]
    return close


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Rows of the `count` highest scores of each line, highest first, (B, count)."""
    if scores.shape[0] > _FEW_QUERIES:
        import torch

        return torch.topk(torch.from_numpy(scores), count, dim=1).indices.numpy()
    best = np.argpartition(scores, scores.shape[1] - count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def _ordered(
    search: _Search, queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the given candidate rows (B, n) by their pairwise similarity, then by the lower row."""
    similarities = np.empty(candidates.shape, dtype=np.float32)
    for part in row_blocks(queries.size, max(1, _GATHER_BYTES // (4 * candidates.shape[1] * search.points.shape[1]))):
        others, own = search.points[candidates[part]], search.origins[queries[part], None]
        if search.metric == "cosine":
            similarities[part] = np.clip(np.vecdot(others, own), -1.0, 1.0)
        else:
            others -= own
            similarities[part] = -np.sqrt(np.vecdot(others, others))
    similarities[np.isneginf(scores)] = -np.inf
    order = np.lexsort((candidates, -similarities), axis=1)[:, : search.k]
    indices = np.take_along_axis(candidates, order, axis=1).astype(np.int32)
    return indices, np.take_along_axis(similarities, order, axis=1)
