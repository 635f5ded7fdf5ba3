"""Any wordnet that the `wn` package has in the user's database: Open English WordNet and those of other languages."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from defemb_core.cache import cache_folder, cached_frame
from defemb_core.dictionaries import DEFINITION_SCHEMA, WN, Dictionary
from defemb_core.errors import DictionaryError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_FRAME_VERSION: Final = 2  # part of the cache key: raise it when the same database gives another frame
_GET_ONE: Final = "python -m wn download oewn:2024"
PARTS_OF_SPEECH: Final = {
    "n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb",
    "t": "phrase", "c": "conjunction", "p": "adposition",
}  # fmt: skip
_BROADER: Final = ("hypernym", "instance_hypernym")
_FURTHER: Final = ("attribute", "derivation", "pertainym")


def load_wn(place: str | None = None, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """Read a wordnet from the database of the `wn` package, from the cache if the database is the same as before.

    Args:
        place: the lexicon's name, "oewn:2024" or "oewn"; None if only one is installed.
        vocabulary: not needed, all of a lexicon is read and kept.

    Returns:
        A dictionary named "wn", its definitions as `read_lexicon` returns them. Its digest covers all of them.

    Raises:
        DictionaryError: the package, the lexicon or its database is missing or cannot be read, or several lexicons fit.
    """
    del vocabulary
    wn = _package()
    database = Path(wn.config.database_path)
    try:
        chosen = _choose(place, [lexicon.specifier() for lexicon in wn.lexicons()] if database.is_file() else [])
        told = database.stat()  # SQLite changes both with every write; the file may be some gigabytes, too many to hash
        key = f"{_FRAME_VERSION} {wn.__version__} {chosen} {database} {told.st_mtime_ns} {told.st_size}"
        name = f"wn-{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"
        frame = cached_frame(cache_folder() / "dictionaries" / name, lambda: read_lexicon(chosen))
    except (wn.Error, OSError, _sqlite_error()) as error:
        raise DictionaryError(f"cannot read the wn package's database {database}: {first_line(error)}") from error
    if frame.is_empty():
        raise DictionaryError(f"the lexicon {chosen} of the wn package has no definitions; name another one")
    return Dictionary(frame.drop("borrowed"), WN, _digest(frame), f"wn package, {chosen}", _notes(frame, chosen))


def read_lexicon(specifier: str) -> pl.DataFrame:
    r"""Read a lexicon into a definition frame, one line for each case-folded form and synset.

    Senses keep the lexicon's order inside an entry; of a word's entries (parts of speech) the next sense is always the
    one with the larger count in a corpus, where the lexicon has counts, of equal counts the one of the earlier entry.
    Forms other than the lemma (wolves) have the lemma in `form_of`. A synset without a definition takes that of the
    lexicons that this one was made on (`Wordnet.expanded_lexicons`), by its interlingual index.

    `related` is made as WordNet's: the synset's other words; the words of its hypernyms and, of a satellite adjective,
    those that it is similar to; the words of attributes, derivations and pertainyms, each group joined by
    ", ", the groups by "; ".

    Returns:
        The columns of `DEFINITION_SCHEMA`, `synset` (its id), `related` and `borrowed` (whether the definition is
        another lexicon's), sorted by case-folded word and sense.
    """
    wn = _package()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wn.WnWarning)  # a missing lexicon that this one builds on; we do without
        wordnet = wn.Wordnet(specifier)
    synsets = wordnet.synsets()
    words = wordnet.words()
    forms = {word.id: word.forms() for word in words}
    members = {synset.id: synset.senses() for synset in synsets}
    synset_of = {sense.id: synset for synset, senses in members.items() for sense in senses}
    senses, lemma_of = _senses(words, forms, synset_of)
    held = [(synset, forms[lemma_of[s.id]][0]) for synset, found in members.items() for s in found if s.id in lemma_of]
    named = pl.DataFrame(held, schema={"synset": pl.String(), "related": pl.String()}, orient="row")
    told = pl.DataFrame(
        _definitions(wn, wordnet, synsets),
        schema={"synset": pl.String(), "definition": pl.String(), "borrowed": pl.Boolean()},
        orient="row",
    )
    links = pl.DataFrame(
        [*_synset_links(synsets), *_sense_links(members, synset_of)],
        schema={"synset": pl.String(), "to": pl.String(), "group": pl.Int64()},
        orient="row",
    )
    lines = _merged(senses.join(told, on="synset", maintain_order="left"))
    return _with_related(lines, named.with_columns(folded=pl.col("related").str.to_lowercase()), links)


def _senses(words: list[Any], forms: dict[str, list[str]], synset_of: dict[str, str]) -> tuple[pl.DataFrame, dict]:
    """Return the senses of all forms in the order of the entries, and the entry of each sense."""
    entry_of: dict[str, str] = {}
    lines: list[tuple[str, str | None, str, int, str | None]] = []
    for word in words:
        lemma, *others = forms[word.id]
        for sense in word.senses():
            entry_of[sense.id] = word.id
            if (synset := synset_of.get(sense.id)) is None:
                continue
            count, pos = sum(sense.counts()), PARTS_OF_SPEECH.get(word.pos)
            lines.append((lemma, pos, synset, count, None))
            lines += [(other, pos, synset, count, lemma) for other in others]
    schema = {
        "word": pl.String(),
        "pos": pl.String(),
        "synset": pl.String(),
        "tags": pl.Int64(),
        "form_of": pl.String(),
    }
    return pl.DataFrame(lines, schema=schema, orient="row"), entry_of


def _definitions(wn: Any, wordnet: Any, synsets: list[Any]) -> Iterable[tuple[str, str, bool]]:
    """Yield (synset, definition, whether it is another lexicon's) of all that have one."""
    lacking = []
    for synset in synsets:
        if text := (synset.definition() or "").strip():
            yield synset.id, text, False
        elif synset.ili:
            lacking.append(synset)
    if not lacking:
        return
    lent = {}
    for lexicon in wordnet.expanded_lexicons():
        for synset in wn.Wordnet(lexicon.specifier(), expand="").synsets():
            if synset.ili and synset.ili not in lent and (text := (synset.definition() or "").strip()):
                lent[synset.ili] = text
    yield from ((synset.id, lent[synset.ili], True) for synset in lacking if synset.ili in lent)


def _synset_links(synsets: list[Any]) -> Iterable[tuple[str, str, int]]:
    """Yield (synset, another, group) of the relations between synsets that count in `related`."""
    for synset in synsets:
        for name, others in synset.relations().items():
            group = 1 if name in _BROADER or (name == "similar" and synset.pos == "s") else 2
            if group == 1 or name in _FURTHER:
                yield from ((synset.id, other.id, group) for other in others)


def _sense_links(members: dict[str, list[Any]], synset_of: dict[str, str]) -> Iterable[tuple[str, str, int]]:
    """Yield (synset, another, 2) of the relations between senses that count in `related`."""
    for synset, senses in members.items():
        for sense in senses:
            others = sense.get_related(*_FURTHER)
            yield from ((synset, synset_of[other.id], 2) for other in others if other.id in synset_of)


def _merged(senses: pl.DataFrame) -> pl.DataFrame:
    """Number the senses of each case-folded word; a sense that two spellings share stands once, as first met.

    Sorting by the least count so far inside the part of speech is the merge that always takes the larger head.
    """
    return (
        senses.with_columns(folded=pl.col("word").str.to_lowercase())
        .unique(["folded", "synset"], keep="first", maintain_order=True)
        .with_columns(pl.col("tags").cum_min().over("folded", "pos"))
        .sort("folded", "tags", descending=[False, True], maintain_order=True)
        .with_columns(sense=pl.int_range(pl.len(), dtype=pl.Int32).over("folded"), source=pl.lit(WN))
    )


def _with_related(lines: pl.DataFrame, words: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Add `related`: the words of each line's synset and of those linked to it, less the line's own word."""
    word, keys = pl.col("related"), ("synset", "group", "related", "folded")
    linked = links.join(words.rename({"synset": "to"}), on="to", maintain_order="left_right").select(keys)
    own = words.with_columns(group=pl.lit(0, dtype=pl.Int64)).select(keys)
    known = pl.concat([own, linked]).unique(["synset", "group", "folded"], keep="first", maintain_order=True)
    lines = lines.with_row_index("line")
    texts = (
        lines.select("line", "synset", "form_of", own="folded")
        .join(known, on="synset", maintain_order="left_right")
        .filter(pl.col("folded") != pl.col("own"))
        .filter(pl.col("form_of").is_null() | (pl.col("folded") != pl.col("form_of").str.to_lowercase()))
        .group_by("line", "group", maintain_order=True)
        .agg(word)
        .sort("line", "group", maintain_order=True)
        .group_by("line", maintain_order=True)
        .agg(word.list.join(", "))
        .with_columns(word.list.join("; "))
    )
    joined = lines.join(texts, on="line", how="left", maintain_order="left")
    return joined.select(*DEFINITION_SCHEMA, "synset", "related", "borrowed")


def _package() -> Any:
    """The wn package, if it is installed; it is no requirement of ours."""
    try:
        import wn
    except ImportError:
        raise DictionaryError(
            f"the dictionary wn needs the package wn: pip install wn, then {_GET_ONE}, or name another dictionary"
        ) from None
    wn.config.allow_multithreading = True  # pages run in threads that come and go, the package keeps one connection
    return wn


def _sqlite_error() -> type[Exception]:
    import sqlite3

    return sqlite3.Error


def _choose(place: str | None, installed: list[str]) -> str:
    if not installed:
        raise DictionaryError(f"the wn package has no wordnet yet; get one first: {_GET_ONE}")
    wanted = (place or "").strip()
    fitting = [name for name in installed if not wanted or wanted in (name, name.rpartition(":")[0])]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DictionaryError(f"several wordnets fit; write wn: and one of {', '.join(fitting)}")
    raise DictionaryError(f"the wn package has no wordnet {wanted!r}; installed: {', '.join(installed)}")


def _digest(frame: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for name in frame.columns:
        texts = frame[name].cast(pl.String).fill_null("\x00")
        digest.update("\x1f".join(texts).encode())
    return digest.hexdigest()


def _notes(frame: pl.DataFrame, chosen: str) -> tuple[str, ...]:
    borrowed = frame["borrowed"].sum()
    own = f"{borrowed:,} definitions are those of the lexicons that {chosen} builds on, perhaps in another language"
    return (own,) if borrowed else ()
