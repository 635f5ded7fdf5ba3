"""What a run is made with: the inputs of the form on the Reconstruction page."""

from collections.abc import Callable, Collection
from typing import Any

import streamlit as st

from defemb_core.definitions import WAYS
from defemb_core.methods import BASELINES, METHODS, Method
from defemb_core.presets import PRESETS
from defemb_core.reconstruction import Settings
from defemb_core.relevance import relevant_settings

METHOD_HELP = """
- **instant**: definitions as bags of input embeddings; seconds.
- **frozen**: these and the PLM's states; a minute or two on two cores, better on held-out tokens.
- **trained**: the states are those of a copy of the PLM that has learned to answer definitions; minutes to days.

To compare with:

- **mean-of-definition**: the bag itself, without a map.
- **random**: instant with the definitions dealt out at random; what is left is not the definitions' doing.
- **all-but-the-top**: no definitions; the mean and the leading principal directions removed.
- **whitening**: no definitions; every direction given the same variance.
"""


def choose_method() -> Method:
    """Show the choice of a method; what else is asked for depends on it."""
    return st.selectbox(
        "Method",
        METHODS,
        format_func=lambda name: f"{name} (baseline)" if name in BASELINES else name,
        help=METHOD_HELP,
        width=360,
    )


def choose_settings(method: Method) -> Settings:
    """Show what counts for a method, with good defaults; return the settings."""
    relevant = relevant_settings(method)
    chosen: dict[str, Any] = {}
    columns = st.columns(3, gap="large")
    for column, inputs in zip(columns, (DEFINITIONS, ROWS, NUMBERS), strict=True):
        with column:
            chosen |= _ask(inputs, relevant)
    if relevant & TRAINING.keys():
        with st.expander("Training", icon=":material/school:"):
            names = list(TRAINING)
            for column, part in zip(st.columns(3, gap="large"), (names[:2], names[2:3], names[3:]), strict=True):
                with column:
                    chosen |= _ask({name: TRAINING[name] for name in part}, relevant)
    return Settings(method, **chosen)


def _ask(inputs: dict[str, Callable[[], Any]], relevant: Collection[str]) -> dict[str, Any]:
    """Show those inputs that count; return what was chosen, by name."""
    return {name: show() for name, show in inputs.items() if name in relevant}


DEFINITIONS: dict[str, Callable[[], Any]] = {
    "relations": lambda: st.toggle(
        "Related words", Settings.relations, help="Synonyms, hypernyms and derived words join the definition."
    ),
    "mentions": lambda: st.toggle(
        "Mentions", Settings.mentions, help="Words whose definitions mention a token tell about it too."
    ),
    "pieces": lambda: st.toggle(
        "Word pieces",
        Settings.pieces,
        help="Rows without a definition are rebuilt from words that contain them: weaker evidence.",
    ),
    "without": lambda: ",".join(
        st.multiselect(
            "Leave out", WAYS, placeholder="nothing",
            help="Ways of finding a definition that do not count; a run's evidence says how much each is worth.",
        )
    ),
}  # fmt: skip
ROWS: dict[str, Callable[[], Any]] = {
    "alpha": lambda: st.slider(
        "Share rebuilt (alpha)", 0.0, 1.0, Settings.alpha, 0.05,
        help="Of the rows that can be, from the least frequent up. 1 rebuilds all of them.",
    ),
    "blend": lambda: st.slider(
        "Blend", 0.0, 1.0, Settings.blend, 0.05, help="Share of the rebuilt row in the new one; 0 is the original."
    ),
    "match_norms": lambda: st.toggle(
        "Match norms", Settings.match_norms, help="Scale each rebuilt row's distance to the mean row to its original's."
    ),
}  # fmt: skip
NUMBERS: dict[str, Callable[[], Any]] = {
    "max_senses": lambda: st.number_input(
        "Senses a token", 1, 50, Settings.max_senses, help="From the first; later ones weigh less."
    ),
    "folds": lambda: st.number_input(
        "Folds", 2, 20, Settings.folds, help="Cross-fitting: each row comes from a map that did not see it."
    ),
    "seed": lambda: st.number_input(
        "Seed", 0, 2**31 - 1, Settings.seed, help="The same seed gives the same table, to the bit."
    ),
    "rare_weight": lambda: st.number_input(
        "Weight of rare rows", 0.0, 1.0, Settings.rare_weight, 0.1, placeholder="as the method has it",
        help="How much rare rows count in learning; they are what is broken. Empty: 0 for trained, 1 for the others.",
    ),
    "directions": lambda: st.number_input(
        "Directions", 0, None, Settings.directions, help="How many are removed; 0 is a hundredth of the columns."
    ),
}  # fmt: skip
TRAINING: dict[str, Callable[[], Any]] = {
    "preset": lambda: st.selectbox(
        "Preset",
        list(PRESETS),
        list(PRESETS).index(Settings.preset),
        help="quick and default are made for two cores; paper-* are the published settings, made for a GPU.",
    ),
    "passes": lambda: st.number_input(
        "Passes", 0.0, None, Settings.passes, 0.5, help="How often the student meets each prompt; 0 is the preset's."
    ),
    "rate": lambda: st.number_input(
        "Learning rate", 0.0, None, Settings.rate, 1e-5, format="%g", help="At its peak; 0 is the preset's."
    ),
    "train_table": lambda: st.toggle(
        "Train the student's table", Settings.train_table, help="The student's own input embeddings learn as well."
    ),
}
