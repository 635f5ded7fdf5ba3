# ruff: noqa: F811
"""The views of the Tokens page: a token, several compared, questions, a definition tried."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from app_support import DEFINED_HOSTILE, HOSTILE, RUN, UNDEFINED, WORDS
from streamlit.testing.v1 import AppTest
from test_pages import (  # noqa: F401
    APP,
    _apart,
    button,
    changes,
    charts,
    clean,
    comparison,
    copied,
    evidence,
    metrics,
    one_sentence,
    own,
    runs,
    tables_with,
    unescaped,
    visit,
    world,
)

from defemb_core.comparison import open_comparison
from defemb_core.dictionaries.glossary import LONGEST
from defemb_core.neighbours import nearest_neighbours, normalise_rows
from defemb_core.queries import analogy, between, cosine_matrix, odd_one_out
from defemb_core.text import plain
from defemb_core.trial_files import keep_trials
from defemb_core.undertrained import undertrained_indicators
from pages.shared.search import label_of, row_named, token_named
from pages.shared.token_list import ORDERS, UNDERTRAINED

TRY = "Try a definition"


@pytest.fixture
def units(comparison):
    return {"original": normalise_rows(comparison.original), "rebuilt": normalise_rows(comparison.rebuilt)}


@pytest.fixture
def texts(comparison):
    return comparison.vocabulary["text"].to_list()


def captions(app):
    return unescaped(" ".join(caption.value for caption in app.caption))


def infos(app):
    return unescaped(" ".join(info.value for info in app.info))


# Names of rows


def test_a_token_is_named_as_a_reader_writes_it_or_by_its_row(comparison, texts):
    vocabulary = comparison.vocabulary
    row = texts.index(WORDS[4])
    for name in (WORDS[4], f" {WORDS[4]} ", WORDS[4].upper(), f"#{row}"):
        assert token_named(vocabulary, name) == row
    piece = vocabulary["token"].to_list().index("##z")
    assert token_named(vocabulary, "##z") == piece
    assert token_named(vocabulary, "z") == vocabulary["token"].to_list().index("z")
    for nothing in ("", "  ", "no such", f"#{vocabulary.height}", "#-1", "#²", "##nosuch"):
        assert token_named(vocabulary, nothing) is None


def test_every_row_has_a_name_that_finds_it(comparison):
    for row in range(comparison.vocabulary.height):
        assert row_named(comparison.vocabulary, label_of(comparison.vocabulary, row)) == row


# Without a run, and addresses


@pytest.mark.parametrize("view", ["Token", "Compare", "Queries", TRY])
def test_without_a_run_every_view_says_what_to_do_next(view, runs, visit):
    app = clean(visit("tokens", view=view))
    assert [link.proto.page for link in app.get("page_link")] == ["reconstruction"]


@pytest.mark.parametrize("view", ["Token", "Compare", "Queries", TRY])
@pytest.mark.parametrize("nonsense", ["-1", "../../etc", "\u202e<b>", ":red[x]"])
def test_any_address_opens_a_view_or_is_one_sentence(view, nonsense, world):
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.session_state["plm"] = str(world.plm)
    app.query_params["view"] = view
    for name in ("token", "compare", "a", "b", "c", "query", "score", "sort", "try"):
        app.query_params[name] = nonsense
    app.switch_page("pages/tokens.py").run()
    if app.error:
        assert plain(nonsense) in one_sentence(app)
        assert view in ("Compare", "Queries")
    else:
        clean(app)


def test_the_address_opens_the_same_views(world):
    opened = (
        {"view": "Compare", "compare": [WORDS[0], WORDS[5]]},
        {"view": "Queries", "query": "between"},
        {
            "view": TRY,
            "try": WORDS[3],
        },
    )
    for parameters in opened:
        app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in {"plm": str(world.plm), **parameters}.items():
            app.query_params[name] = value
        clean(app.switch_page("pages/tokens.py").run())
        for name, value in parameters.items():
            assert app.session_state[name] == value


# The list and the card


@pytest.mark.parametrize("by", ORDERS)
def test_the_list_can_be_sorted(by, visit, changes, comparison):
    app = clean(visit("tokens", sort=by, rare=False))
    (listed,) = tables_with(app, "token_id", "norm_original")
    order, frame = ORDERS[by], changes
    if order.column in UNDERTRAINED:
        frame = changes.join(undertrained_indicators(comparison.original, comparison.vocabulary), on="token_id")
    values = frame.sort(order.column, descending=order.descending, nulls_last=True)[order.column].drop_nulls()
    assert listed[order.column].dropna().tolist() == pytest.approx(values.to_list())
    assert order.explanation in captions(app)


@pytest.mark.parametrize("by", ["movement", "like unused rows"])
def test_rare_tokens_that_kept_their_rows_are_listed_where_the_original_counts(by, visit, changes):
    (listed,) = tables_with(clean(visit("tokens", sort=by)), "token_id", "norm_original")
    rare = changes.filter((pl.col("group") == "rare") & (pl.col("rebuilt") | (by == "like unused rows")))
    assert sorted(listed["token_id"]) == rare["token_id"].to_list()


def test_orders_that_are_not_known_yet_are_not_offered(copied, visit, monkeypatch):
    monkeypatch.setattr("pages.shared.state.neighbours_of", lambda comparison: None)
    app = clean(visit("tokens", sort="new neighbours"))
    assert app.selectbox(key="sort").options == [name for name in ORDERS if name not in ("new neighbours", "hubs")]


def test_neighbours_have_their_places_in_the_other_table(visit, texts, units):
    token = texts.index(WORDS[-1])
    shown = tables_with(visit("tokens", token=token), "elsewhere", "change")
    found = {name: nearest_neighbours(table, 10, rows=[token]).indices[0].tolist() for name, table in units.items()}
    for table, name, other, once in zip(shown, units, ("rebuilt", "original"), ("lost", "new"), strict=True):
        every = nearest_neighbours(units[other], len(texts) - 1, rows=[token]).indices[0].tolist()
        assert table["token_id"].tolist() == found[name]
        assert table["elsewhere"].tolist() == [every.index(row) + 1 for row in found[name]]
        for here, (row, change) in enumerate(zip(found[name], table["change"], strict=True)):
            if row not in found[other]:
                assert change == once
            else:
                nearer = found["original"].index(row) - found["rebuilt"].index(row)
                assert change == (f"{nearer:+d}" if nearer else "same"), here
    assert {"lost", "new"} <= set(shown[0]["change"]) | set(shown[1]["change"])


def test_the_card_counts_new_neighbours_and_draws_small_maps(visit, texts, units):
    token = texts.index(WORDS[-1])
    found = {name: nearest_neighbours(table, 10, rows=[token]).indices[0].tolist() for name, table in units.items()}
    app = clean(visit("tokens", token=token))
    new = len(set(found["rebuilt"]) - set(found["original"]))
    assert f"#### Neighbours of {WORDS[-1]}: {new} of 10 are new" in [unescaped(each.value) for each in app.markdown]
    drawn = [told for told in charts(app) if "Around it" in told]
    assert len(drawn) == 2
    for told in drawn:
        assert f"only these {11 + new} rows" in told
        assert f"the token: {WORDS[-1]}" in told


def test_the_card_shows_what_was_read(visit, texts, comparison):
    app = clean(visit("tokens", token=texts.index(WORDS[-1])))
    bag, prompt = (code.value for code in app.code)
    assert prompt.startswith("[MASK] ( noun ) means ")
    assert bag.startswith("noun ")
    assert WORDS[-8] in bag
    assert WORDS[-8] in prompt
    assert "by the word as it is" in captions(app)


def test_a_token_without_a_definition_can_be_given_one(visit, texts):
    app = clean(visit("tokens", token=texts.index(UNDEFINED[0])))
    assert "no definition" in infos(app)
    button(app, TRY).click().run()
    assert clean(app).session_state["view"] == TRY
    assert app.text_input(key="try").value == UNDEFINED[0]
    assert app.text_area[0].value == ""
    assert not app.dataframe


def test_a_special_token_keeps_its_row(visit, texts, comparison):
    special = comparison.vocabulary["token"].to_list().index("[SEP]")
    assert button(clean(visit("tokens", token=special)), TRY).disabled
    app = clean(visit("tokens", view=TRY, **{"try": "[SEP]"}))
    assert "take no part" in infos(app)
    assert not app.text_area


def test_from_the_card_to_a_comparison(visit, texts):
    app = visit("tokens", token=texts.index(WORDS[3]))
    button(app, "Compare with other tokens").click().run()
    assert clean(app).multiselect(key="compare").value == [WORDS[3]]
    assert "two tokens or more" in infos(app)


# Compare


def test_compared_tokens_have_their_cosines_in_both_tables(visit, texts, units):
    rows = [texts.index(word) for word in (WORDS[0], WORDS[9], UNDEFINED[2])]
    app = clean(visit("tokens", view="Compare", compare=[WORDS[0], f"#{rows[1]}", UNDEFINED[2]]))
    (pairs,) = tables_with(app, "with", "difference")
    expected = {}
    for name, table in units.items():
        cosines = cosine_matrix(table, rows)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            expected[texts[rows[i]], texts[rows[j]], name] = cosines[i, j]
    for line in pairs.to_dict("records"):
        for name in units:
            assert line[name] == pytest.approx(expected[line["text"], line["with"], name], abs=1e-6)
        assert line["difference"] == pytest.approx(line["rebuilt"] - line["original"], abs=1e-6)
    assert pairs["difference"].abs().is_monotonic_decreasing
    told = charts(app)
    assert [title in chart for chart, title in zip(told, ("original", "rebuilt", "Change"), strict=True)] == [True] * 3


@pytest.mark.parametrize("names", [[], [WORDS[0]], [WORDS[0], WORDS[0]]])
def test_too_few_tokens_to_compare(names, visit):
    app = clean(visit("tokens", view="Compare", compare=names))
    assert "two tokens or more" in infos(app)


def test_an_unknown_token_in_a_comparison_is_one_sentence(visit):
    app = visit("tokens", view="Compare", compare=[WORDS[0], "no <b>such"])
    assert "'no <b>such'" in one_sentence(app)
    app.multiselect(key="compare").set_value([WORDS[0], WORDS[1]]).run()
    assert len(charts(clean(app))) == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_tokens_can_be_compared(text, visit, texts):
    app = clean(visit("tokens", view="Compare", compare=[f"#{texts.index(text)}", WORDS[0]]))
    (pairs,) = tables_with(app, "with", "difference")
    assert plain(text) in set(pairs["text"]) | set(pairs["with"])


# Queries


def answers(app, column):
    return [table["token_id"].tolist() for table in tables_with(app, column, "token_id", "kind")]


@pytest.mark.parametrize("score", ["3CosAdd", "3CosMul"])
def test_an_analogy_is_answered_by_both_tables(score, visit, texts, units):
    asked = [WORDS[0], WORDS[1], WORDS[8]]
    app = clean(visit("tokens", view="Queries", score=score, **dict(zip("abc", asked, strict=True))))
    rows = [texts.index(word) for word in asked]
    assert answers(app, "score") == [analogy(table, *rows, 10, score).rows.tolist() for table in units.values()]


def test_an_analogy_of_two_tokens_waits_for_the_third(visit):
    app = clean(visit("tokens", view="Queries", a=WORDS[0], b=WORDS[1]))
    assert "three tokens" in infos(app)
    app.text_input(key="c").set_value("nonsense").run()
    assert "'nonsense'" in one_sentence(app)


def test_what_lies_between_tokens(visit, texts, units):
    names = [WORDS[2], WORDS[11]]
    app = clean(visit("tokens", view="Queries", query="between", compare=names))
    rows = [texts.index(name) for name in names]
    assert answers(app, "score") == [between(table, rows, 10).rows.tolist() for table in units.values()]
    assert "2 tokens" in infos(clean(visit("tokens", view="Queries", query="between", compare=names[:1])))


def test_the_odd_one_out(visit, texts, units):
    rows = [texts.index(name) for name in WORDS[:5]]
    app = clean(visit("tokens", view="Queries", query="odd one out", compare=list(WORDS[:5])))
    odd = [texts[rows[int(np.argmin(odd_one_out(table, rows)))]] for table in units.values()]
    assert [text.value for text in app.text] == [f"The odd one out is “{word}”." for word in odd]
    shown = tables_with(app, "similarity", "token_id")
    assert all(table["similarity"].is_monotonic_increasing for table in shown)
    few = clean(visit("tokens", view="Queries", query="odd one out", compare=list(WORDS[:2])))
    assert "3 tokens" in infos(few)


# Try a definition


def trying(visit, name, text=None):
    """The view with a definition typed, or with what it begins with."""
    app = visit("tokens", view=TRY, **{"try": name})
    if text is not None:
        app.text_area[0].set_value(text).run()
    return app


def test_the_runs_own_definitions_give_the_runs_row(visit, texts, changes):
    app = clean(trying(visit, WORDS[7]))
    assert app.text_area[0].value.startswith("(noun) ")
    row = changes.row(texts.index(WORDS[7]), named=True)
    assert metrics(app) == [f"{row['cosine']:.3f}", "1.000", f"{row['norm_rebuilt']:.2f}"]
    original, rebuilt, tried = answers(app, "similarity")
    assert tried == rebuilt != original
    assert texts.index(WORDS[7]) not in tried
    assert "this token's row had no part" in captions(app)


def test_another_definition_moves_the_row_and_can_be_taken_back(visit):
    app = clean(trying(visit, WORDS[7], f"(verb) {WORDS[20]} or {WORDS[31]}"))
    _, rebuilt, tried = nearness(app)
    assert tried != pytest.approx(rebuilt, abs=5e-7)
    read = next(text.value for text in app.text if "%" in text.value)
    assert WORDS[20] in read
    assert any("Where it lies" in told and "your definition" in told for told in charts(app))
    button(app, "Back to the run's").click().run()
    _, rebuilt, tried = nearness(clean(app))
    assert tried == pytest.approx(rebuilt, abs=5e-7)


def nearness(app):
    return [table["similarity"].tolist() for table in tables_with(app, "similarity", "token_id")]


def test_a_new_word_can_be_tried_but_not_kept(visit, own):
    app = clean(trying(visit, "blorp", f"{WORDS[20]} or {WORDS[31]}"))
    assert "no row for it" in captions(app)
    assert len(metrics(app)) == 1
    assert len(answers(app, "similarity")) == 1
    assert button(app, "Accept into my glossary").disabled


@pytest.mark.parametrize(
    ("text", "said"),
    [("x\x07y", "control character"), ("y" * (LONGEST + 1), "shorten"), (WORDS[7], f"nothing but '{WORDS[7]}'")],
)
def test_a_definition_that_says_nothing_is_one_sentence(text, said, visit):
    app = trying(visit, WORDS[7], text)
    assert said in one_sentence(app)
    assert not app.dataframe


@pytest.mark.parametrize("text", ["", " \n "])
def test_without_a_definition_the_view_waits_for_one(text, visit):
    app = clean(trying(visit, WORDS[7], text))
    assert "Type a definition" in infos(app)
    assert button(app, "Accept into my glossary").disabled


def test_more_senses_than_the_run_uses_are_counted(visit):
    app = clean(trying(visit, WORDS[7], "\n".join(f"{word} or {WORDS[50]}" for word in WORDS[20:27])))
    assert "The first 5 senses count, as in the run; 2 are left out." in captions(app)


def test_an_accepted_definition_is_in_the_glossary(visit, own):
    app = trying(visit, UNDEFINED[0], f"(noun) {WORDS[20]} of doors\nthe noise (of a door)\n")
    button(clean(app), "Accept into my glossary").click().run()
    assert own.read_text() == (
        f"word,pos,definition\n{UNDEFINED[0]},noun,{WORDS[20]} of doors\n{UNDEFINED[0]},,the noise (of a door)\n"
    )
    assert "2 definitions are in your glossary" in unescaped(clean(app).success[0].value)
    assert app.session_state["dictionary"] == "wordnet,glossary"
    assert [link.proto.page for link in app.get("page_link")] == ["reconstruction"]
    button(app, "Accept into my glossary").click().run()
    assert "2 there already" in unescaped(clean(app).success[0].value)
    assert not clean(app.run()).success


def test_a_word_piece_is_accepted_under_its_mark(visit, own):
    app = trying(visit, "##z", f"{WORDS[20]} inside")
    button(clean(app), "Accept into my glossary").click().run()
    assert own.read_text().endswith(f"##z,,{WORDS[20]} inside\n")


def test_a_glossary_that_cannot_be_written_leaves_the_view_whole(visit, own):
    own.parent.write_bytes(b"")
    app = trying(visit, UNDEFINED[0], f"{WORDS[20]} of doors")
    button(app, "Accept into my glossary").click().run()
    assert "cannot write" in one_sentence(app)
    assert app.dataframe


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in DEFINED_HOSTILE])
def test_hostile_tokens_and_definitions_are_letters(text, visit, texts):
    app = clean(
        trying(visit, f"#{texts.index(text)}", f"<b>x</b> $\\alpha$ {WORDS[20]} :red[y] {text.replace(chr(7), '')}")
    )
    assert unescaped(app.subheader[0].value) == unescaped(f"“{plain(text)}”")
    for element in (*app.subheader, *app.caption, *app.markdown):
        for sign in ("<b>", "$\\a", "[l]", ":red[", "\u202e", "\x07"):
            assert sign not in element.value


def test_of_a_control_run_nothing_is_tried(visit, copied):
    config = json.loads((copied / "config.json").read_text())
    config["settings"]["method"] = "random"
    (copied / "config.json").write_text(json.dumps(config))
    assert "dealt out at random" in one_sentence(trying(visit, WORDS[7]))


def test_other_methods_are_said_to_differ(visit, copied):
    config = json.loads((copied / "config.json").read_text())
    config["settings"]["method"] = "frozen"
    (copied / "config.json").write_text(json.dumps(config))
    keep_trials(open_comparison(copied))
    assert "The run's method is frozen" in captions(clean(trying(visit, WORDS[7])))


@pytest.mark.parametrize("before", [None, "complete", "failed"])
def test_where_no_map_is_fitted_yet_the_analysis_does_it(before, visit, copied, monkeypatch, tmp_path):
    started = []

    def start(folder):
        started.append(folder)
        status = {"state": "running", "stage": "map for trials", "fraction": 0.05, "started": 1.0, "updated": 2.0}
        (folder / "analysis" / "status.json").write_text(json.dumps(status))

    monkeypatch.setattr("pages.shared.token_trial.start_analysis", start)
    monkeypatch.setattr("defemb_core.runs.is_alive", lambda status: True)
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "empty"))
    (copied / "analysis" / "status.json").unlink()
    if before:
        (copied / "analysis" / "status.json").write_text(json.dumps({"state": before}))
    app = clean(trying(visit, WORDS[7]))
    if before == "failed":
        assert started == []
        button(app, "Fit the map for trials (failed before)").click().run()
    assert started == [copied]
    assert "Once for each run" in infos(app)
    assert not app.text_area
    keep_trials(open_comparison(copied))  # the maps of the tables are not there yet: nobody waits for these
    assert clean(app.run()).text_area


# Two tables that are not a PLM's and a run's


@pytest.fixture
def another(runs, world, copied):
    """A second run of the same PLM, with other settings."""
    return Path(shutil.copytree(copied, runs / "another"))


def test_two_runs_are_compared_by_their_names(visit, another, texts):
    parameters = {"run": RUN, "against": "another"}
    app = clean(visit("tokens", token=texts.index(WORDS[3]), **parameters))
    assert "**Nearest in another**" in [unescaped(markdown.value) for markdown in app.markdown]
    assert f"#### Neighbours of {WORDS[3]}: 0 of 10 are new" in [unescaped(each.value) for each in app.markdown]
    told = charts(clean(visit("tokens", view="Compare", compare=list(WORDS[:3]), **parameters)))
    assert [name in chart for chart, name in zip(told, ("Cosines, another", f"Cosines, {RUN}"), strict=False)] == [
        True
    ] * 2
    app = clean(visit("tokens", view=TRY, **{"try": WORDS[3]}, **parameters))
    assert metrics(app)[:2] == ["1.000", "1.000"]
    assert "**To its row in another**" in [unescaped(markdown.value) for markdown in app.markdown]


def test_of_two_checkpoints_definitions_cannot_be_tried(visit, world, texts):
    checkpoint = {"run": "another checkpoint", "checkpoint": str(world.plm)}
    app = clean(visit("tokens", token=texts.index(WORDS[3]), **checkpoint))
    assert button(app, TRY).disabled
    assert "choose a run" in one_sentence(visit("tokens", view=TRY, **{"try": WORDS[3]}, **checkpoint))
