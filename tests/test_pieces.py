import dataclasses
import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from families import save_family
from sklearn.feature_extraction.text import TfidfTransformer

from defemb_core import methods, trained
from defemb_core import pieces as pieces_module
from defemb_core.definitions import describe_matches, match_definitions
from defemb_core.dictionaries import Dictionary, combined, load_dictionary
from defemb_core.dictionaries.wiktionary_store import build_store
from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import split_words, word_families
from defemb_core.features import bag_of_embeddings, definition_texts
from defemb_core.frequency import plm_vocabulary
from defemb_core.pieces import (
    MAX_PIECES,
    MAX_PIECES_OF_SEVERAL,
    MAX_WORDS,
    cuts_of,
    match_pieces,
    matched_senses,
)
from defemb_core.plm import load_plm
from defemb_core.prompts import tokenize_prompts
from defemb_core.reconstruction import Settings, reconstruct


@pytest.fixture(scope="module", params=["bert", "roberta", "t5", "t5gemma"])
def family(request, tmp_path_factory, tiny_plm):
    """A PLM with its vocabulary."""
    kind = request.param
    plm = tiny_plm if kind == "bert" else load_plm(str(save_family(kind, tmp_path_factory.mktemp(kind))))
    return plm, plm_vocabulary(plm)


@pytest.fixture(scope="module")
def whole(tiny_vocabulary, tiny_dictionary):
    """Rows that have a definition of their own."""
    return match_definitions(tiny_vocabulary, tiny_dictionary)["token_id"].unique().sort().to_numpy()


@pytest.fixture(scope="module")
def found(tiny_plm, tiny_vocabulary, tiny_dictionary, whole):
    return match_pieces(tiny_plm, tiny_vocabulary, tiny_dictionary, whole)


def dictionary_of(tiny_dictionary, *lines):
    """A dictionary of lines (word, definition, sense)."""
    frame = pl.DataFrame(lines, schema=["word", "definition", "sense"], orient="row")
    empty = {name: pl.lit(None, dtype=kind) for name, kind in tiny_dictionary.definitions.schema.items()}
    frame = frame.with_columns(**{name: value for name, value in empty.items() if name not in frame.columns})
    frame = frame.select(tiny_dictionary.definitions.columns).cast(dict(tiny_dictionary.definitions.schema))
    return Dictionary(frame, "made", "0" * 64, "here")


# Which words tell of which pieces


def by_loops(plm, vocabulary, dictionary, covered):
    """Row and word, the words of each row in order, with the word's line, pieces and the row's place in it."""
    groups = dict(vocabulary.select("token_id", "group").iter_rows())
    told = {}
    for line, (word, sense) in enumerate(dictionary.definitions.select("word", "sense").iter_rows()):
        ids = plm.tokenizer.encode(f" {word}", add_special_tokens=False).ids
        several = not word.replace("_", "").isalnum()
        if sense == 0 and any(map(str.isalpha, word)) and 2 <= len(ids) <= (8 if several else 4):
            for row in dict.fromkeys(ids):
                if groups[row] != "none" and row not in covered:
                    told.setdefault(row, []).append((several, len(ids), line, word, ids, ids.index(row)))
    return {row: [entry[2:] for entry in sorted(told[row])[:5]] for row in sorted(told)}


def test_pieces_are_told_by_the_words_that_contain_them(family, tiny_dictionary):
    plm, vocabulary = family
    covered = set(match_definitions(vocabulary, tiny_dictionary)["token_id"])
    lines = match_pieces(plm, vocabulary, tiny_dictionary, np.array(sorted(covered)))
    expected = by_loops(plm, vocabulary, tiny_dictionary, covered)
    assert (MAX_WORDS, MAX_PIECES) == (5, 4)
    assert len(expected) > 20
    told = lines.select("token_id", "definition", "text", "pieces", "at").rows()
    assert told == [(row, *entry) for row, entries in expected.items() for entry in entries]
    weights = lines.select("token_id", "weight").rows()
    assert weights == [(row, np.float32(1 / len(entries))) for row, entries in expected.items() for _ in entries]
    assert set(lines["how"]) == {"piece"}


def test_pieces_have_no_definition_of_their_own_and_take_part(found, tiny_vocabulary, whole):
    rows = set(found["token_id"])
    assert not rows & set(whole.tolist())
    assert not rows & set(tiny_vocabulary.filter(pl.col("group") == "none")["token_id"])


