"""Files with a table of embeddings, whoever wrote them: told apart by how they begin, read some rows at a time."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.errors import TableError
from defemb_core.export_formats.table import BLOCK_BYTES, row_blocks
from defemb_core.export_tensors import BITS, decode, tensor_places

# Columns and tensors that hold what is looked for, in the order of preference.
TOKEN_COLUMNS = ("token", "label", "word", "text")
VECTOR_COLUMNS = ("embedding", "vector", "embeddings", "vectors")
TENSORS = ("matrix", "embeddings", "embedding.weight")
_STATIC, _PROJECTOR = "model.safetensors", "tensors.tsv"


@dataclass(frozen=True, eq=False)
class Found:
    """What a file holds.

    Attributes:
        shape: of the table: rows and columns.
        parts: yields its rows in order, some at a time, numbers of any type (n, columns).
        tokens: what the rows stand for, None where the file names none.
        escaped: whether tokens were made safe for spreadsheets.
    """

    shape: tuple[int, ...]
    parts: Callable[[], Iterator[np.ndarray]]
    tokens: list[str] | None = None
    escaped: bool = False


def is_table(name: str) -> bool:
    """Return whether a name is that of a file, or of a folder with a static model or for the Embedding Projector."""
    try:
        path = Path(name).expanduser()
        return path.is_file() or (path / _PROJECTOR).is_file() or _is_static(path)
    except (OSError, RuntimeError, ValueError):  # no path at all
        return False


def open_table(path: Path) -> Found:
    """Open a file or folder with a table; what it is, its first bytes say.

    Raises:
        TableError: a folder without a table, or a file without the columns or tensors that hold one.
        Exception: whatever its library raises for a damaged file.
    """
    return _reader(path)(path)


def _reader(path: Path) -> Callable[[Path], Found]:
    """Return what reads a file or folder, by how it begins."""
    if path.is_dir():
        if not (path / _PROJECTOR).is_file() and not _is_static(path):
            raise TableError(f"{str(path)!r} is a folder without a table that can be read; name a file")
        return _read_projector if (path / _PROJECTOR).is_file() else _read_static
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    if head.startswith(b"\x93NUMPY"):
        return _read_npy
    if head.startswith(b"PAR1"):
        return _read_parquet
    if head[8:9] == b"{":
        return _read_safetensors
    first, _, rest = head.partition(b"\n")
    if len(first.split()) == 2 and all(part.isdigit() for part in first.split()):
        return _read_word2vec if _is_text(rest, int(first.split()[1])) else _read_word2vec_binary
    return _read_csv if b"," in first else _read_glove


def _is_static(path: Path) -> bool:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return bool(config["model_type"] == "model2vec") and (path / _STATIC).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_text(rest: bytes, width: int) -> bool:
    """Return whether a label and its values, after the line of sizes, are written out in digits."""
    cells = rest.partition(b"\n")[0].split(b" ")[1:]
    try:
        return len([float(cell) for cell in cells[:8]]) == min(width, 8)
    except ValueError:
        return False


def _read_npy(path: Path) -> Found:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, kind = head(stream)
        start = stream.tell()
    if by_column or len(shape) != 2 or kind.hasobject:
        return _whole(np.load(path, allow_pickle=False))

    def parts() -> Iterator[np.ndarray]:
        for rows in row_blocks(*shape):
            place = start + rows.start * shape[1] * kind.itemsize
            found = np.fromfile(path, kind, (rows.stop - rows.start) * shape[1], offset=place)
            yield found.reshape(-1, shape[1])

    return Found(shape, parts)


def _read_safetensors(path: Path) -> Found:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:  # refuses what is damaged
        name = _first(file.keys(), TENSORS)
        if name is None:
            raise TableError(f"{path.name!r} has no tensor named {', '.join(TENSORS)}; save the table as one of these")
        place = tensor_places([path])[name]
        if len(place.shape) != 2 or place.dtype not in BITS:
            return _whole(file.get_tensor(name))
    return Found(place.shape, lambda: (decode(place.read(rows), place.dtype) for rows in place.blocks))


def _read_static(path: Path) -> Found:
    return _read_safetensors(path / _STATIC)


def _read_parquet(path: Path) -> Found:
    with path.open("rb") as stream:  # a name with "*" in it would be taken for a pattern
        columns = pl.read_parquet_schema(stream)
    token, vector = _first(columns, TOKEN_COLUMNS), _first(columns, VECTOR_COLUMNS)
    if vector is None or token is None:
        raise TableError(
            f"{path.name!r} has no column {VECTOR_COLUMNS[0]!r} with rows and {TOKEN_COLUMNS[0]!r} with their tokens"
        )
    tokens = pl.read_parquet(path, columns=[token], glob=False)[token].cast(pl.String).fill_null("").to_list()
    width = _values(pl.read_parquet(path, columns=[vector], n_rows=1, glob=False)[vector]).shape[1]

    def parts() -> Iterator[np.ndarray]:
        from pyarrow import parquet

        with parquet.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(max(1, BLOCK_BYTES // (4 * width)), columns=[vector]):
                yield _values(pl.Series(batch.column(0)))

    return Found((len(tokens), width), parts, tokens)


def _values(series: pl.Series) -> np.ndarray:
    width = len(series[0])
    return series.cast(pl.Array(pl.Float32, width)).to_numpy()


def _read_csv(path: Path) -> Found:
    names = pl.read_csv(path, n_rows=0, glob=False).columns
    token = _first(names, TOKEN_COLUMNS)
    if token is None:
        raise TableError(f"{path.name!r} has no column named {', '.join(TOKEN_COLUMNS)}")
    numbers = [name for name in names if name.isdigit()]
    kinds = {token: pl.String, **dict.fromkeys(numbers, pl.Float32)}
    frame = pl.read_csv(path, columns=[token, *numbers], schema_overrides=kinds, empty_string_is_null=False, glob=False)
    return _of_frame(frame.select(numbers), frame[token].to_list(), escaped=True)


def _read_word2vec(path: Path) -> Found:
    return _read_lines(path, " ", skip=1)


def _read_glove(path: Path) -> Found:
    return _read_lines(path, " ")


def _read_lines(path: Path, separator: str, skip: int = 0) -> Found:
    """Read lines of a label and numbers."""
    with path.open("rb") as stream:
        line = [stream.readline() for _ in range(skip + 1)][-1]
    width = len(line.strip().split(separator.encode())) - 1
    names = [str(column) for column in range(width)]
    frame = pl.read_csv(
        path, has_header=False, separator=separator, skip_lines=skip, quote_char=None, extra_columns="ignore",
        new_columns=["label", *names], schema_overrides={"label": pl.String, **dict.fromkeys(names, pl.Float32)},
        glob=False,
    )  # fmt: skip
    return _of_frame(frame.select(names), frame["label"].to_list())


def _read_word2vec_binary(path: Path) -> Found:
    with path.open("rb") as stream:
        count, width = (int(part) for part in stream.readline().split())
        at, labels, starts = stream.tell(), [], np.empty(count, np.int64)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for row in range(count):
                end = data.find(b" ", at)
                if end < 0:
                    raise ValueError(f"it ends after {row:,} of {count:,} rows")
                labels.append(data[at:end].lstrip(b"\n").decode("utf-8", "replace"))
                starts[row], at = end + 1, end + 1 + 4 * width

    def parts() -> Iterator[np.ndarray]:
        with path.open("rb") as stream:
            for rows in row_blocks(count, width):
                block = np.empty((rows.stop - rows.start, width), np.float32)
                for values, start in zip(block, starts[rows], strict=True):
                    stream.seek(start)
                    values[:] = np.frombuffer(stream.read(4 * width), "<f4")
                yield block

    return Found((count, width), parts, labels)


def _read_projector(path: Path) -> Found:
    with (path / _PROJECTOR).open("rb") as stream:
        width = len(stream.readline().split(b"\t"))
    names = [str(column) for column in range(width)]
    options = {"separator": "\t", "has_header": False, "quote_char": None, "glob": False}
    kinds = dict.fromkeys(names, pl.Float32)
    rows = pl.read_csv(path / _PROJECTOR, new_columns=names, schema_overrides=kinds, **options)  # type: ignore[arg-type]
    lines = (path / "metadata.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    labels = [line.split("\t")[0] for line in lines]
    return _of_frame(rows, labels[len(labels) - rows.height :])  # more than one column come with a head


def _first(names: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    known = set(names)
    return next((name for name in wanted if name in known), None)


def _whole(rows: np.ndarray) -> Found:
    return Found(rows.shape, lambda: iter([rows]))


def _of_frame(frame: pl.DataFrame, tokens: list[str], escaped: bool = False) -> Found:
    def parts() -> Iterator[np.ndarray]:
        for rows in row_blocks(*frame.shape):
            yield frame[rows].to_numpy()

    return Found(frame.shape, parts, tokens, escaped)
