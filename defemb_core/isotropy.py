"""How evenly the rows of a table point in all directions: I(W), mean cosine, effective rank, IsoScore."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix, cleared, effective_rank, oriented, row_blocks

# The frequency groups that are reported, in this order; rows of any other group are left out of "all" too.
GROUPS = ("frequent", "medium", "rare")
# 2,048 rows at a time: a block, its projections and their exponentials stay in the cache's reach.
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Measure:
    """How a measure of isotropy is named and read.

    Attributes:
        name: as papers have it.
        scale: range, and what an isotropic table has.
        meaning: the formula in words, its source, and what to beware of.
        decimals: digits after the point that say something.
    """

    name: str
    scale: str
    meaning: str
    decimals: int = 3


# By attribute of Isotropy.
MEASURES = {
    "i_w": Measure(
        "I(W)",
        "0 to 1, 1 is isotropic",
        "min Z(v) / max Z(v) over the eigenvectors v of W'W, both signs of each (Mu and Viswanath 2018). It depends on "
        "the table's scale.",
    ),
    "mean_cosine": Measure(
        "Mean cosine", "−1 to 1, 0 is isotropic", "Average cosine of all pairs of distinct rows, exact."
    ),
    "effective_rank": Measure(
        "Effective rank",
        "1 to H directions",
        "exp of the entropy of the singular values' shares, mean row not subtracted (Roy and Vetterli 2007).",
        decimals=1,
    ),
    "participation_ratio": Measure(
        "Participation ratio",
        "1 to H directions",
        "Sum of the variances squared over the sum of their squares, along principal directions.",
        decimals=1,
    ),
    "iso_score": Measure("IsoScore", "0 to 1, 1 is isotropic", "(participation ratio - 1) / (H - 1)."),
    "i_w_positive": Measure(
        "I(W), one sign",
        "0 to 1, 1 is isotropic",
        "I(W) over one sign of each eigenvector only, as some papers have it; never below I(W).",
    ),
}


@dataclass(frozen=True)
class Isotropy:
    """Isotropy of one set of rows.

    Attributes:
        i_w: I(W) = min Z(v) / max Z(v), Z(v) = sum over rows w of exp(v . w), v over the eigenvectors of W^T W with
            both signs (Mu & Viswanath 2018). 0 to 1, 1 is isotropic. It depends on the scale of the rows: compare it
            only between tables of one scale. Where eigenvalues coincide, so does the choice of eigenvectors.
        i_w_positive: the same with one sign each, the one that makes the eigenvector's largest-magnitude component
            positive; never below `i_w`. Published figures take the sign that their solver happened to give.
        mean_cosine: average cosine of all pairs of distinct rows, exact, rows of zeros left out; -1 to 1, near 0 is
            isotropic.
        effective_rank: exp of the entropy of the shares of the singular values of the rows as they are, not centred
            (Roy & Vetterli 2007), so that a direction that all rows share counts against it; 1 to H.
        participation_ratio: (sum l)^2 / sum l^2 of the covariance spectrum, which is centred; 1 to H, 0 where all
            rows are the same.
        iso_score: (participation_ratio - 1) / (H - 1), 0 to 1; 1 is isotropic. Scale does not matter to it.
        rows: how many rows were measured, rows of zeros among them.
        zero_rows: how many of them are zero throughout.
    """

    i_w: float
    i_w_positive: float
    mean_cosine: float
    effective_rank: float
    participation_ratio: float
    iso_score: float
    rows: int
    zero_rows: int

    def to_dict(self) -> dict[str, float | int]:
        """The attributes by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Moments:
    """Sums over a set of rows; those of two disjoint sets add up to those of their union."""

    gram: np.ndarray
    total: np.ndarray
    direction: np.ndarray
    rows: int
    zero_rows: int

    def __add__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.gram + other.gram,
            self.total + other.total,
            self.direction + other.direction,
            self.rows + other.rows,
            self.zero_rows + other.zero_rows,
        )


def measure_isotropy(matrix: np.ndarray) -> Isotropy:
    """Isotropy of all rows of a table (V, H).

    Raises:
        SettingsError: for NaN or infinity, or fewer than two rows that are not zero.

    Example:
        >>> import numpy as np
        >>> de.measure_isotropy(np.eye(4)[:2]).mean_cosine
        0.0
    """
    table = checked_matrix(matrix)
    rows = np.arange(table.shape[0])
    moments = _moments(table, rows)
    if not _measurable(moments):
        raise SettingsError(f"{moments.zero_rows} of {moments.rows} rows are zero; isotropy needs two that are not")
    return _measure(table, rows, moments)


