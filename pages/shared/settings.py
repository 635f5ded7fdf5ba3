"""What a run is made with: the inputs of the form on the Reconstruction page."""

from typing import Any

import streamlit as st

from defemb_core.methods import BASELINES, METHODS
from defemb_core.presets import PRESETS
from defemb_core.reconstruction import Settings

METHOD_HELP = """
- **instant**: definitions as bags of input embeddings; seconds.
- **frozen**: these and the PLM's states; a minute or two on two cores, better on held-out tokens.
- **trained**: the states are those of a copy of the PLM that has learned to answer definitions; see Training below.

To compare with:

- **mean-of-definition**: the bag itself, without a map.
- **random**: instant with the definitions dealt out at random; what is left is not the definitions' doing.
- **all-but-the-top**: no definitions; the mean and the leading principal directions removed.
- **whitening**: no definitions; every direction given the same variance.
"""


def choose_settings() -> Settings:
    """Show the inputs, with good defaults; return the settings."""
    left, middle, right = st.columns(3, gap="large")
    method = left.selectbox(
        "Method",
        METHODS,
        format_func=lambda name: f"{name} (baseline)" if name in BASELINES else name,
        help=METHOD_HELP,
    )
    with left:
        definitions = _choose_definitions()
    with middle:
        rows = _choose_rows()
    with right:
        numbers = _choose_numbers()
    with st.expander("Training (method trained)", icon=":material/school:"):
        training = _choose_training()
    return Settings(method, **definitions, **rows, **numbers, **training)


def _choose_definitions() -> dict[str, Any]:
    return {
        "relations": st.toggle(
            "Related words", Settings.relations, help="Synonyms, hypernyms and derived words join the definition."
        ),
        "mentions": st.toggle(
            "Mentions", Settings.mentions, help="Words whose definitions mention a token tell about it too."
        ),
        "pieces": st.toggle(
            "Word pieces",
            Settings.pieces,
            help="Rows without a definition are rebuilt from words that contain them: weaker evidence.",
        ),
    }


def _choose_rows() -> dict[str, Any]:
    alpha = st.slider(
        "Share rebuilt (alpha)", 0.0, 1.0, Settings.alpha, 0.05,
        help="Of the rows that have a definition, from the least frequent up. 1 rebuilds all of them.",
    )  # fmt: skip
    blend = st.slider(
        "Blend", 0.0, 1.0, Settings.blend, 0.05, help="Share of the rebuilt row in the new one; 0 is the original."
    )
    match_norms = st.toggle(
        "Match norms", Settings.match_norms, help="Scale each rebuilt row's distance to the mean row to its original's."
    )
    return {"alpha": alpha, "blend": blend, "match_norms": match_norms}


def _choose_numbers() -> dict[str, Any]:
    senses = st.number_input(
        "Senses a token", 1, 50, Settings.max_senses, help="From the first; later ones weigh less."
    )
    folds = st.number_input(
        "Folds", 2, 20, Settings.folds, help="Cross-fitting: each row comes from a map that did not see it."
    )
    seed = st.number_input("Seed", 0, 2**31 - 1, Settings.seed, help="The same seed gives the same table, to the bit.")
    directions = st.number_input(
        "Directions",
        0,
        None,
        Settings.directions,
        help="all-but-the-top removes them; 0 is a hundredth of the columns.",
    )
    return {"max_senses": int(senses), "folds": int(folds), "seed": int(seed), "directions": int(directions)}


def _choose_training() -> dict[str, Any]:
    left, middle, right = st.columns(3, gap="large")
    preset = left.selectbox(
        "Preset",
        list(PRESETS),
        list(PRESETS).index(Settings.preset),
        help="quick and default are made for two cores; paper-* are the published settings, made for a GPU.",
    )
    passes = left.number_input(
        "Passes", 0.0, None, Settings.passes, 0.5, help="How often the student meets each prompt; 0 is the preset's."
    )
    rate = middle.number_input(
        "Learning rate", 0.0, None, Settings.rate, 1e-5, format="%g", help="At its peak; 0 is the preset's."
    )
    rare = middle.number_input(
        "Weight of rare rows", 0.0, 1.0, Settings.rare_weight, 0.1, placeholder="as the method has it",
        help="How much rare rows count in learning; they are what is broken. Empty: 0 for trained, 1 for the others.",
    )  # fmt: skip
    table = right.toggle(
        "Train the student's table", Settings.train_table, help="The student's own input embeddings learn as well."
    )
    return {"preset": preset, "passes": passes, "rate": rate, "rare_weight": rare, "train_table": table}