def test_every_word_contains_its_piece_where_it_says(found):
    assert all(line["pieces"][line["at"]] == line["token_id"] for line in found.iter_rows(named=True))
    several = ~found["text"].str.contains(r"^\w+$")
    assert found["pieces"].list.len().filter(~several).is_between(2, MAX_PIECES).all()
    assert found["pieces"].list.len().filter(several).is_between(2, MAX_PIECES_OF_SEVERAL).all()


def test_weights_of_a_row_sum_to_one(found):
    sums = found.group_by("token_id").agg(pl.col("weight").sum())["weight"].to_numpy()
    np.testing.assert_allclose(sums, 1, atol=1e-6)
    assert found.group_by("token_id").len()["len"].max() == MAX_WORDS


def test_words_of_few_pieces_come_first(found):
    single = found.filter(pl.col("text").str.contains(r"^\w+$"))
    lengths = single.group_by("token_id", maintain_order=True).agg(pl.col("pieces").list.len())["pieces"]
    assert all(list(own) == sorted(own) for own in lengths)
    assert any(len(set(own)) > 1 for own in lengths)


def test_several_words_tell_of_each_after_single_ones(tiny_plm, tiny_vocabulary, tiny_dictionary):
    lines = [("dog man", "both", 0), ("dogman", "a man", 0), ("1 + 1", "no word", 0)]
    made = match_pieces(tiny_plm, tiny_vocabulary, dictionary_of(tiny_dictionary, *lines), np.array([], dtype=np.int64))
    dog = tiny_plm.tokenizer.encode("dog", add_special_tokens=False).ids[0]
    assert made.filter(pl.col("token_id") == dog)["text"].to_list() == ["dogman", "dog man"]
    assert set(made["text"]) == {"dog man", "dogman"}


def test_a_words_first_sense_counts(tiny_plm, tiny_vocabulary, tiny_dictionary):
    lines = [("dogman", "a dog", 1), ("dogman", "a man", 0)]
    lines += [("dog", "a pet", 0)]  # one piece tells of itself
    made = match_pieces(tiny_plm, tiny_vocabulary, dictionary_of(tiny_dictionary, *lines), np.array([], dtype=np.int64))
    ids = tiny_plm.tokenizer.encode("dogman", add_special_tokens=False).ids
    assert 2 <= len(ids) <= MAX_PIECES
    assert sorted(made.select("token_id", "definition").rows()) == sorted((row, 1) for row in set(ids))


def test_forms_of_words_tell_of_pieces_only_where_they_are_asked_to(tiny_plm, tiny_vocabulary, tiny_dictionary):
    dictionary = dictionary_of(tiny_dictionary, ("dogman", "a man", 0), ("dogmen", "plural of dogman: a man", 0))
    form_of = pl.when(pl.col("word") == "dogmen").then(pl.lit("dogman"))
    dictionary = dataclasses.replace(dictionary, definitions=dictionary.definitions.with_columns(form_of=form_of))
    nothing = np.array([], dtype=np.int64)
    assert set(match_pieces(tiny_plm, tiny_vocabulary, dictionary, nothing)["text"]) == {"dogman"}
    assert set(match_pieces(tiny_plm, tiny_vocabulary, dictionary, nothing, forms=True)["text"]) == {"dogman", "dogmen"}


def test_a_piece_that_a_word_has_twice_is_asked_for_where_it_comes_first(tiny_plm, tiny_vocabulary, tiny_dictionary):
    ids = tiny_plm.tokenizer.encode("dogzzz", add_special_tokens=False).ids
    [(row, times)] = [item for item in Counter(ids).items() if item[1] > 1]
    dictionary = dictionary_of(tiny_dictionary, ("dogzzz", "a sleepy dog", 0))
    made = match_pieces(tiny_plm, tiny_vocabulary, dictionary, np.array([], dtype=np.int64))
    [line] = made.filter(pl.col("token_id") == row).iter_rows(named=True)
    assert times > 1
    assert line["at"] == ids.index(row)
    assert line["weight"] == 1


