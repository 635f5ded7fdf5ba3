"""The report as a reader opens it: a file, no network."""

import re

import pytest
from app_support import DEFINED_HOSTILE, build_world, make_run
from conftest import CHROMIUM, MISSING, Heard, listen
from installed import MUST_RUN

from defemb_core.cli import main

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a run whose tokens would like to be markup."""
    world = build_world(tmp_path_factory.mktemp("reported"))
    with world.entered():
        run = make_run(world, analyse=False)
        assert main(["report", str(run), "--out", str(world.folder / "report.html")]) == 0
    return world.folder / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark"), (390, "dark")])
def test_it_opens_offline_without_a_complaint(report, chromium, tmp_path, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab, heard = context.new_page(), Heard()
    listen(tab, heard)
    tab.goto(report.as_uri())
    assert heard.requests == [report.as_uri()]
    assert (heard.console, heard.dialogs) == ([], [])
    assert tab.locator("figure svg[role=img]").count() == 8
    for figure in tab.locator("figure > svg").all():
        assert figure.bounding_box()["height"] > 150
        assert len(figure.get_attribute("aria-label")) > 40
    widths = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]
    assert tab.locator("b, script, img").count() == 0
    cells = tab.locator("td").all_inner_texts()
    assert any(text in cell for cell in cells for text in DEFINED_HOSTILE)
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    tab.emulate_media(media="print")
    printed = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert printed == "rgb(255, 255, 255)"
    context.close()
