import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
import streamlit as st
from app_support import (
    BELL,
    DEFINED_HOSTILE,
    HOSTILE,
    OVERRIDE,
    RUN,
    UNDEFINED,
    WORDS,
    build_world,
    make_run,
    save_plm,
    serve_world,
    set_status,
    work_here,
)
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from tokenizers import Tokenizer, models

from defemb_core import dictionaries
from defemb_core.analysis import analyse, read_analysis
from defemb_core.changes import token_changes
from defemb_core.comparison import open_comparison
from defemb_core.dictionaries import Dictionary, load_dictionary
from defemb_core.figures.linked_maps import decode_rows
from defemb_core.history import remember
from defemb_core.methods import METHODS
from defemb_core.neighbours import nearest_neighbours
from defemb_core.pieces import matched_senses
from defemb_core.projection import Projection
from defemb_core.projection_settings import ProjectionSettings
from defemb_core.reconstruction import Settings
from defemb_core.relevance import relevant_settings
from defemb_core.runs import identity
from defemb_core.selections import kept_selections
from defemb_core.text import plain
from pages.shared import tables
from pages.shared.dictionary_choice import OFFERS
from pages.shared.selection import Selection

APP = Path(__file__).parents[1] / "app.py"
PAGES = ("model", "definitions", "reconstruction", "projection", "spectrum", "tokens", "evidence", "export")
COMPARING = ("projection", "spectrum", "tokens", "evidence", "export")
DEFINED = len(WORDS) + len(DEFINED_HOSTILE) + 1  # and the letter b, which the lexicon defines


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A PLM, a lexicon and one finished, analysed run; its UMAP maps are stand-ins, the real ones cost a minute."""
    world = build_world(tmp_path_factory.mktemp("world"))
    with world.entered() as patch:
        patch.setattr("defemb_core.analysis.project_umap", _flat_map)
        make_run(world)
    return world


def _flat_map(matrix, *args, **options):
    return Projection(np.ascontiguousarray(matrix[:, :2], np.float32), "umap", {}, 0.0)


@pytest.fixture(autouse=True)
def _apart(world, monkeypatch):
    serve_world(monkeypatch, world)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A runs folder of this test's own, empty; nothing is cached from others."""
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    st.cache_resource.clear()
    return tmp_path / "runs"


@pytest.fixture
def copied(world, runs):
    """A copy of the finished run to spoil."""
    return Path(shutil.copytree(world.run, runs / RUN))


@pytest.fixture
def visit(world):
    """Opens a page in a session of its own; what is given as keyword arguments is in the session's state."""

    def open_page(page, **state):
        app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in {"plm": str(world.plm), **state}.items():
            app.session_state[name] = value
        return app.switch_page(f"pages/{page}.py").run()

    return open_page


@pytest.fixture
def comparison(world):
    return open_comparison(world.run)


@pytest.fixture
def changes(comparison):
    return token_changes(comparison, read_analysis(comparison).neighbours)


@pytest.fixture
def evidence(world):
    return json.loads((world.run / "evidence.json").read_text())


def clean(app):
    assert [(e.message, e.stack_trace) for e in app.exception] == []
    assert [e.value for e in app.error] == []
    return app


def one_sentence(app):
    """The page's only error, which is a sentence and no traceback; without the Markdown escapes."""
    assert [(e.message, e.stack_trace) for e in app.exception] == []
    (error,) = app.error
    said = unescaped(error.value)
    assert "Traceback" not in said
    assert "\n" not in said
    return said


def unescaped(markdown):
    return markdown.replace("\\", "")


def metrics(app):
    return [metric.value for metric in app.metric]


def tables_with(app, *columns):
    return [table.value for table in app.dataframe if set(columns) <= set(table.value.columns)]


def button(app, label):
    (found,) = [button for button in app.button if button.label == label]
    return found


def charts(app):
    return [chart.proto.alt for chart in app.get("plotly_chart")]


def linked_maps(app):
    """What the page tells its maps, apart from arrays."""
    (told,) = [json.loads(found.proto.json) for found in app.get("bidi_component") if found.proto.json]
    return told


# A session that has no run yet.


@pytest.mark.parametrize("page", PAGES)
def test_without_a_run_every_page_says_what_to_do_next(page, runs, visit):
    app = clean(visit(page))
    links = [link.proto.page for link in app.get("page_link")]
    primary = [button.label for button in app.button if button.proto.type == "primary"]
    if page in COMPARING:
        assert links == ["reconstruction"]
        assert len(app.info) == 1
        assert not app.dataframe
    elif page != "definitions":  # needs no run
        assert len(primary) == 1


def test_the_first_page_offers_one_thing_to_press(runs, visit):
    app = clean(visit("model"))
    assert [b.label for b in app.button if b.proto.type == "primary"] == ["Rebuild the bundled model"]


def test_that_button_starts_a_run_of_the_bundled_plm(runs, visit, monkeypatch):
    started = []
    monkeypatch.setattr(
        "pages.shared.progress.start_run", lambda arguments, folder: started.append((arguments, folder))
    )
    app = visit("model")
    button(app, "Rebuild the bundled model").click().run()
    clean(app)
    ((arguments, folder),) = started
    assert "--plm=bundled" in arguments
    assert "--analyse" in arguments
    assert folder.parent == runs


def test_while_a_run_is_at_work_the_first_page_does_not_offer_another(runs, visit):
    at_work(runs / "busy")
    app = clean(visit("model"))
    assert not [b for b in app.button if b.proto.type == "primary"]
    assert "reconstruction" in [link.proto.page for link in app.get("page_link")]


def test_a_page_that_a_link_opens_on_a_fresh_server_has_its_sidebar(world, visit, monkeypatch):
    monkeypatch.setattr(PagesManager, "uses_pages_directory", None)
    app = clean(visit("tokens"))
    assert [box.label for box in app.sidebar.selectbox] == ["PLM (original)", "Run (rebuilt)", "Compared with"]


# With a finished run.


@pytest.mark.parametrize("page", PAGES)
def test_with_a_run_every_page_is_whole(page, visit):
    app = clean(visit(page))
    assert len(app.title) == 1
    assert [box.value for box in app.sidebar.selectbox][1] == RUN


def test_settings_in_words_leave_out_what_was_not_set(visit):
    [line] = [text.value for text in clean(visit("reconstruction")).text if " with wordnet: " in text.value]
    words = line.partition(": ")[2].split(", ")
    assert "method instant" in words
    assert "seed 0" in words
    assert not {"without", "without ", "passes 0.0", "rate 0.0"} & set(words)


