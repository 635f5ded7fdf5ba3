"""Hubness: in a space of many dimensions a few rows are near neighbours of very many others, most rows of hardly any.

After Radovanović, Nanopoulos and Ivanović 2010, "Hubs in Space".
"""

from dataclasses import dataclass

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import Neighbours

# The k of N_k in the paper's own figures.
HUB_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Hubness:
    """How unevenly rows occur among each other's nearest neighbours.

    Attributes:
        occurrence: N_k, int32 (V,): in how many other rows' k nearest neighbours a row is, 0 to V - 1. Its mean is k,
            whatever the table.
        k: neighbours of each row that count.
    """

    occurrence: np.ndarray
    k: int

    @property
    def skewness(self) -> float:
        """Third standardised moment of N_k, the paper's measure of a table's hubness.

        About 0 where every row is a neighbour equally often, 1.4 and more where there are strong hubs; 0 where all
        rows occur equally often.
        """
        centred = self.occurrence - self.occurrence.mean(dtype=np.float64)
        deviation = np.sqrt(np.square(centred).mean())
        return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0

    @property
    def antihubs(self) -> float:
        """Share of rows that are among no other row's k nearest neighbours, 0 to 1."""
        return float((self.occurrence == 0).mean())


def measure_hubness(neighbours: Neighbours, k: int = HUB_NEIGHBOURS) -> Hubness:
    """Count how often each row is among the k nearest neighbours of the others.

    Args:
        neighbours: of every row of the table, at least one each.
        k: how many of each row's neighbours count; all that are known where they are fewer.

    Raises:
        SettingsError: the neighbours are not those of all rows, or k is below 1.
    """
    rows = len(neighbours.indices)
    if neighbours.indices.max() >= rows:
        raise SettingsError(f"neighbours of {rows} rows name row {neighbours.indices.max()}; query all rows")
    found = neighbours.nearest(min(k, neighbours.k))
    return Hubness(np.bincount(found.indices.ravel(), minlength=rows).astype(np.int32), found.k)
