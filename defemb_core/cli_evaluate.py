"""The command `evaluate`: whether the rebuilt table is a better one, by people's scores and by WordNet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cli_figures import aligned, check_out, write_out
from defemb_core.cli_options import add_against, named_tables, open_named, run_folder
from defemb_core.comparison import PAIR, open_comparison, work_folder
from defemb_core.errors import SettingsError
from defemb_core.evaluate import WHAT
from defemb_core.evaluation.resampling import RESAMPLES
from defemb_core.evaluation.word_similarity import PIECES
from defemb_core.runs import read_status, working_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from defemb_core.evaluate import Evaluation, Question

OPENING, MEASURING = "opening the tables", "measuring"
SHARES = {OPENING: 0.4, MEASURING: 0.6}


def add_evaluate(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "say whether the rebuilt table agrees better with people, or with WordNet, than the original"
    parser: argparse.ArgumentParser = commands.add_parser("evaluate", help=does, description=does)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    parser.add_argument("more", nargs="*", metavar="RUN", help="further runs, measured one after the other")
    add_against(parser)
    parser.add_argument(
        "--what",
        choices=WHAT,
        default=WHAT[0],
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


def evaluate_lines(options: argparse.Namespace) -> Iterator[str]:
    """Do the command's work, keep the figures in a directory within the run's, and yield what it prints.

    Raises:
        DefembError: no such run or file, a file without pairs, a setting out of its range.
    """
    from defemb_core.evaluate import Question

    check_out(options.out, options.force)
    question = Question(
        options.what, tuple(options.pairs or ()), options.word_pieces, options.word, tuple(options.sentence or ()),
        options.resamples, options.seed,
    )  # fmt: skip
    if options.more and (options.against or options.out):
        raise SettingsError("--against and --out are for one run; name them one by one")
    for run in (options.run, *options.more):
        made = _evaluate(argparse.Namespace(**{**vars(options), "run": run}), question)
        yield from [run] if options.more else []
        yield from [made.caption, *aligned(made.shown), *made.notes, _P.format(options=options)]
    if options.out:
        yield from write_out(made.figures, made.shown, made.caption, options.out)


_P = (
    "p: {options.resamples:,} paired resamples, two-sided, seed {options.seed}; not corrected for the number of lines, "
    "of twenty differences that are none one is below 0.05"
)


def _evaluate(options: argparse.Namespace, question: Question) -> Evaluation:
    """Measure and keep; the status lies in the evaluation's directory while that lasts."""
    from defemb_core.evaluate import evaluate
    from defemb_core.evaluation_files import evaluation_folder, save_evaluation

    named = open_named(options) if options.against else None
    folder = work_folder(named, *named_tables(options)) if named else run_folder(options.run)
    if not named and not (folder / PAIR).exists():
        read_status(folder)  # refuses what is no run before a folder is made in it
    place = evaluation_folder(folder, question)
    with working_in(place, SHARES, resume=True, again=True) as reporter:
        reporter(OPENING, 0, 1)
        comparison = named or open_comparison(folder)
        reporter(MEASURING, 0, 1)
        made = evaluate(comparison, question)
        save_evaluation(made, comparison.key, place)
    return made
