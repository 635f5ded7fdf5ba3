"""The linked maps as a user meets them: what is promised to happen in the browser happens there, and on both maps."""

import json
import re

import numpy as np
import pytest
from app_support import HOSTILE, WORDS, build_world, make_run
from conftest import CHROMIUM, MISSING
from installed import MUST_RUN
from map_support import drag, drawn, expect_marked, marked, on_screen, picture, rows_listed
from playwright.sync_api import expect

from defemb_core.changes import token_changes
from defemb_core.comparison import open_comparison
from defemb_core.figures.linked_maps import shared_grid
from defemb_core.palette import colour_by_values
from defemb_core.projection import project_pca
from defemb_core.text import plain

expect.set_options(timeout=60_000)
pytestmark = pytest.mark.browser
if not (CHROMIUM or MUST_RUN):
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A finished run of a tiny PLM, hostile tokens among its rows; its maps are PCA."""
    world = build_world(tmp_path_factory.mktemp("maps"))
    with world.entered():
        folder = make_run(world, analyse=False)
        comparison = open_comparison(world.run)
    # As if it had failed, so that no page starts it.
    (folder / "analysis").mkdir()
    (folder / "analysis" / "status.json").write_text(json.dumps({"state": "failed", "message": "not in this test"}))
    return world, comparison


@pytest.fixture(scope="module")
def server(world, serve):
    return serve(world[0].folder, **world[0].variables)


@pytest.fixture
def rows(world):
    return world[1].plm.rows


@pytest.fixture
def texts(world):
    return [plain(text) for text in world[1].vocabulary["text"].to_list()]


@pytest.fixture
def places(world):
    """Positions of all rows on both maps, in steps of the grid."""
    points = [projection.coordinates for projection in project_pca([world[1].original, world[1].rebuilt])]
    return [shared_grid(points).place(each) for each in points]


@pytest.fixture
def open_maps(server, world, rows, open_tab):
    def open_page(query="", maps=2, **options):
        tab = open_tab(f"{server.url}/projection?plm={world[0].plm}{query}", height=1700, **options)
        drawn(tab, rows, maps)
        return tab

    return open_page


def lonely(places, least=0.02):
    """A row that has its place on both maps to itself."""
    distances = [np.linalg.norm(each[:, None].astype(float) - each[None], axis=-1) for each in places]
    nearest = [np.partition(each, 1, axis=1)[:, 1] for each in distances]
    row = int(np.argmax(np.min(nearest, axis=0)))
    assert min(each[row] for each in nearest) > least * 65_535
    return row


def test_hovering_lights_the_same_token_on_both_maps_without_the_server(open_maps, places, texts):
    tab = open_maps()
    row = lonely(places)
    tab.evaluate(COUNT_MESSAGES)
    for here in (0, 1):
        tab.mouse.move(*on_screen(tab.locator(".map").nth(here), places[here][row]))
        for map_ in tab.locator(".map").all():
            expect(map_).to_have_attribute("data-lit", texts[row])
        tab.mouse.move(2, 2)
        for map_ in tab.locator(".map").all():
            expect(map_).to_have_attribute("data-lit", "")
    assert tab.evaluate("window.messages") == 0


COUNT_MESSAGES = """() => {
    const whole = WebSocket.prototype.send
    window.messages = 0
    WebSocket.prototype.send = function (...rest) { window.messages++; return whole.apply(this, rest) }
}"""


def test_pan_and_zoom_move_both_maps(open_maps):
    tab = open_maps()
    both = tab.locator(".map").all()
    before = [picture(map_) for map_ in both]
    both[1].hover()
    tab.evaluate(COUNT_MESSAGES)
    tab.mouse.wheel(0, -400)
    assert all(changed(tab, map_, old) for map_, old in zip(both, before, strict=True))
    zoomed = [picture(map_) for map_ in both]
    both[0].focus()
    tab.keyboard.press("ArrowRight")
    assert all(changed(tab, map_, old) for map_, old in zip(both, zoomed, strict=True))
    tab.keyboard.press("0")
    assert all(changed(tab, map_, old, back=True) for map_, old in zip(both, before, strict=True))
    assert tab.evaluate("window.messages") == 0


def changed(tab, map_, old, layer="points", back=False):
    """Whether a map's picture comes to be another one than `old`, or that one again; within 20 seconds."""
    for _ in range(200):
        if (picture(map_, layer) == old) == back:
            return True
        tab.wait_for_timeout(100)
    return False


