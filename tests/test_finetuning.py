"""Fine-tuning on GLUE: files, figures by formula, seeds, an interruption, the command, what it refuses."""

import math

import numpy as np
import polars as pl
import pytest
from tiny_glue import write_rte

from defemb_core.cli import main
from defemb_core.errors import EvaluationError, PLMError, RunError, SettingsError
from defemb_core.finetuning import trainers
from defemb_core.finetuning.experiment import run_experiment, stages
from defemb_core.finetuning.glue import GlueWork
from defemb_core.finetuning.glue_data import load_glue
from defemb_core.finetuning.glue_files import parse_examples, read_examples
from defemb_core.finetuning.metrics import measure, resample
from defemb_core.finetuning.models import classifier
from defemb_core.finetuning.request import Request, open_work
from defemb_core.finetuning.results import BASELINE, FIGURE_SCHEMA, figures, for_reading, seed_figures
from defemb_core.finetuning.settings import FinetuningSettings, glue_settings
from defemb_core.finetuning.tables import ORIGINAL, Table, open_tables
from defemb_core.finetuning.tasks import TASKS, task_named
from defemb_core.finetuning.units import UNITS, evaluation_path, read_units

QUICK = {"epochs": 2.0, "batch": 8, "rate": 1e-3, "seeds": 2, "max_length": 32}


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    return write_rte(tmp_path_factory.mktemp("glue"))


@pytest.fixture(scope="module")
def work(tiny_run, glue):
    return open_work(Request((str(tiny_run),), "rte", str(glue), QUICK))


@pytest.fixture(scope="module")
def done(work, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation") / "whole"
    run_experiment(work, folder, lambda *told, **figures: None)
    return folder


def units_of(folder):
    return [(unit.table, unit.seed, unit.predictions, unit.metrics) for unit in read_units(folder)]


def parsed(task, text, name="dev.tsv"):
    return parse_examples(task_named(task), text.encode() if isinstance(text, str) else text, name)


# -- files


def test_quotes_are_text_a_byte_order_mark_is_none_and_columns_go_by_name():
    mrpc = (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tHe said "no .\t"Yes , he said .\r\n0\t7\t8\ta\tb'
    )
    found = parsed("mrpc", mrpc)
    assert found.frame.rows() == [('He said "no .', '"Yes , he said .', 1.0), ("a", "b", 0.0)]
    other = parsed("rte", "LABEL\tsentence2\tsentence1\nnot_entailment\tsecond\tfirst\n0\tthen\tnow\n")
    assert other.frame.rows() == [("first", "second", 1.0), ("now", "then", 0.0)]


def test_each_task_reads_its_own_columns():
    header = {
        "cola": "gj04\t1\t\tThey went .\ngj04\t0\t*\tThey goes .",
        "stsb": "index\tsentence1\tsentence2\tscore\n0\ta\tb\t2.5\n1\tc\td\t5.000",
        "sst2": "sentence\tlabel\ngood \t1\nbad \t0",
        "qnli": "index\tquestion\tsentence\tlabel\n0\twho ?\tme\tentailment\n1\twhy ?\tme\tnot_entailment",
        "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t1\n1\t3\t4\tc\td\t0",
        "mnli": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tcontradiction\n1\tc\td\t-\tneutral",
        "wnli": "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n1\tc\td\t0",
    }
    labels = {name: parsed(name, text).frame["label"].to_list() for name, text in header.items()}
    assert labels == {
        "cola": [1, 0], "stsb": [2.5, 5], "sst2": [1, 0], "qnli": [0, 1], "qqp": [1, 0], "mnli": [2, 1], "wnli": [1, 0],
    }  # fmt: skip
    assert parsed("cola", header["cola"]).frame["first"].to_list() == ["They went .", "They goes ."]


def test_lines_without_a_label_are_left_out_and_told_by_their_numbers():
    found = parsed("rte", "sentence1\tsentence2\tlabel\na\tb\tentailment\nc\td\t\ne\tf\ng\t\tentailment\n")
    assert found.frame.height == 1
    assert found.left_out == (3, 4, 5)
    assert found.notes() == ["dev.tsv: 3 lines without a label or a text left out (line 3, 4, 5)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index\tsentence1\tsentence2\n0\ta\tb\n", "has no column 'label': test files of GLUE have no labels"),
        ("sentence1\tsentence2\tlabel\na\tb\t-1\n", "has no labels: test files of GLUE have none"),
        ("sentence1\tsentence2\tlabel\na\tb\tmaybe\n", "line 2 of 'dev.tsv' has the label 'maybe'; RTE has entailment"),
        ("premise\tlabel\na\tentailment\n", "has no column 'sentence2' of RTE, its first line is 'premise', 'label'"),
        ("", "is empty"),
        (b"PK\x03\x04\0\0", "is no text"),
    ],
)
def test_what_is_no_file_of_the_task_is_said_in_a_sentence(text, said):
    with pytest.raises(EvaluationError, match=said.replace("(", r"\(")) as caught:
        parsed("rte", text)
    assert "\n" not in str(caught.value)


