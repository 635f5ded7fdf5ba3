"""The pages in the order of the flow; each runs through app.py, whichever link a fresh server is asked for first."""

from pathlib import Path
from typing import Any

import streamlit as st

LOGO = Path(__file__).parents[2] / "assets" / "logo.svg"  # wherever the server was started from


def navigate() -> Any:
    """Return the page that the browser asks for."""
    # Before st.navigation, or browsers fetch the page's icon from a font service to show it on the tab.
    st.set_page_config(page_title="defemb", page_icon=LOGO, layout="wide")
    st.logo(LOGO, size="large")
    page = st.navigation(
        {
            "Rebuild": [
                st.Page("pages/model.py", title="Model", icon=":material/dataset:", default=True),
                st.Page("pages/definitions.py", title="Definitions", icon=":material/menu_book:"),
                st.Page("pages/reconstruction.py", title="Reconstruction", icon=":material/construction:"),
            ],
            "Explore": [
                st.Page("pages/projection.py", title="Projection", icon=":material/scatter_plot:"),
                st.Page("pages/spectrum.py", title="Spectrum and isotropy", icon=":material/ssid_chart:"),
                st.Page("pages/tokens.py", title="Tokens", icon=":material/manage_search:"),
            ],
            "Judge": [
                st.Page("pages/evidence.py", title="Evidence", icon=":material/balance:"),
                st.Page("pages/finetuning.py", title="Fine-tuning", icon=":material/model_training:"),
                st.Page("pages/dynamics.py", title="Dynamics", icon=":material/timeline:"),
            ],
            "Take along": [
                st.Page("pages/new_tokens.py", title="New tokens", icon=":material/add_circle:"),
                st.Page("pages/export.py", title="Export", icon=":material/download:"),
            ],
        }
    )
    st.session_state["routed"] = True
    return page


def through_router() -> None:
    """Run the page again through app.py if Streamlit ran it by itself.

    Until st.navigation is called for the first time, Streamlit takes a folder named pages for its own older mechanism
    and runs a linked page without app.py. That call switches the mechanism off for good.
    """
    if "routed" not in st.session_state:
        navigate()
        st.rerun()
