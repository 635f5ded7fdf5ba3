import streamlit as st

from defemb_core.errors import DefembError
from pages.shared.sidebar import show_sidebar
from pages.shared.text import as_text

st.set_page_config(page_title="defemb", page_icon="assets/logo.svg", layout="wide")
st.logo("assets/logo.svg", size="large")

pages = [
    st.Page("pages/model.py", title="Model", icon=":material/dataset:", default=True),
    st.Page("pages/definitions.py", title="Definitions", icon=":material/menu_book:"),
    st.Page("pages/reconstruction.py", title="Reconstruction", icon=":material/construction:"),
    st.Page("pages/projection.py", title="Projection", icon=":material/scatter_plot:"),
    st.Page("pages/spectrum.py", title="Spectrum and isotropy", icon=":material/ssid_chart:"),
    st.Page("pages/tokens.py", title="Tokens", icon=":material/manage_search:"),
    st.Page("pages/export.py", title="Export", icon=":material/download:"),
]
page = st.navigation(pages)
try:
    show_sidebar()
    page.run()
except DefembError as exc:
    st.error(as_text(str(exc)), icon=":material/error:")
