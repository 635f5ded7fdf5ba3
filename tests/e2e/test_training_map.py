"""The map of a training plays in the browser: the slider moves points and asks no server."""

import pytest
from app_support import build_world
from conftest import CHROMIUM, MISSING
from dynamics_support import one_thread, record
from installed import MUST_RUN
from playwright.sync_api import expect

from defemb_core.cli import main

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)

SECOND = 1000  # milliseconds
PLACES = """() => [...document.querySelectorAll(".js-plotly-plot")].filter(p => p.querySelector(".slider-container"))
    .flatMap(p => [...p.querySelectorAll(".scatterlayer path.point")]).map(p => p.getAttribute("transform"))"""


def test_the_slider_moves_points_and_asks_no_server(chromium, serve, tmp_path):
    world = build_world(tmp_path)
    with one_thread():
        record(world.plm, world.runs / "tuned", every=4)
    assert main(["dynamics", str(world.runs / "tuned" / "recording")]) == 0
    server = serve(tmp_path, **world.variables)
    tab, sent = chromium.new_page(viewport={"width": 1280, "height": 2400}), []
    tab.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    tab.goto(f"{server.url}/dynamics?plm={world.plm}")
    rail = tab.locator(".slider-rail-touch-rect")
    expect(rail).to_be_visible(timeout=90 * SECOND)
    expect(tab.locator(".slider-label").first).to_have_text("step 0")
    tab.wait_for_timeout(3 * SECOND)
    before, asked = tab.evaluate(PLACES), len(sent)
    box = rail.bounding_box()
    tab.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    expect(tab.locator(".slider-label").first).to_have_text("step 8")
    after = tab.evaluate(PLACES)
    assert len(after) == len(before) > 0
    assert 0 < sum(one != other for one, other in zip(before, after, strict=True)) < len(before)
    assert len(sent) == asked
    tab.close()
