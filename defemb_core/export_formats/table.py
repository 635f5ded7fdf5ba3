"""What every format is given: the table in blocks, so that none makes a copy of all of it, and names for its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from defemb_core.vocabulary import WORD_MARK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from defemb_core.analysis import Analysis

# Rows that are written at a time (float32): large enough that neither disk nor processor waits for the next.
BLOCK_BYTES = 16 * 2**20
COLUMNS = ("token_id", "token", "text", "kind", "group", "zipf")
# Everything that some reader takes for a blank or a line's end.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
TEXT_SHARE = 8  # of the usual blocks where they become text, which is several times as large
Tell = Callable[[int, int], None]
"""Takes how many of how many parts are done; may raise to stop the work."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table to give away.

    Attributes:
        matrix: (V, H), written as float32, little endian.
        rebuilt: bool (V,), which rows are new.
        vocabulary: the vocabulary frame.
        card: what is known of it, plain JSON values.
        tokenizer: whose rows they are.
        analysis: both tables' maps and neighbours, None where they have not been made.
    """

    matrix: np.ndarray
    rebuilt: np.ndarray
    vocabulary: pl.DataFrame
    card: dict[str, Any]
    tokenizer: Tokenizer
    analysis: Analysis | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.matrix), self.matrix.shape[1]

    def blocks(self, tell: Tell, rows: int | None = None, share: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the first `rows` rows (all by default) a block at a time: where they lie, and they as float32.

        A block is 1 / `share` of the usual size.
        """
        rows = len(self.matrix) if rows is None else rows
        for block in row_blocks(rows, share * self.matrix.shape[1]):
            tell(block.start, rows)
            yield block, np.ascontiguousarray(self.matrix[block], dtype="<f4")
        tell(rows, rows)

    @cached_property
    def columns(self) -> pl.DataFrame:
        """What is known of each row: COLUMNS of the vocabulary frame as types that all readers know, and `rebuilt`."""
        return self.vocabulary.select(COLUMNS).with_columns(
            pl.col("kind", "group").cast(pl.String), rebuilt=pl.Series(self.rebuilt, dtype=pl.Boolean)
        )

    @cached_property
    def labels(self) -> list[str]:
        """Names of the rows for formats that split at blanks; see word_labels."""
        return word_labels(self.vocabulary["token"].to_list())


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield the rows of a table of `width` float32 columns, BLOCK_BYTES at a time."""
    step = max(1, BLOCK_BYTES // (4 * width))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def word_labels(tokens: list[str]) -> list[str]:
    """Return the tokens as labels for formats that split at blanks: unique, never empty, no white space.

    White space and control characters become "▁"; an empty token becomes "<row▁N>"; where that makes a label twice, or
    the vocabulary lists a token twice, all but one get "<row▁N>" appended. Tokens that need no change keep theirs. The
    rule is the same every time, so that a label leads back to its row wherever the vocabulary is known.
    """
    labels = [_BLANK.sub(WORD_MARK, token) for token in tokens]
    taken: set[str] = {""}
    # Unchanged tokens choose first, so that a token with a blank never takes the name of one with a true mark.
    for row in sorted(range(len(tokens)), key=lambda row: labels[row] != tokens[row]):
        while labels[row] in taken:
            labels[row] += f"<row{WORD_MARK}{row}>"
        taken.add(labels[row])
    return labels
