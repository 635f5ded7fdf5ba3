"""The command `add-tokens`: rows for words that the PLM never had."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cli_figures import aligned
from defemb_core.cli_options import run_or_checkpoint
from defemb_core.dictionaries import GLOSSARY, WORDNET, load_dictionary
from defemb_core.errors import SettingsError
from defemb_core.export_place import CHECKPOINT, check_target
from defemb_core.new_tokens.rows import EXPLAINED, METHODS, STARTS
from defemb_core.runs import STATUS, working_in
from defemb_core.terminal import Bar, stages_shown

if TYPE_CHECKING:
    import polars as pl

    from defemb_core.new_tokens.findings import Findings
    from defemb_core.new_tokens.plan import Plan
    from defemb_core.plm import PLM
    from defemb_core.progress import Progress
    from defemb_core.reconstruction import Reconstruction, Settings

NAMED = 10  # words of a corpus that are left out for one reason, named; the others are counted
DEFAULT_LIMIT = 100  # of a corpus, whose words have no end


def add_add_tokens(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "add words to a PLM's tokenizer and table, their rows built from definitions"
    starts = "\n".join(f"  {start:<22} {what}" for start, what in EXPLAINED.items())
    parser: argparse.ArgumentParser = commands.add_parser(
        "add-tokens",
        help=does,
        description=does,
        epilog=f"starts:\n{starts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        metavar="RUN_OR_PLM",
        help="a run, whose PLM, dictionary and settings count; or 'bundled', a hub name or a PLM's folder",
    )
    words = parser.add_mutually_exclusive_group(required=True)
    words.add_argument("--terms", type=Path, metavar="FILE", help="a glossary: its terms, defined by it first of all")
    words.add_argument(
        "--corpus",
        type=Path,
        metavar="PATH",
        help="a text file or a folder of .txt files: its words that cost most pieces",
    )
    parser.add_argument(
        "--limit", type=int, help=f"tokens to add, at most (default: all terms, {DEFAULT_LIMIT} of a corpus)"
    )
    parser.add_argument("--dictionary", help=f"as for reconstruct (default: the run's, else {WORDNET})")
    parser.add_argument("--start", choices=STARTS, default=STARTS[0], metavar="START", help="default: %(default)s")
    parser.add_argument(
        "--method", choices=METHODS, help="the map's features (default: the run's if it is one of these, else instant)"
    )
    parser.add_argument(
        "--seed", type=int, help="of folds, held-out words and random rows (default: the run's, else 0)"
    )
    _add_outputs(parser)
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the checkpoint to write, new")
    parser.add_argument("--force", action="store_true", help="replace an earlier export")
    parser.add_argument(
        "--rebuilt", action="store_true", help="with the run's rebuilt rows in the place of the original ones"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be added, and stop")
    parser.add_argument("--nearest", action="store_true", help="say which tokens each new row is nearest to")
    parser.add_argument("--compare", action="store_true", help="compare the starts on words whose own rows are hidden")
    parser.add_argument("--seeds", type=int, default=1, help="how often --compare hides words (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep progress and findings there, for the app")


def add_tokens_lines(options: argparse.Namespace) -> list[str]:
    """Do the command's work and return what it prints.

    Raises:
        DefembError: what was asked for cannot be done.
    """
    if not (options.dry_run or options.out):
        raise SettingsError("say where to write the checkpoint with --out FOLDER, or add --dry-run")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"--limit must be 1 or more, is {options.limit}")
    with _progress(options) as progress:
        return _told(_find_and_write(options, progress))


@dataclass(frozen=True, eq=False)
class _Asked:
    """What tokens are added to, and how."""

    plm: PLM
    settings: Settings
    dictionary: str
    run: Reconstruction | None


def _asked(options: argparse.Namespace) -> _Asked:
    """Return the PLM, the settings and the dictionary that the options, or the run they name, say."""
    from defemb_core.comparison import open_comparison
    from defemb_core.plm import load_plm
    from defemb_core.reconstruction import Settings

    name = run_or_checkpoint(options.run)
    dictionary, settings, made = WORDNET, Settings(method="instant"), None
    if (Path(name) / STATUS).is_file():
        comparison = open_comparison(name)
        plm, made = comparison.plm, comparison.reconstruction
        settings = made.settings
        dictionary = made.provenance["dictionary"].get("spec") or made.provenance["dictionary"]["name"]
    elif options.rebuilt:
        raise SettingsError(f"--rebuilt needs a run, and {options.run!r} is none; name one of 'runs'")
    else:
        plm = load_plm(name)
    method = options.method or (settings.method if settings.method in METHODS else "instant")
    settings = replace(settings, method=method, pieces=False)
    if options.seed is not None:
        settings = replace(settings, seed=options.seed)
    dictionary = options.dictionary or dictionary
    return _Asked(plm, settings, f"{GLOSSARY}:{options.terms},{dictionary}" if options.terms else dictionary, made)


def _find_and_write(options: argparse.Namespace, progress: Progress) -> Findings:
    from defemb_core.new_tokens.checkpoint import add_tokens
    from defemb_core.new_tokens.compare import compare_starts
    from defemb_core.new_tokens.findings import Findings, nearest_tokens, write_findings
    from defemb_core.new_tokens.plan import considered, new_rows, notes_on, plan_tokens
    from defemb_core.new_tokens.terms import corpus_terms, glossary_terms

    asked = _asked(options)
    if not options.dry_run:  # before minutes are spent on rows
        check_target(options.out.expanduser().absolute(), CHECKPOINT, True, options.force, asked.plm.folder)
    limit = options.limit or (None if options.terms else DEFAULT_LIMIT)
    tokenizer = asked.plm.tokenizer
    if options.terms:
        terms = glossary_terms(options.terms)
    else:
        terms = corpus_terms(tokenizer, options.corpus, limit or DEFAULT_LIMIT, progress)
    progress("definitions", 0, 1)
    load = partial(load_dictionary, asked.dictionary)
    plan = plan_tokens(asked.plm, terms, load, options.start, asked.settings, limit)
    if options.corpus:
        plan = replace(plan, terms=considered(plan.terms))
    progress("definitions", 1, 1)
    near = compared = out = None
    if options.nearest:
        near = nearest_tokens(plan, new_rows(plan, [options.start], asked.settings, progress))
    if options.compare:
        old = plan.vocabulary.head(asked.plm.rows)
        compared = compare_starts(asked.plm, old, plan.dictionary, asked.settings, options.seeds, progress)
    if not options.dry_run:
        rebuilt = asked.run if options.rebuilt else None
        out = str(add_tokens(plan, options.start, asked.settings, options.out, options.force, progress, rebuilt))
    about = _about(asked, plan, options.start) | {"notes": notes_on(plan), "out": out}
    found = Findings(plan.terms, near, compared, about)
    if options.keep:
        write_findings(options.keep, found)
    return found


def _about(asked: _Asked, plan: Plan, start: str) -> dict[str, Any]:
    return {
        "plm": asked.plm.title,
        "rows": asked.plm.rows,
        "new_rows": plan.rows,
        "start": start,
        "method": asked.settings.method,
        "dictionary": plan.dictionary.name,
    }


@contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Progress]:
    """Show progress; with --keep, keep it in that folder, where a stop can be asked for."""
    if options.keep is None:
        with stages_shown() as progress:
            yield progress
        return
    with working_in(options.keep, _shares(options), resume=True, again=True) as reporter, Bar(reporter) as progress:
        yield progress


def _shares(options: argparse.Namespace) -> dict[str, float]:
    """Return each stage's share of the whole work, about."""
    from defemb_core.new_tokens.checkpoint import STAGE as WRITING
    from defemb_core.new_tokens.terms import STAGE as READING

    shares = {READING: 3.0} if options.corpus else {}
    shares |= {"definitions": 3.0, "bags": 3.0, "encoder": 100.0 * (options.method == "frozen"), "map": 3.0}
    for number in range(options.seeds if options.compare else 0):
        part = f"{number + 1} of {options.seeds}: "
        shares |= {f"{part}{stage}": share for stage, share in shares.items() if stage in {"bags", "encoder", "map"}}
        shares |= {f"{part}hiding words": 1.0, f"{part}judging": 3.0}
    shares |= {} if options.dry_run else {WRITING: 3.0}
    return {stage: share / sum(shares.values()) for stage, share in shares.items()}