@pytest.mark.parametrize("page", ["reconstruction", "export"])
def test_evidence_is_what_the_run_wrote(page, visit, evidence):
    shown = metrics(visit(page))
    rare = [evidence["isotropy"][table]["rare"]["i_w"] for table in ("original", "rebuilt")]
    assert shown[0] == f"{evidence['held_out']['mrr']:.3f}"
    assert shown[1] == f"{evidence['held_out']['cosine']:.3f}"
    assert shown[2] == f"{evidence['coverage']['rebuilt']:,}"
    assert shown[3].endswith(f"{rare[1]:.3f}")
    assert shown[4] == f"{sum(evidence['seconds'].values()):.1f}"


def test_the_model_page_counts_every_row(visit, comparison):
    app = visit("model")
    rows = comparison.plm.rows
    assert {f"{rows:,}", str(comparison.plm.width)} <= set(metrics(app))
    assert any(comparison.plm.architecture in caption.value for caption in app.caption)
    (counts,) = tables_with(app, "kind", "frequent", "rare")
    assert counts.drop(columns="kind").to_numpy().sum() == rows
    (vocabulary,) = tables_with(app, "token_id", "text")
    assert vocabulary["token_id"].tolist() == comparison.vocabulary.sort("rank")["token_id"].to_list()
    assert f"{rows:,} of {rows:,} rows." in [caption.value for caption in app.caption]


def test_the_model_page_finds_rows_and_kinds(visit, comparison):
    app = visit("model", find="BA", kinds=["word"])
    expected = comparison.vocabulary.filter(pl.col("text").str.contains("(?i)ba") & (pl.col("kind") == "word"))
    (vocabulary,) = tables_with(app, "token_id", "text")
    assert 0 < expected.height < comparison.plm.rows
    assert sorted(vocabulary["token_id"]) == expected["token_id"].to_list()


@pytest.mark.parametrize(
    ("source", "cuts"),
    [("vocabulary", (0, 0)), ("vocabulary", (33, 77)), ("wordfreq", (0, 100)), ("wordfreq", (50, 50))],
)
def test_any_frequency_groups_share_out_all_rows(source, cuts, visit, comparison):
    app = clean(visit("model", cuts=cuts, frequency=source))
    (vocabulary,) = tables_with(app, "token_id", "group")
    shares = vocabulary["group"].value_counts()
    ranked = comparison.plm.rows - int(shares.get("none", 0))
    assert shares.get("frequent", 0) == pytest.approx(ranked * cuts[0] / 100, abs=1)
    assert shares.get("rare", 0) == pytest.approx(ranked * (100 - cuts[1]) / 100, abs=1)


def test_coverage_is_that_of_the_lexicon(visit, comparison):
    app = visit("definitions")
    part = comparison.vocabulary.filter(pl.col("group") != "none").height
    assert {f"{DEFINED:,}", f"{part - DEFINED:,}"} <= set(metrics(app))
    (missing,) = tables_with(app, "token_id", "text")
    assert len(missing) == part - DEFINED
    assert not set(missing["text"]) & {*WORDS, *DEFINED_HOSTILE}
    assert all(f"{DEFINED:,} of {part:,} rows" in chart for chart in charts(app))
    assert "rare" in chart_titled(app, "By frequency group")
    assert "word" in chart_titled(app, "By kind of token")
    assert f"wordnet {DEFINED / part:.1%}, {DEFINED:,} of {part:,}" in chart_titled(app, "By source")
    by_how = chart_titled(app, "By way of matching")
    assert f"exact {(DEFINED - 1) / part:.1%}, {DEFINED - 1:,}" in by_how
    assert "case-folded" in by_how  # the letter, which the lexicon has as "B"


def test_word_pieces_are_counted_when_asked_for(visit, comparison, world):
    plm, vocabulary = comparison.plm, comparison.vocabulary
    dictionary = load_dictionary("wordnet", vocabulary)
    told = matched_senses(plm, vocabulary, dictionary, Settings(pieces=True))
    pieces, cut_otherwise = (told.filter(how=how) for how in ("piece", "other-cut"))
    assert pieces["token_id"].n_unique() > 5
    assert cut_otherwise.height
    app = clean(visit("definitions", **{"with-pieces": True}, word=pieces["text"][0]))
    part, covered = vocabulary.filter(pl.col("group") != "none").height, told["token_id"].n_unique()
    assert covered == DEFINED + pieces["token_id"].n_unique() + cut_otherwise["token_id"].n_unique()
    assert {f"{covered:,}", f"{part - covered:,}"} <= set(metrics(app))
    by_how = chart_titled(app, "By way of matching")
    for how, found in (("piece", pieces), ("other-cut", cut_otherwise)):
        assert f"{how} {found['token_id'].n_unique() / part:.1%}" in by_how
    (missing,) = tables_with(app, "token_id", "text")
    assert not set(missing["token_id"]) & set(told["token_id"])
    app.toggle(key="with-pieces").set_value(False).run()
    assert f"{DEFINED:,}" in metrics(clean(app))


def chart_titled(app, title):
    """What a chart says in words."""
    (found,) = [told for told in charts(app) if f"'{title}'" in told]
    return found


def test_forms_of_words_are_covered_and_notes_are_shown(world, visit, monkeypatch, tmp_path):
    lexicon = Path(shutil.copytree(world.folder / "wordnet", tmp_path / "wordnet"))
    for suffix in ("noun", "verb", "adj", "adv"):
        (lexicon / f"{suffix}.exc").write_text(f"{UNDEFINED[0]} {WORDS[0]}\n" if suffix == "noun" else "")
    app = clean(visit("definitions", dictionary=f"wordnet:{lexicon}", word=UNDEFINED[0]))
    assert any(text.value.startswith(f"plural of {WORDS[0]}: ") for text in app.text)
    assert "lemma" in chart_titled(app, "By way of matching")
    assert f"{DEFINED + 1:,}" in metrics(app)
    assert any("1 words of the vocabulary are forms of WordNet's" in caption.value for caption in app.caption)
    missing = clean(visit("definitions"))
    assert any("noun\\.exc" in caption.value for caption in missing.caption)


# Which dictionaries


@pytest.fixture
def sources(world, monkeypatch):
    """Sources beside WordNet, which define one word each: by their names, with the places they were given."""
    given = []

    def loader(name):
        def load(place, vocabulary):
            given.append((name, place, None if vocabulary is None else vocabulary.height))
            found = load_dictionary("wordnet", vocabulary)
            line = found.definitions.filter(pl.col("form_of").is_null()).head(1)
            line = line.with_columns(
                word=pl.lit(UNDEFINED[0]), source=pl.lit(name), definition=pl.lit(f"said by {name}")
            )
            return Dictionary(line, name, name.ljust(64, "0"), place or "here")

        return load

    for name in ("wiktionary", "numerals", "glossary"):
        monkeypatch.setitem(dictionaries._LOADERS, name, loader(name))
    names = "|".join(dictionaries._LOADERS)
    monkeypatch.setattr(dictionaries, "_BETWEEN", re.compile(rf",(?=\s*(?:{names})\s*(?:[:,]|$))"))
    st.cache_resource.clear()
    yield given
    st.cache_resource.clear()


