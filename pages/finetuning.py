import streamlit as st

from pages.shared import state
from pages.shared.finetuning import active_evaluations, ask_and_start, watch_evaluation
from pages.shared.finetuning_results import show_finished
from pages.shared.router import through_router

through_router()
st.title("Fine-tuning")
st.caption(
    "Is the rebuilt table a better start for a task? The PLM is fine-tuned with each table, all else the same: first "
    "weights of the head, order of the examples, dropout, settings."
)
plm = state.plm_named(state.chosen_plm())
for folder in active_evaluations():
    with st.container(border=True):
        watch_evaluation(folder)

st.subheader("Fine-tune")
ask_and_start(plm)

st.subheader("Finished")
show_finished()
