"""The command line: the same work as the app's, for machines without a screen.

Exit codes: 0 done, 1 another process has failed, 2 a user's mistake (one sentence on stderr), 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cli_add_tokens import add_add_tokens, add_tokens_lines
from defemb_core.cli_analyse import add_analyse, analyse_run, read_projection, trust_lines
from defemb_core.cli_dictionary import add_dictionary, dictionary_lines
from defemb_core.cli_dynamics import add_dynamics, dynamics_lines
from defemb_core.cli_estimate import add_estimate, announcement, estimate_lines
from defemb_core.cli_evaluate import add_evaluate, evaluate_lines
from defemb_core.cli_export import add_export, export_lines
from defemb_core.cli_finetune import add_finetune, finetune_lines
from defemb_core.cli_options import add_against, add_settings, open_named, read_groups, read_settings, run_folder
from defemb_core.cli_report import add_report, report_lines
from defemb_core.devices import devices
from defemb_core.errors import DefembError
from defemb_core.progress import memory_for
from defemb_core.projection_settings import ProjectionSettings
from defemb_core.reconstruction import Reconstruction, Settings, reconstruct
from defemb_core.relevance import ignored_settings, relevant_settings
from defemb_core.runs import (
    ANALYSIS,
    CHECKPOINT,
    Cancelled,
    Reporter,
    list_runs,
    queue_run,
    working_in,
)
from defemb_core.stages import STAGE_SHARES, stage_shares
from defemb_core.terminal import Bar

if TYPE_CHECKING:
    from defemb_core.comparison import Comparison
    from defemb_core.frequency import Groups


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; one process of several ends with it."""
    try:
        code = _main(arguments)
    except Exception:
        if devices().processes == 1:
            raise
        traceback.print_exc()
        code = 1
    devices().leave(code)
    return code


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (KeyboardInterrupt, Cancelled):
        sys.stderr.write("stopped\n")
        return 130
    except DefembError as exc:
        if devices().is_first or getattr(exc, "lost", False):  # one sentence, however many processes found out
            sys.stderr.write(f"{exc}\n")
        return exc.code
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
    return 0


@dataclass(frozen=True)
class Request:
    """What the app asks a run to be made from.

    Attributes:
        plm: "bundled", a hub name or a folder.
        dictionary: as load_dictionary takes it.
        settings: how the table is rebuilt.
        frequency: source of the frequency ranks, None for the one that suits the tokenizer.
        groups: shares of the frequency groups, None for the usual ones.
    """

    plm: str
    dictionary: str
    settings: Settings
    frequency: str | None = None
    groups: Groups | None = None

    def arguments(self, out: Path) -> list[str]:
        """Return the command line that makes this run in `out` and then finds its maps."""
        # With "=": a value may begin with a dash.
        words = ["reconstruct", f"--plm={self.plm}", f"--dictionary={self.dictionary}", f"--out={out}", "--analyse"]
        # What the method ignores at its default is not worth a warning in the run's log.
        named = relevant_settings(self.settings.method) | set(ignored_settings(self.settings))
        for name, value in asdict(self.settings).items():
            if name not in named:
                continue
            option = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{'' if value else 'no-'}{option}")
            elif value is not None:
                words += [f"--{option}", str(value)]
        words += ["--frequency", self.frequency] if self.frequency else []
        return words + (["--groups", ",".join(str(share) for share in astuple(self.groups))] if self.groups else [])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="defemb" if Path(sys.argv[0]).name == "defemb" else "python -m defemb_core",
        description="See and repair the token embeddings of pretrained language models.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_reconstruct(commands)
    add_estimate(commands).set_defaults(command=_estimate)
    does = "print isotropy, spectrum and the low-frequency tokens that changed most"
    compare = commands.add_parser("compare", help=does, description=does)
    compare.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    add_against(compare)
    compare.set_defaults(command=_compare)
    add_analyse(commands).set_defaults(command=_analyse)
    listing = commands.add_parser("runs", help="list the runs", description="list the runs, newest first")
    listing.set_defaults(command=_runs)
    add_dictionary(commands).set_defaults(command=_saying(dictionary_lines))
    add_report(commands).set_defaults(command=_saying(report_lines))
    add_evaluate(commands).set_defaults(command=_saying(evaluate_lines))
    add_dynamics(commands).set_defaults(command=_saying(dynamics_lines))
    add_finetune(commands).set_defaults(command=_saying(finetune_lines))
    add_export(commands).set_defaults(command=_saying(export_lines))
    add_add_tokens(commands).set_defaults(command=_saying(add_tokens_lines))
    return parser


def _add_reconstruct(commands: Any) -> None:
    sub = commands.add_parser("reconstruct", help="rebuild a PLM's table from definitions")
    add_settings(sub)
    sub.add_argument("--out", type=Path, required=True, help="the run's directory, new")
    sub.add_argument("--resume", action="store_true", help="finish a run that was interrupted")
    sub.add_argument("--analyse", action="store_true", help="then find neighbours and UMAP maps for the app")
    sub.set_defaults(command=_reconstruct)


def _reconstruct(options: argparse.Namespace) -> None:
    from defemb_core.reconstruction_files import save_reconstruction

    shared = devices()
    with shared.together():
        settings, groups = read_settings(options), read_groups(options)
        _say_ignored(settings)
        if not shared.is_first:  # it takes its share of the work; the run is the first process's
            _rebuild(options, settings, groups, None)
            shared.part()
            return
        with working_in(options.out, STAGE_SHARES[settings.method], options.resume) as reporter:
            made = _rebuild(options, settings, groups, reporter)
            shared.part()
            save_reconstruction(made, options.out)
            shutil.rmtree(options.out / CHECKPOINT, ignore_errors=True)
            if options.analyse:
                queue_run(options.out / ANALYSIS)
    _say_result(made, options.out)
    if options.analyse:
        analyse_run(options.out, ProjectionSettings())