def chooser(app):
    return app.multiselect(key="dictionary-sources")


def line(app):
    return app.text_input(key="dictionary").value


def test_ticking_dictionaries_writes_the_line_and_the_line_ticks_them(sources, visit):
    app = clean(visit("definitions"))
    assert (chooser(app).value, line(app)) == (["wordnet"], "wordnet")
    assert set(chooser(app).options) == {offer.label for offer in OFFERS.values()}
    assert set(OFFERS) == set(dictionaries.known_sources())
    chooser(app).set_value(["wordnet", "numerals"]).run()
    assert line(clean(app)) == "wordnet,numerals"
    chooser(app).set_value(["numerals", "wordnet"]).run()
    assert line(clean(app)) == "numerals,wordnet"  # the order is the rank
    app.text_input(key="dictionary").set_value("wordnet,glossary:a,b.csv").run()
    assert chooser(clean(app)).value == ["wordnet", "glossary"]
    assert app.text_input(key="dictionary-place-glossary").value == "a,b.csv"
    chooser(app).set_value([]).run()
    assert (chooser(clean(app)).value, line(app)) == (["wordnet"], "wordnet")


def test_a_place_that_is_needed_is_asked_for(sources, visit):
    app = clean(visit("definitions"))
    chooser(app).set_value(["wordnet", "wiktionary"]).run()
    assert line(clean(app)) == "wordnet"
    assert any("Wiktionary" in info.value for info in app.info)
    assert chooser(app).value == ["wordnet", "wiktionary"]
    app.text_input(key="dictionary-place-wiktionary").set_value(" store ").run()
    assert line(clean(app)) == "wordnet,wiktionary:store"
    assert not any("Wiktionary" in info.value for info in app.info)
    assert sources[-1][:2] == ("wiktionary", "store")
    app.text_input(key="dictionary-place-wordnet").set_value("/nowhere").run()
    assert line(app) == "wordnet:/nowhere,wiktionary:store"
    assert "/nowhere" in one_sentence(app)  # and the boxes are still there to mend it
    app.text_input(key="dictionary-place-wordnet").set_value("").run()
    assert line(clean(app)) == "wordnet,wiktionary:store"


def test_the_reconstruction_page_has_the_same_choice(sources, runs, visit, monkeypatch):
    started = []
    monkeypatch.setattr("pages.shared.progress.start_run", lambda arguments, folder: started.append(arguments))
    app = clean(visit("reconstruction", dictionary="numerals,wordnet"))
    assert chooser(app).value == ["numerals", "wordnet"]
    chooser(app).set_value(["wordnet", "glossary"]).run()
    button(clean(app), "Rebuild").click().run()
    assert "--dictionary=wordnet,glossary" in started[0]


def test_a_dictionary_is_read_once_for_each_vocabulary(sources, world, visit, tmp_path):
    for _ in range(2):
        clean(visit("definitions", dictionary="wordnet,numerals"))
    other = save_plm(tmp_path / "other", seed=1)
    clean(visit("definitions", dictionary="wordnet,numerals", plm=str(other)))
    assert [name for name, _, _ in sources] == ["numerals", "numerals"]
    assert all(height for _, _, height in sources)


@pytest.mark.parametrize("page", ["reconstruction", "export"])
def test_evidence_is_shown_by_source_and_way_of_matching(page, visit, copied):
    evidence = json.loads((copied / "evidence.json").read_text())
    (parts,) = tables_with(clean(visit(page)), "definitions", "MRR")
    held = evidence["held_out"]
    found = evidence["held_out_by"]["how"]
    assert parts["definitions"].to_list() == ["source wordnet", *(f"found {how}" for how in found)]
    assert parts["tokens"].to_list() == [held["tokens"], *(part["tokens"] for part in found.values())]
    assert parts["MRR"].to_list() == pytest.approx([held["mrr"], *(part["mrr"] for part in found.values())])
    (copied / "evidence.json").write_text(json.dumps(evidence | {"held_out_pieces": held}))
    (parts,) = tables_with(clean(visit(page)), "definitions", "MRR")
    assert parts["definitions"].to_list()[-1] == "found piece"


def test_a_run_without_such_evidence_is_shown_without(copied, visit):
    evidence = json.loads((copied / "evidence.json").read_text())
    del evidence["held_out_by"]
    (copied / "evidence.json").write_text(json.dumps(evidence))
    assert tables_with(clean(visit("export")), "definitions", "MRR") == []
    (copied / "evidence.json").write_text(json.dumps(evidence | {"held_out_by": {"how": {"exact": {}}}}))
    assert "evidence.json" in one_sentence(visit("export"))


def test_a_word_is_shown_with_its_definitions(visit):
    app = clean(visit("definitions", word=WORDS[1]))
    assert [text.value for text in app.text] == [f"{WORDS[5]} of {WORDS[1 - 7]} or {WORDS[0]}"]
    assert not app.info
    unknown = clean(visit("definitions", word="zzz"))
    assert "zzz" in unknown.info[0].value
    assert not unknown.text


def test_the_maps_show_every_row(visit, comparison):
    app = visit("projection")
    rows = comparison.plm.rows
    assert [f"of all {rows:,} rows" in told for told in linked_maps(app)["descriptions"]] == [True, True]


@pytest.mark.parametrize("method", ["umap", "pca"])
def test_maps_can_be_coloured_by_anything(method, visit, comparison):
    analyse(comparison, ProjectionSettings(method))
    app = visit("projection", map=method)
    told = {}
    for by in app.selectbox(key="colour").options:
        app.selectbox(key="colour").set_value(by).run()
        told[by], _ = linked_maps(clean(app))["descriptions"]
    assert len(set(told.values())) == len(told) > 5


def test_without_an_analysis_pca_is_shown_and_one_is_started(copied, visit, monkeypatch, tmp_path):
    started = []

    def start(arguments, folder, join):
        started.append(arguments)
        at_work(folder)

    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("defemb_core.processes.start_run", start)
    shutil.rmtree(copied / "analysis")
    app = clean(visit("projection"))
    assert started == [["analyse", str(copied)]]
    assert len(linked_maps(app)["descriptions"]) == 2
    assert "new neighbours" not in app.selectbox(key="colour").options  # nobody has looked for them


