import dataclasses

import numpy as np
import pytest

from defemb_core import analysis as module
from defemb_core import cache
from defemb_core.analysis import ANALYSIS_SHARES, analyse, read_analysis
from defemb_core.comparison import Comparison
from defemb_core.errors import RunError
from defemb_core.neighbours import nearest_neighbours
from defemb_core.projection import Projection
from defemb_core.umap_projection import UmapSettings


@pytest.fixture
def pair(tmp_path, monkeypatch, tiny_plm, tiny_reconstruction):
    """A comparison with an empty cache and a map that is made in no time: the first two columns, turned and shifted."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    calls = []

    def project(matrix, neighbours, init=None, *, seed, settings, progress):
        calls.append((matrix, init))
        progress(1, 1)
        coordinates = matrix[:, :2] if init is None else matrix[:, 1::-1] + 5
        return Projection(coordinates.astype(np.float32), "umap", {}, 0.25)

    monkeypatch.setattr(module, "project_umap", project)
    pair = Comparison(tiny_plm, tiny_reconstruction)
    object.__setattr__(pair, "calls", calls)
    return pair


def forbid(monkeypatch):
    def compute(*args, **kwargs):
        pytest.fail("it computed again")

    for name in ("nearest_neighbours", "project_umap"):
        monkeypatch.setattr(module, name, compute)


def test_an_analysis_is_read_again_without_computing(pair, monkeypatch):
    assert read_analysis(pair) is None
    made = analyse(pair)
    assert len(pair.calls) == 2
    forbid(monkeypatch)
    for again in (analyse(pair), read_analysis(pair)):
        for kept, fresh in zip((*again.neighbours, *again.maps), (*made.neighbours, *made.maps), strict=True):
            for name in ("indices", "similarities", "coordinates", "seconds"):
                if hasattr(fresh, name):
                    np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name))
        assert again.maps[0].method == "umap"


def test_neighbours_are_exact_and_of_their_own_table(pair):
    found = analyse(pair).neighbours
    for kept, table in zip(found, (pair.original, pair.rebuilt), strict=True):
        np.testing.assert_array_equal(kept.indices, nearest_neighbours(table, 20).indices)


def test_the_second_map_starts_from_the_first_and_is_aligned(pair):
    first, second = analyse(pair).maps
    (matrix, init), (other, start) = pair.calls
    assert matrix is pair.original
    assert other is pair.rebuilt
    assert init is None
    np.testing.assert_array_equal(start, first.coordinates)
    # Its own coordinates are mirrored and shifted by 5; without alignment the rows that were kept would lie far off.
    kept = ~pair.reconstruction.rebuilt
    distance = np.linalg.norm((second.coordinates - first.coordinates)[kept], axis=1).mean()
    assert distance < 0.5 * first.coordinates.std()


def test_another_seed_or_setting_is_another_map(pair):
    analyse(pair)
    assert read_analysis(pair, seed=1) is None
    assert read_analysis(pair, UmapSettings(min_dist=0.5)) is None
    analyse(pair, seed=1)
    analyse(pair, UmapSettings(min_dist=0.5))
    assert len(pair.calls) == 6
    assert read_analysis(pair, seed=1) is not None


def test_two_runs_of_a_plm_share_its_map(pair):
    analyse(pair)
    other = dataclasses.replace(pair.reconstruction, matrix=pair.rebuilt + np.float32(1))
    second = Comparison(pair.plm, other)
    assert read_analysis(second) is None
    analyse(second)
    assert len(pair.calls) == 3


def test_progress_names_the_stages(pair):
    told = []
    analyse(pair, progress=lambda stage, done, total: told.append((stage, done, total)))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == list(ANALYSIS_SHARES)
    assert all(0 <= done <= total for _, done, total in told)
    assert sum(ANALYSIS_SHARES.values()) == pytest.approx(1)


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


@pytest.mark.parametrize("arrays", [{}, {"other": np.zeros(3)}, {"indices": np.array([{}], dtype=object)}])
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

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(RunError, match=r"cannot write to the cache folder .*No space left .*DEFEMB_CACHE"):
        analyse(pair)
