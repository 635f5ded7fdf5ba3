"""Dictionaries: every source is read into the same definition frame."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from defemb_core.errors import DictionaryError

WORDNET = "wordnet"
"""The dictionary that is used unless another is named."""

DEFINITION_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "word": pl.String(),  # as a reader writes it: own case, spaces
    "pos": pl.String(),  # part of speech in full, or null
    "definition": pl.String(),  # without usage examples
    "sense": pl.Int32(),  # 0 = first, numbered per case-folded word
    "source": pl.String(),  # the dictionary's name
    "form_of": pl.String(),  # the lemma that `word` is an inflection of, or null
}
"""Columns that every definition frame has, one line a sense; a source may add its own."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The definitions of one source and what a run records about where they came from.

    Attributes:
        definitions: One line a sense, columns as in `DEFINITION_SCHEMA`, perhaps more.
        name: The source's name, e.g. "wordnet".
        digest: SHA-256 (hexadecimal) over the contents that the definitions were read from.
        origin: Where those contents are, for people: a folder, a file or an address.

    Raises:
        DictionaryError: A column is missing or has another type.
    """

    definitions: pl.DataFrame
    name: str
    digest: str
    origin: str

    def __post_init__(self) -> None:
        found = self.definitions.schema
        wrong = [column for column, kind in DEFINITION_SCHEMA.items() if found.get(column) != kind]
        if wrong:
            raise DictionaryError(
                f"definitions of {self.name} lack the columns {', '.join(wrong)} or have them with another type; "
                f"a definition frame has {dict(DEFINITION_SCHEMA)}"
            )


def load_dictionary(spec: str) -> Dictionary:
    """Load a dictionary by name.

    Args:
        spec: "wordnet", or "wordnet:FOLDER" for the WNDB files in a folder of the user's.

    Raises:
        DictionaryError: The name is unknown, or the dictionary cannot be found or read.
    """
    name, colon, place = spec.partition(":")
    if name not in _LOADERS:
        raise DictionaryError(f"unknown dictionary {spec!r}; known: {', '.join(_KNOWN)}")
    if colon and not place.strip():
        raise DictionaryError(f"dictionary {spec!r} names no place after the colon; write {name} or {name}:FOLDER")
    return _LOADERS[name](place or None)


def _load_wordnet(folder: str | None) -> Dictionary:
    from defemb_core.dictionaries.wordnet import load_wordnet  # imports this module

    return load_wordnet(folder)


_LOADERS: Final[Mapping[str, Callable[[str | None], Dictionary]]] = {WORDNET: _load_wordnet}
_KNOWN: Final = ("wordnet", "wordnet:FOLDER")
