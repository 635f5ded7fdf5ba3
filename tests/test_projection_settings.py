import json
import re
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defemb_core import analysis as module
from defemb_core.analysis import analyse
from defemb_core.comparison import open_comparison
from defemb_core.errors import SettingsError
from defemb_core.processes import analysis_command
from defemb_core.projection import Projection
from defemb_core.projection_settings import SUBSETS, ProjectionSettings, is_list, keep_rows, subset_rows
from defemb_core.runs import ANALYSIS, COMMAND, Status, queue_run, write_status
from pages.shared import projection_settings as widgets

USUAL = ProjectionSettings()


@pytest.fixture
def comparison(tiny_run, tmp_path, monkeypatch):
    """A comparison with an empty cache; its UMAP maps are stand-ins."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))

    def project(matrix, *args, **options):
        return Projection(np.ascontiguousarray(matrix[:, :2]), "umap")

    monkeypatch.setattr(module, "project_umap", project)
    return open_comparison(tiny_run)


@pytest.fixture
def show(comparison):
    """Shows the controls alone; `selected` is what the page says is selected."""

    def page(comparison, selected):
        import streamlit as st

        from pages.shared.projection_settings import offer_map_of, projection_settings

        st.session_state["chosen"] = projection_settings(comparison)
        if selected is not None:
            offer_map_of(selected)

    def run(selected=None, **url):
        app = AppTest.from_function(page, default_timeout=30, kwargs={"comparison": comparison, "selected": selected})
        for name, value in url.items():
            app.query_params[name] = value
        return app.run()

    return run


def chosen(app):
    assert not app.exception
    return app.session_state["chosen"]


def test_the_usual_settings_come_first(show):
    app = show()
    assert chosen(app) == USUAL
    assert app.selectbox(key="rows").options[:5] == ["all", "rebuilt", "frequent", "medium", "rare"]


def test_only_subsets_with_rows_are_offered(show, comparison):
    offered = show().selectbox(key="rows").options
    kinds = comparison.vocabulary["kind"].value_counts()
    enough = set(kinds.filter(kinds["count"] >= 4)["kind"])
    assert "byte" not in enough
    assert set(offered) & {"word", "subword", "number", "symbol", "byte", "special", "unused"} == enough


def test_every_control_reaches_the_settings(show):
    app = show()
    app.selectbox(key="rows").set_value("rare").run()
    assert chosen(app) == ProjectionSettings(subset="rare")
    app.segmented_control(key="fit").set_value("place").run()
    assert chosen(app) == ProjectionSettings(mode="place", subset="rare")
    app.number_input(key="neighbours").set_value(40)
    app.slider(key="min-dist").set_value(0.5)
    app.button[0].click().run()
    assert chosen(app) == ProjectionSettings(mode="place", subset="rare", neighbours=40, min_dist=0.5)


def test_a_url_reopens_the_maps(show):
    app = show(**{"map": "PCA", "fit": "place rebuilt", "rows": "rare", "neighbours": "9", "min-dist": "0.3"})
    assert chosen(app) == ProjectionSettings("pca", "place", 9, 0.3, subset="rare")
    assert chosen(show(map="t-SNE", rows="nothing", neighbours="many")) == USUAL


def test_selected_rows_become_a_map_of_their_own(show, comparison):
    rows = np.array([3, 30, 41, 50, 77], dtype=np.int32)
    app = show(rows)
    [button] = [button for button in app.button if "5 selected rows" in button.label]
    button.click().run()
    subset = chosen(app).subset
    assert subset_rows(subset, comparison.vocabulary, comparison.reconstruction.rebuilt).tolist() == rows.tolist()
    assert app.selectbox(key="rows").value == subset
    assert chosen(show(rows=subset)).subset == subset  # by its URL, in another session
    app.selectbox(key="rows").set_value("all").run()
    assert chosen(app) == USUAL


def test_too_few_selected_rows_are_not_offered(show):
    assert len(show(np.array([1, 2, 3])).button) == len(show().button)


# How far maps can be trusted


def test_the_line_says_both_figures_of_both_maps(comparison):
    found = analyse(comparison, ProjectionSettings("pca", "place"))
    line = widgets.trust_line(found)
    figures = [value for made in found.maps for value in (made.trust.trustworthiness, made.trust.continuity)]
    assert re.findall(r"\d\.\d\d", line) == [f"{figures[i]:.2f}" for i in (0, 2, 1, 3)]
    assert "15 neighbours, all 403 rows judged" in line
    assert "on the maps" not in line


def test_the_line_counts_what_is_not_on_the_maps(comparison):
    line = widgets.trust_line(analyse(comparison, ProjectionSettings("pca", subset="rare")))
    rare = int((comparison.vocabulary["group"] == "rare").sum())
    assert line.startswith(f"{rare} of 403 rows are on the maps. ")


@pytest.mark.parametrize(("lower", "reading"), [(0.99, "mostly is close"), (0.9, "Some of"), (0.7, "Much of")])
def test_the_worse_map_decides_what_is_said(comparison, lower, reading):
    found = analyse(comparison, ProjectionSettings("pca"))
    maps = tuple(
        replace(made, trust=replace(made.trust, trustworthiness=value))
        for made, value in zip(found.maps, (1.0, lower), strict=True)
    )
    assert reading in widgets.trust_line(replace(found, maps=maps))


# The search for maps


@pytest.fixture
def search(comparison, tmp_path, monkeypatch):
    """Shows the search for maps in a run's folder; `started` are the command lines that it would have begun."""
    started = []

    def start(arguments, folder, join):
        started.append(arguments)
        queue_run(folder)

    monkeypatch.setattr("defemb_core.processes.start_run", start)
    st.cache_resource.clear()

    def page(folder, settings):
        from pages.shared.projection_settings import find_maps

        find_maps(folder, settings)

    def run(settings):
        kwargs = {"folder": tmp_path / "run", "settings": settings}
        return AppTest.from_function(page, default_timeout=30, kwargs=kwargs).run()

    run.folder, run.started = tmp_path / "run", started
    return run


