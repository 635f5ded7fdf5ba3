"""New tokens: which terms, what start, and the process that looks and writes."""

import hashlib
import json
from pathlib import Path

import streamlit as st

from defemb_core.cache import cache_folder, write_atomically
from defemb_core.dictionaries import WORDNET
from defemb_core.errors import DefembError
from defemb_core.new_tokens.rows import EXPLAINED, STARTS, Start
from defemb_core.new_tokens.terms import typed_terms
from defemb_core.processes import start_run
from defemb_core.runs import read_status
from pages.shared import state
from pages.shared.dictionary_choice import KEY
from pages.shared.progress import watch_job
from pages.shared.text import as_text

TYPED, FILE, CORPUS = "Write them", "A glossary", "A corpus"
EXAMPLE = "defibrillator: a device that gives the heart an electric shock to restore its rhythm"
NAMES: dict[Start, str] = {
    "definition-and-pieces": "Definition and pieces",
    "definition": "Definition",
    "mean-of-pieces": "Mean of the pieces",
    "mean-of-all": "Mean of all rows",
    "random": "Random",
}
"""What the starts are called on screen."""


def choose_terms() -> list[str] | None:
    """Show the choice of terms; return the options of the command that name them, None while there are none."""
    kind = st.segmented_control(
        "Terms", (TYPED, FILE, CORPUS), default=TYPED, required=True, key="new-kind", bind="query-params",
        help="Their definitions come first; the dictionary of the run, or of the Definitions page, has the others.",
    )  # fmt: skip
    if kind == TYPED:
        return _typed()
    return _glossary() if kind == FILE else _corpus()


def _typed() -> list[str] | None:
    text = st.text_area(
        "Terms and definitions", key="new-typed", placeholder=EXAMPLE, height=140,
        help="A line each: the term, a colon, and what it means.",
    )  # fmt: skip
    if not text.strip():
        return None
    try:
        return [f"--terms={typed_terms(text, _place(text.encode()) / 'terms.csv')}"]
    except DefembError as exc:
        st.error(as_text(str(exc)), icon=":material/error:")
        return None


def _glossary() -> list[str] | None:
    given = st.file_uploader(
        "Glossary", key="new-glossary", type=["csv", "tsv", "jsonl", "parquet", "xlsx"],
        help="Columns named like word, definition and, if you like, pos. It stays on this machine.",
    )  # fmt: skip
    if given is None:
        return None
    content = given.getvalue()
    file = _place(content) / f"glossary{Path(given.name).suffix.lower()}"

    def write(to: Path) -> None:
        to.write_bytes(content)

    write_atomically(file, write)
    return [f"--terms={file}"]


def _corpus() -> list[str] | None:
    left, right = st.columns([3, 1])
    path = left.text_input(
        "Corpus", key="new-corpus", placeholder="a text file, or a folder of .txt files",
        help="On this machine. Words that cost most pieces come first: occurrences times the pieces beyond one.",
    )  # fmt: skip
    limit = right.number_input("Tokens, at most", 1, 10_000, 100, key="new-limit")
    return [f"--corpus={Path(path).expanduser()}", f"--limit={limit}"] if path.strip() else None


def choose_start() -> Start:
    """Show the choice of how rows are made."""
    chosen: Start = st.selectbox(
        "Rows", STARTS, key="new-start", format_func=lambda start: f"{NAMES[start]}: {EXPLAINED[start]}",
        help="Where new rows start from. Terms without a definition are left out by the first two.",
    )  # fmt: skip
    return chosen


def ask(run: Path | None, terms: list[str] | None, start: Start, compare: bool) -> list[str] | None:
    """Return the command line that the choices make, None while there are no terms."""
    if terms is None:
        return None
    words = ["add-tokens", str(run or state.chosen_plm()), *terms, f"--start={start}"]
    words += [] if run else [f"--dictionary={st.session_state.get(KEY) or WORDNET}"]
    return words + (["--compare"] if compare else [])


def start_work(asked: list[str], *more: str) -> Path:
    """Start the command in the background unless it is at work already; return the folder of its findings."""
    arguments = [*asked, *more]
    folder = _place(json.dumps(arguments).encode())
    if "--dry-run" not in arguments:  # what has been seen need not be found again
        arguments = [word for word in arguments if word != "--compare"]
    start_run([*arguments, f"--keep={folder}"], folder, join=True)
    return folder


def watch_work(folder: Path) -> bool:
    """Show the work in a folder while it goes on, or why it failed; return whether there is nothing to read yet."""
    status = read_status(folder)
    if status.is_active:
        watch_job(folder, "New tokens")
        return True
    if status.state == "complete":
        return False
    if status.state == "failed":
        st.error(as_text(status.message), icon=":material/error:")
    else:
        st.info("The work was stopped; nothing was written.", icon=":material/info:")
    return True


def _place(content: bytes) -> Path:
    return cache_folder() / "new-tokens" / hashlib.sha256(content).hexdigest()[:24]
