"""English function words, which a dictionary of things and actions lacks: pronouns, prepositions, conjunctions.

WordNet has no "they" and no "could", and what it has of others is another word: "he" is helium there, "it" information
technology, "at" the element astatine.
"""

import hashlib
import io
from importlib.resources import files
from typing import Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, FUNCTION_WORDS, Dictionary
from defemb_core.errors import DictionaryError

FILE: Final = "function_words.csv"
"""Written for this project: word, part of speech, definition; senses of a word in the order of their lines."""


def load_function_words(place: str | None, vocabulary: pl.DataFrame | None = None) -> Dictionary:
    """Return the definitions of English function words.

    Args:
        place: must be None.
        vocabulary: not needed, there are few.

    Returns:
        A dictionary named "function-words", its digest that of the file which comes with the package.

    Raises:
        DictionaryError: a place is named.
    """
    del vocabulary
    if place is not None:
        raise DictionaryError(f"function-words come with defemb and have no place; write function-words, not :{place}")
    content = files("defemb_core.dictionaries").joinpath(FILE).read_bytes()
    frame = pl.read_csv(io.BytesIO(content), schema={name: pl.String() for name in ("word", "pos", "definition")})
    frame = frame.with_columns(
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over("word"),
        source=pl.lit(FUNCTION_WORDS),
        form_of=pl.lit(None, dtype=pl.String),
    ).select(*DEFINITION_SCHEMA)
    return Dictionary(frame, FUNCTION_WORDS, hashlib.sha256(content).hexdigest(), "written for defemb")
