"""The command `dynamics`: what a training did to the embedding table, from a recording or a Trainer's checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cli_figures import aligned, check_out, write_out
from defemb_core.runs import working_in
from defemb_core.terminal import Bar

if TYPE_CHECKING:
    import polars as pl

    from defemb_core.dynamics.measures import Dynamics
    from defemb_core.dynamics.recordings import Recording

MOVEMENT, ISOTROPY, SPECTRUM, TOKENS = "movement", "isotropy", "spectrum", "tokens"
CAPTIONS = {
    MOVEMENT: "How far rows have moved by the last step",
    ISOTROPY: "Isotropy of all rows by step",
    SPECTRUM: "Largest singular values by step, mean row not subtracted",
    TOKENS: "Tokens whose rows moved farthest of their length",
}


def add_dynamics(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "say what a fine-tuning did to the embedding table: who moved, how far, and what became of isotropy"
    parser: argparse.ArgumentParser = commands.add_parser(
        "dynamics",
        help=does,
        description=f"{does}. FOLDER is a recording: from defemb_core.dynamics import EmbeddingRecorder, then "
        "trainer.add_callback(EmbeddingRecorder('FOLDER')). Or a folder of checkpoint-N that a Trainer has left.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a recording, or a folder of checkpoint-N")
    parser.add_argument(
        "--plm",
        default="",
        help="whose vocabulary it is, and what checkpoints began from: 'bundled', a hub name, or a folder (default: "
        "what lies with the recording)",
    )
    parser.add_argument(
        "--what",
        choices=tuple(CAPTIONS),
        default=MOVEMENT,
        help="which figures to print and write (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures to FILE.csv or a table to FILE.tex")
    parser.add_argument("--force", action="store_true", help="replace an earlier FILE")
    return parser


def dynamics_lines(options: argparse.Namespace) -> list[str]:
    """Do the command's work and return what it prints.

    Raises:
        DefembError: no recording there, one that cannot be read, or a file that cannot be written.
    """
    from defemb_core.dynamics.summary import cautions, findings

    check_out(options.out, options.force)
    recording, dynamics = measured_dynamics(options.folder, options.plm)
    figures, shown = _figures(dynamics, options.what)
    caption = CAPTIONS[options.what]
    wrote = write_out(figures, shown, caption, options.out) if options.out else []
    return [caption, *aligned(shown), *findings(dynamics), *cautions(dynamics, recording), *wrote]


def measured_dynamics(folder: Path, plm: str) -> tuple[Recording, Dynamics]:
    """Return a recording and what it says: kept in its folder, or measured now and kept; its status lies there too.

    Raises:
        DefembError: as dynamics_lines.
    """
    from defemb_core.dynamics.dynamics_files import FOLDER, read_dynamics, save_dynamics
    from defemb_core.dynamics.measures import STAGE, measure_dynamics
    from defemb_core.dynamics.opening import recorded_vocabulary
    from defemb_core.dynamics.recordings import open_recording
    from defemb_core.plm import load_plm

    start = load_plm(plm) if plm else None
    recording = open_recording(folder, start)  # refuses what is no recording before a folder is made in it
    with working_in(folder / FOLDER, {STAGE: 1.0}, resume=True, again=True) as reporter, Bar(reporter) as progress:
        dynamics = read_dynamics(recording, plm)
        if dynamics is None:
            dynamics = measure_dynamics(recording, recorded_vocabulary(recording, start), progress)
            save_dynamics(dynamics, recording, plm)
    return recording, dynamics


def _figures(dynamics: Dynamics, what: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return all figures of a kind, and the table of them that people read."""
    import polars as pl

    from defemb_core.dynamics.summary import TOP, isotropy_table, moved_most, movement_table

    if what == MOVEMENT:
        return dynamics.displacement, movement_table(dynamics)
    if what == ISOTROPY:
        return dynamics.isotropy, isotropy_table(dynamics)
    if what == TOKENS:
        return moved_most(dynamics), moved_most(dynamics, TOP).drop("text")
    wide = dynamics.spectrum.filter(pl.col("index") <= 5).pivot("index", index="step", values="value")
    return dynamics.spectrum, wide
