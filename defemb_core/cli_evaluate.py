"""The command `evaluate`: whether the rebuilt table is a better one, as far as pairs of words can tell."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import write_text
from defemb_core.cli_options import add_against, against_named, table_named
from defemb_core.errors import ExportError
from defemb_core.evaluation.resampling import RESAMPLES
from defemb_core.evaluation.word_similarity import PIECES

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".tex")


def add_evaluate(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "correlate both tables with people's judgements of word pairs"
    parser: argparse.ArgumentParser = commands.add_parser("evaluate", help=does, description=does)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    add_against(parser)
    parser.add_argument(
        "--pairs",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="files of word pairs (word, word, score), in place of the seven sets that come with defemb",
    )
    parser.add_argument(
        "--word-pieces",
        choices=PIECES,
        default=PIECES[0],
        help="a word of several pieces is the mean of their rows, or its pairs are skipped (default: %(default)s)",
    )
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="for the intervals (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures to FILE.csv or a table to FILE.tex")
    parser.add_argument("--force", action="store_true", help="replace an earlier FILE")
    return parser


def evaluate_lines(options: argparse.Namespace) -> list[str]:
    """Do the command's work and return what it prints.

    Raises:
        DefembError: no such run or file, a file without pairs, a setting out of its range.
    """
    from defemb_core.comparison import open_comparison
    from defemb_core.evaluate import evaluate_similarity
    from defemb_core.evaluation.pair_files import read_pairs, shipped_pairs
    from defemb_core.evaluation.word_similarity import SimilaritySettings, side_by_side

    _check_out(options)
    settings = SimilaritySettings(options.word_pieces, options.resamples, options.seed)
    sets = [read_pairs(file) for file in options.pairs] if options.pairs else shipped_pairs()
    comparison = open_comparison(table_named(options), against=against_named(options))
    similarity, notes = evaluate_similarity(comparison, sets, settings)
    shown = side_by_side(similarity)
    wrote = _write(similarity, shown, options) if options.out else []
    return [
        "Spearman's correlation of cosines with human scores, 1 is best (95 % of resamples)",
        *_aligned(shown),
        *notes,
        f"p: {settings.resamples:,} paired resamples of the pairs, two-sided, seed {settings.seed}; not corrected for "
        "the number of lines",
        *wrote,
    ]


def _check_out(options: argparse.Namespace) -> None:
    """Refuse a file that cannot be written before work is done for it."""
    if options.out is None:
        return
    if options.out.suffix.lower() not in SUFFIXES:
        raise ExportError(f"--out {str(options.out)!r} is neither {' nor '.join(SUFFIXES)}; name such a file")
    if options.out.is_dir() or (options.out.exists() and not options.force):
        raise ExportError(f"{str(options.out)!r} exists; name another file or add --force")


def _write(figures: pl.DataFrame, shown: pl.DataFrame, options: argparse.Namespace) -> list[str]:
    """Write the figures as CSV or, side by side, as LaTeX."""
    from defemb_core.latex import latex_table
    from defemb_core.text import formula_safe

    caption = f"Spearman's correlation of cosines with human scores (95 % of {options.resamples:,} resamples)."
    csv = options.out.suffix.lower() == ".csv"
    try:
        write_text(options.out, formula_safe(figures).write_csv() if csv else latex_table(shown, caption))
    except OSError as exc:
        raise ExportError(f"cannot write {str(options.out)!r} ({exc.strerror or exc}); name another file") from None
    return [f"wrote {options.out}"]


def _aligned(shown: pl.DataFrame) -> list[str]:
    """Return a heading and a line a row, cells under each other."""
    from defemb_core.text import plain

    rows = [shown.columns, *([plain(str(cell)) for cell in row] for row in shown.iter_rows())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
