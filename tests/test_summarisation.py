"""Fine-tuning to summarise: files of texts, ROUGE by hand, a tiny BART and a tiny T5 from start to figures."""

import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from families import save_family
from tiny_glue import write_summaries

from defemb_core.cli import main
from defemb_core.errors import EvaluationError, PLMError
from defemb_core.finetuning import trainers
from defemb_core.finetuning.experiment import run_experiment
from defemb_core.finetuning.request import Request, open_work
from defemb_core.finetuning.results import figures
from defemb_core.finetuning.settings import summarisation_settings
from defemb_core.finetuning.summaries import LOCAL, SUMMARIES, load_summaries
from defemb_core.finetuning.summarisation import ROUGE, SummaryWork, rouge
from defemb_core.finetuning.tables import ORIGINAL, Table
from defemb_core.finetuning.units import read_config, read_units

QUICK = {"epochs": 1.0, "batch": 3, "seeds": 1}


@pytest.fixture(scope="module", autouse=True)
def _brief():
    """Short summaries: a tiny PLM never ends one by itself."""
    decoding = {**SUMMARIES[LOCAL].decoding, "max_length": 8, "min_length": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SUMMARIES, LOCAL, replace(SUMMARIES[LOCAL], decoding=decoding))
        yield


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_summaries(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module", params=["bart", "t5"])
def work(request, texts, tmp_path_factory):
    plm = save_family(request.param, tmp_path_factory.mktemp(request.param), "ForConditionalGeneration")
    opened = open_work(Request((str(plm),), LOCAL, str(texts), QUICK))
    shuffled = np.random.default_rng(0).permutation(opened.plm.matrix)
    return SummaryWork(opened.plm, [*opened.tables, Table("shuffled", shuffled)], opened.data, opened.settings)


@pytest.fixture(scope="module")
def done(work, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "whole"
    run_experiment(work, folder, lambda *told, **figures: None)
    return folder


def units_of(folder):
    return [(unit.table, unit.predictions, unit.metrics, unit.scores) for unit in read_units(folder)]


def test_rouge_is_the_formula_and_stems():
    scores = rouge(["the cats ran quickly"], ["a cat ran over the road"])
    # Of 4 and 6 words three are shared (the, cat, run), no pair of neighbours but "cat ran"; the longest sequence is 2.
    assert scores["ROUGE-1"] == pytest.approx([2 * 3 / (4 + 6)])
    assert scores["ROUGE-2"] == pytest.approx([2 * 1 / (3 + 5)])
    assert scores["ROUGE-L"] == pytest.approx([2 * 2 / (4 + 6)])
    assert rouge([""], ["a cat"])["ROUGE-1"] == [0.0]


def test_every_table_writes_and_is_judged(work, done):
    units = read_units(done)
    assert [unit.table for unit in units] == [ORIGINAL, "shuffled"]
    references = work.data.evaluation["summary"].to_list()
    for unit in units:
        assert len(unit.predictions["test"]) == len(references)
        assert unit.scores == rouge(unit.predictions["test"], references)
    made = figures(done)
    assert made["metric"].unique(maintain_order=True).to_list() == list(ROUGE)
    for line in made.iter_rows(named=True):
        scores = next(unit for unit in units if unit.table == line["table"]).scores[line["metric"]]
        assert line["mean"] == pytest.approx(np.mean(scores))
        assert line["low"] <= line["mean"] <= line["high"]
    assert read_config(done)["decoding"]["num_beams"] == 4


def test_what_is_written_does_not_know_the_reference(work):
    model, examples = work.model(work.tables[0], 0), work._encoded[1]
    others = [{**example, "labels": example["labels"][::-1] * 3} for example in examples]
    assert work.write(model, examples) == work.write(model, others)
    alone = [work.write(model, [example])[0] for example in examples]
    assert alone == work.write(model, examples)


def test_killed_and_resumed_equals_uninterrupted(work, done, tmp_path, monkeypatch):
    monkeypatch.setattr(trainers, "SAVE_EVERY", -1.0)

    class Killed(Exception):
        pass

    def kill(stage, at, total, /, **figures):
        if stage.startswith("shuffled") and at == 2:
            raise Killed

    with pytest.raises(Killed):
        run_experiment(work, tmp_path / "x", kill)
    run_experiment(work, tmp_path / "x", lambda *told, **figures: None)
    assert units_of(tmp_path / "x") == units_of(done)


def test_the_table_is_on_both_sides_and_tied_output_rows_follow(work):
    model = work.model(work.tables[1], 0)
    for weight in (
        model.get_input_embeddings().weight,
        model.get_encoder().get_input_embeddings().weight,
        model.get_decoder().get_input_embeddings().weight,
        model.get_output_embeddings().weight,
    ):
        assert np.array_equal(weight.detach().numpy(), work.tables[1].matrix)


def test_an_encoder_alone_cannot_write(tiny_bert, texts):
    work = open_work(Request((str(tiny_bert),), LOCAL, str(texts), QUICK))
    with pytest.raises(PLMError, match="has no decoder to write with; name a BART or a T5"):
        work.model(work.tables[0], 0)


def test_published_settings():
    assert summarisation_settings("bart").rate == 3e-5
    assert (summarisation_settings("t5").rate, summarisation_settings("t5").max_length) == (1e-3, 512)
    assert SUMMARIES["xsum"].decoding["num_beams"] == 6
    assert SUMMARIES["cnn-dailymail"].decoding["min_length"] == 55


def test_fields_go_by_sensible_names_and_lines_without_either_are_told(tmp_path):
    (tmp_path / "train.jsonl").write_text(
        '\ufeff{"article": "a b", "highlights": "a"}\n\n{"article": "c"}\n{"text": ""}'
    )
    (tmp_path / "dev.jsonl").write_text('{"document": "a", "summary": "b"}\n')
    found = load_summaries(LOCAL, tmp_path)
    assert found.train.rows() == [("a b", "a")]
    assert found.left_out == ("train.jsonl: 2 lines without a text or a summary left out (line 3, 4)",)
    assert found.limited(5, 1).evaluation.rows() == [("a", "b")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json\n", "line 1 of 'train.jsonl' is no JSON object"),
        ("[1]\n", "line 1 of 'train.jsonl' is no JSON object"),
        ('{"a": "b"}\n', "has no line with a text and its summary; name the fields 'document' and 'summary'"),
        ("", "has no line with a text"),
    ],
)
def test_what_is_no_file_of_texts(tmp_path, text, said):
    (tmp_path / "train.jsonl").write_text(text)
    (tmp_path / "test.jsonl").write_text('{"document": "a", "summary": "b"}\n')
    with pytest.raises(EvaluationError, match=said):
        load_summaries(LOCAL, tmp_path)


def test_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(EvaluationError, match=r"has no file train\.jsonl"):
        load_summaries(LOCAL, tmp_path)
    with pytest.raises(EvaluationError, match=r"name the folder with train\.jsonl"):
        load_summaries(LOCAL)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EvaluationError, match="the package 'datasets' is not installed"):
        load_summaries("xsum")


def test_the_command(texts, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path / "runs"))
    plm = save_family("t5", tmp_path / "t5", "ForConditionalGeneration")
    words = ["finetune", str(plm), "--task", "summarisation", "--data", str(texts), "--epochs", "1", "--seeds", "1"]
    assert main([*words, "--name", "mine", "--out", str(tmp_path / "x.csv")]) == 0
    assert "ROUGE-L" in capsys.readouterr().out
    assert pl.read_csv(tmp_path / "x.csv")["metric"].to_list() == list(ROUGE)