def test_spectra_by_group_are_told_apart(visit, evidence):
    app = clean(visit("spectrum", rows=["frequent", "medium", "rare"]))
    spectra = json.loads(app.get("plotly_chart")[1].proto.spec)["data"]
    names = [f"{table}, {group}" for table in ("original", "rebuilt") for group in ("frequent", "medium", "rare")]
    assert [line["name"] for line in spectra] == names
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in spectra}) == 6
    for name, card in zip(("i_w", "mean_cosine"), metrics(app), strict=False):
        assert card == f"{evidence['isotropy']['rebuilt']['all'][name]:.3f}"


def test_runs_of_one_table_and_other_groups_are_kept_apart(copied, visit):
    vocabulary = pl.read_parquet(copied / "vocabulary.parquet")
    turned = vocabulary["group"].cast(pl.String).replace({"rare": "frequent", "frequent": "rare"})
    vocabulary.with_columns(group=turned.cast(vocabulary["group"].dtype)).write_parquet(copied / "vocabulary.parquet")
    os.utime(copied / "config.json", (1, 1))  # as another run's would differ
    before = {group: (vocabulary["group"] == group).sum() for group in ("frequent", "rare")}
    assert before["frequent"] != before["rare"]
    app = clean(visit("projection"))
    assert f"frequent {before['rare']}" in linked_maps(app)["descriptions"][0]


def test_a_dead_analysis_is_not_started_again_by_itself(copied, visit, monkeypatch, tmp_path):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("defemb_core.processes.start_run", lambda *_, **__: pytest.fail("started"))
    set_status(copied / "analysis", state="running", pid=2**22 + 1, created=1.0)
    app = clean(visit("projection"))
    assert "Make the maps" in [button.label for button in app.button]
    assert "interrupted" in app.warning[0].value


def test_a_run_without_rare_rows_is_whole(copied, visit):
    evidence = json.loads((copied / "evidence.json").read_text())
    for table in evidence["isotropy"].values():
        del table["rare"]
    (copied / "evidence.json").write_text(json.dumps(evidence))
    for page in PAGES:
        clean(visit(page, finished_run=RUN))
    assert "–" in metrics(visit("export"))


def test_a_damaged_finished_run_leaves_the_form_and_the_history(copied, visit):
    (copied / "evidence.json").write_text("{}")
    app = visit("reconstruction", finished_run=RUN)
    assert not app.exception
    assert "lacks figures" in app.error[0].value
    assert [b for b in app.button if b.label == "Rebuild"]
    assert [e for e in app.expander if RUN in unescaped(e.label)]


def test_a_plm_whose_files_changed_is_noticed(world, copied, visit, tmp_path):
    clean(visit("spectrum"))
    table = world.plm / "model.safetensors"
    before = table.read_bytes()
    from safetensors.numpy import load_file, save_file

    tensors = load_file(table)
    try:
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, table, metadata={"format": "pt"})
        assert "was made from a table with SHA-256" in one_sentence(visit("spectrum"))
    finally:
        table.write_bytes(before)
    clean(visit("spectrum"))


def test_a_selection_is_marked_on_the_maps_and_listed(visit, comparison):
    rows = np.array([1, 2, 3], np.int32)
    app = clean(visit("projection", selection=Selection(rows, comparison.key, 7)))
    marks = linked_maps(app)["marks"]
    assert decode_rows(marks["rows"], comparison.plm.rows).tolist() == [1, 2, 3]
    assert marks["serial"] == 7
    (listed,) = tables_with(app, "token_id", "movement")
    assert sorted(listed["token_id"]) == [1, 2, 3]


@pytest.mark.parametrize(("wanted", "regular"), [("BA", False), ("^b.n", True), ("", True)])
def test_a_search_marks_tokens(wanted, regular, visit, comparison):
    app = clean(visit("projection", mark=wanted, **{"mark-regex": regular}))
    texts = comparison.vocabulary["text"].to_list()
    found = [row for row, text in enumerate(texts) if wanted and re.search(f"(?i){wanted}", text)]
    assert bool(found) == bool(wanted)
    assert decode_rows(linked_maps(app)["marks"]["rows"], len(texts)).tolist() == found
    app.text_input(key="mark").set_value("").run()
    assert decode_rows(linked_maps(clean(app))["marks"]["rows"], len(texts)).size == 0


def test_a_search_that_is_no_expression_is_one_sentence(visit):
    app = visit("projection", mark="(", **{"mark-regex": True})
    assert "no regular expression" in one_sentence(app)
    assert len(linked_maps(app)["descriptions"]) == 2  # the maps stay


def test_other_colours_send_only_colours(visit):
    app = clean(visit("projection"))
    before = linked_maps(app)["parts"]
    app.selectbox(key="colour").select("movement").run()
    after = linked_maps(clean(app))["parts"]
    assert {slot for slot in before if before[slot] != after[slot]} == {"colours"}
    app.selectbox(key="size").select("Zipf frequency").run()
    sized = linked_maps(clean(app))
    assert {slot: sized["parts"][slot] for slot in after} == after
    assert set(sized["parts"]) - set(after) == {"sizes"}
    assert sized["sizes"]["by"] == "zipf"
    assert "frequency group" not in app.selectbox(key="size").options  # has no size
    app.selectbox(key="size").select("nothing, all alike").run()
    app.segmented_control(key="view").set_value("arrows").run()
    assert linked_maps(clean(app))["parts"] == after
    assert linked_maps(app)["view"] == "arrows"


def test_a_failed_analysis_is_said_and_not_started_again_by_itself(copied, visit, monkeypatch, tmp_path):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("defemb_core.processes.start_run", lambda *_, **__: pytest.fail("started"))
    set_status(copied / "analysis", state="failed", message="no memory")
    app = visit("projection")
    assert not app.exception
    assert len(linked_maps(app)["descriptions"]) == 2
    assert "no memory" in app.warning[0].value
    assert any(button.label == "Make the maps" for button in app.button)


def test_isotropy_is_that_of_the_evidence(visit, evidence):
    app = visit("spectrum")
    (figures,) = tables_with(app, "table", "group", "i_w")
    shown = {(line.table, line.group): (line.i_w, line.mean_cosine) for line in figures.itertuples()}
    expected = {
        (table, group): (measured["i_w"], measured["mean_cosine"])
        for table, groups in evidence["isotropy"].items()
        for group, measured in groups.items()
    }
    assert shown == {key: pytest.approx(values, abs=1e-6) for key, values in expected.items()}
    assert metrics(app)[0] == f"{evidence['isotropy']['rebuilt']['all']['i_w']:.3f}"


@pytest.mark.parametrize("switch", ["normalised", "centred", "log"])
def test_spectra_can_be_switched(switch, visit):
    before = charts(visit("spectrum", **{switch: False}))
    after = charts(clean(visit("spectrum", **{switch: True})))
    assert before[1] != after[1]
    assert before[0] == after[0]


