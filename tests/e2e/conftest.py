"""A real Chromium and servers of their own; without Chromium these tests are skipped, on a build server they fail."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from installed import missing

from defemb_core.processes import cancel_run
from defemb_core.runs import ANALYSIS, analysis_status, list_runs

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
MISSING = "no Chromium: install it (apt-get install chromium) or set CHROMIUM to its path"
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
)
# Streamlit asks for these under the page's own path before it finds them at the root.
STREAMLITS_OWN = ("/_stcore/health", "/_stcore/host-config")


@dataclass
class Server:
    """The app in a process group of its own."""

    url: str
    folder: Path
    process: subprocess.Popen

    @property
    def runs(self):
        return self.folder / "runs"

    def end(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        for folder, status in list_runs(self.runs):  # work outlives its server, but not the tests
            analysis = analysis_status(folder)
            if status.is_active:
                cancel_run(folder)
            if analysis and analysis.is_active:
                cancel_run(folder / ANALYSIS)


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    console: list = field(default_factory=list)
    dialogs: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    @property
    def foreign(self):
        """Requests to other machines."""
        return [url for url in self.requests if urlsplit(url).scheme in {"http", "https", "ws", "wss"}
                and urlsplit(url).hostname not in {"127.0.0.1", "localhost"}]  # fmt: skip


@pytest.fixture(scope="session")
def chromium():
    """Playwright's handle on the installed Chromium."""
    if not CHROMIUM:
        missing(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve():
    """Starts servers; ends them, and nothing else, with the session."""
    servers = []

    def start(folder, **variables):
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        own = {"DEFEMB_RUNS": str(folder / "runs"), "DEFEMB_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        with (folder / "server.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
                cwd=ROOT, env={**os.environ, **own, **variables}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        servers.append(Server(f"http://127.0.0.1:{port}", folder, process))
        wait_until_up(servers[-1])
        return servers[-1]

    start.logs = lambda: [(server.folder / "server.log").read_text(errors="replace") for server in servers]
    yield start
    for server in servers:
        server.end()


@pytest.fixture(autouse=True)
def _server_log(request):
    """A failure shows what the servers said."""
    yield
    if "serve" in request.fixturenames:
        for log in request.getfixturevalue("serve").logs():
            print(log[-4000:])  # noqa: T201


@pytest.fixture
def open_tab(chromium):
    """Opens a tab in a browser profile of its own; when the test ends, none may have complained or called outside."""
    contexts, all_heard = [], []

    def open_url(url, width=1280, height=900, **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **options))
        contexts[-1].set_default_timeout(60_000)
        tab, heard = contexts[-1].new_page(), Heard()
        all_heard.append(heard)
        listen(tab, heard)
        tab.heard = heard
        tab.goto(url)
        return tab

    yield open_url
    for context in contexts:
        context.close()
    for heard in all_heard:
        assert heard.foreign == []
        assert heard.dialogs == []
        assert heard.console == []


def listen(tab, heard):
    def complain(message):
        own = any(path in message.location.get("url", "") for path in STREAMLITS_OWN)
        if message.type == "error" and not own:
            heard.console.append(message.text)

    def dismiss(dialog):
        heard.dialogs.append(dialog.message)
        dialog.dismiss()

    tab.on("console", complain)
    tab.on("pageerror", lambda error: heard.console.append(str(error)))
    tab.on("dialog", dismiss)
    tab.on("request", lambda request: heard.requests.append(request.url))
    tab.on("websocket", lambda socket: heard.requests.append(socket.url))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(server, patience=60.0):
    limit = time.monotonic() + patience
    while time.monotonic() < limit and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{(server.folder / 'server.log').read_text()}")
