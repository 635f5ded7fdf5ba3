"""A glossary of the user's: a table of words and definitions in CSV, TSV, JSON lines, Parquet or XLSX."""

import hashlib
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, GLOSSARY, Dictionary
from defemb_core.dictionaries.glossary_columns import Table, counted
from defemb_core.dictionaries.glossary_files import read_content, read_table, user_glossary
from defemb_core.errors import DictionaryError

KINDS: Final = ("word", "number", "symbol")
LONGEST: Final = 10_000
"""Characters that are kept of a definition; prompts have room for a tenth of that."""
LONGEST_WORD: Final = 200
"""Characters that a word may have."""

# What dictionaries abbreviate; anything else stands as it is written, in lower case.
_PARTS_OF_SPEECH: Final = {
    "n": "noun", "v": "verb", "vb": "verb", "a": "adjective", "s": "adjective", "adj": "adjective", "r": "adverb",
    "adv": "adverb", "prep": "preposition", "adp": "preposition", "conj": "conjunction", "pron": "pronoun",
    "num": "numeral", "det": "determiner", "intj": "interjection", "interj": "interjection", "propn": "proper noun",
    "abbr": "abbreviation", "suff": "suffix", "pref": "prefix",
}  # fmt: skip
_UNTIDY: Final = r"^[\s']|\s$|[^\S ]|  "
_FORMULA_MARK: Final = r"^'('*\s*[=+\-@])"


def load_glossary(place: str | None, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """Return the definitions of a glossary, its senses in the order of the file.

    Columns are found by their names (`glossary_columns.NAMES`), the format by the content. Words and definitions are
    plain text: blanks are joined, nothing in a cell is ever evaluated. A word may be a row of the table as the
    tokenizer writes it ("##ing").

    Args:
        place: the file; None: `user_glossary()`.
        vocabulary: not needed, a glossary is small.

    Returns:
        A dictionary named "glossary", its digest that of the file. Its notes count, with the numbers of the first
        lines, what was left out: entries without a word or a definition, repeated ones, lines that cannot be read.

    Raises:
        DictionaryError: the file is missing, cannot be read, lacks a column, or has no entry that can be used.
    """
    del vocabulary
    path = _path(place)
    content = read_content(path)
    table = read_table(path, content)
    definitions, notes = read_definitions(table)
    notes = table.notes + notes
    if definitions.is_empty():
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DictionaryError(
            f"glossary {path} has no entry with a word and a definition{why}; write at least one below the header"
        )
    return Dictionary(definitions, GLOSSARY, hashlib.sha256(content).hexdigest(), str(path), notes, KINDS)


def _path(place: str | None) -> Path:
    if place is None:
        own = user_glossary()
        if not own.exists():
            raise DictionaryError(
                f"there is no glossary of your own at {own} yet; write a definition on the Definitions page, with "
                "another dictionary chosen, or name a file, glossary:FILE"
            )
        return own
    try:
        return Path(place.strip()).expanduser()
    except RuntimeError:  # "~nobody"
        raise DictionaryError(f"glossary {place} is in the home folder of nobody; name an existing file") from None


def read_definitions(table: Table) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return a table's definition frame (columns of DEFINITION_SCHEMA) and notes on what was left out.

    Lines that are blank altogether are no entries. Of entries with the same case-folded word and the same definition
    the first one counts.
    """
    cells = table.cells.with_columns(_clean(table.cells[name]) for name in ("word", "definition", "pos"))
    cells = cells.filter(pl.any_horizontal(pl.col("word", "definition", "pos").is_not_null()))
    cells = cells.with_columns(folded=pl.col("word").str.to_lowercase().str.replace_all("_", " ", literal=True))
    notes = []
    for what, bad in (
        ("without a word", pl.col("word").is_null()),
        ("without a definition", pl.col("definition").is_null()),
        (f"with a word of over {LONGEST_WORD:,} characters", pl.col("word").str.len_chars() > LONGEST_WORD),
        ("that repeat others", ~pl.concat_str("folded", "definition", separator="\n").is_first_distinct()),
    ):
        if numbers := cells.filter(bad)["line"].to_list():
            notes.append(counted(table.unit, numbers, f"{what} left out"))
            cells = cells.filter(~bad)
    long = pl.col("definition").str.len_chars() > LONGEST
    if numbers := cells.filter(long)["line"].to_list():
        notes.append(counted(table.unit, numbers, f"whose definitions were cut to {LONGEST:,} characters"))
    return _definition_frame(cells), tuple(notes)


def _definition_frame(cells: pl.DataFrame) -> pl.DataFrame:
    pos = pl.col("pos").str.to_lowercase()
    return cells.select(
        "word",
        pos=pos.str.strip_suffix(".").replace_strict(_PARTS_OF_SPEECH, default=pos, return_dtype=pl.String),
        definition=pl.col("definition").str.head(LONGEST),
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over("folded"),
        source=pl.lit(GLOSSARY),
        form_of=pl.lit(None, dtype=pl.String),
    ).select(*DEFINITION_SCHEMA)


def _clean(cells: pl.Series) -> pl.Series:
    """Return cells as plain text, null where they show nothing; a mark that keeps a formula from running is none."""
    untidy = cells.str.contains(_UNTIDY).fill_null(False)  # few are: the rest is left as it is
    tidied = cells.filter(untidy).str.replace_all(r"\s+", " ").str.strip_chars().str.replace(_FORMULA_MARK, "$1")
    cells = cells.scatter(untidy.arg_true(), tidied) if untidy.any() else cells
    return cells.set(cells == "", None)