def test_no_word_tells_of_a_piece(tiny_plm, tiny_vocabulary, tiny_dictionary):
    dictionary = dictionary_of(tiny_dictionary, ("dog", "a pet", 0))
    made = match_pieces(tiny_plm, tiny_vocabulary, dictionary, np.array([1]))
    assert made.height == 0
    everything = np.arange(tiny_plm.rows)
    assert match_pieces(tiny_plm, tiny_vocabulary, tiny_dictionary, everything).height == 0


# How the prompts ask for them


def test_cuts_are_those_of_the_lines(found, tiny_vocabulary, tiny_dictionary):
    own = describe_matches(tiny_vocabulary, match_definitions(tiny_vocabulary, tiny_dictionary), tiny_dictionary)
    assert cuts_of(own) is None
    pieces = describe_matches(tiny_vocabulary, found, tiny_dictionary)
    together = pl.concat([own, pieces], how="diagonal")
    cuts = cuts_of(together)
    assert cuts[: own.height] == [None] * own.height
    assert cuts[own.height :] == [(tuple(line["pieces"]), line["at"]) for line in pieces.iter_rows(named=True)]
    assert pieces.height == found.height


def test_prompts_show_the_pieces_before_and_mask_those_after(tiny_plm):
    text, mask = f"{tiny_plm.mask_token} means old", tiny_plm.mask_id
    [plain] = tokenize_prompts(tiny_plm, [text]).ids
    slot = plain.index(mask)
    for at in range(3):
        prompts = tokenize_prompts(tiny_plm, [text], [((50, 60, 70), at)])
        [ids], [place] = prompts.ids, prompts.slots
        assert ids == [*plain[:slot], *[50, 60, 70][:at], *[mask] * (3 - at), *plain[slot + 1 :]]
        assert ids[place] == mask
        assert place == slot + at


# In a reconstruction


@pytest.fixture(scope="module")
def rebuild(tiny_plm, tiny_vocabulary, tiny_dictionary):
    def run(method, pieces=True, **settings):
        settings = {"without": "other-cut"} | settings
        settings = Settings(method, preset="quick", folds=3, pieces=pieces, **settings)
        return reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, settings)

    return run


@pytest.mark.parametrize("method", ["instant", "frozen", "trained"])
def test_more_rows_are_rebuilt_and_judged_by_themselves(rebuild, whole, found, method, tiny_plm):
    made, without = rebuild(method), rebuild(method, pieces=False)
    rows = found["token_id"].unique().to_numpy()
    assert np.flatnonzero(without.rebuilt).tolist() == whole.tolist()
    assert np.flatnonzero(made.rebuilt).tolist() == sorted([*whole, *rows])
    assert (made.matrix[rows] != tiny_plm.matrix[rows]).any(axis=1).all()
    assert made.evidence["held_out"]["tokens"] == without.evidence["held_out"]["tokens"] == len(whole) // 5
    # Rows of one text are held out together.
    words = len(set(made.vocabulary["text"].str.to_lowercase().gather(rows)))
    assert words // 5 <= made.evidence["held_out_pieces"]["tokens"] <= len(rows) // 5 + 5
    assert "held_out_pieces" not in without.evidence
    coverage = made.evidence["coverage"]
    assert coverage["without_definition"] + len(rows) == without.evidence["coverage"]["without_definition"]
    assert set(made.definitions.filter(pl.col("how") == "piece")["token_id"]) == set(rows.tolist())


@pytest.mark.parametrize("method", ["instant", "frozen", "trained"])
def test_too_few_pieces_for_the_folds_are_refused_before_the_work(
    tiny_plm, tiny_vocabulary, tiny_dictionary, method, monkeypatch, whole
):
    only = tiny_dictionary.definitions.filter(pl.col("word").is_in(tiny_vocabulary["text"][whole].to_list()))
    ids = tiny_plm.tokenizer.encode("dogman", add_special_tokens=False).ids
    words = pl.concat([only, only.head(1).with_columns(word=pl.lit("dogman"), sense=pl.lit(0, only["sense"].dtype))])
    dictionary = dataclasses.replace(tiny_dictionary, definitions=words)
    rows = len(set(ids) - set(whole.tolist()))
    assert 1 <= rows < 5
    monkeypatch.setattr(methods, "bag_of_embeddings", lambda *given: pytest.fail("work was begun"))
    settings = Settings(method, pieces=True, rare_weight=1.0, without="other-cut")
    with pytest.raises(SettingsError, match=f"of {rows} rows of word pieces . are left .* --no-pieces"):
        reconstruct(tiny_plm, tiny_vocabulary, dictionary, settings)


