"""Glossaries that are text: their delimiter, and their cells with the lines that these begin on."""

import csv
import itertools
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from defemb_core.dictionaries.glossary_columns import CELLS, Columns, Table, counted, find_columns, no_columns
from defemb_core.dictionaries.glossary_encoding import Text
from defemb_core.errors import DictionaryError

DELIMITERS: Final = (",", ";", "\t", "|")
_CHUNK: Final = 65_536  # entries that wait as Python objects before they become a frame
_LOOKED_AT: Final = 20  # lines among which a JSON object makes a file JSONL
_MOST_LINES: Final = 100  # of one entry; more come of a quote that nothing closes
_ARRAY: Final = re.compile(r"\s*\[\s*(\{|$)")


def read_text(path: Path, text: Text) -> Table:
    """Read delimited text, or JSON lines if one of the first lines is a JSON object.

    Raises:
        DictionaryError: no columns of words and definitions, or the text is one JSON array.
    """
    if _ARRAY.match(next((line for line in text.lines() if line.strip()), "")):
        raise DictionaryError(f"glossary {path} is one JSON array; write its objects one a line, without the brackets")
    table = _read_json(path, text) if holds_json(text) else _read_cells(path, text)
    known = text.encoding.startswith("utf")
    notes = () if known else (f"it is not in UTF-8; read as {text.encoding}, the likeliest of others",)
    return Table(table.cells, table.unit, notes + table.notes)


def holds_json(text: Text) -> bool:
    """Return whether one of the first lines that are not blank is a JSON object."""
    lines = (line for line in text.lines() if line.strip())
    return any(isinstance(_parsed(line), dict) for line in itertools.islice(lines, _LOOKED_AT))


class Layout(NamedTuple):
    """How delimited text is laid out: its delimiter, its header's cells, where the columns are, the header's line."""

    delimiter: str
    names: list[str]
    columns: Columns
    line: int


def find_layout(path: Path, text: Text) -> Layout:
    """Return the layout with which the first line that is not blank names the columns.

    Raises:
        DictionaryError: no delimiter makes it name a column of words and one of definitions.
    """
    seen: list[str] = []
    for delimiter in DELIMITERS:
        for line, names in _Entries(text, delimiter):
            if not any(name.strip() for name in names) or (line == 1 and names[0].lower().startswith("sep=")):
                continue  # the second is how spreadsheets are told the delimiter
            if columns := find_columns(names):
                return Layout(delimiter, names, columns, line)
            seen = max(seen, names, key=len)
            break
    raise no_columns(path, seen)


def _read_cells(path: Path, text: Text) -> Table:
    layout = find_layout(path, text)
    columns, blank = layout.columns, [""] * len(layout.names)
    collected, entries, longer = _Collected(), _Entries(text, layout.delimiter), []
    for line, cells in entries:
        if line <= layout.line:
            continue
        if len(cells) < len(blank):
            cells += blank[len(cells) :]
        elif len(cells) > len(blank) and any(cells[len(blank) :]):
            longer.append(line)
            continue
        pos = None if columns.pos is None else cells[columns.pos]
        collected.add(line, cells[columns.word], cells[columns.definition], pos)
    troubles = (
        (longer, f"with more cells than the header (one that holds {layout.delimiter!r} belongs in quotes) left out"),
        (entries.unclosed, "with a double quote that nothing closes read as they stand"),
        (entries.too_long, f"with a cell of over {csv.field_size_limit():,} characters left out"),
    )
    notes = tuple(counted("line", numbers, what) for numbers, what in troubles if numbers)
    return Table(collected.frame(), "line", notes)


class _Entries:
    """Iterates over delimited text: the line that an entry begins on, from 1, and its cells.

    A quote that nothing closes would take the rest of the file into its cell. Such a line is read as it stands, quotes
    and all, and reading goes on after it.

    Attributes:
        unclosed: lines with such a quote.
        too_long: lines left out since a cell is longer than the csv module takes.
    """

    def __init__(self, text: Text, delimiter: str) -> None:
        self.unclosed: list[int] = []
        self.too_long: list[int] = []
        self._source = text.lines()
        self._again: deque[str] = deque()  # lines to be read before those of the source
        self._taken: list[str] = []  # lines of the entry that is being read
        self._ended = False
        self._options: dict[str, Any] = {"delimiter": delimiter, "skipinitialspace": True}

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        line = 1
        reader = csv.reader(self._lines(), **self._options)
        while True:
            self._taken.clear()
            cells = self._next(reader)
            if not self._taken:
                return
            if (len(self._taken) > 1 or self._ended) and not self._is_whole():
                reader = csv.reader(self._lines(), **self._options)
                cells = self._first_as_it_stands()
                self.unclosed.append(line)
            if cells is None:
                self.too_long.append(line)
            elif cells:
                yield line, cells
            line += len(self._taken)

    def _lines(self) -> Iterator[str]:
        while len(self._taken) < _MOST_LINES:
            line = self._again.popleft() if self._again else next(self._source, None)
            if line is None:
                self._ended = True
                return
            self._taken.append(line)
            yield line

    def _next(self, reader: Iterator[list[str]]) -> list[str] | None:
        """Return the next entry's cells, none at the end, None if one is too long."""
        try:
            return next(reader, [])
        except csv.Error:
            return None

    def _is_whole(self) -> bool:
        """Return whether the lines of the entry are one by the strict rules, every quote closed before a delimiter."""
        try:
            return len(list(csv.reader(self._taken, strict=True, **self._options))) == 1
        except csv.Error:
            return False

    def _first_as_it_stands(self) -> list[str] | None:
        self._again.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]
        self._ended = False
        return self._next(csv.reader(self._taken, quoting=csv.QUOTE_NONE, **self._options))


class _Collected:
    """Entries on their way into a frame; few of them wait as Python objects, which take several times the memory."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._waiting: list[list] = [[] for _ in CELLS]

    def add(self, line: int, word: str | None, definition: str | None, pos: str | None) -> None:
        """Add an entry."""
        lines, words, definitions, tags = self._waiting
        lines.append(line)
        words.append(word)
        definitions.append(definition)
        tags.append(pos)
        if len(lines) == _CHUNK:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """Return all of them, columns as in CELLS."""
        self._flush()
        return pl.concat(self._frames)

    def _flush(self) -> None:
        self._frames.append(pl.DataFrame(self._waiting, CELLS, orient="col"))
        self._waiting = [[] for _ in CELLS]


def _read_json(path: Path, text: Text) -> Table:
    collected, broken = _Collected(), []
    known: dict[tuple[str, ...], Columns | None] = {}
    for line, written in enumerate(text.lines(), 1):
        if not written.strip():
            continue
        entry = _parsed(written)
        if not isinstance(entry, dict):
            broken.append(line)
            continue
        names, values = tuple(entry), list(entry.values())
        if names not in known:
            known[names] = find_columns(names)
        columns = known[names]
        if columns is None:
            collected.add(line, None, None, None)
            continue
        pos = None if columns.pos is None else _cell(values[columns.pos])
        definitions = values[columns.definition]
        for definition in definitions if isinstance(definitions, list) and definitions else [definitions]:
            collected.add(line, _cell(values[columns.word]), _cell(definition), pos)
    if not any(known.values()):
        raise no_columns(path, list(dict.fromkeys(itertools.chain(*known))))
    notes = (counted("line", broken, "that are no whole JSON object left out"),) if broken else ()
    return Table(collected.frame(), "line", notes)


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _cell(value: object) -> str | None:
    """Return a JSON value as a cell: texts and numbers alone; half a surrogate pair is no character."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
