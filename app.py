import streamlit as st

from defemb_core.errors import DefembError
from pages.shared.router import navigate
from pages.shared.sidebar import show_sidebar
from pages.shared.text import as_text
from pages.shared.tour import show_tour

page = navigate()
try:
    show_sidebar()
    show_tour(page.title)
    page.run()
except DefembError as exc:
    st.error(as_text(str(exc)), icon=":material/error:")
