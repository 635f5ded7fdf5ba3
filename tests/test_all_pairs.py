"""The search through half of all pairs finds what the whole products find."""

import os

import numpy as np
import pytest

import defemb_core.all_pairs as module
import defemb_core.neighbour_search as search
import defemb_core.neighbours as neighbours
from defemb_core.all_pairs import best_of_all_pairs
from defemb_core.errors import SettingsError
from defemb_core.neighbours import nearest_neighbours


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture(params=[(1024, 16_384), (64, 100), (7, 300), (50, 20)], ids=str)
def small_blocks(request, monkeypatch):
    """One block, many; squares of the diagonal that end within a block, with it, and beyond it."""
    monkeypatch.setattr(module, "_ROWS", request.param[0])
    monkeypatch.setattr(module, "_COLUMNS", request.param[1])


def table(rng, kind):
    """A table of 300 rows: of normal values, with copies and opposites of rows, or with rows of zeros."""
    matrix = rng.standard_normal((300, 9)).astype(np.float32)
    if kind == "copies":
        matrix[40:90] = matrix[40]
        matrix[100:120] = -matrix[:20]
        matrix[200:260:3] = matrix[5]
    elif kind == "zeros":
        matrix[[0, 17, 299]] = 0
    return matrix


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["normal", "copies", "zeros"])
@pytest.mark.parametrize("k", [1, 7, 299])
def test_both_ways_find_the_same_bits(rng, monkeypatch, metric, kind, k):
    matrix = table(rng, kind)
    whole = nearest_neighbours(matrix, k, metric)
    monkeypatch.setattr(neighbours, "_MANY_QUERIES", 100)
    monkeypatch.setattr(search, "query_rows", counted := Counted(search.query_rows))
    half = nearest_neighbours(matrix, k, metric)
    assert np.array_equal(half.indices, whole.indices)
    assert half.similarities.tobytes() == whole.similarities.tobytes()
    assert counted.rows < 300, "no row, or few, is queried by itself"


class Counted:
    """Counts the rows that are queried one by one."""

    def __init__(self, query):
        self.query, self.rows = query, 0

    def __call__(self, prepared, queries):
        self.rows += len(queries)
        return self.query(prepared, queries)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_scores_are_the_highest_of_all_but_the_row_itself(rng, monkeypatch, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    points, offset = rng.standard_normal((150, 6)).astype(np.float32), rng.standard_normal(150).astype(np.float32)
    told = []
    indices, scores = best_of_all_pairs(points, offset, 12, lambda done, of: told.append(done / of))
    wanted = points.astype(np.float64) @ points.T.astype(np.float64) + offset
    np.fill_diagonal(wanted, -np.inf)
    assert np.array_equal(indices, np.argsort(-wanted, axis=1)[:, :12])
    assert scores == pytest.approx(-np.sort(-wanted, axis=1)[:, :12], abs=1e-5)
    assert (indices.dtype, scores.dtype) == (np.int32, np.float32)
    assert told == sorted(told)
    assert told[-1] == 1


def test_many_rows_are_searched_this_way(rng, monkeypatch):
    def refuse(prepared, queries):
        raise AssertionError("row by row")

    monkeypatch.setattr(search, "query_rows", refuse)
    matrix = rng.standard_normal((neighbours._MANY_QUERIES + 1, 8)).astype(np.float32)
    found = nearest_neighbours(matrix, 3)
    unit = neighbours.normalise_rows(matrix)
    for row in (0, 1023, 1024, len(matrix) - 1):
        cosines = unit @ unit[row]
        cosines[row] = -np.inf
        assert found.indices[row].tolist() == np.argsort(-cosines)[:3].tolist()


def test_what_is_no_number_is_refused(monkeypatch):
    monkeypatch.setattr(neighbours, "_MANY_QUERIES", 2)
    broken = np.eye(9, dtype=np.float32)
    broken[4, 4] = np.nan
    with pytest.raises(SettingsError, match="NaN or infinity"):
        nearest_neighbours(broken, 2, normalised=True)
