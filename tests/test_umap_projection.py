import json

import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.neighbours import nearest_neighbours
from defemb_core.projection import align
from defemb_core.umap_projection import UmapSettings, project_umap


def test_umap_repeats_separates_clusters_and_keeps_the_place_it_started_from():
    rng = np.random.default_rng(11)
    centres = np.repeat(np.eye(3, 10) * 8, 100, axis=0)
    first = (centres + rng.standard_normal((300, 10))).astype(np.float32)
    second = first[:, ::-1] + 0.1 * rng.standard_normal((300, 10)).astype(np.float32)
    settings, calls = UmapSettings(epochs=60), []
    one = project_umap(first, settings=settings, progress=lambda *call: calls.append(call))
    other = project_umap(second, init=one.coordinates, settings=settings)
    again = project_umap(first, nearest_neighbours(first, 20), seed=0, settings=settings)
    assert again.coordinates.tobytes() == one.coordinates.tobytes()
    assert project_umap(first, seed=1, settings=settings).coordinates.tobytes() != one.coordinates.tobytes()
    means = one.coordinates.reshape(3, 100, 2).mean(axis=1)
    spread = one.coordinates.reshape(3, 100, 2).std(axis=1).max()
    gap = min(np.linalg.norm(means[i] - means[j]) for i, j in [(0, 1), (0, 2), (1, 2)])
    assert gap > 3 * spread
    aligned = align(one.coordinates, other.coordinates)
    moved = np.linalg.norm(aligned.reshape(3, 100, 2).mean(axis=1) - means, axis=1)
    assert moved.max() < gap / 4  # every cluster is where it was: far nearer to itself than to another
    assert calls[-1] == (60, 60)
    assert calls == sorted(calls)
    named = {"n_neighbours": 15, "min_dist": 0.1, "metric": "cosine", "epochs": 60, "seed": 0, "init": "pca"}
    assert json.loads(json.dumps(one.settings)) == named
    assert other.settings == {**named, "init": "given"}


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(5),  # fewer rows than neighbours
        np.outer(np.arange(1, 20), np.ones(4)),  # one direction only
        np.arange(20.0)[:, None],  # one column only
        np.zeros((20, 3)),  # no direction at all
        np.repeat([[1.0, 0.0], [-1.0, 0.0]], 10, axis=0),  # opposite copies, cosine distance 2
    ],
    ids=["small", "line", "column", "zeros", "opposite"],
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


def test_too_few_rows_are_refused():
    with pytest.raises(SettingsError, match="3 rows"):
        project_umap(np.eye(3))
