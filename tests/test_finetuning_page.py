"""The page Fine-tuning: what it asks, what it starts, what it shows of what is finished."""

import json
from pathlib import Path

import polars as pl
import pytest
from app_support import build_world, make_run, serve_world, set_status
from streamlit.testing.v1 import AppTest
from tiny_glue import write_rte

from defemb_core.cli import main
from defemb_core.finetuning.results import BASELINE, P_NOTE, figures, for_reading
from defemb_core.finetuning.units import ESTIMATE, evaluation_path

APP = Path(__file__).parents[1] / "app.py"
NAME = "rte-first"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = build_world(tmp_path_factory.mktemp("world"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.variables.items():
            patch.setenv(name, value)
        make_run(world, analyse=False)
        write_rte(world.folder / "glue")
        words = ["finetune", str(world.run), "--task", "rte", "--data", str(world.folder / "glue"), "--name", NAME]
        assert main([*words, "--epochs", "1", "--seeds", "2"]) == 0
    return world


@pytest.fixture(autouse=True)
def _apart(world, monkeypatch):
    serve_world(monkeypatch, world)


@pytest.fixture
def started(monkeypatch):
    """What the page would have started."""
    calls = []
    for place in ("finetuning", "history"):
        monkeypatch.setattr(f"pages.shared.{place}.start_run", lambda words, folder: calls.append((words, folder)))
    return calls


def opened(world, **state):
    app = AppTest.from_file(str(APP), default_timeout=90)
    for name, value in {"plm": str(world.plm), "run": world.run.name, **state}.items():
        app.session_state[name] = value
    app.run()
    return app.switch_page("pages/finetuning.py").run()


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    return app.run()


def test_a_finished_evaluation_is_shown(world):
    app = opened(world)
    assert not app.exception
    assert not app.error
    expected = for_reading(figures(evaluation_path(NAME)))
    (found,) = [pl.DataFrame(table.value) for table in app.dataframe if "p (seeds)" in table.value.columns]
    assert found["mean"].to_list() == expected["mean"].to_list()
    assert found["table"].to_list() == ["original", world.run.name, BASELINE[False]]
    assert len(app.get("plotly_chart")) == 1
    assert any(P_NOTE[:20] in caption.value.replace("\\", "") for caption in app.caption)


def test_it_starts_what_was_chosen(world, started):
    app = opened(world)
    app.text_input(key="glue-data").set_value(str(world.folder / "glue"))
    press(app, "Fine-tune")
    (words, folder) = started[0]
    assert folder.parent == evaluation_path(NAME).parent
    assert words[0] == "finetune"
    assert f"--name={folder.name}" in words
    assert words[words.index("--") + 1 :] == [world.run.name, str(world.plm)]
    assert {"--task=rte", f"--data={world.folder / 'glue'}", "--rate=2e-05", "--train-table", "--seeds=3"} <= set(words)
    assert "--estimate" not in words


def test_the_estimate_is_a_process_of_its_own_and_is_kept(world, started):
    app = opened(world)
    app.text_input(key="glue-data").set_value(str(world.folder / "glue"))
    press(app, "Estimate")
    (words, folder) = started[0]
    assert words[1] == "--estimate"
    set_status(folder, state="complete", started=1.0, updated=2.0)
    (folder / ESTIMATE).write_text(json.dumps({"seconds": 60.0, "said": "about 60 s: 6 times <b>10</b>"}))
    app.run()
    assert "about 60 s" in app.info[0].value
    assert "<b>" not in app.info[0].value
    set_status(folder, state="failed", message="no *such* thing")
    (folder / ESTIMATE).unlink()
    app.run()
    assert "such" in app.error[0].value


def test_a_folder_without_the_files_is_said_and_nothing_starts(world, started):
    app = opened(world)
    app.text_input(key="glue-data").set_value(str(world.folder))
    press(app, "Fine-tune")
    assert "no file of RTE called train.tsv" in app.error[0].value.replace("\\", "")
    assert started == []


def test_an_interrupted_one_can_go_on(world, started, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    folder = set_status(evaluation_path("cut"), state="running", started=1.0, updated=2.0, pid=1, created=0.0)
    (folder / "command.json").write_text("[]")
    app = opened(world)
    assert any("cut · interrupted" in box.label for box in app.expander)
    press(app, "Resume")
    assert started == [(None, folder)]


def test_nothing_yet(world, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    app = opened(world)
    assert not app.exception
    assert any("Nothing has been fine-tuned yet" in info.value for info in app.info)


def test_settings_are_those_published_for_the_task(world):
    app = opened(world)
    rates = [box.value for box in app.number_input if box.label == "Learning rate"]
    app.selectbox(key="task").set_value("mrpc").run()
    assert (rates, [box.value for box in app.number_input if box.label == "Learning rate"]) == ([2e-5], [1e-5])
