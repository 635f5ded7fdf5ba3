"""The linked maps in a browser: page opened to maps drawn, pointer to mark on the other map, lasso to marks on both.

Coordinates are synthetic (two normal clouds), tokens and groups made up, so that any number of rows can be had. The
same rows as two Plotly figures, as the page showed them before, are the peer. Headless Chromium has no graphics card:
figures are those of software rendering. A first visit that does not count fills the server's caches.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.browser import IDLE, MAPS_DRAWN, PATIENCE, chromium, serving
from benchmarks.machine import REPEATS, Line, as_milliseconds, as_seconds, print_head, print_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROWS = (30_522, 250_000)
LASSOED = 10_000
HOVERS = 20
TARGETS = {30_522: "3 s", 250_000: "10 s"}
DEVIATION, SPAN = 1.0, 9.0  # of the clouds, and of the map that shows them, in one unit

DATA = f"""
import sys
from types import SimpleNamespace
import numpy as np
import polars as pl
import streamlit as st
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from defemb_core.projection import Projection

st.set_page_config(layout="wide")

@st.cache_resource
def made(rows):
    rng = np.random.default_rng(0)
    points = rng.normal(0, {DEVIATION}, (rows, 2)).astype(np.float32)
    moved = (points + rng.normal(0, 0.2, (rows, 2))).astype(np.float32)
    corners = np.array([[-1, -1], [1, 1]], np.float32) * {SPAN / 2}
    for each in (points, moved):
        np.clip(each, *corners, out=each)
        each[:2] = corners
    groups = rng.choice(["frequent", "medium", "rare", "none"], rows, p=[0.3, 0.45, 0.2, 0.05])
    letters = rng.integers(97, 123, (rows, 8)).astype(np.uint8)
    texts = [bytes(line).decode() for line in letters]
    columns = {{"text": texts, "group": groups, "movement": rng.random(rows), "rank": np.arange(rows)}}
    return [Projection(points, "umap"), Projection(moved, "umap")], pl.DataFrame(columns)

rows = int(st.query_params["rows"])
maps, changes = made(rows)
"""
OURS = """
from pages.shared.linked_maps import Look, show_linked_maps
by = st.radio("Colour", ["group", "movement"])
show_linked_maps(maps, SimpleNamespace(key=str(rows), names=("original", "rebuilt")), changes, Look(by))
"""
PEER = """
from defemb_core import palette
from defemb_core.figures import map_figure
by = st.radio("Colour", ["group", "movement"])
colour = palette.colour_by_group(changes) if by == "group" else palette.colour_by_values(
    by, changes[by].to_numpy(), by)
groups = [rows.tolist() for _, rows in sorted(colour.members().items(), key=lambda item: -item[1].size)]
chosen = (st.session_state.get("chart-0") or {}).get("selection", {}).get("points", []) if by == "group" else []
marked = np.array([groups[point["curve_number"]][point["point_index"]] for point in chosen], np.int64)
for i, column in enumerate(st.columns(2)):
    figure = map_figure(maps[i].coordinates, colour, "Map", marked if i else None, labels=changes["text"].to_list())
    column.plotly_chart(figure, key=f"chart-{i}", on_select="rerun", selection_mode="lasso", height=620)
