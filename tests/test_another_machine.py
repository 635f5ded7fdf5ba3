"""What was made on one machine is opened on another: there its paths are others, and the first one's are gone."""

import shutil

import numpy as np
import pytest
from tiny_plm import save_bert

from defemb_core.cli import main
from defemb_core.comparison import open_comparison
from defemb_core.errors import PLMError, RunError
from defemb_core.export_place import MANIFEST
from defemb_core.plm import load_plm
from defemb_core.reconstruction_files import load_reconstruction, plm_place


@pytest.fixture
def machines(tmp_path, tiny_lexicon):
    """The folders of two machines; on the first a run was made from a PLM there, and exported in three ways."""
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    plm = save_bert(one / "models" / "tiny")
    run = one / "runs" / "first"
    dictionary = f"wordnet:{tiny_lexicon}"
    assert main(["reconstruct", f"--plm={plm}", f"--dictionary={dictionary}", "--method=instant", f"--out={run}"]) == 0
    for to, out in (("checkpoint", "checkpoint"), ("safetensors", "table.safetensors"), ("static", "static")):
        assert main(["export", str(run), f"--to={to}", f"--out={one / 'exports' / out}"]) == 0
    return one, two


def test_a_run_is_opened_where_its_plm_lies_beside_it(machines, capfd):
    one, two = machines
    made = load_reconstruction(one / "runs" / "first")
    shutil.move(one / "runs" / "first", two / "first")
    shutil.move(one / "models" / "tiny", two / "tiny")
    shutil.rmtree(one)
    found = open_comparison(two / "first")
    assert found.is_usual
    assert np.array_equal(found.rebuilt, made.matrix)
    assert found.plm.folder == two / "tiny"
    for command in (
        ["compare", str(two / "first")],
        ["export", str(two / "first"), "--to=checkpoint", f"--out={two / 'again'}"],
        ["report", str(two / "first"), f"--out={two / 'report.html'}"],
    ):
        assert main(command) == 0, capfd.readouterr().err
    assert str(one) not in (two / "again" / MANIFEST).read_text()  # nobody's paths are published
    assert str(one) not in (two / "again" / "README.md").read_text()
    assert str(one) not in (two / "report.html").read_text()


def test_a_plm_in_the_run_s_own_folder_will_do(machines):
    one, two = machines
    shutil.move(one / "runs" / "first", two / "first")
    shutil.move(one / "models" / "tiny", two / "first" / "tiny")
    assert open_comparison(two / "first").plm.folder == two / "first" / "tiny"


def test_without_the_plm_one_sentence_says_where_to_copy_it(machines, capfd):
    one, two = machines
    shutil.move(one / "runs" / "first", two / "first")
    shutil.rmtree(one)
    assert main(["compare", str(two / "first")]) == 2
    (said,) = capfd.readouterr().err.splitlines()[-1:]
    assert f"copy that folder to {str(two / 'tiny')!r}" in said
    with pytest.raises(PLMError, match="is not on this machine"):
        plm_place(str(one / "models" / "tiny"), two / "first")


def test_another_plm_of_that_name_is_refused(machines):
    one, two = machines
    shutil.move(one / "runs" / "first", two / "first")
    save_bert(two / "tiny", seed=1)
    shutil.rmtree(one)
    with pytest.raises(RunError, match="was made from a table with SHA-256"):
        open_comparison(two / "first")


def test_the_checkpoint_needs_nothing_of_the_first_machine(machines):
    one, two = machines
    made = load_reconstruction(one / "runs" / "first")
    for name in ("checkpoint", "static", "table.safetensors"):
        shutil.move(one / "exports" / name, two / name)
    shutil.move(one / "models" / "tiny", two / "original")
    shutil.rmtree(one)
    from transformers import AutoModel, AutoTokenizer

    table = AutoModel.from_pretrained(two / "checkpoint").get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(table, made.matrix)
    original = load_plm(str(two / "original")).tokenizer
    assert AutoTokenizer.from_pretrained(two / "checkpoint").get_vocab() == original.get_vocab()
    for name in ("checkpoint", "table.safetensors"):
        pair = open_comparison(str(two / name), against=str(two / "original"))
        assert np.array_equal(pair.rebuilt, made.matrix)
        assert np.array_equal(pair.changed, (made.matrix != pair.original).any(axis=1))


@pytest.mark.parametrize("name", ["bundled", "owner/model", "a-relative-folder"])
def test_other_names_are_taken_as_they_are(name, tmp_path):
    assert plm_place(name, tmp_path) == name


def test_the_app_lists_a_run_under_the_place_that_its_plm_has_now(machines, monkeypatch):
    from pages.shared.state import complete_runs

    one, two = machines
    monkeypatch.setenv("DEFEMB_RUNS", str(two))
    shutil.move(one / "runs" / "first", two / "first")
    assert [run.name for run in complete_runs(str(one / "models" / "tiny"))] == ["first"]
    shutil.move(one / "models" / "tiny", two / "tiny")
    assert [run.name for run in complete_runs(str(two / "tiny"))] == ["first"]
    assert complete_runs(str(one / "models" / "tiny")) == []
    shutil.rmtree(two / "tiny")
    assert [run.name for run in complete_runs(str(one / "models" / "tiny"))] == [
        "first"
    ]  # opening it says what is wrong
