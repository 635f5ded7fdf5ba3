import numpy as np
import pytest

import defemb_core.neighbour_search as search
import defemb_core.neighbours as module
from defemb_core.errors import SettingsError
from defemb_core.neighbours import Neighbours, nearest_neighbours, neighbour_turnover, normalise_rows


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def brute(matrix, k, metric):
    """Every pair in float64; equal similarities in row order, which a stable sort keeps."""
    wide = matrix.astype(np.float64)
    if metric == "cosine":
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        wide = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
        similarities = wide @ wide.T
    else:
        similarities = -np.linalg.norm(wide[:, None] - wide[None], axis=2)
    np.fill_diagonal(similarities, -np.inf)
    order = np.argsort(-similarities.round(6), axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarities, order, axis=1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [20, 400])  # numpy's partition, torch's
@pytest.mark.parametrize("score_bytes", [module.SCORE_BYTES, 4 * 400 * 33])  # one block, many
def test_neighbours_are_those_of_all_pairs(rng, monkeypatch, metric, rows, score_bytes):
    monkeypatch.setattr(module, "SCORE_BYTES", score_bytes)
    matrix = rng.standard_normal((rows, 12)).astype(np.float32)
    found = nearest_neighbours(matrix, 7, metric)
    indices, similarities = brute(matrix, 7, metric)
    assert np.array_equal(found.indices, indices)
    assert found.similarities == pytest.approx(similarities, abs=2e-6)
    assert (found.indices.dtype, found.similarities.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_ties_go_to_the_lower_row(metric):
    # Points of a grid on the unit sphere: very many equal similarities, well apart from unequal ones.
    grid = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if x or y or z] * 3)
    grid = (grid / np.linalg.norm(grid, axis=1, keepdims=True)).astype(np.float32)
    assert np.array_equal(nearest_neighbours(grid, 9, metric).indices, brute(grid, 9, metric)[0])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("many_ties", [1000, 0])  # without and with the look for identical rows
def test_identical_rows_are_each_others_nearest_in_row_order(rng, monkeypatch, metric, many_ties):
    monkeypatch.setattr(search, "_MANY_TIES", many_ties)
    matrix = rng.standard_normal((200, 16)).astype(np.float32)
    copies = np.arange(50, 150, 2)
    matrix[copies] = matrix[50]
    found = nearest_neighbours(matrix, 10, metric)
    for row in copies:
        assert found.indices[row].tolist() == [other for other in copies if other != row][:10]
    assert found.similarities[copies] == pytest.approx(1 if metric == "cosine" else 0, abs=1e-6)


def test_zero_rows_have_cosine_zero_to_all(rng):
    matrix = rng.standard_normal((60, 4)).astype(np.float32)
    matrix[[3, 40]] = 0
    found = nearest_neighbours(matrix, 5)
    assert found.indices[3].tolist() == [0, 1, 2, 4, 5]
    assert found.indices[40].tolist() == [0, 1, 2, 3, 4]
    assert not found.similarities[[3, 40]].any()
    assert np.isfinite(found.similarities).all()


def test_row_never_is_its_own_neighbour_even_with_all_others_asked_for(rng):
    found = nearest_neighbours(rng.standard_normal((50, 3)), 49)
    for row in range(50):
        assert sorted(found.indices[row]) == [other for other in range(50) if other != row]


def test_single_query_equals_its_line_of_the_whole_answer(rng):
    matrix = rng.standard_normal((500, 30)).astype(np.float32)
    whole = nearest_neighbours(matrix, 6)
    single = nearest_neighbours(normalise_rows(matrix), 6, rows=[123], normalised=True)
    assert np.array_equal(single.indices, whole.indices[[123]])
    assert np.array_equal(single.similarities, whole.similarities[[123]])


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_normalised_rows_have_norm_one_at_any_scale(scale):
    unit = normalise_rows(np.array([[3 * scale, 4 * scale], [0, 0]]))
    assert unit == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))


def test_progress_ends_at_all_rows(rng, monkeypatch):
    monkeypatch.setattr(module, "SCORE_BYTES", 4 * 50 * 20)
    calls = []
    nearest_neighbours(rng.standard_normal((50, 3)), 2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(20, 50), (40, 50), (50, 50)]


def test_turnover_counts_what_is_gone():
    similarities = np.zeros((3, 4), dtype=np.float32)
    before = Neighbours(np.array([[1, 2, 3, 4]] * 3, dtype=np.int32), similarities)
    after = Neighbours(np.array([[4, 3, 2, 1], [5, 6, 7, 8], [9, 1, 8, 2]], dtype=np.int32), similarities)
    assert neighbour_turnover(before, after).tolist() == [0, 1, 1 - 2 / 4]
    assert neighbour_turnover(before, after).dtype == np.float32


def test_turnover_needs_the_same_rows_and_k(rng):
    found = nearest_neighbours(rng.standard_normal((10, 3)), 4)
    with pytest.raises(SettingsError, match=r"\(10, 4\) and \(10, 3\)"):
        neighbour_turnover(found, found.nearest(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 5}, "choose 1 to 4"),
        ({"k": 1, "metric": "dot"}, "'dot'"),
        ({"k": 1, "rows": [5]}, "row 5"),
        ({"k": 1, "rows": [-1]}, "row -1"),
        ({"k": 1, "rows": []}, "rows are"),
        ({"k": 1, "rows": [0.5]}, "rows are"),
        ({"k": 1, "metric": "euclidean", "normalised": True}, "normalised"),
    ],
)
def test_settings_outside_their_range_are_refused(arguments, message):
    with pytest.raises(SettingsError, match=message):
        nearest_neighbours(np.eye(5), **arguments)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("matrix", [np.full((3, 2), np.nan), np.full((3, 2), np.inf), np.ones((1, 2))])
def test_unusable_matrices_are_refused(matrix, normalised):
    with pytest.raises(SettingsError):
        nearest_neighbours(matrix, 1, normalised=normalised)


def test_distances_past_float32_are_refused():
    with pytest.raises(SettingsError, match="too large"):
        nearest_neighbours(np.eye(3) * 1e30, 1, "euclidean")