def _told(found: Findings) -> list[str]:
    """Return what there is to say: every term, what it is near to, the comparison, the folder."""
    import polars as pl

    from defemb_core.new_tokens.compare import side_by_side
    from defemb_core.text import plain

    near = dict(found.near.select("token_id", "nearest").iter_rows()) if found.near is not None else {}
    counted = found.terms["count"].is_not_null().any()
    lines = _left_out(found.terms) if counted else []
    for term in found.terms.filter(pl.lit(not counted) | pl.col("left_out").is_null()).iter_rows(named=True):
        row = term["token_id"]
        what = f"row {row:,}" if row is not None else f"left out: {term['left_out']}"
        said = f"{plain(term['term'])}: {' '.join(map(plain, term['pieces']))}; {what}"
        said += f"; {term['count']:,} times" if counted else ""
        said += f"; {plain(term['definition'], 80)}" if term["definition"] and row is not None else ""
        said += f"; near {', '.join(map(plain, near[row]))}" if row in near else ""
        lines.append(said)
    lines += found.about["notes"]
    if found.compared is not None:
        words = found.compared["words"][0]
        lines.append(
            f"{words:,} words whose own rows were hidden (in brackets 95 % of resampled words; 1 is best): cosine with "
            "the true row, its mean reciprocal rank, share of its ten nearest rows"
        )
        lines += aligned(side_by_side(found.compared).drop("made"))
    added, old = found.terms["token_id"].count(), found.about
    done = f"wrote {old['out']}" if old["out"] else "nothing was written"
    first = found.terms.select(pl.col("token_id").min()).item()
    lines.append(
        f"{added:,} of {found.terms.height:,} terms, rows {first:,} on; the table has {old['new_rows']:,} rows, "
        f"{old['new_rows'] - old['rows']:,} more; {done}"
    )
    return lines


def _left_out(terms: pl.DataFrame) -> list[str]:
    """Return a line for each reason why words of a corpus are left out, with the first of them."""
    from defemb_core.text import plain

    lines = []
    for (reason,), words in terms.drop_nulls("left_out").group_by("left_out", maintain_order=True):
        first = ", ".join(map(plain, words["term"].head(NAMED)))
        more = ", ..." if words.height > NAMED else ""
        lines.append(f"{words.height:,} word{'s' * (words.height != 1)} left out, {reason}: {first}{more}")
    return lines
