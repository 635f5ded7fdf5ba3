"""How long a user waits: from server start to the first page in a browser, and from page to page.

`streamlit run app.py` alternates with `streamlit hello`, in headless Chromium, in the same run. The clock starts when
the server's process is spawned and stops when the first page is painted: its heading, for ours also its last table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import REPEATS, Line, as_seconds, print_head, print_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 120_000  # milliseconds
OURS, PEER = ["run", "app.py"], ["hello"]
FIRST_HEADING, TABLE = "Model and vocabulary", "[data-testid=stDataFrame] canvas"
STARTS = 7  # one start differs from the next by a third of a second
# As the sidebar names them, and what stands on each when it is whole.
PAGES = {
    "Definitions": "Definitions and coverage",
    "Reconstruction": "Reconstruction",
    "Spectrum and isotropy": "Spectrum and isotropy",
    "Tokens": "Tokens",
    "Evidence": "Evidence",
    "Projection": "Projection",
    "Export": "Export",
    "Model": FIRST_HEADING,
}
MAPS_DRAWN = "section[data-drawn]"
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


@contextmanager
def serving(command: Sequence[str], runs: Path) -> Iterator[tuple[str, float]]:
    """Start a Streamlit server; gives its address and when it was spawned, and ends it afterwards."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    options += ["--browser.gatherUsageStats", "false"]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", *command, *options],
        env={**os.environ, "DEFEMB_RUNS": str(runs), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - started > PATIENCE / 1000:
                raise RuntimeError(f"streamlit {' '.join(command)} did not start (code {process.returncode})")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}", started
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
        _wait_for(page, FIRST_HEADING)
        visits = [{name: switch(page, name, heading) for name, heading in PAGES.items()} for _ in range(REPEATS + 1)]
    lines = []
    for name in PAGES:
        again = statistics.median(visit[name] for visit in visits[1:])
        lines.append(Line(f"to {name}", as_seconds(again), "", f"first visit {as_seconds(visits[0][name])}"))
    print_table(lines, f"From click to whole page (medians of {REPEATS} after the first visit)")


def switch(page: Page, name: str, heading: str) -> float:
    """Click on a page in the sidebar; return the seconds until it is whole."""
    started = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    _wait_for(page, heading)
    return time.perf_counter() - started


def _wait_for(page: Page, heading: str) -> None:
    page.get_by_role("heading", level=1, name=heading, exact=True).wait_for()
    page.locator(IDLE).wait_for()
    # Elements of the page before that the script has not replaced are stale until it ends; charts draw after it.
    page.wait_for_function("document.querySelectorAll('[data-stale=true]').length === 0")
    if page.locator("[data-testid=stPlotlyChart]").count():
        page.locator("[data-testid=stPlotlyChart] .main-svg").first.wait_for(state="attached")
    if page.locator("[data-testid=stBidiComponentIsolated]").count():
        page.locator(MAPS_DRAWN).wait_for()


def main(arguments: Sequence[str]) -> None:
    """Print both tables, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks app", description=__doc__)
    parser.add_argument("--start", action="store_true", help="only the server's start")
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("no chromium on the path; install it to time the app in a browser")
        return
    from playwright.sync_api import sync_playwright

    print_head("app", arguments)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        report_start(browser, Path(folder) / "none")
        if not options.start:
            command = ["reconstruct", "--method", "instant", "--out", f"{folder}/runs/finished", "--analyse"]
            subprocess.run([sys.executable, "-m", "defemb_core", *command], check=True, capture_output=True)
            report_pages(browser, Path(folder) / "runs")
        browser.close()