@pytest.mark.parametrize(("tool", "here"), [("Lasso", 0), ("Box", 1)])
def test_what_is_enclosed_on_one_map_is_marked_on_both_and_listed(tool, here, open_maps, places, rows, texts):
    tab = open_maps()
    both = tab.locator(".map")
    before = [picture(map_) for map_ in both.all()]
    drag(tab, both.nth(here), tool, 0.5)
    tab.get_by_test_id("stDataFrame").wait_for()
    chosen = marked(tab)
    area = both.nth(here).bounding_box()
    reach = 0.5 * np.array([area["width"], area["height"]]) / 2 / (0.95 * min(area["width"], area["height"])) * 65_535
    away = (places[here].astype(float) - 65_535 / 2) / reach
    inside = np.linalg.norm(away, axis=1) < 1 if tool == "Lasso" else (np.abs(away) < 1).all(axis=1)
    assert 0 < chosen < rows
    assert abs(chosen - inside.sum()) <= 0.1 * inside.sum() + 2  # a mouse moves in whole pixels
    expect_marked(tab, chosen)
    assert rows_listed(tab, rows) == chosen
    for map_, old in zip(both.all(), before, strict=True):
        assert changed(tab, map_, old)
        expect(map_).to_have_attribute("aria-label", re.compile(f"{chosen:,} rows marked"))


def test_selections_are_added_to_cut_and_cleared(open_maps, rows):
    tab = open_maps()
    first = tab.locator(".map").first
    drag(tab, first, "Box", 0.3)
    tab.get_by_test_id("stDataFrame").wait_for()
    small = marked(tab)
    tab.get_by_label("Selecting makes").select_option("keep common")
    drag(tab, first, "Box", 0.9)
    expect_marked(tab, small)
    tab.get_by_label("Selecting makes").select_option("new selection")
    drag(tab, first, "Box", 0.9)
    expect(tab.locator("section[data-drawn]")).not_to_have_attribute("data-drawn", f"{rows} {small}")
    large = marked(tab)
    assert large > small
    drag(tab, first, "Box", 0.3, modifier="Alt")
    expect_marked(tab, large - small)
    drag(tab, first, "Box", 0.3, modifier="Shift")
    expect_marked(tab, large)
    tab.get_by_role("button", name="Select view").click()
    expect_marked(tab, rows)
    first.focus()
    tab.keyboard.press("Escape")
    expect_marked(tab, 0)
    expect(tab.get_by_text("tokens are marked on both maps and listed here")).to_be_visible()


def test_a_selection_outlives_another_page_and_another_colouring(open_maps, rows):
    tab = open_maps()
    drag(tab, tab.locator(".map").first, "Lasso", 0.6)
    tab.get_by_test_id("stDataFrame").wait_for()
    chosen = marked(tab)
    tab.get_by_test_id("stSelectbox").filter(has_text="Colour by").click()
    tab.get_by_role("option", name="movement", exact=True).click()
    expect(tab.locator(".hues")).to_be_visible()
    expect_marked(tab, chosen)
    for page in ("Tokens", "Projection"):
        tab.get_by_test_id("stSidebarNav").get_by_role("link", name=page, exact=True).click()
        expect(tab.locator("h1")).to_have_text(page)
    drawn(tab, rows)
    expect_marked(tab, chosen)
    assert rows_listed(tab, rows) == chosen


def test_other_colours_leave_the_canvases_as_they_are(open_maps):
    tab = open_maps()
    before = [picture(map_) for map_ in tab.locator(".map").all()]
    tab.locator("canvas.points").evaluate_all("all => all.forEach(canvas => canvas.mine = true)")
    tab.get_by_test_id("stSelectbox").filter(has_text="Colour by").click()
    tab.get_by_role("option", name="rebuilt or kept", exact=True).click()
    expect(tab.get_by_role("button", name=re.compile("^kept · "))).to_be_visible()
    assert all(changed(tab, map_, old) for map_, old in zip(tab.locator(".map").all(), before, strict=True))
    assert tab.locator("canvas.points").evaluate_all("all => all.map(canvas => canvas.mine)") == [True, True]


INK = """(canvas, [x, y]) => {
  const box = canvas.getBoundingClientRect();
  const [left, top] = [x - box.x, y - box.y].map((at) => Math.round((at * canvas.width) / box.width) - 8);
  const around = canvas.getContext("2d").getImageData(left, top, 17, 17).data;
  let ink = 0;
  for (let i = 4; i < around.length; i += 4) ink += around[i] !== around[0] || around[i + 1] !== around[1];
  return ink;
}"""


