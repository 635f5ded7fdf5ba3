"""Two-dimensional maps of tables that can be laid side by side: what a map is, PCA, and moving one onto another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import Neighbours
from defemb_core.spectrum import checked_matrix, gram, oriented
from defemb_core.trustworthiness import Trust


@dataclass(frozen=True)
class Projection:
    """A map of one table.

    Attributes:
        coordinates: float32 (V, 2), in row order. Axes and scale of a UMAP map mean nothing by themselves.
        method: "pca" or "umap".
        settings: ready for JSON: for UMAP what it was made with, for PCA `explained`, the shares of this table's own
            variance (0 to 1) along the two axes.
        seconds: how long it took, neighbours included.
        trust: how far its neighbourhoods are those of the full space; None until measured.
    """

    coordinates: np.ndarray
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    trust: Trust | None = None

    def __post_init__(self) -> None:
        if self.coordinates.ndim != 2 or self.coordinates.shape[1] != 2:
            raise SettingsError(f"coordinates are {self.coordinates.shape}; a map has two columns")


def project_pca(matrices: Sequence[np.ndarray]) -> tuple[Projection, ...]:
    """Maps of several tables on ONE shared pair of axes, so that positions can be compared directly.

    The axes are the two leading principal directions of the first table, around its mean row; signs are fixed
    (largest component positive).

    Args:
        matrices: tables of the same width, (V_i, H).

    Returns:
        One projection a table, in order.

    Raises:
        SettingsError: for no tables, different widths, or fewer than two columns.

    Example:
        >>> original, rebuilt = de.project_pca([pair.original, pair.rebuilt])
        >>> original.coordinates.shape
        (30522, 2)
    """
    started = time.perf_counter()
    tables = _checked_tables(matrices)
    axes, mean = _principal_axes(tables[0])
    projections = []
    for table in tables:
        # The mean is taken off after the product, so that no copy of rows is made.
        coordinates = (table @ axes.astype(np.float32) - mean @ axes).astype(np.float32)
        settings = {"explained": _explained(table, coordinates)}
        projections.append(Projection(coordinates, "pca", settings, time.perf_counter() - started))
    return tuple(projections)


def place_rows(coordinates: np.ndarray, neighbours: Neighbours) -> np.ndarray:
    """Places in a finished map for rows that it was not fitted on: the median place of their neighbours on the map.

    The median of each axis, not the mean: a row between two regions lies in the one where most of its neighbours are,
    not in the empty space between. On the bundled PLM such places keep neighbourhoods as well as UMAP's own
    transform does (benchmarks/RESULTS.md), without chance and in no time.

    Args:
        coordinates: the map (V, 2).
        neighbours: of the rows to place (Q, k), among the map's rows.

    Returns:
        float32 (Q, 2).
    """
    return np.median(coordinates[neighbours.indices], axis=1).astype(np.float32)


def align(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`other` moved, turned or mirrored, and scaled as a whole to lie as close to `reference` as it can (Procrustes).

    Distances within `other` keep their proportions. Closest means the smallest sum of squared distances between
    points of the same row.

    Args:
        reference: (V, D).
        other: (V, D), the same rows.

    Returns:
        float32 (V, D).

    Raises:
        SettingsError: for different shapes, NaN or infinity, or maps whose points all coincide.
    """
    from scipy.linalg import orthogonal_procrustes

    fixed, moving = checked_matrix(reference, "reference map"), checked_matrix(other, "other map")
    if fixed.shape != moving.shape:
        raise SettingsError(f"maps are {fixed.shape} and {moving.shape}; align maps of the same rows")
    target, target_mean = _around_mean(fixed)
    source, _ = _around_mean(moving)
    if not target.any() or not source.any():
        raise SettingsError("all points of a map coincide; there is nothing to align")
    rotation, overlap = orthogonal_procrustes(source, target)
    scale = overlap / np.square(source).sum()
    return (scale * (source @ rotation) + target_mean).astype(np.float32)


def _around_mean(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in float64 minus their mean, and that mean."""
    wide = points.astype(np.float64)
    mean = wide.mean(axis=0)
    return wide - mean, mean


def _checked_tables(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Tables that can share two axes."""
    tables = [checked_matrix(matrix, f"matrix {number}") for number, matrix in enumerate(matrices)]
    widths = {table.shape[1] for table in tables}
    if not tables or len(widths) > 1:
        raise SettingsError(f"tables have widths {sorted(widths)}; pass one or more tables of the same width")
    if min(widths) < 2:
        raise SettingsError("tables have 1 column; a two-dimensional map needs at least 2")
    return tables


def _principal_axes(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two leading principal directions (H, 2) of a table's rows, and their mean (H,), in float64."""
    from scipy.linalg import eigh

    mean = table.mean(axis=0, dtype=np.float64)
    _, vectors = eigh(gram(table, mean), subset_by_index=(mean.size - 2, mean.size - 1))
    return oriented(vectors[:, ::-1]), mean


def _explained(table: np.ndarray, coordinates: np.ndarray) -> list[float]:
    """Share of the table's variance along each axis."""
    total = float(table.var(axis=0, dtype=np.float64).sum())
    return [float(share) / total if total > 0 else 0.0 for share in coordinates.var(axis=0, dtype=np.float64)]
