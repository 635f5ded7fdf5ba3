"""What benchmarks in a browser share: a server, headless Chromium, and when a page is whole."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 120_000  # milliseconds
OURS = ["run", "app.py"]
SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader")
FIRST_HEADING = "Model and vocabulary"
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
def chromium() -> Iterator[Browser | None]:
    """Start headless Chromium and end it afterwards; None, and a line that says so, without one on this machine."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        print("no chromium on the path; install it to time anything in a browser")
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(SWITCHES))
        yield browser
        browser.close()


def make_run(folder: Path) -> None:
    """Make a finished, analysed run of the bundled PLM."""
    command = ["reconstruct", "--method", "instant", "--out", str(folder), "--analyse"]
    subprocess.run([sys.executable, "-m", "defemb_core", *command], check=True, capture_output=True)


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


def switch(page: Page, name: str, heading: str) -> float:
    """Click on a page in the sidebar; return the seconds until it is whole."""
    started = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    wait_for(page, heading)
    return time.perf_counter() - started


def wait_for(page: Page, heading: str) -> None:
    """Wait until the page with this heading is whole: its script at rest, its charts or maps drawn."""
    page.get_by_role("heading", level=1, name=heading, exact=True).wait_for()
    page.locator(IDLE).wait_for()
    # Elements of the page before that the script has not replaced are stale until it ends; charts draw after it.
    page.wait_for_function("document.querySelectorAll('[data-stale=true]').length === 0")
    if page.locator("[data-testid=stPlotlyChart]").count():
        page.locator("[data-testid=stPlotlyChart] .main-svg").first.wait_for(state="attached")
    if page.locator("[data-testid=stBidiComponentIsolated]").count():
        page.locator(MAPS_DRAWN).wait_for()
