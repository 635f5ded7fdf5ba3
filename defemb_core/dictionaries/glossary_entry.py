"""Definitions that a user writes: added one by one to a glossary in delimited text."""

import csv
import fcntl
import io
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.cache import write_atomically
from defemb_core.dictionaries.glossary import LONGEST, LONGEST_WORD, read_definitions
from defemb_core.dictionaries.glossary_encoding import Text, as_text
from defemb_core.dictionaries.glossary_files import is_text, read_content
from defemb_core.dictionaries.glossary_text import find_layout, holds_json, read_text
from defemb_core.errors import DictionaryError

HEADER: Final = "word,pos,definition\n"
"""Of a glossary that `add_entry` makes, in UTF-8."""

_FORMULA: Final = re.compile(r"'*\s*[=+\-@]")  # after `_one_line`, which leaves no other blank than the space
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MARKED: Final = ("utf-16", "utf-32")  # Python's names for those with a mark
_MOST: Final = {"word": LONGEST_WORD, "definition": LONGEST}


def add_entry(path: Path, word: str, definition: str, pos: str | None = None) -> bool:
    """Add a definition to a glossary in delimited text, whose other lines, delimiter and encoding stay as they are.

    The file is replaced whole or not at all; of several processes that add at once none loses another's. It is made
    if it is missing. A cell that a spreadsheet would run as a formula gets an apostrophe before it, which reading
    takes off again.

    Args:
        path: the file.
        word: a word, or a row as the tokenizer writes it.
        definition: in one line; line breaks become blanks.
        pos: part of speech; lost where the file has no column for it.

    Returns:
        Whether it was added; False if the word has this very definition already.

    Raises:
        DictionaryError: word or definition is blank, too long or no text, or the file is of another format, damaged,
            cannot hold these characters, or cannot be written.
    """
    cells = checked_cells(word, definition, pos)
    try:
        path = path.resolve()  # a link stays one
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(path.parent):
            return _add(path, cells)
    except (OSError, ValueError, RuntimeError) as error:  # the others: no path at all, links that lead in a circle
        reason = getattr(error, "strerror", None) or error
        raise DictionaryError(f"cannot write glossary {path}: {reason}; name another file") from error


def checked_cells(word: str, definition: str, pos: str | None = None) -> dict[str, str]:
    """Return word, definition and part of speech as a glossary has them: each in one line.

    Raises:
        DictionaryError: word or definition is blank, too long or no text.
    """
    cells = {"word": _one_line(word), "definition": _one_line(definition), "pos": _one_line(pos or "")}
    for name, most in _MOST.items():
        if not cells[name]:
            raise DictionaryError(f"the {name} is blank; write one")
        if len(cells[name]) > most:
            raise DictionaryError(f"the {name} has {len(cells[name]):,} characters, the most is {most:,}; shorten it")
    if _CONTROL.search("".join(cells.values())):
        raise DictionaryError("the definition, or its word, holds a control character, which is no text; leave it out")
    return cells


def _add(path: Path, cells: Mapping[str, str]) -> bool:
    content = read_content(path) if path.exists() and path.stat().st_size else HEADER.encode()
    text = as_text(path, content) if is_text(content) else None
    if text is None or holds_json(text):
        raise DictionaryError(f"glossary {path} is no delimited text, the only format to add to; save it as CSV")
    before = _entries(path, text)
    same = before.filter(pl.col("definition") == cells["definition"])["word"].to_list()
    if _folded(cells["word"]) in map(_folded, same):
        return False
    after = text._replace(content=content + _row(path, text, cells))
    added = _entries(path, after)[before.height :]
    if added.select("word", "definition").rows() != [(cells["word"], cells["definition"])]:
        raise DictionaryError(
            f"nothing can be added to glossary {path}: a double quote in it is never closed; mend the file first"
        )

    def write(temporary: Path) -> None:
        temporary.write_bytes(after.content)
        if path.exists():
            shutil.copymode(path, temporary)

    write_atomically(path, write)
    return True


def _entries(path: Path, text: Text) -> pl.DataFrame:
    definitions, _ = read_definitions(read_text(path, text))
    return definitions


def _row(path: Path, text: Text, cells: Mapping[str, str]) -> bytes:
    """Return the line to append, in the file's encoding, after a line break if the file ends without one."""
    layout = find_layout(path, text)
    start = next(text.lines())
    line_end = start[len(start.rstrip("\r\n")) :] or "\n"
    row = [""] * len(layout.names)
    for name, column in layout.columns._asdict().items():
        if column is not None:
            row[column] = f"'{cells[name]}" if _FORMULA.match(cells[name]) else cells[name]
    made = io.StringIO()
    csv.writer(made, delimiter=layout.delimiter, lineterminator=line_end).writerow(row)
    encoding = _without_mark(text)
    ends = text.content.endswith(line_end.encode(encoding))
    try:
        return (made.getvalue() if ends else line_end + made.getvalue()).encode(encoding)
    except UnicodeEncodeError as error:
        raise DictionaryError(
            f"glossary {path} is in {encoding}, which has no {error.object[error.start]!r}; save it as UTF-8"
        ) from None


def _without_mark(text: Text) -> str:
    """Return the encoding by a name with which no byte order mark is written."""
    order = {b"\xff\xfe": "-le", b"\xfe\xff": "-be", b"\x00\x00": "-be"}.get(text.content[:2], "")
    return {"utf-8-sig": "utf-8"}.get(text.encoding, text.encoding + (order if text.encoding in _MARKED else ""))


def _folded(word: str) -> str:
    """Return a word as rows are looked up by it."""
    return word.lower().replace("_", " ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process that asks for it too adds to a file in the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
