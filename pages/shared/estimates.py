"""What a run would take on this machine, before one is started."""

import polars as pl
import streamlit as st

from defemb_core.dictionaries import WORDNET, Dictionary
from defemb_core.dictionaries.wordnet_files import installed_wordnet
from defemb_core.errors import DefembError
from defemb_core.estimate import bytes_in_words, estimate_reconstruction, time_in_words
from defemb_core.plm import PLM
from defemb_core.reconstruction import Settings
from pages.shared import state

ROWS = {
    "instant": Settings("instant"),
    "frozen": Settings("frozen"),
    "trained, quick": Settings("trained", preset="quick"),
    "trained, default": Settings("trained"),
}
HOW = (
    "With the default dictionary and settings, on this machine's processor. Counted from the PLM's sizes, not tried "
    "out: rough, and longer while other work goes on. Training may end early."
)


def show_estimates(plm: PLM) -> None:
    """Show about what each method takes; nothing where the default dictionary is not on this machine or cannot be read.

    Args:
        plm: the chosen one.
    """
    try:
        if installed_wordnet() is None:  # a page that is looked at downloads nothing
            return
        dictionary = state.dictionary_named(WORDNET)
        made = _estimates(
            plm,
            dictionary,
            f"{plm.folder} {plm.digest} {plm.parameters} {dictionary.digest} {state.frequency_choice(plm)}",
        )
    except DefembError:
        return
    st.markdown("**What a run takes here**", help=HOW)
    st.dataframe(made, key="estimates", hide_index=True, width="content")


@st.cache_resource(show_spinner=False, max_entries=6)
def _estimates(_plm: PLM, _dictionary: Dictionary, key: str) -> pl.DataFrame:
    """Return a line a method in words; `key` is what a cached answer belongs to."""
    del key
    vocabulary = state.vocabulary_of(state.chosen_plm(), *state.frequency_choice(_plm))
    made = {name: estimate_reconstruction(_plm, vocabulary, _dictionary, settings) for name, settings in ROWS.items()}
    return pl.DataFrame(
        {
            "method": list(made),
            "time": [f"about {time_in_words(one.seconds)}" for one in made.values()],
            "memory": [f"about {bytes_in_words(one.memory)}" for one in made.values()],
        }
    )
