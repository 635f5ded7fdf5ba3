import json

import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.neighbours import nearest_neighbours
from defemb_core.projection import Projection, UmapSettings, align, project_pair, project_pca, project_umap


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


def test_basis_of_all_tables_is_that_of_the_stacked_rows(rng):
    tables = [rng.standard_normal((rows, 4)).astype(np.float32) + rows for rows in (30, 50)]
    together = project_pca(tables, fit_on=None)
    (stacked,) = project_pca([np.concatenate(tables)])
    assert np.concatenate([part.coordinates for part in together]) == pytest.approx(stacked.coordinates, abs=1e-4)


def test_pca_signs_do_not_depend_on_the_solver(rng):
    matrix = rng.standard_normal((60, 4)) * [5, 3, 1, 1]
    first, again = project_pca([matrix])[0], project_pca([matrix[::-1]])[0]
    assert again.coordinates[::-1] == pytest.approx(first.coordinates, abs=1e-4)


@pytest.mark.parametrize(
    ("tables", "fit_on", "message"),
    [
        ([], 0, "one or more"),
        ([np.eye(3), np.eye(4)], 0, r"\[3, 4\]"),
        ([np.ones((3, 1))], 0, "1 column"),
        ([np.eye(3)], 1, "fit_on is 1"),
        ([np.eye(3), np.full((2, 3), np.nan)], 0, "matrix 1"),
    ],
)
def test_tables_that_cannot_share_axes_are_refused(tables, fit_on, message):
    with pytest.raises(SettingsError, match=message):
        project_pca(tables, fit_on)


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


def test_pair_of_pca_maps_shares_the_first_ones_axes(rng):
    first, second = rng.standard_normal((2, 40, 5))
    pair = project_pair(first, second, "pca")
    expected = project_pca([first, second])
    for got, wanted in zip(pair, expected, strict=True):
        assert np.array_equal(got.coordinates, wanted.coordinates)


def test_umap_pair_repeats_separates_clusters_and_lies_over_each_other(rng):
    centres = np.repeat(np.eye(3, 10) * 8, 100, axis=0)
    first = (centres + rng.standard_normal((300, 10))).astype(np.float32)
    second = first[:, ::-1] + 0.1 * rng.standard_normal((300, 10)).astype(np.float32)
    settings, calls = UmapSettings(epochs=60), []
    one, other = project_pair(first, second, settings=settings, progress=lambda *call: calls.append(call))
    alone = project_umap(first, nearest_neighbours(first, 20), seed=0, settings=settings)
    assert alone.coordinates.tobytes() == one.coordinates.tobytes()
    assert project_umap(first, seed=1, settings=settings).coordinates.tobytes() != one.coordinates.tobytes()
    means = one.coordinates.reshape(3, 100, 2).mean(axis=1)
    spread = one.coordinates.reshape(3, 100, 2).std(axis=1).max()
    gap = min(np.linalg.norm(means[i] - means[j]) for i, j in [(0, 1), (0, 2), (1, 2)])
    assert gap > 3 * spread
    moved = np.linalg.norm(other.coordinates.reshape(3, 100, 2).mean(axis=1) - means, axis=1)
    assert moved.max() < gap / 4  # every cluster is where it was: far nearer to itself than to another
    assert align(one.coordinates, other.coordinates) == pytest.approx(other.coordinates, abs=1e-4)
    assert calls[-1] == (120, 120)
    assert calls == sorted(calls)
    named = {"n_neighbours": 15, "min_dist": 0.1, "metric": "cosine", "epochs": 60, "seed": 0, "init": "pca"}
    assert json.loads(json.dumps(one.settings)) == named
    assert other.settings == {**named, "init": "given"}


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(5),  # fewer rows than neighbours
        np.outer(np.arange(1, 20), np.ones(4)),  # one direction only
        np.zeros((20, 3)),  # no direction at all
        np.repeat([[1.0, 0.0], [-1.0, 0.0]], 10, axis=0),  # opposite copies, cosine distance 2
    ],
    ids=["small", "line", "zeros", "opposite"],
)
def test_umap_of_a_degenerate_table_has_coordinates_for_every_row(matrix):
    projection = project_umap(matrix, settings=UmapSettings(epochs=5))
    assert projection.coordinates.shape == (len(matrix), 2)
    assert np.isfinite(projection.coordinates).all()
    assert projection.settings["n_neighbours"] == min(15, len(matrix) - 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neighbours": nearest_neighbours(np.eye(20), 3)}, "3 neighbours a row, but the map wants 14"),
        ({"neighbours": nearest_neighbours(np.eye(20), 14, rows=[1, 2])}, "of 2 rows"),
        ({"neighbours": nearest_neighbours(np.eye(20), 14, "euclidean")}, "euclidean"),
        ({"init": np.ones((3, 2))}, r"\(20, 2\)"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_umap_refuses_what_does_not_fit_the_table(arguments, message):
    with pytest.raises(SettingsError, match=message):
        project_umap(np.eye(20), **arguments)


@pytest.mark.parametrize("values", [{"n_neighbours": 2}, {"min_dist": 2}, {"metric": "dot"}, {"epochs": 0}])
def test_umap_settings_outside_their_range_are_refused(values):
    with pytest.raises(SettingsError):
        UmapSettings(**values)


def test_too_few_rows_and_unknown_methods_are_refused():
    with pytest.raises(SettingsError, match="3 rows"):
        project_umap(np.eye(3))
    with pytest.raises(SettingsError, match="'tsne'"):
        project_pair(np.eye(5), np.eye(5), "tsne")
    with pytest.raises(SettingsError, match="5 and 6 rows"):
        project_pair(np.eye(5), np.eye(6))
    with pytest.raises(SettingsError, match="two columns"):
        Projection(np.ones((3, 3)), "pca")