def ink(tab, position):
    """How many pixels around a place on the first map are not the ground's."""
    first = tab.locator(".map").first
    return first.locator("canvas.points").evaluate(INK, on_screen(first, position))


def test_points_are_as_large_as_a_number_says(open_maps, world, places):
    changes = token_changes(world[1])
    size = colour_by_values("length", changes["norm_rebuilt"].to_numpy(), "length")
    classes = np.minimum((size.values - size.limits[0]) / (size.limits[1] - size.limits[0]) * 5, 4).astype(int)
    far = np.linalg.norm(places[0][:, None].astype(float) - places[0][None], axis=-1)
    room = np.partition(far, 1, axis=1)[:, 1]
    large, small = (max(np.flatnonzero(chosen), key=room.__getitem__) for chosen in (classes == 4, classes <= 0))
    tab = open_maps()
    before = {row: ink(tab, places[0][row]) for row in (large, small)}
    tab = open_maps("&size=length+of+the+rebuilt+row")
    expect(tab.get_by_text(re.compile(r"Size: length of the rebuilt row, from .* \(small, or none\)"))).to_be_visible()
    after = {row: ink(tab, places[0][row]) for row in (large, small)}
    assert after[large] > before[large] > 0
    assert 0 < after[small] < before[small]


def test_a_search_marks_what_it_finds(open_maps, texts):
    tab = open_maps()
    field = tab.locator("input[aria-label='Mark tokens']")
    part = WORDS[0][:2]
    field.fill(part)
    field.press("Enter")
    found = sum(part in text.lower() for text in texts)
    assert found
    expect_marked(tab, found)
    tab.wait_for_url(re.compile(f"mark={part}"))
    field.fill("")
    field.press("Enter")
    expect_marked(tab, 0)


def test_a_link_opens_view_colours_and_marks(open_maps, texts):
    tab = open_maps("&view=arrows&mark=^.$&mark-regex=true&colour=kind+of+token", maps=1)
    expect_marked(tab, sum(bool(re.search("^.$", text)) for text in texts))
    expect(tab.get_by_text("Arrows lead from original (blue) to rebuilt (orange): the selected tokens")).to_be_visible()
    expect(tab.get_by_role("button", name=re.compile("^special · "))).to_be_visible()


def test_arrows_say_whose_they_are(open_maps, world):
    tab = open_maps("&view=arrows", maps=1)
    moved = int(world[1].reconstruction.rebuilt.sum())
    expect(tab.get_by_text(f"the {min(200, moved)} tokens that moved most")).to_be_visible()
    expect(tab.locator("figcaption .title")).to_have_text("original → rebuilt")
    with_arrows = picture(tab.locator(".map"), "over")
    tab.get_by_text("two maps", exact=True).click()
    expect(tab.locator(".map")).to_have_count(2)
    assert changed(tab, tab.locator(".map").first, with_arrows, "over")


def test_the_animation_leads_from_one_map_to_the_other(open_maps, places, texts):
    tab = open_maps("&view=animation", maps=1)
    map_, slider = tab.locator(".map"), tab.get_by_label("From original (0) to rebuilt (100)")
    row = lonely(places)
    for share in (0, 50, 100):
        slider.fill(str(share))
        place = places[0][row] + (places[1][row].astype(float) - places[0][row]) * share / 100
        tab.mouse.move(2, 2)
        tab.mouse.move(*on_screen(map_, place))
        if share != 50:  # on the way another may pass by
            expect(map_).to_have_attribute("data-lit", texts[row])
    end = picture(map_)
    slider.fill("0")
    assert changed(tab, map_, end)
    tab.get_by_role("button", name="Play").click()
    expect(slider).to_have_value("100", timeout=10_000)
    assert changed(tab, map_, end, back=True)


def test_a_category_is_hidden_and_counted(open_maps, rows, world):
    tab = open_maps()
    before = [picture(map_) for map_ in tab.locator(".map").all()]
    hidden = world[1].vocabulary.filter(world[1].vocabulary["group"] == "medium").height
    chip = tab.get_by_role("button", name=f"medium · {hidden:,}")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "false")
    for caption in tab.locator("figcaption .count").all():
        expect(caption).to_have_text(f"{rows - hidden:,} of {rows:,} rows, the rest hidden")
    assert all(changed(tab, map_, old) for map_, old in zip(tab.locator(".map").all(), before, strict=True))
    drag(tab, tab.locator(".map").first, "Box", 0.99)
    tab.get_by_test_id("stDataFrame").wait_for()
    assert marked(tab) <= rows - hidden
    chip.click()
    drawn(tab, rows)


