"""What a line of a chart is of: a table, or one frequency group of a table, "rebuilt/rare"; its colour and dash."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from defemb_core.figures.layout import escape_hover
from defemb_core.isotropy import GROUPS
from defemb_core.palette import NEUTRAL, TABLE_COLOURS

_DASHES = {"": "solid", "frequent": "dash", "medium": "dashdot", "rare": "dot"}
# Characters of names that stand in pairs in the legend of a chart half as wide as a page.
_SHORT_NAME = 16
Colours = Mapping[str, str] | None
"""Colours of tables by their names; None for the usual ones of original and rebuilt."""


def table_and_group(name: str) -> tuple[str, str]:
    """Return the parts of "rebuilt/rare"; no group for "rebuilt", nor for a table whose own name has a slash."""
    table, _, group = name.rpartition("/")
    return (table, group) if group in GROUPS and table else (name, "")


def series_name(name: str) -> str:
    """Return the name of a line in a legend: "rebuilt, rare"."""
    table, group = table_and_group(name)
    return escape_hover(f"{table}, {group}" if group else table)


def line_of(name: str, colours: Colours = None, width: float = 2) -> dict[str, Any]:
    """Return a Plotly line: the table's colour, the group's dash."""
    table, group = table_and_group(name)
    colour = (TABLE_COLOURS if colours is None else colours).get(table, NEUTRAL)
    return {"color": colour, "dash": _DASHES[group], "width": width}


def step_trace(name: str, counts: np.ndarray, edges: np.ndarray, hover: str, colours: Colours = None) -> go.Scatter:
    """A histogram's outline: a filled step line, so that two of them show through each other.

    Args:
        name: of the table, or of its part.
        counts: (bins,), what stands over each bin.
        edges: (bins + 1,).
        hover: Plotly's template of a bin.
        colours: by table.
    """
    line = line_of(name, colours, 1.5)
    red, green, blue = (int(line["color"][at : at + 2], 16) for at in (1, 3, 5))
    # A bin's count stands at both of its edges; the line jumps between bins.
    return go.Scatter(
        x=np.repeat(edges, 2)[1:-1].astype(np.float32),
        y=np.repeat(counts, 2),
        mode="lines",
        name=series_name(name),
        line=line,
        fill="tozeroy",
        fillcolor=f"rgba({red}, {green}, {blue}, {0.25 if line['dash'] == 'solid' else 0.08})",
        showlegend=True,
        hovertemplate=hover,
    )


def make_room(figure: go.Figure) -> None:
    """Make a figure taller for a legend of many lines, which would press it together; short names stand in pairs."""
    abreast = 2 if max((len(trace.name) for trace in figure.data), default=0) <= _SHORT_NAME else 1
    more = max(0, -(-len(figure.data) // abreast) - 1)
    figure.update_layout(height=figure.layout.height + 20 * more)
