"""Many browser sessions of one server at once: errors on screen, the server's memory, how long a page takes.

Each session is a browser of its own on a finished run. Every one clicks before the first of them is waited for, so
that the server has all of them at work on the same page.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.browser import FIRST_HEADING, OURS, PAGES, PATIENCE, chromium, make_run, serving, wait_for
from benchmarks.machine import Line, as_seconds, print_head, print_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SESSIONS = 10
ERRORS = "[data-testid=stException], [data-testid=stAlertContentError]"
EVERY = 0.1  # seconds between two looks at the memory


class Watched:
    """The resident memory (bytes) of the server at an address, at its largest while this is open."""

    def __init__(self, address: str) -> None:
        port = int(address.rpartition(":")[2])
        found = (process for process in psutil.Process().children() if _listens(process, port))
        self.process, self.peak = next(found), 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.ended.wait(EVERY):
            self.peak = max(self.peak, self.process.memory_info().rss)


def _listens(process: psutil.Process, port: int) -> bool:
    return any(at.status == psutil.CONN_LISTEN and at.laddr.port == port for at in process.net_connections())


def report(browser: Browser, runs: Path, sessions: int) -> None:
    """Print errors, memory and the time of the slowest page."""
    with serving(OURS, runs) as (address, _), Watched(address) as server:
        pages = [browser.new_context(viewport={"width": 1400, "height": 900}).new_page() for _ in range(sessions)]
        for page in pages:
            page.set_default_timeout(PATIENCE)
            page.goto(address, wait_until="commit")
        for page in pages:
            page.bring_to_front()  # Chromium draws nothing in a tab behind
            wait_for(page, FIRST_HEADING)
        took: dict[str, float] = {}
        errors: list[str] = []
        for name, heading in PAGES.items():
            started = time.perf_counter()
            for page in pages:
                page.bring_to_front()
                page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
            for page in pages:
                page.bring_to_front()
                wait_for(page, heading)
                errors += page.locator(ERRORS).all_inner_texts()
            took[name] = time.perf_counter() - started
        for page in pages:
            page.context.close()
    slowest = max(took, key=took.__getitem__)
    lines = [
        Line("errors on screen", f"{len(errors)}", "0"),
        Line("the server's largest memory", f"{server.peak / 1e6:,.0f} MB", "3,000 MB"),
        Line(f"until a page was whole in all sessions, the slowest ({slowest})", as_seconds(took[slowest])),
    ]
    print_table(lines, f"{sessions} browser sessions at once, each on all pages")
    for error in sorted(set(errors)):
        print(f"\nshown: {error}")


def main(arguments: Sequence[str]) -> None:
    """Print the table, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sessions", description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="how many (default: %(default)s)")
    options = parser.parse_args(arguments)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if browser is None:
            return
        print_head("sessions", arguments)
        make_run(Path(folder) / "runs" / "finished")
        report(browser, Path(folder) / "runs", options.sessions)