def _rebuild(
    options: argparse.Namespace, settings: Settings, groups: Groups, reporter: Reporter | None
) -> Reconstruction:
    """Rebuild the table that the options name; a process without a reporter keeps quiet about it."""
    from defemb_core.dictionaries import load_dictionary
    from defemb_core.frequency import default_source, plm_vocabulary
    from defemb_core.plm import load_plm
    from defemb_core.vocabulary import tokenizer_kind

    with memory_for("reading PLM and dictionary"):
        plm = load_plm(options.plm, options.revision)
        source = options.frequency or default_source(tokenizer_kind(plm.tokenizer))
        vocabulary = plm_vocabulary(plm, source, groups)
        dictionary = load_dictionary(options.dictionary, vocabulary)
    if reporter:
        reporter.shares = stage_shares(settings.method, plm.has_decoder_table)
        if line := announcement(plm, vocabulary, dictionary, settings):
            sys.stderr.write(f"{line}\n")
    devices().agree()  # so that a mistake ends all before the long work
    with Bar(reporter) if reporter else nullcontext() as progress:
        made = reconstruct(plm, vocabulary, dictionary, settings, progress, options.out / CHECKPOINT)
    made.provenance["frequency"] = {"source": source, **asdict(groups)}
    made.provenance["dictionary"]["spec"] = options.dictionary
    return made


def _say_ignored(settings: Settings) -> None:
    """Warn in one sentence of options that the method ignores."""
    if (ignored := ignored_settings(settings)) and devices().is_first:
        said = [f"--{'no-' if getattr(settings, name) is False else ''}{name.replace('_', '-')}" for name in ignored]
        sys.stderr.write(f"method {settings.method!r} ignores {', '.join(said)}\n")


def _say_result(made: Reconstruction, out: Path) -> None:
    """Say how many rows are new and how well definitions find those that were held out."""
    held, covered = made.evidence["held_out"], made.evidence["coverage"]
    judged = f"held-out MRR {held['mrr']:.3f} over {held['tokens']:,} tokens" if held else "nothing is predicted"
    _say(
        f"rebuilt {covered['rebuilt']:,} of {covered['rows']:,} rows, {covered['without_definition']:,} have no "
        f"definition; {judged}; {out}"
    )
    if made.evidence.get("training", {}).get("best") == 0:
        _say("training did not lower the loss on validation tokens; the rows come from the PLM's own states")


def _estimate(options: argparse.Namespace) -> None:
    _say_ignored(read_settings(options))
    for line in estimate_lines(options):
        _say(line)


def _analyse(options: argparse.Namespace) -> None:
    for line in trust_lines(analyse_run(run_folder(options.run), read_projection(options))):
        _say(line)


def _compare(options: argparse.Namespace) -> None:
    from defemb_core.comparison import isotropy_of
    from defemb_core.import_table import ImportedTable
    from defemb_core.spectrum import singular_values

    comparison = open_named(options)
    for side in (comparison.first, comparison.second):
        if isinstance(side, ImportedTable):
            _say(str(side))
    tables = dict(zip(comparison.names, (comparison.original, comparison.rebuilt), strict=True))
    isotropy = isotropy_of(comparison)
    _say("isotropy I(W), both signs, 1 is isotropic (mean cosine in brackets)")
    for group in (group for group in isotropy[0] if group in isotropy[1]):
        told = [
            f"{name} {measured[group]['i_w']:.3f} ({measured[group]['mean_cosine']:+.3f})"
            for name, measured in zip(tables, isotropy, strict=True)
        ]
        _say(f"  {group:<10} {'   '.join(told)}")
    _say("spectrum of the uncentred table")
    for name, table in tables.items():
        spectrum = singular_values(table)
        _say(
            f"  {name:<10} largest {spectrum.values[0]:.2f}, smallest {spectrum.values[-1]:.3f}, effective rank "
            f"{spectrum.effective_rank:.1f} of {len(spectrum.values)}"
        )
    _say("low-frequency tokens whose ten nearest neighbours changed most (full space)")
    for line in _largest_turnover(comparison):
        _say(f"  {line}")


def _largest_turnover(comparison: Comparison, count: int = 10) -> list[str]:
    """Return a line for each of the rare rebuilt tokens whose neighbourhood changed most."""
    import polars as pl

    from defemb_core.analysis import neighbours_of_both
    from defemb_core.changes import token_changes
    from defemb_core.text import plain

    neighbours = neighbours_of_both(comparison)
    changes = token_changes(comparison, neighbours).filter((pl.col("group") == "rare") & pl.col("rebuilt"))
    texts = comparison.vocabulary["text"]
    lines = []
    for token in changes.sort("turnover", "cosine", descending=[True, False]).head(count).iter_rows(named=True):
        near = [", ".join(plain(texts[int(i)]) for i in n.indices[token["token_id"]][:4]) for n in neighbours]
        lines.append(f"{plain(token['text']):<16} {token['turnover']:.0%}   {near[0]}  ->  {near[1]}")
    return lines


def _saying(lines: Callable[[argparse.Namespace], Iterable[str]]) -> Callable[[argparse.Namespace], None]:
    """Return the command that prints what `lines` returns."""

    def command(options: argparse.Namespace) -> None:
        for line in lines(options):
            _say(line)

    return command


def _runs(options: argparse.Namespace) -> None:
    del options
    for folder, status in list_runs():
        _say(f"{folder.name:<32} {status.state:<12} {status.fraction:>4.0%}  {status.message}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
