import dataclasses
import math
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest

from defemb_core import methods
from defemb_core.mentions import bag_of_mentions
from defemb_core.reconstruction import Settings, reconstruct

LINES = [
    ("kennel", "a table for a dog"),
    ("leash", "holds a Dog by the table ; the dog runs"),
    ("guide dog", "a dog that leads the old"),
    ("guard dog", "a dog that leads the old"),  # one definition of two words
    ("cat", "no dog"),
    ("cat", "the old one in the garden"),
    ("dog", "a dog is a dog"),
    ("river bank", "old land beside the river"),
    ("river", "water"),
    ("Bank", "a table of money"),
]


def frame_of(lines, form_of=None):
    frame = pl.DataFrame(lines, schema=["word", "definition"], orient="row")
    return frame.with_columns(form_of=pl.lit(form_of, dtype=pl.String))


DEFINITIONS = frame_of(LINES)


def ids_of(vocabulary, *texts):
    rows = vocabulary.filter((pl.col("kind") == "word") & pl.col("text").is_in(texts))
    by_text = dict(rows.select("text", "token_id").iter_rows())
    return np.array([by_text[text] for text in texts])


def slowly(plm, vocabulary, ids, lines):
    """The bags by loops, as the docstring has them."""
    texts = [text.lower() for text in vocabulary["text"]]
    asked = [texts[i] for i in ids]
    heads = {}
    for word, definition in dict.fromkeys(lines):
        heads.setdefault(definition, []).append(word)
    spoken = {definition: re.findall(r"\w+", definition.lower()) for definition in heads}
    mentioning = {word: [d for d in heads if word in spoken[d]] for word in asked}
    tokens = {
        head: plm.tokenizer.encode(head, add_special_tokens=False).ids
        for head in sorted({head for found in mentioning.values() for d in found for head in heads[d]})
    }
    spread = Counter(row for found in tokens.values() for row in set(found))
    bags, numbers = {}, {}
    for word, found in mentioning.items():
        total, bag = 0.0, np.zeros(plm.width)
        for definition in found:
            for head in heads[definition]:
                for row in tokens[head]:
                    if texts[row] != word:
                        rarity = 1 + math.log((1 + len(tokens)) / (1 + spread[row]))
                        share = rarity**2 / len(spoken[definition]) / len(tokens[head])
                        total, bag = total + share, bag + share * plm.matrix[row]
        numbers[word] = sum(len(heads[definition]) for definition in found)
        bags[word] = bag / total if total else None
    mean = np.mean([bag for bag in bags.values() if bag is not None], axis=0)
    return np.array([
        np.zeros(plm.width) if bags[word] is None else (bags[word] - mean) * math.sqrt(numbers[word]) for word in asked
    ])  # fmt: skip


@pytest.fixture(scope="module")
def ids(tiny_vocabulary):
    return ids_of(tiny_vocabulary, "dog", "table", "old", "river", "a", "the", "bank", "money", "cat", "garden")


def test_bags_are_those_of_the_formula(tiny_plm, tiny_vocabulary, ids):
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids, DEFINITIONS)
    expected = slowly(tiny_plm, tiny_vocabulary, ids, LINES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found[0]).max() > 0.05


def test_bags_of_a_whole_dictionary_are_those_of_the_formula(tiny_plm, tiny_vocabulary, tiny_dictionary):
    words = tiny_vocabulary.filter(pl.col("kind") == "word")["token_id"].to_numpy()
    lines = list(tiny_dictionary.definitions.select("word", "definition").iter_rows())
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, words, tiny_dictionary.definitions)
    np.testing.assert_allclose(found, slowly(tiny_plm, tiny_vocabulary, words, lines), atol=1e-5)


def test_further_rows_change_nothing_for_the_others(tiny_plm, tiny_vocabulary, ids):
    more, fewer = ids[-2:], ids[:-2]
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, fewer, DEFINITIONS, more)
    assert np.array_equal(found[:-2], bag_of_mentions(tiny_plm, tiny_vocabulary, fewer, DEFINITIONS))
    assert found[-2:].any()
    again = bag_of_mentions(tiny_plm, tiny_vocabulary, fewer, DEFINITIONS, fewer[::-1])
    assert np.array_equal(again, np.concatenate([found[:-2], found[:-2][::-1]]))  # the same word, the same bag


def test_a_word_that_nobody_mentions_gets_zeros(tiny_plm, tiny_vocabulary, ids):
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids, DEFINITIONS)
    cat = 8
    assert tiny_vocabulary["text"][int(ids[cat])] == "cat"
    assert [i for i, bag in enumerate(found) if not bag.any()] == [6, cat]  # nor does anyone say "bank"


def test_a_word_that_only_its_own_definition_mentions_gets_zeros(tiny_plm, tiny_vocabulary, ids):
    lines = [*LINES[4:], ("garden", "a garden"), ("Garden", "the garden of a town"), ("GARDEN garden", "garden")]
    frame = frame_of([line for line in lines if line[0] != "cat"])
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids, frame)
    assert not found[9].any()
    assert found[1].any()


