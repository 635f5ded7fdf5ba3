"""A reconstruction to give away, with rows by chance and tokens that formats stumble over."""

from dataclasses import replace

import numpy as np
import polars as pl

from defemb_core.analysis import Analysis
from defemb_core.frequency import add_frequency
from defemb_core.neighbours import nearest_neighbours
from defemb_core.plm import PLM
from defemb_core.projection import project_pca
from defemb_core.projection_settings import ProjectionSettings
from defemb_core.reconstruction import Reconstruction, Settings, plm_provenance
from defemb_core.vocabulary import read_vocabulary

HELD_OUT = {"tokens": 3, "cosine": 0.25, "mrr": 0.5, "median_rank": 2.0}
# Blanks and line ends of every kind, what is read as a mark, a comment, a formula or a quote, and a token twice.
ODD = [
    "two words", "tab\there", "line\nbreak", "", "\u2581", " ", 'quo"te,', "\u2028", "\x00", "#", "x", "x", "é",
    "=1+1", "-2", "\r", "'", "\x85", "\ufeff", "<unk>", "NaN", "日本",
]  # fmt: skip
VALUES = np.array([1e-45, -0.0, 3.4028235e38, 1e-30, 16777217, -1 / 3], np.float32)
"""Float32 numbers that careless text loses: the smallest, minus nothing, the largest, and without a short decimal."""


def rebuild(plm: PLM, share: float = 0.5) -> Reconstruction:
    """A reconstruction whose rebuilt rows are random, chosen by chance among the rows."""
    chance = np.random.default_rng(7)
    rebuilt = chance.random(plm.rows) < share
    matrix = plm.matrix.copy()
    matrix[rebuilt] = chance.standard_normal((rebuilt.sum(), plm.width)).astype(np.float32)
    vocabulary = add_frequency(read_vocabulary(plm.tokenizer, plm.rows, plm.special_ids))
    provenance = {
        "plm": plm_provenance(plm, plm.name) | {"title": plm.title},
        "dictionary": {"name": "tiny dictionary", "sha256": "0" * 64, "senses": 5},
        "packages": {"defemb": "0"},
        "made": "2024-08-02T00:00:00Z",
    }
    return Reconstruction(
        matrix, rebuilt, Settings(method="instant"), vocabulary, pl.DataFrame(), {"held_out": HELD_OUT}, provenance
    )


def with_odd_tokens(made: Reconstruction) -> Reconstruction:
    """The same with ODD as the first tokens and texts, and VALUES at the start of the first row."""
    tokens = ODD + made.vocabulary["token"].to_list()[len(ODD) :]
    odd = made.vocabulary.with_columns(token=pl.Series(tokens), text=pl.Series(tokens))
    matrix = made.matrix.copy()
    matrix[0, : len(VALUES)] = VALUES
    return replace(made, vocabulary=odd, matrix=matrix)


def analysis_of(made: Reconstruction, plm: PLM) -> Analysis:
    """Neighbours of both tables and, in the place of UMAP maps, PCA's."""
    tables = plm.matrix, made.matrix
    first, second = (nearest_neighbours(table, 5) for table in tables)
    one, two = project_pca(tables)
    return Analysis((first, second), (one, two), np.arange(plm.rows), pl.DataFrame(), ProjectionSettings())
