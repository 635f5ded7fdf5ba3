"""The search behind nearest neighbours: scores from matrix products, exact similarities of the best few."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.spectrum import row_blocks

# Scores (float32) that exist at a time: 64 MiB, which is 550 queries against 30,522 rows, 67 against 250,000.
SCORE_BYTES = 64 * 2**20
# Gathered candidate rows (float32) that a thread has at a time.
_GATHER_BYTES = 8 * 2**20
# Below this many queries a partition by numpy takes milliseconds, and torch need not be imported (seconds) for it.
_FEW_QUERIES = 32
# Above this many candidates within the slack it pays to look for identical rows among them.
_MANY_TIES = 1000
_NOT_FINITE = "the table has NaN or infinity; leave such rows out or load the table again"
# Candidates beyond k whose similarity is computed again; more of them make the slow path for near-ties rarer.
_SPARE = 8


@dataclass(frozen=True)
class Search:
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


def prepare_search(points: np.ndarray, origins: np.ndarray, metric: str, k: int, queries: np.ndarray) -> Search:
    """Score offsets and slack, with k checked."""
    width = points.shape[1]
    count = points.shape[0] - (origins is points)
    if not 1 <= k <= count:
        raise SettingsError(f"k is {k}, but a row has {count} possible neighbours; choose 1 to {count}")
    # Rounding errors of a float32 sum of H products grow with sqrt(H); twice that for safety.
    slack = 2 * float(np.finfo(np.float32).eps) * width**0.5
    if metric == "cosine":
        return Search(points, origins, None, slack, metric, k)
    with np.errstate(over="ignore"):  # reported below
        squares = np.vecdot(points, points)
        asked = squares[queries] if origins is points else np.vecdot(origins[queries], origins[queries])
    if not (np.isfinite(squares).all() and np.isfinite(asked).all()):
        raise SettingsError("rows are too large for float32 distances; divide the table by a constant first")
    scale = float(squares.max()) ** 0.5 * max(float(asked.max()), float(squares.max())) ** 0.5
    return Search(points, origins, squares / -2, slack * scale, metric, k)


def query_rows(search: Search, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def query_all_rows(search: Search, progress: Callable[[int, int], None] | None) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of all rows: row numbers int32 and similarities float32, both (V, k)."""
    from defemb_core.all_pairs import best_of_all_pairs

    rows = len(search.points)
    if not np.isfinite(search.points).all():
        raise SettingsError(_NOT_FINITE)
    offset = np.zeros(rows, dtype=np.float32) if search.offset is None else search.offset
    count = min(search.k + _SPARE, rows - 1)
    best, found = best_of_all_pairs(search.points, offset, count, progress)
    indices, similarities = _ordered(search, np.arange(rows), best, found)
    # As in query_rows: these may have a row among their nearest that was left out.
    unsure = np.flatnonzero((found[:, -1] >= found[:, search.k - 1] - 2 * search.slack) & (count < rows - 1))
    for block in row_blocks(unsure.size, max(1, SCORE_BYTES // (4 * rows))):
        indices[unsure[block]], similarities[unsure[block]] = query_rows(search, unsure[block])
    return indices, similarities


def _close(search: Search, query: int, near: np.ndarray) -> np.ndarray:
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
    search: Search, queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the given candidate rows (B, n) by their pairwise similarity, then by the lower row."""
    similarities = np.empty(candidates.shape, dtype=np.float32)

    def measure(part: slice) -> None:
        others, own = search.points.take(candidates[part], axis=0), search.origins[queries[part], None]
        if search.metric == "cosine":
            similarities[part] = np.clip(np.vecdot(others, own), -1.0, 1.0)
        else:
            others -= own
            similarities[part] = -np.sqrt(np.vecdot(others, others))

    size = max(1, _GATHER_BYTES // (4 * candidates.shape[1] * search.points.shape[1]))
    if queries.size <= size:
        measure(slice(None))
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(measure, row_blocks(queries.size, size)))
    similarities[np.isneginf(scores)] = -np.inf
    order = np.lexsort((candidates, -similarities), axis=1)[:, : search.k]
    indices = np.take_along_axis(candidates, order, axis=1).astype(np.int32)
    return indices, np.take_along_axis(similarities, order, axis=1)
