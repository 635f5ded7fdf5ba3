"""Formats with a line a token and named columns: Parquet, CSV, and Parquet with maps for Embedding Atlas."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from defemb_core.errors import ExportError
from defemb_core.export_formats.table import TEXT_SHARE, Table, Tell
from defemb_core.export_formats.target import Target
from defemb_core.text import formula_safe


def write_parquet(table: Table, target: Target, tell: Tell) -> None:
    """Write columns token_id, token, text, kind, group, zipf, rebuilt, embedding (array of H f32); metadata `card`."""
    import pyarrow as pa

    def parts() -> Iterable[Any]:
        for rows, block in table.blocks(tell):
            values = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), table.shape[1])
            yield _arrow(table.columns[rows]).append_column("embedding", values)

    _write_parts(parts(), table, target)


def write_csv(table: Table, target: Target, tell: Tell) -> None:
    """Write the same columns as text, the row's values as columns "0" to "H-1", in digits that read back exactly.

    A text that a spreadsheet would run as a formula gets an apostrophe before it; token_id says which row it is.
    """
    names = [str(column) for column in range(table.shape[1])]
    with target.open() as stream:
        for rows, block in table.blocks(tell, share=TEXT_SHARE):
            frame = formula_safe(table.columns[rows]).hstack(pl.from_numpy(block, names))
            stream.write_lines(frame, include_header=rows.start == 0)


def write_atlas(table: Table, target: Target, tell: Tell) -> None:
    """Write what Embedding Atlas shows without computing anything, and without the rows themselves.

    Columns besides the vocabulary's: x and y, f32, the place on the rebuilt table's UMAP map; x_original and
    y_original on the original's; null for rows that are not on the maps; neighbors, a struct of ids (the nearest rows,
    counted from 0) and distances (1 - cosine) in the rebuilt table, in its full space.

    Raises:
        ExportError: the maps have not been made.
    """
    if table.analysis is None:
        raise ExportError("format 'atlas' needs the UMAP maps; make them with 'analyse' first")
    near, maps = table.analysis.neighbours[1], table.analysis.maps
    places = {
        f"{axis}{side}": _spread(coordinates[:, number], table.analysis.rows, len(table.matrix))
        for side, coordinates in (("", maps[1].coordinates), ("_original", maps[0].coordinates))
        for number, axis in enumerate("xy")
    }
    found = pl.DataFrame({"ids": near.indices, "distances": np.maximum(0, 1 - near.similarities)})
    found = found.select(
        pl.col("ids").arr.to_list().cast(pl.List(pl.Int64)), pl.col("distances").arr.to_list()
    )  # readers of JSON know no arrays of one length
    frame = table.columns.with_columns(**places)
    frame = frame.with_columns(found.to_struct("neighbors"))
    tell(0, 1)
    _write_parts([_arrow(frame)], table, target)
    tell(1, 1)


def _spread(values: np.ndarray, rows: np.ndarray, count: int) -> pl.Series:
    """Return a value a row of the table, f32, null for those that are not among `rows`."""
    column = np.full(count, np.nan, np.float32)
    column[rows] = values
    return pl.Series(column, nan_to_null=True)


def _arrow(frame: pl.DataFrame) -> Any:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())  # not all readers know the newer kinds of text


def _write_parts(parts: Iterable[Any], table: Table, target: Target) -> None:
    """Write Arrow tables of one schema as Parquet, a row group each."""
    from pyarrow import parquet

    words = [name for name, kind in table.columns.schema.items() if kind == pl.String]
    writer = None
    with target.open() as stream:
        try:
            for part in parts:
                schema = part.schema.with_metadata({"card": json.dumps(table.card)})
                # Values of embeddings hardly repeat: a dictionary of them would cost time and save nothing.
                writer = writer or parquet.ParquetWriter(stream, schema, compression="zstd", use_dictionary=words)
                writer.write_table(part.cast(schema))
        finally:
            if writer is not None:
                writer.close()
