import streamlit as st

from pages.shared import state
from pages.shared.probing import WHAT as PROBING
from pages.shared.probing import show_probing
from pages.shared.relations import WHAT as RELATIONS
from pages.shared.relations import show_relations
from pages.shared.router import through_router
from pages.shared.similarity import own_pairs, show_similarity

through_router()
st.title("Evidence")
comparison = state.comparison_or_stop()
st.subheader(
    "Word similarity",
    help="People have scored how alike, or how related, two words are. A table agrees with them as far as it ranks "
    "the pairs by the cosine of their rows, in the full space, as they did by their scores.",
)
with st.expander("Add your own word pairs", icon=":material/upload_file:"):
    own = own_pairs()
show_similarity(comparison, own)

st.subheader("Low-frequency semantics", help=RELATIONS)
show_relations(comparison)

st.subheader("Masked words", help=PROBING)
show_probing(comparison)
