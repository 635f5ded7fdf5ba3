"""WordNet, read from its WNDB files into a definition frame.

The format is described in the manual pages wndb(5WN), senseidx(5WN) and cntlist(5WN).
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from defemb_core.cache import cache_folder, cached_frame
from defemb_core.dictionaries import DEFINITION_SCHEMA, Beyond, Dictionary
from defemb_core.dictionaries.inflections import inflected_senses, read_exceptions, regular_forms
from defemb_core.dictionaries.wordnet_files import (
    MARKER,
    PARTS_OF_SPEECH,
    TagCounts,
    checked_folder,
    content_digest,
    ensure_wordnet,
    garbled,
    missing_exceptions,
    parse_lemma,
    parsed_lines,
    read_tag_counts,
)
from defemb_core.errors import DictionaryError
from defemb_core.text import folded

_FRAME_VERSION: Final = 3  # part of the cache key: raise it when the same files give another frame

# An example is in double quotes and follows "; ", in some 60 glosses ", " or ": ", perhaps with "e.g." before it.
_EXAMPLE: Final = re.compile(r'\s*[;:,]\s*(?:(?:as in )?e\.g\.,?\s*)?"')
_SENSE_KEY_TYPE: Final = {"n": 1, "v": 2, "a": 3, "r": 4, "s": 5}  # s: satellite adjective

# Of a line's pointers the ones in `related`, each "symbol offset part-of-speech ".
_POINTER: Final = r"(?:@i?|[&+=\\]) \d{8} [nvasr] "
_IDENTITY_START: Final = {"n": "noun-", "v": "verb-", "a": "adjective-", "s": "adjective-", "r": "adverb-"}


def load_wordnet(folder: str | Path | None = None, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """WordNet's definitions, from the cache when the same files were read before; and those of words in other forms.

    A text of the vocabulary that is a form of words gets their senses (inflections.py), after its own if it has any,
    on lines after all of WordNet's own: `word` is the form, `form_of` the lemma. Other forms are in `beyond`.

    Args:
        folder: Folder with WNDB files; None: as `ensure_wordnet` finds or obtains it.
        vocabulary: The vocabulary frame, whose whole words may be forms; None: no forms, WordNet's own words only.

    Returns:
        A dictionary named "wordnet". Its digest covers the names and contents of the files that it is read from (about
        28 MB, hashed at every call), so that a changed file is never answered from the cache.

    Raises:
        DictionaryError: WordNet cannot be found, obtained or read.
    """
    found = ensure_wordnet(folder)
    digest = content_digest(found)
    cached = cache_folder() / "dictionaries" / f"wordnet-v{_FRAME_VERSION}-{digest[:32]}.parquet"
    definitions = cached_frame(cached, lambda: read_wordnet(found))
    if vocabulary is None:
        return Dictionary(definitions, "wordnet", digest, str(found))
    words = vocabulary.filter(pl.col("kind").cast(pl.String) == "word")["text"]
    exceptions = read_exceptions(found)
    forms = inflected_senses(definitions, words, exceptions)
    beyond = Beyond(
        lambda: regular_forms(definitions, exceptions),
        lambda chosen: inflected_senses(definitions, pl.Series("word", chosen, dtype=pl.String), exceptions),
    )
    notes = [_count_forms(forms, definitions)]
    if missing := missing_exceptions(found):
        notes.append(f"irregular forms (“went”) are unknown, since the folder has no {', '.join(missing)}")
    lines = pl.concat([definitions, forms])
    return Dictionary(lines, "wordnet", digest, str(found), tuple(notes), beyond=beyond)


def _count_forms(forms: pl.DataFrame, definitions: pl.DataFrame) -> str:
    words = forms.select(folded("word").unique())
    new = words.join(definitions.select(folded("word")), on="word", how="anti").height
    return (
        f"{words.height:,} words of the vocabulary are forms of WordNet's words; {new:,} of them have no definition of "
        "their own"
    )


class _Synset(NamedTuple):
    """A line of a data file."""

    identity: str  # noun-02084071
    words: tuple[str, ...]  # as the file cases them, with underscores
    lemmas: tuple[str, ...]  # the same in lower case
    category: str  # type and file number, the start of a sense key: 1:05
    lex_ids: tuple[str, ...]  # tell a lemma's senses in one category apart; hexadecimal
    head: str | None  # offset of the head synset, satellite adjectives only
    pointers: str  # as the file has them
    definition: str


def read_wordnet(folder: Path) -> pl.DataFrame:
    r"""Read WordNet into a definition frame, one line for each case-folded word and synset.

    Senses keep WordNet's order inside a part of speech. Across parts of speech the next sense is always the one with
    the larger tag count in cntlist.rev (how often it was met in sense-tagged text), of equal counts the one of the
    noun, verb, adjective, adverb, in this order. Without cntlist.rev every count is 0.

    `related` is what the dictionary itself says about a sense, next to its definition: three groups of words, in the
    order of the files, each joined by ", ", joined by "; " where not empty:

    1. the synset's other words;
    2. the words of its hypernyms (pointers @ and @i) and, of a satellite adjective, of its head (&);
    3. the words of its derivationally related forms (+), attributes (=) and pertainyms (\). Antonyms (!) are left out:
       they are akin and mean the opposite (word similarity falls with them; benchmarks/RESULTS.md).

    Some of these pointers lead from one word of the synset to one word of another; every word of the other synset is
    taken all the same, for every word of this one. The line's own word, in whatever case, is left out of all groups,
    and a group has each word once, spelled as first met.

    Args:
        folder: A folder with WNDB files, as `ensure_wordnet` returns it.

    Returns:
        The columns of `DEFINITION_SCHEMA`, `synset` (e.g. "noun-02084071": equal for synonyms) and `related` (e.g.
        "domestic dog, Canis familiaris; canine, canid"; null when all groups are empty), sorted by case-folded word
        and sense. Where a synset holds a word in two cases, the one that it names first stands. `form_of` is null.

    Raises:
        DictionaryError: A file is missing, cut short or garbled; file and line are in the message.
    """
    checked_folder(folder, "wordnet folder")
    counts = read_tag_counts(folder)
    columns: dict[str, list] = {name: [] for name in ("folded", "pos", "word", "definition", "synset", "tags")}
    words, links = [], []
    for suffix, pos in PARTS_OF_SPEECH.items():
        synsets = read_synsets(folder, suffix)
        _read_senses(folder, suffix, synsets, counts, columns)
        columns["pos"] += [pos] * (len(columns["word"]) - len(columns["pos"]))
        words.append(_words(synsets.values()))
        links.append(read_links(synsets.values()))
    senses = pl.DataFrame(columns, schema_overrides={"tags": pl.Int32})
    return _merged(_with_related(senses, _related_words(folder, pl.concat(words), pl.concat(links))))


def _merged(senses: pl.DataFrame) -> pl.DataFrame:
    """Number senses across parts of speech; the lines come in the order of parts of speech and, inside, of senses.

    Sorting by the least count so far inside the part of speech is the merge that always takes the larger head.
    """
    return (
        senses.with_columns(pl.col("tags").cum_min().over("folded", "pos"))
        .sort("folded", "tags", descending=[False, True], maintain_order=True)
        .with_columns(
            pl.int_range(pl.len(), dtype=pl.Int32).over("folded").alias("sense"),
            pl.lit("wordnet").alias("source"),
            pl.lit(None, dtype=pl.String).alias("form_of"),
        )
        .select(*DEFINITION_SCHEMA, "synset", "related")
    )


def _read_senses(
    folder: Path, suffix: str, synsets: Mapping[str, _Synset], counts: TagCounts, columns: Mapping[str, list]
) -> None:
    """Append the senses of one part of speech to `columns`, in the order of its index file."""
    path = folder / f"index.{suffix}"
    number = named = 0
    for number, (lemma, offsets) in parsed_lines(path, parse_lemma):
        tagged = counts.get(lemma)
        for offset in offsets:
            synset = synsets.get(offset)
            if synset is None or lemma not in synset.lemmas:
                raise garbled(path, number, f"synset {offset} in data.{suffix} has no word {lemma}")
            columns["folded"].append(lemma.replace("_", " ").casefold())
            columns["word"].append(synset.words[synset.lemmas.index(lemma)].replace("_", " "))
            columns["definition"].append(synset.definition)
            columns["synset"].append(synset.identity)
            columns["tags"].append(_tag_count(tagged, synset, lemma, synsets) if tagged else 0)
        named += len(offsets)
    held = sum(len(set(synset.lemmas)) for synset in synsets.values())
    if named != held or not held:
        raise garbled(path, number, f"the file ends after {named:,} senses, data.{suffix} has {held:,}")


def _words(synsets: Collection[_Synset]) -> pl.DataFrame:
    """Words in the order of the files: `synset`, `related` (as written), `folded`, `satellite` (is the synset one)."""
    words = {
        "synset": [synset.identity for synset in synsets for _ in synset.words],
        "related": [word for synset in synsets for word in synset.words],
        "folded": [word.casefold() for synset in synsets for word in synset.words],
        "satellite": [synset.head is not None for synset in synsets for _ in synset.words],
    }
    return pl.DataFrame(words).with_columns(pl.col("related", "folded").str.replace_all("_", " ", literal=True))


def read_links(synsets: Collection[_Synset]) -> pl.DataFrame:
    """Pointers that count here, in the order of the files: `synset`, `to` (a synset), `group` (1 or 2), `similar`."""
    link = pl.col("link")
    return (
        pl.DataFrame({"synset": [s.identity for s in synsets], "link": [s.pointers for s in synsets]})
        .with_columns(link.str.extract_all(_POINTER))
        .explode("link", empty_as_null=False)
        .select(
            "synset",
            to=link.str.slice(-2, 1).replace_strict(_IDENTITY_START) + link.str.slice(-11, 8),
            group=pl.when(link.str.contains("^[@&]")).then(1).otherwise(2),
            similar=link.str.starts_with("&"),
        )
    )


def _related_words(folder: Path, words: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """The groups that `read_wordnet` describes, of whole synsets: `synset`, `group` (0, 1, 2), `related`, `folded`."""
    linked = links.join(words.rename({"synset": "to"}), on="to", how="left", maintain_order="left_right")
    for synset, target in linked.filter(pl.col("related").is_null()).select("synset", "to").head(1).iter_rows():
        raise _dangling(folder, synset, target)
    broader = ~(pl.col("similar") & pl.col("satellite"))  # a satellite's head, not a head's satellites
    names = ("synset", "group", "related", "folded")
    return pl.concat([words.with_columns(group=pl.lit(0)).select(names), linked.filter(broader).select(names)]).unique(
        ["synset", "group", "folded"], keep="first", maintain_order=True
    )


def _with_related(senses: pl.DataFrame, related: pl.DataFrame) -> pl.DataFrame:
    """Add the column `related`: what `_related_words` has for the synset, less the line's own word, as text."""
    lines, word = senses.with_row_index("line"), pl.col("related")
    texts = (
        lines.select("line", "synset", own="folded")
        .join(related, on="synset", maintain_order="left_right")
        .filter(pl.col("folded") != pl.col("own"))
        .group_by("line", "group", maintain_order=True)
        .agg(word)
        .sort("line", "group")
        .group_by("line", maintain_order=True)
        .agg(word.list.join(", "))
        .with_columns(word.list.join("; "))
    )
    return lines.join(texts, on="line", how="left", maintain_order="left").drop("line")