def test_a_score_that_is_no_number():
    with pytest.raises(EvaluationError, match=r"line 3 of 'dev\.tsv' has the score 'high'"):
        parsed("stsb", "sentence1\tsentence2\tscore\na\tb\t1\nc\td\thigh\n")


def test_folders_and_their_names(glue, tmp_path):
    assert load_glue(TASKS["rte"], glue).digest == load_glue(TASKS["rte"], glue / "RTE").digest
    with pytest.raises(EvaluationError, match=r"no file of MRPC called dev.tsv"):
        load_glue(TASKS["mrpc"], glue)
    with pytest.raises(EvaluationError, match="no folder"):
        load_glue(TASKS["rte"], tmp_path / "none")
    (tmp_path / "dev.tsv").mkdir()
    with pytest.raises(EvaluationError, match="cannot read"):
        read_examples(TASKS["rte"], tmp_path / "dev.tsv")


def test_the_datasets_package(monkeypatch):
    class Part(dict):
        column_names = property(lambda self: list(self))

    rows = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [1, 0], "idx": [0, 1]}
    parts = {"train": Part(rows), "validation": Part(rows | {"label": [0, -1]})}
    asked = []
    monkeypatch.setattr("defemb_core.finetuning.glue_data.load_set", lambda *names: asked.append(names) or parts)
    found = load_glue(TASKS["rte"])
    assert asked == [("nyu-mll/glue", "rte")]
    assert found.train.frame.rows() == [("a", "c", 1.0), ("b", "d", 0.0)]
    assert found.evaluations["dev"].frame.rows() == [("a", "c", 0.0)]


def test_without_a_folder_and_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(EvaluationError, match="the package 'datasets' is not installed; name the folder, or pip"):
        load_glue(TASKS["rte"])


def test_a_task_that_does_not_exist_lists_those_that_do():
    with pytest.raises(EvaluationError, match="no GLUE task 'rude'; choose one of rte, mrpc, stsb, cola"):
        task_named("rude")
    assert task_named("STS-B") is TASKS["stsb"]


# -- figures


def test_figures_are_the_formulas():
    gold, predicted = np.array([1, 1, 1, 0, 0, 0, 0, 0.0]), np.array([1, 1, 0, 1, 0, 0, 0, 0.0])
    tp, fp, fn, tn = 2, 1, 1, 4
    assert measure("accuracy", predicted, gold) == (tp + tn) / 8
    assert measure("F1", predicted, gold) == pytest.approx(2 * tp / (2 * tp + fp + fn))
    spread = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert measure("Matthews", predicted, gold) == pytest.approx((tp * tn - fp * fn) / spread)
    scores, human = np.array([1.0, 2, 3, 10]), np.array([1.0, 3, 2, 4])
    assert measure("Pearson", scores, human) == pytest.approx(np.corrcoef(scores, human)[0, 1])
    assert measure("Spearman", scores, human) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert math.isnan(measure("Pearson", np.ones(4), human))


