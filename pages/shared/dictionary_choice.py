"""Which dictionaries count, and in which order: boxes to tick, which write the line that the command line takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import streamlit as st

from defemb_core.dictionaries import WORDNET, known_sources, parts_of

KEY: Final = "dictionary"
"""Where the session and the address keep the line, which is what counts."""
_CHOSEN, _WITHOUT_PLACE = f"{KEY}-sources", f"{KEY}-without-place"


@dataclass(frozen=True)
class Offer:
    """How a source is offered.

    Attributes:
        label: its name for people.
        place: what may be named with it, "" for nothing.
        needs_place: whether it cannot be read without.
    """

    label: str
    place: str = ""
    needs_place: bool = False


OFFERS: Final[Mapping[str, Offer]] = {
    "wordnet": Offer("WordNet", "Folder of WordNet's files (empty: where systems install it)"),
    "function-words": Offer("Function words (they, could, of)"),
    "numerals": Offer("Numerals in words", "Language of the numerals (empty: English)"),
    "unicode": Offer("Unicode names"),
    "places": Offer("Places (countries, cities)"),
    "wiktionary": Offer("Wiktionary", "Wiktionary: a store, or a dump as wiktextract makes it", needs_place=True),
    "glossary": Offer("Glossary", "Glossary: a file of your own terms (empty: what you wrote here)"),
    "wn": Offer("wn package", "Lexicon of the wn package, “oewn:2024” say", needs_place=True),
}


def choose_dictionary() -> str:
    """Show the choice; return it as load_dictionary takes it, the same on every page."""
    friendly, details = (
        st.container(),
        st.expander("Files, languages, and the choice as one line", icon=":material/tune:"),
    )
    with details:
        places = st.container()
        spec = st.text_input(
            "Dictionary", WORDNET, key=KEY, bind="query-params",
            help="As --dictionary takes it: names separated by commas, each perhaps with a place after a colon.",
        )  # fmt: skip
    named = _named(spec or WORDNET)
    waiting = [name for name in st.session_state.get(_WITHOUT_PLACE, []) if name not in named]
    st.session_state[_CHOSEN] = [*named, *waiting]
    with friendly:
        st.multiselect(
            "Dictionaries", [name for name in OFFERS if name in known_sources()], format_func=_label, key=_CHOSEN,
            on_change=_write_line, placeholder="Choose at least one",
            help="A token takes its definitions from the first that has any, in this order; a glossary comes first.",
        )  # fmt: skip
    for name in st.session_state[_CHOSEN]:
        offer = OFFERS[name]
        if offer.place:
            key = _key(name)
            st.session_state[key] = named.get(name, "")
            where = friendly if offer.needs_place else places
            where.text_input(offer.place, key=key, on_change=_write_line)
    if waiting:
        friendly.info(f"{' and '.join(map(_label, waiting))} counts once its place is named.", icon=":material/info:")
    return spec or WORDNET


def _label(name: str) -> str:
    return OFFERS[name].label


def _key(name: str) -> str:
    return f"{KEY}-place-{name}"


def _named(spec: str) -> dict[str, str]:
    """Return the places of the sources that a line names, "" where it names none."""
    parts = [part.partition(":") for part in parts_of(spec)]
    return {name: place for name, _, place in parts if name in OFFERS and name in known_sources()}


def _write_line() -> None:
    """Write the line that says what the boxes say."""
    places = {name: st.session_state.get(_key(name), "").strip() for name in st.session_state[_CHOSEN]}
    waiting = [name for name, place in places.items() if OFFERS[name].needs_place and not place]
    parts = [f"{name}:{place}" if place else name for name, place in places.items() if name not in waiting]
    st.session_state[_WITHOUT_PLACE] = waiting
    st.session_state[KEY] = ",".join(parts) or WORDNET
