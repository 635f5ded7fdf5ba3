"""What all figures share: text that Plotly takes as text, titles, axes, a description for those who cannot see."""

import textwrap
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from defemb_core.errors import SettingsError
from defemb_core.palette import GRID, TEXT
from defemb_core.text import LONGEST, plain

_TITLE_LINE, _SUBTITLE_LINE = 60, 88
# What Plotly reads as markup: tags, entities, formulas between dollar signs (where MathJax is loaded), templates, %{x}.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"})


def escape_hover(text: str, longest: int = LONGEST) -> str:
    """Write any text so that Plotly shows it as it is, and a reader sees all of it.

    Plotly reads tags (<b>, <a>, <extra>), entities (&amp;), $formulas$ and templates (%{x}) in texts; what shows
    nothing or reorders its surroundings is written as code points (`text.plain`).

    Args:
        text: any string.
        longest: characters that are shown; a longer text ends in an ellipsis.
    """
    return plain(text, longest).translate(_ENTITIES)


def describe(figure: go.Figure) -> str:
    """Text alternative of a figure of this module, plain text for screen readers: what it shows, counts, ranges.

    Raises:
        SettingsError: for a figure that carries none.
    """
    meta = figure.layout.meta
    if not isinstance(meta, Mapping) or "description" not in meta:
        raise SettingsError("the figure carries no description; pass one that this module made")
    return str(meta["description"])


def lay_out(figure: go.Figure, title: str, note: str, x_title: str, y_title: str, description: str) -> None:
    """What all figures share. Fonts and their colours stand in the template, where a theme replaces them."""
    heading, below = wrapped(title, _TITLE_LINE), wrapped(note, _SUBTITLE_LINE)
    lines = [text.count("<br>") + 1 if text else 0 for text in (heading, below)]
    top = 12 * max(lines[0], 1)  # Plotly sets a title of two lines half a line higher than one of one
    figure.update_layout(
        template=go.layout.Template(layout={"font": {"color": TEXT, "size": 13}}),
        title={"text": heading, "font_size": 17, "x": 0, "xref": "container", "pad": {"l": 12, "t": top}},
        title_subtitle={"text": below, "font_size": 13},
        title_y=1,
        title_yanchor="top",
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        margin={"l": 60, "r": 20, "t": 28 + 23 * lines[0] + 20 * lines[1], "b": 60},
        height=430,
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": TEXT, "activecolor": TEXT},
        legend={"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top", "itemsizing": "constant", "font_size": 13},
        meta={"description": description},
    )
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "automargin": True, "title_standoff": 8, "title_font_size": 14}
    figure.update_xaxes(**axis, title_text=escape_hover(x_title, _SUBTITLE_LINE))
    figure.update_yaxes(**axis, title_text=escape_hover(y_title, _SUBTITLE_LINE))


def wrapped(text: str, width: int) -> str:
    """Plain text as Plotly markup, in lines that fit half a page."""
    return "<br>".join(escape_hover(line, width) for line in textwrap.wrap(text, width)[:3])


def number(value: float) -> str:
    """Return a number as people write it, three digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def span(values: np.ndarray) -> str:
    """Return the range of values in words."""
    return f"{number(float(values.min()))} to {number(float(values.max()))}" if values.size else "none"
