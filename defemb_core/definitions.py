"""Which definitions belong to which row of the table, and how many rows have one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from defemb_core.dictionaries import GLOSSARY
from defemb_core.errors import SettingsError
from defemb_core.text import folded, without_accents

if TYPE_CHECKING:
    from collections.abc import Collection

    from defemb_core.dictionaries import Dictionary

HOW = pl.Enum(["exact", "case-folded", "respelled", "lemma", "numeral", "unicode", "glossary", "piece", "other-cut"])
"""How a row was found: by the word as it is; in another case; without accents, with another apostrophe or with blanks
for hyphens; as a form of the word; as a numeral; by a character's name; in a glossary; by words that are cut into
pieces of which it is one; by words that could be, yet are cut otherwise."""
OTHER_CUT = "other-cut"
PIECES = ("piece", OTHER_CUT)
"""Those by which a row has no definition of its own; they are asked for."""
WAYS = tuple(how for how in HOW.categories.to_list() if how != "piece")
"""Those that can be left out one by one."""
INSIDE = "##"
"""Before its text, it names a row that stands inside a word, whatever the tokenizer's own mark is."""
# A source that makes its definitions by rule says how a row was found by being the one that found it.
HOW_OF_SOURCE = {"glossary": "glossary", "numerals": "numeral", "unicode": "unicode"}
# Measured on held-out tokens (method frozen): MRR 0.677 with five senses, 0.683 with all of them for a third more
# prompts, 0.662 with three, 0.559 with one.
MAX_SENSES = 5


def match_definitions(
    vocabulary: pl.DataFrame, dictionary: Dictionary, max_senses: int = MAX_SENSES, without: Collection[str] = ()
) -> pl.DataFrame:
    """Return the definitions of every row that has any: the token-definition frame.

    Rows are looked up by their text, if they are of a kind that the source has words for; a glossary may also name a
    row as the tokenizer writes it, or as one inside a word ("##ing", see marked_names). Where the tokenizer keeps case,
    senses of the word in that very case come alone if there are any ("Turkey" is not "turkey"); otherwise, and where
    the tokenizer folds case, all senses count. Of several sources the first that defines a row counts, alone. Senses
    weigh 1 / sqrt(1 + sense rank), normalised to sum 1 a token: later senses are rarer, yet a token's row mixes them
    all (flatter than 1 / (1 + rank) on held-out tokens; benchmarks/RESULTS.md).

    Args:
        vocabulary: the vocabulary frame.
        dictionary: its definition frame has senses in the dictionary's order.
        max_senses: senses kept of each token, from the first.
        without: ways of matching that do not count, of HOW; a row that one source has by them alone takes the next's.

    Returns:
        One line a token and sense, in row order: `token_id i64, definition u32` (line of `dictionary.definitions`),
        `weight f32` in (0, 1], `how` (how the word was found).

    Raises:
        SettingsError: max_senses below 1, or no such way of matching.

    Example:
        >>> matches = de.match_definitions(vocabulary, dictionary)
        >>> matches.filter(token_id=3118).height
        2
    """
    if max_senses < 1:
        raise SettingsError(f"max_senses must be 1 or more, is {max_senses}")
    found, start = [], 0
    for rank, source in enumerate(dictionary.sources or (dictionary,)):
        found.append(_found(vocabulary, source, start).with_columns(source=pl.lit(rank)))
        start += source.definitions.height
    counted = pl.concat(found).filter(~pl.col("how").cast(pl.String).is_in(list(without)))
    matches = counted.filter(pl.col("source") == pl.col("source").min().over("token_id"))
    matches = matches.sort("token_id", "sense", "line").with_columns(
        rank=pl.int_range(pl.len()).over("token_id")  # 0, 1, ... among the senses that were found
    )
    matches = matches.filter(pl.col("rank") < max_senses).with_columns(raw=1.0 / (1.0 + pl.col("rank")).sqrt())
    return matches.select(
        "token_id",
        definition="line",
        weight=(pl.col("raw") / pl.col("raw").sum().over("token_id")).cast(pl.Float32),
        how="how",
    )


