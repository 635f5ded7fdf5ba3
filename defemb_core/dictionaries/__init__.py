"""Dictionaries: every source is read into the same definition frame."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import polars as pl

from defemb_core.errors import DictionaryError

WORDNET = "wordnet"
"""The dictionary that is used unless another is named."""
GLOSSARY = "glossary"
"""The user's own definitions, which outrank all others."""
FUNCTION_WORDS = "function-words"
NUMERALS = "numerals"
UNICODE = "unicode"
PLACES = "places"
WN = "wn"
WIKTIONARY = "wiktionary"

DEFINITION_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "word": pl.String(),  # as a reader writes it: own case, spaces
    "pos": pl.String(),  # part of speech in full, or null
    "definition": pl.String(),  # without usage examples
    "sense": pl.Int32(),  # 0 = first, numbered per case-folded word
    "source": pl.String(),  # the dictionary's name
    "form_of": pl.String(),  # the lemma whose definition this is, if `word` is a form of it; else null
}
"""Columns that every definition frame has, one line a sense; a source may add its own."""


@dataclass(frozen=True, eq=False)
class Beyond:
    """What a source has besides what was read for a vocabulary's texts.

    Attributes:
        words: returns such words, as a reader writes them, each once; forms of words may be among them.
        read: returns the definitions of some of these words, as a definition frame; some may have none.
    """

    words: Callable[[], pl.Series]
    read: Callable[[Collection[str]], pl.DataFrame]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The definitions of one source, or of several, and what a run records about where they came from.

    Attributes:
        definitions: One line a sense, columns as in `DEFINITION_SCHEMA`, perhaps more.
        name: The source's name, e.g. "wordnet"; of several, joined by commas in the order of their rank.
        digest: SHA-256 (hexadecimal) over the contents that the definitions were read from.
        origin: Where those contents are, for people: a folder, a file or an address.
        notes: Sentences for people on what was left out, duplicate entries or broken lines say.
        kinds: Which kinds of rows its words may stand for, as in the vocabulary frame.
        sources: The dictionaries that this one is made of, by rank; none if it is a single one.
        beyond: What a single source left unread, if it was read for a vocabulary's texts only.

    Raises:
        DictionaryError: A column is missing or has another type.
    """

    definitions: pl.DataFrame
    name: str
    digest: str
    origin: str
    notes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("word",)
    sources: tuple[Dictionary, ...] = ()
    beyond: Beyond | None = None

    def __post_init__(self) -> None:
        found = self.definitions.schema
        wrong = [column for column, kind in DEFINITION_SCHEMA.items() if found.get(column) != kind]
        if wrong:
            raise DictionaryError(
                f"definitions of {self.name} lack the columns {', '.join(wrong)} or have them with another type; "
                f"a definition frame has {dict(DEFINITION_SCHEMA)}"
            )


def load_dictionary(spec: str, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """Load a dictionary, or several as one, by name.

    Args:
        spec: names separated by commas, each perhaps with a place after a colon: "wordnet",
            "wordnet:FOLDER,numerals". A row takes its definitions from the first of them that has any; a glossary
            comes before the others wherever it is named.
        vocabulary: the vocabulary frame. Sources that are endless (numerals) or large are read for its texts only.

    Raises:
        DictionaryError: A name is unknown or given twice, or a dictionary cannot be found or read.

    Example:
        >>> dictionary = de.load_dictionary("numerals", vocabulary)
        >>> dictionary.definitions.filter(word="1984")["definition"][0]
        'nineteen eighty-four; the year between 1983 and 1985'
    """
    parts = parts_of(spec)
    parts.sort(key=lambda part: part.partition(":")[0] != GLOSSARY)
    if twice := sorted({part for part in parts if parts.count(part) > 1}):
        raise DictionaryError(f"dictionary {spec!r} names {', '.join(twice)} twice; name each once")
    return combined([_load(part, spec, vocabulary) for part in parts])


def parts_of(spec: str) -> list[str]:
    """Return the dictionaries that a spec names, in its order, each "NAME" or "NAME:PLACE"."""
    return [part.strip() for part in _BETWEEN.split(spec)]


def known_sources() -> tuple[str, ...]:
    """Return the names that a spec may have."""
    return tuple(_LOADERS)


def combined(sources: list[Dictionary]) -> Dictionary:
    """Return several dictionaries as one, whose lines are theirs, one after the other in the order of rank.

    Args:
        sources: one or more; the first of them that defines a row is the one that counts.
    """
    if len(sources) == 1:
        return sources[0]
    return Dictionary(
        pl.concat([source.definitions for source in sources], how="diagonal"),
        ",".join(source.name for source in sources),
        hashlib.sha256(" ".join(source.digest for source in sources).encode()).hexdigest(),
        ", ".join(source.origin for source in sources),
        tuple(f"{source.name}: {note}" for source in sources for note in source.notes),
        tuple(sorted({kind for source in sources for kind in source.kinds})),
        tuple(sources),
    )


def _load(part: str, spec: str, vocabulary: pl.DataFrame | None) -> Dictionary:
    name, colon, place = part.partition(":")
    if name not in _LOADERS:
        raise DictionaryError(f"unknown dictionary {part!r}; known: {', '.join(_KNOWN)}")
    if colon and not place.strip():
        raise DictionaryError(f"dictionary {spec!r} names no place after the colon; write {name} or {name}:FOLDER")
    return _LOADERS[name](place or None, vocabulary)


def _in(module: str, verb: str) -> Loader:
    """Return a source's loader; its module, which imports this one, is imported when it is called."""

    def load(place: str | None, vocabulary: pl.DataFrame | None) -> Dictionary:
        loader: Loader = getattr(import_module(f"{__name__}.{module}"), verb)
        return loader(place, vocabulary)

    return load


Loader = Callable[[str | None, pl.DataFrame | None], Dictionary]
"""Takes the place after the colon and the vocabulary frame."""

_LOADERS: Final[Mapping[str, Loader]] = {
    WORDNET: _in("wordnet", "load_wordnet"),
    WIKTIONARY: _in("wiktionary", "load_wiktionary"),
    WN: _in("wn_package", "load_wn"),
    FUNCTION_WORDS: _in("function_words", "load_function_words"),
    NUMERALS: _in("numerals", "load_numerals"),
    UNICODE: _in("unicode_names", "load_unicode"),
    PLACES: _in("places", "load_places"),
    GLOSSARY: _in("glossary", "load_glossary"),
}
_KNOWN: Final = (
    "wordnet",
    "wordnet:FOLDER",
    "wiktionary:FILE",
    "wn:LEXICON",
    "function-words",
    "numerals",
    "numerals:LANGUAGE",
    "unicode",
    "places",
    "glossary",
    "glossary:FILE",
)
# A comma between two sources; a path may have commas of its own.
_BETWEEN: Final = re.compile(rf",(?=\s*(?:{'|'.join(_LOADERS)})\s*(?:[:,]|$))")
