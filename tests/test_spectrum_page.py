import json
import shutil

import numpy as np
import pytest
import test_pages
from app_support import RUN, save_plm
from safetensors.numpy import load_file, save_file
from test_pages import at_work, charts, clean, metrics, one_sentence, tables_with

from defemb_core.comparison import open_comparison
from defemb_core.isotropy import measure_isotropy
from pages.shared.state import CHECKPOINT, OWN

_apart, comparison, runs, visit, world = (  # fixtures of the pages' tests
    test_pages._apart, test_pages.comparison, test_pages.runs, test_pages.visit, test_pages.world,
)  # fmt: skip
PAGES = ("projection", "spectrum", "tokens", "export")


@pytest.fixture
def other_run(world, runs):
    """A copy of the run beside another whose rebuilt rows are twice as long."""
    shutil.copytree(world.run, runs / RUN)
    other = shutil.copytree(world.run, runs / "longer")
    tensors = load_file(other / "reconstruction.safetensors")
    tensors["matrix"] = tensors["matrix"] * np.where(tensors["rebuilt"][:, None] > 0, np.float32(2), np.float32(1))
    save_file(tensors, other / "reconstruction.safetensors")
    return other


def drawn(app):
    """Names of the lines of each chart."""
    return [[line["name"] for line in json.loads(chart.proto.spec)["data"]] for chart in app.get("plotly_chart")]


def test_all_charts_are_there_for_both_tables(visit):
    app = clean(visit("spectrum"))
    assert [text.split("'")[1] for text in charts(app)] == [
        "I(W) by frequency group", "Singular values", "Cumulative variance", "Cosines between rows",
        "Norms of the rows", "Hubness",
    ]  # fmt: skip
    assert all(len(names) == 2 for names in drawn(app))
    saved = [json.loads(chart.proto.config) for chart in app.get("plotly_chart")]
    assert {config["toImageButtonOptions"]["format"] for config in saved} == {"svg"}
    assert all(config["displayModeBar"] is True for config in saved)
    assert len([b for b in app.get("download_button") if b.proto.label == "CSV"]) == 7


def test_images_are_saved_in_the_format_chosen(visit):
    app = clean(visit("spectrum", image="PNG"))
    chart = json.loads(app.get("plotly_chart")[0].proto.config)["toImageButtonOptions"]
    assert (chart["format"], chart["scale"]) == ("png", 2)


def test_any_run_can_be_drawn_beside_the_two(visit, other_run):
    app = clean(visit("spectrum", run=RUN))
    assert app.multiselect(key="tables").value == ["original", "rebuilt"]
    assert "longer" in app.multiselect(key="tables").options
    app.multiselect(key="tables").set_value(["original", "rebuilt", "longer"]).run()
    assert all(len(names) == 3 for names in drawn(clean(app))[:5])
    (figures,) = tables_with(app, "table", "group", "i_w")
    assert set(figures["table"]) == {"original", "rebuilt", "longer"}
    assert any("longer" in info.value and "not known yet" in info.value for info in app.info)


def test_figures_are_of_the_rows_of_the_group(visit, comparison):
    app = clean(visit("spectrum", rows=["all", "rare"]))
    groups = comparison.vocabulary["group"].cast(str).to_numpy()
    for group, member in {"all": groups != "none", "rare": groups == "rare"}.items():
        norms = np.linalg.norm(comparison.rebuilt[member], axis=1)
        (figures,) = tables_with(app, "table", "group", "i_w")
        line = figures[(figures["table"] == "rebuilt") & (figures["group"] == group)].iloc[0]
        assert line["rows"] == member.sum()
        assert line["mean_norm"] == pytest.approx(norms.mean(), rel=1e-5)
        assert line["i_w"] == pytest.approx(measure_isotropy(comparison.rebuilt[member]).i_w, abs=1e-4)
        assert np.isfinite(line["hubness"])
    assert all(len(names) == 4 for names in drawn(app)[1:])