def _dangling(folder: Path, synset: str, target: str) -> DictionaryError:
    """The error for a pointer from `synset` to `target`, a synset that is not there."""
    suffix = next(suffix for suffix, pos in PARTS_OF_SPEECH.items() if synset.startswith(pos))
    path = folder / f"data.{suffix}"
    number = next(number for number, offset in parsed_lines(path, lambda line: line[:8]) if offset == synset[-8:])
    return garbled(path, number, f"it points to a synset {target} that is not there")


def _tag_count(tagged: Mapping[str, int], synset: _Synset, lemma: str, synsets: Mapping[str, _Synset]) -> int:
    """Tag count of a lemma in a synset; a satellite's sense key ends in its head's first word and lex_id."""
    head = synsets.get(synset.head or "")
    end = f"{head.lemmas[0]}:{int(head.lex_ids[0], 16):02d}" if head else ":"
    ids = (lex_id for lex_id, word in zip(synset.lex_ids, synset.lemmas, strict=True) if word == lemma)
    return max(tagged.get(f"{synset.category}:{int(lex_id, 16):02d}:{end}", 0) for lex_id in ids)


def read_synsets(folder: Path, suffix: str) -> dict[str, _Synset]:
    """Read one part of speech, synsets by their offset; `suffix` is one of PARTS_OF_SPEECH."""
    path, pos = folder / f"data.{suffix}", PARTS_OF_SPEECH[suffix]
    return {synset.identity[-8:]: synset for _, synset in parsed_lines(path, lambda line: _parse_synset(line, pos))}


