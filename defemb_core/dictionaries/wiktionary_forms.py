"""Forms and other spellings, followed to the definitions of their lemmas."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from defemb_core.dictionaries.wiktionary_entries import folded

MOST_HOPS: Final = 2
"""Links on the way from a form to a definition: "colours", plural of "colour", a spelling of "color". Each may be one
more pass over a dump."""
LEMMA_SENSES: Final = 3
"""Definitions that a form takes from its lemma, from the first. A form often has several parts of speech, and
`match_definitions` takes five senses by default."""


def usual_senses(senses: pl.DataFrame, left_out: Collection[str]) -> pl.DataFrame:
    """Return the senses without those that have one of the tags, except of words that have no others.

    A word that is always misspelled keeps "misspelling of ...": it is all that a dictionary can say of it.
    """
    listed = pl.col("tags").str.split(", ").list.set_intersection(pl.lit(sorted(left_out), dtype=pl.List(pl.String)))
    usual = (listed.list.len() == 0).fill_null(True)
    return senses.filter(usual | ~usual.any().over("word"))


def follow_forms(senses: pl.DataFrame) -> pl.DataFrame:
    """Return senses with forms ("plural of dog") replaced by their lemma's definitions ("plural of dog: a mammal ...").

    A form takes up to three definitions of its lemma: of the word as the form's sense spells it rather than in
    another case, then of the same part of speech rather than another. A lemma that is itself a form or a spelling is
    followed in turn, to two links in all, and every relation is stated; so a loop ends too. A form whose lemma is
    missing, or is in a loop, keeps its gloss. Gloss and relation stay as the dictionary words them, less the full stop.

    Args:
        senses: a frame of `SENSE_SCHEMA`.

    Returns:
        Its columns, `rank i64` (among the definitions that one sense became) and `followed bool` (whether the
        definition is a lemma's), sorted by `order` and `rank`. `lemma` stays the word that the sense itself names.
    """
    plain, forms = senses.filter(pl.col("lemma").is_null()), senses.filter(pl.col("lemma").is_not_null())
    way = forms.select("order", "word", "folded", "pos", "tags", "lemma", said=_relation(), to="lemma")
    done = [plain.with_columns(rank=pl.lit(0, dtype=pl.Int64), followed=pl.lit(False))]
    for _ in range(MOST_HOPS):
        reached = _targets(way, plain, LEMMA_SENSES)
        gloss = pl.col("said") + ": " + pl.col("to_gloss")
        reached = reached.with_columns(gloss=gloss, related="to_related", followed=pl.lit(True))
        done.append(reached.select(done[0].columns))
        onward = _targets(way.join(reached, on="order", how="anti"), forms, 1)
        said = pl.col("said") + ": " + _relation("to_gloss", "to_lemma")
        way = onward.with_columns(said=said, to="to_lemma").select(way.columns)
    kept = forms.join(pl.concat(done), on="order", how="anti")
    done.append(kept.with_columns(rank=pl.lit(0, dtype=pl.Int64), followed=pl.lit(False)))
    return pl.concat(done).sort("order", "rank")


def _relation(gloss: str = "gloss", lemma: str = "lemma") -> pl.Expr:
    """Return what a form's sense says, less the full stop, with the lemma named if the gloss does not name it."""
    text = pl.col(gloss).str.strip_chars_end(" .:;")
    names = pl.col(gloss).str.contains(pl.col(lemma), literal=True)
    return pl.when(names).then(text).otherwise(text + ", form of " + pl.col(lemma))


def _targets(way: pl.DataFrame, senses: pl.DataFrame, most: int) -> pl.DataFrame:
    """Join to each line of `way` the best of the senses of the word that it leads to, at most so many, with `rank`.

    The senses' columns have `to_` before their names; lines that lead nowhere or back to their own word are left out.
    """
    there = senses.select(pl.col("order", "word", "folded", "pos", "gloss", "lemma", "related").name.prefix("to_"))
    met = way.with_columns(key=folded("to")).join(there, left_on="key", right_on="to_folded")
    met = met.filter(pl.col("to_word") != pl.col("word"))
    likeness = 2 * (pl.col("to_word") == pl.col("to")) + (pl.col("to_pos") == pl.col("pos")).fill_null(False)
    met = met.with_columns(likeness=likeness)
    met = met.filter(pl.col("likeness") == pl.col("likeness").max().over("order")).sort("order", "to_order")
    return met.with_columns(rank=pl.int_range(pl.len()).over("order")).filter(pl.col("rank") < most)