def test_tokens_are_sorted_by_turnover_and_are_the_rare_rebuilt_ones(visit, changes):
    (listed,) = tables_with(visit("tokens"), "turnover", "token_id")
    rare = changes.filter((pl.col("group") == "rare") & pl.col("rebuilt"))
    assert sorted(listed["token_id"]) == rare["token_id"].to_list()
    assert listed["turnover"].is_monotonic_decreasing
    assert listed["turnover"].tolist() == pytest.approx(rare["turnover"].sort(descending=True).to_list())


def test_search_goes_over_all_tokens_in_any_case(visit, changes):
    (listed,) = tables_with(visit("tokens", q="BA"), "turnover", "token_id")
    expected = changes.filter(pl.col("text").str.contains("ba"))["token_id"].to_list()
    assert sorted(listed["token_id"]) == expected


def test_search_by_regular_expression(visit, changes):
    (listed,) = tables_with(visit("tokens", q="^b.*t$", regex=True), "turnover", "token_id")
    expected = [i for i, text in enumerate(changes["text"]) if text.startswith("b") and text.endswith("t")]
    assert expected
    assert sorted(listed["token_id"]) == expected


def test_plain_search_takes_signs_literally(visit):
    (listed,) = tables_with(visit("tokens", q="**s"), "turnover", "token_id")
    assert listed["text"].tolist() == ["**strong**"]
    nothing = clean(visit("tokens", q="no such token"))
    assert len(nothing.info) >= 1


def test_the_token_card_tells_neighbours_of_the_full_space(visit, comparison, changes):
    token_id = comparison.vocabulary["text"].to_list().index(WORDS[-1])
    app = clean(visit("tokens", token=token_id))
    shown = tables_with(app, "similarity", "token_id")
    for table, matrix in zip(shown, (comparison.original, comparison.rebuilt), strict=True):
        found = nearest_neighbours(matrix, 10, rows=[token_id])
        assert table["token_id"].tolist() == found.indices[0].tolist()
        assert table["similarity"].tolist() == pytest.approx(found.similarities[0].tolist(), abs=1e-6)
    assert metrics(app)[0] == f"{changes['cosine'][token_id]:.3f}"
    assert metrics(app)[-1] == f"{changes['turnover'][token_id]:.0%}"
    assert any(f"{WORDS[-8]} or {WORDS[-2]}" in text.value for text in app.text)


def test_a_token_without_a_definition_is_said_to_be_kept(visit, comparison):
    kept = int(np.flatnonzero(~comparison.reconstruction.rebuilt)[-1])
    app = clean(visit("tokens", token=kept))
    assert metrics(app)[0] == "1.000"
    assert any("no definition" in info.value for info in app.info)


@pytest.mark.parametrize(("to", "suffix"), [("safetensors", ".safetensors"), ("npy", ".npy"), ("parquet", ".parquet")])
def test_export_writes_the_rebuilt_table(to, suffix, visit, comparison, tmp_path, monkeypatch):
    work_here(monkeypatch)
    out = tmp_path / "new" / f"table{suffix}"
    app = visit("export", format=to, **{f"out-{to}-{RUN}": str(out)})
    button(app, "Export").click().run()
    clean(app)
    assert str(out) in unescaped(app.success[0].value)
    assert np.array_equal(read_table(out), comparison.rebuilt)


def test_export_writes_a_checkpoint(visit, comparison, tmp_path, monkeypatch):
    from transformers import AutoModel

    work_here(monkeypatch)

    app = visit("export", format="checkpoint", **{f"out-checkpoint-{RUN}": str(tmp_path / "made")})
    button(app, "Export").click().run()
    clean(app)
    model = AutoModel.from_pretrained(tmp_path / "made")
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), comparison.rebuilt)


# What users and broken files do.


@pytest.mark.parametrize("name", ["/no/such/folder", "nobody/no-such-model", "../..", "", " ", "<b>x</b>", "\u202e"])
def test_a_plm_that_is_not_there_is_one_sentence(name, visit):
    app = visit("definitions", plm=name)
    if name:
        assert "folder" in one_sentence(app)
        assert name.isprintable() or name not in app.error[0].value
    else:
        clean(app)  # the bundled PLM


@pytest.mark.parametrize("name", ["~nobody-here", "a\x00b", "x" * 5000])
def test_a_name_that_is_no_path_either_is_one_sentence(visit, name):
    assert "no" in one_sentence(visit("model", plm=name))


def test_a_dictionary_without_files_is_one_sentence(visit, tmp_path):
    assert "data.noun" in one_sentence(visit("definitions", dictionary=f"wordnet:{tmp_path}"))
    assert "nonsense" in one_sentence(visit("definitions", dictionary="nonsense"))


def test_a_bad_regular_expression_is_one_sentence(visit):
    assert "(" in one_sentence(visit("tokens", q="(", regex=True))


def test_nothing_is_exported_over_what_lies_there(visit, tmp_path):
    taken = tmp_path / "mine.npy"
    taken.write_bytes(b"mine")
    app = visit("export", format="npy", force=True, **{f"out-npy-{RUN}": str(taken)})
    button(app, "Export").click().run()
    assert "mine.npy" in one_sentence(app)
    assert taken.read_bytes() == b"mine"


def test_an_export_into_a_file_is_one_sentence(visit, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    app = visit("export", format="npy", **{f"out-npy-{RUN}": str(tmp_path / "file" / "under" / "x.npy")})
    button(app, "Export").click().run()
    one_sentence(app)


def test_an_interrupted_run_can_be_resumed(copied, visit, monkeypatch):
    started = []
    monkeypatch.setattr("pages.shared.history.start_run", lambda *given: started.append(given))
    set_status(copied, state="running", stage="map", fraction=0.4, pid=2**22 + 1, created=1.0)
    (copied / "command.json").write_text(json.dumps(["reconstruct", "--out", str(copied)]))
    app = clean(visit("reconstruction"))
    assert [unescaped(e.label) for e in app.expander][1:] == [f"{RUN} · interrupted"]
    button(app, "Resume").click().run()
    assert started == [(None, copied)]


def test_a_failed_run_says_why_and_can_be_deleted(copied, visit):
    set_status(copied, state="failed", message="<b>disk</b> full")
    app = visit("reconstruction")
    assert one_sentence(app) == "<b>disk</b> full"
    button(app, "Delete").click().run()
    assert not copied.exists()
    assert not app.exception


@pytest.mark.parametrize("spoil", ["missing", "no json", "empty object", "a list"])
def test_a_run_with_damaged_evidence_can_still_be_deleted(spoil, copied, visit):
    file = copied / "evidence.json"
    file.unlink()
    if spoil != "missing":
        file.write_text({"no json": "{", "empty object": "{}", "a list": "[1]"}[spoil])
    app = visit("reconstruction")
    assert RUN in one_sentence(app)
    button(app, "Delete").click().run()
    assert not copied.exists()


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("projection", "reconstruction.safetensors"),
        ("spectrum", "vocabulary.parquet"),
        ("tokens", "reconstruction.safetensors"),
        ("export", "evidence.json"),
        ("reconstruction", "config.json"),
    ],
)
def test_a_damaged_run_is_one_sentence(page, file, copied, visit):
    (copied / file).write_bytes((copied / file).read_bytes()[:20])
    assert RUN in one_sentence(visit(page))


