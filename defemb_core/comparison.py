"""Two tables of one vocabulary side by side, and what changed for each token."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.cache import table_sha256
from defemb_core.errors import RunError
from defemb_core.hub import BUNDLED
from defemb_core.hubness import measure_hubness
from defemb_core.neighbours import Neighbours, neighbour_turnover
from defemb_core.plm import PLM, load_plm
from defemb_core.reconstruction import Reconstruction
from defemb_core.reconstruction_files import load_reconstruction

# Neighbours of a row that measure turnover.
TURNOVER_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run's table and the PLM's own, row by row.

    Attributes:
        plm: whose table is the original.
        reconstruction: the run.

    Raises:
        RunError: the run was made from another table than the PLM's.
    """

    plm: PLM
    reconstruction: Reconstruction

    def __post_init__(self) -> None:
        made_from = self.reconstruction.provenance["plm"]["table_sha256"]
        if made_from != self.plm.digest:
            raise RunError(
                f"the run was made from a table with SHA-256 {made_from[:12]}..., {self.plm.name!r} now has "
                f"{self.plm.digest[:12]}...; load the PLM's earlier revision or rebuild"
            )

    @property
    def original(self) -> np.ndarray:
        """The PLM's table, float32 (V, H)."""
        return self.plm.matrix

    @property
    def rebuilt(self) -> np.ndarray:
        """The run's table, float32 (V, H)."""
        return self.reconstruction.matrix

    @property
    def vocabulary(self) -> pl.DataFrame:
        """The vocabulary frame."""
        return self.reconstruction.vocabulary

    @cached_property
    def rebuilt_digest(self) -> str:
        """SHA-256 of the rebuilt table."""
        return table_sha256(self.rebuilt)

    @cached_property
    def key(self) -> str:
        """SHA-256 over both tables and the frequency groups: two runs may share a table and differ in their groups."""
        groups = self.vocabulary["group"].to_physical().to_numpy().tobytes()
        parts = self.plm.digest.encode(), self.rebuilt_digest.encode(), groups
        return hashlib.sha256(b" ".join(parts)).hexdigest()


def open_comparison(folder: Path, load: Callable[[str, str | None], PLM] = load_plm) -> Comparison:
    """Open a complete run together with the PLM that it was made from.

    Args:
        folder: the run's directory.
        load: gives a PLM by name and revision; a program that keeps PLMs in memory passes its own.

    Raises:
        RunError: no complete run, or the PLM's table is another one by now.
        PLMError: the PLM cannot be loaded any more.
    """
    reconstruction = load_reconstruction(folder)
    plm = reconstruction.provenance["plm"]
    return Comparison(load(plm["name"], None if plm["name"] == BUNDLED else plm["revision"]), reconstruction)


def row_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one table with the same row of the other, float32 (V,); 0 for a zero row."""
    dot = np.einsum("ij,ij->i", first, second)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)


def token_changes(comparison: Comparison, neighbours: tuple[Neighbours, Neighbours] | None = None) -> pl.DataFrame:
    """Return the vocabulary frame with what is known of each row, all measured in the full space.

    Added columns: `rebuilt bool`, `cosine f32` (original row with rebuilt row, -1 to 1), `movement f32` (1 - cosine, 0
    where the row was kept), `norm_original f32`, `norm_rebuilt f32`, `pos str` (part of speech of the first definition
    that the run kept; null without one, or where the dictionary does not say), and, with both tables' neighbours,
    `turnover f32` (share of the ten nearest neighbours that are new, 0 to 1), `hubness_original i32` and
    `hubness_rebuilt i32` (among how many other rows' ten nearest neighbours the row is; 10 on average).
    """
    cosine = np.clip(row_cosines(comparison.original, comparison.rebuilt), -1, 1)
    rebuilt = comparison.reconstruction.rebuilt
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
    first = comparison.reconstruction.definitions.group_by("token_id").agg(pl.col("pos").cast(pl.String).first())
    return comparison.vocabulary.select("token_id").join(first, on="token_id", how="left", maintain_order="left")["pos"]
