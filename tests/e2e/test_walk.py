"""The app as a user meets it: a first start, a rebuilt table, every page, and out again with a checkpoint."""

import json
import re
import shutil

import numpy as np
import pytest
from app_support import HOSTILE, build_world, make_run
from conftest import CHROMIUM, MISSING
from installed import MUST_RUN, real_wordnet
from map_support import drag, drawn, expect_marked, rows_listed
from playwright.sync_api import expect

from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import list_runs
from defemb_core.text import plain

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)

ROWS = 30_522
PAGES = {
    "": "Model and vocabulary",
    "definitions": "Definitions and coverage",
    "reconstruction": "Reconstruction",
    "projection": "Projection",
    "spectrum": "Spectrum and isotropy",
    "tokens": "Tokens",
    "evidence": "Evidence",
    "dynamics": "Dynamics",
    "export": "Export",
}
SECOND = 1000  # milliseconds
expect.set_options(timeout=60 * SECOND)
MADE_OF_TEXT = "b, script, img[src='x'], a[href^='javascript']"  # elements that hostile tokens would like to be


class First:
    """The server and what was seen while its first run was made."""

    def __init__(self, server, progress, metrics):
        self.server, self.progress, self.metrics = server, progress, metrics
        ((self.run, _),) = list_runs(server.runs)


@pytest.fixture(scope="module")
def wordnet():
    return real_wordnet()


@pytest.fixture(scope="module")
def first(chromium, serve, wordnet, tmp_path_factory):
    """A first start on real input: one press, and a table is rebuilt."""
    server = serve(tmp_path_factory.mktemp("walk"), WNSEARCHDIR=wordnet)
    tab = chromium.new_page()
    tab.goto(server.url)
    tab.get_by_role("button", name="Rebuild the bundled model").click(timeout=60 * SECOND)
    bar = tab.get_by_test_id("stProgress").first
    bar.wait_for(timeout=30 * SECOND)
    progress = bar.inner_text()
    tab.get_by_text("is complete.").wait_for(timeout=180 * SECOND)
    metrics = tab.get_by_test_id("stMetricValue")
    expect(metrics.first).to_have_text(re.compile(r"\d"), timeout=30 * SECOND)
    seen = First(server, progress, metrics.all_inner_texts())
    tab.close()
    return seen


def settled(tab):
    """Wait until a page has been drawn and nothing is being computed; it must not have failed."""
    expect(tab.locator("h1")).to_be_visible()
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(tab.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(tab.get_by_test_id("stException")).to_have_count(0)
    return tab


def field(tab, label):
    """The input with this label, and not the buttons that carry it too."""
    return tab.locator(f"input[aria-label='{label}']")


def fill(tab, label, text):
    field(tab, label).fill(text)
    field(tab, label).press("Enter")


def test_one_press_rebuilds_the_bundled_model(first):
    evidence = json.loads((first.run / "evidence.json").read_text())
    assert "bundled-instant" in first.progress
    assert first.metrics[0] == f"{evidence['held_out']['mrr']:.3f}"
    assert first.metrics[2] == f"{evidence['coverage']['rebuilt']:,}"
    assert evidence["coverage"]["rows"] == ROWS


def test_maps_come_at_once_and_then_better_ones(first, open_tab):
    tab = open_tab(f"{first.server.url}/projection", height=1300)
    drawn(tab, ROWS)  # PCA, unless UMAP was quicker than the browser
    tab.get_by_text("Trustworthiness: ").wait_for(timeout=240 * SECOND)
    both = drawn(tab, ROWS)
    settled(tab)
    drag(tab, both.first, "Box", 0.6)
    tab.get_by_test_id("stDataFrame").wait_for()
    chosen = rows_listed(tab, ROWS)
    assert 0 < chosen < ROWS
    expect_marked(tab, chosen)
    tab.get_by_text("PCA", exact=True).click()  # other maps: both mark what was chosen, and the list stays
    expect(tab.get_by_text("Right: principal direction 1")).to_be_visible()
    expect_marked(tab, chosen)
    assert rows_listed(tab, ROWS) == chosen


def test_spectra_and_isotropy_are_drawn(first, open_tab):
    tab = settled(open_tab(f"{first.server.url}/spectrum"))
    charts = tab.get_by_test_id("stPlotlyChart")
    expect(charts.nth(4)).to_be_visible()  # and a sixth once neighbours are known
    for chart in charts.all():
        expect(chart.locator(".gtitle")).to_be_visible()
        for table in ("original", "rebuilt"):
            expect(chart.locator(".legendtext", has_text=table).first).to_be_visible()


def test_a_token_is_found_and_explained(first, open_tab):
    made = load_reconstruction(first.run)
    token = made.vocabulary["token"].to_list().index("bank")
    tab = settled(open_tab(f"{first.server.url}/tokens"))
    fill(tab, "Search", "bank")
    tab.wait_for_url(re.compile("q=bank"))
    fill(tab, "Token id", str(token))
    expect(tab.get_by_role("heading", name="“bank”")).to_be_visible()
    expect(tab.get_by_text("sloping land (especially the slope beside a body of water)").first).to_be_visible()
    expect(tab.get_by_text("Nearest in the rebuilt")).to_be_visible()
    expect(tab.get_by_test_id("stDataFrame")).to_have_count(3)
    tab.wait_for_url(re.compile(f"token={token}"))
    again = settled(open_tab(tab.url))  # the address opens the same view
    expect(field(again, "Search")).to_have_value("bank")
    expect(again.get_by_role("heading", name="“bank”")).to_be_visible()


def test_a_row_of_the_table_can_be_chosen(first, open_tab):
    tab = settled(open_tab(f"{first.server.url}/tokens?q=river"))
    card = tab.get_by_role("heading", level=3)
    expect(card).to_contain_text("river")
    before = card.inner_text()
    # The box left of the third line; header and lines are 35 pixels high.
    tab.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 3 * 35 + 17})
    expect(card).not_to_have_text(before)
    expect(card).to_contain_text("river")


