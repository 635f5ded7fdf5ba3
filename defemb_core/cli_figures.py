"""Figures on a terminal and in the file that --out names."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from defemb_core.cache import write_text
from defemb_core.errors import ExportError
from defemb_core.latex import latex_table
from defemb_core.text import formula_safe, plain

SUFFIXES = (".csv", ".tex")


def check_out(out: Path | None, force: bool) -> None:
    """Refuse a file that cannot be written before work is done for it.

    Raises:
        ExportError: it has another suffix, or is there already.
    """
    if out is None:
        return
    if out.suffix.lower() not in SUFFIXES:
        raise ExportError(f"--out {str(out)!r} is neither {' nor '.join(SUFFIXES)}; name such a file")
    if out.is_dir() or (out.exists() and not force):
        raise ExportError(f"{str(out)!r} exists; name another file or add --force")


def write_out(figures: pl.DataFrame, shown: pl.DataFrame, caption: str, out: Path) -> list[str]:
    """Write figures as CSV, or what is shown of them for LaTeX; return what to say.

    Raises:
        ExportError: the file cannot be written.
    """
    is_csv = out.suffix.lower() == ".csv"
    try:
        write_text(out, formula_safe(figures).write_csv() if is_csv else latex_table(shown, f"{caption}."))
    except OSError as exc:
        raise ExportError(f"cannot write {str(out)!r} ({exc.strerror or exc}); name another file") from None
    return [f"wrote {out}"]


def aligned(shown: pl.DataFrame) -> list[str]:
    """Return a heading and a line a row, cells under each other."""
    rows = [shown.columns, *([_cell(cell) for cell in row] for row in shown.iter_rows())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else plain(str(value), 80)