def test_a_run_that_does_not_say_its_plm_cannot_be_chosen(copied, visit):
    (copied / "config.json").write_text("{}")
    app = clean(visit("tokens"))
    assert len(app.info) == 1
    assert not app.dataframe


def test_a_run_that_finished_here_and_was_deleted_is_forgotten(copied, visit):
    app = clean(visit("reconstruction", finished_run=RUN))
    assert len(app.success) == 1
    button(app, "Delete").click().run()
    assert not clean(app).success


def test_a_folder_that_is_no_run_hides_no_other(copied, visit):
    (copied.parent / "stray").mkdir()
    (copied.parent / "broken").mkdir()
    (copied.parent / "broken" / "status.json").write_text("{")
    app = clean(visit("reconstruction"))
    assert len(app.expander) >= 1
    assert RUN in unescaped(" ".join(e.label for e in app.expander))


def test_a_plm_that_changed_since_the_run_is_one_sentence(world, copied, visit, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    config["provenance"]["plm"]["table_sha256"] = "0" * 64
    (copied / "config.json").write_text(json.dumps(config))
    assert "000000" in one_sentence(visit("tokens"))


@pytest.mark.parametrize("token", [0, 256, 257, 30_000])
def test_a_token_id_of_a_larger_table_does_no_harm(token, visit, comparison):
    app = clean(visit("tokens", token=token))
    assert len(tables_with(app, "similarity")) == 2


@pytest.mark.parametrize("nonsense", ["-1", "1e9", "../../etc", "\u202e<b>"])
@pytest.mark.parametrize("page", COMPARING)
def test_any_address_opens_the_page(nonsense, page, world):
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.session_state["plm"] = str(world.plm)
    for name in ("run", "colour", "format", "token", "q", "measure", "regex", "rare", "word", "dictionary"):
        app.query_params[name] = nonsense
    clean(app.switch_page(f"pages/{page}.py").run())


def test_the_address_opens_the_same_view(world, comparison):
    app = AppTest.from_file(str(APP), default_timeout=60)
    token = comparison.vocabulary["text"].to_list().index(WORDS[3])
    for name, value in {"plm": str(world.plm), "run": RUN, "q": "ba", "token": str(token)}.items():
        app.query_params[name] = value
    app.switch_page("pages/tokens.py").run()
    clean(app)
    assert app.text_input(key="q").value == "ba"
    assert app.number_input(key="token").value == token
    assert WORDS[3] in app.subheader[0].value


# Tokens that are markup, code or control characters.


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_token_is_shown_as_its_letters(text, visit, comparison):
    token_id = comparison.vocabulary["text"].to_list().index(text)
    app = clean(visit("tokens", token=token_id, q=text))
    assert unescaped(app.subheader[0].value) == unescaped(f"“{plain(text)}”")
    for element in (*app.subheader, *app.caption, *app.markdown, *app.title):
        for sign in ("<b>", "**s", "$\\a", "[l]", ":red[", "\u202e", "\x07"):
            assert sign not in element.value
    (listed,) = tables_with(app, "turnover", "token_id")
    assert listed["text"].tolist() == [plain(text)]


def test_no_page_lets_html_through(visit):
    for page in PAGES:
        app = visit(page, q="<b>", word="<b>bold</b>")
        assert not [e for e in (*app.markdown, *app.caption, *app.title) if getattr(e.proto, "allow_html", False)]


def test_hostile_definitions_are_shown_as_text(visit):
    app = clean(visit("definitions", word=DEFINED_HOSTILE[0]))
    assert ["<script>" in text.value for text in app.text] == [True]
    assert not [m.value for m in (*app.markdown, *app.caption) if "<" in m.value.replace("\\<", "")]


@pytest.mark.parametrize("text", [OVERRIDE, BELL])
def test_characters_that_turn_or_ring_are_named(text, visit):
    (vocabulary,) = tables_with(visit("model", find=text), "token_id", "text")
    assert vocabulary["text"].tolist() == [plain(text)]
    assert "<U+" in vocabulary["text"][0]


def at_work(folder):
    """A run whose process is this one."""
    process = psutil.Process(os.getpid())
    return set_status(
        folder, state="running", stage="map", fraction=0.5, started=1.0, updated=2.0, pid=process.pid,
        created=process.create_time(),
    )  # fmt: skip


def read_table(file):
    if file.suffix == ".npy":
        return np.load(file, allow_pickle=False)
    if file.suffix == ".parquet":
        return pl.read_parquet(file)["embedding"].to_numpy()
    from safetensors.numpy import load_file

    return load_file(file)["matrix"]


def test_the_source_of_frequency_is_the_one_that_suits_the_plm_until_chosen(world, visit, tmp_path):
    other = Path(shutil.copytree(world.plm, tmp_path / "other"))
    tokenizer = Tokenizer(models.WordLevel(Tokenizer.from_file(str(other / "tokenizer.json")).get_vocab(), "[UNK]"))
    tokenizer.save(str(other / "tokenizer.json"))
    shown = clean(visit("model"))
    assert any("Frequency groups by row order" in caption.value for caption in shown.caption)
    left = shown.session_state["frequency-vocabulary"]  # the control's value, which nobody has chosen
    assert "frequency-wordfreq" not in shown.session_state
    app = clean(visit("model", plm=str(other), **{"frequency-vocabulary": left}))
    assert any("Frequency groups by wordfreq" in caption.value for caption in app.caption)


def test_the_choice_of_frequency_reaches_a_run(visit, monkeypatch):
    started = []
    monkeypatch.setattr("pages.shared.progress.start_run", lambda *given: started.append(given))
    app = clean(visit("reconstruction", **{"frequency-vocabulary": "wordfreq", "cuts": (10, 25)}))
    button(app, "Rebuild").click().run()
    [(arguments, _)] = started
    named = dict(pairwise(arguments))
    assert (named["--frequency"], named["--groups"]) == ("wordfreq", "0.1,0.15,0.75")


def test_a_run_is_found_under_a_shorter_name_of_its_plm(world, visit, monkeypatch):
    monkeypatch.chdir(world.plm.parent)
    app = clean(visit("spectrum", plm=world.plm.name))
    assert app.selectbox(key="run").value == RUN


SHOWN = {
    "Related words": "relations",
    "Mentions": "mentions",
    "Word pieces": "pieces",
    "Leave out": "without",
    "Share rebuilt (alpha)": "alpha",
    "Blend": "blend",
    "Match norms": "match_norms",
    "Senses a token": "max_senses",
    "Folds": "folds",
    "Seed": "seed",
    "Weight of rare rows": "rare_weight",
    "Directions": "directions",
    "Preset": "preset",
    "Passes": "passes",
    "Learning rate": "rate",
    "Train the student's table": "train_table",
}


@pytest.mark.parametrize("method", METHODS)
def test_only_the_settings_that_count_are_asked_for(method, visit, monkeypatch):
    started = []
    monkeypatch.setattr("pages.shared.progress.start_run", lambda *given: started.append(given))
    app = visit("reconstruction")
    [choice] = [box for box in app.selectbox if box.label == "Method"]
    choice.set_value(method).run()
    clean(app)
    inputs = [*app.toggle, *app.slider, *app.number_input, *app.selectbox, *app.multiselect]
    assert {SHOWN[each.label] for each in inputs if each.label in SHOWN} == relevant_settings(method) - {"method"}
    assert [each.label for each in app.expander if each.label == "Training"] == ["Training"] * (method == "trained")
    button(app, "Rebuild").click().run()
    [(arguments, _)] = started
    assert dict(pairwise(arguments))["--method"] == method


# What a run will take.


def test_the_reconstruction_page_says_what_a_run_takes(visit):
    app = clean(visit("reconstruction"))
    (takes,) = tables_with(app, "method", "time", "memory")
    assert takes["method"].to_list() == ["instant", "frozen", "trained, quick", "trained, default"]
    assert all(re.fullmatch(r"about [\d.]+ (s|min|h)", words) for words in takes["time"])
    assert all(re.fullmatch(r"about [\d.]+ (MB|GB)", words) for words in takes["memory"])


def test_an_estimate_is_made_once(visit, runs, monkeypatch):
    from pages.shared import estimates

    made, real = [], estimates.estimate_reconstruction
    monkeypatch.setattr(estimates, "estimate_reconstruction", lambda *given: made.append(given[3]) or real(*given))
    for _ in range(2):
        assert tables_with(clean(visit("reconstruction")), "time")
    assert made == list(estimates.ROWS.values())


@pytest.mark.parametrize("named", [True, False])
def test_without_a_dictionary_no_estimate_is_shown_and_nothing_is_downloaded(named, visit, runs, monkeypatch, tmp_path):
    from defemb_core.dictionaries import wordnet_files

    monkeypatch.setattr(wordnet_files, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(wordnet_files, "_obtain", lambda target: pytest.fail("downloads"))
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    if named:
        monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    else:
        monkeypatch.delenv("WNSEARCHDIR")
    app = clean(visit("reconstruction"))
    assert tables_with(app, "time") == []
    assert button(app, "Rebuild")


# Training


EVALUATIONS = [{"update": 0.0, "validation": 0.5}, {"update": 10.0, "validation": 0.25, "loss": 0.375}]


def loss_charts(app):
    """What the loss curves on a page say in words."""
    return [alt for alt in (chart.proto.alt for chart in app.get("plotly_chart")) if "Loss while training" in alt]


@pytest.mark.parametrize(("kept", "said"), [({}, 0), ({"student_share": 0.3}, 1)])  # older runs kept no share
def test_a_trained_runs_loss_curve_is_shown(copied, visit, kept, said):
    evidence = json.loads((copied / "evidence.json").read_text()) | kept
    training = {"preset": "quick", "updates": 9, "planned": 10, "best": 10, "seconds": 90.0, "examples": 1234}
    (copied / "evidence.json").write_text(json.dumps(evidence | {"training": training | {"history": EVALUATIONS}}))
    app = clean(visit("reconstruction"))
    shares = [
        caption.value for caption in app.caption if "to 30% those of the student's map and to 70%" in caption.value
    ]
    assert len(shares) == said
    [told] = loss_charts(app)
    assert "0.2500 after 10 updates" in told
    assert any("9 of 10 updates in 1.5 min, 1,234 examples" in caption.value for caption in app.caption)
    assert not app.warning


def test_a_training_that_did_not_help_says_so(copied, visit):
    evidence = json.loads((copied / "evidence.json").read_text())
    training = {"preset": "quick", "updates": 9, "planned": 10, "best": 0, "seconds": 90.0, "examples": 1234}
    (copied / "evidence.json").write_text(json.dumps(evidence | {"training": training | {"history": EVALUATIONS}}))
    [warning] = clean(visit("reconstruction")).warning
    assert "the rows come from the PLM's own states" in warning.value


def test_a_loss_curve_grows_while_a_student_learns(copied, visit):
    set_status(copied, state="running", stage="training", fraction=0.4, **identity(os.getpid()))
    app = visit("reconstruction")
    assert loss_charts(app) == []
    for evaluation in EVALUATIONS:
        remember(copied, {"stage": "training", **evaluation})
    app.run()
    [told] = loss_charts(app)
    assert "0.2500 after 10 updates" in told


def test_only_the_settings_of_a_method_are_named(copied, visit):
    app = clean(visit("reconstruction"))
    [words] = [text.value for text in app.text if "with wordnet: method" in text.value]
    assert "preset" not in words
    assert "None" not in words
    config = json.loads((copied / "config.json").read_text())
    config["settings"] |= {"method": "trained", "rate": 1e-5, "rare_weight": 0.5}
    (copied / "config.json").write_text(json.dumps(config))
    [words] = [text.value for text in clean(visit("reconstruction")).text if "method trained" in text.value]
    assert "preset default, rate 1e-05" in words
    assert "rare weight 0.5" in words


# Definitions of one's own


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's glossary of this test, not there yet."""
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "glossary.csv"


def write(app, token, definition, pos=""):
    """Fill the box and press its button."""
    app.text_input(key="own-token").set_value(token)
    app.text_area(key="own-definition").set_value(definition)
    app.selectbox(key="own-pos").set_value(pos)
    button(app, "Save definition").click().run()
    return app


def test_a_definition_written_on_the_spot_counts_at_once(own, visit):
    app = write(clean(visit("definitions")), UNDEFINED[0], "a sound that a door makes", "noun")
    clean(app)
    assert own.read_text() == f"word,pos,definition\n{UNDEFINED[0]},noun,a sound that a door makes\n"
    assert app.text_input(key="dictionary").value == "wordnet,glossary"
    assert app.query_params["dictionary"] == "wordnet,glossary"
    assert f"{DEFINED + 1:,}" in metrics(app)
    assert UNDEFINED[0] in unescaped(app.success[0].value)
    assert app.text_area(key="own-definition").value == ""
    (missing,) = tables_with(app, "token_id", "text")
    assert UNDEFINED[0] not in set(missing["text"])
    write(app, UNDEFINED[1], "a sound that a bell makes")
    assert app.text_input(key="dictionary").value == "wordnet,glossary"
    assert f"{DEFINED + 2:,}" in metrics(clean(app))


def test_a_word_piece_is_named_with_its_mark(own, visit, comparison):
    app = write(visit("definitions"), "##z", "the last letter, inside a word")
    assert f"{DEFINED + 1:,}" in metrics(clean(app))
    piece = comparison.vocabulary["token"].to_list().index("##z")
    (missing,) = tables_with(app, "token_id", "text")
    assert piece not in set(missing["token_id"])


@pytest.mark.parametrize(
    ("token", "definition", "said"),
    [
        ("no such row", "x", "no row"),
        ("[UNK]", "x", "no row"),
        ("[unused1]", "x", "no row"),
        ("", "x", "word is blank"),
        (UNDEFINED[0], " ", "definition is blank"),
        (BELL, "x", "control character"),
        ("<b>", "x", "'<b>'"),
    ],
)
def test_what_cannot_be_saved_is_one_sentence(token, definition, said, own, visit):
    app = write(visit("definitions"), token, definition)
    assert said in one_sentence(app)
    assert not own.exists()
    assert app.text_input(key="dictionary").value == "wordnet"
    assert not clean(app.run()).success  # said once


def test_a_glossary_that_cannot_be_written_is_one_sentence(own, visit):
    own.parent.write_bytes(b"")
    assert "cannot write" in one_sentence(write(visit("definitions"), UNDEFINED[0], "x"))


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in (BELL, *DEFINED_HOSTILE)])
def test_hostile_tokens_can_be_defined(text, own, visit):
    app = clean(write(visit("definitions", word=text), text, "<b>x</b> $\\alpha$"))
    assert f"{DEFINED + 1:,}" in metrics(app)
    assert [shown.value for shown in app.text] == ["<b>x</b> $\\alpha$"]
    assert unescaped(plain(text)) in unescaped(app.success[0].value)
    for element in (*app.success, *app.markdown, *app.caption):
        for sign in ("<", "[l]", ":red[", "\u202e"):
            assert sign not in element.value.replace("\\<", "")