"""

# From the first pointer event in the window until the picture after what it led to.
WATCH = """([event, selector, attribute]) => {
    window.seconds = null
    const target = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
        .map(host => host.shadowRoot.querySelector(selector)).find(Boolean)
    addEventListener(event, () => {
        const started = performance.now()
        new MutationObserver((_, observer) => {
            observer.disconnect()
            requestAnimationFrame(() => { window.seconds = (performance.now() - started) / 1000 })
        }).observe(target, {attributeFilter: [attribute]})
    }, {capture: true, once: true})
}"""


class Tab:
    """A tab that counts what the server sends it."""

    def __init__(self, browser: Browser, address: str, rows: int) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1400, "height": 1000})
        self.page.set_default_timeout(PATIENCE)
        self.received = 0
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._count))
        self.started = time.perf_counter()
        self.page.goto(f"{address}/?rows={rows}", wait_until="commit")

    def _count(self, frame: Any) -> None:
        self.received += len(frame)

    def rest(self) -> float:
        """Wait until script and page are at rest; return the seconds since the tab was opened."""
        self.page.locator(IDLE).wait_for()
        self.page.wait_for_function("document.querySelectorAll('[data-stale=true]').length === 0")
        return time.perf_counter() - self.started

    def watched(self) -> float:
        """Return what WATCH measured."""
        return float(self.page.wait_for_function("window.seconds").json_value())


def opened(browser: Browser, address: str, rows: int, ours: bool) -> tuple[float, float, Tab]:
    """Return seconds from opening the page until both maps are drawn, megabytes received, and the tab."""
    tab = Tab(browser, address, rows)
    if ours:
        tab.page.locator(MAPS_DRAWN).wait_for()
    else:
        # The subtitle comes with the first drawing; the points are there when the browser has time again.
        tab.page.locator(".g-gtitle").nth(1).wait_for()
        tab.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    drawn = time.perf_counter() - tab.started
    tab.rest()
    return drawn, tab.received / 1e6, tab


def hover(tab: Tab) -> float:
    """Return the median seconds from a move of the pointer on one map to the mark on the other."""
    area = tab.page.locator(".map").first.bounding_box()
    assert area
    seconds = []
    for i in range(HOVERS):
        tab.page.mouse.move(2, 2)
        tab.page.wait_for_timeout(30)
        tab.page.evaluate(WATCH, ["pointermove", ".map:not(figure:first-child *)", "data-lit"])
        turn = 2 * math.pi * i / HOVERS
        tab.page.mouse.move(
            area["x"] + area["width"] * (0.5 + 0.08 * math.cos(turn)),
            area["y"] + area["height"] * (0.5 + 0.08 * math.sin(turn)),
        )
        seconds.append(tab.watched())
    return statistics.median(seconds)


def circle(area: Any, radius: float) -> list[tuple[float, float]]:
    """Corners of a lasso around the middle of an area, `radius` in pixels."""
    turns = [2 * math.pi * i / 60 for i in range(60)]
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def reach(rows: int) -> float:
    """Return the radius around the middle of a normal cloud within which about `LASSOED` of its rows lie."""
    return DEVIATION * math.sqrt(-2 * math.log(1 - LASSOED / rows))


def drag(page: Page, path: Sequence[tuple[float, float]]) -> None:
    """Press, move along a path, and stop before the button is released."""
    page.mouse.move(*path[0])
    page.mouse.down()
    for at in path[1:]:
        page.mouse.move(*at)


def lasso(tab: Tab, rows: int) -> tuple[float, int]:
    """Return seconds from the end of a lasso to the marks on both maps, and how many rows are marked."""
    area = tab.page.locator(".map").first.bounding_box()
    assert area
    pixels = 0.95 * min(area["width"], area["height"]) / SPAN
    drag(tab.page, circle(area, reach(rows) * pixels))
    tab.page.evaluate(WATCH, ["pointerup", "section[data-drawn]", "data-drawn"])
    tab.page.mouse.up()
    seconds = tab.watched()
    marked = tab.page.locator(MAPS_DRAWN).get_attribute("data-drawn") or "0 0"
    tab.page.wait_for_timeout(100)
    tab.rest()
    return seconds, int(marked.split()[1])


def lasso_plotly(tab: Tab, rows: int) -> float:
    """Return seconds from the end of a lasso on a Plotly figure to the rings on the other one."""
    plot: Locator = tab.page.locator("[data-testid=stPlotlyChart]").first
    area = plot.locator(".nsewdrag").first.bounding_box()
    assert area
    # Plotly's scale: both axes alike, five per cent of room on either side of the data.
    pixels = min(area["width"], area["height"]) / (1.1 * SPAN)
    drag(tab.page, circle(area, reach(rows) * pixels))
    started = time.perf_counter()
    tab.page.mouse.up()
    # After a subtitle that counts the marks, a frame is drawn with them.
    tab.page.locator(".g-gtitle").nth(1).get_by_text("marked").wait_for()
    tab.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    return time.perf_counter() - started


def recolour(tab: Tab, shown: str) -> tuple[float, float]:
    """Return seconds from a click on another colouring until its scale is `shown` and drawn, and megabytes received."""
    before, started = tab.received, time.perf_counter()
    tab.page.get_by_text("movement", exact=True).first.click()
    tab.page.locator(shown).first.wait_for(state="attached")
    tab.rest()
    tab.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    return time.perf_counter() - started, (tab.received - before) / 1e6


def report(browser: Browser, addresses: tuple[str, str], rows: int) -> None:
    """Print one table: ours against Plotly's at one number of rows."""
    ours, peer = addresses
    for address, is_ours in ((ours, True), (peer, False)):
        opened(browser, address, rows, is_ours)[2].page.close()
    runs = [(opened(browser, ours, rows, True), opened(browser, peer, rows, False)) for _ in range(REPEATS)]
    drawn, theirs = (statistics.median(run[i][0] for run in runs) for i in (0, 1))
    (_, sent, tab), (_, peer_sent, peer_tab) = runs[-1]
    for run in runs[:-1]:
        for made in run:
            made[2].page.close()
    pointed = hover(tab)
    seconds, marked = lasso(tab, rows)
    ringed = lasso_plotly(peer_tab, rows)
    (colours, colour_bytes), (peer_colours, peer_bytes) = recolour(tab, ".hues"), recolour(peer_tab, ".cbaxis")
    lines = [
        Line("page opened to both maps drawn", as_seconds(drawn), TARGETS[rows],
             f"Plotly {as_seconds(theirs)}: {drawn / theirs:.2f} times"),
        Line("received in all", f"{sent:.1f} MB", "8 MB", f"Plotly {peer_sent:.1f} MB"),
        Line("pointer to mark on the other map", as_milliseconds(pointed), "100 ms", "Plotly marks none"),
        Line(f"lasso of {marked:,} to marks on both", as_milliseconds(seconds), "500 ms",
             f"Plotly {as_milliseconds(ringed)}: {seconds / ringed:.3f} times"),
        Line("other colours", f"{as_seconds(colours)}, {colour_bytes:.2f} MB", "",
             f"Plotly {as_seconds(peer_colours)}, {peer_bytes:.2f} MB"),
    ]  # fmt: skip
    print_table(lines, f"2 x {rows:,} rows (opening: medians of {REPEATS}, alternating; hover: of {HOVERS})")
    for made in runs[-1]:
        made[2].page.close()


def main(arguments: Sequence[str]) -> None:
    """Print a table for each number of rows, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks maps", description=__doc__)
    parser.add_argument("--rows", type=int, choices=ROWS, help="only this number of rows")
    options = parser.parse_args(arguments)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if browser is None:
            return
        print_head("maps", arguments)
        scripts = [Path(folder) / "ours.py", Path(folder) / "peer.py"]
        for script, page in zip(scripts, (OURS, PEER), strict=True):
            script.write_text(DATA + page, encoding="utf-8")
        commands = [["run", str(script), "--server.maxMessageSize", "500"] for script in scripts]
        with serving(commands[0], Path(folder)) as (ours, _), serving(commands[1], Path(folder)) as (peer, _):
            for rows in [options.rows] if options.rows else ROWS:
                report(browser, (ours, peer), rows)
