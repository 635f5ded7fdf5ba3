import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.tour import SENTENCES


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def two_pages():
    from pages.shared.tour import show_tour

    show_tour("Tokens")
    show_tour("Export")


def visit():
    app = AppTest.from_function(two_pages).run()
    assert not app.exception
    return app


def shown(app):
    return [page for page, words in SENTENCES.items() if any(words in element.value for element in app.markdown)]


@pytest.mark.parametrize("page", SENTENCES)
def test_each_page_has_three_short_sentences(page):
    sentences = re.findall(r"[^.?]+[.?]", SENTENCES[page])
    assert len(sentences) == 3
    assert max(len(sentence) for sentence in sentences) < 110


def test_what_was_read_is_put_away_and_stays_away():
    app = visit()
    assert shown(app) == ["Tokens", "Export"]
    app.button("tour-Tokens").click().run()
    assert shown(app) == ["Export"]
    assert shown(visit()) == ["Export"]


def test_the_tour_can_be_ended():
    visit().button("tour-end-Export").click().run()
    assert shown(visit()) == []


@pytest.mark.parametrize("content", ["", "{", "7", '{"Tokens": 1}', '[["Tokens"], {}]'])
def test_a_damaged_file_shows_it_again(data, content):
    data.mkdir()
    (data / "tour.json").write_text(content)
    assert shown(visit()) == ["Tokens", "Export"]


def test_without_a_folder_to_write_to_the_session_remembers(data):
    data.write_text("a file where the folder would be")
    app = visit()
    app.button("tour-Tokens").click().run()
    assert shown(app) == ["Export"]


def test_only_known_pages_are_kept(data):
    visit().button("tour-Tokens").click().run()
    assert json.loads((data / "tour.json").read_text()) == ["Tokens"]
