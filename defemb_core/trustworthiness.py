"""How far a two-dimensional map can be trusted: which of its neighbours are real, which real neighbours it tears apart.

Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods": trustworthiness as scikit-learn
computes it, and continuity, the same with map and table exchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import nearest_neighbours, normalise_rows
from defemb_core.spectrum import checked_matrix, row_blocks

TRUST_NEIGHBOURS = 15
# Rows that are judged. Each is ranked among all rows; the mean over 2,000 is known to about 0.003 on the bundled PLM.
TRUST_SAMPLE = 2000
# Similarities (float32) of judged rows to all rows that exist at a time.
_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Trust:
    """How well a map keeps neighbourhoods.

    Attributes:
        trustworthiness: 1 if the k nearest in the map of every judged row are its k nearest in the full space; each
            that is not counts by how far down it ranks there. 0.5 is about what a random map has.
        continuity: 1 if the k nearest in the full space are near in the map, else less by how far down they rank there.
        k: neighbours of each row that count.
        sample: how many rows were judged, each against all others.
        rows: how many there are.
        seed: of the draw.
    """

    trustworthiness: float
    continuity: float
    k: int
    sample: int
    rows: int
    seed: int


def measure_trust(
    matrix: np.ndarray,
    coordinates: np.ndarray,
    metric: str = "cosine",
    *,
    k: int = TRUST_NEIGHBOURS,
    sample: int = TRUST_SAMPLE,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trust:
    """Measure a map of a table on rows drawn at random; no more memory than for a block of them against all rows.

    For a judged row i and each j of its k nearest in the map, r(i, j) is the rank of j among all rows by distance to i
    in the full space, 1 the nearest, as many places for as many nearer rows. Trustworthiness is 1 minus the sum of
    max(0, r - k) over all judged rows, divided by the largest that it can be: m k (2 n - 3 k - 1) / 2 for m of n rows.

    Args:
        matrix: (V, H), V at least 4.
        coordinates: the map (V, 2).
        metric: "cosine" or "euclidean", of the full space; the map's is Euclidean.
        k: lowered to less than half of the rows, for which the measure is defined.
        sample: rows to judge; all of them if there are no more.
        seed: of the draw.
        progress: called with judged rows done and their number.

    Raises:
        SettingsError: table and map do not fit, or there are fewer than four rows.
    """
    points = normalise_rows(matrix) if metric == "cosine" else checked_matrix(matrix)
    places = checked_matrix(coordinates, "map").astype(np.float64)
    rows = len(points)
    if rows < 4 or len(places) != rows:
        raise SettingsError(f"a map of {len(places)} rows for a table of {rows}; pass the same four rows or more")
    used = min(k, (rows - 1) // 2)
    judged = np.sort(np.random.default_rng(seed).choice(rows, min(sample, rows), replace=False))
    near_places = nearest_neighbours(places, used, "euclidean", rows=judged).indices
    near_points = nearest_neighbours(points, used, metric, rows=judged, normalised=metric == "cosine").indices
    offset = 0.0 if metric == "cosine" else np.vecdot(points, points) / -2
    intruders = lost = 0
    for block in row_blocks(judged.size, max(1, _BLOCK_BYTES // (4 * rows))):
        own = judged[block]
        intruders += _excess(points[own] @ points.T + offset, own, near_places[block])
        lost += _excess(-_squared_distances(places, own), own, near_points[block])
        if progress is not None:
            progress(min(block.stop, judged.size), judged.size)
    worst = judged.size * used * (2 * rows - 3 * used - 1) / 2
    return Trust(1 - intruders / worst, 1 - lost / worst, used, judged.size, rows, seed)


def _squared_distances(places: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Squared distances of some points of a map to all, float64 (B, V)."""
    across, up = places.T
    return np.square(across[own, None] - across) + np.square(up[own, None] - up)


def _excess(similarities: np.ndarray, own: np.ndarray, found: np.ndarray) -> int:
    """Sum of max(0, rank - k) of the k found rows of each line by similarity (B, V), a line's own row left out."""
    lines = np.arange(own.size)
    similarities[lines, own] = -np.inf
    limits = similarities[lines[:, None], found]
    k = found.shape[1]
    return sum(
        max(0, int(np.count_nonzero(line > limit)) + 1 - k)
        for line, few in zip(similarities, limits, strict=True)
        for limit in few
    )
