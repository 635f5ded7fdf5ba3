import dataclasses
import json
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from defemb_core import methods, trained
from defemb_core.cli import main
from defemb_core.definitionemb import cross_fit, fit_map
from defemb_core.dictionaries import Dictionary
from defemb_core.errors import PLMError
from defemb_core.evaluation.held_out import split_words, word_families
from defemb_core.features import definition_texts, encoder_reader, read_prompts
from defemb_core.presets import PRESETS
from defemb_core.prompts import make_prompts, tokenize_prompts
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import read_status
from defemb_core.training_files import TrainingCheckpoint
from defemb_core.training_loop import Loop

TRAINED = Settings("trained", preset="quick", passes=2, folds=3)


@pytest.fixture(scope="module")
def rebuild(tiny_plm, tiny_vocabulary, tiny_dictionary):
    """Rebuild the tiny PLM's table by a student, with other settings."""

    def run(progress=None, plm=tiny_plm, dictionary=tiny_dictionary, **settings):
        return reconstruct(plm, tiny_vocabulary, dictionary, dataclasses.replace(TRAINED, **settings), progress)

    return run


@pytest.fixture(scope="module")
def made(rebuild):
    return rebuild()


@pytest.fixture
def lessons(monkeypatch):
    """What students are given: (student, training examples, validation examples) of each training."""
    given, real = [], trained.train

    def train(student, examples, validation, *more):
        given.append((student, examples, validation))
        return real(student, examples, validation, *more)

    monkeypatch.setattr(trained, "train", train)
    return given


@pytest.fixture(scope="module")
def rare(tiny_vocabulary):
    return set(tiny_vocabulary.filter(pl.col("group") == "rare")["token_id"])


def covered(made):
    return made.definitions["token_id"].unique().sort().to_numpy()


# What it comes to


def test_evidence_of_a_training(made, rebuild, lessons):
    found = made.evidence["training"]
    rebuild()
    [(_, examples, validation)] = lessons
    assert found["preset"] == "quick"
    assert found["recipe"] == dataclasses.asdict(dataclasses.replace(PRESETS["quick"], passes=2))
    assert found["planned"] == round(2 * examples.lengths.sum() / PRESETS["quick"].batch_tokens)
    assert 0 < found["updates"] <= found["planned"]
    assert (found["examples"], found["validation"]) == (len(examples), len(validation))
    history = found["history"]
    assert history[0]["update"] == 0
    assert "loss" not in history[0]
    assert history[-1]["update"] == found["updates"]
    assert all({"update", "validation", "loss"} == line.keys() for line in history[1:])
    assert found["best"] == min(history, key=lambda line: line["validation"])["update"]
    assert json.loads(json.dumps(made.evidence, allow_nan=False)) == made.evidence


def test_rebuilt_are_the_rows_with_a_definition(made, tiny_plm):
    assert np.flatnonzero(made.rebuilt).tolist() == covered(made).tolist()
    assert made.matrix[~made.rebuilt].tobytes() == tiny_plm.matrix[~made.rebuilt].tobytes()
    assert made.evidence["held_out"]["tokens"] == len(covered(made)) // 5


def test_twice_the_same_to_the_bit_and_another_seed_another_table(made, rebuild):
    assert rebuild().matrix.tobytes() == made.matrix.tobytes()
    assert rebuild(seed=1).matrix.tobytes() != made.matrix.tobytes()


@pytest.mark.parametrize("change", [{"rate": 1e-2}, {"passes": 4}, {"train_table": True}, {"rare_weight": 1.0}])
def test_what_the_student_is_told_changes_the_table(rebuild, change, monkeypatch):
    # So small a training may do harm, and then the weights it began with are taken, whatever it was told.
    monkeypatch.setattr(Loop, "take_best", lambda self: None)
    assert rebuild(**change).matrix.tobytes() != rebuild().matrix.tobytes()


@pytest.mark.parametrize("dropout", [0.0, 0.01])
def test_features_are_the_states_of_the_student_that_has_learned(rebuild, lessons, monkeypatch, tiny_plm, dropout):
    given = []
    monkeypatch.setitem(PRESETS, "quick", dataclasses.replace(PRESETS["quick"], dropout=dropout))
    monkeypatch.setattr(methods, "cross_fit", lambda blocks, *more: given.append(blocks) or cross_fit(blocks, *more))
    made = rebuild(max_senses=1, relations=False, rate=1e-3)
    [(student, _, _)], [blocks, own] = lessons, given
    glosses, _ = definition_texts(made.definitions, False, tiny_plm.mask_token)
    prompts = tokenize_prompts(tiny_plm, make_prompts(glosses, made.definitions, made.vocabulary, tiny_plm.mask_token))
    assert len(blocks) == 4  # bags, states at the slot, mean states, mentions
    student.model.eval()
    learned = read_prompts(tiny_plm, student.reader, prompts)
    np.testing.assert_allclose(blocks[1], learned.mask, atol=1e-6)
    np.testing.assert_allclose(blocks[2], learned.mean, atol=1e-6)
    before = read_prompts(tiny_plm, encoder_reader(tiny_plm), prompts)
    assert np.abs(learned.mask - before.mask).max() > 1e-4
    np.testing.assert_allclose(own[1], before.mask, atol=1e-6)
    np.testing.assert_allclose(own[2], before.mean, atol=1e-6)
    assert all(np.array_equal(blocks[i], own[i]) for i in (0, 3))