@pytest.mark.parametrize("mentions", [True, False])
def test_pieces_change_nothing_for_whole_words(rebuild, whole, mentions):
    settings = {"mentions": mentions, "match_norms": False}
    made, without = rebuild("instant", **settings), rebuild("instant", pieces=False, **settings)
    assert made.evidence["held_out"] == without.evidence["held_out"]
    np.testing.assert_array_equal(made.matrix[whole], without.matrix[whole])


def test_held_out_pieces_are_never_learned_from(rebuild, monkeypatch, whole, found, tiny_vocabulary):
    given, real = [], trained.train
    monkeypatch.setattr(trained, "train", lambda *more: given.append(more) or real(*more))
    made = rebuild("trained", rare_weight=1.0)
    [(_, examples, validation, *_)] = given
    learned = {*examples.row.tolist(), *validation.row.tolist()}
    rows = found["token_id"].unique().sort().to_numpy()
    for part in (whole, rows):
        fitted, held = split_words(word_families(made.definitions, tiny_vocabulary, part), 0)
        assert set(part[fitted].tolist()) <= learned
        assert not set(part[held].tolist()) & learned


def test_students_are_asked_for_pieces_in_their_words(rebuild, monkeypatch):
    given, real = [], methods.tokenize_prompts
    monkeypatch.setattr(methods, "tokenize_prompts", lambda *more: given.append(more) or real(*more))
    made = rebuild("frozen")
    [(_, texts, cuts, *_)] = given
    pieces = (made.definitions["how"] == "piece").to_list()
    assert [cut is not None for cut in cuts] == pieces
    assert len(texts) == made.definitions.height


# Bags without the piece itself


def test_a_bag_leaves_the_row_out_that_it_tells_of(tiny_plm):
    texts = ["dog cat river", "dog dog cat", "dog", "river", "river cat"]
    dog, cat, river = (tiny_plm.tokenizer.token_to_id(word) for word in ("dog", "cat", "river"))
    own = np.array([dog, dog, dog, dog, cat])
    kept = [[cat, river], [cat], [], [river], [river]]
    counts = np.array([np.bincount(ids, minlength=tiny_plm.rows) for ids in kept])
    weight = TfidfTransformer().fit(counts).idf_ ** 2
    found = bag_of_embeddings(tiny_plm, texts, own)
    for bag, ids in zip(found, kept, strict=True):
        expected = np.average(tiny_plm.matrix[ids], axis=0, weights=weight[ids]) if ids else np.zeros(tiny_plm.width)
        np.testing.assert_allclose(bag, expected, atol=1e-6)
    moved = dataclasses.replace(tiny_plm, matrix=tiny_plm.matrix + np.eye(tiny_plm.rows)[:, [dog]].astype(np.float32))
    np.testing.assert_array_equal(bag_of_embeddings(moved, texts, own)[:4], found[:4])
    assert (bag_of_embeddings(moved, texts) != bag_of_embeddings(tiny_plm, texts)).any()


def test_bags_of_a_reconstruction_leave_the_row_out(rebuild, monkeypatch, tiny_plm):
    given, real = Counter(), methods.bag_of_embeddings
    monkeypatch.setattr(
        methods,
        "bag_of_embeddings",
        lambda plm, texts, own: given.update(zip(texts, own.tolist(), strict=True)) or real(plm, texts, own),
    )
    made = rebuild("instant")
    _, texts = definition_texts(made.definitions, True, tiny_plm.mask_token)
    assert given == Counter(zip(texts, made.definitions["token_id"], strict=True))


# Words that were left unread


def entries(plm):
    """Lines of a dump: words that are rows, words that contain others, and a form of one."""
    words = [*WORDS, "dogman", "zzdog", "catman"]
    senses = {word: [{"glosses": [f"What a {word} is."]}] for word in words}
    senses["dogmen"] = [{"glosses": ["plural of dogman"], "tags": ["form-of"], "form_of": [{"word": "dogman"}]}]
    return [{"word": word, "lang_code": "en", "pos": "noun", "senses": told} for word, told in senses.items()]


WORDS = ("dog", "cat", "man")


