"""Options that several commands share: what is rebuilt from what, and how."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from defemb_core.definitions import WAYS
from defemb_core.dictionaries import WORDNET
from defemb_core.errors import RunError, SettingsError
from defemb_core.hub import BUNDLED
from defemb_core.methods import METHODS
from defemb_core.presets import PRESETS
from defemb_core.reconstruction import Settings
from defemb_core.runs import run_path

if TYPE_CHECKING:
    from defemb_core.comparison import Comparison
    from defemb_core.frequency import Groups

NUMBERS = (
    ("method", str, f"{', '.join(METHODS)} (default: %(default)s)"),
    ("alpha", float, "share of the lowest-frequency covered rows to rebuild (default: %(default)s, all)"),
    ("blend", float, "share of the rebuilt row in the new one (default: %(default)s)"),
    ("max_senses", int, "senses used of each token (default: %(default)s)"),
    ("without", str, f"ways of matching whose definitions do not count, of {', '.join(WAYS)}"),
    ("folds", int, "parts of the cross-fitting (default: %(default)s)"),
    ("seed", int, "of folds and held-out split (default: %(default)s)"),
    ("directions", int, "of all-but-the-top, 0 for a hundredth of the columns (default: %(default)s)"),
    ("rare_weight", float, "how much rare rows count in learning, 0 to 1 (default: 0 for trained, else 1)"),
    ("preset", str, f"of method trained: {', '.join(PRESETS)} (default: %(default)s)"),
    ("passes", float, "over the prompts in training, 0 for the preset's (default: %(default)s)"),
    ("rate", float, "the peak learning rate, 0 for the preset's (default: %(default)s)"),
)
SWITCHES = (
    ("match_norms", "whether a rebuilt row is as far from the mean row as its original"),
    ("relations", "whether synonyms and other related words join a definition"),
    ("mentions", "whether words whose definitions mention a token tell about it"),
    ("pieces", "whether rows without a definition are rebuilt from words that contain them"),
    ("train_table", "whether the student's own embedding table is trained too"),
)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --plm, --revision, --dictionary, the choice of frequencies and an option for each of the settings."""
    parser.add_argument("--plm", default=BUNDLED, help="'bundled', a hub name, or a folder (default: %(default)s)")
    parser.add_argument("--revision", help="the hub's branch, tag or commit")
    parser.add_argument("--dictionary", default=WORDNET, help="one source or several, 'wordnet,numerals,unicode'")
    parser.add_argument("--frequency", help="'vocabulary' (row order) or 'wordfreq'; default: what suits the tokenizer")
    parser.add_argument("--groups", help="shares of the frequent, medium and rare groups (default: 0.3,0.5,0.2)")
    for name, kind, what in NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(Settings, name), help=what)
    switch = argparse.BooleanOptionalAction
    for name, what in SWITCHES:
        parser.add_argument(f"--{name.replace('_', '-')}", action=switch, default=getattr(Settings, name), help=what)


def read_settings(options: argparse.Namespace) -> Settings:
    """Return the settings that the options name.

    Raises:
        SettingsError: a value is outside its range.
    """
    return Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})


def read_groups(options: argparse.Namespace) -> Groups:
    """Return the groups that "0.3,0.5,0.2" names, the usual ones without the option.

    Raises:
        SettingsError: these are no three shares that add up to 1.
    """
    from defemb_core.frequency import Groups

    if options.groups is None:
        return Groups()
    try:
        return Groups(*(float(share) for share in options.groups.split(",")))
    except (TypeError, ValueError):
        raise SettingsError(f"--groups {options.groups!r} is no list of three shares; write 0.3,0.5,0.2") from None


def run_folder(name: str) -> Path:
    """Return a run's directory by its path, or by its name in the runs folder."""
    return Path(name) if Path(name).is_dir() or "/" in name else run_path(name)


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a folder to keep the status of the work in, as the app does."""
    parser.add_argument(
        "--job", type=Path, metavar="FOLDER", help="keep progress and outcome in this folder, as the app watches them"
    )


def add_against(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the first table of a comparison; `run` may be a checkpoint then."""
    parser.add_argument(
        "--against",
        default="",
        metavar="RUN_PLM_OR_FILE",
        help="what RUN is compared with: a run, a PLM as --plm takes it, or the file of a table as export writes it "
        "(default: the PLM that it was made from); RUN may be a PLM or a file too then",
    )


def open_named(options: argparse.Namespace) -> Comparison:
    """Open the two tables that the options name: a run and its PLM, or with --against any two.

    Raises:
        DefembError: as `open_comparison` does.
    """
    from defemb_core.comparison import open_comparison

    if options.against:
        second, first = named_tables(options)
        return open_comparison(second, against=first)
    return open_comparison(run_folder(options.run))


def named_tables(options: argparse.Namespace) -> tuple[str, str]:
    """Return the second and the first table as `open_comparison` takes them, where --against names the first."""
    return run_or_checkpoint(options.run), run_or_checkpoint(options.against)


def run_or_checkpoint(name: str) -> str:
    """Return the path of the run of this name in the runs folder, else the name itself, a PLM's."""
    with suppress(RunError):  # no name for a run, hence a PLM's
        if run_path(name).is_dir():
            return str(run_path(name))
    return name