def test_the_student_begins_with_the_closed_form_map_from_its_states(rebuild, lessons, monkeypatch):
    fitted = []
    monkeypatch.setattr(trained, "fit_map", lambda *given: fitted.append(given) or fit_map(*given))
    monkeypatch.setattr(trained, "START", 50)
    rebuild()
    [([slots], rows, folds, seed)] = fitted
    [(student, examples, _)] = lessons
    assert slots.shape == (50, student.reader.widths[0])
    assert (folds, seed) == (3, 0)
    known = {row.tobytes() for row in student.plm.matrix[examples.row]}
    assert all(row.tobytes() in known for row in rows)


def test_a_progress_of_stages_tells_the_losses(rebuild):
    told = []
    made = rebuild(lambda stage, done, total, **figures: told.append((stage, done, total, figures)))
    planned = made.evidence["training"]["planned"]
    losses = [(done, figures) for stage, done, total, figures in told if stage == "training" and total == planned]
    judged = [{"update": done, **figures} for done, figures in losses if "validation" in figures]
    assert judged == made.evidence["training"]["history"]
    assert max(done for done, _ in losses) == made.evidence["training"]["updates"]


def test_a_plm_without_mask_token_is_refused(tiny_plm, rebuild):
    with pytest.raises(PLMError, match="has no mask token; method 'instant' works without one"):
        rebuild(plm=dataclasses.replace(tiny_plm, mask_token=None))


# What it may learn from


def rows_of(examples):
    return set(examples.row.tolist())


def split(made, ids, seed):
    return split_words(word_families(made.definitions, made.vocabulary, ids), seed)


def test_held_out_tokens_are_never_learned_from(rebuild, lessons, made):
    ids = covered(made)
    for seed in range(3):
        rebuild(seed=seed, rare_weight=1.0)
        fitted, held = (set(ids[part].tolist()) for part in split(made, ids, seed))
        _, examples, validation = lessons[-1]
        assert rows_of(examples) | rows_of(validation) == fitted
        assert not held & (rows_of(examples) | rows_of(validation))


@pytest.mark.parametrize("weight", [None, 0.0])
def test_rare_rows_are_not_learned_from_unless_told(rebuild, lessons, made, rare, weight):
    rebuild(rare_weight=weight)
    [(_, examples, validation)] = lessons
    ids = covered(made)
    fitted = set(ids[split(made, ids, 0)[0]].tolist())
    assert len(rare & fitted) > 3
    assert rows_of(examples) | rows_of(validation) == fitted - rare


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_rare_rows_count_as_they_are_told_to(rebuild, lessons, made, rare, weight):
    rebuild(rare_weight=weight)
    [(_, examples, validation)] = lessons
    assert rare & rows_of(examples)
    for each in (examples, validation):  # a token's senses weigh 1 together
        for row in rows_of(each):
            assert each.weight[each.row == row].sum() == pytest.approx(weight if row in rare else 1, rel=1e-5)
    assert (examples.weight > 0).all()


def test_what_a_student_is_judged_by_is_not_what_it_learns_from(rebuild, lessons):
    for seed in range(5):
        rebuild(seed=seed)
    judged = [rows_of(validation) for _, _, validation in lessons]
    for (_, examples, _), rows in zip(lessons, judged, strict=True):
        assert not rows_of(examples) & rows
        assert len(rows) == max(1, round(trained.VALIDATION * (len(rows) + len(rows_of(examples)))))
    assert len({frozenset(rows) for rows in judged}) > 1


def test_each_sense_of_a_token_is_an_example(rebuild, lessons, made):
    rebuild(rare_weight=1.0)
    [(_, examples, _)] = lessons
    senses = made.definitions.group_by("token_id").len().rows_by_key("token_id", unique=True)
    for row in rows_of(examples):
        assert (examples.row == row).sum() == senses[row]


def test_the_student_knows_only_rows_that_it_learns_from_or_is_judged_by(rebuild, lessons):
    rebuild()
    [(student, examples, validation)] = lessons
    assert set(np.flatnonzero(student.position >= 0)) == rows_of(examples) | rows_of(validation)


# What its prompts say


def prompts_of(monkeypatch, plm, vocabulary, dictionary, **settings):
    texts, real = [], methods.tokenize_prompts

    def tokenize(plm, given, *more):
        texts.extend(given)
        return real(plm, given, *more)

    with monkeypatch.context() as patch:
        patch.setattr(methods, "tokenize_prompts", tokenize)
        reconstruct(plm, vocabulary, dictionary, dataclasses.replace(TRAINED, **settings))
    return texts


