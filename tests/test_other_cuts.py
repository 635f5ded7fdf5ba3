import dataclasses

import numpy as np
import polars as pl
import pytest
from families import save_family

from defemb_core.dictionaries import Beyond, Dictionary
from defemb_core.errors import SettingsError
from defemb_core.frequency import plm_vocabulary
from defemb_core.other_cuts import cut_otherwise
from defemb_core.pieces import MAX_WORDS, cuts_of, match_pieces, matched_senses
from defemb_core.plm import load_plm
from defemb_core.reconstruction import Settings


@pytest.fixture(scope="module", params=["bert", "roberta", "t5", "t5gemma"])
def family(request, tmp_path_factory, tiny_plm):
    """A PLM with its vocabulary."""
    kind = request.param
    plm = tiny_plm if kind == "bert" else load_plm(str(save_family(kind, tmp_path_factory.mktemp(kind))))
    return plm, plm_vocabulary(plm)


def words_of(*texts):
    return (
        pl.DataFrame({"text": texts})
        .with_columns(several=~pl.col("text").str.contains(r"^\w+$"))
        .with_row_index("line")
    )


def inner_rows(vocabulary, letters=2):
    """Rows inside words, of so many letters."""
    inside = (
        ~pl.col("starts_word") & (pl.col("group") != "none") & pl.col("text").str.contains(rf"^[a-z]{{{letters}}}$")
    )
    return vocabulary.filter(inside)


def spelled_out(vocabulary, pieces):
    texts = dict(vocabulary.select("token_id", "text").iter_rows())
    return "".join(texts[row] for row in pieces)


def test_the_pieces_spell_the_word_and_one_is_the_row(family):
    """The word may be one that the tokenizer keeps whole."""
    plm, vocabulary = family
    rows = inner_rows(vocabulary)
    whole = vocabulary.filter((pl.col("kind") == "word") & pl.col("text").str.contains("^[a-z]{5,}$"))["text"].to_list()
    found = cut_otherwise(plm, vocabulary, words_of(*whole), rows["token_id"].to_numpy(), MAX_WORDS)
    assert found["token_id"].n_unique() > 5
    for line in found.iter_rows(named=True):
        assert spelled_out(vocabulary, line["pieces"]) == line["text"]
        assert line["pieces"][line["at"]] == line["token_id"]
        assert len(line["pieces"]) > 1
        assert line["at"] > 0
    by_text = {
        row: sum(text in word[1:] for word in whole) for row, text in rows.select("token_id", "text").iter_rows()
    }
    told = dict(found.group_by("token_id").len().iter_rows())
    assert told == {row: min(number, MAX_WORDS) for row, number in by_text.items() if number}


def test_a_row_that_starts_words_is_found_at_their_start_alone(tiny_plm, tiny_vocabulary):
    row = tiny_vocabulary.filter((pl.col("kind") == "word") & (pl.col("text") == "dog"))["token_id"].to_numpy()
    assert len(row) == 1
    found = cut_otherwise(tiny_plm, tiny_vocabulary, words_of("dog", "bulldog", "doggy", "red doge"), row, MAX_WORDS)
    assert found["text"].to_list() == ["doggy", "red doge"]
    assert found["at"].to_list()[0] == 0
    assert all(line["pieces"][line["at"]] == row[0] for line in found.iter_rows(named=True))


def test_a_row_inside_words_is_told_by_the_word_that_it_spells(tiny_plm, tiny_vocabulary):
    row, text = inner_rows(tiny_vocabulary, 3).select("token_id", "text").row(0)
    given = words_of(f"{text}{text}", f"the {text}", text)
    found = cut_otherwise(tiny_plm, tiny_vocabulary, given, np.array([row]), MAX_WORDS)
    assert found["text"].to_list() == [text, f"{text}{text}", f"the {text}"]
    assert (found["pieces"].to_list()[0], found["at"].to_list()[0]) == ([row], 0)
    assert all(line["pieces"][line["at"]] == row for line in found.iter_rows(named=True))
    assert found["at"].to_list()[1] > 0


def test_short_words_come_first_and_those_of_several_last(tiny_plm, tiny_vocabulary):
    row = tiny_vocabulary.filter((pl.col("kind") == "word") & (pl.col("text") == "dog"))["token_id"].to_numpy()
    given = words_of("a dogma", "doghouses", "dogma", "dogs", "doggy")
    assert cut_otherwise(tiny_plm, tiny_vocabulary, given, row, 9)["text"].to_list() == [
        "dogs", "dogma", "doggy", "doghouses", "a dogma",
    ]  # fmt: skip
    assert cut_otherwise(tiny_plm, tiny_vocabulary, given, row, 2)["text"].to_list() == ["dogs", "dogma"]


def test_a_word_with_a_sign_that_has_no_row_tells_of_none(tiny_plm, tiny_vocabulary):
    row = tiny_vocabulary.filter((pl.col("kind") == "word") & (pl.col("text") == "dog"))["token_id"].to_numpy()
    found = cut_otherwise(tiny_plm, tiny_vocabulary, words_of("dogኀma", "dogs"), row, MAX_WORDS)
    assert found["text"].to_list() == ["dogs"]
    assert cut_otherwise(tiny_plm, tiny_vocabulary, words_of("dogኀma"), row, MAX_WORDS).is_empty()


