"""The command `export`: what it takes, and what it says."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from defemb_core.cli_options import add_job, run_folder
from defemb_core.errors import ExportError
from defemb_core.export import TARGETS
from defemb_core.export_formats import FORMATS
from defemb_core.export_place import CHECKPOINT, LOADS
from defemb_core.terminal import watched


def add_export(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the parser's."""
    does = "write the rebuilt table as a checkpoint or in a format of other tools"
    formats = "\n".join(f"  {name:<16} {of.reads}" for name, of in FORMATS.items())
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help=does,
        description=does,
        epilog=f"formats:\n  {CHECKPOINT:<16} {LOADS}\n{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a run's directory, or its name in the runs folder")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(TARGETS))
    parser.add_argument("--out", required=True, type=Path, help="the file or folder to write")
    parser.add_argument("--force", action="store_true", help="replace an earlier export")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written and uploaded, and stop")
    parser.add_argument(
        "--push",
        metavar="OWNER/NAME",
        help="then upload the folder to the hub, with the token of `hf auth login` or of HF_TOKEN",
    )
    parser.add_argument("--public", action="store_true", help="make a repository of --push that all may see")
    add_job(parser)
    return parser


def export_lines(options: argparse.Namespace) -> Iterator[str]:
    """Do what the options say, and yield what there is to say of it.

    Raises:
        ExportError: the export or the upload is refused, or fails.
    """
    from defemb_core.comparison import open_comparison
    from defemb_core.export import export_notes
    from defemb_core.hub_upload import upload

    to = options.to
    if options.push and to in FORMATS and not FORMATS[to].is_folder:
        raise ExportError(f"--push uploads folders, format {to!r} is a file; take {CHECKPOINT!r} or 'static'")
    if options.dry_run:
        comparison = open_comparison(run_folder(options.run))
        yield from _dry_run(options, comparison.reconstruction, comparison.plm)
        return
    out = _write(options)
    yield f"wrote {out}"
    yield from export_notes(out)
    if options.push:
        yield f"uploaded to {upload(out, options.push, public=options.public)}"


def _write(options: argparse.Namespace) -> Path:
    """Make the export and return where it lies."""
    from defemb_core.analysis import read_analysis
    from defemb_core.comparison import open_comparison
    from defemb_core.export import export

    to = options.to
    with watched(options.job, {f"writing {to}": 1.0}) as progress:
        comparison = open_comparison(run_folder(options.run))
        analysis = read_analysis(comparison) if to in FORMATS and FORMATS[to].needs_maps else None
        made, plm = comparison.reconstruction, comparison.plm
        return export(made, plm, to, options.out, options.force, analysis=analysis, progress=progress)


def _dry_run(options: argparse.Namespace, made: Any, plm: Any) -> Iterator[str]:
    """Say what an export would write, each file with its size, and where it would go; refuse what it would refuse."""
    from defemb_core.export import check_out, planned_files

    check_out(made, plm, options.to, options.out, options.force)
    files = planned_files(made, plm, options.to, options.out)
    for name, size in files.items():
        yield f"{size / 1e6:>12,.3f} MB  {name}"
    place = f"{options.out.expanduser().absolute()}{f' and to the hub as {options.push}' if options.push else ''}"
    yield f"{sum(files.values()) / 1e6:>12,.3f} MB  in {len(files)} files would be written to {place}; nothing was"
