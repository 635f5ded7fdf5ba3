"""How many rows have a definition, and where they have it from: in numbers and as bars."""

import polars as pl
import streamlit as st

from defemb_core.definitions import coverage
from defemb_core.dictionaries import Dictionary
from pages.shared import charts
from pages.shared.text import as_text

BY = {
    "group": "By frequency group",
    "kind": "By kind of token",
    "source": "By source",
    "how": "By way of matching",
}
FOUND = """How rows were found; where a row has several definitions, by the first of them.

- **exact**: by the word as it is; **case-folded**: in another case; **respelled**: without accents, with another
  apostrophe, or with blanks for hyphens.
- **lemma**: as a form of the word, "dogs" of "dog".
- **numeral**, **unicode**, **glossary**: made from a number, by a character's name, as you wrote it.
- **piece**: by the definitions of words that contain it; **other-cut**: by those of words whose text contains it, which
  the tokenizer cuts otherwise.
"""


def show_coverage(taking_part: pl.DataFrame, senses: pl.DataFrame, dictionary: Dictionary) -> None:
    """Show counts, what was left out, and bars.

    Args:
        taking_part: lines of the vocabulary frame.
        senses: as describe_matches returns them.
        dictionary: where they come from.
    """
    covered = taking_part.join(senses, on="token_id", how="semi")
    words, defined = (frame.filter(pl.col("kind") == "word").height for frame in (taking_part, covered))
    facts = st.columns(4)
    facts[0].metric("Senses in the dictionary", f"{dictionary.definitions.height:,}", help="Those of forms included.")
    facts[1].metric("Rows with a definition", f"{covered.height:,}", help="These can be rebuilt.")
    facts[2].metric("Share of whole words", f"{defined / max(words, 1):.1%}", help="Of rows whose kind is word.")
    facts[3].metric("Rows without one", f"{taking_part.height - covered.height:,}", help="They keep their rows.")
    st.caption(
        f"{as_text(dictionary.name)} from {as_text(dictionary.origin)}, SHA-256 {dictionary.digest[:16]}…; "
        "special and unused rows take no part."
    )
    for note in dictionary.notes:
        st.caption(as_text(note))
    if covered.is_empty():
        st.info("No row has a definition in these dictionaries.", icon=":material/info:")
        return
    st.subheader("Coverage", help=FOUND)
    columns = [column for _ in range(2) for column in st.columns(2, gap="large")]  # in rows, so that they stand level
    for column, (by, title) in zip(columns, BY.items(), strict=True):
        with column:
            counted = coverage(taking_part, senses, by)
            charts.show(charts.figures().coverage_figure(counted, title), f"coverage-{by}")
