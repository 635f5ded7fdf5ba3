import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.neighbours import nearest_neighbours, normalise_rows
from defemb_core.queries import (
    analogy,
    between,
    cosine_matrix,
    local_map,
    local_rows,
    nearest_to,
    neighbour_ranks,
    odd_one_out,
)

ROWS = 60


@pytest.fixture(scope="module")
def units():
    """Random rows, some of them copies of others."""
    table = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float32)
    table[40:50] = table[:10]
    return normalise_rows(table)


def at(*degrees):
    """Rows of length 1 in a plane, by their angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_nearest_to_a_row_are_its_neighbours(units):
    for row in range(20, 30):
        found, known = nearest_to(units, 7 * units[row], 12, [row]), nearest_neighbours(units, 12, rows=[row])
        np.testing.assert_allclose(found.scores, known.similarities[0], atol=1e-6)
        assert sorted(found.rows) == sorted(known.indices[0])


def test_of_equal_rows_the_lower_comes_first(units):
    assert nearest_to(units, units[3], 2).rows.tolist() == [3, 43]
    assert nearest_to(units, np.zeros(8), 5).rows.tolist() == [0, 1, 2, 3, 4]


def test_there_are_no_more_answers_than_rows():
    assert nearest_to(at(0, 90, 180), at(1)[0], 10, [1]).rows.tolist() == [0, 2]
    assert nearest_to(at(0), at(1)[0], 3, [0]).rows.size == 0


def scores(units, a, b, c, kind):
    """The formulas of both papers, row by row."""
    cosines = (units.astype(np.float64) @ units.T.astype(np.float64))[[a, b, c]]
    if kind == "3CosAdd":
        return cosines[1] - cosines[0] + cosines[2]
    to_a, to_b, to_c = (1 + cosines) / 2
    return to_b * to_c / (to_a + 0.001)


@pytest.mark.parametrize("kind", ["3CosAdd", "3CosMul"])
def test_analogies_are_those_of_the_formulas(kind, units):
    for a, b, c in ((1, 2, 3), (20, 5, 31), (7, 7, 9)):
        found, expected = analogy(units, a, b, c, 5, kind), scores(units, a, b, c, kind)
        expected[[a, b, c]] = -np.inf
        np.testing.assert_allclose(found.scores, np.sort(expected)[::-1][:5], rtol=1e-4)
        np.testing.assert_allclose(expected[found.rows], found.scores, rtol=1e-4)


@pytest.mark.parametrize("kind", ["3CosAdd", "3CosMul"])
def test_a_parallelogram_is_completed(kind):
    sex, rank, other = np.eye(3)
    table = normalise_rows(np.stack([sex, sex + rank, -sex, -sex + rank, other, other + rank, -rank]))
    assert analogy(table, 0, 1, 2, 1, kind).rows.tolist() == [3]


def test_questions_that_cannot_be_asked(units):
    with pytest.raises(SettingsError, match="'plus'"):
        analogy(units, 1, 2, 3, 5, "plus")
    for ask in (
        lambda: analogy(units, 1, 2, ROWS, 5),
        lambda: between(units, [-1], 5),
        lambda: cosine_matrix(units, []),
    ):
        with pytest.raises(SettingsError, match=r"choose rows that the table has|choose at least one"):
            ask()
    with pytest.raises(SettingsError, match="2 tokens"):
        odd_one_out(units, [1, 2])
    with pytest.raises(SettingsError, match="2 rows make no map"):
        local_map(units[:2])


def test_between_lies_what_is_in_the_middle():
    table = at(0, 80, 35, 120, -30)
    found = between(table, [0, 1], 3)
    assert found.rows.tolist() == [2, 4, 3]
    np.testing.assert_allclose(found.scores, np.cos(np.radians([5, 70, 80])), atol=1e-6)


def test_the_odd_one_is_least_near_to_the_others():
    means = odd_one_out(at(0, 10, 20, 120), [0, 1, 2, 3])
    cosine = np.cos(np.radians([[0, 10, 20, 120], [10, 0, 10, 110], [20, 10, 0, 100], [120, 110, 100, 0]]))
    np.testing.assert_allclose(means, (cosine.sum(axis=1) - 1) / 3, atol=1e-6)
    assert int(np.argmin(means)) == 3


def test_cosines_of_each_with_each(units):
    rows = [5, 45, 9]
    found = cosine_matrix(units, rows)
    np.testing.assert_allclose(found, units[rows] @ units[rows].T, atol=1e-6)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-6)
    assert found[0, 1] == pytest.approx(1)  # a copy
    assert np.abs(found).max() <= 1


def test_neighbours_have_the_ranks_from_1_up(units):
    for row in (0, 3, 25, 43):
        found = nearest_neighbours(units, 15, rows=[row]).indices[0]
        assert neighbour_ranks(units, row, found).tolist() == list(range(1, 16))


def test_ranks_are_places_among_all_other_rows(units):
    others = np.setdiff1d(np.arange(ROWS), [17])
    assert sorted(neighbour_ranks(units, 17, others)) == list(range(1, ROWS))
    nearest = others[np.argsort(neighbour_ranks(units, 17, others))]
    assert (np.diff((units @ units[17])[nearest]) <= 1e-6).all()


def test_a_local_map_has_the_row_first_and_each_neighbour_once(units):
    first, second = (nearest_neighbours(units, k, rows=[4]) for k in (3, 5))
    assert local_rows(4, first, second).tolist() == [4, *second.indices[0]]
    assert local_rows(4, second, first).tolist() == [4, *second.indices[0]]


def test_a_local_map_keeps_distances_as_far_as_two_directions_can():
    flat = np.zeros((6, 4), np.float32)
    flat[:, [1, 3]] = at(0, 10, 50, 90, 200, 300)
    points, shown = local_map(flat)
    assert points[0].tolist() == [0, 0]
    assert shown == pytest.approx(1)
    for i in range(6):
        np.testing.assert_allclose(
            np.linalg.norm(points - points[i], axis=1), np.linalg.norm(flat - flat[i], axis=1), atol=1e-5
        )
    assert local_map(np.eye(5))[1] == pytest.approx(0.5)  # four directions alike, two of them shown
    assert local_map(np.ones((3, 4)))[1] == 1
