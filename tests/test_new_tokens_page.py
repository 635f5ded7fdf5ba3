"""The page New tokens."""

import json
from pathlib import Path

import pytest
import test_pages
from app_support import RUN, UNDEFINED, WORDS
from test_pages import button, clean, one_sentence, unescaped

from defemb_core.cache import cache_folder
from defemb_core.cli import main
from defemb_core.export_place import MANIFEST
from defemb_core.new_tokens.rows import STARTS
from pages.shared import new_tokens

_apart, comparison, visit, world = (  # fixtures of the pages' tests
    test_pages._apart, test_pages.comparison, test_pages.visit, test_pages.world,
)  # fmt: skip

TYPED = f"zorblat: {WORDS[0]} of {WORDS[5]}\n<b>zub</b>: {WORDS[7]} or {WORDS[9]}\n{WORDS[3]}: {WORDS[4]}"


@pytest.fixture
def at_once(monkeypatch):
    """Work that the page starts is done at once, in this process; what was asked for is returned."""
    asked = []

    def work(arguments, folder, join):
        assert join
        asked.append(arguments)
        main(arguments)

    monkeypatch.setattr(new_tokens, "start_run", work)
    return asked


def looked(visit, **state):
    app = visit("new_tokens", **({"new-typed": TYPED} | state))
    return button(app, "Look").click().run()


def test_without_terms_nothing_can_be_pressed(visit):
    app = clean(visit("new_tokens"))
    assert button(app, "Look").disabled
    assert "you see first what would be added" in app.info[0].value


def test_typed_terms_show_what_becomes_of_them(visit, at_once):
    app = clean(looked(visit))
    assert "2 of 3 terms would be added" in app.subheader[0].value
    (table,) = [frame.value for frame in app.dataframe]
    assert table["term"].to_list() == ["zorblat", "<b>zub</b>", WORDS[3]]
    assert table["pieces"][0].startswith("z · ##o · ##r")
    assert table["becomes"].to_list()[2] == "left out: it is one token already"
    assert len(table["nearest"][0].split(", ")) == 5
    assert at_once[0][:2] == ["add-tokens", str(Path(RUN).name)] or at_once[0][1].endswith(RUN)
    assert "--dry-run" in at_once[0]


def test_the_comparison_is_a_chart_and_a_table(visit, at_once):
    app = clean(looked(visit, **{"new-compare": True}))
    frames = [frame.value for frame in app.dataframe]
    figures = next(frame for frame in frames if "cosine" in frame.columns)
    assert figures["start"].to_list() == [new_tokens.NAMES[start] for start in STARTS]
    (chart,) = app.get("plotly_chart")
    assert len(json.loads(chart.proto.spec)["data"]) == 3


def test_the_checkpoint_is_written(visit, at_once, tmp_path):
    out = tmp_path / "made"
    app = looked(visit, **{"new-out": str(out), "new-compare": True, "new-rebuilt": True})
    app = clean(button(app, "Write").click().run())
    assert str(out) in unescaped(app.success[0].value)
    assert str(out) in app.code[0].value
    manifest = json.loads((out / MANIFEST).read_text())
    assert [token["token"] for token in manifest["tokens"]] == ["zorblat", "<b>zub</b>"]
    assert manifest["rebuilt"]["rows"]["rebuilt"] > 0
    assert "--compare" not in at_once[1]


def test_a_target_that_is_taken_says_so(visit, at_once, tmp_path):
    (tmp_path / "mine").mkdir()
    app = looked(visit, **{"new-out": str(tmp_path / "mine")})
    app = button(app, "Write").click().run()
    assert "exists; name another place" in unescaped(app.error[0].value)
    assert not app.exception


def test_a_line_without_a_definition_says_so(visit):
    app = visit("new_tokens", **{"new-typed": "zorblat"})
    assert "has no definition" in one_sentence(app)
    assert button(app, "Look").disabled


def test_terms_of_which_none_can_be_added_say_why(visit, at_once):
    app = looked(visit, **{"new-typed": f"{WORDS[3]}: {WORDS[4]}"})
    assert "it is one token already" in unescaped(app.error[0].value)
    assert not app.exception


def test_a_corpus(visit, at_once, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(f"zorblat zorblat {UNDEFINED[0]} {WORDS[0]}")
    app = clean(looked(visit, **{"new-kind": new_tokens.CORPUS, "new-corpus": str(corpus), "new-start": "random"}))
    (table,) = [frame.value for frame in app.dataframe]
    assert table["term"].to_list() == ["zorblat"]
    assert table["count"].to_list() == [2]


def test_what_is_kept_lies_in_the_cache(visit, at_once):
    looked(visit)
    assert any((cache_folder() / "new-tokens").iterdir())
