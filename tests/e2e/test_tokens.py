"""The Tokens page as a user meets it, on a real run: cards, comparisons, questions, and a definition of one's own."""

import json
import re
from contextlib import suppress

import pytest
from conftest import CHROMIUM, MISSING
from installed import MUST_RUN, real_wordnet
from playwright.sync_api import TimeoutError, expect
from test_walk import field, fill, settled

from defemb_core.cli import main
from defemb_core.comparison import open_comparison
from defemb_core.neighbours import nearest_neighbours
from defemb_core.trial_files import keep_trials

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)

LINE = 35  # pixels that a line of a table is high, its header too


class Real:
    """A server with one finished run of the bundled PLM, its maps for trials fitted, its UMAP maps not."""

    def __init__(self, folder, serve, wordnet):
        self.run, self.glossary = folder / "runs" / "real", folder / "data" / "glossary.csv"
        own = {"DEFEMB_CACHE": str(folder / "cache"), "DEFEMB_DATA": str(folder / "data"), "WNSEARCHDIR": wordnet}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in own.items():
                patch.setenv(name, value)
            given = ["--plm", "bundled", "--dictionary", "wordnet", "--method", "instant", "--out", str(self.run)]
            assert main(["reconstruct", *given]) == 0
            self.comparison = open_comparison(self.run)
            keep_trials(self.comparison)
        (self.run / "analysis").mkdir()  # as if it had failed, so that no page starts it
        (self.run / "analysis" / "status.json").write_text(json.dumps({"state": "failed", "message": "not here"}))
        self.server = serve(folder, **own)
        self.texts = self.comparison.vocabulary["text"].to_list()

    def url(self, **parameters):
        return f"{self.server.url}/tokens?" + "&".join(f"{name}={value}" for name, value in parameters.items())


@pytest.fixture(scope="module")
def real(serve, tmp_path_factory):
    return Real(tmp_path_factory.mktemp("real"), serve, real_wordnet())


def view(tab, name):
    """Open one of the page's views by its button."""
    tab.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()
    tab.wait_for_url(re.compile("view=" + name.replace(" ", r"(\+|%20)")))
    return settled(tab)


def click_line(tab, heading, line, token):
    """Click the text in a line, from 1, of the table below a heading, until the token's card is there.

    A click that comes while the table draws itself anew is lost.
    """
    column = tab.get_by_test_id("stColumn").filter(has=tab.get_by_text(heading, exact=True)).last
    card = tab.get_by_role("heading", name=f"“{token}”", exact=True)
    for _ in range(4):
        expect(column.get_by_test_id("stDataFrame")).to_have_count(1)  # the one before it is gone
        column.get_by_test_id("stDataFrame").click(position={"x": 30, "y": line * LINE + 17})
        with suppress(TimeoutError):
            return card.wait_for(timeout=15_000)
    return card.wait_for()


def metric(tab, label):
    return tab.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def test_a_neighbour_is_one_click_from_its_card(real, open_tab):
    bank = real.texts.index("bank")
    tab = settled(open_tab(real.url(token=bank)))
    expect(tab.get_by_role("heading", name="“bank”", exact=True)).to_be_visible()
    expect(tab.get_by_role("heading", name=re.compile("Neighbours of bank: \\d+ of 10 are new"))).to_be_visible()
    found = nearest_neighbours(real.comparison.rebuilt, 10, rows=[bank]).indices[0]
    third = int(found[2])
    click_line(tab, "Nearest in the rebuilt", 3, real.texts[third])
    tab.wait_for_url(re.compile(f"token={third}"))
    again = settled(open_tab(tab.url))
    expect(again.get_by_role("heading", name=f"“{real.texts[third]}”", exact=True)).to_be_visible()


def test_small_maps_are_drawn_without_webgl(real, open_tab):
    tab = settled(open_tab(real.url(token=real.texts.index("bank"))))
    charts = tab.get_by_test_id("stPlotlyChart")
    expect(charts).to_have_count(2)
    for chart in charts.all():
        expect(chart.locator("svg .textpoint").first).to_be_visible()
        expect(chart.locator("canvas")).to_have_count(0)
        expect(chart).to_have_attribute("aria-label", re.compile("the token: bank"))


