"""The command `analyse`: neighbours and maps for the app to show, with any settings."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from defemb_core.analysis import Analysis, analyse, analysis_shares
from defemb_core.comparison import PAIR, open_comparison
from defemb_core.neighbours import METRICS
from defemb_core.projection_settings import METHODS, MODES, SUBSETS, ProjectionSettings, keep_rows, read_rows
from defemb_core.runs import ANALYSIS, read_status, working_in
from defemb_core.terminal import Bar
from defemb_core.trial_files import STAGE, prepare_trials

TRIALS_SHARE = 0.1  # of the time that all takes, about, where nothing is known yet

OPTIONS = (
    ("method", str, f"{' or '.join(METHODS)} (default: %(default)s)"),
    ("mode", str, f"{' or '.join(MODES)}: both tables fitted, or the rebuilt rows placed (default: %(default)s)"),
    ("neighbours", int, "size of a row's neighbourhood in UMAP (default: %(default)s)"),
    ("min_dist", float, "how close points may lie in a UMAP map, 0 to 1 (default: %(default)s)"),
    ("metric", str, f"{' or '.join(METRICS)}, in the full space (default: %(default)s)"),
    ("subset", str, f"rows on the maps: {', '.join(SUBSETS)} (default: %(default)s)"),
    ("seed", int, "of UMAP's sampling (default: %(default)s)"),
)


def add_analyse(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "find both tables' neighbours and maps, for the app to show, and say how far the maps can be trusted"
    parser: argparse.ArgumentParser = commands.add_parser("analyse", help=does, description=does)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    for name, kind, what in OPTIONS:
        default = getattr(ProjectionSettings, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=what)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="a text file of row numbers, instead of --subset")
    return parser


def read_projection(options: argparse.Namespace) -> ProjectionSettings:
    """Return the settings that the options name.

    Raises:
        SettingsError: a value outside its range, or a file of rows that cannot be read.
    """
    settings = ProjectionSettings(**{field.name: getattr(options, field.name) for field in fields(ProjectionSettings)})
    return replace(settings, subset=keep_rows(read_rows(options.rows))) if options.rows else settings


def analyse_run(folder: Path, settings: ProjectionSettings) -> Analysis:
    """Find neighbours and maps, and what trials need, of the run or pair in `folder`; its status lies within it."""
    if not (folder / PAIR).exists():
        read_status(folder)  # refuses what is no run before a folder is made in it
    # Maps are found again from disk in no time, so a complete analysis is simply looked up again.
    with working_in(folder / ANALYSIS, {}, resume=True, again=True) as reporter, Bar(reporter) as progress:
        comparison = open_comparison(folder)
        shares = analysis_shares(comparison, settings)
        reporter.shares = {STAGE: TRIALS_SHARE} | {name: (1 - TRIALS_SHARE) * part for name, part in shares.items()}
        prepare_trials(comparison, progress)
        return analyse(comparison, settings, progress)


def trust_lines(analysis: Analysis) -> list[str]:
    """Return a line about each map: how far its neighbourhoods are those of the full space."""
    lines = []
    for name, made in zip(("original", "rebuilt"), analysis.maps, strict=True):
        if trust := made.trust:
            lines.append(
                f"map of the {name:<9} trustworthiness {trust.trustworthiness:.3f}, continuity {trust.continuity:.3f} "
                f"(k = {trust.k}, {trust.sample:,} of {trust.rows:,} rows judged)"
            )
    return lines