def test_words_are_spelled_as_the_tokenizer_reads_them(tiny_plm, tiny_vocabulary):
    row = tiny_vocabulary.filter((pl.col("kind") == "word") & (pl.col("text") == "dog"))["token_id"].to_numpy()
    found = cut_otherwise(tiny_plm, tiny_vocabulary, words_of("Dógs"), row, MAX_WORDS)
    assert found["text"].to_list() == ["Dógs"]
    assert spelled_out(tiny_vocabulary, found["pieces"][0]) == "dogs"


# Among the other ways


def lone(tiny_dictionary, *words):
    """A dictionary of words, each with a gloss of its own."""
    frame = tiny_dictionary.definitions.clear(len(words)).with_columns(
        word=pl.Series(words),
        definition=pl.Series([f"what {word} means" for word in words]),
        sense=pl.lit(0, pl.Int32),
        source=pl.lit("made"),
    )
    return Dictionary(frame, "made", "0" * 64, "here")


@pytest.fixture(scope="module")
def hidden_row(tiny_plm, tiny_vocabulary):
    """A row inside a word that the tokenizer keeps whole, and the word."""
    whole = tiny_vocabulary.filter((pl.col("kind") == "word") & pl.col("text").str.contains("^[a-z]{6,}$"))["text"]
    for row, text in inner_rows(tiny_vocabulary, 3).select("token_id", "text").iter_rows():
        for word in whole:
            if text in word[1:]:
                return row, word
    return pytest.fail("the tiny vocabulary has no such row")


def test_a_row_that_no_word_is_cut_into_is_told_by_another_cut(tiny_plm, tiny_vocabulary, tiny_dictionary, hidden_row):
    row, word = hidden_row
    dictionary = lone(tiny_dictionary, word)
    told = matched_senses(tiny_plm, tiny_vocabulary, dictionary, Settings(pieces=True))
    [line] = told.filter(token_id=row).iter_rows(named=True)
    assert (line["how"], line["text"], line["gloss"], line["weight"]) == ("other-cut", word, f"what {word} means", 1.0)
    [cut] = [cut for cut, known in zip(cuts_of(told), told["token_id"], strict=True) if known == row]
    assert cut == (tuple(line["pieces"]), line["at"])
    assert line["pieces"][line["at"]] == row
    assert told.filter(text=word, how="exact").height


def test_what_a_word_is_cut_into_is_never_told_by_another_cut(tiny_plm, tiny_vocabulary, tiny_dictionary):
    told = matched_senses(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(pieces=True))
    ways = told.group_by("token_id").agg(pl.col("how").cast(pl.String).unique())
    kinds = ways["how"].list.set_intersection(["piece", "other-cut"])
    assert kinds.list.len().max() == 1
    alone = ways.filter(pl.col("how").list.contains("other-cut") | pl.col("how").list.contains("piece"))
    assert alone["how"].list.len().max() == 1
    own = set(told.filter(~pl.col("how").cast(pl.String).is_in(["other-cut"]))["token_id"])
    others = told.filter(how="other-cut")
    assert others.height
    assert not own & set(others["token_id"])
    for row, total in others.group_by("token_id").agg(pl.col("weight").sum()).iter_rows():
        assert total == pytest.approx(1), row


def test_other_cuts_can_be_left_out(tiny_plm, tiny_vocabulary, tiny_dictionary):
    def told(**given):
        return matched_senses(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(pieces=True, **given))

    assert told(without="other-cut").equals(told().filter(pl.col("how") != "other-cut"))
    with pytest.raises(SettingsError, match="other-cut"):
        Settings(without="piece")


def test_words_that_were_left_unread_are_read_for_other_cuts(tiny_plm, tiny_vocabulary, tiny_dictionary, hidden_row):
    row, word = hidden_row
    beyond = lone(tiny_dictionary, word, "unrelated")
    asked = []

    def read(words):
        asked.append(sorted(words))
        return beyond.definitions.filter(pl.col("word").is_in(list(words)))

    dictionary = dataclasses.replace(
        lone(tiny_dictionary, "zzz"), beyond=Beyond(lambda: beyond.definitions["word"], read)
    )
    told = matched_senses(tiny_plm, tiny_vocabulary, dictionary, Settings(pieces=True)).filter(token_id=row)
    assert told.select("how", "text").rows() == [("other-cut", word)]
    assert word in asked[-1]


def test_match_pieces_takes_the_way(tiny_plm, tiny_vocabulary, tiny_dictionary, hidden_row):
    row, word = hidden_row
    covered = np.setdiff1d(np.arange(tiny_plm.rows), [row])
    dictionary = lone(tiny_dictionary, word)
    assert match_pieces(tiny_plm, tiny_vocabulary, dictionary, covered).is_empty()
    found = match_pieces(tiny_plm, tiny_vocabulary, dictionary, covered, how="other-cut")
    assert found.select("token_id", "definition", "how", "text").rows() == [(row, 0, "other-cut", word)]
