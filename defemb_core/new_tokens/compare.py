"""How good the rows of new tokens are: the starts compared on words whose own rows are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import BLOCK, judge_held_out, split_words, word_families
from defemb_core.evaluation.resampling import RESAMPLES, compare_means
from defemb_core.frequency import GROUPS
from defemb_core.neighbours import normalise_rows
from defemb_core.new_tokens.cuts import can_be_hidden, cut_without, without_tokens
from defemb_core.new_tokens.rows import EXPLAINED, STARTS, Start, Words, start_rows
from defemb_core.new_tokens.spelling import pieces_of
from defemb_core.pieces import matched_senses
from defemb_core.progress import Clock, Progress

if TYPE_CHECKING:
    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

NEIGHBOURS: Final = 10
MEASURES: Final = ("cosine", "mrr", "overlap")
COMPARED: Final = pl.Schema(
    {
        "start": pl.String(),
        "measure": pl.String(),  # one of MEASURES
        "words": pl.Int64(),  # held out, over all seeds
        "seeds": pl.Int64(),
        "mean": pl.Float64(),
        "low": pl.Float64(),  # of 95 % of resamples of the words
        "high": pl.Float64(),
        "p": pl.Float64(),  # of the difference to the first start, two-sided; null for that one itself
    }
)
"""One line a start and measure."""


def compare_starts(
    plm: PLM,
    vocabulary: pl.DataFrame,
    dictionary: Dictionary,
    settings: Settings,
    seeds: int = 1,
    progress: Progress | None = None,
    starts: Sequence[Start] = STARTS,
) -> pl.DataFrame:
    """Hide words of the table, make their rows as a new word's are made, and compare with the true ones.

    For each seed a fifth of the words with a definition is held out, with all their forms and cases (split_words).
    Their tokens are taken from the tokenizer and their rows from the table, all at once, so that definitions that say
    them read their pieces, and no map has seen them. A word's pieces are those that this tokenizer cuts it into; see
    cut_without for the rule. Words that cannot be cut so are left out, in BPE also those that a longer token is built
    from.

    Measures, each higher is better:

    - cosine: of the made row and the true one, the mean of the rows that stayed subtracted from both; -1 to 1.
    - mrr: mean reciprocal rank of the true row among all held-out true rows, by that cosine; chance is about
      ln(n) / n.
    - overlap: share of the made row's ten nearest rows, of those that stayed, that are the true row's too; 0 to 1.

    Returns:
        COMPARED, the starts in their order; intervals and p from paired resamples of the words.

    Raises:
        SettingsError: seeds below 1, or fewer than two words can be held out.
    """
    if seeds < 1:
        raise SettingsError(f"--seeds must be 1 or more, is {seeds}")
    found: list[np.ndarray] = []
    for number in range(seeds):
        own = replace(settings, seed=settings.seed + number, pieces=False)
        found.append(_one_seed(plm, vocabulary, dictionary, own, starts, Clock(progress, f"{number + 1} of {seeds}: ")))
    values = np.concatenate(found, axis=2)  # (measures, starts, words)
    lines = []
    for measure, of_starts in zip(MEASURES, values, strict=True):
        figures = compare_means(of_starts, RESAMPLES, settings.seed)
        for start, one in zip(starts, figures, strict=True):
            counts = {"words": of_starts.shape[1], "seeds": seeds}
            lines.append(
                {"start": start, "measure": measure, **counts} | {k: one.get(k) for k in ("mean", "low", "high", "p")}
            )
    return pl.DataFrame(lines, schema=COMPARED)


def hidden_words(
    plm: PLM, vocabulary: pl.DataFrame, senses: pl.DataFrame, seed: int
) -> tuple[PLM, np.ndarray, np.ndarray]:
    """Return the PLM without a fifth of its words; which rows are hidden, and which of them are judged, int64.

    All are hidden that share a family with a word that is; judged are those that can be cut into known pieces.

    Raises:
        SettingsError: fewer than two can be judged.
    """
    ids = senses["token_id"].unique().sort().to_numpy()
    families = word_families(senses, vocabulary, ids)
    held = ids[split_words(families, seed)[1]]
    hidden = held[can_be_hidden(plm.tokenizer, held)]
    tokenizer = without_tokens(plm.tokenizer, hidden.tolist())
    cut = pieces_of(tokenizer, vocabulary["text"][hidden].to_list())
    unknown = {tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")}
    judged = np.array([len(p) > 1 and not unknown & set(p) for p in cut], dtype=bool)
    if judged.sum() < 2:
        raise SettingsError(
            f"of {len(held)} held-out words {judged.sum()} can be cut into known pieces, too few to compare starts; "
            "name a larger dictionary"
        )
    matrix = plm.matrix.copy()
    matrix[held] = 0
    matrix.setflags(write=False)
    return replace(plm, tokenizer=tokenizer, matrix=matrix), held, hidden[judged]


def _one_seed(
    plm: PLM,
    vocabulary: pl.DataFrame,
    dictionary: Dictionary,
    settings: Settings,
    starts: Sequence[Start],
    clock: Clock,
) -> np.ndarray:
    """Return each judged word's figures, float64 (measures, starts, words)."""
    with clock.stage("hiding words"):
        senses = matched_senses(plm, vocabulary, dictionary, settings)
        blind, held, judged = hidden_words(plm, vocabulary, senses, settings.seed)
        kept = np.setdiff1d(senses["token_id"].unique().to_numpy(), held)
        pieces: dict[int, list[int]] = cut_without(plm.tokenizer, kept.tolist(), held.tolist())
        texts = vocabulary["text"][judged].to_list()
        pieces |= dict(zip(judged.tolist(), pieces_of(blind.tokenizer, texts), strict=True))
        lost = pl.col("token_id").is_in(np.setdiff1d(held, judged).tolist())  # hidden, and nobody asks for them
        group = pl.when(lost).then(pl.lit("none", GROUPS)).otherwise("group")
        others = vocabulary.with_columns(group=group)
        words = Words(blind, others, senses.filter(~lost), dictionary.definitions, judged, pieces)
    made = start_rows(words, starts, settings, clock)
    with clock.stage("judging"):
        true, table = plm.matrix[judged], plm.matrix[words.old]
        near = _nearest(table, true)
        return np.stack([_figures(rows, true, table, near) for rows in made.values()], axis=1)