def test_relations_are_in_the_prompts_of_students_that_learn_alone(
    monkeypatch, tiny_plm, tiny_vocabulary, tiny_dictionary
):
    frame = tiny_dictionary.definitions.with_columns(related=pl.lit("qqkin; ") + pl.col("word"))
    related = Dictionary(frame, "related", "0" * 64, "here")
    said = {
        name: prompts_of(monkeypatch, tiny_plm, tiny_vocabulary, related, **settings)
        for name, settings in {
            "trained": {},
            "without": {"relations": False},
            "frozen": {"method": "frozen"},
        }.items()
    }
    assert len(said["trained"]) > 200
    assert all(text.endswith(f" ; qqkin; {tiny_plm.mask_token}") for text in said["trained"])
    assert said["without"] == said["frozen"]
    assert [text.rpartition(" ; ")[0] for text in said["trained"]] == said["without"]
    assert not any("qqkin" in text for text in said["frozen"])
    bare = prompts_of(monkeypatch, tiny_plm, tiny_vocabulary, tiny_dictionary)  # it has no relations
    assert bare == said["without"]


# The command line


@pytest.fixture
def words(tiny_bert, tiny_lexicon):
    plm, dictionary = str(tiny_bert), f"wordnet:{tiny_lexicon}"
    words = ["reconstruct", "--plm", plm, "--dictionary", dictionary, "--method", "trained", "--preset", "quick"]
    return [*words, "--passes", "6", "--rate", "1e-5", "--folds", "3"]


def test_a_training_tells_its_losses_line_by_line(capfd, tmp_path, words):
    capfd.readouterr()
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    found = load_reconstruction(tmp_path / "run").evidence["training"]
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("training ")]
    expected = []
    for line in found["history"]:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in line.items() if name != "update")
        expected.append(f"training {line['update']:.0f} of {found['planned']}: {figures}")
    assert told == expected
    assert "loss" in told[-1]


def test_the_history_of_a_run_has_the_evaluations(tmp_path, words):
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    judged = [
        {name: value for name, value in line.items() if name != "stage"} for line in lines if "validation" in line
    ]
    history = load_reconstruction(tmp_path / "run").evidence["training"]["history"]
    assert judged == history
    assert {line["stage"] for line in lines if "validation" in line} == {"training"}


KILLED_WHILE_TRAINING = """
import dataclasses, os, signal, sys
from defemb_core import presets, runs, training
presets.PRESETS["quick"] = dataclasses.replace(presets.PRESETS["quick"], patience=99)
training.CHECKPOINT_EVERY = training.CHECKPOINT_TIMES = 0
from defemb_core.cli import main
tell = runs.Reporter.__call__
def die(self, stage, done, total, **figures):
    if stage == "training" and 1 < total < 2 * done:
        os.kill(os.getpid(), signal.SIGKILL)
    tell(self, stage, done, total, **figures)
runs.Reporter.__call__ = die
main(sys.argv[1:])
"""


@pytest.fixture
def killed(tmp_path, words, monkeypatch):
    """The folder of a run that was killed in the middle of its training, which does not end early."""
    monkeypatch.setitem(PRESETS, "quick", dataclasses.replace(PRESETS["quick"], patience=99))
    folder = tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_TRAINING, *words, "--out", str(folder)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return folder


def test_a_run_killed_while_training_goes_on_from_there(capfd, tmp_path, words, killed, monkeypatch):
    whole = tmp_path / "whole"
    assert read_status(killed).state == "interrupted"
    assert (killed / "checkpoint" / "training.pt").is_file()
    read, found = TrainingCheckpoint.read, []
    monkeypatch.setattr(TrainingCheckpoint, "read", lambda kept: found.append(read(kept)) or found[-1])
    assert main([*words, "--out", str(killed), "--resume"]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    planned = load_reconstruction(whole).evidence["training"]["planned"]
    assert found[0]["state"]["update"] == planned // 2 + 1 > 3
    assert found[1] is None
    assert (killed / "reconstruction.safetensors").read_bytes() == (whole / "reconstruction.safetensors").read_bytes()
    first, second = (load_reconstruction(folder).evidence for folder in (killed, whole))
    assert {**first["training"], "seconds": 0} == {**second["training"], "seconds": 0}
    assert first["held_out"] == second["held_out"]
    assert not (killed / "checkpoint").exists()


def test_a_killed_training_does_not_go_on_with_another_rate(capfd, words, killed):
    before = (killed / "checkpoint" / "training.pt").read_bytes()
    capfd.readouterr()
    assert main([*words, "--rate", "2e-5", "--out", str(killed), "--resume"]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == (
        "the training's checkpoint was made with other settings: rate 1e-05, now 2e-05; name a new run's folder"
    )
    assert read_status(killed).state == "failed"
    assert (killed / "checkpoint" / "training.pt").read_bytes() == before


def test_a_training_that_did_not_help_says_so(capfd, tmp_path, words):
    assert main([*words, "--rate", "0.01", "--out", str(tmp_path / "run")]) == 0  # so high a rate ruins any student
    assert load_reconstruction(tmp_path / "run").evidence["training"]["best"] == 0
    assert "the rows come from the PLM's own states" in capfd.readouterr().out