def isotropy_by_group(matrix: np.ndarray, groups: Sequence[str] | np.ndarray) -> dict[str, Isotropy]:
    """Isotropy of the frequent, medium and rare rows, and of all of them together.

    Args:
        matrix: (V, H).
        groups: one of frequent, medium, rare, none for each row; "none" (special and unused rows) is left out.

    Returns:
        Keys "all", "frequent", "medium", "rare", in this order. A key with fewer than two rows that are not zero is
        left out.

    Raises:
        SettingsError: for NaN or infinity, another number of groups than rows, or an unknown group.
    """
    table = checked_matrix(matrix)
    names = _checked_groups(groups, table.shape[0])
    members = {group: np.flatnonzero(names == group) for group in GROUPS}
    moments = {group: _moments(table, rows) for group, rows in members.items()}
    members = {"all": np.flatnonzero(names != "none"), **members}
    moments = {"all": sum(moments.values(), start=_moments(table, np.arange(0))), **moments}
    return {key: _measure(table, rows, moments[key]) for key, rows in members.items() if _measurable(moments[key])}


def _checked_groups(groups: Sequence[str] | np.ndarray, rows: int) -> np.ndarray:
    """Group names as a numpy array of strings, one a row."""
    names = np.asarray(groups, dtype=str)
    if names.shape != (rows,):
        raise SettingsError(f"{names.size} groups for {rows} rows; give one group for each row")
    unknown = sorted(set(np.unique(names).tolist()) - {*GROUPS, "none"})
    if unknown:
        raise SettingsError(f"unknown group {unknown[0]!r}; use one of {', '.join(GROUPS)}, none")
    return names


def _blocks(table: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The chosen rows, a block at a time, so that no copy of a whole group is made."""
    return (table[rows[block]] for block in row_blocks(rows.size, _BLOCK_ROWS))


def _moments(table: np.ndarray, rows: np.ndarray) -> _Moments:
    """Gram matrix, sum, sum of unit rows and counts over the chosen rows, in float64."""
    width = table.shape[1]
    gram, total, direction, zero_rows = np.zeros((width, width)), np.zeros(width), np.zeros(width), 0
    for block in _blocks(table, rows):
        wide = block.astype(np.float64)
        norms = np.linalg.norm(wide, axis=1)
        inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        gram += wide.T @ wide
        total += wide.sum(axis=0)
        direction += inverse @ wide
        zero_rows += int(np.count_nonzero(norms == 0))
    return _Moments(gram, total, direction, rows.size, zero_rows)


def _measurable(moments: _Moments) -> bool:
    return moments.rows - moments.zero_rows >= 2


def _measure(table: np.ndarray, rows: np.ndarray, moments: _Moments) -> Isotropy:
    """All figures of the chosen rows from their sums and one more pass for Z(v)."""
    eigenvalues, vectors = np.linalg.eigh(moments.gram)
    positive, negative = _log_partition(table, rows, oriented(vectors))
    both = np.concatenate([positive, negative])
    pointing = moments.rows - moments.zero_rows
    squared_sum = float(moments.direction @ moments.direction)
    ratio = _participation_ratio(moments)
    width = table.shape[1]
    return Isotropy(
        i_w=float(np.exp(both.min() - both.max())),
        i_w_positive=float(np.exp(positive.min() - positive.max())),
        mean_cosine=(squared_sum - pointing) / (pointing * (pointing - 1)),
        effective_rank=effective_rank(np.sqrt(cleared(eigenvalues))),
        participation_ratio=ratio,
        iso_score=max(0.0, (ratio - 1) / (width - 1)) if width > 1 else 1.0,
        rows=moments.rows,
        zero_rows=moments.zero_rows,
    )


def _participation_ratio(moments: _Moments) -> float:
    """Participation ratio of the covariance C without its spectrum: sum l = trace C, sum l^2 = squared norm of C.

    0 where the variance is below what float64 can tell from the squared mean.
    """
    mean = moments.total / moments.rows
    second = moments.gram / moments.rows
    covariance = second - np.outer(mean, mean)
    variance = float(np.trace(covariance))
    floor = float(np.trace(second)) * mean.size * np.finfo(np.float64).eps
    return variance**2 / float(np.square(covariance).sum()) if variance > floor else 0.0


def _log_partition(table: np.ndarray, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log Z(v) and log Z(-v) of every column v of `vectors`, each float64 (H,).

    Block by block: log of a sum of exponentials with the largest exponent taken out, so that rows of any scale neither
    overflow nor vanish.
    """
    narrow = vectors.astype(np.float32)
    positive = np.full(vectors.shape[1], -np.inf)
    negative = positive.copy()
    for block in _blocks(table, rows):
        exponents = block @ narrow
        positive = np.logaddexp(positive, _log_sum(exponents))
        negative = np.logaddexp(negative, _log_sum(-exponents))
    return positive, negative


def _log_sum(exponents: np.ndarray) -> np.ndarray:
    """Log of the sum of exp over the rows of a float32 block (n, H), in float64 (H,)."""
    largest = exponents.max(axis=0)
    sums = np.exp(exponents - largest).sum(axis=0, dtype=np.float64)
    return largest + np.log(sums)