@pytest.mark.parametrize("tables", [["nonsense"], [], ["nonsense", "rebuilt"]])
def test_tables_of_an_address_that_are_not_there_are_forgotten(tables, visit):
    app = clean(visit("spectrum", tables=tables))
    assert app.multiselect(key="tables").value in (["original", "rebuilt"], [])


def test_no_table_chosen_says_what_to_do(visit):
    app = clean(visit("spectrum"))
    app.multiselect(key="tables").set_value([]).run()
    assert [info.value for info in clean(app).info] == ["Choose a table above."]


# Other pairs than a PLM's table and a run's.


@pytest.mark.parametrize("page", PAGES)
def test_two_runs_are_compared_under_their_names(page, visit, other_run, monkeypatch):
    monkeypatch.setattr("defemb_core.processes.start_run", lambda words, folder, join: at_work(folder))
    app = clean(visit(page, run="longer", against=RUN))
    if page == "spectrum":
        assert app.multiselect(key="tables").value == [RUN, "longer"]
        assert drawn(app)[0] == [RUN, "longer"]
        made = open_comparison(other_run, against=str(other_run.with_name(RUN)))
        (figures,) = tables_with(app, "table", "group", "i_w")
        of_longer = figures[(figures["table"] == "longer") & (figures["group"] == "all")]["i_w"].iloc[0]
        ranked = (made.vocabulary["group"] != "none").to_numpy()
        assert of_longer == pytest.approx(measure_isotropy(made.rebuilt[ranked]).i_w, abs=1e-4)
        assert any("mean norm" in warning.value for warning in app.warning)


def test_a_checkpoint_takes_the_runs_place(visit, world, tmp_path, monkeypatch):
    monkeypatch.setattr("defemb_core.processes.start_run", lambda words, folder, join: at_work(folder))
    other = save_plm(tmp_path / "tuned", seed=1)
    app = clean(visit("spectrum", run=CHECKPOINT, checkpoint=str(other)))
    assert app.multiselect(key="tables").value == [world.plm.name, "tuned"]
    for page in ("projection", "tokens"):
        clean(visit(page, run=CHECKPOINT, checkpoint=str(other)))
    assert "no run; choose a run at the left" in one_sentence(visit("export", run=CHECKPOINT, checkpoint=str(other)))
    app = clean(visit("spectrum", run=RUN, against=CHECKPOINT, checkpoint=str(other)))
    assert app.multiselect(key="tables").value == ["tuned", RUN]


def test_a_checkpoint_without_a_name_is_asked_for(visit):
    for choice in ({"run": CHECKPOINT}, {"against": CHECKPOINT}):
        app = clean(visit("spectrum", **choice))
        assert [info.value for info in app.info] == ["Name the other checkpoint at the left: a hub name or a folder."]
        assert not metrics(app)


def test_another_vocabulary_is_one_sentence(visit, tmp_path):
    from tiny_plm import save_bert

    other = save_bert(tmp_path / "else")
    said = one_sentence(visit("spectrum", run=CHECKPOINT, checkpoint=str(other)))
    assert "cannot be compared" in said
    assert said.endswith("choose tables of one vocabulary")


def test_a_pair_is_analysed_in_a_folder_of_its_own(visit, other_run, monkeypatch, tmp_path):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    started = []

    def start(words, folder, join):
        started.append((words, folder))
        at_work(folder)

    monkeypatch.setattr("defemb_core.processes.start_run", start)
    clean(visit("projection", run="longer", against=RUN))
    (words, folder), *_ = started
    assert words[0] == "analyse"
    assert open_comparison(words[1]).names == (RUN, "longer")
    assert str(folder).startswith(words[1])
    assert not str(folder).startswith(str(other_run))


def test_the_address_names_both_tables(world, other_run):
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(test_pages.APP), default_timeout=60)
    for name, value in {"plm": str(world.plm), "run": "longer", "against": RUN, "rows": "rare"}.items():
        app.query_params[name] = value
    clean(app.switch_page("pages/spectrum.py").run())
    assert app.selectbox(key="against").value == RUN
    assert drawn(app)[1] == [f"{RUN}, rare", "longer, rare"]
    assert OWN in app.selectbox(key="against").options
