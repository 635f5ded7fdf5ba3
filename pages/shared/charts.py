"""Plotly charts with a text alternative and a download of their data."""

from importlib import import_module
from types import ModuleType
from typing import Any

import streamlit as st

CONFIG = {"displaylogo": False, "scrollZoom": True, "toImageButtonOptions": {"format": "svg"}}
# Beside the title of a chart half as wide as a page there is room for four buttons.
REMOVED = ["zoomIn2d", "zoomOut2d", "autoScale2d", "pan2d"]


def figures() -> ModuleType:
    """Return the module of figures; Plotly loads when a page first needs a chart."""
    # Plotly asks of every array whether it is pandas's. Two sessions that begin together: it must not find the module
    # half loaded by the other.
    import_module("pandas")
    from defemb_core import figures

    return figures


def show(figure: Any, key: str, image: str | None = None, **options: Any) -> Any:
    """Show a figure and return its selection event, if `options` ask for one.

    Args:
        figure: of `defemb_core.figures`.
        key: the widget's.
        image: "svg" or "png", what a camera that is always there saves the chart as.
        options: further arguments of st.plotly_chart.
    """
    saving = {"format": image, "filename": f"defemb-{key}", "scale": 1 if image == "svg" else 2}
    always = {"displayModeBar": True, "modeBarButtonsToRemove": REMOVED, "toImageButtonOptions": saving}
    config = CONFIG | (always if image else {})
    description = figures().describe(figure)
    return st.plotly_chart(figure, key=key, config=config, alt=description, width="stretch", **options)