@pytest.mark.parametrize("metric", ["accuracy", "F1", "Matthews", "Pearson", "Spearman"])
def test_a_resample_is_the_figure_of_the_examples_that_were_drawn(metric):
    draw = np.random.default_rng(3)
    gold = draw.integers(0, 2, 30).astype(float)
    lines = [np.where(draw.random(30) < 0.7, gold, 1 - gold), draw.integers(0, 2, 30).astype(float)]
    again = np.random.default_rng(5).integers(30, size=(20, 30))
    expected = [[measure(metric, line[rows], gold[rows]) for rows in again] for line in lines]
    assert resample(metric, lines, gold, 20, seed=5) == pytest.approx(np.array(expected), abs=1e-12, nan_ok=True)


# -- fine-tuning


def test_published_settings_and_those_out_of_range():
    assert (glue_settings("rte", "roberta").rate, glue_settings("mrpc", "bert").rate) == (2e-5, 1e-5)
    assert [glue_settings(task, "roberta").weight_decay for task in ("rte", "mrpc", "stsb", "mnli")] == [
        0.01,
        0.01,
        0.1,
        0.1,
    ]
    assert (glue_settings("qqp", "roberta").warmup, glue_settings("qnli", "roberta").warmup) == (0.25, 0.06)
    assert glue_settings("stsb", "roberta", weight_decay=0.0).weight_decay == 0
    bart = glue_settings("mrpc", "bart", epochs=1.0, warmup=None)
    assert (bart.rate, bart.batch, bart.epochs, bart.warmup) == (2e-5, 64, 1.0, 0.06)
    assert FinetuningSettings(epochs=2.5, batch=16).updates(33) == 8
    for wrong in ({"epochs": 0}, {"batch": 0}, {"rate": float("nan")}, {"warmup": 2.0}, {"seeds": 0}, {"limit": -1}):
        with pytest.raises(SettingsError):
            FinetuningSettings(**wrong)


def test_the_head_depends_on_the_seed_alone_and_the_table_is_the_runs(work):
    import torch

    original, rebuilt = work.tables
    models = [classifier(work.plm, table, 2, seed) for table, seed in ((original, 0), (rebuilt, 0), (original, 1))]
    heads = [model.classifier.weight for model in models]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    for model, table in zip(models[:2], work.tables, strict=True):
        assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), table.matrix)
    assert not np.array_equal(original.matrix, rebuilt.matrix)
    with pytest.raises(PLMError, match="the table 'x' is"):
        classifier(work.plm, Table("x", original.matrix[:-1]), 2, 0)


def test_the_same_table_and_seed_give_the_same_answers(work, done, tmp_path):
    twice = GlueWork(work.plm, [work.tables[0], Table("again", work.plm.matrix)], work.data, work.settings)
    run_experiment(twice, tmp_path / "twice", lambda *told, **figures: None)
    made = units_of(tmp_path / "twice")
    assert [unit[1:] for unit in made[:2]] == [unit[1:] for unit in made[2:]]
    assert made[:2] == units_of(done)[:2]
    found = figures(tmp_path / "twice").filter(pl.col("table") == "again")
    assert found["difference"].to_list() == [0.0]
    assert found["p_examples"].to_list() == [1.0]
    assert found["p_seeds"].to_list() == [None]  # differences that do not vary are no test


def test_it_learns_and_seeds_differ(work, done):
    found = units_of(done)
    assert [unit[:2] for unit in found] == [(ORIGINAL, 0), (ORIGINAL, 1), ("tiny", 0), ("tiny", 1)]
    losses = []
    model = work.model(work.tables[0], 0)
    for _ in range(2):
        batch = work.collate(work.train).to(model.device)
        losses.append(float(model.eval()(**batch).loss.detach()))
        trainers.fine_tune(
            model, work.train, work.collate, trainers.Course(work.settings, 0, done / "none", lambda update: None)
        )
    assert losses[1] < losses[0]


class Killed(Exception):
    pass


