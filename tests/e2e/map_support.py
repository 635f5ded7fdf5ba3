"""The linked maps in a tab: waiting for them, reading what they say, and the mouse on them."""

import math
import re

from playwright.sync_api import expect

from defemb_core.figures.linked_maps import STEPS

MINUTE = 60_000


def drawn(tab, rows, maps=2):
    """The maps, once they show all `rows`."""
    found = tab.locator(".map")
    expect(found).to_have_count(maps, timeout=MINUTE)
    for caption in tab.locator("figcaption .count").all():
        expect(caption).to_contain_text(f"all {rows:,} rows", timeout=MINUTE)
    return found


def expect_marked(tab, count):
    """Every map says how many rows are marked."""
    marked = f", {count:,} marked" if count else "rows"
    for caption in tab.locator("figcaption .count").all():
        expect(caption).to_have_text(re.compile(rf"{marked}$"), timeout=MINUTE)


def marked(tab):
    """How many rows the maps mark."""
    return int(tab.locator("section[data-drawn]").get_attribute("data-drawn").split(" ")[1])


def on_screen(map_, position):
    """Where a point, in steps of the grid, lies in the window while all is in view."""
    area = map_.bounding_box()
    # A border of one pixel around the drawing.
    k = 0.95 * min(round(area["width"]), round(area["height"])) / STEPS
    x, y = (float(step) - STEPS / 2 for step in position)
    return area["x"] + area["width"] / 2 + x * k, area["y"] + area["height"] / 2 - y * k


def drag(tab, map_, tool, share, modifier=None):
    """Drag a box, or an ellipse of a lasso, over the middle of a map: `share` of its width and height."""
    tab.get_by_role("button", name=tool, exact=True).click()
    map_.scroll_into_view_if_needed()
    area = map_.bounding_box()
    x, y = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
    across, up = share * area["width"] / 2, share * area["height"] / 2
    turns = [i / 24 * 2 * math.pi for i in range(24)]
    path = [(x - across, y - up), (x + across, y + up)]
    if tool == "Lasso":
        path = [(x + across * math.cos(turn), y + up * math.sin(turn)) for turn in turns]
    if modifier:
        tab.keyboard.down(modifier)
    tab.mouse.move(*path[0])
    tab.mouse.down()
    for at in path[1:]:
        tab.mouse.move(*at, steps=2)
    tab.mouse.up()
    if modifier:
        tab.keyboard.up(modifier)


def picture(map_, layer="points"):
    """A layer of a map as it is, to see whether it changes."""
    return map_.locator(f"canvas.{layer}").evaluate("canvas => canvas.toDataURL()")


def rows_listed(tab, rows):
    """How many rows the table of selected tokens counts."""
    line = tab.get_by_test_id("stCaptionContainer").get_by_text(re.compile(rf"^[\d,]+ of {rows:,} rows"))
    line.wait_for(timeout=MINUTE)
    return int(line.inner_text().split(" of ")[0].replace(",", ""))
