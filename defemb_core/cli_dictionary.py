"""The command `dictionary`: say what a dictionary holds, or build a Wiktionary store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from defemb_core.dictionaries import WORDNET, load_dictionary
from defemb_core.errors import SettingsError
from defemb_core.terminal import stages_shown

BUILD: Final = "build"


def add_dictionary(commands: Any) -> argparse.ArgumentParser:
    """Add the command; return its parser."""
    does = "make a dictionary available and say what it holds; or build a store from a dump of Wiktionary"
    parser: argparse.ArgumentParser = commands.add_parser(
        "dictionary",
        help=does,
        description=does,
        usage="%(prog)s [-h] [SPEC]\n       %(prog)s build DUMP --out STORE [--language CODE]",
    )
    parser.add_argument(
        "dictionary",
        nargs="?",
        default=WORDNET,
        metavar="SPEC",
        help="as --dictionary takes it, 'wordnet' say (default: %(default)s)",
    )
    parser.add_argument("dump", nargs="?", metavar="DUMP", type=Path, help="JSONL of wiktextract, plain, .gz or .zst")
    parser.add_argument("--out", metavar="STORE", type=Path, help="the store's folder, new")
    parser.add_argument("--language", metavar="CODE", help="language code of the entries to keep (default: en)")
    return parser


def dictionary_lines(options: argparse.Namespace) -> list[str]:
    """Do the command's work and return what it prints.

    Raises:
        DefembError: no such dictionary or dump, or options that do not belong together.
    """
    if options.dictionary == BUILD:
        return _built(options)
    if options.dump or options.out or options.language:
        raise SettingsError("a dump, --out and --language belong to 'dictionary build DUMP --out STORE'")
    found = load_dictionary(options.dictionary)
    return [f"{found.name}: {found.definitions.height:,} senses from {found.origin}", *found.notes]


def _built(options: argparse.Namespace) -> list[str]:
    from defemb_core.dictionaries.wiktionary import LANGUAGE
    from defemb_core.dictionaries.wiktionary_store import build_store

    if options.dump is None or options.out is None:
        raise SettingsError("'dictionary build' needs a dump and --out: dictionary build DUMP --out STORE")
    with stages_shown() as progress:
        store = build_store(options.dump, options.language or LANGUAGE, options.out, progress)
    holds = f"{store.senses:,} senses of {store.words:,} words, language {store.language}"
    return [f"wrote {store.folder}: {holds}; use it with --dictionary wiktionary:{store.folder}", *store.notes]