def test_a_row_that_is_selected_is_the_one_to_define(own, visit, comparison, monkeypatch):
    piece = comparison.vocabulary["token"].to_list().index("##z")
    real = tables.show

    def select(frame, name, **options):
        real(frame, name, **options)
        return [frame["token_id"].to_list().index(piece)] if options.get("select") else []

    monkeypatch.setattr(tables, "show", select)
    app = clean(visit("definitions"))
    assert app.text_input(key=f"own-{piece}-token").value == "##z"
    app.text_area(key=f"own-{piece}-definition").set_value("the last letter")
    monkeypatch.setattr(tables, "show", real)
    button(app, "Save definition").click().run()
    assert own.read_text().endswith("##z,,the last letter\n")


def test_a_glossary_and_its_notes_are_shown_and_noticed_when_they_change(own, visit):
    assert "no glossary of your own" in one_sentence(visit("definitions", dictionary="glossary"))
    own.parent.mkdir()
    own.write_text(f"word,definition\n{UNDEFINED[0]},x\n{UNDEFINED[1]},\n")
    app = clean(visit("definitions", dictionary="glossary"))
    assert "1" in metrics(app)
    assert "1 line without a definition left out: 3" in [unescaped(caption.value) for caption in app.caption]
    own.write_text(f"word,definition\n{UNDEFINED[0]},x\n{UNDEFINED[1]},y\n")
    os.utime(own, (1, 1))
    app = clean(visit("definitions", dictionary=f"wordnet,glossary:{own}"))
    assert f"{DEFINED + 2:,}" in metrics(app)
    assert not any(
        "left out" in caption.value for caption in clean(visit("definitions", dictionary="glossary")).caption
    )


