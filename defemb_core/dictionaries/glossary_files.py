"""A glossary's file, of whatever format: what its content says it is counts, not its name."""

import io
import zipfile
from pathlib import Path
from typing import Any, Final

import polars as pl

from defemb_core.cache import data_folder
from defemb_core.dictionaries.glossary_columns import CELLS, Columns, Table, find_columns, no_columns
from defemb_core.dictionaries.glossary_encoding import as_text
from defemb_core.dictionaries.glossary_text import read_text
from defemb_core.errors import DictionaryError
from defemb_core.text import plain

LARGEST: Final = 1 << 30
"""Bytes that a file, or what a workbook unpacks to, may have: both are held in memory."""

_PARQUET, _ZIP, _OLE = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")  # the stream that holds a workbook with a password
_HEADER_WITHIN: Final = 50  # rows of a sheet, from its first one, that may be its header


def user_glossary() -> Path:
    """Return where the user's own glossary lies, which the app writes to and the dictionary `glossary` names.

    Returns:
        `glossary.csv` in the user's data folder. It need not exist yet.
    """
    return data_folder() / "glossary.csv"


def read_content(path: Path) -> bytes:
    """Return a glossary file's bytes.

    Raises:
        DictionaryError: there is no such file, it is a folder, empty or too large, or may not be read.
    """
    try:
        if path.is_dir():
            raise DictionaryError(f"glossary {path} is a folder; name a file in it")
        size = path.stat().st_size
        if size > LARGEST:
            raise DictionaryError(f"glossary {path} has {size:,} bytes, the most is {LARGEST:,}; split it into several")
        content = path.read_bytes()
    except FileNotFoundError:
        raise DictionaryError(f"glossary {path} is not there; name an existing file, glossary:FILE") from None
    except (OSError, ValueError) as error:  # the second: a path with a NUL
        raise DictionaryError(f"cannot read glossary {path}: {getattr(error, 'strerror', None) or error}") from error
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"):
        raise DictionaryError(f"glossary {path} is empty; its first line names columns, word and definition say")
    return content


def read_table(path: Path, content: bytes) -> Table:
    """Read a glossary of any format: CSV, TSV, JSON lines, Parquet, XLSX.

    Args:
        path: only for messages; the content tells the format.
        content: the file's bytes.

    Raises:
        DictionaryError: it is of none of these formats, damaged, or lacks a column.
    """
    if content.startswith(_PARQUET):
        return _read_parquet(path, content)
    if content.startswith((_ZIP, _OLE)):
        return _read_workbook(path, content)
    return read_text(path, as_text(path, content))


def is_text(content: bytes) -> bool:
    """Return whether it is neither Parquet nor a workbook."""
    return not content.startswith((_PARQUET, _ZIP, _OLE))


def _read_parquet(path: Path, content: bytes) -> Table:
    try:
        schema = pl.read_parquet_schema(io.BytesIO(content))
        names = list(schema)
        columns = find_columns(names)
        if columns is None:
            raise no_columns(path, names)
        used = [names[column] for column in columns if column is not None]
        _check_types(path, {name: schema[name] for name in used}, names[columns.word])
        frame = pl.read_parquet(io.BytesIO(content), columns=used)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:  # a panic is no Exception
        raise DictionaryError(f"glossary {path} is damaged Parquet ({_reason(error)}); make it again") from error
    pos = pl.lit(None) if columns.pos is None else pl.col(names[columns.pos])
    word, definition = pl.col(names[columns.word]), pl.col(names[columns.definition])
    cells = frame.select(pl.int_range(1, pl.len() + 1).alias("line"), word=word, definition=definition, pos=pos)
    cells = cells.explode("definition") if isinstance(cells.schema["definition"], pl.List) else cells
    return Table(cells.cast(CELLS), "row")


def _check_types(path: Path, schema: dict[str, pl.DataType], word: str) -> None:
    """Refuse columns that hold no text; words may be whole numbers, a column without any value is of no type."""
    for name, kind in schema.items():
        inner = kind.inner if isinstance(kind, pl.List) and name != word else kind
        textual = isinstance(inner, pl.String | pl.Categorical | pl.Enum | pl.Null)
        if not textual and not (name == word and kind.is_integer()):
            raise DictionaryError(f"glossary {path} has {kind} in the column {name!r}, not text; write it as text")


def _read_workbook(path: Path, content: bytes) -> Table:
    """Read the first sheet that has the columns; of a formula the value that was saved with it."""
    import fastexcel

    if content.startswith(_OLE) and _ENCRYPTED in content:
        raise DictionaryError(f"glossary {path} has a password; save it without one")
    _check_unpacked(path, content)
    seen: list[str] = []
    try:
        book = fastexcel.read_excel(content)
        for name in book.sheet_names:
            start = _sheet(book, name, _HEADER_WITHIN)
            for row, names in enumerate(start.iter_rows(), 1):
                if columns := find_columns([cell or "" for cell in names]):
                    return _cells_of_sheet(_sheet(book, name), row, columns, book.sheet_names, name)
                seen = seen or [cell for cell in names if cell]
    except fastexcel.FastExcelError as error:
        raise DictionaryError(
            f"glossary {path} is no workbook that can be read ({_reason(error)}); save it again as XLSX, or as CSV"
        ) from error
    raise no_columns(path, seen)


def _sheet(book: Any, name: str, rows: int | None = None) -> pl.DataFrame:
    """Return a sheet from its very first row on, every cell as text; its first `rows` rows, if not None."""
    sheet = book.load_sheet(name, header_row=None, skip_rows=0, n_rows=rows, dtypes="string")
    return sheet.to_polars() if sheet.width else pl.DataFrame()


def _cells_of_sheet(sheet: pl.DataFrame, header: int, columns: Columns, sheets: list[str], name: str) -> Table:
    cells = sheet.select(
        pl.int_range(1, pl.len() + 1).alias("line"),
        word=pl.nth(columns.word),
        definition=pl.nth(columns.definition),
        pos=pl.lit(None) if columns.pos is None else pl.nth(columns.pos),
    )
    others = [other for other in sheets if other != name]
    notes = (f"only its sheet {plain(name)!r} was read, not {len(others):,} more",) if others else ()
    return Table(cells.slice(header).cast(CELLS), "row", notes)


def _check_unpacked(path: Path, content: bytes) -> None:
    """Refuse a workbook that unpacks to more than memory should hold; what is no archive is left to the reader."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError):
        return
    if size > LARGEST:
        raise DictionaryError(f"glossary {path} unpacks to {size:,} bytes, the most is {LARGEST:,}; save it as CSV")


def _reason(error: BaseException) -> str:
    """Return a foreign message's first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
