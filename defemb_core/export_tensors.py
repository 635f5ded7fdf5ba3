"""Tensors in safetensors files by the place of their bytes: read and overwritten there, some rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from defemb_core.export_formats.table import row_blocks

# Types of a table that rows can be written in, by their bits; numpy knows no bfloat16.
BITS = {"F64": "<u8", "F32": "<u4", "F16": "<u2", "BF16": "<u2"}
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes lie: the file, the first byte, how many, the type as safetensors names it, the shape."""

    file: Path
    start: int
    size: int
    dtype: str
    shape: tuple[int, ...]

    def read(self, rows: slice) -> np.ndarray:
        """Return the bits of some rows of a table as unsigned integers."""
        kind, width = BITS[self.dtype], self.shape[1]
        start = self.start + rows.start * width * np.dtype(kind).itemsize
        bits = np.fromfile(self.file, dtype=kind, count=(rows.stop - rows.start) * width, offset=start)
        return bits.reshape(-1, width)

    def write(self, rows: slice, bits: np.ndarray) -> None:
        """Overwrite the bits of some rows of a table; nothing else in the file changes."""
        with self.file.open("r+b") as stream:
            stream.seek(self.start + rows.start * self.shape[1] * bits.itemsize)
            stream.write(np.ascontiguousarray(bits).data)

    @property
    def blocks(self) -> Iterator[slice]:
        """The rows of a table, some at a time."""
        return row_blocks(*self.shape)


def tensor_places(files: Iterable[Path]) -> dict[str, Place]:
    """Return where every tensor lies, from the files' headers."""
    places = {}
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                places[name] = Place(file, 8 + length + start, end - start, entry["dtype"], tuple(entry["shape"]))
    return places


def decode(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Return the values of a tensor's bits as float32."""
    if dtype == "BF16":  # the upper half of a float32
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(FLOATS[dtype]).astype(np.float32, copy=False)


def encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return the bits of float32 values in `dtype`, rounded to nearest, ties to even."""
    if dtype == "BF16":
        wide = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        return ((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        return values.astype(FLOATS[dtype]).view(BITS[dtype])
