"""Read a table of embeddings from a file, whoever wrote it, into the row order of a PLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defemb_core.errors import TableError, first_line, is_out_of_memory
from defemb_core.export_formats import word_labels
from defemb_core.plm import PLM
from defemb_core.table_files import Found, is_table, open_table
from defemb_core.text import formula_safe
from defemb_core.vocabulary import read_vocabulary

__all__ = ["ImportedTable", "is_table", "read_table"]


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
        found = open_table(path)
        _check_width(found, plm, path.name)
        return _in_order(found, plm, path.name)
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"there is no file {str(path)!r}; check the name") from None
    except Exception as exc:  # each of the libraries has its own kinds for a damaged file
        if is_out_of_memory(exc):
            raise
        raise TableError(f"{str(path)!r} is damaged or no table of embeddings ({first_line(exc)})") from None


def _check_width(found: Found, plm: PLM, title: str) -> None:
    if len(found.shape) != 2 or found.shape[1] != plm.width:
        shape = " x ".join(f"{size:,}" for size in found.shape)
        raise TableError(f"{title!r} holds {shape} values, rows of {plm.title!r} have {plm.width}; name its table")


def _in_order(found: Found, plm: PLM, title: str) -> ImportedTable:
    """Put the rows where the PLM has them, a part of the file at a time: there is one copy of the table."""
    places = _places(found, plm, title)
    matrix, broken, start = plm.matrix.copy(), [], 0
    for part in found.parts():
        with np.errstate(over="ignore"):  # what float32 does not hold is infinite, and said below
            rows = np.asarray(part, dtype=np.float32)
        at = places[start : start + len(rows)]
        broken += (start + np.flatnonzero(~np.isfinite(rows).all(axis=1))).tolist()
        matrix[at[at >= 0]] = rows[at >= 0]
        start += len(rows)
    if broken:
        raise TableError(f"{len(broken)} rows of {title!r} hold NaN or infinity, first row {broken[0]:,}")
    if start != len(places):
        raise TableError(f"{title!r} has {start:,} rows and names {len(places):,} tokens; copy or export it again")
    matched = int((places >= 0).sum())
    return ImportedTable(matrix, title, matched, plm.rows - matched, len(places) - matched)


def _places(found: Found, plm: PLM, title: str) -> np.ndarray:
    """Return the PLM's row of each row of the file, int64, -1 for those that it does not have."""
    if found.tokens is None:
        if found.shape[0] > plm.rows:
            raise TableError(
                f"{title!r} names no tokens and has {found.shape[0]:,} rows, {plm.title!r} has {plm.rows:,}"
            )
        return np.arange(found.shape[0])
    tokens = read_vocabulary(plm.tokenizer, plm.rows, plm.special_ids).select("token")
    known = (formula_safe(tokens) if found.escaped else tokens)["token"].to_list()
    rows = {label: row for row, label in enumerate(word_labels(known))}
    places = np.array([rows.get(label, -1) for label in word_labels(found.tokens)], dtype=np.int64)
    if not (places >= 0).any():
        raise TableError(
            f"no line of {title!r} stands for a token of {plm.title!r}, first {(found.tokens or [''])[0]!r}; "
            "its tokens must be spelt as the tokenizer stores them"
        )
    return places
