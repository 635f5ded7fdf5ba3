"""Which definitions belong to which row of the table, and how many rows have one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from defemb_core.errors import SettingsError

if TYPE_CHECKING:
    from defemb_core.dictionaries import Dictionary

HOW = pl.Enum(["exact", "case-folded", "lemma", "numeral", "unicode", "glossary", "piece"])
# Measured on held-out tokens (method frozen): MRR 0.677 with five senses, 0.683 with all of them for a third more
# prompts, 0.662 with three, 0.559 with one.
MAX_SENSES = 5


def match_definitions(vocabulary: pl.DataFrame, dictionary: Dictionary, max_senses: int = MAX_SENSES) -> pl.DataFrame:
    """Return the definitions of every row that has any: the token-definition frame.

    Whole words are looked up by their text. Where the tokenizer keeps case, senses of the word in that very case come
    alone if there are any ("Turkey" is not "turkey"); otherwise, and where the tokenizer folds case, all senses count.
    Senses weigh 1 / sqrt(1 + sense rank), normalised to sum 1 a token: later senses are rarer, yet a token's row mixes
    them all (flatter than 1 / (1 + rank) on held-out tokens; benchmarks/RESULTS.md).

    Args:
        vocabulary: the vocabulary frame.
        dictionary: its definition frame has senses in the dictionary's order.
        max_senses: senses kept of each token, from the first.

    Returns:
        One line a token and sense, in row order: `token_id i64, definition u32` (line of `dictionary.definitions`),
        `weight f32` in (0, 1], `how` (how the word was found).

    Raises:
        SettingsError: max_senses below 1.
    """
    if max_senses < 1:
        raise SettingsError(f"max_senses must be 1 or more, is {max_senses}")
    words = vocabulary.filter(pl.col("kind") == "word").select("token_id", "text", folded=_folded("text"))
    senses = dictionary.definitions.with_row_index("line").select("line", "word", "sense", folded=_folded("word"))
    keeps_case = vocabulary.filter(pl.col("kind") == "word")["case"].is_in(["title", "upper", "mixed"]).any()
    found = words.join(senses, on="folded").with_columns(exact=pl.col("text") == pl.col("word"))
    if keeps_case:
        found = found.filter(pl.col("exact") | ~pl.col("exact").any().over("token_id"))
    found = found.sort("token_id", "sense", "line").with_columns(
        rank=pl.int_range(pl.len()).over("token_id")  # 0, 1, ... among the senses that were found
    )
    found = found.filter(pl.col("rank") < max_senses).with_columns(raw=1.0 / (1.0 + pl.col("rank")).sqrt())
    return found.select(
        "token_id",
        definition="line",
        weight=(pl.col("raw") / pl.col("raw").sum().over("token_id")).cast(pl.Float32),
        how=pl.when("exact").then(pl.lit("exact")).otherwise(pl.lit("case-folded")).cast(HOW),
    )


def describe_matches(vocabulary: pl.DataFrame, matches: pl.DataFrame, dictionary: Dictionary) -> pl.DataFrame:
    """Return the matched definitions in words, one line a token and sense.

    Columns: `token_id, text, definition, weight, how`, and those of the dictionary's line: `word, pos, gloss, related,
    sense, source`. `related` (synonyms, hypernyms and derived words, separated by "; ") is null where a dictionary has
    no relations. Matches of pieces bring their own columns: `text` is the containing word, `pieces` and `at` say how it
    is cut.
    """
    lines = dictionary.definitions.with_row_index("line")
    if "related" not in lines.columns:
        lines = lines.with_columns(related=pl.lit(None, dtype=pl.String))
    lines = lines.select("line", "word", "pos", "related", "sense", "source", gloss="definition")
    texts = vocabulary.select("token_id", "text")
    named = matches if "text" in matches.columns else matches.join(texts, on="token_id")
    joined = named.join(lines, left_on="definition", right_on="line")
    return joined.sort("token_id", "weight", "sense", "definition", descending=[False, True, False, False])


def hide_word(text: str, word: str, by: str) -> str:
    """Return `text` with every whole-word occurrence of `word`, in any case, replaced by `by`.

    A definition that contains its own word would show the model the very row that it is to rebuild (8 % of the
    senses used do), so that held-out figures would flatter and broken rows would copy themselves.
    """
    if word.casefold() not in text.casefold():
        return text
    return re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", lambda _: by, text, flags=re.IGNORECASE)


def coverage(vocabulary: pl.DataFrame, matches: pl.DataFrame, by: str = "group") -> pl.DataFrame:
    """Return how many rows have a definition, by a column of the vocabulary frame ("group" or "kind").

    Columns: that one, `rows`, `covered`, `share` (0 to 1).
    """
    marked = vocabulary.with_columns(has=pl.col("token_id").is_in(matches["token_id"].implode()))
    counted = marked.group_by(by).agg(rows=pl.len(), covered=pl.col("has").sum()).sort(by)
    return counted.with_columns(share=pl.col("covered") / pl.col("rows"))


def _folded(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all("_", " ", literal=True)
