"""Questions to a table: analogies, what lies between, the odd one out, and who is how near to whom.

Matrices in, numbers out; all of it exact, in the full space, on rows of length 1 (neighbours.normalise_rows).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import Neighbours

Analogy = Literal["3CosAdd", "3CosMul"]
ANALOGIES: tuple[Analogy, ...] = get_args(Analogy)
# Keeps the quotient of 3CosMul finite; the value of Levy and Goldberg (2014).
EPSILON = 0.001


@dataclass(frozen=True, eq=False)
class Answers:
    """The rows that answer a question best, best first.

    Attributes:
        rows: int64 (k,).
        scores: float32 (k,), descending; what they are depends on the question.
    """

    rows: np.ndarray
    scores: np.ndarray


def nearest_to(units: np.ndarray, vector: np.ndarray, k: int, without: Collection[int] = ()) -> Answers:
    """Return the k rows with the highest cosine to any vector.

    Args:
        units: rows of length 1, float32 (V, H).
        vector: (H,), of any length; the cosine with a zero vector is 0.
        k: answers, fewer if there are not so many rows.
        without: rows that are no answer.
    """
    length = float(np.linalg.norm(vector))
    unit = np.asarray(vector / length if length > 0 else vector, dtype=np.float32)
    return _best(np.clip(units @ unit, -1, 1), k, without)


def analogy(units: np.ndarray, a: int, b: int, c: int, k: int, kind: Analogy = "3CosAdd") -> Answers:
    """Answer "a is to b as c is to ?" with the k best rows; a, b and c themselves are no answer.

    3CosAdd (Mikolov, Yih and Zweig 2013) scores a row x by cos(x, b) - cos(x, a) + cos(x, c), -3 to 3. 3CosMul (Levy
    and Goldberg 2014) scores it by cos(x, b) cos(x, c) / (cos(x, a) + 0.001), the cosines moved to 0 to 1 by
    (1 + cos) / 2, so that no one of the three terms decides alone.

    Args:
        units: rows of length 1, float32 (V, H).
        a: a row; so are b and c.
        b: what a is to.
        c: what the answer is to be to, as b is to a.
        k: answers.
        kind: which score.

    Raises:
        SettingsError: an unknown kind, or a row that the table does not have.
    """
    if kind not in ANALOGIES:
        raise SettingsError(f"unknown analogy {kind!r}; use one of {', '.join(ANALOGIES)}")
    rows = _checked(units, (a, b, c))
    to_a, to_b, to_c = units[rows] @ units.T
    if kind == "3CosAdd":
        return _best(to_b - to_a + to_c, k, rows)
    shifted = [(1 + np.clip(to, -1, 1)) / 2 for to in (to_a, to_b, to_c)]
    return _best(shifted[1] * shifted[2] / (shifted[0] + np.float32(EPSILON)), k, rows)


def between(units: np.ndarray, rows: Sequence[int], k: int) -> Answers:
    """Return the k rows nearest (cosine) to the mean of some rows at length 1; these themselves are no answer.

    Raises:
        SettingsError: no rows, or one that the table does not have.
    """
    chosen = _checked(units, rows)
    return nearest_to(units, units[chosen].mean(axis=0, dtype=np.float64), k, chosen)


def odd_one_out(units: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return each row's mean cosine with the others, float32 (n,), -1 to 1; the least is the odd one's.

    Raises:
        SettingsError: fewer than three rows, or one that the table does not have.
    """
    if len(rows) < 3:
        raise SettingsError(f"{len(rows)} tokens have no odd one out; choose three or more")
    cosines = cosine_matrix(units, rows)
    return (cosines.sum(axis=1) - np.diag(cosines)) / (len(rows) - 1)


def cosine_matrix(units: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return the cosine of each of some rows with each, float32 (n, n), -1 to 1, symmetric.

    Raises:
        SettingsError: no rows, or one that the table does not have.
    """
    chosen = units[_checked(units, rows)]
    return np.clip(chosen @ chosen.T, -1, 1)


def neighbour_ranks(units: np.ndarray, row: int, others: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return how many rows are as near to a row as each of `others` or nearer, int64: 1 is its nearest neighbour.

    Of rows that are as near the lower one comes first, as among the neighbours that nearest_neighbours finds.

    Args:
        units: rows of length 1, float32 (V, H).
        row: whose neighbours they are; it is none of its own.
        others: rows to find, (n,).
    """
    scores = np.vecdot(units, units[row])  # pair by pair, as nearest_neighbours orders them
    scores[row] = -np.inf
    own = scores[np.asarray(others, dtype=np.int64)]
    before = np.arange(len(units)) < np.asarray(others, dtype=np.int64)[:, None]
    return 1 + ((scores > own[:, None]) | ((scores == own[:, None]) & before)).sum(axis=1)


def local_rows(row: int, first: Neighbours, second: Neighbours) -> np.ndarray:
    """Return a row and its neighbours in two tables, each once: itself, the first table's, the second's further ones.

    Args:
        row: whose neighbours they are.
        first: of this row alone.
        second: of this row alone.
    """
    rows = np.concatenate([[row], first.indices[0], second.indices[0]]).astype(np.int64)
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


def local_map(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a map of a few rows alone, float32 (n, 2), and the share of their variance that it shows, 0 to 1.

    Classical multidimensional scaling of the distances of rows at length 1, which is PCA of these rows (Gower 1966);
    the first row lies at the origin.

    Args:
        rows: of length 1, (n, H).

    Raises:
        SettingsError: fewer than three rows.
    """
    if len(rows) < 3:
        raise SettingsError(f"{len(rows)} rows make no map; choose three or more")
    wide = rows.astype(np.float64)
    left, values, _ = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    points = left[:, :2] * values[:2]
    total = float((values**2).sum())
    shown = float((values[:2] ** 2).sum()) / total if total > 0 else 1.0
    return (points - points[0]).astype(np.float32), shown


def _checked(units: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    chosen = np.asarray(rows, dtype=np.int64)
    if not chosen.size:
        raise SettingsError("no rows are named; choose at least one")
    if chosen.min() < 0 or chosen.max() >= len(units):
        raise SettingsError(f"rows {chosen.min()} to {chosen.max()} of {len(units):,}; choose rows that the table has")
    return chosen


def _best(scores: np.ndarray, k: int, without: Collection[int]) -> Answers:
    """Return the k best, the lower row first where scores are equal."""
    scores = scores.astype(np.float32)
    scores[list(without)] = -np.inf
    k = min(k, len(scores) - len(set(without)))
    if k < 1:
        return Answers(np.empty(0, np.int64), np.empty(0, np.float32))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= least)
    rows = candidates[np.lexsort((candidates, -scores[candidates]))][:k]
    return Answers(rows, scores[rows])
