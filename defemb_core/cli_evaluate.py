"""The command `evaluate`: whether the rebuilt table is a better one, by people's scores and by WordNet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import write_text
from defemb_core.cli_options import add_against, open_named
from defemb_core.errors import ExportError, SettingsError
from defemb_core.evaluation.resampling import RESAMPLES
from defemb_core.evaluation.word_similarity import PIECES
from defemb_core.latex import latex_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from defemb_core.comparison import Comparison

SUFFIXES = (".csv", ".tex")
SIMILARITY, RELATIONS, PROBING = "similarity", "relations", "probing"


def add_evaluate(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "say whether the rebuilt table agrees better with people, or with WordNet, than the original"
    parser: argparse.ArgumentParser = commands.add_parser("evaluate", help=does, description=does)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    add_against(parser)
    parser.add_argument(
        "--what",
        choices=(SIMILARITY, RELATIONS, PROBING),
        default=SIMILARITY,
        help="similarity: people's scores of word pairs; relations: whether synonyms, hypernyms and co-hyponyms by "
        "WordNet are near; probing: whether a PLM that fills masks finds rare tokens (default: %(default)s)",
    )
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
    parser.add_argument(
        "--word", default="", help="what --sentence has masked, a token (default: rare tokens, in their definitions)"
    )
    parser.add_argument("--sentence", action="append", metavar="TEXT", help="where the word belongs; may be repeated")
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
    _check_out(options)
    if options.pairs and options.what != SIMILARITY:
        raise SettingsError(f"--pairs belong to --what {SIMILARITY}, not to {options.what}")
    if bool(options.word) != bool(options.sentence) or (options.word and options.what != PROBING):
        raise SettingsError(f"--word and --sentence belong together, and to --what {PROBING}")
    measure = {SIMILARITY: _similarity, RELATIONS: _relations, PROBING: _probing}[options.what]
    figures, shown, caption, notes = measure(lambda: open_named(options), options)
    wrote = _write(figures, latex_table(shown, f"{caption}."), options.out) if options.out else []
    return [caption, *_aligned(shown), *notes, _P.format(options=options), *wrote]


_P = (
    "p: {options.resamples:,} paired resamples, two-sided, seed {options.seed}; not corrected for the number of lines, "
    "of twenty differences that are none one is below 0.05"
)
Measured = tuple["pl.DataFrame", "pl.DataFrame", str, list[str]]


def _similarity(opened: Callable[[], Comparison], options: argparse.Namespace) -> Measured:
    from defemb_core.evaluate import evaluate_similarity
    from defemb_core.evaluation.pair_files import read_pairs, shipped_pairs
    from defemb_core.evaluation.word_similarity import SimilaritySettings, side_by_side

    settings = SimilaritySettings(options.word_pieces, options.resamples, options.seed)
    sets = [read_pairs(file) for file in options.pairs] if options.pairs else shipped_pairs()
    figures, notes = evaluate_similarity(opened(), sets, settings)
    caption = "Spearman's correlation of cosines with human scores, 1 is best (in brackets 95 % of resampled pairs)"
    return figures, side_by_side(figures), caption, notes


def _relations(opened: Callable[[], Comparison], options: argparse.Namespace) -> Measured:
    from defemb_core.evaluate import CAVEAT, evaluate_relations
    from defemb_core.evaluation.relations import RelationSettings, relations_side_by_side

    settings = RelationSettings(resamples=options.resamples, seed=options.seed)
    figures, notes = evaluate_relations(opened(), settings)
    caption = (
        "Mean reciprocal rank of the nearest word that WordNet relates to a rebuilt token, 1 is best (in brackets 95 % "
        "of resampled tokens), and the share of such words among the 3 and the 10 nearest"
    )
    return figures, relations_side_by_side(figures), caption, [*notes, CAVEAT]


def _probing(opened: Callable[[], Comparison], options: argparse.Namespace) -> Measured:
    from defemb_core.evaluate import evaluate_probing
    from defemb_core.evaluation.probing import probes_side_by_side, summarise_probes

    figures, notes = evaluate_probing(opened(), options.word, options.sentence or (), seed=options.seed)
    caption = "Rank (1 is best) and probability of a token at the mask"
    if options.word:
        return figures, probes_side_by_side(figures), caption, notes
    return figures, summarise_probes(figures, options.resamples, options.seed), f"{caption}, over all prompts", notes


def _check_out(options: argparse.Namespace) -> None:
    """Refuse a file that cannot be written before work is done for it."""
    if options.out is None:
        return
    if options.out.suffix.lower() not in SUFFIXES:
        raise ExportError(f"--out {str(options.out)!r} is neither {' nor '.join(SUFFIXES)}; name such a file")
    if options.out.is_dir() or (options.out.exists() and not options.force):
        raise ExportError(f"{str(options.out)!r} exists; name another file or add --force")


def _write(figures: pl.DataFrame, table: str, out: Path) -> list[str]:
    """Write the figures as CSV, or the table for LaTeX."""
    from defemb_core.text import formula_safe

    try:
        write_text(out, formula_safe(figures).write_csv() if out.suffix.lower() == ".csv" else table)
    except OSError as exc:
        raise ExportError(f"cannot write {str(out)!r} ({exc.strerror or exc}); name another file") from None
    return [f"wrote {out}"]


def _aligned(shown: pl.DataFrame) -> list[str]:
    """Return a heading and a line a row, cells under each other."""
    rows = [shown.columns, *([_cell(cell) for cell in row] for row in shown.iter_rows())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: object) -> str:
    from defemb_core.text import plain

    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else plain(str(value), 80)