def _found(vocabulary: pl.DataFrame, source: Dictionary, start: int) -> pl.DataFrame:
    """Return the senses that one source has of each row: `token_id, line, sense, how`.

    Args:
        vocabulary: the vocabulary frame.
        source: a single dictionary.
        start: the number of its first line.
    """
    lines = source.definitions.with_row_index("line", start)
    senses = lines.select(pl.col("line").cast(pl.UInt32), "word", "sense", "form_of", folded=folded("word"))
    rows = vocabulary.filter(pl.col("kind").cast(pl.String).is_in(source.kinds))
    keeps_case = (rows["text"] != rows["text"].str.to_lowercase()).any()  # "ℝ" is a capital that has no other case
    texts = rows.select("token_id", "text", folded=folded("text"))
    exact = pl.col("text") == pl.col("word")
    by_text = pl.when(exact).then(pl.lit("exact")).otherwise(pl.lit("case-folded"))
    found = texts.join(senses, on="folded").with_columns(exact=exact, by_text=by_text)
    unfound = texts.join(found, on="token_id", how="anti")
    found = pl.concat([found, _respelled(unfound, senses).select(found.columns)])
    if source.name == GLOSSARY:
        found = pl.concat([found, _named_rows(vocabulary, senses).select(found.columns)])
    if keeps_case:
        found = found.filter(pl.col("exact") | ~pl.col("exact").any().over("token_id"))
    how = pl.when(pl.col("form_of").is_null()).then("by_text").otherwise(pl.lit("lemma"))
    told = pl.lit(HOW_OF_SOURCE[source.name]) if source.name in HOW_OF_SOURCE else how
    return found.select("token_id", "line", "sense", how=told.cast(HOW))


def _respelled(texts: pl.DataFrame, senses: pl.DataFrame) -> pl.DataFrame:
    """Return the senses of texts by their words without accents, with plain apostrophes and blanks for hyphens."""
    spelled = without_accents("folded").str.replace_all("-", " ", literal=True)
    words = senses.with_columns(spelled=spelled).drop("folded")
    found = texts.with_columns(spelled=spelled).join(words, on="spelled")
    return found.with_columns(exact=pl.lit(False), by_text=pl.lit("respelled"))


def marked_names(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return how a glossary names rows that are no words of a reader's: `token_id, text, word`, a line a name.

    A row has its token as a name, where that is not its text, and one inside a word "##" and its text, too: what
    byte-level BPE writes as "ing" is a piece, yet reads like a word.
    """
    rows = vocabulary.filter(~pl.col("kind").cast(pl.String).is_in(["special", "unused"]))
    tokens = rows.filter(pl.col("token") != pl.col("text")).select("token_id", "text", word="token")
    inside = rows.filter(~pl.col("starts_word")).select("token_id", "text", word=pl.lit(INSIDE) + pl.col("text"))
    return pl.concat([tokens, inside]).unique(maintain_order=True)


def _named_rows(vocabulary: pl.DataFrame, senses: pl.DataFrame) -> pl.DataFrame:
    """Return the senses of the rows that are named by marked names."""
    named = marked_names(vocabulary).join(senses, on="word")
    return named.with_columns(exact=pl.lit(True), by_text=pl.lit("exact"))


def describe_matches(vocabulary: pl.DataFrame, matches: pl.DataFrame, dictionary: Dictionary) -> pl.DataFrame:
    """Return the matched definitions in words, one line a token and sense.

    Columns: `token_id, text, definition, weight, how`, and those of the dictionary's line: `word, pos, gloss, related,
    sense, source, form_of`. `related` (synonyms, hypernyms and derived words, separated by "; ") is null where a
    dictionary has no relations. Matches of pieces bring their own columns: `text` is the containing word, `pieces` and
    `at` say how it is cut.
    """
    lines = dictionary.definitions.with_row_index("line")
    if "related" not in lines.columns:
        lines = lines.with_columns(related=pl.lit(None, dtype=pl.String))
    lines = lines.select("line", "word", "pos", "related", "sense", "source", "form_of", gloss="definition")
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
    """Return how many rows have a definition, by a column of the vocabulary frame or of the matches.

    Columns: that one, `rows`, `covered`, `share` (0 to 1). By a column of the matches ("how"; "source" if they are
    described) `rows` are all rows and a row counts where its first definition belongs.

    Args:
        vocabulary: the rows that count.
        matches: as match_definitions or describe_matches return them.
        by: "group", "kind", "how" or "source".

    Example:
        >>> by_kind = de.coverage(vocabulary, matches, by="kind")
        >>> print(f"{by_kind.filter(kind='number')['share'][0]:.0%}")
        100%
    """
    if by in vocabulary.columns:
        marked = vocabulary.with_columns(has=pl.col("token_id").is_in(matches["token_id"].implode()))
        counted = marked.group_by(by).agg(rows=pl.len(), covered=pl.col("has").sum()).sort(by)
    else:
        found = matches.join(vocabulary, on="token_id", how="semi", maintain_order="left")
        first = found.unique("token_id", keep="first", maintain_order=True)
        counted = first.group_by(by).agg(rows=pl.lit(vocabulary.height, dtype=pl.UInt32), covered=pl.len())
        counted = counted.sort("covered", by, descending=[True, False])
    return counted.with_columns(share=pl.col("covered") / pl.col("rows"))
