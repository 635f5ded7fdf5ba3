from collections import Counter

import polars as pl
import pytest

from defemb_core.definitions import hide_word, match_definitions
from defemb_core.dictionaries import load_dictionary
from defemb_core.dictionaries.function_words import load_function_words
from defemb_core.errors import DictionaryError
from defemb_core.frequency import plm_vocabulary
from defemb_core.plm import load_plm


@pytest.fixture(scope="module")
def found():
    return load_function_words(None)


def test_each_entry_is_whole_and_stands_once(found):
    frame = found.definitions
    assert frame.select(pl.col("word", "pos", "definition").is_null().any()).row(0) == (False, False, False)
    assert frame.select(pl.col("word", "pos", "definition").str.contains(r"^\s|\s$|  ").any()).row(0) == (
        False,
        False,
        False,
    )
    assert frame.select("word", "pos").is_unique().all()
    assert frame["word"].str.to_lowercase().to_list() == frame["word"].to_list()


def test_senses_are_numbered_within_a_word(found):
    counted = Counter()
    for word, sense in found.definitions.select("word", "sense").iter_rows():
        assert sense == counted[word]
        counted[word] += 1
    assert counted["that"] == 3


def test_they_tell_what_wordnet_has_another_word_for(found):
    of = dict(zip(found.definitions["word"], found.definitions["definition"], strict=True))
    assert "helium" not in of["he"]
    for words in (("he", "she", "they", "it"), ("of", "in", "with"), ("and", "or", "because"), ("could", "must")):
        assert set(words) <= of.keys()


def test_few_definitions_show_their_own_word(found):
    shown = [
        word
        for word, text in found.definitions.select("word", "definition").iter_rows()
        if hide_word(text, word, "") != text
    ]
    assert len(shown) < 0.1 * found.definitions.height, shown


def test_before_wordnet_they_count_and_wordnet_tells_the_rest():
    vocabulary = plm_vocabulary(load_plm("bundled"))
    first, then = (load_dictionary(spec, vocabulary) for spec in ("function-words", "numerals"))
    both = load_dictionary("function-words,numerals", vocabulary)
    matches = match_definitions(vocabulary, both)
    count = [match_definitions(vocabulary, part)["token_id"].n_unique() for part in (first, then)]
    assert matches["token_id"].n_unique() == sum(count)
    assert count[0] > 150


def test_they_have_no_place():
    with pytest.raises(DictionaryError, match="write function-words, not :here"):
        load_dictionary("function-words:here")
