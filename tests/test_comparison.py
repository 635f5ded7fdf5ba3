import dataclasses
import json
import shutil

import numpy as np
import polars as pl
import pytest
from tiny_plm import save_bert

from defemb_core import analysis as module
from defemb_core.analysis import neighbours_of_both, read_analysis
from defemb_core.changes import row_cosines, token_changes
from defemb_core.cli import main
from defemb_core.comparison import (
    Comparison,
    isotropy_of,
    open_comparison,
    work_folder,
)
from defemb_core.errors import RunError, SettingsError
from defemb_core.frequency import plm_vocabulary
from defemb_core.neighbours import nearest_neighbours, neighbour_turnover
from defemb_core.projection import Projection
from defemb_core.reconstruction_files import save_reconstruction
from defemb_core.runs import analysis_status


@pytest.fixture
def quick_maps(monkeypatch):
    """Maps are made in no time: two columns of the table."""

    def project(matrix, *args, progress, **options):
        progress(1, 1)
        return Projection(np.ascontiguousarray(matrix[:, :2]), "umap", {}, 0.0)

    monkeypatch.setattr(module, "project_umap", project)


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


# Any two tables of one vocabulary


@pytest.fixture
def two_runs(tmp_path, monkeypatch, tiny_reconstruction):
    """Two directories of runs, the second with other values in the rows that are rebuilt, and an empty cache."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    moved = tiny_reconstruction.matrix + tiny_reconstruction.rebuilt[:, None].astype(np.float32)
    for name, matrix in {"one": tiny_reconstruction.matrix, "two": moved}.items():
        save_reconstruction(dataclasses.replace(tiny_reconstruction, matrix=matrix), tmp_path / name)
        (tmp_path / name / "status.json").write_text("{}")
    return tmp_path / "one", tmp_path / "two"


def test_two_runs_side_by_side(two_runs, tiny_reconstruction):
    one, two = two_runs
    found = open_comparison(two, against=str(one))
    assert found.names == ("one", "two")
    assert not found.is_usual
    np.testing.assert_array_equal(found.original, tiny_reconstruction.matrix)
    np.testing.assert_array_equal(found.changed, tiny_reconstruction.rebuilt)
    assert found.original_digest == Comparison(found.plm, tiny_reconstruction).rebuilt_digest != found.rebuilt_digest
    turned = open_comparison(one, against=str(two))
    assert turned.key != found.key
    assert (turned.original == found.rebuilt).all()
    changes = token_changes(found)
    assert (changes["rebuilt"].to_numpy() == tiny_reconstruction.rebuilt).all()
    assert found.evidence is None  # which is of the run against its PLM


def test_a_run_against_its_own_plm_is_original_and_rebuilt(two_runs, tiny_bert):
    usual = open_comparison(two_runs[0])
    named = open_comparison(two_runs[0], against=str(tiny_bert))
    assert usual.is_usual
    assert named.is_usual
    assert named.names == usual.names == ("original", "rebuilt")
    assert named.key == usual.key
    assert named.evidence is not None


def test_two_checkpoints_of_one_plm(two_runs, tiny_bert, tmp_path):
    other = save_bert(tmp_path / "tuned", seed=1)
    found = open_comparison(str(other), against=str(tiny_bert))
    assert found.names == ("tiny-bert", "tuned")
    assert found.vocabulary["token"].to_list() == plm_vocabulary(found.plm)["token"].to_list()
    assert found.changed.mean() > 0.9
    assert found.definitions is None
    with pytest.raises(RunError, match="'tuned' is a checkpoint, no run; choose a run"):
        _ = found.reconstruction
    with_run = open_comparison(two_runs[0], against=str(other))
    assert with_run.names == ("tuned", "one")
    np.testing.assert_array_equal(with_run.original, found.rebuilt)
    assert open_comparison(str(other), against=str(two_runs[0])).names == ("one", "tuned")


def test_tables_of_the_same_short_name_are_called_by_the_whole(tiny_bert, tmp_path):
    other = save_bert(tmp_path / tiny_bert.name, seed=1)
    assert open_comparison(str(other), against=str(tiny_bert)).names == (str(tiny_bert), str(other))


def test_tokens_must_agree_and_not_only_their_number(tiny_bert, tmp_path):
    other = shutil.copytree(tiny_bert, tmp_path / "other")
    file = other / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    (one, two) = list(words)[20:22]
    words[one], words[two] = words[two], words[one]
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    said = rf"row {min(words[one], words[two])} is '.+' in the one and '.+' in the other; choose tables of one vocab"
    with pytest.raises(SettingsError, match=said):
        open_comparison(str(other), against=str(tiny_bert))


def test_tables_of_other_shapes_are_refused(tiny_plm):
    narrow = dataclasses.replace(tiny_plm, matrix=tiny_plm.matrix[:, :8].copy())
    with pytest.raises(SettingsError, match="their tables are 403 x 16 and 403 x 8; choose tables of one vocabulary"):
        Comparison(tiny_plm, narrow)


def test_the_folder_of_a_pair_opens_it_again(two_runs):
    one, two = map(str, two_runs)
    made = open_comparison(two, against=one)
    again = open_comparison(work_folder(made, two, one))
    assert (again.key, again.names) == (made.key, made.names)
    (work_folder(made, two, one) / "pair.json").write_text("[")
    with pytest.raises(RunError, match="does not say which tables are compared; delete it"):
        open_comparison(work_folder(made, two, one))


def test_a_pair_is_analysed_in_its_folder_by_the_command_line(two_runs, quick_maps):
    one, two = map(str, two_runs)
    made = open_comparison(two, against=one)
    folder = work_folder(made, two, one)
    assert main(["analyse", str(folder)]) == 0
    assert analysis_status(folder).state == "complete"
    found = read_analysis(made)
    np.testing.assert_array_equal(found.neighbours[0].indices, nearest_neighbours(made.original, 20).indices)


def test_isotropy_of_any_two_tables(two_runs, tiny_reconstruction):
    usual = isotropy_of(open_comparison(two_runs[0]))
    assert usual[1] == tiny_reconstruction.evidence["isotropy"]["rebuilt"]
    first, second = isotropy_of(open_comparison(two_runs[1], against=str(two_runs[0])))
    assert list(first) == list(usual[1])
    assert first["rare"]["i_w"] == pytest.approx(usual[1]["rare"]["i_w"])
    assert second["rare"]["i_w"] != pytest.approx(first["rare"]["i_w"])


def test_compare_against_another_run(two_runs, capsys):
    assert main(["compare", str(two_runs[1]), "--against", str(two_runs[0])]) == 0
    shown = capsys.readouterr().out
    assert "  all        one " in shown
    assert "   two " in shown
    assert "original" not in shown
    assert main(["compare", str(two_runs[1]), "--against", "no-such-plm"]) == 2
