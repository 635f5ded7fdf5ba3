"""How long a user waits: from server start to the first page in a browser, and from page to page.

`streamlit run app.py` alternates with `streamlit hello`, in headless Chromium, in the same run. The clock starts when
the server's process is spawned and stops when the first page is painted: its heading, for ours also its last table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.browser import FIRST_HEADING, IDLE, OURS, PAGES, PATIENCE, chromium, make_run, serving, switch, wait_for
from benchmarks.machine import REPEATS, Line, as_seconds, print_head, print_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PEER = ["hello"]
TABLE = "[data-testid=stDataFrame] canvas"
STARTS = 7  # one start differs from the next by a third of a second


def first_page(browser: Browser, command: Sequence[str], runs: Path) -> tuple[float, float]:
    """Return seconds from spawn until the page is painted, and until all of it is there and its script at rest.

    Either is painted when its heading is to be seen. All of ours is there when the vocabulary's table is drawn; hello
    has none.
    """
    with serving(command, runs) as (address, started):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address, wait_until="commit")
        page.locator("h1").first.wait_for()
        painted = time.perf_counter() - started
        if command == OURS:
            page.locator(TABLE).last.wait_for()
        page.locator(IDLE).wait_for()
        whole = time.perf_counter() - started
        page.close()
    return painted, whole


def report_start(browser: Browser, runs: Path) -> None:
    """Print our start against hello's; a round before the first that counts fills the disk cache for both."""
    for command in (OURS, PEER):
        first_page(browser, command, runs)
    ours, peer = [], []
    for _ in range(STARTS):
        ours.append(first_page(browser, OURS, runs))
        peer.append(first_page(browser, PEER, runs))
    our_painted, our_whole = (statistics.median(x) for x in zip(*ours, strict=True))
    painted, whole = (statistics.median(x) for x in zip(*peer, strict=True))
    lines = [
        Line("painted: the heading is to be seen", as_seconds(our_painted), "1.5 times hello's",
             f"hello painted {as_seconds(painted)}: {our_painted / painted:.2f} times"),
        Line("all of it, the vocabulary's table drawn", as_seconds(our_whole), "",
             f"all of hello {as_seconds(whole)}: {our_whole / whole:.2f} times"),
    ]  # fmt: skip
    print_table(lines, f"From process start to first page (medians of {STARTS}, alternating)")


def report_pages(browser: Browser, runs: Path) -> None:
    """Print page-to-page times with a finished run: the server's first visit of each page, and the medians after."""
    with serving(OURS, runs) as (address, _):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        wait_for(page, FIRST_HEADING)
        visits = [{name: switch(page, name, heading) for name, heading in PAGES.items()} for _ in range(REPEATS + 1)]
    lines = []
    for name in PAGES:
        again = statistics.median(visit[name] for visit in visits[1:])
        lines.append(Line(f"to {name}", as_seconds(again), "", f"first visit {as_seconds(visits[0][name])}"))
    print_table(lines, f"From click to whole page (medians of {REPEATS} after the first visit)")


def main(arguments: Sequence[str]) -> None:
    """Print both tables, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks app", description=__doc__)
    parser.add_argument("--start", action="store_true", help="only the server's start")
    options = parser.parse_args(arguments)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if browser is None:
            return
        print_head("app", arguments)
        report_start(browser, Path(folder) / "none")
        if not options.start:
            make_run(Path(folder) / "runs" / "finished")
            report_pages(browser, Path(folder) / "runs")
