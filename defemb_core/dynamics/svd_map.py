"""A 2-D map of a training: rows along two fixed directions of the first table, so that steps can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from defemb_core.spectrum import gram, oriented, row_blocks

# Rows on the map: those that moved most, and others drawn at random from all.
MOST_MOVED, DRAWN = 1000, 2000


@dataclass(frozen=True, eq=False)
class SVDMap:
    """Rows of several steps along the first table's two strongest directions, mean row not subtracted.

    Without centring the first direction is about that of the mean row, so that a table whose rows share a direction
    lies off the origin: a cone seen from its side.

    Attributes:
        rows: int32 (n,), ascending: which rows are on the map; measures are of all rows, never of these alone.
        coordinates: float32 (steps, n, 2), in the table's units.
        explained: float64 (steps,), share of the squared length of all rows that lies in the two directions, 0 to 1.
    """

    rows: np.ndarray
    coordinates: np.ndarray
    explained: np.ndarray


def map_axes(first: np.ndarray) -> np.ndarray:
    """Return the two right singular vectors of a table (V, H) with the largest singular values, float32 (H, 2)."""
    _, vectors = np.linalg.eigh(gram(first))
    return oriented(vectors[:, ::-1][:, :2]).astype(np.float32)


def place_rows(table: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the coordinates of all rows along the axes, float32 (V, 2), and the share of squared length in them."""
    coordinates = table @ axes
    whole = sum(float(np.square(table[block], dtype=np.float64).sum()) for block in row_blocks(len(table)))
    return coordinates, float(np.square(coordinates, dtype=np.float64).sum()) / whole if whole else 0.0


def mapped_rows(l2: np.ndarray, vocabulary: pl.DataFrame, seed: int = 0) -> np.ndarray:
    """Return which rows are drawn, int32, ascending: the MOST_MOVED by `l2` (V,) that moved, DRAWN others at random.

    Special and unused rows are drawn only if they are among those that moved most.
    """
    most = np.argsort(-l2, kind="stable")[:MOST_MOVED]
    most = most[l2[most] > 0]
    ordinary = np.flatnonzero(vocabulary["group"].cast(pl.String).to_numpy() != "none")
    others = np.setdiff1d(ordinary, most)
    drawn = np.random.default_rng(seed).choice(others, min(DRAWN, others.size), replace=False)
    return np.sort(np.concatenate([most, drawn])).astype(np.int32)
