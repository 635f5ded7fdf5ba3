"""wiktextract's JSONL, plain, .gz or .zst, read in blocks: of a file of any size only some megabytes are in memory."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import polars as pl

from defemb_core.dictionaries.wiktionary_entries import LONGEST_GLOSS, SENSE_SCHEMA, Entry, Head, fold, senses_of
from defemb_core.errors import DictionaryError, first_line

Told = Callable[[int, int], None]
"""Takes the bytes of the file that are read, and all of them."""

LONGEST_LINE: Final = 64 << 20
"""Bytes; a longer line is skipped as broken. The longest real ones are a few megabytes."""
_BLOCK: Final = 1 << 20
_BLOCKS_AHEAD: Final = 4
# Bytes of a compressed file at a time: gzip makes up to a thousand times as many of them, zstd far more.
_GZIP_BLOCK: Final = 64 << 10
_ZSTD_BLOCK: Final = 4 << 10
_SENSES: Final = 100_000  # lines of a frame; a hundred megabytes or so while they are Python objects
_SHOWN: Final = 3
_GZIP, _ZSTD, _BZIP2, _ZIP, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"PK\x03\x04", b"PAR1"
_KAIKKI: Final = "run wiktextract on it, or download what it makes (JSONL) from kaikki.org"


@dataclass
class Report:
    """What a reading found besides senses.

    Attributes:
        lines: lines of the file, empty ones included.
        broken: lines that are no JSON object with the keys of an entry.
        shown: the first three of them, each with number and reason.
        codes: entries of each language code.
        left: senses that were left out or cut, by reason.
        sha256: of the file as it is on disk.
    """

    lines: int = 0
    broken: int = 0
    shown: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)
    sha256: str = ""

    def skip(self, line: int, reason: str) -> None:
        """Count a broken line."""
        self.broken += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"line {line:,} ({reason})")

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, in sentences for people."""
        empty, long = self.left.get("empty", 0), self.left.get("long", 0)
        more = ", ..." if self.broken > len(self.shown) else ""
        told = [
            (self.broken, f"skipped {self.broken:,} broken of {self.lines:,} lines: {', '.join(self.shown)}{more}"),
            (empty, f"left out {empty:,} senses without a definition"),
            (long, f"cut {long:,} definitions of more than {LONGEST_GLOSS:,} characters"),
        ]
        return tuple(note for count, note in told if count)


def read_dump(
    path: Path, language: str, wanted: Collection[str] | None, report: Report, told: Told | None = None
) -> Iterator[pl.DataFrame]:
    """Yield the senses of a language's words, as frames of `SENSE_SCHEMA` in the order of the file.

    Args:
        path: a file of JSON lines as wiktextract writes them, one an entry, in UTF-8.
        language: the `lang_code` of the entries to read, "en" say.
        wanted: folded words to restrict the reading to; None for all.
        report: filled in as the file is read; its digest is there at the end.
        told: is told how far the reading is.

    Raises:
        DictionaryError: the file cannot be read, is cut short or damaged, is of another kind, or has no entry of
            this language.
    """
    import msgspec

    head, whole = msgspec.json.Decoder(Head).decode, msgspec.json.Decoder(Entry).decode
    rows: list[tuple[Any, ...]] = []
    for number, line in _numbered(path, report, told):
        try:
            found = head(line)
            code, word = found.lang_code, found.word
            if code:
                report.codes[code] += 1
            if code == language and word and (wanted is None or fold(word) in wanted):
                rows += senses_of(whole(line), number, report.left)
        except (ValueError, RecursionError) as exc:  # msgspec's errors, and those of UTF-8, are ValueErrors
            report.skip(number, first_line(exc))
        if len(rows) >= _SENSES:
            yield _frame(rows)
            rows = []
    if not report.codes[language]:
        raise _nothing(path, language, report)
    yield _frame(rows)


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    columns = zip(*rows, strict=True) if rows else [()] * len(SENSE_SCHEMA)
    return pl.DataFrame(
        {
            name: pl.Series(values, dtype=kind)
            for (name, kind), values in zip(SENSE_SCHEMA.items(), columns, strict=True)
        }
    )


def _nothing(path: Path, language: str, report: Report) -> DictionaryError:
    """The error for a file that has no entry of the language."""
    if report.codes:
        common = ", ".join(f"{code} ({count:,} entries)" for code, count in report.codes.most_common(10))
        more = f" and {len(report.codes) - 10:,} more" if len(report.codes) > 10 else ""
        return DictionaryError(
            f"{path} has no entry of language {language!r}; it has {common}{more}; name the language as in "
            f"wiktionary:{path}@{report.codes.most_common(1)[0][0]}, or with --language when you build a store"
        )
    why = f": {report.shown[0]}" if report.shown else ": no line has a lang_code"
    return DictionaryError(f"{path} is no JSONL as wiktextract writes it{why}; download such a file from kaikki.org")


