"""Word similarity: does a table rank pairs of words as people do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.evaluation.pair_files import PairSet
from defemb_core.evaluation.resampling import RESAMPLES, interval, resampled_counts, two_sided_p
from defemb_core.prompts import plain_tokenizer

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from defemb_core.plm import PLM

Pieces = Literal["mean", "skip"]
PIECES: tuple[Pieces, ...] = get_args(Pieces)
ALL = "all pairs"
FEWEST = 10  # pairs; the correlation of fewer says nothing


@dataclass(frozen=True)
class SimilaritySettings:
    """How word similarity is measured.

    Attributes:
        pieces: a word of several pieces is the "mean" of its pieces' rows, or "skip": its pairs are left out.
        resamples: of the pairs, for the intervals.
        seed: of the resamples.

    Raises:
        SettingsError: a value is outside its range.
    """

    pieces: Pieces = "mean"
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pieces not in PIECES:
            raise SettingsError(f"unknown rule for words of several pieces {self.pieces!r}; use {' or '.join(PIECES)}")
        if not 100 <= self.resamples <= 1_000_000:
            raise SettingsError(f"resamples must lie between 100 and 1,000,000, is {self.resamples}")
        if self.seed < 0:
            raise SettingsError(f"seed must be 0 or more, is {self.seed}")


@dataclass(frozen=True, eq=False)
class LocatedPairs:
    """The pairs of a set whose words a PLM's tokenizer knows, and the rows that stand for them.

    Attributes:
        name: the set's.
        words: where each pair's two words stand among the lines of `shares`, int64 (n, 2).
        scores: human scores, float64 (n,).
        shares: csr (words, V): how much each row counts in a word; a line sums to 1.
        in_set: pairs of the set, located or not.
        unknown: pairs left out for a word that the tokenizer cannot spell.
        skipped: pairs left out for a word of several pieces.
        in_pieces: located pairs with such a word.
    """

    name: str
    words: np.ndarray
    scores: np.ndarray
    shares: csr_array
    in_set: int
    unknown: int
    skipped: int
    in_pieces: int

    @property
    def note(self) -> str:
        """What was left out and how the rest was read, in one sentence."""
        said = [f"{self.name}: {len(self.scores):,} of {self.in_set:,} pairs"]
        if self.in_pieces:
            said.append(f"{self.in_pieces:,} with a word of several pieces, the mean of their rows")
        if self.skipped:
            said.append(f"{self.skipped:,} left out for a word of several pieces")
        if self.unknown:
            said.append(f"{self.unknown:,} left out for a word that the tokenizer cannot spell")
        return "; ".join(said)

    def with_token(self, marked: np.ndarray) -> np.ndarray:
        """Return which pairs have a token among the marked rows, bool (n,); `marked` is bool (V,)."""
        words = np.asarray(self.shares @ marked.astype(np.float32)) > 0
        return np.asarray(words[self.words].any(axis=1))

    def cosines(self, table: np.ndarray) -> np.ndarray:
        """Return the cosine of each pair's words in a table (V, H), float64 (n,); 0 where a word's row is zero."""
        rows = np.asarray(self.shares @ table, dtype=np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        units = rows / np.where(norms > 0, norms, 1.0)
        return np.vecdot(units[self.words[:, 0]], units[self.words[:, 1]])


def locate_pairs(sets: Sequence[PairSet], plm: PLM, pieces: Pieces = "mean") -> list[LocatedPairs]:
    """Find the rows that stand for the words of sets.

    A word is what the PLM's tokenizer makes of it inside a text, after a blank: in lower case if it folds case, whole
    or in pieces. A word with a piece that the tokenizer does not know is unknown.

    Args:
        sets: one or more.
        plm: its tokenizer cuts words, its rows stand for them.
        pieces: see SimilaritySettings.

    Raises:
        EvaluationError: no pair of any set is left.
    """
    words = [one.pairs.select("word1", "word2").to_numpy().astype(str) for one in sets]
    texts, numbers = np.unique(np.concatenate(words), return_inverse=True)
    tokenizer = plain_tokenizer(plm.tokenizer)
    encoded = tokenizer.encode_batch_fast([f" {text}" for text in texts.tolist()], add_special_tokens=False)
    ids = [one.ids for one in encoded]
    shares = _mean_of_rows(ids, plm.rows)
    known = np.array([bool(rows) and not plm.special_ids & set(rows) for rows in ids])
    whole = np.array([len(rows) == 1 for rows in ids])
    parts = np.split(numbers.reshape(-1, 2), np.cumsum([len(pairs) for pairs in words])[:-1])
    located = []
    for one, pairs in zip(sets, parts, strict=True):
        spelled, single = known[pairs].all(axis=1), whole[pairs].all(axis=1)
        kept = spelled & single if pieces == "skip" else spelled
        scores, counts = one.pairs["score"].to_numpy()[kept], (~spelled, spelled & ~kept, kept & ~single)
        unknown, skipped, in_pieces = (int(count.sum()) for count in counts)
        located.append(LocatedPairs(one.name, pairs[kept], scores, shares, len(pairs), unknown, skipped, in_pieces))
    if not any(len(one.scores) for one in located):
        wanted, way = "is known to", "name pairs in the PLM's language and script"
        if any(one.skipped for one in located):
            wanted, way = "is whole in", "take the mean of a word's pieces"
        raise EvaluationError(
            f"of the {numbers.size // 2:,} pairs in {', '.join(repr(one.name) for one in sets)} there is none of which "
            f"each word {wanted} the tokenizer of {plm.title!r}; {way}"
        )
    return located


def _mean_of_rows(ids: Sequence[Sequence[int]], rows: int) -> csr_array:
    from scipy.sparse import csr_array

    lengths = [len(row) for row in ids]
    shares = np.repeat([1.0 / max(length, 1) for length in lengths], lengths).astype(np.float32)
    columns = np.array([row for one in ids for row in one], dtype=np.int64)
    return csr_array((shares, columns, np.cumsum([0, *lengths])), shape=(len(ids), rows))


def measure_similarity(
    sets: Sequence[LocatedPairs],
    tables: Mapping[str, np.ndarray],
    marked: Mapping[str, np.ndarray],
    settings: SimilaritySettings | None = None,
) -> pl.DataFrame:
    """Correlate each table's cosines with human scores, for all pairs and for those with a token of each kind.

    Args:
        sets: as locate_pairs returns them.
        tables: by name, float (V, H); the first is what the others are compared with.
        marked: rows of a kind by its name, bool (V,); a part of the pairs each: "low-frequency token", say.
        settings: how.

    Returns:
        A line a set, part and table, in this order: `set str`, `part str` ("all pairs", then "with a " and the kind),
        `table str`, `pairs i64` (in the part), `in_set i64` (in the file), `spearman f64` (Spearman's rank correlation,
        -1 to 1; ties share the mean of their ranks), `low f64`, `high f64` (its 95 % percentile interval over
        resampled pairs), `difference f64` (to the first table's), `difference_low f64`, `difference_high f64`, `p f64`
        (resampling.two_sided_p: the same resamples for both tables). Null: a part of fewer than 10 pairs or without
        any spread, and, for the first table, the differences.
    """
    settings = settings or SimilaritySettings()
    lines: list[dict[str, object]] = []
    for pairs in sets:
        cosines = np.stack([pairs.cosines(table) for table in tables.values()])
        parts = {ALL: np.ones(len(pairs.scores), dtype=bool)}
        parts |= {f"with a {kind}": pairs.with_token(rows) for kind, rows in marked.items()}
        for part, chosen in parts.items():
            told = {"set": pairs.name, "part": part, "pairs": int(chosen.sum()), "in_set": pairs.in_set}
            figures = _figures(cosines[:, chosen], pairs.scores[chosen], settings)
            lines += [{**told, "table": name, **of} for name, of in zip(tables, figures, strict=True)]
    frame = pl.DataFrame(lines, SIMILARITY_SCHEMA)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


SIMILARITY_SCHEMA = {
    "set": pl.String, "part": pl.String, "table": pl.String, "pairs": pl.Int64, "in_set": pl.Int64,
    "spearman": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "p": pl.Float64,
}  # fmt: skip


def _figures(cosines: np.ndarray, scores: np.ndarray, settings: SimilaritySettings) -> list[dict[str, float]]:
    """Return the figures of each table, a line of `cosines` (T, n) each."""
    if len(scores) < FEWEST:
        return [{} for _ in cosines]
    found = spearman(cosines, scores)
    resampled = resample_spearman(cosines, scores, settings.resamples, settings.seed)
    lines = []
    for number, (value, drawn) in enumerate(zip(found, resampled, strict=True)):
        line = {"spearman": float(value), **dict(zip(("low", "high"), interval(drawn), strict=True))}
        if number and np.isfinite(value - found[0]):
            differences = drawn - resampled[0]
            low, high = interval(differences)
            line |= {"difference": float(value - found[0]), "difference_low": low, "difference_high": high}
            line["p"] = two_sided_p(differences)
        lines.append(line)
    return lines


def spearman(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each line of `values` (T, n) with `scores` (n,), (T,).

    -1 to 1; ties share the mean of their ranks; NaN where one of both is constant.
    """
    return _weighted_spearman(np.atleast_2d(values), scores, np.ones((1, len(scores))))[:, 0]


def resample_spearman(values: np.ndarray, scores: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the same for resampled pairs, (T, resamples); each resample is the same for all lines of `values`."""
    blocks = [
        _weighted_spearman(np.atleast_2d(values), scores, counts)
        for counts in resampled_counts(len(scores), resamples, seed)
    ]
    return np.concatenate(blocks, axis=1)


def _weighted_spearman(values: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return rank correlations (T, b) of items that occur `counts` times each, (b, n)."""
    human, human_spread = _centred_ranks(scores, counts)
    human *= counts
    found = []
    for line in values:
        ranks, spread = _centred_ranks(line, counts)
        with np.errstate(invalid="ignore"):
            found.append(np.einsum("bn,bn->b", ranks, human) / np.sqrt(spread * human_spread))
    return np.stack(found)


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each item's rank less the mean rank, (b, n), and the sum of their squares over all occurrences, (b,).

    Values are sorted once: in a resample an item's rank is how many occurrences have smaller values, and half of those
    that share its own.
    """
    order = np.argsort(values, kind="stable")
    first = np.concatenate([[True], np.diff(values[order]) > 0])
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.cumsum(first) - 1
    occurrences = np.add.reduceat(counts[:, order], np.flatnonzero(first), axis=1)
    ranks = np.cumsum(occurrences, axis=1) - (occurrences - 1) / 2
    ranks -= (counts.sum(axis=1, keepdims=True) + 1) / 2
    return ranks[:, group], np.einsum("bg,bg,bg->b", occurrences, ranks, ranks)


def side_by_side(
    figures: pl.DataFrame, keys: Sequence[str] = ("set", "part"), count: str = "pairs", value: str = "spearman"
) -> pl.DataFrame:
    """Return a line a set and part for people to read, figures as text.

    Args:
        figures: a line a set, part and table.
        keys: columns that name a line.
        count: the column that says of how many pairs a line is.
        value: the column of the figure whose interval, difference and p the others hold.

    Returns:
        `set, part, pairs`, a column for each table, called like it ("0.532 (0.483 to 0.578)": figure and interval), and
        for each but the first `NAME - FIRST` and `p`. A dash stands for what is not known.
    """
    tables = figures["table"].unique(maintain_order=True).to_list()
    lines = []
    for names, rows in figures.group_by(keys, maintain_order=True):
        line: dict[str, object] = {**dict(zip(keys, names, strict=True)), count: rows[count][0]}
        by_table = {row["table"]: row for row in rows.iter_rows(named=True)}
        line |= {table: _told(by_table[table], value, "low", "high", "") for table in tables}
        for table in tables[1:]:
            row, ending = by_table[table], "" if len(tables) == 2 else f" ({table})"
            line[f"{table} - {tables[0]}"] = _told(row, "difference", "difference_low", "difference_high", "+")
            line[f"p{ending}"] = "–" if row["p"] is None else f"{row['p']:.3f}"
        lines.append(line)
    return pl.DataFrame(lines)


def _told(row: Mapping[str, float | None], value: str, low: str, high: str, sign: str) -> str:
    found = [row[name] for name in (value, low, high)]
    if any(figure is None for figure in found):
        return "–"
    return "{:{s}.3f} ({:{s}.3f} to {:{s}.3f})".format(*found, s=sign)
