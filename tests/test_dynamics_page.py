"""The page Dynamics: how to record, measuring in the background, what it shows, what it says of a bad folder."""

from pathlib import Path

import pytest
import torch
from app_support import BELL, HOSTILE, OVERRIDE, build_world, serve_world
from dynamics_support import EXAMPLES, one_thread, record
from streamlit.testing.v1 import AppTest

from defemb_core.cli import main
from defemb_core.plm import load_plm
from defemb_core.runs import read_status
from defemb_core.text import plain
from pages.shared import dynamics

APP = Path(__file__).parents[1] / "app.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A world with the recording of a fine-tuning, on hostile tokens, in its runs folder."""
    world = build_world(tmp_path_factory.mktemp("world"))
    rows = load_plm(str(world.plm)).rows
    hostile = torch.arange(rows - len(HOSTILE), rows)
    data = [{**one, "input_ids": hostile, "attention_mask": torch.ones_like(hostile)} for one in EXAMPLES]
    with one_thread():
        record(world.plm, world.runs / "tuned", every=4, weight_decay=0.1, data=data)
    return world


@pytest.fixture(autouse=True)
def _apart(world, monkeypatch):
    serve_world(monkeypatch, world)


def opened(world, **state):
    app = AppTest.from_file(str(APP), default_timeout=90)
    for name, value in {"plm": str(world.plm), **state}.items():
        app.session_state[name] = value
    app.run()
    return app.switch_page("pages/dynamics.py").run()


def test_without_a_recording_the_two_lines_are_there_to_copy(world, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    app = opened(world)
    assert not app.exception
    assert [code.value for code in app.code] == [dynamics.LINES, dynamics.COMMAND]
    compile(dynamics.LINES, "lines", "exec")
    assert "no recording" in app.info[0].value


def test_a_recording_is_measured_when_asked_for(world, monkeypatch):
    started = []
    monkeypatch.setattr(dynamics, "start_run", lambda *of, join: started.append(of))
    app = opened(world)
    assert not app.exception
    assert app.selectbox(key="recording").value == "tuned/recording"
    assert any("3 snapshots, steps 0 to 8" in text.value for text in app.text)
    app.button(key="measure_dynamics").click().run()
    recording = world.runs / "tuned" / "recording"
    assert started == [(["dynamics", str(recording)], recording / "dynamics")]
    assert main(started[0][0]) == 0, "the command that the page starts"
    assert read_status(started[0][1]).state == "complete"


def test_a_measured_recording_shows_its_numbers_and_hostile_tokens_as_text(world):
    main(["dynamics", str(world.runs / "tuned" / "recording")])
    app = opened(world)
    assert not app.exception
    labels = {metric.label: metric.value for metric in app.metric}
    assert labels["Explained by one scale"].endswith("%")
    assert any("back to the bit" in text.value for text in app.markdown)
    tables = [table.value for table in app.dataframe if "token" in table.value.columns]
    shown = set(tables[0]["token"].head(len(HOSTILE)))
    assert shown == {plain(token) for token in HOSTILE}
    assert not {OVERRIDE, BELL} & shown
    assert len(app.get("plotly_chart")) == 4


@pytest.mark.parametrize("by", ["seen in training", "frequency group"])
def test_the_map_says_how_far_it_exaggerates(world, by):
    main(["dynamics", str(world.runs / "tuned" / "recording")])
    app = opened(world, dynamics_colour=by, dynamics_times=20)
    assert not app.exception
    drawn = next(chart.proto.spec for chart in app.get("plotly_chart") if '"frames"' in chart.proto.spec)
    assert "Movement drawn 20 times as far as it is" in drawn
    assert "<b>bold" not in drawn


def test_a_folder_without_a_recording_is_an_error_and_no_crash(world, tmp_path):
    app = opened(world, recording=dynamics.ELSEWHERE, recording_folder=str(tmp_path))
    assert not app.exception
    assert "neither a recording nor folders" in app.error[0].value.replace("\\", "")
    app = opened(world, recording=dynamics.ELSEWHERE, recording_folder="/nowhere", recording_plm="/no/plm")
    assert not app.exception
    assert app.error


def test_why_a_measurement_failed_is_said(world, tmp_path):
    record(world.plm, tmp_path)
    (tmp_path / "recording" / "tokenizer.json").unlink()
    about = tmp_path / "recording" / "recording.json"
    about.write_text(about.read_text().replace(str(world.plm), ""))
    assert main(["dynamics", str(tmp_path / "recording")]) == 2
    app = opened(world, recording=dynamics.ELSEWHERE, recording_folder=str(tmp_path / "recording"))
    assert not app.exception
    assert "name the PLM that was trained" in app.error[0].value.replace("\\", "")
    assert app.button(key="measure_dynamics").label == "Measure"