@pytest.mark.parametrize("update", [2, 4])
def test_killed_and_resumed_equals_uninterrupted(work, done, tmp_path, monkeypatch, update):
    """Killed in the middle of an epoch or at its end, in the second unit; checkpoints lie there after every update."""
    monkeypatch.setattr(trainers, "SAVE_EVERY", -1.0)
    folder, told = tmp_path / "killed", []

    def kill(stage, at, total, /, **figures):
        told.append((stage, at))
        if stage == "tiny, seed 0" and at == update:
            raise Killed

    with pytest.raises(Killed):
        run_experiment(work, folder, kill)
    assert len(stages(work, folder)) == 3
    assert sum(stages(work, folder).values()) == pytest.approx(1)
    told.clear()
    run_experiment(work, folder, lambda stage, at, total, /, **figures: told.append((stage, at)))
    assert (ORIGINAL + ", seed 0") not in {stage for stage, _ in told}
    assert told[0] == ("tiny, seed 0", update)  # from the checkpoint before it
    assert units_of(folder) == units_of(done)
    drop = pl.exclude("seconds")
    assert seed_figures(folder).select(drop).equals(seed_figures(done).select(drop))
    assert figures(folder).equals(figures(done))
    assert not (folder / "checkpoints").exists()


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    for name, state in (("checkpoint-3", '{"global_step": 3}'), ("checkpoint-9", '{"global_'), ("checkpoint-12", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / trainers.STATE).write_text(state)
    assert trainers.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-3")
    assert trainers.last_checkpoint(tmp_path / "none") is None


def test_going_on_with_something_else_is_refused(work, done, tiny_run, glue):
    other = open_work(Request((str(tiny_run),), "rte", str(glue), {**QUICK, "rate": 2e-3}))
    with pytest.raises(RunError, match=r"has rate 0.001, not 0.002; give it a new name"):
        run_experiment(other, done, lambda *told, **figures: None)


def test_a_frozen_table_stays(work, tiny_run, glue, tmp_path):
    frozen = open_work(Request((str(tiny_run),), "rte", str(glue), {**QUICK, "train_table": False}))
    for chosen, moves in ((frozen, False), (work, True)):
        model = chosen.model(work.tables[1], 0)
        trainers.fine_tune(
            model, work.train, work.collate, trainers.Course(work.settings, 0, tmp_path, lambda update: None)
        )
        weights = model.get_input_embeddings().weight.detach().numpy()
        assert np.array_equal(weights, work.tables[1].matrix) is not moves


def test_the_frame_of_figures(done, work):
    made = figures(done)
    assert dict(made.schema) == FIGURE_SCHEMA
    seeds = seed_figures(done)
    for line in made.filter(pl.col("seeds").is_not_null()).iter_rows(named=True):
        values = seeds.filter((pl.col("table") == line["table"]) & (pl.col("metric") == line["metric"]))["value"]
        assert line["mean"] == pytest.approx(values.mean())
        assert line["deviation"] == pytest.approx(values.std())
        assert line["low"] <= line["mean"] <= line["high"]
    labels = work.data.train.frame["label"]
    common = (work.data.evaluations["dev"].frame["label"] == labels.mode().sort()[0]).mean()
    assert made.filter(pl.col("table") == BASELINE[False])["mean"].to_list() == [common]
    assert for_reading(made).height == made.height
    assert pl.read_parquet(done / "figures.parquet").equals(made)


@pytest.mark.parametrize(("family", "task"), [("roberta", "sst2"), ("bart", "sst2"), ("t5", "sst2"), ("bert", "stsb")])
def test_other_families_and_scores(tmp_path, family, task):
    from families import save_family

    plm = save_family(family, tmp_path / "plm")
    lines = ["a film of some length", "no film", "the end of it", "it was good"]
    if task == "sst2":
        text = "sentence\tlabel\n" + "".join(f"{line}\t{at % 2}\n" for at, line in enumerate(lines))
    else:
        text = "sentence1\tsentence2\tscore\n" + "".join(f"{line}\t{line}\t{at}\n" for at, line in enumerate(lines))
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text(text)
    work = open_work(Request((str(plm),), task, str(tmp_path), {"epochs": 1, "batch": 2, "seeds": 1}))
    run_experiment(work, tmp_path / "x", lambda *told, **figures: None)
    (unit,) = read_units(tmp_path / "x")
    assert len(unit.predictions["dev"]) == 4
    assert set(unit.metrics) == set(TASKS[task].metrics)


def test_mnli_is_judged_by_both_sets(tmp_path, tiny_bert):
    text = "sentence1\tsentence2\tgold_label\na\tb\tneutral\nc\td\tentailment\ne\tf\tcontradiction\n"
    for name in ("train", "dev_matched", "dev_mismatched"):
        (tmp_path / f"{name}.tsv").write_text(text)
    work = open_work(Request((str(tiny_bert),), "mnli", str(tmp_path), {"epochs": 1, "seeds": 1}))
    run_experiment(work, tmp_path / "x", lambda *told, **figures: None)
    assert figures(tmp_path / "x")["metric"].unique().sort().to_list() == ["accuracy, matched", "accuracy, mismatched"]


def test_tables_of_one_plm(tiny_run, tiny_bert, tmp_path):
    from tiny_plm import save_bert

    plm, tables = open_tables([str(tiny_run), ORIGINAL, str(tiny_bert)])
    assert [table.name for table in tables] == [ORIGINAL, "tiny"]
    assert np.array_equal(tables[0].matrix, plm.matrix)
    with pytest.raises(SettingsError, match="is another PLM than"):
        open_tables([str(tiny_run), str(save_bert(tmp_path / "other", seed=9))])
    with pytest.raises(SettingsError, match="name a run"):
        open_tables([ORIGINAL])


# -- the command


def test_the_command(tiny_run, glue, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    words = ["finetune", str(tiny_run), "--task", "RTE", "--data", str(glue), "--epochs", "1", "--seeds", "1"]
    assert main([*words, "--estimate"]) == 0
    assert capsys.readouterr().out.startswith("about ")
    assert not (tmp_path / "evaluations").exists()
    out = tmp_path / "figures.csv"
    assert main([*words, "--name", "first", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("this will take about ")
    assert "original" in printed
    assert pl.read_csv(out)["table"].to_list() == [ORIGINAL, "tiny", BASELINE[False]]
    assert main([*words, "--name", "first"]) == 2
    assert "holds a complete run" in capsys.readouterr().err
    assert main(["finetune", "--show"]) == 0
    assert "first" in capsys.readouterr().out
    assert main(["finetune", "--show", "first", "first"]) == 0
    assert capsys.readouterr().out.count("tiny") >= 2


def test_the_command_goes_on_by_name_alone(tiny_run, glue, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    words = ["finetune", str(tiny_run), "--task", "rte", "--data", str(glue), "--epochs", "1", "--seeds", "1"]
    unit, stop = GlueWork.unit, []

    def fail(self, *given):
        if stop:
            raise KeyboardInterrupt
        stop.append(1)
        return unit(self, *given)

    monkeypatch.setattr(GlueWork, "unit", fail)
    assert main([*words, "--name", "cut"]) == 130
    monkeypatch.setattr(GlueWork, "unit", unit)
    capsys.readouterr()
    assert main(["finetune", "--resume", "--name", "cut"]) == 0
    assert "once" not in capsys.readouterr().err
    assert len(list((evaluation_path("cut") / UNITS).iterdir())) == 2
    assert main(["finetune", "--resume", "--name", "nothing"]) == 2
    assert "there is no evaluation 'nothing'" in capsys.readouterr().err


def test_a_request_is_its_command_line():
    asked = Request(("-a run", "b"), "rte", "/some/where", {"epochs": 2.0, "train_table": False, "seeds": 5})
    from defemb_core.cli import _parser
    from defemb_core.finetuning.request import request_of

    options = _parser().parse_args(asked.arguments("here"))
    assert options.name == "here"
    assert request_of(options) == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x", "--task", "rude"], "there is no task 'rude'; choose one of rte, mrpc"),
        (["x"], "name a --task"),
        (["--task", "rte"], "name a run"),
        (["x", "--task", "rte", "--data", "/none"], "no folder '/none'"),
        (["--resume"], "--resume needs the --name"),
        (["--show", "nothing"], "is no evaluation"),
    ],
)
def test_what_the_command_refuses(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    assert main(["finetune", *words]) == 2
    printed = capsys.readouterr().err.strip()
    assert said in printed
    assert "\n" not in printed
