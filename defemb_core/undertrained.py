"""Which rows look as if training had hardly met them: those like the rows that no text ever used.

After Land and Bartolo 2024, "Fishing for Magikarp" (arXiv 2405.05417), for the input table of an encoder.
"""

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix, gram

UNDERTRAINED_SCHEMA = pl.Schema(
    {"token_id": pl.Int64, "norm": pl.Float32, "unused_distance": pl.Float32, "unused_distance_removed": pl.Float32}
)


def undertrained_indicators(matrix: np.ndarray, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return three indicators of under-training for every row of a table, in row order; the lower, the more suspect.

    They are hints, not verdicts: which of them tells depends on how a PLM was trained, and a row that was reset or
    never updated may be meant so. Unused rows themselves are among the lines, for comparison.

    Args:
        matrix: (V, H).
        vocabulary: the vocabulary frame, V lines; rows of kind `unused` are those that no text contains.

    Returns:
        `token_id i64`; `norm f32`: Euclidean length of the row; `unused_distance f32`: 1 - cosine of the row with the
        mean of the unused rows, 0 (like them) to 2; `unused_distance_removed f32`: the same after the table's first
        principal direction, its mean row not subtracted, was taken out of both, since all rows may share a part that
        says nothing of one. Both distances are null where a PLM has no unused rows; a row of zeros has distance 1.

    Raises:
        SettingsError: matrix and vocabulary do not fit.
    """
    table = checked_matrix(matrix)
    if vocabulary.height != len(table):
        raise SettingsError(f"a vocabulary of {vocabulary.height} rows for a table of {len(table)}; pass its own")
    unused = (vocabulary["kind"] == "unused").to_numpy()
    columns: dict[str, object] = {
        "token_id": vocabulary["token_id"],
        "norm": np.linalg.norm(table, axis=1),
        "unused_distance": None,
        "unused_distance_removed": None,
    }
    if unused.any():
        mean = table[unused].mean(axis=0, dtype=np.float64)
        # Removing a direction u from rows and mean: products lose what both have along u.
        direction = np.linalg.eigh(gram(table))[1][:, -1]
        columns["unused_distance"] = _distances(table, mean)
        columns["unused_distance_removed"] = _distances(_without(table, direction), _without(mean, direction))
    return pl.DataFrame(columns, schema=UNDERTRAINED_SCHEMA)


def _without(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Rows (..., H) without their part along a unit vector (H,)."""
    return rows - (rows @ direction)[..., None] * direction


def _distances(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """1 - cosine of each row (V, H) with one vector (H,), float64 (V,); 1 where either is zero."""
    scale = np.linalg.norm(rows, axis=1) * np.linalg.norm(mean)
    cosines = np.divide(rows @ mean, scale, out=np.zeros(len(rows)), where=scale > 0)
    return 1.0 - np.clip(cosines, -1.0, 1.0)
