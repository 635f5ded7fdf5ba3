"""Glossaries that are text: their encoding, their delimiter, and their cells with the lines that these begin on."""

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from defemb_core.dictionaries.glossary_columns import CELLS, SHOWN, Columns, Table, counted, find_columns, no_columns
from defemb_core.errors import DictionaryError

DELIMITERS: Final = (",", ";", "\t", "|")
_CHUNK: Final = 65_536  # entries that wait as Python objects before they become a frame
_LOOKED_AT: Final = 20  # lines among which a JSON object makes a file JSONL
_RESTARTS: Final = 100  # unclosed quotes that are worth reading on after; each costs the lines before it again
_SAMPLE: Final = 65_536  # bytes from which an encoding is guessed

_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What spreadsheets and editors write besides Unicode; the guess is among these.
_LEGACY: Final = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "koi8_r", "cp932", "gb18030", "cp949", "big5",
]  # fmt: skip
_BEYOND_ASCII: Final = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Text(NamedTuple):
    """A file's content and how it is decoded."""

    content: bytes
    encoding: str

    def lines(self) -> Iterator[str]:
        """Return the lines one by one, with their ends as they are; what is no text is shown as U+FFFD."""
        return io.TextIOWrapper(io.BytesIO(self.content), self.encoding, "replace", newline="")


def as_text(path: Path, content: bytes) -> Text:
    """Return the content with its encoding.

    A byte order mark says it; else it is UTF-8 if all of it can be that, UTF-16 if every other byte is 0, and what
    charset-normalizer guesses otherwise (CP1252, which has Latin-1 in it, where several would do).

    Raises:
        DictionaryError: it is no text.
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return Text(content, encoding)
    start = content[:4096]
    for encoding, high in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if high.count(0) > 0.7 * len(high):
            return Text(content, encoding)
    if b"\0" in content or len(_CONTROLS.findall(start)) > 0.01 * len(start):
        raise DictionaryError(
            f"glossary {path} is neither text nor Parquet nor XLSX; unpack it if it is compressed, or save it as CSV"
        )
    return Text(content, "utf-8" if _is_utf8(content) else _guessed(content))


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), 1 << 20):
            decoder.decode(content[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(content: bytes) -> str:
    from charset_normalizer import from_bytes

    telling: list[bytes] = []
    for line in _BEYOND_ASCII.finditer(content):
        telling.append(line.group()[:_SAMPLE])
        if sum(map(len, telling)) > _SAMPLE:
            break
    matches = from_bytes(b"\n".join(telling), cp_isolation=_LEGACY)
    best = matches.best()
    if best is None:
        return "cp1252"
    equal = [one for one in matches if (one.chaos, one.coherence) == (best.chaos, best.coherence)]
    return "cp1252" if any("cp1252" in one.could_be_from_charset for one in equal) else best.encoding


def read_text(path: Path, text: Text) -> Table:
    """Read delimited text, or JSON lines if one of the first lines is a JSON object.

    Raises:
        DictionaryError: no columns of words and definitions, or too many quotes that are never closed.
    """
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
        for line, names in _records(path, text, delimiter, []):
            if not any(name.strip() for name in names) or (line == 1 and names[0].lower().startswith("sep=")):
                continue  # the second is how spreadsheets are told the delimiter
            if columns := find_columns(names):
                return Layout(delimiter, names, columns, line)
            seen = max(seen, names, key=len)
            break
    raise no_columns(path, seen)


def _read_cells(path: Path, text: Text) -> Table:
    layout = find_layout(path, text)
    columns, filled = layout.columns, [""] * len(layout.names)
    collected = _Collected()
    broken: list[tuple[int, str]] = []
    longer = []
    for line, cells in _records(path, text, layout.delimiter, broken):
        if line <= layout.line:
            continue
        if len(cells) < len(filled):
            cells += filled[len(cells) :]
        elif len(cells) > len(filled) and any(cells[len(filled) :]):
            longer.append(line)
            continue
        pos = None if columns.pos is None else cells[columns.pos]
        collected.add(line, cells[columns.word], cells[columns.definition], pos)
    notes = [f"line {line:,} {what}" for line, what in broken[:SHOWN]]
    if len(broken) > SHOWN:
        notes.append(f"{len(broken) - SHOWN:,} more lines left out for such reasons")
    if longer:
        notes.append(
            f"{counted('line', longer)} with more cells than the header left out; a cell that holds "
            f"{layout.delimiter!r} belongs in double quotes"
        )
    return Table(collected.frame(), "line", tuple(notes))


def _records(path: Path, text: Text, delimiter: str, broken: list[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that an entry begins on, from 1, and its cells; what cannot be read is added to `broken`.

    A quote that is not closed would take the rest of the file into its cell: the line is left out, and reading goes on
    after it.
    """
    start = restarts = 0
    while True:
        ended: list[bool] = []
        lines = itertools.chain(itertools.islice(text.lines(), start, None), _end(ended))
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        base = before = start
        while True:
            before = base + reader.line_num
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:  # a cell is longer than the module's limit of 131,072 characters
                if base + reader.line_num - before <= 1:
                    broken.append((before + 1, f"has a cell of over {csv.field_size_limit():,} characters; left out"))
                    continue
                break
            if ended:  # a line that is whole ends without a look at what follows
                break
            if cells:
                yield before + 1, cells
        broken.append((before + 1, "has a double quote that nothing closes; left out"))
        start, restarts = before + 1, restarts + 1
        if restarts > _RESTARTS:
            raise DictionaryError(
                f"glossary {path} has over {_RESTARTS} lines with a double quote that nothing closes, the last of them "
                f"line {start:,}; a quote inside a cell is written twice, in a cell in quotes"
            )


def _end(ended: list[bool]) -> Iterator[str]:
    ended.append(True)
    yield from ()


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
    notes = (f"{counted('line', broken)} left out: not one whole JSON object",) if broken else ()
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