def test_a_search_is_started_once(search):
    settings = ProjectionSettings("pca", subset="rare")
    app = search(settings)
    assert not app.exception
    assert search.started == [["analyse", str(search.folder), "--method=pca", "--subset=rare"]]
    assert search(USUAL).info
    assert len(search.started) == 1


def finish(search, settings, state):
    """A search with these settings that has ended."""
    folder = search.folder / ANALYSIS
    queue_run(folder)
    (folder / COMMAND).write_text(json.dumps(analysis_command(search.folder, settings)))
    write_status(folder, Status(state, message="no <b>luck</b>"))


@pytest.mark.parametrize("state", ["failed", "interrupted", "cancelled"])
def test_what_failed_is_not_started_again_by_itself(search, state):
    finish(search, USUAL, state)
    app = search(USUAL)
    assert search.started == []
    assert state in app.warning[0].value
    assert "<b>" not in app.warning[0].value
    app.button[0].click().run()
    assert search.started == [["analyse", str(search.folder)]]


@pytest.mark.parametrize("state", ["failed", "complete", "cancelled"])
def test_other_settings_are_searched_after_any_end(search, state):
    finish(search, USUAL, state)
    search(ProjectionSettings("pca"))
    assert search.started == [["analyse", str(search.folder), "--method=pca"]]


def test_others_at_work_can_be_stopped(search, monkeypatch):
    stopped = []
    finish(search, USUAL, "complete")
    queue_run(search.folder / ANALYSIS)
    monkeypatch.setattr(widgets, "cancel_run", lambda folder: stopped.append(folder))
    app = search(ProjectionSettings("pca"))
    assert "other settings" in app.info[0].value
    button = next(found for found in app.button if found.label == "Stop the others and make these")
    button.click().run()
    assert stopped == [search.folder / ANALYSIS]
    assert search(USUAL).info[0].value == "The maps appear here as soon as they are done."


# Settings and lists of rows


def test_a_list_has_one_name_whatever_its_order():
    assert keep_rows([5, 3, 5, 9]) == keep_rows(np.array([9, 3, 5], dtype=np.int32)) != keep_rows([3, 5])
    assert is_list(keep_rows([1]))
    assert not any(map(is_list, (*SUBSETS, "selected-../../x", "selected-", "")))


@pytest.mark.parametrize("subset", ["", "everything", "selected-../../../etc", "selected-0123456789abcdef"])
def test_no_other_name_is_a_subset(subset):
    with pytest.raises(SettingsError, match="unknown subset"):
        ProjectionSettings(subset=subset)