def test_the_address_names_the_run(first, open_tab):
    another = shutil.copytree(first.run, first.run.with_name("another"))
    for run in (first.run, another):
        tab = settled(open_tab(f"{first.server.url}/spectrum?run={run.name}&measure=Mean+cosine"))
        expect(tab.get_by_test_id("stPlotlyChart").first.locator(".gtitle")).to_contain_text("cosine", ignore_case=True)
        expect(field(tab, "Run (rebuilt)")).to_have_value(run.name)
    shutil.rmtree(another)


def test_what_is_exported_is_the_rebuilt_table(first, open_tab, tmp_path):
    made = load_reconstruction(first.run)
    tab = settled(open_tab(f"{first.server.url}/export"))
    for name, out in (("safetensors", tmp_path / "table.safetensors"), ("checkpoint", tmp_path / "checkpoint")):
        tab.get_by_test_id("stRadio").get_by_text(name, exact=True).click()
        expect(field(tab, "Write to").first).to_have_value(re.compile(rf"{first.run.name}{out.suffix}$"))
        settled(tab)
        fill(tab, "Write to", str(out))
        tab.get_by_test_id("stBaseButton-primary").click()
        expect(tab.get_by_test_id("stAlert").get_by_text(f"{out}")).to_be_visible(timeout=120 * SECOND)
    from safetensors.numpy import load_file
    from transformers import AutoModel

    assert np.array_equal(load_file(tmp_path / "table.safetensors")["matrix"], made.matrix)
    table = AutoModel.from_pretrained(tmp_path / "checkpoint").get_input_embeddings().weight.detach().numpy()
    assert np.array_equal(table, made.matrix)
    assert made.rebuilt.sum() > ROWS / 3


def test_two_browsers_see_one_run_and_either_can_stop_it(first, open_tab):
    one, two = (settled(open_tab(f"{first.server.url}/reconstruction")) for _ in range(2))
    one.get_by_test_id("stSelectbox").filter(has_text="Method").click()
    one.get_by_role("option", name="frozen", exact=True).click()
    settled(one)
    one.get_by_role("button", name="Rebuild", exact=True).click()
    named = re.compile("bundled-frozen")
    expect(one.get_by_test_id("stProgress").first).to_contain_text(named)
    two.reload()
    expect(two.get_by_test_id("stProgress").first).to_contain_text(named)
    two.get_by_role("button", name="Cancel").click()
    for tab in (one, two):
        expect(tab.get_by_test_id("stProgress")).to_have_count(0)
        expect(tab.get_by_test_id("stExpander").filter(has_text=named)).to_contain_text("cancelled")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1920, "dark"), (390, "light")])
def test_no_page_is_wider_than_the_window(width, scheme, first, open_tab, tmp_path):
    tab = open_tab(first.server.url, width, color_scheme=scheme)
    for address, title in PAGES.items():
        tab.goto(f"{first.server.url}/{address}")
        expect(settled(tab).locator("h1")).to_have_text(title)
        tab.screenshot(path=tmp_path / f"{address or 'model'}-{width}-{scheme}.png")
        widths = tab.evaluate("[document.documentElement, document.querySelector('[data-testid=stMain]')].map("
                              "e => [e.scrollWidth, e.clientWidth])")  # fmt: skip
        assert all(content <= visible for content, visible in widths), address
    background = tab.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")


@pytest.fixture(scope="module")
def hostile(serve, tmp_path_factory):
    """A server whose only run is of a PLM with hostile tokens; its maps are PCA."""
    world = build_world(tmp_path_factory.mktemp("hostile"))
    with world.entered():
        folder = make_run(world, analyse=False)
    # As if it had failed, so that no page starts it.
    (folder / "analysis").mkdir()
    (folder / "analysis" / "status.json").write_text(json.dumps({"state": "failed", "message": "not in this test"}))
    server = serve(world.folder, **world.variables)
    return server, world, load_reconstruction(folder).vocabulary["text"].to_list()


def test_hostile_tokens_are_letters_everywhere(hostile, open_tab):
    server, world, texts = hostile
    tab = open_tab(f"{server.url}/tokens?plm={world.plm}")
    for text in HOSTILE:
        tab.goto(f"{server.url}/tokens?plm={world.plm}&token={texts.index(text)}")
        expect(tab.get_by_role("heading", level=3)).to_have_text(f"“{plain(text)}”")
        assert tab.get_by_test_id("stMain").locator(MADE_OF_TEXT).count() == 0
