"""Wiktionary, as wiktextract (kaikki.org) reads it: a dump in JSONL, or a store that was built from one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, WIKTIONARY, Beyond, Dictionary
from defemb_core.dictionaries.wiktionary_dump import Report, read_dump
from defemb_core.dictionaries.wiktionary_entries import fold, folded
from defemb_core.dictionaries.wiktionary_forms import MOST_HOPS, follow_forms, usual_senses
from defemb_core.dictionaries.wiktionary_store import FORMAT, lemmas, open_store
from defemb_core.errors import DictionaryError

KINDS: Final = ("word", "number", "symbol")
"""Wiktionary has entries for numerals, signs and single characters, too."""
LANGUAGE: Final = "en"
"""The language code of a dump's entries unless another is named."""
LEFT_OUT_TAGS: Final = frozenset(
    {"archaic", "error-misspelling", "eye-dialect", "misconstruction", "misspelling", "nonstandard", "obsolete",
     "pronunciation-spelling"}
)  # fmt: skip
"""Senses with one of these tags are left out where their word has others: text of today seldom means them."""

_CODE: Final = re.compile(r"@([A-Za-z][A-Za-z0-9-]*)$")


@dataclass(frozen=True)
class _Source:
    """A dump or a store: its senses of some folded words (None: of all), and what is known once they are read."""

    read: Callable[[Collection[str] | None], pl.DataFrame]
    words: Callable[[], pl.Series]
    language: str
    sha256: Callable[[], str]
    notes: Callable[[], tuple[str, ...]]


def load_wiktionary(
    place: str | None, vocabulary: pl.DataFrame | None = None, left_out: Collection[str] = LEFT_OUT_TAGS
) -> Dictionary:
    """Wiktionary's definitions.

    Args:
        place: a dump (JSONL of wiktextract, plain, .gz or .zst, told by its contents) or a store's folder, perhaps with
            a language code behind it: "FILE@de". Without one: English of a dump, whatever a store holds.
        vocabulary: the vocabulary frame; only its words are read, and the lemmas that they are forms of: one pass over
            a dump, and one more for each link on the way (three at most). None: all words, and memory for them. What
            is left unread can be asked for (`Dictionary.beyond`), in two passes or more.
        left_out: senses with one of these tags are left out where their word has others.

    Returns:
        A dictionary named "wiktionary". Next to `DEFINITION_SCHEMA`'s columns its lines have `tags` (joined by ", ", or
        null) and `related` (as in WordNet's frame). Senses of a folded word come in the dump's order, those of the
        word in lower case before those of "Turkey" or "US". Forms and other spellings have their lemma's definitions
        (see `follow_forms`). The digest covers the dump's contents and the language; a store built from a dump has the
        dump's.

    Raises:
        DictionaryError: no place is named, there is nothing, or it cannot be read as a dump or a store.
    """
    path, language = _place(place)
    source = _store(path, language) if path.is_dir() else _dump(path, language or LANGUAGE)
    lines, unusual = _lines(source, None if vocabulary is None else _wanted(vocabulary), left_out)
    digest = hashlib.sha256(f"{FORMAT} {source.language} {source.sha256()} {sorted(left_out)}".encode()).hexdigest()
    notes = (*source.notes(), *_notes(lines, unusual))
    beyond = None if vocabulary is None else _beyond(source, left_out)
    return Dictionary(_definitions(lines), WIKTIONARY, digest, str(path), notes, KINDS, beyond=beyond)


def _lines(source: _Source, wanted: set[str] | None, left_out: Collection[str]) -> tuple[pl.DataFrame, int]:
    """Return the followed senses of some folded words, None for all, and how many unusual ones were left out."""
    senses = _closed(source.read, wanted)
    usual = usual_senses(senses, left_out)
    lines = follow_forms(usual)
    if wanted is not None:
        lines = lines.filter(pl.col("folded").is_in(sorted(wanted)))
    return lines, senses.height - usual.height


def _beyond(source: _Source, left_out: Collection[str]) -> Beyond:
    def read(words: Collection[str]) -> pl.DataFrame:
        return _definitions(_lines(source, {fold(word) for word in words}, left_out)[0])

    return Beyond(source.words, read)


def _place(place: str | None) -> tuple[Path, str | None]:
    """Return the path and the language code that a spec's place names."""
    if place is None:
        raise DictionaryError(
            "wiktionary needs a file or a store: write wiktionary:FILE; get the JSONL of wiktextract from kaikki.org"
        )
    path, code = Path(place).expanduser(), _CODE.search(place)
    if path.exists():
        return path, None
    if code and (without := Path(place[: code.start()]).expanduser()).exists():
        return without, code[1]
    raise DictionaryError(f"no file or folder {path}; get the JSONL of wiktextract from kaikki.org")


def _store(folder: Path, language: str | None) -> _Source:
    store = open_store(folder)
    if language and language != store.language:
        raise DictionaryError(
            f"store {folder} holds language {store.language!r}, not {language!r}; build one with --language {language}"
        )
    return _Source(store.read, store.lemmas, store.language, lambda: store.source_sha256, lambda: store.notes)


def _dump(path: Path, language: str) -> _Source:
    report = Report()  # of the first pass; later ones meet the same lines again

    def read(wanted: Collection[str] | None) -> pl.DataFrame:
        return pl.concat(read_dump(path, language, wanted, report if not report.lines else Report()))

    def words() -> pl.Series:
        frames = read_dump(path, language, None, Report())
        return pl.concat([lemmas(frame) for frame in frames]).unique().sort()

    return _Source(read, words, language, lambda: report.sha256, report.notes)


def _wanted(vocabulary: pl.DataFrame) -> set[str]:
    rows = vocabulary.filter(pl.col("kind").cast(pl.String).is_in(KINDS))
    return {fold(text) for text in rows["text"]} - {""}


def _closed(read: Callable[[Collection[str] | None], pl.DataFrame], wanted: set[str] | None) -> pl.DataFrame:
    """Return the senses of the wanted words and of the words that these are forms of, in the dump's order."""
    if wanted is None:
        return read(None).sort("order")
    found, asked = [read(wanted)], set(wanted)
    for _ in range(MOST_HOPS):
        missing = set(found[-1].select(folded("lemma")).drop_nulls().to_series()) - asked
        if not missing:
            break
        found.append(read(missing))
        asked |= missing
    return pl.concat(found).sort("order")


def _definitions(lines: pl.DataFrame) -> pl.DataFrame:
    """Return followed senses as a definition frame, without what a word says twice."""
    capital = pl.col("word") != pl.col("word").str.to_lowercase()
    lines = lines.sort("folded", capital, "order", "rank").unique(["word", "gloss"], keep="first", maintain_order=True)
    return lines.select(
        "word",
        "pos",
        definition="gloss",
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over("folded"),
        source=pl.lit(WIKTIONARY),
        form_of="lemma",
        tags="tags",
        related="related",
    ).select(*DEFINITION_SCHEMA, "tags", "related")


def _notes(lines: pl.DataFrame, unusual: int) -> tuple[str, ...]:
    """Return what following and filtering left, in sentences."""
    alone = lines.filter(pl.col("lemma").is_not_null() & ~pl.col("followed"))
    told = [
        (unusual, f"left out {unusual:,} senses that are obsolete, misspelled and the like"),
        (alone.height, f"kept {alone.height:,} senses of forms as they stand, their lemma has no definition here"),
    ]
    return tuple(note for count, note in told if count)
