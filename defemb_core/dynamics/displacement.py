"""How far the rows of a table have moved since the first step, and how much of it is one common shrinking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from defemb_core.dynamics.recordings import Frame
from defemb_core.isotropy import GROUPS
from defemb_core.spectrum import row_blocks

ALL, OTHERS = "all", "none"
SEEN_PARTS = ("every", "seen", "unseen")
DISPLACEMENT_SCHEMA = {
    "step": pl.Int64,
    "group": pl.String,
    "seen": pl.String,
    "rows": pl.Int64,
    "moved": pl.Float64,
    "l2": pl.Float64,
    "relative": pl.Float64,
    "cosine": pl.Float64,
    "scale": pl.Float64,
    "explained": pl.Float64,
    "decay": pl.Float64,
    "only_decay": pl.Float64,
}
"""A line for each step, frequency group and part of the rows.

- step: updates made.
- group: frequent, medium, rare; "all" is these three together; "none" is special and unused rows.
- seen: "seen" (the token was in a training batch by the last step, padding left out), "unseen", or "every" row.
- rows: how many.
- moved: share of them that differ from the first step's in any bit, 0 to 1.
- l2: mean of the lengths of row - first row, in the table's units.
- relative: mean of that length over the first row's, 0 is unmoved; rows of zeros at first are left out.
- cosine: mean cosine with the first row, 1 is unturned; rows of zeros left out.
- scale: the number c that brings the first rows nearest to these by least squares, c x first.
- explained: share of the squared displacement that this common scale explains, 0 to 1; null where nothing moved.
- decay: product of 1 - rate x weight decay over the updates so far, which is what c is if there is nothing else; null
  where it was not recorded.
- only_decay: share of the rows that are, to the bit, the first rows under the recorded weight decay alone; null where
  that was not recorded.
"""


@dataclass(frozen=True, eq=False)
class Displacement:
    """What is known of each row of one step against the first, float64 (V,) each.

    Attributes:
        square: squared length of row - first row.
        length: squared length of the row.
        first: squared length of the first row.
        along: dot product of row - first row with the first row, which loses no digits where a row hardly moved.
        moved: whether they differ in any bit, bool.
    """

    square: np.ndarray
    length: np.ndarray
    first: np.ndarray
    along: np.ndarray
    moved: np.ndarray

    @property
    def l2(self) -> np.ndarray:
        """Lengths of row - first row."""
        return np.sqrt(self.square)

    @property
    def relative(self) -> np.ndarray:
        """The same over the first row's length, NaN for a first row of zeros."""
        return _over(self.l2, np.sqrt(self.first))

    @property
    def cosine(self) -> np.ndarray:
        """Cosines of row and first row, -1 to 1; NaN where either is zero."""
        return np.clip(_over(self.first + self.along, np.sqrt(self.first * self.length)), -1, 1)


def displacement_of(table: np.ndarray, first: np.ndarray) -> Displacement:
    """Return how the rows of a table (V, H) lie to those of the first, measured in float64."""
    sums = {name: np.empty(len(table)) for name in ("square", "length", "first", "along")}
    for block in row_blocks(len(table)):
        now, then = table[block].astype(np.float64), first[block].astype(np.float64)
        by = now - then
        pairs = {"square": (by, by), "length": (now, now), "first": (then, then), "along": (by, then)}
        for name, (one, other) in pairs.items():
            sums[name][block] = np.einsum("ij,ij->i", one, other)
    return Displacement(**sums, moved=(table != first).any(axis=1))


def parts_of(vocabulary: pl.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Return which rows belong to each group and part, bool (V,); of a frame with `group` and `seen`.

    Where it is not known which rows were seen, there is only "every"; parts without rows are left out.
    """
    group = np.asarray(vocabulary["group"].cast(pl.String).to_list())
    groups = {ALL: np.isin(group, GROUPS), **{name: group == name for name in (*GROUPS, OTHERS)}}
    kinds = {SEEN_PARTS[0]: np.ones(len(group), bool)}
    if vocabulary["seen"].null_count() == 0:
        seen = vocabulary["seen"].to_numpy()
        kinds |= {SEEN_PARTS[1]: seen, SEEN_PARTS[2]: ~seen}
    parts = {(name, kind): rows & of for name, rows in groups.items() for kind, of in kinds.items()}
    return {key: rows for key, rows in parts.items() if rows.any()}


def displacement_lines(
    frame: Frame, found: Displacement, parts: dict[tuple[str, str], np.ndarray]
) -> list[dict[str, float | int | str | None]]:
    """Return a step's lines of DISPLACEMENT_SCHEMA."""
    l2, relative, cosine = found.l2, found.relative, found.cosine
    lines: list[dict[str, float | int | str | None]] = []
    for (group, kind), rows in parts.items():
        scale, explained = _common_scale(found, rows)
        alone = None if frame.untouched is None else float(frame.untouched[rows].mean())
        lines.append(
            {
                "step": frame.step,
                "group": group,
                "seen": kind,
                "rows": int(rows.sum()),
                "moved": float(found.moved[rows].mean()),
                "l2": float(l2[rows].mean()),
                "relative": _mean(relative[rows]),
                "cosine": _mean(cosine[rows]),
                "scale": scale,
                "explained": explained,
                "decay": frame.decay,
                "only_decay": alone,
            }
        )
    return lines


def _common_scale(found: Displacement, rows: np.ndarray) -> tuple[float | None, float | None]:
    """Return the scale c of least squares and the share of the squared displacement that it explains.

    With d = w - w0 the sum of |w - c w0|^2 is least at c = 1 + e, e = sum d.w0 / sum w0.w0, and of sum d.d the common
    scale explains e^2 sum w0.w0.
    """
    first, square = float(found.first[rows].sum()), float(found.square[rows].sum())
    if first == 0:
        return None, None
    excess = float(found.along[rows].sum()) / first
    return 1 + excess, min(1.0, excess**2 * first / square) if square > 0 else None


def _mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def _over(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(values, by, out=np.full_like(values, np.nan), where=by > 0)