def test_forms_of_a_word_do_not_repeat_its_mentions(tiny_plm, tiny_vocabulary, ids):
    forms = frame_of([("kennels", "a table for a dog"), ("cats", "plural of cat: no dog")], form_of="lemma")
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids, pl.concat([DEFINITIONS, forms]))
    np.testing.assert_array_equal(found, bag_of_mentions(tiny_plm, tiny_vocabulary, ids, DEFINITIONS))
    counted = bag_of_mentions(
        tiny_plm, tiny_vocabulary, ids, pl.concat([DEFINITIONS, frame_of(forms.select("word", "definition").rows())])
    )
    assert (found != counted).any()  # the same lines as those of words


def test_no_mention_at_all(tiny_plm, tiny_vocabulary, ids):
    for frame in (DEFINITIONS.clear(), DEFINITIONS.with_columns(definition=pl.lit("?!"))):
        found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids, frame)
        assert found.shape == (len(ids), tiny_plm.width)
        assert not found.any()


def with_row(plm, row, by):
    matrix = plm.matrix.copy()
    matrix[row] += by
    return dataclasses.replace(plm, matrix=matrix)


def test_a_words_own_rows_never_enter_in_any_case(tiny_plm, tiny_vocabulary, ids):
    other = int(tiny_vocabulary.filter(pl.col("text") == "money")["token_id"][0])
    # A second row whose text is the word in another case.
    renamed = pl.when(pl.col("token_id") == other).then(pl.lit("DOG")).otherwise("text")
    vocabulary = tiny_vocabulary.with_columns(text=renamed)
    frame = frame_of([*LINES, ("money dog", "what a dog costs")])
    asked = ids[:2]  # no word that mentions the second, "table", contains the first
    before = bag_of_mentions(tiny_plm, vocabulary, asked, frame)
    for row in (int(ids[0]), other):
        after = bag_of_mentions(with_row(tiny_plm, row, 100.0), vocabulary, asked, frame)
        np.testing.assert_array_equal(after, before)
    leash = tiny_plm.tokenizer.encode("leash", add_special_tokens=False).ids[0]
    assert (bag_of_mentions(with_row(tiny_plm, leash, 100.0), vocabulary, asked, frame) != before).any()


def test_rows_of_equal_words_get_equal_bags(tiny_plm, tiny_vocabulary, ids):
    row = int(ids[7])
    renamed = pl.when(pl.col("token_id") == row).then(pl.lit("Dog")).otherwise("text")
    vocabulary = tiny_vocabulary.with_columns(text=renamed)
    found = bag_of_mentions(tiny_plm, vocabulary, np.array([ids[0], ids[1], row, ids[1]]), DEFINITIONS)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert (found[0] != found[1]).any()


def test_a_word_inside_another_is_no_mention(tiny_plm, tiny_vocabulary, ids):
    inside = DEFINITIONS.with_columns(pl.col("definition").str.replace_all("(?i)dog", "dogma"))
    assert not bag_of_mentions(tiny_plm, tiny_vocabulary, ids[:2], inside)[0].any()


def test_a_headword_of_several_words_counts_as_much_as_one_of_one(tiny_plm, tiny_vocabulary, ids):
    frame = frame_of([("old river", "of a dog"), ("garden", "of the dog"), ("cat", "a table")])
    old, river, garden, cat = (
        tiny_plm.matrix[tiny_plm.tokenizer.token_to_id(word)] for word in ("old", "river", "garden", "cat")
    )
    found = bag_of_mentions(tiny_plm, tiny_vocabulary, ids[:2], frame)  # every token is in one headword: equal weights
    dog, table = ((old + river) / 2 + garden) / 2, cat
    np.testing.assert_allclose(found[0], (dog - table) / 2 * math.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(found[1], (table - dog) / 2, atol=1e-6)


# In a reconstruction


@pytest.fixture
def blocks(monkeypatch, tiny_plm, tiny_vocabulary, tiny_dictionary):
    """Rebuild a table with given settings; return its feature blocks."""

    def make(**settings):
        given, real = [], methods.cross_fit
        with monkeypatch.context() as patch:
            patch.setattr(methods, "cross_fit", lambda own, *more: given.append(own) or real(own, *more))
            made = reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(**settings))
        return made, given[0]

    return make


@pytest.mark.parametrize("method", ["instant", "frozen"])
def test_mentions_are_a_block_of_their_own_unless_told_otherwise(
    blocks, tiny_plm, tiny_vocabulary, tiny_dictionary, method
):
    (made, own), (bare, fewer) = blocks(method=method), blocks(method=method, mentions=False)
    covered = made.definitions["token_id"].unique().sort().to_numpy()
    expected = bag_of_mentions(tiny_plm, tiny_vocabulary, covered, tiny_dictionary.definitions)
    np.testing.assert_array_equal(own[-1], expected)
    assert len(own) == len(fewer) + 1
    for block, same in zip(own, fewer, strict=False):
        np.testing.assert_array_equal(block, same)
    assert made.matrix.tobytes() != bare.matrix.tobytes()


def test_the_control_gets_the_mentions_of_other_tokens(blocks):
    _, (*_, own) = blocks(method="instant")
    _, (*_, dealt) = blocks(method="random")
    assert sorted(row.tobytes() for row in dealt) == sorted(row.tobytes() for row in own)
    assert (dealt != own).any(axis=1).mean() > 0.9
    _, (*_, again) = blocks(method="random", seed=1)
    assert (again != dealt).any()