def _parse_synset(line: str, pos: str) -> _Synset:
    """Parse "offset lex_filenum type w_cnt (word lex_id)... p_cnt (symbol offset pos source/target)... | gloss"."""
    fields, _, gloss = line.partition(" | ")
    offset, filenum, kind, count, rest = fields.split(" ", 4)
    words = rest.split(" ", 2 * int(count, 16) + 1)
    end = 2 * int(count, 16)
    pointers = words[end + 1] if int(words[end]) else ""
    if not (offset.isdigit() and end and gloss.strip()) or pointers.count(" ") < 4 * int(words[end]) - 1:
        raise ValueError
    names = words[:end:2] if ")" not in rest else [MARKER.sub("", word) for word in words[:end:2]]
    return _Synset(
        identity=f"{pos}-{offset}",
        words=tuple(names),
        lemmas=tuple(word.lower() for word in names),
        category=f"{_SENSE_KEY_TYPE[kind]}:{filenum}",
        lex_ids=tuple(words[1:end:2]),
        head=pointers.partition("& ")[2][:8] if kind == "s" else None,
        pointers=pointers,
        definition=_definition(gloss.strip()),
    )


def _definition(gloss: str) -> str:
    """The gloss up to its first usage example; quotations inside the definition or its parentheses stay."""
    if '"' not in gloss:
        return gloss.rstrip(" ;:")
    for match in _EXAMPLE.finditer(gloss):
        before = gloss[: match.start()]
        if before and before.count('"') % 2 == 0 and before.count("(") <= before.count(")"):
            return before.rstrip(" ;:,")
    return gloss.rstrip(" ;:")
