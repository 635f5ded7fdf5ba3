"""The best scores of every row of a table against all others, from half of the products: a pair's serves both rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numba
import numpy as np

# Rows and columns of a block of products (float32) at a time: 64 MiB.
_ROWS, _COLUMNS = 1024, 16_384
# Values that are compared before it is asked which of them count.
_STRETCH = 64
# Parts of a block that each thread looks through: more than one, since hits are not spread evenly.
_PARTS = 4


class _Kept(NamedTuple):
    """The best of each row so far, a heap a row: its lowest first."""

    scores: np.ndarray  # float32 (V, count)
    found: np.ndarray  # int32 (V, count), which rows these are with
    lowest: np.ndarray  # float32 (V,), the first of each row's scores side by side


def best_of_all_pairs(
    points: np.ndarray, offset: np.ndarray, count: int, progress: Callable[[int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows have the highest scores with each row, itself left out, and the scores, highest first.

    The score of row q with row p is q . p + offset[p], summed in the order that the matrix product chooses. The answer
    does not depend on the number of threads; of equal scores at the end any may be left out.

    Args:
        points: float32 (V, H), finite.
        offset: float32 (V,).
        count: how many of each row, 1 to V - 1.
        progress: called with the pairs done and their number, both in rows, after each block of rows.

    Returns:
        indices int32 and scores float32, both (V, count).
    """
    rows = len(points)
    scores = np.full((rows, count), -np.inf, dtype=np.float32)
    kept = _Kept(scores, np.full((rows, count), -1, dtype=np.int32), scores[:, 0].copy())
    # Fresh memory for each block would take a third more time.
    block = np.empty(min(_ROWS, rows) * min(_COLUMNS, rows), dtype=np.float32)
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        share = partial(_share, pool, threads)
        for top in range(0, rows, _ROWS):
            bottom = min(top + _ROWS, rows)
            for left in range(top, rows, _COLUMNS):
                right = min(left + _COLUMNS, rows)
                products = block[: (bottom - top) * (right - left)].reshape(bottom - top, right - left)
                np.matmul(points[top:bottom], points[left:right].T, out=products)
                where = (products, offset, top, left, kept)
                share(partial(_keep_by_row, *where), 0, bottom - top)
                # What lies left of `bottom` is a square that has both scores of each of its pairs.
                after = max(bottom, left) - left
                share(partial(_keep_by_column, *where), after, right - left)
            if progress is not None:
                progress(rows * rows - (rows - bottom) ** 2, rows * rows)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(kept.found, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _share(pool: ThreadPoolExecutor, threads: int, work: Callable[[int, int], None], start: int, end: int) -> None:
    """Have the threads do a range of rows or columns, in parts."""
    cuts = np.linspace(start, end, threads * _PARTS + 1).astype(int)
    for _ in pool.map(work, cuts[:-1], cuts[1:]):
        pass


@numba.njit(nogil=True, cache=True)
def _keep_by_row(
    products: np.ndarray, offset: np.ndarray, top: int, left: int, kept: _Kept, start: int, end: int
) -> None:
    """Keep the best of each row of a block, of the rows start to end."""
    width = products.shape[1]
    for line in range(start, end):
        row = top + line
        limit = kept.lowest[row]
        for first in range(0, width, _STRETCH):
            last = min(first + _STRETCH, width)
            if not _above(products[line, first:last], offset[left + first : left + last], limit):
                continue
            for place in range(first, last):
                score = products[line, place] + offset[left + place]
                if score > limit and left + place != row:
                    _replace_lowest(kept.scores[row], kept.found[row], score, left + place)
                    limit = kept.scores[row, 0]
        kept.lowest[row] = limit


@numba.njit(nogil=True, cache=True)
def _keep_by_column(
    products: np.ndarray, offset: np.ndarray, top: int, left: int, kept: _Kept, start: int, end: int
) -> None:
    """Keep the best of each column of a block, of the columns start to end; line by line, as they lie in memory."""
    for line in range(products.shape[0]):
        own = offset[top + line]
        for first in range(start, end, _STRETCH):
            last = min(first + _STRETCH, end)
            if not _above_each(products[line, first:last], own, kept.lowest[left + first : left + last]):
                continue
            for place in range(first, last):
                score = products[line, place] + own
                row = left + place
                if score > kept.lowest[row]:
                    _replace_lowest(kept.scores[row], kept.found[row], score, top + line)
                    kept.lowest[row] = kept.scores[row, 0]


# Hits are rare. To count them over a stretch, several values at a time, takes a fifth of asking of one after the other.
@numba.njit(nogil=True, cache=True)
def _above(products: np.ndarray, offset: np.ndarray, limit: float) -> int:
    count = 0
    for place in range(products.shape[0]):
        if products[place] + offset[place] > limit:
            count += 1
    return count


@numba.njit(nogil=True, cache=True)
def _above_each(products: np.ndarray, own: float, limits: np.ndarray) -> int:
    count = 0
    for place in range(products.shape[0]):
        if products[place] + own > limits[place]:
            count += 1
    return count


@numba.njit(nogil=True, cache=True)
def _replace_lowest(scores: np.ndarray, found: np.ndarray, score: float, index: int) -> None:
    """Put a score and its row in the place of the lowest of a heap, which is the first."""
    place, child = 0, 1
    while child < scores.shape[0]:
        if child + 1 < scores.shape[0] and scores[child + 1] < scores[child]:
            child += 1
        if scores[child] >= score:
            break
        scores[place], found[place] = scores[child], found[child]
        place, child = child, 2 * child + 1
    scores[place], found[place] = score, index
