"""What a run is made with: the inputs of the form on the Reconstruction page."""

import streamlit as st

from defemb_core.dictionaries import WORDNET
from defemb_core.methods import BASELINES, METHODS
from defemb_core.reconstruction import Settings

METHOD_HELP = """
- **instant**: definitions as bags of input embeddings; seconds.
- **frozen**: these and the PLM's states; a minute or two on two cores, better on held-out tokens.

To compare with:

- **mean-of-definition**: the bag itself, without a map.
- **random**: instant with the definitions dealt out at random; what is left is not the definitions' doing.
- **all-but-the-top**: no definitions; the mean and the leading principal directions removed.
- **whitening**: no definitions; every direction given the same variance.
"""


def choose_settings() -> tuple[str, Settings]:
    """Show the inputs, with good defaults; return the dictionary's name and the settings."""
    left, middle, right = st.columns(3, gap="large")
    method = left.selectbox(
        "Method",
        METHODS,
        format_func=lambda name: f"{name} (baseline)" if name in BASELINES else name,
        help=METHOD_HELP,
    )
    dictionary = left.text_input("Dictionary", WORDNET, help="'wordnet' or 'wordnet:FOLDER'.")
    relations = left.toggle(
        "Related words", Settings.relations, help="Synonyms, hypernyms and derived words join the definition."
    )
    directions = left.number_input(
        "Directions",
        0,
        None,
        Settings.directions,
        help="all-but-the-top removes them; 0 is a hundredth of the columns.",
    )
    alpha = middle.slider(
        "Share rebuilt (alpha)", 0.0, 1.0, Settings.alpha, 0.05,
        help="Of the rows that have a definition, from the least frequent up. 1 rebuilds all of them.",
    )  # fmt: skip
    blend = middle.slider(
        "Blend", 0.0, 1.0, Settings.blend, 0.05, help="Share of the rebuilt row in the new one; 0 is the original."
    )
    match_norms = middle.toggle(
        "Match norms", Settings.match_norms, help="Scale each rebuilt row's distance to the mean row to its original's."
    )
    senses = right.number_input(
        "Senses a token", 1, 50, Settings.max_senses, help="From the first; later senses weigh less."
    )
    folds = right.number_input(
        "Folds", 2, 20, Settings.folds, help="Cross-fitting: each row comes from a map that did not see it."
    )
    seed = right.number_input(
        "Seed", 0, 2**31 - 1, Settings.seed, help="The same seed gives the same table, to the bit."
    )
    whole = (int(number) for number in (senses, folds, seed, directions))
    return dictionary, Settings(method, alpha, blend, match_norms, relations, *whole)