@pytest.fixture(scope="module", params=["dump", "store"])
def place(request, tmp_path_factory, tiny_plm):
    """A Wiktionary, as a dump and as a store."""
    folder = tmp_path_factory.mktemp("wiktionary")
    (folder / "dump.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries(tiny_plm)))
    if request.param == "dump":
        return folder / "dump.jsonl"
    return build_store(folder / "dump.jsonl", "en", folder / "store").folder


def test_words_that_no_row_is_are_read_when_they_tell_of_pieces(place, tiny_plm, tiny_vocabulary):
    dictionary = load_dictionary(f"wiktionary:{place}", tiny_vocabulary)
    assert "dogman" not in dictionary.definitions["word"]
    assert sorted(dictionary.beyond.words()) == sorted([*WORDS, "dogman", "zzdog", "catman"])
    own, told = (
        matched_senses(tiny_plm, tiny_vocabulary, dictionary, Settings(pieces=pieces, without="other-cut"))
        for pieces in (False, True)
    )
    assert set(own["how"].cast(pl.String)) == {"exact"}
    pieces = told.filter(pl.col("how") == "piece")
    assert set(pieces["word"]) <= {"dogman", "zzdog", "catman"}  # no form tells of a piece
    for line in pieces.iter_rows(named=True):
        ids = tiny_plm.tokenizer.encode(line["word"], add_special_tokens=False).ids
        assert line["pieces"] == ids
        assert line["token_id"] == ids[line["at"]]
        assert line["gloss"] == f"What a {line['word']} is."
    assert pieces.height
    assert told.filter(pl.col("how") != "piece").select(own.columns).equals(own)


def test_what_was_left_unread_is_asked_for_open_rows_only(place, tiny_plm, tiny_vocabulary, tiny_dictionary):
    """Of several sources the first that has words which contain a row counts."""
    several = combined([tiny_dictionary, load_dictionary(f"wiktionary:{place}", tiny_vocabulary)])
    settings = Settings(pieces=True)
    told = matched_senses(tiny_plm, tiny_vocabulary, several, settings).filter(pl.col("how") == "piece")
    first = match_pieces(tiny_plm, tiny_vocabulary, tiny_dictionary, by_itself(tiny_vocabulary, several))
    assert set(told.filter(pl.col("source") != "wiktionary")["token_id"]) == set(first["token_id"])
    assert not set(told.filter(pl.col("source") == "wiktionary")["token_id"]) & set(first["token_id"])
    lines = told["definition"].to_numpy()
    assert (lines[(told["source"] == "wiktionary").to_numpy()] >= several.definitions.height).all()


def by_itself(vocabulary, dictionary):
    """Rows with a definition of their own."""
    return match_definitions(vocabulary, dictionary)["token_id"].unique().to_numpy()


def test_forms_that_were_left_unread_tell_of_rows_that_no_word_does(tiny_plm, tiny_vocabulary, tiny_lexicon):
    dictionary = load_dictionary(f"wordnet:{tiny_lexicon}", tiny_vocabulary)
    own = by_itself(tiny_vocabulary, dictionary)
    before = match_pieces(tiny_plm, tiny_vocabulary, dictionary, own)
    told = matched_senses(tiny_plm, tiny_vocabulary, dictionary, Settings(pieces=True)).filter(pl.col("how") == "piece")
    forms = told.filter(pl.col("form_of").is_not_null())
    assert forms.height
    assert not set(forms["token_id"]) & {*before["token_id"], *own}
    assert set(told["token_id"]) == {*before["token_id"], *forms["token_id"]}
    for line in forms.iter_rows(named=True):
        assert tiny_plm.tokenizer.encode(line["word"], add_special_tokens=False).ids == line["pieces"]
        assert line["gloss"].partition(" of ")[2].startswith(f"{line['form_of']}: ")


def test_a_dictionary_that_was_read_whole_leaves_nothing_unread(place):
    assert load_dictionary(f"wiktionary:{place}").beyond is None


def test_the_tokenizer_is_given_some_words_at_a_time(monkeypatch, tiny_plm, tiny_vocabulary, tiny_dictionary, whole):
    monkeypatch.setattr(pieces_module, "AT_ONCE", 3)
    expected = match_pieces(tiny_plm, tiny_vocabulary, tiny_dictionary, whole)
    monkeypatch.undo()
    assert match_pieces(tiny_plm, tiny_vocabulary, tiny_dictionary, whole).equals(expected)