def _figures(made: np.ndarray, true: np.ndarray, table: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return cosine, reciprocal rank and overlap of each made row, float64 (3, n)."""
    judged = judge_held_out(made, true, table.mean(axis=0, dtype=np.float64))
    mine = _nearest(table, made)
    shared = [len(set(one) & set(other)) / NEIGHBOURS for one, other in zip(near.tolist(), mine.tolist(), strict=True)]
    return np.stack([judged.cosines, 1.0 / judged.ranks, np.array(shared)]).astype(np.float64)


def _nearest(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the ten rows of a table with the highest cosine to each row, in no order, int64 (n, 10)."""
    units, asked = normalise_rows(table), normalise_rows(rows)
    count = min(NEIGHBOURS, len(units) - 1)
    parts = [
        np.argpartition(-(asked[i : i + BLOCK] @ units.T), count, axis=1)[:, :count] for i in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(parts)


def side_by_side(compared: pl.DataFrame) -> pl.DataFrame:
    """Return a comparison a line a start, "mean (low to high)" a measure, for people."""
    figures = compared.select("mean", "low", "high").iter_rows()
    cells = [f"{mean:z.3f} ({low:z.3f} to {high:z.3f})" for mean, low, high in figures]
    wide = compared.with_columns(cell=pl.Series(cells, dtype=pl.String)).pivot(
        "measure", index="start", values="cell", maintain_order=True
    )
    return wide.with_columns(made=pl.col("start").replace_strict(EXPLAINED, return_dtype=pl.String))
