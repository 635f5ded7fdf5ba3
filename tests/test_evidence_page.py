"""The page Evidence: what it says of two tables, of the user's own pairs, and when there is nothing to say."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest
import streamlit as st
from app_support import WORDS, build_world, make_run, serve_world, set_status
from lexicon import write_lexicon
from streamlit.testing.v1 import AppTest

from defemb_core.cli import main
from defemb_core.comparison import open_comparison
from defemb_core.errors import RunError
from defemb_core.evaluate import CAVEAT, evaluate_similarity
from defemb_core.evaluation.pair_files import keep_pairs, shipped_pairs
from defemb_core.evaluation.relations import RELATION_SCHEMA
from defemb_core.evaluation.word_similarity import side_by_side
from defemb_core.runs import delete_run, identity

APP = Path(__file__).parents[1] / "app.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = build_world(tmp_path_factory.mktemp("world"))
    with world.entered():
        make_run(world, analyse=False)
    return world


@pytest.fixture(autouse=True)
def _apart(world, monkeypatch):
    serve_world(monkeypatch, world)


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """What would start processes does their work here and now; the names of the jobs."""
    jobs = []

    def work(arguments, folder, join):
        jobs.append(folder.name)
        assert main(arguments) in (0, 2)

    monkeypatch.setattr("pages.shared.evaluations.start_run", work)
    return jobs


def opened(world, **state):
    app = AppTest.from_file(str(APP), default_timeout=90)
    for name, value in {"plm": str(world.plm), **state}.items():
        app.session_state[name] = value
    app.run()
    return app.switch_page("pages/evidence.py").run()


def frame(app, column):
    (found,) = [table.value for table in app.dataframe if column in table.value.columns]
    return pl.DataFrame(found)


def control(app, key):
    return next(found for found in app.button_group if found.key == key)


def own_pairs(name="<b>mine</b>.tsv"):
    lines = [f"{a}\t{b}\t{i % 7}" for i, (a, b) in enumerate(zip(WORDS[::2], WORDS[1::2], strict=False))]
    return keep_pairs("\n".join(lines).encode(), name)


def test_the_figures_are_the_cores(world):
    app = opened(world)
    assert not app.exception
    assert not app.error
    expected, notes = evaluate_similarity(open_comparison(world.run), shipped_pairs())
    shown = side_by_side(expected).filter(pl.col("part") == "all pairs")
    found = frame(app, "set")
    for column in ("set", "pairs", "original", "rebuilt", "p"):
        assert found[column].to_list() == shown[column].to_list()
    assert [text.value for text in app.text[-len(notes) :]] == notes
    better = expected.filter((pl.col("part") == "all pairs") & (pl.col("difference") > 0)).height
    assert any(f"agrees better with people than original on {better} " in text.value for text in app.markdown)


def test_parts_and_the_rule_for_pieces(world):
    app = opened(world)
    control(app, "part").set_value("with a held-out token")
    app.run()
    parts = frame(app, "set")["part"].unique().to_list()
    assert parts == ["with a held-out token"]
    control(app, "several").set_value("skip")
    app.run()
    # The shipped words are no tokens of this PLM: in pieces they are judged, as whole tokens hardly any is.
    assert any("there is none of which each word is whole" in warning.value for warning in app.warning)


def test_own_pairs_come_after_the_shipped_ones_as_text(world, monkeypatch):
    monkeypatch.setattr("pages.shared.similarity.own_pairs", lambda: [own_pairs()])
    app = opened(world)
    found = frame(app, "set")
    assert found["set"].to_list()[-1] == "<b>mine<_b>"
    assert found["pairs"].to_list()[-1] == len(WORDS) // 2
    figure = next(chart for chart in app.get("plotly_chart"))
    assert "<b>mine" not in figure.proto.spec.replace("&lt;b&gt;mine", "")


def test_an_upload_that_is_no_file_of_pairs_is_said_and_the_rest_stands(world):
    app = opened(world)
    uploader = app.get("file_uploader")[0]
    uploader.set_value([("empty.tsv", b"word1\tword2\tscore\n", "text/plain")])
    app.run()
    assert "has a header and no pairs" in app.error[0].value
    assert frame(app, "set").height == 7


def test_low_frequency_semantics_are_measured_once(world, monkeypatch, started):
    line = {"relation": "synonyms", "group": "rare", "tokens": 12, "mrr": 0.25, "low": 0.2, "high": 0.3}
    line |= {"precision_3": 0.1, "precision_10": 0.05}
    made = pl.DataFrame([{**line, "table": "original"}, {**line, "table": "rebuilt"}], RELATION_SCHEMA)
    shutil.rmtree(world.run / "evaluations", ignore_errors=True)
    app = opened(world)
    (failed,) = [warning.value.replace("\\", "") for warning in app.warning]
    assert "failed. none of the new rows is a word that WordNet relates" in failed
    assert started.count("relations") == 1
    app.run()
    assert started.count("relations") == 1  # what failed is not tried again unasked
    monkeypatch.setattr("defemb_core.evaluate.evaluate_relations", lambda *asked: (made, ["a <b>note</b>"]))
    next(button for button in app.button if button.key == "again-relations").click()
    app.run()
    assert not app.exception
    assert frame(app, "relation")["original"].to_list() == ["0.250 (0.200 to 0.300)"]
    assert any(CAVEAT in warning.value for warning in app.warning)
    st.cache_resource.clear()  # as of another server
    assert frame(opened(world), "relation").height == 1
    assert started.count("relations") == 2
    shutil.rmtree(world.run / "evaluations" / "relations")
    app.run()
    assert started.count("relations") == 3  # what has gone is measured again


def test_all_runs_are_side_by_side_once_measured(world, started):
    opened(world)
    other = make_run(world, "z-other", analyse=False)
    app = opened(world, run=world.run.name)
    click = next(button for button in app.button if button.key == "measure-runs")
    assert click.label == "Measure 1 more"
    click.click()
    app.run()
    assert not app.exception
    (table,) = [
        found.value for found in opened(world, run=world.run.name).dataframe if "z-other" in found.value.columns
    ]
    assert table.columns.tolist()[:3] == ["set", "pairs", "original"]
    assert set(table.columns[3:]) == {world.run.name, "z-other"}
    assert len(table) == 7
    expected, _ = evaluate_similarity(open_comparison(other), shipped_pairs())
    wanted = expected.filter((pl.col("part") == "all pairs") & (pl.col("table") == "rebuilt"))["spearman"].to_list()
    assert table["z-other"].tolist() == pytest.approx(wanted, nan_ok=True)
    shutil.rmtree(other)


def test_a_measurement_is_watched_until_it_ends(world, started):
    job = world.run / "evaluations" / "similarity"
    alive = {"state": "running", "stage": "measuring", "fraction": 0.4, **identity(os.getpid())}
    opened(world)
    set_status(job, **alive)
    with_bar = opened(world)
    assert "Comparing cosines with human scores: measuring" in with_bar.get("progress")[0].proto.text
    assert not [table for table in with_bar.dataframe if "set" in table.value.columns]
    with pytest.raises(RunError, match="is running; cancel it"):
        delete_run(world.run)
    set_status(job, state="complete")
    assert frame(opened(world), "set").height == 7


def test_a_plm_without_a_head_is_said(world):
    app = opened(world)
    assert any("has no head that fills masks" in info.value for info in app.info)


def test_masked_words_of_a_plm_with_a_head(world, tmp_path, monkeypatch):
    from tiny_plm import save_bert_mlm

    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path / "runs"))
    plm, lexicon = save_bert_mlm(tmp_path / "plm"), write_lexicon(tmp_path / "lexicon")
    names = ["--plm", str(plm), "--dictionary", f"wordnet:{lexicon}", "--method", "instant"]
    assert main(["reconstruct", *names, "--out", str(tmp_path / "runs" / "masked")]) == 0
    app = opened(world, plm=str(plm))
    assert not app.exception
    next(button for button in app.button if button.label == "Probe").click()
    app.run()
    assert frame(app, "median_rank")["table"].to_list() == ["original", "rebuilt"]
    app.text_input(key="probed").set_value("the")
    app.text_area(key="probed-in").set_value("see the <b>x</b>\n\nthe end")
    next(button for button in app.button if button.label == "Probe").click()
    app.run()
    assert frame(app, "prompt")["prompt"].to_list() == ["see [MASK] <b>x</b>", "[MASK] end"]
    app.text_area(key="probed-in").set_value("nothing")
    next(button for button in app.button if button.label == "Probe").click()
    app.run()
    assert any("does not contain" in warning.value for warning in app.warning)
    app.text_input(key="probed").set_value("")
    next(button for button in app.button if button.label == "Probe").click()
    app.run()
    assert "Write a word and, one a line, sentences" in app.error[0].value


def test_without_a_run_the_page_says_what_to_do(world, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path / "none"))
    app = opened(world)
    assert "no rebuilt table yet" in app.info[0].value
    assert not app.exception
