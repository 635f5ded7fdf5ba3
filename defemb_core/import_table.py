"""Read a table of embeddings from a file, whoever wrote it, into the row order of a PLM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.errors import TableError, first_line, is_out_of_memory
from defemb_core.export_formats import word_labels
from defemb_core.plm import PLM
from defemb_core.text import formula_safe
from defemb_core.vocabulary import read_vocabulary

# Columns and tensors that hold what is looked for, in the order of preference.
TOKEN_COLUMNS = ("token", "label", "word", "text")
VECTOR_COLUMNS = ("embedding", "vector", "embeddings", "vectors")
TENSORS = ("matrix", "embeddings", "embedding.weight")
_STATIC, _PROJECTOR = "model.safetensors", "tensors.tsv"


@dataclass(frozen=True, eq=False)
class ImportedTable:
    """A table from a file, its rows those of a PLM.

    Attributes:
        matrix: float32 (V, H), in the PLM's row order; a row that the file does not have is the PLM's own.
        title: the file's name.
        matched: rows that the file has.
        missing: rows that it does not have.
        unknown: lines of the file that stand for no row of the PLM.
    """

    matrix: np.ndarray
    title: str
    matched: int
    missing: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        """Say in a sentence how the file fits."""
        said = f"{self.title}: {self.matched:,} rows are matched"
        if self.missing:
            said += f", {self.missing:,} that it lacks are the PLM's own"
        return said + (f", {self.unknown:,} of its lines stand for no row" if self.unknown else "")


@dataclass(frozen=True, eq=False)
class _Found:
    """What a file holds: its rows, float32 (n, columns), and the tokens that they stand for, None where it names none.

    `escaped` says that its tokens were made safe for spreadsheets.
    """

    rows: np.ndarray
    tokens: list[str] | None = None
    escaped: bool = False


def is_table(name: str) -> bool:
    """Return whether a name is that of a file, or of a folder with a static model or for the Embedding Projector."""
    try:
        path = Path(name).expanduser()
        return path.is_file() or (path / _PROJECTOR).is_file() or _is_static(path)
    except (OSError, RuntimeError, ValueError):  # no path at all
        return False


def read_table(path: Path | str, plm: PLM) -> ImportedTable:
    """Read a table in any of the matrix formats that defemb exports, or as other programs write them.

    Rows are matched by their tokens, as the tokenizer stores them, or by the labels that stand for these where a
    format has no blanks (`word_labels`). safetensors and npy name no tokens: their rows are the PLM's, in its order.
    What a file is, its first bytes say.

    Args:
        path: a file (safetensors, npy, Parquet, CSV, word2vec in text or binary, GloVe), or a folder with a static
            model or for the Embedding Projector.
        plm: whose rows they are.

    Raises:
        TableError: it cannot be read, no row can be matched, or rows are of another width, NaN or infinite.

    Example:
        >>> table = de.read_table(Path("table.npy"), plm)
        >>> bool((table.matrix == made.matrix).all())
        True
    """
    path = Path(path).expanduser()
    try:
        found = _reader(path)(path)
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"there is no file {str(path)!r}; check the name") from None
    except Exception as exc:  # each of the libraries has its own kinds for a damaged file
        if is_out_of_memory(exc):
            raise
        raise TableError(f"{str(path)!r} is damaged or no table of embeddings ({first_line(exc)})") from None
    if found.rows.ndim != 2 or found.rows.shape[1] != plm.width:
        shape = " x ".join(f"{size:,}" for size in found.rows.shape)
        raise TableError(f"{path.name!r} holds {shape} values, rows of {plm.title!r} have {plm.width}; name its table")
    broken = np.flatnonzero(~np.isfinite(found.rows).all(axis=1))
    if broken.size:
        raise TableError(f"{broken.size} rows of {path.name!r} hold NaN or infinity, first row {broken[0]:,}")
    return _in_order(found, plm, path.name)


def _in_order(found: _Found, plm: PLM, title: str) -> ImportedTable:
    """Put the rows where the PLM has them."""
    lines = np.arange(len(found.rows))
    if found.tokens is None:
        if len(lines) > plm.rows:
            raise TableError(f"{title!r} names no tokens and has {len(lines):,} rows, {plm.title!r} has {plm.rows:,}")
        rows = lines
    else:
        tokens = read_vocabulary(plm.tokenizer, plm.rows, plm.special_ids).select("token")
        known = (formula_safe(tokens) if found.escaped else tokens)["token"].to_list()
        places = {label: row for row, label in enumerate(word_labels(known))}
        rows = np.array([places.get(label, -1) for label in word_labels(found.tokens)], dtype=np.int64)
    if not (rows >= 0).any():
        raise TableError(
            f"no line of {title!r} stands for a token of {plm.title!r}, first {(found.tokens or [''])[0]!r}; "
            "its tokens must be spelt as the tokenizer stores them"
        )
    matrix = plm.matrix.copy()
    matrix[rows[rows >= 0]] = found.rows[rows >= 0]
    matched = int((rows >= 0).sum())
    return ImportedTable(matrix, title, matched, plm.rows - matched, len(rows) - matched)


def _reader(path: Path) -> Callable[[Path], _Found]:
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


def _read_npy(path: Path) -> _Found:
    return _Found(np.load(path, allow_pickle=False).astype(np.float32, copy=False))


def _read_safetensors(path: Path) -> _Found:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = [name for name in TENSORS if name in file.keys()]  # noqa: SIM118
        if not names:
            raise TableError(f"{path.name!r} has no tensor named {', '.join(TENSORS)}; save the table as one of these")
        return _Found(file.get_tensor(names[0]).astype(np.float32, copy=False))


def _read_static(path: Path) -> _Found:
    return _read_safetensors(path / _STATIC)


def _read_parquet(path: Path) -> _Found:
    with path.open("rb") as stream:  # a name with "*" in it would be taken for a pattern
        columns = pl.read_parquet_schema(stream)
    token, vector = _first(columns, TOKEN_COLUMNS), _first(columns, VECTOR_COLUMNS)
    if vector is None or token is None:
        raise TableError(
            f"{path.name!r} has no column {VECTOR_COLUMNS[0]!r} with rows and {TOKEN_COLUMNS[0]!r} with their tokens"
        )
    frame = pl.read_parquet(path, columns=[token, vector], glob=False)
    return _Found(_values(frame[vector]), frame[token].cast(pl.String).fill_null("").to_list())


def _values(series: pl.Series) -> np.ndarray:
    width = len(series[0])
    return series.cast(pl.Array(pl.Float32, width)).to_numpy()


def _read_csv(path: Path) -> _Found:
    names = pl.read_csv(path, n_rows=0, glob=False).columns
    token = _first(names, TOKEN_COLUMNS)
    if token is None:
        raise TableError(f"{path.name!r} has no column named {', '.join(TOKEN_COLUMNS)}")
    numbers = [name for name in names if name.isdigit()]
    kinds = {token: pl.String, **dict.fromkeys(numbers, pl.Float32)}
    frame = pl.read_csv(path, columns=[token, *numbers], schema_overrides=kinds, empty_string_is_null=False, glob=False)
    return _Found(frame.select(numbers).to_numpy(), frame[token].to_list(), escaped=True)


def _read_word2vec(path: Path) -> _Found:
    return _read_lines(path, " ", skip=1)


def _read_glove(path: Path) -> _Found:
    return _read_lines(path, " ")


def _read_lines(path: Path, separator: str, skip: int = 0) -> _Found:
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
    return _Found(frame.select(names).to_numpy(), frame["label"].to_list())


def _read_word2vec_binary(path: Path) -> _Found:
    data = path.read_bytes()
    start = data.index(b"\n") + 1
    count, width = (int(part) for part in data[: start - 1].split())
    rows, labels = np.empty((count, width), np.float32), []
    for row in range(count):
        end = data.index(b" ", start)
        labels.append(data[start:end].lstrip(b"\n").decode("utf-8", "replace"))
        rows[row] = np.frombuffer(data, "<f4", width, end + 1)
        start = end + 1 + 4 * width
    return _Found(rows, labels)


def _read_projector(path: Path) -> _Found:
    with (path / _PROJECTOR).open("rb") as stream:
        width = len(stream.readline().split(b"\t"))
    names = [str(column) for column in range(width)]
    options = {"separator": "\t", "has_header": False, "quote_char": None, "glob": False}
    kinds = dict.fromkeys(names, pl.Float32)
    rows = pl.read_csv(path / _PROJECTOR, new_columns=names, schema_overrides=kinds, **options)  # type: ignore[arg-type]
    lines = (path / "metadata.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    labels = [line.split("\t")[0] for line in lines]
    return _Found(rows.to_numpy(), labels[len(labels) - rows.height :])  # more than one column come with a head


def _first(names: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    known = set(names)
    return next((name for name in wanted if name in known), None)
