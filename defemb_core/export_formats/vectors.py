"""Formats of word vectors: rows known by labels without blanks, as text or in binary."""

from __future__ import annotations

import json

import polars as pl

from defemb_core.cache import json_text
from defemb_core.export_formats.table import TEXT_SHARE, Table, Tell
from defemb_core.export_formats.target import HashedFile, Target

_TENSORS, _METADATA = "tensors.tsv", "metadata.tsv"


def write_word2vec(table: Table, target: Target, tell: Tell) -> None:
    """Write "V H", then a line a row: its label and its values; these are exact."""
    with target.open() as stream:
        stream.write(_sizes(table))
        _write_lines(table, stream, tell)


def write_glove(table: Table, target: Target, tell: Tell) -> None:
    """Write a line a row: its label and its values."""
    with target.open() as stream:
        _write_lines(table, stream, tell)


def write_word2vec_binary(table: Table, target: Target, tell: Tell) -> None:
    """Write "V H", then for each row its label, a blank, its values as float32 (little endian) and a line feed."""
    with target.open() as stream:
        stream.write(_sizes(table))
        for rows, block in table.blocks(tell):
            labels = table.labels[rows]
            lines = [b"%b %b\n" % (label.encode(), row.tobytes()) for label, row in zip(labels, block, strict=True)]
            stream.write(b"".join(lines))


def write_projector(table: Table, target: Target, tell: Tell) -> None:
    """Write tensors.tsv and metadata.tsv (label, token_id, kind, group, zipf, rebuilt), and what lists them.

    TensorBoard reads projector_config.pbtxt, the projector's own page projector_config.json.
    """
    with target.open(_TENSORS) as stream:
        for _, block in table.blocks(tell, share=TEXT_SHARE):
            _write_text(stream, pl.from_numpy(block), "\t")
    known = table.columns.select("token_id", "kind", "group", "zipf", "rebuilt")
    frame = known.insert_column(0, pl.Series("label", table.labels, dtype=pl.String))
    with target.open(_METADATA) as stream:
        stream.write_lines(frame, separator="\t", quote_style="never")
    name = f"{table.card['plm']['name']}, rebuilt"
    config = {"tensor_name": name, "tensor_path": _TENSORS, "metadata_path": _METADATA}
    lines = [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in config.items()]
    target.write_text("projector_config.pbtxt", "\n".join(["embeddings {", *lines, "}", ""]))
    listed = {"tensorName": name, "tensorShape": list(table.shape)}
    listed |= {"tensorPath": _TENSORS, "metadataPath": _METADATA}
    target.write_text("projector_config.json", json_text({"embeddings": [listed]}))


def _sizes(table: Table) -> bytes:
    return b"%d %d\n" % table.shape


def _write_lines(table: Table, stream: HashedFile, tell: Tell) -> None:
    for rows, block in table.blocks(tell, share=TEXT_SHARE):
        labels = pl.Series("label", table.labels[rows], dtype=pl.String)
        _write_text(stream, pl.DataFrame([labels]).hstack(pl.from_numpy(block)), " ")


def _write_text(stream: HashedFile, frame: pl.DataFrame, separator: str) -> None:
    # polars writes the shortest digits that read back as the same float32, ten times as fast as "%.9g".
    stream.write_lines(frame, include_header=False, separator=separator, quote_style="never")
