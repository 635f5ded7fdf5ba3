"""Which columns of a table hold words, definitions and parts of speech, and what a table looks like once that is known.

Names count without case, blanks and signs: "Part of speech", "part_of_speech" and "PartOfSpeech" are one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from defemb_core.errors import DictionaryError
from defemb_core.text import plain

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "word": ("word", "term", "token", "headword", "lemma", "entry", "keyword", "expression", "name"),
    "definition": (
        "definition", "gloss", "meaning", "description", "explanation", "def",
        "definitions", "glosses", "meanings", "descriptions",
    ),
    "pos": ("pos", "part of speech", "parts of speech", "word class", "lexical category", "upos"),
}  # fmt: skip
"""What a column may be called, the likeliest name first; `pos` is optional."""
SHOWN: Final = 3
"""Line numbers that a note names; the others are counted."""

_IGNORED: Final = re.compile(r"[\W_]+")


class Columns(NamedTuple):
    """Positions of the columns, from 0; `pos` is None where a table has none."""

    word: int
    definition: int
    pos: int | None


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of a glossary, as they stand in its file.

    Attributes:
        cells: `line i64` (the line of a text, or the row of a sheet, that an entry begins on, counted from 1; an entry
            with several definitions has several lines of the frame), `word`, `definition`, `pos` (str or null).
        unit: what `line` counts, "line" or "row".
        notes: sentences on what could not be read.
    """

    cells: pl.DataFrame
    unit: str
    notes: tuple[str, ...] = ()


CELLS: Final = pl.Schema({"line": pl.Int64(), "word": pl.String(), "definition": pl.String(), "pos": pl.String()})
"""The schema of `Table.cells`."""


def find_columns(names: Sequence[str]) -> Columns | None:
    """Return where the columns are, or None if there is none for words or none for definitions."""
    simple = [_simple(name) for name in names]
    found = {
        role: next((simple.index(_simple(name)) for name in known if _simple(name) in simple), None)
        for role, known in NAMES.items()
    }
    word, definition = found["word"], found["definition"]
    return None if word is None or definition is None else Columns(word, definition, found["pos"])


def no_columns(origin: object, names: Sequence[str]) -> DictionaryError:
    """Return the error for a table whose columns are `names`, to be raised by the caller."""
    seen = ", ".join(repr(plain(name)) for name in names[:10] if name.strip()) or "none"
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return DictionaryError(
        f"glossary {origin} lacks a column of words or one of definitions; its columns are {seen}{more}; name them in "
        f"its first line, words {_any(NAMES['word'])}, definitions {_any(NAMES['definition'])}"
    )


def counted(unit: str, numbers: Sequence[int], what: str) -> str:
    """Return a note: "1 line with two words: 3", "15 lines with two words: 3, 5, 8 and 12 more"."""
    first = ", ".join(f"{number:,}" for number in numbers[:SHOWN])
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return f"{len(numbers):,} {unit}{'' if len(numbers) == 1 else 's'} {what}: {first}{more}"


def _simple(name: str) -> str:
    return _IGNORED.sub("", name.casefold())


def _any(names: Sequence[str]) -> str:
    return f"{', '.join(names[:4])} or {names[4]}"
