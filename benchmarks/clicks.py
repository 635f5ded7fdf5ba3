"""How long the server works on a click or a setting that needs no recomputation, on the bundled PLM.

Each page runs as Streamlit runs it, without a browser, until its script is at rest and all that it shows is put into
messages. A click is made once before it counts, so that what a page computes at its first visit is there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.browser import make_run
from benchmarks.machine import Line, as_milliseconds, print_head, print_table, timed

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[1] / "app.py"
TIMES = 8
TARGET = "300 ms"
WORDS = ("bank", "violin", "gravel", "senate", "copper", "lantern", "orchid", "treaty")
PATIENCE = 120  # seconds


@dataclass(frozen=True)
class Click:
    """Something that a user does on a page.

    Attributes:
        page: which of pages/.
        what: in words.
        widget: "toggle", "text_input", "selectbox" and so on, as AppTest has them.
        key: of the widget; "" for the page's first of that kind.
        values: what it is set to, one after the other; empty for all that it offers.
        query: what the page's address says.
    """

    page: str
    what: str
    widget: str
    key: str
    values: Sequence[Any] = ()
    query: tuple[tuple[str, str], ...] = ()


SPECTRUM_ROWS = (["all"], ["all", "rare"], ["all", "frequent", "rare"])
EXPRESSIONS = [f"^{word[:2]}.*s$" for word in WORDS]
WORDINGS = [f"(noun) a {word} that is kept in a box" for word in WORDS]
OPTIONS = 4  # of those that a widget offers, the first so many
CLICKS = (
    Click("tokens", "another token: definitions, neighbours in both tables", "text_input", "q", WORDS),
    Click("tokens", "a regular expression over all tokens", "text_input", "q", EXPRESSIONS, (("regex", "true"),)),
    Click("tokens", "another order of the list", "selectbox", "sort"),
    Click("tokens", "an analogy in both tables", "text_input", "c", WORDS, (("view", "Queries"),)),
    Click("tokens", "try a definition", "text_area", "", WORDINGS, (("view", "Try a definition"), ("try", "bank"))),
    Click("projection", "other colours of 2 x 30,522 points", "selectbox", "colour"),
    Click("projection", "other sizes", "selectbox", "size"),
    Click("projection", "names of regions on and off", "toggle", "regions", (False, True)),
    Click("projection", "a search marks tokens", "text_input", "mark", WORDS),
    Click("spectrum", "other groups of rows", "pills", "rows", SPECTRUM_ROWS),
    Click("spectrum", "another axis", "toggle", "log", (False, True)),
    Click("definitions", "another token's definitions", "text_input", "word", WORDS),
)


def opened(page: str, query: Sequence[tuple[str, str]] = ()) -> AppTest:
    """Return a page, open and at rest."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(APP), default_timeout=PATIENCE).switch_page(f"pages/{page}.py")
    for name, value in query:
        app.query_params[name] = value
    return app.run()


def seconds_of(click: Click) -> list[float]:
    """Return the seconds of each click.

    A setting has had each of its values before it counts; a text is another every time, but for the first.
    """
    app, spent = opened(click.page, click.query), []
    values = click.values or _widget(app, click).options[:OPTIONS]
    unseen = 1 if len(values) >= TIMES else len(values)
    for number, value in enumerate(islice(cycle(values), unseen + TIMES - 1)):
        widget = _widget(app, click).set_value(value)
        seconds = timed(widget.run)[0]
        if wrong := [*app.exception, *app.error]:
            raise RuntimeError(f"page {click.page}, {click.what}: {wrong[0].value}")
        if number >= unseen:
            spent.append(seconds)
    return spent


def _widget(app: AppTest, click: Click) -> Any:
    return getattr(app, click.widget)(key=click.key) if click.key else getattr(app, click.widget)[0]


def line_of(click: Click) -> Line:
    """Say how long one kind of click took."""
    spent = seconds_of(click)
    slowest = f"slowest of {len(spent)}: {as_milliseconds(max(spent))}"
    return Line(f"{click.page}: {click.what}", as_milliseconds(statistics.median(spent)), TARGET, slowest)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks clicks", description=__doc__)
    parser.parse_args(arguments)
    print_head("clicks", arguments)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        make_run(runs / "finished")
        places = {"DEFEMB_RUNS": str(runs), "DEFEMB_DATA": str(Path(folder) / "data"), "HF_HUB_OFFLINE": "1"}
        with mock.patch.dict(os.environ, places):
            lines = [line_of(click) for click in CLICKS]
    print_table(lines, "Server time from click to rest, bundled PLM (medians)")
