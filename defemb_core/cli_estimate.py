"""The command `estimate`, and the line that `reconstruct` begins with: what a run is about to take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from defemb_core.cli_options import add_settings, read_groups, read_settings
from defemb_core.costs import Machine
from defemb_core.errors import SettingsError

if TYPE_CHECKING:
    import polars as pl

    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

# Float32 products that one process's share of a server's processor reaches, in FLOP/s: ten cores or so.
SERVER = 5e11


def add_estimate(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "say how long a run would take and what memory it needs, without starting it"
    parser: argparse.ArgumentParser = commands.add_parser("estimate", help=does, description=does)
    add_settings(parser)
    parser.add_argument(
        "--tflops",
        type=float,
        help="for a machine with accelerators: 10^12 operations a second that each really reaches in bfloat16 products "
        "(default: this machine's processor, measured)",
    )
    parser.add_argument("--processes", type=int, default=1, help="each with a device of its own (default: %(default)s)")
    return parser


def estimate_lines(options: argparse.Namespace) -> list[str]:
    """Return what the command prints.

    Raises:
        DefembError: no such PLM or dictionary, or a value outside its range.
    """
    from defemb_core.dictionaries import load_dictionary
    from defemb_core.estimate import estimate_reconstruction, time_in_words
    from defemb_core.frequency import default_source, plm_vocabulary
    from defemb_core.plm import load_plm
    from defemb_core.vocabulary import tokenizer_kind

    settings, machine, groups = read_settings(options), _machine(options), read_groups(options)
    plm = load_plm(options.plm, options.revision)
    source = options.frequency or default_source(tokenizer_kind(plm.tokenizer))
    vocabulary = plm_vocabulary(plm, source, groups)
    dictionary = load_dictionary(options.dictionary, vocabulary)
    made = estimate_reconstruction(plm, vocabulary, dictionary, settings, machine)
    preset = f", preset {settings.preset}" if made.updates else ""
    lines = [f"{plm.title}, method {settings.method}{preset}, on {_in_words(machine)}"]
    if made.updates:
        twice = ", for each of its two tables" if plm.has_decoder_table else ""
        each = f"{made.tokens / made.updates:,.0f}"
        lines.append(f"updates      {made.updates:,} of {each} tokens{twice}")
    if made.operations:
        lines.append(f"operations   {made.operations:.1e}")
    lines.append(f"time         about {time_in_words(made.seconds)}")
    lines.append(f"memory       about {made.memory_in_words}{', each process' if machine.processes > 1 else ''}")
    return lines


def announcement(plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, settings: Settings) -> str | None:
    """Return what a run on this machine will take, in a line; None where seconds need no announcement."""
    from defemb_core.devices import devices
    from defemb_core.estimate import estimate_reconstruction, time_in_words
    from defemb_core.methods import STUDENTS

    if settings.method not in STUDENTS or not devices().is_first or not devices().is_cpu:
        return None
    try:
        made = estimate_reconstruction(plm, vocabulary, dictionary, settings)
    except SettingsError:  # the run itself says what is wrong
        return None
    return f"this will take about {time_in_words(made.seconds)} and {made.memory_in_words}"


def _machine(options: argparse.Namespace) -> Machine:
    from defemb_core.estimate import this_machine

    if options.processes < 1:
        raise SettingsError(f"--processes must be 1 or more, is {options.processes}")
    if options.tflops is None:
        return this_machine(options.processes)
    if not 0 < options.tflops < float("inf"):
        raise SettingsError(f"--tflops must be above 0, is {options.tflops}")
    return Machine(SERVER, options.tflops * 1e12, options.processes)


def _in_words(machine: Machine) -> str:
    processes = f"{machine.processes} processes, each with " if machine.processes > 1 else ""
    if machine.accelerator:
        return f"{processes}an accelerator that reaches {machine.accelerator / 1e12:g} TFLOP/s"
    return f"{processes}this machine's processor, which reaches {machine.processor / 1e9:.0f} GFLOP/s"
