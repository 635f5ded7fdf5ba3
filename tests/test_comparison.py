import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from tiny_plm import save_bert

from defemb_core.analysis import neighbours_of_both
from defemb_core.comparison import Comparison, open_comparison, row_cosines, token_changes
from defemb_core.errors import RunError
from defemb_core.neighbours import nearest_neighbours, neighbour_turnover
from defemb_core.reconstruction_files import save_reconstruction


@pytest.fixture
def pair(tmp_path, monkeypatch, tiny_plm, tiny_reconstruction):
    """A comparison with an empty cache."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    return Comparison(tiny_plm, tiny_reconstruction)


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
    added = ["rebuilt", "cosine", "movement", "norm_original", "norm_rebuilt", "pos"]
    assert found.columns == [*pair.vocabulary.columns, *added]
    assert found.drop(added).equals(pair.vocabulary)
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


def test_hubness_is_of_the_ten_nearest_in_each_table(pair):
    found = token_changes(pair, neighbours_of_both(pair))
    for name, table in (("original", pair.original), ("rebuilt", pair.rebuilt)):
        near = nearest_neighbours(table, 10).indices
        counted = [int((near == row).sum()) for row in range(len(table))]
        assert found[f"hubness_{name}"].to_list() == counted
    assert (found["hubness_original"] != found["hubness_rebuilt"]).any()


def test_part_of_speech_is_that_of_the_first_definition(pair):
    definitions = pair.reconstruction.definitions
    found = token_changes(pair)["pos"]
    expected = {}
    for token, pos in definitions.select("token_id", "pos").iter_rows():
        expected.setdefault(token, pos)
    assert found.to_list() == [expected.get(row) for row in range(pair.plm.rows)]
    assert found.null_count() == pair.plm.rows - definitions["token_id"].n_unique() > 0
    assert found.n_unique() > 2


def test_no_part_of_speech_without_definitions(pair):
    without = dataclasses.replace(pair.reconstruction, definitions=pair.reconstruction.definitions.clear())
    found = token_changes(Comparison(pair.plm, without))["pos"]
    assert found.dtype == pl.String
    assert found.null_count() == pair.plm.rows


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
