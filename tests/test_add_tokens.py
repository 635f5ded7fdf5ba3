"""The command add-tokens."""

import json

import numpy as np
import polars as pl
import pytest
from test_new_tokens import write_glossary
from transformers import AutoTokenizer

from defemb_core.cli import main
from defemb_core.export_place import MANIFEST
from defemb_core.new_tokens.findings import read_findings
from defemb_core.new_tokens.rows import STARTS
from defemb_core.plm import load_plm
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import STOP, read_status

ENTRIES = {"zorblat": "a small dog that runs by the river", "zubzub": "a cat in the house", "cat": "a pet"}


@pytest.fixture
def terms(tmp_path):
    return write_glossary(tmp_path / "terms.csv", ENTRIES)


@pytest.fixture
def add(tiny_bert, tiny_lexicon, capsys):
    """Run the command on the tiny PLM; return the exit code, what it printed and what it complained of."""

    def run(*arguments, plm=tiny_bert, dictionary=f"wordnet:{tiny_lexicon}"):
        words = ["add-tokens", str(plm), *map(str, arguments)]
        code = main(words + ([f"--dictionary={dictionary}"] if dictionary else []))
        printed = capsys.readouterr()
        return code, printed.out.splitlines(), printed.err.splitlines()

    return run


def test_a_dry_run_lists_what_would_be_added_and_writes_nothing(add, terms, tmp_path):
    code, out, _ = add("--terms", terms, "--dry-run")
    assert code == 0
    assert len(out) == 4
    assert "; row " in out[0]
    assert ENTRIES["zorblat"] in out[0]
    assert out[2] == "cat: cat; left out: it is one token already"
    assert out[-1].startswith("2 of 3 terms, rows ")
    assert out[-1].endswith("nothing was written")
    assert [file.name for file in tmp_path.iterdir()] == ["terms.csv"]


def test_it_writes_a_checkpoint_from_a_run_and_its_dictionary(add, tiny_run, terms, tmp_path):
    code, out, _ = add("--terms", terms, "--out", tmp_path / "made", plm=tiny_run, dictionary=None)
    assert code == 0
    assert out[-1].endswith(f"wrote {tmp_path / 'made'}")
    manifest = json.loads((tmp_path / "made" / MANIFEST).read_text())
    run = load_reconstruction(tiny_run)
    assert manifest["settings"]["max_senses"] == run.settings.max_senses
    assert manifest["dictionary"]["name"] == f"glossary,{run.provenance['dictionary']['name']}"
    assert [token["token"] for token in manifest["tokens"]] == ["zorblat", "zubzub"]
    row = manifest["tokens"][0]["token_id"]
    assert row in AutoTokenizer.from_pretrained(tmp_path / "made")("a zorblat")["input_ids"]
    assert main(["add-tokens", str(tmp_path / "made"), f"--terms={terms}", "--dry-run"]) == 2  # they are there already


def test_a_run_s_rebuilt_rows_can_be_in_it_too(add, tiny_run, terms, tmp_path):
    code, _, _ = add("--terms", terms, "--rebuilt", "--out", tmp_path / "both", plm=tiny_run, dictionary=None)
    assert code == 0
    add("--terms", terms, "--out", tmp_path / "new", plm=tiny_run, dictionary=None)
    run = load_reconstruction(tiny_run)
    both, new = (load_plm(str(tmp_path / name)).matrix for name in ("both", "new"))
    manifest = json.loads((tmp_path / "both" / MANIFEST).read_text())
    rows = [token["token_id"] for token in manifest["tokens"]]
    old = np.setdiff1d(np.arange(len(run.matrix)), rows)
    np.testing.assert_array_equal(both[old], run.matrix[old])
    np.testing.assert_array_equal(both[rows], new[rows])
    assert manifest["rebuilt"]["rows"]["rebuilt"] == run.rebuilt.sum()
    assert f"{run.rebuilt.sum():,} old rows are rebuilt" in (tmp_path / "both" / "README.md").read_text()


def test_rebuilt_rows_need_a_run(add, terms):
    code, _, said = add("--terms", terms, "--dry-run", "--rebuilt")
    assert code == 2
    assert "--rebuilt needs a run" in said[-1]


@pytest.mark.parametrize("start", STARTS)
def test_every_start(start, add, terms, tmp_path):
    code, _, _ = add("--terms", terms, "--out", tmp_path / "made", "--start", start, "--seed", 3)
    assert code == 0
    assert np.isfinite(load_plm(str(tmp_path / "made")).matrix).all()
    assert json.loads((tmp_path / "made" / MANIFEST).read_text())["settings"]["seed"] == 3


