"""What a user takes away from the spectrum page, and what its address opens."""

import csv
import shutil

import pytest
from app_support import RUN, build_world, make_run
from conftest import CHROMIUM, MISSING
from installed import MUST_RUN
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def served(serve, tmp_path_factory):
    """A server with one run, and a copy of it."""
    world = build_world(tmp_path_factory.mktemp("spectrum"))
    with world.entered():
        shutil.copytree(make_run(world, analyse=False), world.runs / "another")
    return serve(world.folder, **world.variables), world


def charts(tab, count):
    """Both wait for all charts: hubness is not among them where no neighbours are known."""
    found = tab.get_by_test_id("stPlotlyChart")
    expect(found).to_have_count(count, timeout=60_000)
    expect(found.nth(count - 1).locator(".gtitle")).to_be_visible(timeout=60_000)
    return found


def saved(tab, button):
    with tab.expect_download() as download:
        button.click()
    return download.value


def test_charts_are_saved_as_images_and_as_data(served, open_tab):
    server, world = served
    tab = open_tab(f"{server.url}/spectrum?plm={world.plm}&run={RUN}")
    found = charts(tab, 5)
    camera = found.nth(1).locator(".modebar-btn[data-title*='Download plot']")
    expect(camera).to_be_visible()  # without the pointer on the chart
    image = saved(tab, camera)
    assert image.suggested_filename == "defemb-spectrum.svg"
    assert image.path().read_text(encoding="utf-8").startswith("<svg")
    tab.get_by_text("PNG", exact=True).click()
    tab.wait_for_url("**image=PNG*")
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    image = saved(tab, camera)
    assert image.suggested_filename == "defemb-spectrum.png"
    assert image.path().read_bytes().startswith(b"\x89PNG")
    data = saved(tab, tab.get_by_role("button", name="CSV").nth(1))
    lines = list(csv.reader(data.path().read_text(encoding="utf-8").splitlines()))
    assert [line[0] for line in lines] == ["series"] + ["original"] * 16 + ["rebuilt"] * 16


def test_an_address_opens_two_runs_by_name(served, open_tab):
    server, world = served
    tab = open_tab(f"{server.url}/spectrum?plm={world.plm}&run={RUN}&against=another&rows=all&rows=rare")
    found = charts(tab, 5)
    for name in ("another", RUN, "another, rare", f"{RUN}, rare"):
        expect(found.nth(1).locator(".legendtext").get_by_text(name, exact=True)).to_be_visible()
    expect(tab.get_by_text("original", exact=True)).to_have_count(0)
