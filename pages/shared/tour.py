"""A first visit's tour: three short sentences a page, shown until they are put away, once on this computer."""

import json
from contextlib import suppress
from typing import Final

import streamlit as st

from defemb_core.cache import data_folder, write_json

SENTENCES: Final = {
    "Model": (
        "A language model's embedding table has one row of numbers for every token. "
        "Frequent, medium and rare tokens have the same colours on every page. "
        "Press the button below, or choose another model on the left."
    ),
    "Definitions": (
        "Rows are rebuilt from what dictionaries say. "
        "Here you see which tokens have a definition, and how it was found. "
        "Tick more dictionaries, or write a definition of your own."
    ),
    "Reconstruction": (
        "Choose a method and press the button; instant takes seconds, frozen minutes. "
        "Runs go on when you close the page. "
        "Held-out figures come from words that the method never saw."
    ),
    "Projection": (
        "Every dot is a token, left as the model has it, right as it was rebuilt. "
        "Point at one, or draw around some, and both maps mark them. "
        "A map is a shadow: neighbours are always measured in the full space."
    ),
    "Spectrum and isotropy": (
        "A table is isotropic if its rows point in all directions alike. "
        "A steep spectrum means that few directions do most of the work. "
        "Point at a question mark to see what a number means and which way is good."
    ),
    "Tokens": (
        "Pick a token to see what it was near before and what it is near now. "
        "The list begins with rare tokens whose neighbours changed most. "
        "Edit a definition and see at once where it would move the row."
    ),
    "Evidence": (
        "People have judged how similar words are, and a good table agrees with them. "
        "Intervals say how much is chance. "
        "Bring pairs of your own field."
    ),
    "Export": (
        "Take the rebuilt table with you, or the whole model. "
        "A checkpoint loads wherever the original does. "
        "The card says how it was made."
    ),
}
"""Three sentences of each page, by its title in the sidebar."""
_SEEN: Final = "tour-seen"


def show_tour(page: str) -> None:
    """Show a page's sentences, unless they have been put away."""
    if page not in SENTENCES or page in _seen():
        return
    with st.container(border=True):
        words, close, leave = st.columns([10, 1.4, 2], vertical_alignment="center")
        words.markdown(f":material/tour: {SENTENCES[page]}")
        close.button("Got it", key=f"tour-{page}", on_click=_put_away, args=([page],))
        leave.button(
            "End the tour", key=f"tour-end-{page}", type="tertiary", on_click=_put_away, args=(list(SENTENCES),)
        )


def _seen() -> list[str]:
    """Return the pages whose sentences have been put away, in this session or on this computer before."""
    if _SEEN not in st.session_state:
        try:
            kept = json.loads((data_folder() / "tour.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = []
        st.session_state[_SEEN] = [name for name in SENTENCES if isinstance(kept, list) and name in kept]
    seen: list[str] = st.session_state[_SEEN]
    return seen


def _put_away(pages: list[str]) -> None:
    """Remember that these have been read; where that cannot be written, this session alone remembers."""
    seen = sorted({*_seen(), *pages})
    st.session_state[_SEEN] = seen
    with suppress(OSError):
        write_json(data_folder() / "tour.json", seen)
