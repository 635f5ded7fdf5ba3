"""One line of wiktextract's JSONL: what is needed of an entry, and its senses as lines of a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import polars as pl

LONGEST_GLOSS: Final = 2_000
"""Characters; the rest of a longer gloss is cut off. Real ones end well before."""
MOST_RELATED: Final = 12
"""Words of each group in `related`; an entry may list hundreds of derived terms."""

SENSE_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "order": pl.Int64(),  # where the sense stands in the dump: line, then sense
    "word": pl.String(),
    "folded": pl.String(),  # `fold` of it
    "pos": pl.String(),  # in full
    "gloss": pl.String(),
    "tags": pl.String(),  # joined by ", ", or null
    "lemma": pl.String(),  # of what word this one is a form or another spelling, or null
    "related": pl.String(),  # as in WordNet's frame
}
"""A sense as the dump has it: forms are not yet followed to their lemmas."""

# wiktextract's abbreviations; what is not here is a word already ("noun", "verb", "particle").
_PARTS_OF_SPEECH: Final = {
    "abbrev": "abbreviation",
    "adj": "adjective",
    "adj_noun": "adjectival noun",
    "adj_phrase": "adjectival phrase",
    "adj_verb": "adjectival verb",
    "adv": "adverb",
    "adv_phrase": "adverbial phrase",
    "circumpos": "circumposition",
    "conj": "conjunction",
    "det": "determiner",
    "intj": "interjection",
    "name": "proper noun",
    "num": "numeral",
    "postp": "postposition",
    "prep": "preposition",
    "prep_phrase": "prepositional phrase",
    "pron": "pronoun",
    "punct": "punctuation mark",
}
_NO_PART_OF_SPEECH: Final = {"", "unknown", "hard-redirect", "soft-redirect"}
# Which relations make up each group of `related`.
_GROUPS: Final = (("synonyms",), ("hypernyms",), ("derived", "related", "coordinate_terms", "hyponyms"))


class Head(msgspec.Struct, gc=False):
    """The two keys that say whether an entry is wanted at all; the rest of the line is only checked for its syntax."""

    word: str | None = None
    lang_code: str | None = None


class _Link(msgspec.Struct, gc=False):
    word: str | None = None


class _Relations(msgspec.Struct, gc=False):
    synonyms: list[_Link] | None = None
    hypernyms: list[_Link] | None = None
    hyponyms: list[_Link] | None = None
    coordinate_terms: list[_Link] | None = None
    derived: list[_Link] | None = None
    related: list[_Link] | None = None


class _Sense(_Relations, gc=False):
    glosses: list[str] | None = None
    raw_glosses: list[str] | None = None
    tags: list[str] | None = None
    form_of: list[_Link] | None = None
    alt_of: list[_Link] | None = None


class Entry(_Relations, gc=False):
    """An entry: a word, one of its parts of speech, one etymology."""

    word: str | None = None
    lang_code: str | None = None
    pos: str | None = None
    senses: list[_Sense] | None = None


def fold(text: str) -> str:
    """Return the form in which words are looked up: lower case, blanks for underscores."""
    return text.lower().replace("_", " ")


def folded(column: str) -> pl.Expr:
    """Return `fold` of a column."""
    return pl.col(column).str.to_lowercase().str.replace_all("_", " ", literal=True)


def part_of_speech(code: str | None) -> str | None:
    """Return wiktextract's code in full words, None where it says nothing."""
    code = (code or "").lower()
    return None if code in _NO_PART_OF_SPEECH else _PARTS_OF_SPEECH.get(code, code.replace("_", " "))


def senses_of(entry: Entry, line: int, left: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    """Yield an entry's senses as rows of `SENSE_SCHEMA`.

    Of nested glosses the last one is the sense, those before it are its headings. `raw_glosses` are the same with
    labels in front ("(transitive) To ..."), which `tags` say too; they stand in where `glosses` is missing.
    What an entry says of all its senses together (its own synonyms and so on) counts where it has one sense.

    Args:
        entry: an entry with a word.
        line: its number in the dump, from 1.
        left: counts of what was left out, by reason; added to.
    """
    word, pos, senses = entry.word or "", part_of_speech(entry.pos), entry.senses or []
    for number, sense in enumerate(senses):
        gloss = _gloss(sense)
        if not gloss:
            left["empty"] = left.get("empty", 0) + 1
            continue
        if len(gloss) > LONGEST_GLOSS:
            left["long"] = left.get("long", 0) + 1
            gloss = f"{gloss[:LONGEST_GLOSS].rsplit(' ', 1)[0]} …"
        says = [of for of in ([sense, entry] if len(senses) == 1 else [sense]) if _relates(of)]
        related = _related(word, says) if says else None
        tags = ", ".join(dict.fromkeys(sense.tags)) if sense.tags else None
        yield (line << 16) + min(number, 0xFFFF), word, fold(word), pos, gloss, tags, _lemma(sense), related


def _gloss(sense: _Sense) -> str:
    glosses = sense.glosses or sense.raw_glosses
    return " ".join(glosses[-1].split()) if glosses else ""


def _lemma(sense: _Sense) -> str | None:
    """Return the first word that a form's sense names; those after it are often parts of the sentence."""
    links = sense.form_of or sense.alt_of
    return (links[0].word or "").strip() or None if links else None


def _relates(of: _Relations) -> bool:
    """Return whether any related words are named; mostly there are none."""
    return bool(of.synonyms or of.hypernyms or of.derived or of.related or of.coordinate_terms or of.hyponyms)


def _related(word: str, relations: list[_Relations]) -> str | None:
    """Return related words in WordNet's three groups: synonyms; broader words; derived, narrower, alike and others.

    Antonyms are left out, and so is the word itself.
    """
    seen = {fold(word)}
    groups = []
    for names in _GROUPS:
        links = [link for name in names for of in relations for link in getattr(of, name) or ()]
        words: list[str] = []
        for link in links:
            other = (link.word or "").strip()
            if other and fold(other) not in seen and ":" not in other and len(words) < MOST_RELATED:
                seen.add(fold(other))  # with a colon: the name of a page, "Thesaurus:dog"
                words.append(other)
        groups.append(", ".join(words))
    return "; ".join(group for group in groups if group) or None