def test_everything_can_be_done_with_keys(open_maps, rows):
    tab = open_maps()
    tab.get_by_role("button", name="Lasso", exact=True).focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("button", name="Box", exact=True)).to_have_attribute("aria-pressed", "true")
    map_ = tab.locator(".map").first
    map_.focus()
    tab.keyboard.press("n")
    lit = map_.get_attribute("data-lit")
    assert lit
    expect(tab.get_by_role("status").filter(has_text=lit)).to_be_visible()
    tab.keyboard.press("n")
    expect(map_).not_to_have_attribute("data-lit", lit)
    tab.keyboard.press("p")
    expect(tab.locator(".map").nth(1)).to_have_attribute("data-lit", lit)
    tab.keyboard.press("Enter")
    expect_marked(tab, 1)
    assert rows_listed(tab, rows) == 1
    expect(map_).to_have_attribute("aria-label", re.compile(f"of all {rows:,} rows.*Arrow keys move"))


def test_labels_can_be_had_and_left(open_maps):
    tab = open_maps()
    map_ = tab.locator(".map").first
    assert int(map_.get_attribute("data-labels")) > 3
    with_labels = picture(map_, "over")
    tab.get_by_label("Labels").uncheck()
    expect(map_).to_have_attribute("data-labels", "0")
    assert changed(tab, map_, with_labels, "over")
    bare = picture(map_, "over")
    tab.get_by_label("Density").check()
    assert changed(tab, map_, bare, "over")


def test_no_map_needs_webgl(open_maps, chromium, server, world, rows):
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.add_init_script(
        "const whole = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) "
        "{ return /webgl|webgpu/.test(kind) ? null : whole.call(this, kind, ...rest) }"
    )
    tab = context.new_page()
    tab.goto(f"{server.url}/projection?plm={world[0].plm}")
    drawn(tab, rows)
    assert coloured(tab.locator(".map").first) > 50
    context.close()


def coloured(map_):
    """Pixels of the points' layer that are not its ground, which is the first one."""
    return map_.locator("canvas.points").evaluate(
        "canvas => {const all = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
        ".data.buffer); return all.filter(pixel => pixel !== all[0]).length}"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ground_is_the_themes(scheme, open_maps):
    tab = open_maps(color_scheme=scheme)
    ground = tab.locator("canvas.points").first.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(1, 1, 1, 1).data]"
    )
    page = tab.get_by_test_id("stApp").evaluate("app => getComputedStyle(app).backgroundColor")
    assert ground[:3] == [int(value) for value in re.findall(r"\d+", page)[:3]]
    assert (sum(ground[:3]) < 200) == (scheme == "dark")
    assert coloured(tab.locator(".map").first) > 50


def test_on_a_phone_the_maps_lie_below_each_other(open_maps):
    tab = open_maps(width=390, has_touch=True)
    first, second = (map_.bounding_box() for map_ in tab.locator(".map").all())
    assert second["y"] > first["y"] + first["height"]
    assert first["width"] > 300
    main = tab.get_by_test_id("stMain").evaluate("main => [main.scrollWidth, main.clientWidth]")
    assert main[0] <= main[1]


def test_hostile_tokens_are_letters_in_a_map(open_maps):
    tab = open_maps()
    field, map_ = tab.locator("input[aria-label='Mark tokens']"), tab.locator(".map").first
    for text in HOSTILE:
        field.fill(text)
        field.press("Enter")
        expect(map_).to_have_attribute("aria-label", re.compile(" 1 row marked"))
        map_.focus()
        assert stepped_to(tab, map_, plain(text))
        expect(tab.get_by_role("status").filter(has_text=plain(text))).to_be_visible()
        assert tab.get_by_test_id("stMain").locator("b, script, img[src='x'], a[href^='javascript']").count() == 0


def stepped_to(tab, map_, text):
    """Whether stepping through what is marked comes to light this token; the marks may be still on their way."""
    for _ in range(200):
        tab.keyboard.press("n")
        if map_.get_attribute("data-lit") == text:
            return True
        tab.wait_for_timeout(100)
    return False