def _numbered(path: Path, report: Report, told: Told | None) -> Iterator[tuple[int, bytes]]:
    """Yield lines that are not empty with their numbers, from 1; lines that are too long are reported and skipped."""
    for line in _lines(_ahead(_expanded(path, report, told))):
        report.lines += 1
        if line is None:
            report.skip(report.lines, f"longer than {LONGEST_LINE >> 20} MB")
        elif line and not line.isspace():
            yield report.lines, line


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Cut blocks into lines; None stands for one that is too long."""
    begun: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        size += len(first)
        begun = [*begun, first] if size <= LONGEST_LINE else []
        if others:
            yield b"".join(begun) if size <= LONGEST_LINE else None
            yield from others[:-1]
            begun, size = [others[-1]], len(others[-1])
    if size:
        yield b"".join(begun) if size <= LONGEST_LINE else None


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks while a thread makes the next ones: hashing and decompressing leave Python to the decoder."""
    with ThreadPoolExecutor(1, "dump") as pool:
        coming = deque(pool.submit(next, blocks, None) for _ in range(_BLOCKS_AHEAD))
        while (block := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, blocks, None))
            yield block


def _gathered(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Join small blocks until they are worth handing on."""
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if size >= _BLOCK:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _expanded(path: Path, report: Report, told: Told | None) -> Iterator[bytes]:
    """Yield the file's contents in blocks, decompressed, without a byte-order mark."""
    digest, first = hashlib.sha256(), True
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            raw = _hashing(file, start, path.stat().st_size, digest, told)
            for block in _gathered(_decompressed(path, start, raw)):
                if first and block:
                    block, first = block.removeprefix(b"\xef\xbb\xbf"), False
                    _refuse_others(path, block)
                yield block
    except OSError as exc:
        raise DictionaryError(f"cannot read {path}: {exc.strerror or exc}") from exc
    if first:
        raise DictionaryError(f"{path} is empty; download the JSONL that wiktextract makes from kaikki.org")
    report.sha256 = digest.hexdigest()


def _hashing(file: BinaryIO, start: bytes, total: int, digest: Any, told: Told | None) -> Iterator[bytes]:
    """Yield the file as it is, block by block."""
    size = _ZSTD_BLOCK if start == _ZSTD else _GZIP_BLOCK if start.startswith(_GZIP) else _BLOCK
    done = before = 0
    while block := file.read(size):
        digest.update(block)
        done += len(block)
        if told and done - before >= _BLOCK:
            before = done
            told(done, max(total, done))
        yield block


def _decompressed(path: Path, start: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks, decompressed if the file's first bytes say that they need to be.

    Both libraries' own file readers take the end of a stream that is cut short for granted, or read it whole.
    """
    open_stream = _opener(start)
    if open_stream is None:
        yield from blocks
        return
    import zstandard

    stream, given = open_stream(), False  # whether the stream has any bytes
    try:
        for block in blocks:
            rest = block
            while rest := rest if given else rest.lstrip(b"\0"):  # zeros may lie between streams and at the end
                yield stream.decompress(rest)
                given, rest = not stream.eof, stream.unused_data
                if stream.eof:  # a file may be several streams, one after the other
                    stream = open_stream()
    except (zlib.error, zstandard.ZstdError) as exc:
        raise DictionaryError(f"{path} is damaged ({first_line(exc)}); download it again") from exc
    if given:
        raise DictionaryError(f"{path} is cut short, its compressed stream has no end; download it again")


def _opener(start: bytes) -> Callable[[], Any] | None:
    """Return what makes a decompressor for files that begin so, None for plain ones."""
    if start.startswith(_GZIP):
        return lambda: zlib.decompressobj(wbits=31)
    if start == _ZSTD:
        import zstandard

        return lambda: zstandard.ZstdDecompressor().decompressobj()
    return None


def _refuse_others(path: Path, block: bytes) -> None:
    """Raise DictionaryError for files of another kind, which their first bytes give away."""
    if block.lstrip().startswith(b"<"):
        raise DictionaryError(f"{path} is XML, Wiktionary's raw dump perhaps; {_KAIKKI}")
    if block.startswith(_BZIP2):
        raise DictionaryError(f"{path} is compressed by bzip2, Wiktionary's raw dump perhaps; {_KAIKKI}")
    if block.startswith(_ZIP):
        raise DictionaryError(f"{path} is a zip archive; unpack it first")
    if block.startswith(_PARQUET):
        raise DictionaryError(f"{path} is a Parquet file; name the folder that 'dictionary build' made")
