import numpy as np
import pytest
from scipy.stats import skew

from defemb_core.errors import SettingsError
from defemb_core.hubness import measure_hubness
from defemb_core.neighbours import Neighbours, nearest_neighbours


def of(indices):
    return Neighbours(np.array(indices, dtype=np.int32), np.zeros((len(indices), len(indices[0])), dtype=np.float32))


def test_occurrences_are_counted():
    found = measure_hubness(of([[1, 2], [2, 0], [1, 0], [2, 1]]))
    assert found.occurrence.tolist() == [2, 3, 3, 0]
    assert found.occurrence.dtype == np.int32
    assert found.k == 2
    assert found.antihubs == 1 / 4


def test_only_the_first_k_count():
    found = measure_hubness(of([[1, 2], [2, 0], [1, 0], [2, 1]]), k=1)
    assert found.occurrence.tolist() == [0, 2, 2, 0]


def test_a_row_in_the_middle_of_all_others_is_a_hub():
    # 20 points on the axes of a space of 20 dimensions are farther from each other than from the origin.
    points = np.vstack([np.eye(20), np.zeros(20)])
    found = measure_hubness(nearest_neighbours(points, 1, "euclidean"))
    assert found.occurrence[-1] == 20
    assert found.occurrence.sum() == 21 * found.k
    assert found.skewness > 2


def test_skewness_is_the_third_standardised_moment():
    found = measure_hubness(nearest_neighbours(np.random.default_rng(0).normal(size=(300, 40)), 10, "euclidean"))
    assert found.skewness == pytest.approx(skew(found.occurrence))
    assert found.occurrence.mean() == 10
    assert found.skewness > 0.5


def test_a_ring_has_no_hubs():
    ring = of([[(row + 1) % 9, (row - 1) % 9] for row in range(9)])
    assert measure_hubness(ring).occurrence.tolist() == [2] * 9
    assert measure_hubness(ring).skewness == 0


def test_neighbours_of_some_rows_are_refused():
    with pytest.raises(SettingsError, match="neighbours of 2 rows name row 7; query all rows"):
        measure_hubness(of([[1], [7]]))
    with pytest.raises(SettingsError, match="k is 0"):
        measure_hubness(of([[1], [0]]), k=0)
