"""Low-frequency semantics: are a token's synonyms, hypernyms and co-hyponyms near it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import TIE, word_families
from defemb_core.evaluation.resampling import RESAMPLES, compare_means
from defemb_core.evaluation.word_similarity import side_by_side
from defemb_core.text import folded

RELATIONS = ("synonyms", "hypernyms", "co-hyponyms")
DEPTHS = (3, 10)
FEWEST = 10  # tokens; the mean of fewer says nothing
_SCORE_BYTES = 64 * 2**20  # similarities (float32) that exist at a time


@dataclass(frozen=True)
class RelationSettings:
    """How low-frequency semantics is measured.

    Attributes:
        tokens: of each frequency group, drawn by `seed` where there are more.
        resamples: of the tokens, for the intervals.
        seed: of the draw and the resamples.

    Raises:
        SettingsError: a value is outside its range.
    """

    tokens: int = 1000
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("tokens", FEWEST), ("resamples", 100), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} must be {least} or more, is {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class RelatedTokens:
    """Which rows WordNet says are related to which, among the words of one vocabulary.

    Attributes:
        gold: a line a token, relation and related row: `token_id i64`, `relation str` (of RELATIONS), `row i64`.
        family: a number for each row, equal for the forms of one word ("dog", "dogs"); int64 (V,).
        candidates: the rows that may be neighbours, bool (V,): neither special nor unused.
    """

    gold: pl.DataFrame
    family: np.ndarray
    candidates: np.ndarray


def related_tokens(vocabulary: pl.DataFrame, definitions: pl.DataFrame, hypernyms: pl.DataFrame) -> RelatedTokens:
    """Find which rows of whole words are related to which, in one of three ways.

    - synonyms: they share a synset with it;
    - hypernyms: they are in a direct hypernym of one of its synsets;
    - co-hyponyms: they are in another synset with the same direct hypernym, and are no synonyms.

    Words are compared without case, as lemmas: a row counts by its own text. Forms of the token's own word are neither
    gold nor candidates, in either table: with one definition they are neighbours by construction.

    Args:
        vocabulary: the vocabulary frame.
        definitions: WordNet's definition frame for this vocabulary, with the forms of its words.
        hypernyms: as wordnet_hypernyms.load_hypernyms returns them.
    """
    words = vocabulary.filter(pl.col("kind").cast(pl.String) == "word").select("token_id", folded=folded("text"))
    lines = definitions.select("synset", "form_of", folded=folded("word")).unique(maintain_order=True)
    rows = words.join(lines, on="folded", maintain_order="left")
    family = _families(vocabulary, rows)
    lemmas = rows.filter(pl.col("form_of").is_null()).select("token_id", "synset").unique(maintain_order=True)
    others = lemmas.rename({"token_id": "row"})
    above = lemmas.join(hypernyms, on="synset").select("token_id", "hypernym").unique(maintain_order=True)
    beside = above.join(hypernyms, on="hypernym").select("token_id", "synset").unique(maintain_order=True)
    found = {
        "synonyms": lemmas.join(others, on="synset"),
        "hypernyms": above.join(others, left_on="hypernym", right_on="synset"),
        "co-hyponyms": beside.join(others, on="synset"),
    }
    gold = pl.concat(
        [pairs.select("token_id", pl.lit(name).alias("relation"), "row").unique() for name, pairs in found.items()]
    )
    gold = gold.filter(family[gold["token_id"].to_numpy()] != family[gold["row"].to_numpy()])
    synonyms = gold.filter(pl.col("relation") == "synonyms").with_columns(relation=pl.lit("co-hyponyms"))
    gold = gold.join(synonyms, on=gold.columns, how="anti").sort("token_id", "relation", "row")
    return RelatedTokens(gold, family, (vocabulary["group"] != "none").to_numpy())


def _families(vocabulary: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Return a number for each row of the vocabulary, equal for the forms of one word."""
    ids = rows["token_id"].unique().sort().to_numpy()
    family = np.arange(vocabulary.height, dtype=np.int64)
    if len(ids):
        names = word_families(rows.select("token_id", "form_of"), vocabulary, ids)
        family[ids] = vocabulary.height + np.unique(names, return_inverse=True)[1]
    return family


def measure_relations(
    tables: Mapping[str, np.ndarray],
    related: RelatedTokens,
    groups: Mapping[str, np.ndarray],
    settings: RelationSettings | None = None,
) -> pl.DataFrame:
    """Rank each token's neighbours in each table, in the full space, and say how far up its related words come.

    Args:
        tables: by name, float (V, H); the first is what the others are compared with.
        related: what counts.
        groups: the tokens to ask about, bool (V,) by the group's name. They may overlap; tokens are drawn from the
            first that has them.
        settings: how.

    Returns:
        A line a relation, group and table, in this order: `relation str`, `group str`, `table str`, `tokens i64` (asked
        about: those that have such a word in the vocabulary), `mrr f64` (mean reciprocal rank of the nearest related
        word by cosine among all candidates, 0 to 1, 1 is best; equal cosines share the mean of their ranks), `low
        f64`, `high f64` (its 95 % interval over resampled tokens), `precision_3 f64`, `precision_10 f64` (mean share
        of related words among the 3 or 10 nearest: at most what the tokens have of them), `difference f64`,
        `difference_low f64`, `difference_high f64`, `p f64` (of the MRR to the first table's, as measure_similarity has
        them). Null: a group of fewer than 10 tokens and, for the first table, the differences.
    """
    settings = settings or RelationSettings()
    asked = _drawn(related, groups, settings)
    ranked = {name: _ranked(table, related, asked) for name, table in tables.items()}
    lines = []
    for relation in RELATIONS:
        of_relation = {name: frame.filter(pl.col("relation") == relation) for name, frame in ranked.items()}
        for group, marked in groups.items():
            chosen = {name: frame.filter(marked[frame["token_id"].to_numpy()]) for name, frame in of_relation.items()}
            lines += [{"relation": relation, "group": group, **line} for line in _figures(chosen, settings)]
    return pl.DataFrame(lines, RELATION_SCHEMA)


