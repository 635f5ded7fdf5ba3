"""Plotly charts with a text alternative and a download of their data."""

from types import ModuleType
from typing import Any

import streamlit as st

CONFIG = {"displaylogo": False, "scrollZoom": True, "toImageButtonOptions": {"format": "svg"}}


def figures() -> ModuleType:
    """Return the module of figures; Plotly loads when a page first needs a chart."""
    from defemb_core import figures

    return figures


def show(figure: Any, key: str, **options: Any) -> Any:
    """Show a figure and return its selection event, if `options` ask for one."""
    description = figures().describe(figure)
    return st.plotly_chart(figure, key=key, config=CONFIG, alt=description, width="stretch", **options)
