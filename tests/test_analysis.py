import dataclasses

import numpy as np
import polars as pl
import pytest

from defemb_core import analysis as module
from defemb_core import analysis_files, cache
from defemb_core.analysis import (
    STAGES,
    analyse,
    analysis_shares,
    known_neighbours,
    neighbours_of_both,
    read_analysis,
)
from defemb_core.comparison import Comparison
from defemb_core.errors import RunError, SettingsError
from defemb_core.neighbours import nearest_neighbours
from defemb_core.projection import Projection, project_pca
from defemb_core.projection_settings import ProjectionSettings, keep_rows
from defemb_core.trustworthiness import measure_trust

PCA = ProjectionSettings("pca")
PLACED = ProjectionSettings(mode="place")


@pytest.fixture
def pair(tmp_path, monkeypatch, tiny_plm, tiny_reconstruction):
    """A comparison with an empty cache and a map that is made in no time: the first two columns, turned and shifted."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    calls = []

    def project(matrix, neighbours, init=None, *, seed, settings, progress):
        calls.append((matrix, neighbours, init, seed, settings))
        progress(1, 1)
        coordinates = matrix[:, :2] if init is None else matrix[:, 1::-1] + 5
        return Projection(coordinates.astype(np.float32), "umap", {"seed": seed}, 0.25)

    monkeypatch.setattr(module, "project_umap", project)
    pair = Comparison(tiny_plm, tiny_reconstruction)
    object.__setattr__(pair, "calls", calls)
    return pair


def forbid(monkeypatch):
    def compute(*args, **kwargs):
        pytest.fail("it computed again")

    monkeypatch.setattr(analysis_files, "nearest_neighbours", compute)
    for name in ("nearest_neighbours", "project_umap", "project_pca", "measure_trust"):
        monkeypatch.setattr(module, name, compute)


# What is kept on disk


@pytest.mark.parametrize(
    "settings",
    [ProjectionSettings(), PLACED, PCA, ProjectionSettings("pca", "place"), ProjectionSettings(subset="rare")],
)
def test_an_analysis_is_read_again_without_computing(pair, monkeypatch, settings):
    assert read_analysis(pair, settings) is None
    made = analyse(pair, settings)
    forbid(monkeypatch)
    for again in (analyse(pair, settings), read_analysis(pair, settings)):
        for kept, fresh in zip(again.neighbours, made.neighbours, strict=True):
            np.testing.assert_array_equal(kept.indices, fresh.indices)
            np.testing.assert_array_equal(kept.similarities, fresh.similarities)
        for kept, fresh in zip(again.maps, made.maps, strict=True):
            np.testing.assert_array_equal(kept.coordinates, fresh.coordinates)
            for name in ("method", "settings", "seconds", "trust"):
                assert getattr(kept, name) == getattr(fresh, name)
        np.testing.assert_array_equal(again.rows, made.rows)
        assert again.maps[1].method == settings.method
        assert again.settings == settings


def test_neighbours_are_exact_and_of_their_own_table(pair):
    found = analyse(pair).neighbours
    for kept, table in zip(found, (pair.original, pair.rebuilt), strict=True):
        np.testing.assert_array_equal(kept.indices, nearest_neighbours(table, 20).indices)


def test_the_second_map_starts_from_the_first_and_is_aligned(pair):
    first, second = analyse(pair).maps
    (matrix, _, init, *_), (other, _, start, *_) = pair.calls
    assert matrix is pair.original
    assert other is pair.rebuilt
    assert init is None
    np.testing.assert_array_equal(start, first.coordinates)
    # Its own coordinates are mirrored and shifted by 5; without alignment the rows that were kept would lie far off.
    kept = ~pair.reconstruction.rebuilt
    distance = np.linalg.norm((second.coordinates - first.coordinates)[kept], axis=1).mean()
    assert distance < 0.5 * first.coordinates.std()


@pytest.mark.parametrize("changed", [{"seed": 1}, {"min_dist": 0.5}, {"neighbours": 5}, {"subset": "rare"}])
def test_another_setting_is_another_map(pair, changed):
    analyse(pair)
    other = ProjectionSettings(**changed)
    assert read_analysis(pair, other) is None
    analyse(pair, other)
    assert len(pair.calls) == 4
    assert pair.calls[2][3:] == (other.seed, other.umap)
    assert read_analysis(pair, other) is not None


def test_what_pca_does_not_use_makes_no_other_map(pair):
    analyse(pair, PCA)
    assert read_analysis(pair, dataclasses.replace(PCA, neighbours=30, min_dist=0.9, metric="euclidean", seed=4))
    assert read_analysis(pair, dataclasses.replace(PCA, mode="place")) is None


def test_two_runs_of_a_plm_share_its_map(pair):
    analyse(pair)
    other = dataclasses.replace(pair.reconstruction, matrix=pair.rebuilt + np.float32(1))
    second = Comparison(pair.plm, other)
    assert read_analysis(second) is None
    analyse(second)
    assert len(pair.calls) == 3


@pytest.mark.parametrize("settings", [ProjectionSettings(), PLACED, PCA, ProjectionSettings(metric="euclidean")])
def test_progress_names_the_stages(pair, settings):
    told = []
    analyse(pair, settings, progress=lambda stage, done, total: told.append((stage, done / total)))
    assert list(dict.fromkeys(stage for stage, _ in told)) == list(STAGES)
    for stage in STAGES:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_what_is_on_disk_has_no_share_in_the_time(pair):
    names = list(STAGES)
    for settings in (ProjectionSettings(), PLACED, PCA):
        shares = analysis_shares(pair, settings)
        assert list(shares) == names
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) > 0
    assert analysis_shares(pair, PLACED)[names[3]] < analysis_shares(pair, PLACED)[names[2]] / 2
    neighbours_of_both(pair)
    assert analysis_shares(pair, ProjectionSettings())[names[1]] == 0
    analyse(pair)
    placed = analysis_shares(pair, PLACED)
    assert [name for name, share in placed.items() if share] == names[3:]
    assert sum(placed.values()) == pytest.approx(1)
    assert sum(analysis_shares(pair, ProjectionSettings()).values()) == pytest.approx(1)


def test_neighbours_are_known_without_maps(pair):
    assert known_neighbours(pair) is None
    both = neighbours_of_both(pair)
    for kept, fresh in zip(known_neighbours(pair), both, strict=True):
        np.testing.assert_array_equal(kept.indices, fresh.indices)


def damage(content, how):
    if how == "empty":
        return b""
    if how == "truncated":
        return content[: len(content) // 2]
    if how == "text":
        return b"not an archive"
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0x10
    return bytes(flipped)


@pytest.mark.parametrize("how", ["empty", "truncated", "text", "flipped"])
@pytest.mark.parametrize("kind", ["neighbours", "maps"])
def test_a_damaged_cache_is_made_again(pair, how, kind):
    made = analyse(pair)
    files = sorted((cache.cache_folder() / kind).glob("*.npz"))
    assert len(files) == 2
    for file in files:
        file.write_bytes(damage(file.read_bytes(), how))
    assert read_analysis(pair) is None
    again = analyse(pair)
    np.testing.assert_array_equal(again.neighbours[1].indices, made.neighbours[1].indices)
    np.testing.assert_array_equal(again.maps[1].coordinates, made.maps[1].coordinates)
    assert read_analysis(pair) is not None


def test_no_flipped_bit_breaks_the_reading(pair):
    analyse(pair)
    file = next((cache.cache_folder() / "maps").glob("*.npz"))
    content = file.read_bytes()
    places = [*range(0, 300, 2), *range(len(content) - 300, len(content))]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        file.write_bytes(flipped)
        read_analysis(pair)  # a map or None, never an error


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"other": np.zeros(3)},
        {"indices": np.array([{}], dtype=object)},
        {"coordinates": np.zeros((403, 2)), "about": np.array("no JSON")},
        {"coordinates": np.zeros((403, 2)), "about": np.array('{"trust": {"luck": 1}}')},
    ],
)
def test_an_archive_of_something_else_is_no_cache(pair, arrays):
    analyse(pair)
    for file in cache.cache_folder().glob("*/*.npz"):
        np.savez(file, **arrays)
    assert read_analysis(pair) is None
    analyse(pair)
    assert read_analysis(pair) is not None


def test_a_cache_that_cannot_be_written_is_one_sentence(pair, monkeypatch):
    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(analysis_files, "write_atomically", full)
    with pytest.raises(RunError, match=r"cannot write to the cache folder .*No space left .*DEFEMB_CACHE"):
        analyse(pair)


# Settings


@pytest.mark.parametrize("subset", ["frequent", "rare", "word", "rebuilt"])
def test_a_subset_is_mapped_by_itself(pair, subset):
    found = analyse(pair, ProjectionSettings(subset=subset))
    column = {"word": "kind", "rebuilt": None}.get(subset, "group")
    mask = pair.vocabulary[column].cast(pl.String) == subset if column else pair.reconstruction.rebuilt
    rows = np.flatnonzero(mask)
    assert found.rows.tolist() == rows.tolist()
    assert len(rows) < pair.plm.rows
    for (matrix, near, *_), table, made in zip(pair.calls, (pair.original, pair.rebuilt), found.maps, strict=True):
        np.testing.assert_array_equal(matrix, table[rows])
        np.testing.assert_array_equal(near.indices, nearest_neighbours(table[rows], min(20, len(rows) - 1)).indices)
        assert made.coordinates.shape == (len(rows), 2)
        assert made.trust.rows == len(rows)


def test_selected_rows_are_mapped_by_themselves(pair):
    rows = [7, 300, 12, 41, 7, 200, 18]
    found = analyse(pair, ProjectionSettings("pca", subset=keep_rows(rows)))
    assert found.rows.tolist() == sorted(set(rows))
    np.testing.assert_array_equal(found.maps[0].coordinates, project_pca([pair.original[found.rows]])[0].coordinates)


def test_a_subset_of_hardly_any_rows_is_refused_before_the_work(pair, monkeypatch):
    forbid(monkeypatch)
    with pytest.raises(SettingsError, match=r"3 rows are 'selected-.*at least 4"):
        analyse(pair, ProjectionSettings(subset=keep_rows([1, 2, 3])))


def test_a_list_of_another_table_is_refused(pair):
    with pytest.raises(SettingsError, match="has row 100000, the table has rows 0 to 402"):
        read_analysis(pair, ProjectionSettings(subset=keep_rows([1, 2, 3, 4, 100000])))


@pytest.mark.parametrize("damaged", [None, b"1 2 3", b"\xff\xfe"])
def test_a_list_that_is_gone_is_said_to_be(pair, damaged):
    name = keep_rows([1, 2, 3, 4, 5])
    file = next((cache.cache_folder() / "subsets").iterdir())
    file.unlink() if damaged is None else file.write_bytes(damaged)
    with pytest.raises(SettingsError, match=f"{name}.*not in the cache any more"):
        read_analysis(pair, ProjectionSettings(subset=name))


def test_neighbours_of_another_metric_or_number_are_found(pair):
    analyse(pair, ProjectionSettings(metric="euclidean", neighbours=30))
    for (matrix, near, *_), table in zip(pair.calls, (pair.original, pair.rebuilt), strict=True):
        assert matrix is table
        assert (near.metric, near.k) == ("euclidean", 30)
        np.testing.assert_array_equal(near.indices, nearest_neighbours(table, 30, "euclidean").indices)


def test_placed_rows_lie_among_their_neighbours_of_the_original(pair):
    settings = ProjectionSettings(mode="place", neighbours=5)
    first, second = analyse(pair, settings).maps
    rebuilt = pair.reconstruction.rebuilt
    np.testing.assert_array_equal(second.coordinates[~rebuilt], first.coordinates[~rebuilt])
    units = [table / np.linalg.norm(table, axis=1, keepdims=True) for table in (pair.original, pair.rebuilt)]
    cosines = units[1].astype(np.float64) @ units[0].T.astype(np.float64)
    for row in np.flatnonzero(rebuilt)[::10]:
        near = np.argsort(-cosines[row])[:5]
        np.testing.assert_allclose(second.coordinates[row], np.median(first.coordinates[near], axis=0), atol=1e-6)
    assert len(pair.calls) == 1


def test_a_table_without_a_change_is_placed_on_itself(pair):
    same = Comparison(pair.plm, dataclasses.replace(pair.reconstruction, matrix=pair.original))
    first, second = analyse(same, PLACED).maps
    np.testing.assert_array_equal(first.coordinates, second.coordinates)


def test_pca_places_on_the_originals_axes_or_fits_each_its_own(pair):
    placed = analyse(pair, ProjectionSettings("pca", "place")).maps
    for made, expected in zip(placed, project_pca([pair.original, pair.rebuilt]), strict=True):
        np.testing.assert_array_equal(made.coordinates, expected.coordinates)
    each = analyse(pair, PCA).maps
    np.testing.assert_array_equal(each[0].coordinates, placed[0].coordinates)
    own = project_pca([pair.rebuilt])[0].coordinates
    np.testing.assert_array_equal(np.abs(each[1].coordinates), np.abs(own))
    for axis in (0, 1):
        assert np.corrcoef(each[0].coordinates[:, axis], each[1].coordinates[:, axis])[0, 1] >= 0


@pytest.mark.parametrize("settings", [ProjectionSettings(metric="euclidean"), PLACED, PCA])
def test_every_map_comes_with_its_own_trustworthiness(pair, settings):
    for made, table in zip(analyse(pair, settings).maps, (pair.original, pair.rebuilt), strict=True):
        assert made.trust == measure_trust(table, made.coordinates, settings.metric)