def test_a_corpus(add, tmp_path):
    (tmp_path / "corpus.txt").write_text("zorblat zorblat zubzub zubzub riversides riversides " * 3)
    code, out, _ = add("--corpus", tmp_path / "corpus.txt", "--limit", 2, "--start", "mean-of-pieces", "--dry-run")
    assert code == 0
    assert sum("; row " in line for line in out) == 2
    assert out[-1].startswith("2 of 2 terms")  # the third was not asked for
    assert out[0].endswith(" times")
    code, _, said = add("--corpus", tmp_path / "corpus.txt", "--dry-run")
    assert code == 2
    assert said[-1].endswith("no definition was found")


def test_words_of_a_corpus_that_are_left_out_are_counted(add, terms, tiny_lexicon, tmp_path):
    (tmp_path / "corpus.txt").write_text("zorblat zorblat riversides riversides ")
    dictionary = f"glossary:{terms},wordnet:{tiny_lexicon}"
    code, out, _ = add("--corpus", tmp_path / "corpus.txt", "--dry-run", dictionary=dictionary)
    assert code == 0
    assert out[0] == "1 word left out, no definition was found: riversides"
    assert out[1].startswith("zorblat: ")


def test_the_comparison_is_printed(add, terms):
    code, out, _ = add("--terms", terms, "--dry-run", "--compare", "--nearest")
    assert code == 0
    heading = next(number for number, line in enumerate(out) if line.startswith("start "))
    assert out[heading].split() == ["start", "cosine", "mrr", "overlap"]
    assert [line.split()[0] for line in out[heading + 1 : -1]] == list(STARTS)
    assert "; near " in out[0]


def test_progress_and_findings_are_kept(add, terms, tmp_path):
    code, _, said = add("--terms", terms, "--dry-run", "--nearest", "--keep", tmp_path / "kept")
    assert code == 0
    assert "map" in said
    assert read_status(tmp_path / "kept").state == "complete"
    found = read_findings(tmp_path / "kept")
    assert found is not None
    assert found.terms["term"].to_list() == list(ENTRIES)
    assert found.near is not None
    assert found.near.height == 2
    assert found.about["out"] is None


def test_a_stop_ends_it(add, terms, tmp_path):
    (tmp_path / "kept").mkdir()
    add("--terms", terms, "--dry-run", "--keep", tmp_path / "kept")

    def claimed(*arguments, **options):
        (tmp_path / "kept" / STOP).touch()
        return real(*arguments, **options)

    from defemb_core.new_tokens import plan

    real = plan.plan_tokens
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "plan_tokens", claimed)
        code, _, _ = add("--terms", terms, "--out", tmp_path / "made", "--keep", tmp_path / "kept")
    assert code == 130
    assert read_status(tmp_path / "kept").state == "cancelled"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--dry-run", "--limit", "0"], "--limit must be 1 or more, is 0"),
        ([], "say where to write the checkpoint with --out FOLDER, or add --dry-run"),
        (["--dry-run", "--compare", "--seeds", "0"], "--seeds must be 1 or more, is 0"),
    ],
)
def test_a_mistake_is_one_sentence(more, error, add, terms):
    code, out, said = add("--terms", terms, *more)
    assert (code, out) == (2, [])
    assert said[-1] == error


def test_a_target_that_is_taken_is_refused_before_the_work(add, terms, tmp_path):
    (tmp_path / "made").mkdir()
    code, _, said = add("--terms", terms, "--out", tmp_path / "made")
    assert code == 2
    assert "exists; name another place" in said[-1]
    assert "map" not in said


def test_a_glossary_that_is_not_there(add, tmp_path):
    code, _, said = add("--terms", tmp_path / "none.csv", "--dry-run")
    assert code == 2
    assert "is not there" in said[-1]


def test_hostile_terms_are_printed_as_text(add, tmp_path):
    file = tmp_path / "terms.csv"
    pl.DataFrame({"word": ["a\u202eb zub", "zorblat"], "definition": ["a <b>cat</b>", "a dog"]}).write_csv(file)
    code, out, said = add("--terms", file, "--dry-run")
    assert (code, said[-1]) == (0, "definitions")
    assert all(line.isprintable() for line in out)