RELATION_SCHEMA = {
    "relation": pl.String, "group": pl.String, "table": pl.String, "tokens": pl.Int64,
    "mrr": pl.Float64, "low": pl.Float64, "high": pl.Float64, "precision_3": pl.Float64, "precision_10": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "p": pl.Float64,
}  # fmt: skip


def _drawn(related: RelatedTokens, groups: Mapping[str, np.ndarray], settings: RelationSettings) -> np.ndarray:
    """Return the tokens to ask about, ascending."""
    draw = np.random.default_rng(settings.seed)
    left = np.zeros(len(related.family), dtype=bool)
    left[related.gold["token_id"].to_numpy()] = True
    chosen = []
    for marked in groups.values():
        rows = np.flatnonzero(marked & left)
        chosen.append(rows if len(rows) <= settings.tokens else draw.choice(rows, settings.tokens, replace=False))
        left &= ~marked
    return np.sort(np.concatenate(chosen))


def _ranked(table: np.ndarray, related: RelatedTokens, asked: np.ndarray) -> pl.DataFrame:
    """Return a line a token and relation: `token_id`, `relation`, `reciprocal` (of the rank), `precision_3`, `_10`."""
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    units = (table / np.where(norms > 0, norms, 1)).astype(np.float32)
    size = max(1, _SCORE_BYTES // (4 * len(units)))
    frames = []
    for start in range(0, len(asked), size):
        block = asked[start : start + size]
        scores = units[block] @ units.T
        scores[:, ~related.candidates] = -np.inf
        lines, members = _same_family(related.family, block)
        scores[lines, members] = -np.inf
        gold = related.gold.filter(pl.col("token_id").is_in(pl.Series(block).implode()))
        frames += list(_of_block(scores, gold.with_columns(line=np.searchsorted(block, gold["token_id"].to_numpy()))))
    return pl.concat(frames)


def _same_family(family: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (line of the block, row) of rows that are forms of the same word as the line's token."""
    order = np.argsort(family, kind="stable")
    first, last = (np.searchsorted(family[order], family[block], side) for side in ("left", "right"))
    lines = np.repeat(np.arange(len(block)), last - first)
    places = np.arange(len(lines)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    return lines, order[np.repeat(first, last - first) + places]


def _of_block(scores: np.ndarray, gold: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the figures of each relation; `gold` says the `line` of `scores` that each of its pairs belongs to."""
    deepest = min(DEPTHS[-1], scores.shape[1])
    top = np.sort(np.partition(scores, -deepest, axis=1)[:, -deepest:], axis=1)
    for (relation,), pairs in gold.group_by("relation", maintain_order=True):
        line, row = pairs["line"].to_numpy(), pairs["row"].to_numpy()
        lines, starts = np.unique(line, return_index=True)
        found = scores[line, row]
        nearest = np.full((len(scores), 1), np.inf, np.float32)  # a token without such a word is not asked
        nearest[lines, 0] = np.maximum.reduceat(found, starts)
        closer = np.count_nonzero(scores > nearest + TIE, axis=1)[lines]
        as_close = np.count_nonzero(scores >= nearest - TIE, axis=1)[lines]
        columns = {"reciprocal": 1 / (1 + closer + (as_close - closer - 1) / 2)}
        for depth in DEPTHS:
            hits = np.add.reduceat((found >= top[line, max(0, deepest - depth)]).astype(np.int64), starts)
            columns[f"precision_{depth}"] = np.minimum(hits, depth) / depth
        tokens = pairs["token_id"].to_numpy()[starts]
        yield pl.DataFrame({"token_id": tokens, "relation": [relation] * len(tokens), **columns})


def relations_side_by_side(relations: pl.DataFrame) -> pl.DataFrame:
    """Return a line a relation and group for people to read, figures as text; see word_similarity.side_by_side.

    Columns: `relation, group, tokens`, each table's MRR with its interval, the difference of the others' to the first
    one's, `p`, and for each table `P@3, P@10 of NAME`, "0.102, 0.055".
    """
    keys, precisions = ["relation", "group"], [f"precision_{depth}" for depth in DEPTHS]
    shown = side_by_side(relations, keys, "tokens", "mrr")
    for table in relations["table"].unique(maintain_order=True):
        lines = relations.filter(pl.col("table") == table)
        told = [
            "–" if None in line else ", ".join(f"{share:.3f}" for share in line) for line in lines[precisions].rows()
        ]
        shares = lines.select(*keys, pl.Series(f"P@3, P@10 of {table}", told))
        shown = shown.join(shares, on=keys, how="left", maintain_order="left")
    return shown


def _figures(ranked: Mapping[str, pl.DataFrame], settings: RelationSettings) -> list[dict[str, object]]:
    """Return a line of figures for each table, of the same tokens in the same order."""
    values = np.stack([frame["reciprocal"].to_numpy() for frame in ranked.values()])
    if values.shape[1] < FEWEST:
        return [{"table": name, "tokens": values.shape[1]} for name in ranked]
    lines = []
    means = compare_means(values, settings.resamples, settings.seed)
    for (name, frame), told in zip(ranked.items(), means, strict=True):
        line = {"table": name, "tokens": values.shape[1], "mrr": told.pop("mean"), **told}
        lines.append(line | {f"precision_{depth}": frame[f"precision_{depth}"].mean() for depth in DEPTHS})
    return lines
