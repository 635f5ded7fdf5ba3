"""Tensors with a line for every token: which they are, whose rows they repeat, and how they grow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from defemb_core.cache import temporary_neighbour
from defemb_core.errors import ExportError
from defemb_core.export_formats.table import BLOCK_BYTES
from defemb_core.export_tensors import BITS, Place, decode, encode, tensor_places
from defemb_core.families import is_input_table, is_output_bias, is_output_table
from defemb_core.weights import list_tensors, read_tensor

if TYPE_CHECKING:
    from defemb_core.plm import PLM


@dataclass(frozen=True, eq=False)
class TokenTensors:
    """What of a checkpoint has a line for every token.

    Attributes:
        tables: tables with rows of their own, each as the `matrix` of a view of the PLM: the input table first, then
            a decoder's own table and output rows that are not tied.
        copies: tensors that repeat one of these to the bit, and which.
        biases: tensors with a number for every output row.
    """

    tables: dict[str, PLM]
    copies: dict[str, str]
    biases: tuple[str, ...]


def token_tensors(plm: PLM) -> TokenTensors:
    """Return which tensors of the PLM's checkpoint have a line for every token.

    Raises:
        ExportError: a decoder's own table has another number of rows than the encoder's.
    """
    tables = {plm.table.name: plm}
    if plm.has_decoder_table:
        side = plm.decoder_side()
        if side.rows != plm.rows:
            raise ExportError(
                f"the decoder's table of {plm.name!r} has {side.rows:,} rows and the encoder's {plm.rows:,}; tokens can"
                " only be added where both have as many"
            )
        tables[side.table.name] = side
    copies: dict[str, str] = {}
    biases = []
    for name, tensor in sorted(list_tensors(plm.folder).items()):
        if is_output_bias(name) and tensor.size == plm.rows:
            biases.append(name)
        is_table = len(tensor.shape) == 2 and tensor.shape[0] == plm.rows
        if name in tables or not (is_table and (is_input_table(name) or is_output_table(name))):
            continue
        values = read_tensor(tensor)
        same = next((known for known, of in tables.items() if np.array_equal(of.matrix, values)), None)
        if same is None:
            tables[name] = replace(plm, table=tensor, matrix=values, decoder_table=None, decoder_matrix=None)
        else:
            copies[name] = same
    return TokenTensors(tables, copies, tuple(biases))


@dataclass(frozen=True, eq=False)
class Growth:
    """How a tensor with a line for every token grows.

    Attributes:
        rows: lines that it has then.
        first: the first new line; lines from there on that it had before are replaced.
        values: the new lines, float32 (n, width); first + n is `rows`, or less where the table has lines to spare.
    """

    rows: int
    first: int
    values: np.ndarray


def grow_tensors(files: Iterable[Path], growths: Mapping[str, Growth], before: int) -> int:
    """Rewrite safetensors files with longer tensors in them; all other bytes of data stay, in their order.

    Args:
        files: of the new checkpoint.
        growths: by the tensor's name.
        before: lines that these tensors have so far.

    Returns:
        How many bytes the tensors have grown by.

    Raises:
        ExportError: a tensor is of a type that holds no such rows, or none of these values.
    """
    added = 0
    for file in files:
        places = tensor_places([file])
        grown = {name: growths[name] for name in places if name in growths}
        if grown:
            added += _rewrite(file, places, grown, before)
    return added


def _rewrite(file: Path, places: dict[str, Place], growths: Mapping[str, Growth], before: int) -> int:
    """Write one file anew and put it in the place of the old one; return how many bytes it has grown by."""
    order = sorted(places, key=lambda name: places[name].start)
    ends = {name: _new_bytes(name, places[name], growths[name], before) for name in growths}
    header, start = _metadata(file), 0
    for name in order:
        place, growth = places[name], growths.get(name)
        size = _kept(place, growth, before) + len(ends.get(name, b"")) if growth else place.size
        shape = [growth.rows if edge == before else edge for edge in place.shape] if growth else list(place.shape)
        header[name] = {"dtype": place.dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    made = temporary_neighbour(file)
    with file.open("rb") as old, made.open("xb") as new:
        new.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            growth = growths.get(name)
            _copy_bytes(old, new, places[name].start, _kept(places[name], growth, before))
            new.write(ends.get(name, b""))
    os.replace(made, file)
    return start - sum(place.size for place in places.values())


def _metadata(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}


def _kept(place: Place, growth: Growth | None, before: int) -> int:
    """Return how many bytes of a tensor come before its first new line."""
    return place.size if growth is None else place.size // before * min(growth.first, before)


def _new_bytes(name: str, place: Place, growth: Growth, before: int) -> bytes:
    """Return a tensor's bytes from its first new line on, lines to spare behind the new ones as they are."""
    if place.dtype not in BITS:
        raise ExportError(f"{name!r} is stored as {place.dtype}; new tokens need {', '.join(BITS)}")
    bits = encode(np.ascontiguousarray(growth.values, dtype=np.float32), place.dtype)
    if not np.isfinite(decode(bits, place.dtype)).all():
        raise ExportError(
            f"new rows have values beyond what {name!r}, stored as {place.dtype}, holds; save the PLM in float32"
        )
    line, after = place.size // before, growth.first + len(growth.values)
    spare = np.fromfile(
        place.file, np.uint8, count=max(0, before - after) * line, offset=place.start + min(after, before) * line
    )
    return bits.astype(BITS[place.dtype]).tobytes() + spare.tobytes()


def _copy_bytes(old: BinaryIO, new: BinaryIO, start: int, size: int) -> None:
    old.seek(start)
    while size:
        part = old.read(min(size, BLOCK_BYTES))
        new.write(part)
        size -= len(part)
