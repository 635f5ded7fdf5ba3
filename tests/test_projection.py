import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.projection import Projection, align, project_pca


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def turn(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def test_pca_finds_the_axes_of_the_fitted_table(rng):
    matrix = (rng.standard_normal((400, 5)) * [9, 4, 1, 1, 1] + 20).astype(np.float32)
    (projection,) = project_pca([matrix])
    left, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0, dtype=np.float64), full_matrices=False)
    assert np.abs(projection.coordinates) == pytest.approx(np.abs(left[:, :2] * values[:2]), abs=1e-3)
    assert projection.coordinates.mean(axis=0) == pytest.approx([0, 0], abs=1e-4)
    assert projection.settings["explained"] == pytest.approx(values[:2] ** 2 / np.sum(values**2), rel=1e-4)
    assert projection.coordinates.dtype == np.float32


def test_tables_share_one_basis(rng):
    first = rng.standard_normal((100, 6)).astype(np.float32)
    shift = rng.standard_normal(6).astype(np.float32)
    one, other = project_pca([first, first + shift])
    moved = other.coordinates - one.coordinates
    assert moved == pytest.approx(np.broadcast_to(moved[0], moved.shape), abs=1e-5)  # a shift stays one shift
    assert np.linalg.norm(moved[0]) > 0.1


def test_pca_signs_do_not_depend_on_the_solver(rng):
    matrix = rng.standard_normal((60, 4)) * [5, 3, 1, 1]
    first, again = project_pca([matrix])[0], project_pca([matrix[::-1]])[0]
    assert again.coordinates[::-1] == pytest.approx(first.coordinates, abs=1e-4)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "one or more"),
        ([np.eye(3), np.eye(4)], r"\[3, 4\]"),
        ([np.ones((3, 1))], "1 column"),
        ([np.eye(3), np.full((2, 3), np.nan)], "matrix 1"),
    ],
)
def test_tables_that_cannot_share_axes_are_refused(tables, message):
    with pytest.raises(SettingsError, match=message):
        project_pca(tables)


@pytest.mark.parametrize("mirror", [1, -1])
def test_align_recovers_a_known_movement(rng, mirror):
    reference = rng.standard_normal((50, 2)) * [3, 1]
    moved = 0.2 * (reference * [mirror, 1]) @ turn(70) + [100, -7]
    assert align(reference, moved) == pytest.approx(reference, abs=1e-4)


def test_align_only_moves_turns_and_scales(rng):
    reference, other = rng.standard_normal((2, 40, 2))
    aligned = align(reference, other)
    ratios = np.linalg.norm(aligned[1:] - aligned[:-1], axis=1) / np.linalg.norm(other[1:] - other[:-1], axis=1)
    assert ratios == pytest.approx(np.full(39, ratios[0]), rel=1e-3)
    assert aligned.mean(axis=0) == pytest.approx(reference.mean(axis=0), abs=1e-6)


def test_align_refuses_maps_that_do_not_fit(rng):
    with pytest.raises(SettingsError, match=r"\(3, 2\) and \(4, 2\)"):
        align(rng.standard_normal((3, 2)), rng.standard_normal((4, 2)))
    with pytest.raises(SettingsError, match="coincide"):
        align(rng.standard_normal((3, 2)), np.ones((3, 2)))


def test_a_map_has_two_columns():
    with pytest.raises(SettingsError, match="two columns"):
        Projection(np.ones((3, 3)), "pca")