def test_tokens_are_compared_by_typing_them(real, open_tab):
    tab = view(settled(open_tab(real.url())), "Compare")
    box = tab.get_by_test_id("stMultiSelect").locator("input")
    for word in ("bank", "river"):
        box.fill(word)
        box.press("Enter")
        tab.wait_for_url(re.compile(f"compare={word}"))
    expect(tab.get_by_test_id("stPlotlyChart")).to_have_count(3)
    again = settled(open_tab(tab.url))
    expect(again.get_by_test_id("stPlotlyChart")).to_have_count(3)
    expect(again.get_by_test_id("stMultiSelect")).to_contain_text("river")


def test_an_analogy_is_answered_in_both_tables(real, open_tab):
    tab = view(settled(open_tab(real.url())), "Queries")
    for label, word in (("a", "man"), ("is to b", "king"), ("as c", "woman")):
        expect(field(tab, label)).to_have_value(word)
    click_line(tab, "In the rebuilt", 1, "queen")  # the first answer's card
    again = settled(open_tab(real.url(view="Queries", a="paris", b="france", c="london")))
    fill(again, "as c", "rome")
    again.wait_for_url(re.compile("c=rome"))
    settled(again)
    click_line(again, "In the original", 1, "italy")


def test_a_definition_is_tried_and_accepted(real, open_tab):
    tab = settled(open_tab(real.url(token=real.texts.index("bank"))))
    tab.get_by_role("button", name="Try a definition", exact=True).click()
    expect(field(tab, "Token or new word")).to_have_value("bank")
    expect(metric(tab, "To rebuilt")).to_have_text("1.000")  # the run's own definitions
    box = tab.get_by_test_id("stTextArea").locator("textarea")
    box.fill("(noun) a sweet yellow tropical fruit with a soft flesh")
    box.press("Control+Enter")
    expect(metric(tab, "To rebuilt")).not_to_have_text("1.000")
    expect(tab.get_by_text(re.compile(r"tropical \d+%"))).to_be_visible()
    settled(tab)
    tab.get_by_role("button", name="Accept into my glossary").click()
    expect(tab.get_by_text("1 definitions are in your glossary")).to_be_visible()
    assert (
        real.glossary.read_text() == "word,pos,definition\nbank,noun,a sweet yellow tropical fruit with a soft flesh\n"
    )
    tab.get_by_role("link", name=re.compile("Rebuild with your glossary")).click()
    expect(tab.locator("h1")).to_have_text("Reconstruction")
    expect(tab.get_by_test_id("stMultiSelect").first).to_contain_text("Glossary")


def test_a_tried_row_lies_near_what_its_definition_says(real, open_tab):
    tab = settled(open_tab(real.url(view="Try+a+definition", **{"try": "blorp"})))
    box = tab.get_by_test_id("stTextArea").locator("textarea")
    box.fill("a small striped cat that is kept as a pet")
    box.press("Control+Enter")
    chart = "[data-testid=stPlotlyChart][aria-label*=' {}']"
    expect(tab.locator(chart.format("cat"))).to_be_visible()
    box.fill("a large truck that carries goods on the road")
    box.press("Control+Enter")
    expect(tab.locator(chart.format("truck"))).to_be_visible()
    expect(tab.locator(chart.format("cat"))).to_have_count(0)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (1920, "light"), (390, "dark")])
def test_no_view_is_wider_than_the_window(width, scheme, real, open_tab):
    tab = open_tab(real.url(), width, color_scheme=scheme)
    for name in (
        "Compare&compare=bank&compare=river",
        "Queries",
        "Queries&query=odd+one+out",
        "Try+a+definition&try=bank",
    ):
        tab.goto(real.url(view=name))
        settled(tab)
        widths = tab.evaluate("[document.documentElement, document.querySelector('[data-testid=stMain]')].map("
                              "e => [e.scrollWidth, e.clientWidth])")  # fmt: skip
        assert all(content <= visible for content, visible in widths), name