# Maps of some rows, and kept selections


def test_a_map_of_some_rows_marks_and_selects_those(visit, comparison):
    rare = np.flatnonzero((comparison.vocabulary["group"] == "rare").to_numpy())
    analyse(comparison, ProjectionSettings("pca", subset="rare"))
    chosen = np.array([0, rare[1], rare[3]], np.int32)  # the first is not on the map
    app = clean(visit("projection", map="pca", rows="rare", selection=Selection(chosen, comparison.key, 2)))
    maps = linked_maps(app)
    assert (maps["rows"], maps["total"]) == (len(rare), comparison.plm.rows)
    assert maps["marks"]["elsewhere"] == 1
    assert decode_rows(maps["marks"]["rows"], len(rare)).tolist() == [1, 3]
    assert any(f"{len(rare):,} of {comparison.plm.rows:,} rows are on the maps" in text.value for text in app.caption)


def test_regions_are_named_on_the_maps_unless_they_are_switched_off(visit, comparison):
    assert linked_maps(clean(visit("projection", regions=False)))["areas"] == [[], []]
    shown = linked_maps(clean(visit("projection")))["areas"]
    named = read_analysis(comparison).regions.drop_nulls("name")
    assert [len(areas) for areas in shown] == [named.filter(map=number).height for number in (0, 1)]


def test_a_selection_is_kept_taken_back_and_forgotten(visit, comparison, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))
    app = visit("projection", selection=Selection(np.array([1, 2, 3], np.int32), comparison.key))
    app.text_input(key="selection-name").set_value("mine")
    next(button for button in app.button if button.label == "Keep these 3 tokens").click().run()
    other = visit("projection", selection=Selection(np.array([3, 4], np.int32), comparison.key))
    clean(other).selectbox(key="selection-how").set_value("intersect").run()
    next(button for button in other.button if button.label == "Select 1").click().run()
    (listed,) = tables_with(clean(other), "token_id", "movement")
    assert listed["token_id"].tolist() == [3]
    next(button for button in other.button if button.label == "Forget it").click().run()
    assert kept_selections(comparison.vocabulary) == {}


def test_a_selection_that_cannot_be_kept_is_one_sentence(visit, comparison, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))
    app = visit("projection", selection=Selection(np.array([1], np.int32), comparison.key))
    next(button for button in app.button if button.label == "Keep these 1 tokens").click().run()
    assert "cannot be named" in one_sentence(app)
