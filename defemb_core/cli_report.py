"""The command `report`: two tables compared, as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from defemb_core.cli_options import add_against, add_job, open_named
from defemb_core.terminal import watched


def add_report(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "write a report of a run as one HTML file that works anywhere, offline"
    parser: argparse.ArgumentParser = commands.add_parser("report", help=does, description=does)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    parser.add_argument("--out", required=True, type=Path, help="the file to write, report.html say")
    parser.add_argument("--force", action="store_true", help="replace an earlier report")
    add_against(parser)
    add_job(parser)
    return parser


def report_lines(options: argparse.Namespace) -> list[str]:
    """Do the command's work and return what it prints.

    Raises:
        DefembError: no complete run, tables that do not compare, or a place that cannot be written.
    """
    from defemb_core.analysis import neighbour_stages
    from defemb_core.report import DRAWING, write_report

    shares = {**dict.fromkeys(neighbour_stages(), 0.3), DRAWING: 0.4}
    with watched(options.job, shares) as progress:
        comparison = open_named(options)
        out = write_report(comparison, options.out, options.force, progress)
    return [f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB"]
