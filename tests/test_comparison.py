import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from tiny_plm import save_bert

from defemb_core import cache
from defemb_core import comparison as module
from defemb_core.comparison import (
    ANALYSIS_SHARES,
    Comparison,
    analyse,
    neighbours_of_both,
    open_comparison,
    read_analysis,
    row_cosines,
    token_changes,
)
from defemb_core.errors import RunError
from defemb_core.neighbours import nearest_neighbours, neighbour_turnover
from defemb_core.projection import Projection
from defemb_core.reconstruction_files import save_reconstruction
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


# Tables side by side


def test_the_two_tables(pair, tiny_plm, tiny_reconstruction):
    assert pair.original is tiny_plm.matrix
    assert pair.rebuilt is tiny_reconstruction.matrix
    assert pair.vocabulary is tiny_reconstruction.vocabulary
    same = dataclasses.replace(tiny_reconstruction, matrix=tiny_plm.matrix.copy())
    assert Comparison(tiny_plm, same).rebuilt_digest == tiny_plm.digest != pair.rebuilt_digest


def test_cosines_of_rows():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 50, 7)).astype(np.float32)
    expected = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(row_cosines(first, second), expected, atol=1e-6)
    np.testing.assert_allclose(row_cosines(first, -3 * first), -1, atol=1e-6)
    first[4] = second[9] = 0
    found = row_cosines(first, second)
    assert found[4] == found[9] == 0
    assert found.dtype == np.float32


def test_what_changed_for_each_token(pair):
    found = token_changes(pair)
    assert found.columns == [
        *pair.vocabulary.columns, "rebuilt", "cosine", "movement", "norm_original", "norm_rebuilt",
    ]  # fmt: skip
    assert found.drop("rebuilt", "cosine", "movement", "norm_original", "norm_rebuilt").equals(pair.vocabulary)
    rebuilt = pair.reconstruction.rebuilt
    assert found["rebuilt"].to_list() == rebuilt.tolist()
    kept = found.filter(~pl.col("rebuilt"))
    assert (kept["movement"] == 0).all()
    assert (kept["norm_original"] == kept["norm_rebuilt"]).all()
    np.testing.assert_allclose(kept["cosine"], 1, atol=1e-6)
    moved = found.filter("rebuilt")
    cosines = row_cosines(pair.original, pair.rebuilt)[rebuilt]
    np.testing.assert_allclose(moved["movement"], 1 - cosines, atol=1e-6)
    np.testing.assert_allclose(found["norm_rebuilt"], np.sqrt((pair.rebuilt**2).sum(axis=1)), rtol=1e-5)
    assert moved["movement"].min() > 0
    assert {found.schema[name] for name in ("cosine", "movement", "norm_original", "norm_rebuilt")} == {pl.Float32}


def test_turnover_is_of_the_ten_nearest(pair):
    both = neighbours_of_both(pair)
    found = token_changes(pair, both)["turnover"].to_numpy()
    before, after = (nearest_neighbours(table, 10) for table in (pair.original, pair.rebuilt))
    np.testing.assert_array_equal(found, neighbour_turnover(before, after))
    shared = [len(set(a) & set(b)) for a, b in zip(before.indices, after.indices, strict=True)]
    np.testing.assert_allclose(found, 1 - np.array(shared) / 10, atol=1e-6)
    assert 0 < found.mean() < 1


def test_another_table_by_now(tiny_reconstruction, tmp_path):
    from defemb_core.plm import load_plm

    with pytest.raises(RunError, match=r"made from a table with SHA-256 [0-9a-f]{12}\.\.\., .* now has .*rebuild"):
        Comparison(load_plm(str(save_bert(tmp_path, seed=1))), tiny_reconstruction)


def test_open_finds_the_plm_again(tmp_path, monkeypatch, tiny_bert, tiny_reconstruction):
    save_reconstruction(tiny_reconstruction, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    found = open_comparison(tmp_path / "run")
    assert found.plm.folder == tiny_bert.resolve()
    assert (found.rebuilt == tiny_reconstruction.matrix).all()


def test_open_refuses_a_plm_that_changed(tmp_path, tiny_reconstruction):
    other = save_bert(tmp_path / "model", seed=1)
    save_reconstruction(tiny_reconstruction, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["provenance"]["plm"]["name"] = str(other)
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="earlier revision or rebuild"):
        open_comparison(tmp_path / "run")


# What is kept on disk


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
