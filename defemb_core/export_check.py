"""Whether an exported checkpoint holds all that was not rebuilt to the bit: read from both folders and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from defemb_core.errors import ExportError
from defemb_core.export_tensors import Place, tensor_places
from defemb_core.weights import pickled_state, weight_files

# Bytes of each file that are compared at a time.
_PART = 2**24


@dataclass(frozen=True)
class Check:
    """What two checkpoints have in common.

    Attributes:
        tensors: tensors of the original.
        identical: those whose type, shape and bits are the same in the export.
        rows: rows of the tensors that hold rebuilt rows.
        rows_identical: those of them that are the same to the bit.
        kept: rows that were not to be rebuilt; all of them are among rows_identical.
    """

    tensors: int
    identical: int
    rows: int
    rows_identical: int
    kept: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        """Say it in a sentence."""
        said = f"{self.identical:,} of {self.tensors:,} tensors are the original's to the bit"
        if self.tensors == self.identical:
            return said
        return f"{said}, and so are all {self.kept:,} rows of the others that were not to be rebuilt"


def check_checkpoint(source: Path, made: Path, changed: list[str], rebuilt: np.ndarray) -> Check:
    """Compare the checkpoint in `made` with the one that it was made from, bit for bit, from the files on disk.

    Args:
        source: the original's folder; weights that are not safetensors are read tensor by tensor.
        made: the export's folder.
        changed: names of the tensors that hold rebuilt rows.
        rebuilt: bool (V,), which rows were to be rebuilt; rows that the export has beyond these are new.

    Raises:
        ExportError: a tensor or row differs that was not to be rebuilt, or one is missing.
    """
    places = tensor_places(weight_files(made))
    before = _tensors(source)
    if before.keys() != places.keys():
        lost = sorted(before.keys() ^ places.keys())
        raise ExportError(f"the export has other tensors than the original, first {lost[0]!r}; export again")
    after = {name: _of_place(place) for name, place in places.items()}
    identical = [name for name in before if _is_same(before[name], after[name])]
    if wrong := sorted(set(before) - set(identical) - set(changed)):
        raise ExportError(f"tensor {wrong[0]!r} differs from the original and was not to be rebuilt; export again")
    rows = same = kept = 0
    for name in sorted(set(before) - set(identical)):
        equal = _equal_rows(before[name], after[name], len(rebuilt))
        if not equal[~rebuilt].all():
            row = int(np.flatnonzero(~equal & ~rebuilt)[0])
            raise ExportError(f"row {row:,} of {name!r} differs and was not to be rebuilt; export again")
        rows, same, kept = rows + len(equal), same + int(equal.sum()), kept + int((~rebuilt).sum())
    return Check(len(before), len(identical), rows, same, kept)


@dataclass(frozen=True)
class _Bits:
    """A tensor's bytes: its shape, its type as safetensors names it ("" where unknown), and `read(start, end)`."""

    shape: tuple[int, ...]
    dtype: str
    size: int
    read: Callable[[int, int], np.ndarray]

    def parts(self, step: int) -> Iterator[tuple[int, int]]:
        """Yield where each part of about _PART bytes begins and ends, a multiple of `step` bytes long."""
        length = max(1, _PART // step) * step
        for start in range(0, self.size, length):
            yield start, min(start + length, self.size)


def _of_place(place: Place) -> _Bits:
    def read(start: int, end: int) -> np.ndarray:
        return np.fromfile(place.file, np.uint8, count=end - start, offset=place.start + start)

    return _Bits(place.shape, place.dtype, place.size, read)


def _tensors(folder: Path) -> dict[str, _Bits]:
    """Return every tensor of a checkpoint by name."""
    files = weight_files(folder)
    if files[0].suffix == ".safetensors":
        return {name: _of_place(place) for name, place in tensor_places(files).items()}
    return {name: bits for file in files for name, bits in _pickled(file).items()}


def _pickled(file: Path) -> dict[str, _Bits]:
    import torch

    def bits(tensor: torch.Tensor) -> _Bits:
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        return _Bits(tuple(tensor.shape), "", flat.numel(), lambda start, end: flat[start:end].numpy())

    state = pickled_state(file)
    return {name: bits(value) for name, value in state.items() if isinstance(value, torch.Tensor)}


def _is_same(one: _Bits, other: _Bits) -> bool:
    if one.shape != other.shape or (one.dtype and one.dtype != other.dtype) or one.size != other.size:
        return False
    return all(np.array_equal(one.read(*part), other.read(*part)) for part in one.parts(1))


def _equal_rows(one: _Bits, other: _Bits, rows: int) -> np.ndarray:
    """Return which rows of a table of `rows` are the same to the bit in another, which may have more, bool (rows,)."""
    if one.size % rows or other.size < one.size:
        return np.zeros(rows, dtype=bool)
    width = one.size // rows
    equal = [(one.read(*part) == other.read(*part)).reshape(-1, width).all(axis=1) for part in one.parts(width)]
    return np.concatenate(equal)
