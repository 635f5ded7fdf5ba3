"""Tables made more isotropic without any definition: what a rebuilt table is to be compared with."""

from __future__ import annotations

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix


def all_but_the_top(matrix: np.ndarray, directions: int = 0) -> tuple[np.ndarray, int]:
    """Return the rows less their mean and their leading principal directions, and how many directions that were.

    All-but-the-Top (Mu and Viswanath 2018). The directions are those of the centred rows. Taken from rows that still
    have their mean, the first of them would be about the mean itself, which is subtracted already, and one direction
    less would be removed than was asked for.

    Args:
        matrix: the rows, (V, H).
        directions: how many to remove, 0 to H; 0 takes H / 100 rounded up, as the authors advise.

    Returns:
        float32 (V, H), centred on zero, and the number of directions.

    Raises:
        SettingsError: more directions than columns, or a negative number.
    """
    rows, vectors, _ = _principal(matrix)
    width = rows.shape[1]
    if not 0 <= directions <= width:
        raise SettingsError(f"directions is {directions}; choose 0 (a hundredth of the columns) to {width}")
    removed = directions or -(-width // 100)
    top = vectors[:, :removed]
    return (rows - (rows @ top) @ top.T).astype(np.float32), removed


def whitening(matrix: np.ndarray) -> np.ndarray:
    """Return the rows turned into ones of equal variance in every direction, float32 (V, H), centred on zero.

    ZCA whitening: of all transformations that whiten, the one that moves rows least. The total variance stays, so that
    rows keep their scale. Directions without variance stay without.

    Args:
        matrix: the rows, (V, H).
    """
    rows, vectors, variances = _principal(matrix)
    floor = variances.max() * variances.size * np.finfo(np.float64).eps
    used = variances > floor
    factors = np.sqrt(
        np.divide(variances.sum() / max(used.sum(), 1), variances, out=np.zeros_like(variances), where=used)
    )
    return ((rows @ vectors) * factors @ vectors.T).astype(np.float32)


def _principal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the centred rows (V, H), their principal directions (H, H) and the variances (H,), largest first."""
    rows = checked_matrix(matrix).astype(np.float64)
    rows -= rows.mean(axis=0)
    variances, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    return rows, vectors[:, ::-1], np.maximum(variances[::-1], 0.0)
