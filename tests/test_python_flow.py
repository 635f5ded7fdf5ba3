"""`import defemb_core as de`: the examples of its docstrings run, and its results show well in console and notebook."""

import dataclasses
import doctest
import inspect
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest

import defemb_core as de
from defemb_core.described import Described
from defemb_core.errors import SettingsError
from defemb_core.import_table import ImportedTable
from defemb_core.projection import Projection
from defemb_core.views import token_rows

SKIPPED = {"project_umap", "analyse", "write_report"}
"""Their examples take up to a minute."""


@pytest.fixture(scope="module")
def pair(tiny_plm, tiny_reconstruction):
    return de.Comparison(tiny_plm, tiny_reconstruction)


# The examples


def examples(name):
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(de, name), name, globs={})
    return test


@pytest.mark.parametrize("name", de.__all__)
def test_every_public_name_has_an_example_and_says_what_it_is(name):
    shown = examples(name).examples
    assert shown
    skipped = [example for example in shown if doctest.SKIP in example.options]
    assert len(skipped) == (len(shown) if name in SKIPPED else 0)
    assert len(inspect.getdoc(getattr(de, name)).partition("\n")[0]) > 20


def test_the_examples_are_one_session_that_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session, said = {"de": de}, []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for name in de.__all__:
        test = examples(name)
        test.globs = session  # what one example has made, the next one may use
        runner.run(test, out=said.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    assert runner.tries > 30


# How results show


class Seen(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_main_results_show_on_one_line_and_as_a_card(tiny_plm, tiny_reconstruction, pair):
    said = {tiny_plm: f"{tiny_plm.rows:,} rows", tiny_reconstruction: "method", pair: "original and rebuilt"}
    for shown, what in said.items():
        assert isinstance(shown, Described)
        assert what in repr(shown)
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 500
        seen = Seen(shown._repr_html_())
        assert what in seen.text
        assert set(seen.tags) == {"div", "strong", "dl", "dt", "dd"}
        assert len(shown._repr_html_()) < 3000
        assert "color:inherit" in shown._repr_html_()  # as the theme around it has it


def test_a_name_that_would_like_to_be_markup_is_text(tiny_plm, tiny_reconstruction):
    nasty = '<script>alert("1")</script>\n&amp;\u202e'
    plm = dataclasses.replace(tiny_plm, name=nasty, licence=nasty)
    provenance = {**tiny_reconstruction.provenance, "plm": {"title": nasty, "table_sha256": plm.digest}}
    made = dataclasses.replace(tiny_reconstruction, provenance=provenance)
    for shown in (plm, made, de.Comparison(plm, made)):
        seen = Seen(shown._repr_html_())
        assert "script" not in seen.tags
        assert "script>" in seen.text
        assert "\n" not in repr(shown)
        assert "\u202e" not in shown._repr_html_() + repr(shown)


def test_what_is_not_known_is_not_told(tiny_reconstruction):
    bare = dataclasses.replace(tiny_reconstruction, evidence={}, provenance={})
    assert "held-out" not in repr(bare)
    assert "None" not in repr(bare)
    assert "held-out" in repr(tiny_reconstruction)


def test_other_tables_are_said_to_differ_not_to_be_rebuilt(tiny_plm):
    other = tiny_plm.matrix.copy()
    other[3] += 1
    pair = de.Comparison(tiny_plm, ImportedTable(other, "other", tiny_plm.rows), names=("one", "two"))
    assert f"rows that differ: 1 of {tiny_plm.rows:,}" in repr(pair)
    assert "rebuilt" not in repr(pair)


# Words and maps


def test_nearest_words_are_those_of_the_full_space(pair):
    words = pair.vocabulary.filter(kind="word")["text"].to_list()[:3]
    found = de.nearest_words(pair, words, k=2)
    assert found.columns == ["word", "original", "rebuilt"]
    assert found["word"].to_list() == words
    for name, table in (("original", pair.original), ("rebuilt", pair.rebuilt)):
        units = table / np.linalg.norm(table, axis=1, keepdims=True)
        for word, near in zip(words, found[name], strict=True):
            row = token_rows(pair.vocabulary, [word])[0]
            cosines = units @ units[row]
            cosines[row] = -2
            best = pair.vocabulary["text"][np.argsort(-cosines)[:2].tolist()].to_list()
            assert near == ", ".join(best)


def test_a_word_is_the_token_that_starts_a_word():
    vocabulary = pl.DataFrame({
        "token_id": [0, 1, 2], "text": ["a", "a", "b"], "starts_word": [False, True, False], "rank": [0, 1, 2],
    })  # fmt: skip
    assert token_rows(vocabulary, ["a", "b", "a"]) == [1, 2, 1]
    with pytest.raises(SettingsError, match="'xyz' is no single token"):
        token_rows(vocabulary, ["a", "xyz"])


def test_both_maps_hold_every_row_within_the_same_limits(pair):
    maps = de.project_pca([pair.original, pair.rebuilt])
    word = pair.vocabulary.filter(kind="word")["text"][0]
    figure = de.draw_maps(pair, maps, marked=[word])
    assert isinstance(figure, go.Figure)
    for number, made in enumerate(maps, 1):
        axis = "x" if number == 1 else "x2"
        points = [trace for trace in figure.data if trace.xaxis == axis and trace.hovertext is not None]
        assert sum(len(trace.x) for trace in points) == len(made.coordinates)
        low, high = figure.layout["xaxis" if number == 1 else "xaxis2"].range
        assert low <= made.coordinates[:, 0].min() <= made.coordinates[:, 0].max() <= high
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    titles = [note.text for note in figure.layout.annotations]
    assert titles[:2] == ["original", "rebuilt"]
    assert titles.count(word) == 2  # marked on both
    legend = [trace.name for trace in figure.data if trace.showlegend]
    assert len(legend) == len(set(legend))


def test_maps_of_other_rows_are_refused(pair):
    few = Projection(np.zeros((3, 2), np.float32), "pca")
    with pytest.raises(SettingsError, match="for 3 points"):
        de.draw_maps(pair, [few, few])


def test_places_may_be_given_as_text(tiny_plm, tiny_reconstruction, tmp_path):
    de.save_reconstruction(tiny_reconstruction, str(tmp_path))
    made = de.load_reconstruction(str(tmp_path))
    out = de.export_reconstruction(made, tiny_plm, "npy", str(tmp_path / "table.npy"))
    assert np.array_equal(de.read_table(str(out), tiny_plm).matrix, tiny_reconstruction.matrix)
