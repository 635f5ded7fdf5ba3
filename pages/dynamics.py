import streamlit as st

from pages.shared.dynamics import choose_recording, measured_or_stop, show_findings
from pages.shared.dynamics_charts import show_isotropy, show_map, show_movement, show_spectrum, show_tokens
from pages.shared.router import through_router

through_router()
st.title("Dynamics")
st.caption(
    "What a fine-tuning does to the embedding table: which rows move, which stay, and what becomes of its shape."
)
recording, plm = choose_recording()
dynamics = measured_or_stop(recording, plm)
show_findings(dynamics, recording)
left, right = st.columns(2, gap="large")
with left:
    show_movement(dynamics)
with right:
    show_isotropy(dynamics)
show_map(dynamics)
left, right = st.columns(2, gap="large")
with left:
    show_spectrum(dynamics)
with right:
    show_tokens(dynamics)
