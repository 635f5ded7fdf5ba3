"""What the command evaluate keeps, and what is read again of it."""

import json

import polars as pl
import pytest
from app_support import build_world, make_run

from defemb_core.cli import main
from defemb_core.comparison import open_comparison
from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.evaluate import Question, evaluate
from defemb_core.evaluation.pair_files import keep_pairs, read_pairs
from defemb_core.evaluation_files import evaluation_folder, read_evaluation
from defemb_core.runs import read_status

PAIRS = b"ban,den,3\nkal,mur,1\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = build_world(tmp_path_factory.mktemp("world"))
    with world.entered():
        make_run(world, analyse=False)
        assert main(["evaluate", str(world.run), "--resamples", "100"]) == 0
        yield world


QUICK = Question(resamples=100)


def test_what_was_measured_is_read_again(world):
    comparison = open_comparison(world.run)
    folder = evaluation_folder(world.run, QUICK)
    assert read_status(folder).state == "complete"
    found, measured = read_evaluation(folder, comparison.key), evaluate(comparison, QUICK)
    assert found.question == QUICK
    assert found.figures.equals(measured.figures)
    assert (found.notes, found.caption) == (measured.notes, measured.caption)
    assert found.shown.equals(measured.shown)


def test_other_tables_or_a_damaged_file_are_not_taken_for_it(world, tmp_path):
    key, folder = open_comparison(world.run).key, evaluation_folder(world.run, QUICK)
    assert read_evaluation(folder, "0" + key) is None
    assert read_evaluation(tmp_path, key) is None
    for name, content in {"config.json": (folder / "config.json").read_bytes(), "figures.parquet": b""}.items():
        (tmp_path / name).write_bytes(content)
    assert read_evaluation(tmp_path, key) is None
    config = json.loads((folder / "config.json").read_text())
    for odd in ({}, [], config | {"question": {}}, config | {"version": 0}):
        (tmp_path / "config.json").write_text(json.dumps(odd))
        assert read_evaluation(tmp_path, key) is None


def test_each_question_has_a_folder_of_its_own(world, tmp_path):
    asked = [
        Question(),
        Question(pieces="skip"),
        Question(seed=1),
        Question(pairs=("a.tsv",)),
        Question("relations"),
        Question("probing"),
        Question("probing", word="a", sentences=("a b", "c a")),
        Question("probing", word="a", sentences=("a b c a",)),
    ]
    names = [evaluation_folder(tmp_path, question).name for question in asked]
    assert len(set(names)) == len(names)
    assert (names[0], names[4], names[5]) == ("similarity", "relations", "probing")


def test_a_run_against_another_is_kept_with_the_pair(world):
    other = make_run(world, "another", analyse=False)
    assert main(["evaluate", world.run.name, "--against", other.name, "--resamples", "100"]) == 0
    (folder,) = (world.folder / "cache" / "pairs").glob("*")
    pair = open_comparison(folder)
    assert pair.names == ("another", world.run.name)
    assert read_evaluation(evaluation_folder(folder, QUICK), pair.key)
    assert main(["evaluate", world.run.name, "--against", str(world.plm), "--resamples", "100"]) == 0
    assert len(list((world.folder / "cache" / "pairs").glob("*"))) == 1  # a run and its PLM are no pair of their own


def test_a_failure_is_kept_as_the_status(world, capsys):
    assert main(["evaluate", str(world.run), "--what", "relations"]) == 2
    said = capsys.readouterr().err.strip()
    status = read_status(world.run / "evaluations" / "relations")
    assert (status.state, status.message) == ("failed", said)


def test_a_folder_that_is_no_run_stays_as_it_was(tmp_path, capsys):
    (tmp_path / "letters").mkdir()
    assert main(["evaluate", str(tmp_path / "letters")]) == 2
    assert "is no run" in capsys.readouterr().err
    assert not list((tmp_path / "letters").iterdir())


@pytest.mark.parametrize("name", ["mine.tsv", "../../x.csv", "a/b\\c.txt", "..", "", "\x00\n.tsv", "x" * 300])
def test_pairs_are_kept_under_a_name_that_leads_nowhere(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path))
    kept = keep_pairs(PAIRS, name)
    assert kept.parent.parent == tmp_path / "word-pairs"
    assert read_pairs(kept).pairs.equals(
        pl.DataFrame({"word1": ["ban", "kal"], "word2": ["den", "mur"], "score": [3.0, 1.0]})
    )


def test_what_is_no_file_of_pairs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path))
    with pytest.raises(EvaluationError):
        keep_pairs(b"word1,word2,score\n", "empty.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"what": "taste"}, "'taste' cannot be measured; choose from similarity, relations, probing"),
        ({"what": "relations", "pairs": ("x",)}, "--pairs belong to"),
        ({"what": "probing", "word": "x"}, "belong together"),
        ({"sentences": ("x",), "word": "x"}, "and to --what probing"),
        ({"resamples": 1}, "resamples must lie between"),
    ],
)
def test_questions_that_make_no_sense(wrong, said):
    with pytest.raises(SettingsError, match=said):
        Question(**wrong)
