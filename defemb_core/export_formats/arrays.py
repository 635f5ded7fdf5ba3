"""Formats that hold the table's bytes as they are, row after row: safetensors, npy, and a static embedding model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from defemb_core.cache import json_text
from defemb_core.export_formats.table import Table, Tell
from defemb_core.export_formats.target import HashedFile, Target

_ITEM_BYTES = {"F32": 4, "BOOL": 1}


def write_safetensors(table: Table, target: Target, tell: Tell) -> None:
    """Write tensors `matrix` f32 (V, H) and `rebuilt` bool (V,); the metadata `card` says how they came about."""
    tensors = {"matrix": ("F32", table.shape), "rebuilt": ("BOOL", table.rebuilt.shape)}
    with target.open() as stream:
        _write_header(stream, tensors, {"card": json.dumps(table.card)})
        _write_rows(stream, (block for _, block in table.blocks(tell)))
        stream.write(np.ascontiguousarray(table.rebuilt, dtype=bool))


def write_npy(table: Table, target: Target, tell: Tell) -> None:
    """Write the table as a NumPy array, f32 (V, H); the format has no place for a card."""
    head = {"descr": "<f4", "fortran_order": False, "shape": table.shape}
    with target.open() as stream:
        np.lib.format.write_array_header_1_0(stream, head)
        _write_rows(stream, (block for _, block in table.blocks(tell)))


def write_static(table: Table, target: Target, tell: Tell) -> None:
    """Write a model that embeds a text by the mean of its tokens' rows, as model2vec saves one.

    sentence-transformers loads it too (StaticEmbedding). Rows beyond the tokenizer's last token stand for nothing,
    and model2vec refuses them; they are left out, and the manifest counts them.
    """
    tokenizer = type(table.tokenizer).from_str(table.tokenizer.to_str())  # the PLM's own stays as it is
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = min(len(table.matrix), max(tokenizer.get_vocab().values()) + 1)
    shape = (rows, table.shape[1])
    with target.open("model.safetensors") as stream:
        _write_header(stream, {"embeddings": ("F32", shape)}, {"card": json.dumps(table.card)})
        _write_rows(stream, (block for _, block in table.blocks(tell, rows)))
    target.write_text("tokenizer.json", tokenizer.to_str())
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": shape[1], "normalize": False}
    target.write_text("config.json", json_text({**config, "embedding_dtype": "float32"}))
    module = {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}
    target.write_text("modules.json", json_text([module]))
    target.notes["rows_left_out"] = len(table.matrix) - rows


def _write_header(stream: HashedFile, tensors: dict[str, tuple[str, tuple[int, ...]]], told: dict[str, str]) -> None:
    """Write the head of a safetensors file: its length in eight bytes, then JSON that says where each tensor lies."""
    header: dict[str, Any] = {"__metadata__": told}
    start = 0
    for name, (kind, shape) in tensors.items():
        end = start + _ITEM_BYTES[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that values lie where processors read them fast
    stream.write(len(text).to_bytes(8, "little") + text)


def _write_rows(stream: HashedFile, blocks: Iterable[np.ndarray]) -> None:
    for block in blocks:
        stream.write(block)
