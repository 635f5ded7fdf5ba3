"""New tokens as a user meets them: terms typed, looked at, compared, written."""

import json
from urllib.parse import urlencode

import pytest
from app_support import RUN, WORDS, build_world, make_run
from conftest import CHROMIUM, MISSING
from installed import MUST_RUN
from playwright.sync_api import expect
from test_walk import MADE_OF_TEXT, SECOND, fill, settled
from transformers import AutoTokenizer

from defemb_core.export_place import MANIFEST

pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)

TYPED = (
    f"zorblat: {WORDS[0]} of {WORDS[5]}\n<b>zub</b>: {WORDS[7]} <img src=x onerror=alert(1)>\n{WORDS[3]}: {WORDS[4]}"
)


@pytest.fixture(scope="module")
def place(serve, tmp_path_factory):
    """A server with a tiny PLM and a run of it, whose maps are never made."""
    world = build_world(tmp_path_factory.mktemp("new-tokens"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.variables.items():
            patch.setenv(name, value)
        make_run(world, analyse=False)
    server = serve(world.folder, **world.variables)
    return f"{server.url}/new_tokens?{urlencode({'plm': str(world.plm), 'run': RUN})}"


def test_terms_are_looked_at_and_written(place, open_tab, tmp_path):
    tab = open_tab(place, height=2400)
    settled(tab)
    expect(tab.get_by_role("button", name="Look")).to_be_disabled()
    box = tab.get_by_role("textbox", name="Terms and definitions")
    box.fill(TYPED)
    box.press("Control+Enter")
    tab.get_by_text("Compare the starts on hidden words").click()
    tab.get_by_role("button", name="Look").click()
    tab.get_by_role("heading", name="2 of 3 terms would be added").wait_for(timeout=120 * SECOND)
    expect(tab.get_by_role("heading", name="How good such rows are")).to_be_visible()
    expect(tab.locator(".js-plotly-plot")).to_have_count(1)
    settled(tab)
    assert tab.get_by_test_id("stMain").locator(MADE_OF_TEXT).count() == 0
    fill(tab, "Write to", str(tmp_path / "made"))
    tab.get_by_role("button", name="Write", exact=True).click()
    tab.get_by_text("Written to").wait_for(timeout=120 * SECOND)
    tokens = json.loads((tmp_path / "made" / MANIFEST).read_text())["tokens"]
    assert [token["token"] for token in tokens] == ["zorblat", "<b>zub</b>"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    assert tokens[0]["token_id"] in tokenizer("a zorblat")["input_ids"]
