"""The bundled PLM and the whole of WordNet, by method instant: what the app shows first has to stay this good."""

import numpy as np
import polars as pl
import pytest
from installed import real_wordnet

from defemb_core import reconstruction
from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import Dictionary, load_dictionary
from defemb_core.frequency import plm_vocabulary
from defemb_core.pieces import matched_senses
from defemb_core.plm import load_plm
from defemb_core.reconstruction import Settings, reconstruct

INSTANT = Settings(method="instant")


@pytest.fixture(scope="module")
def plm():
    return load_plm("bundled")


@pytest.fixture(scope="module")
def vocabulary(plm):
    return plm_vocabulary(plm)


@pytest.fixture(scope="module")
def wordnet(vocabulary):
    return load_dictionary(f"wordnet:{real_wordnet()}", vocabulary)


@pytest.fixture(scope="module")
def made(plm, vocabulary, wordnet):
    return reconstruct(plm, vocabulary, wordnet, INSTANT)


def test_definitions_find_tokens_that_the_map_never_saw(made):
    held = made.evidence["held_out"]
    assert held["mrr"] >= 0.53
    assert held["cosine"] >= 0.35
    assert held["median_rank"] <= 3
    assert held["tokens"] >= 18_000 // 5


def test_forms_of_words_are_found_as_well_as_words(made):
    found = made.evidence["held_out_by"]["how"]
    assert set(found) == {"exact", "case-folded", "lemma"}
    assert found["lemma"]["tokens"] >= 4_000 // 5 * 0.9
    assert found["lemma"]["mrr"] >= 0.6
    assert found["lemma"]["cosine"] >= 0.5


def test_three_quarters_of_the_words_have_a_definition(vocabulary, made):
    words = vocabulary.filter(vocabulary["kind"] == "word")
    assert words["token_id"].is_in(made.definitions["token_id"].unique().implode()).mean() >= 0.75


def test_most_of_the_vocabulary_and_nothing_special_is_rebuilt(plm, vocabulary, made):
    assert made.rebuilt.sum() >= 18_000
    kinds = vocabulary["kind"].to_numpy()
    assert set(kinds[made.rebuilt]) == {"word"}
    kept = ~made.rebuilt
    assert made.matrix[kept].tobytes() == plm.matrix[kept].tobytes()
    assert np.isin(kinds[kept], ["special", "unused"]).sum() == 5 + 994  # [PAD] and its kin, [unused0] to [unused993]
    assert np.isfinite(made.matrix).all()


def test_every_numeral_and_character_of_the_bundled_plm_is_defined(vocabulary):
    dictionary = load_dictionary("numerals,unicode", vocabulary)
    matches = match_definitions(vocabulary, dictionary)
    rows = vocabulary.with_columns(has=pl.col("token_id").is_in(matches["token_id"].implode()))
    numbers = rows.filter(pl.col("kind") == "number")
    assert numbers.height > 900
    assert numbers["has"].all()
    reserved = pl.col("kind").cast(pl.String).is_in(["special", "unused"])
    characters = rows.filter((pl.col("text").str.len_chars() == 1) & ~reserved)
    assert characters.height > 1_900
    assert characters["has"].mean() >= 0.95
    assert set(matches.filter(pl.col("token_id").is_in(numbers["token_id"].implode()))["how"]) == {"numeral"}


def test_most_rows_are_told_of_with_word_pieces(plm, vocabulary):
    """Those that are not are names, which WordNet lacks, and words such as "they".

    Words that are cut otherwise bring the last of them.
    """
    dictionary = load_dictionary("wordnet,numerals,unicode", vocabulary)
    told = matched_senses(plm, vocabulary, dictionary, Settings(pieces=True))
    part = vocabulary.filter(pl.col("group") != "none")
    assert 0.95 <= told["token_id"].n_unique() / part.height < 0.96
    assert told.filter(pl.col("how") != "other-cut")["token_id"].n_unique() / part.height > 0.94
    assert set(told["token_id"]) <= set(part["token_id"])
    forms = told.filter((pl.col("how") == "piece") & pl.col("form_of").is_not_null())
    assert forms["token_id"].n_unique() > 150
    assert {"blackberries", "plural of blackberry"} <= {*forms["word"], *forms["gloss"].str.extract("^([^:]*):")}


@pytest.fixture
def table_alone(monkeypatch):
    """Isotropy takes a third of the time and has tests of its own."""
    monkeypatch.setattr(reconstruction, "isotropy_by_group", lambda table, groups: {})


def test_twice_the_same_to_the_bit(plm, vocabulary, wordnet, made, table_alone):
    again = reconstruct(plm, vocabulary, wordnet, INSTANT)
    assert again.matrix.tobytes() == made.matrix.tobytes()
    assert again.evidence["held_out"] == made.evidence["held_out"]


def test_shuffled_definitions_find_nothing(plm, vocabulary, wordnet, table_alone):
    frame = wordnet.definitions
    order = np.random.default_rng(0).permutation(frame.height)
    shuffled = frame.with_columns(frame[name][order] for name in ("definition", "related"))
    found = reconstruct(plm, vocabulary, Dictionary(shuffled, "shuffled", "0" * 64, "here"), INSTANT)
    assert found.evidence["held_out"]["mrr"] < 0.01
