"""What changed from one table to the other, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.hubness import measure_hubness
from defemb_core.neighbours import Neighbours, neighbour_turnover

if TYPE_CHECKING:
    from defemb_core.comparison import Comparison

# Neighbours of a row that measure turnover.
TURNOVER_NEIGHBOURS = 10


def token_changes(comparison: Comparison, neighbours: tuple[Neighbours, Neighbours] | None = None) -> pl.DataFrame:
    """Return the vocabulary frame with what is known of each row, all measured in the full space.

    Added columns: `rebuilt bool` (of tables other than a PLM's and a run's: whether the row differs), `cosine f32`
    (original row with rebuilt row, -1 to 1), `movement f32` (1 - cosine, 0 where the row was kept), `norm_original
    f32`, `norm_rebuilt f32`, `pos str` (part of speech of the first definition that the run kept; null without one, or
    where the dictionary does not say), and, with both tables' neighbours, `turnover f32` (share of the ten nearest
    neighbours that are new, 0 to 1), `hubness_original i32` and `hubness_rebuilt i32` (among how many other rows' ten
    nearest neighbours the row is; 10 on average).

    Example:
        >>> changes = de.token_changes(pair)
        >>> changes.filter(~changes["rebuilt"])["movement"].max()
        0.0
    """
    cosine = np.clip(row_cosines(comparison.original, comparison.rebuilt), -1, 1)
    rebuilt = comparison.changed
    columns = {
        "rebuilt": rebuilt,
        "cosine": cosine,
        "movement": np.where(rebuilt, 1 - cosine, 0).astype(np.float32),
        "norm_original": np.linalg.norm(comparison.original, axis=1),
        "norm_rebuilt": np.linalg.norm(comparison.rebuilt, axis=1),
        "pos": parts_of_speech(comparison),
    }
    if neighbours:
        before, after = (found.nearest(min(TURNOVER_NEIGHBOURS, found.k)) for found in neighbours)
        columns["turnover"] = neighbour_turnover(before, after)
        columns["hubness_original"] = measure_hubness(neighbours[0]).occurrence
        columns["hubness_rebuilt"] = measure_hubness(neighbours[1]).occurrence
    return comparison.vocabulary.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def parts_of_speech(comparison: Comparison) -> pl.Series:
    """Return the part of speech of each row's first definition, str (V,) with nulls, as its dictionary calls it."""
    if comparison.definitions is None:
        return pl.Series("pos", [None] * comparison.vocabulary.height, pl.String)
    first = comparison.definitions.group_by("token_id").agg(pl.col("pos").cast(pl.String).first())
    return comparison.vocabulary.select("token_id").join(first, on="token_id", how="left", maintain_order="left")["pos"]


def row_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one table with the same row of the other, float32 (V,); 0 for a zero row."""
    dot = np.einsum("ij,ij->i", first, second)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)
