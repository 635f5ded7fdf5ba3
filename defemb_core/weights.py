"""Checkpoint files on disk: which tensors they hold, and one tensor read without the rest.

Safetensors are preferred; a `.bin` file is only ever opened with `weights_only=True`, since a pickle may run code.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from defemb_core.cache import file_sha256
from defemb_core.errors import PLMError, first_line, is_out_of_memory

# First match wins: a complete safetensors checkpoint, then the pickled layouts that transformers wrote before.
SINGLE_AND_INDEX = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint: its name, its shape, and the file that holds it."""

    name: str
    shape: tuple[int, ...]
    file: Path

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


def list_tensors(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of the checkpoint in `folder` by name; no tensor data is read from safetensors.

    Raises:
        PLMError: no weights file, a shard that is missing, or a file that is damaged.
    """
    tensors: dict[str, Tensor] = {}
    for file in weight_files(folder):
        shapes = _safetensors_shapes(file) if file.suffix == ".safetensors" else _pickled_shapes(file)
        tensors.update({name: Tensor(name, shape, file) for name, shape in shapes.items()})
    return tensors


def weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's weight files in `folder`, shards in the order of their names."""
    for single, index in SINGLE_AND_INDEX:
        if (folder / single).is_file():
            return [folder / single]
        if (folder / index).is_file():
            return _shards(folder / index)
    raise PLMError(
        f"no weights in {str(folder)!r}: looked for model.safetensors, pytorch_model.bin and their sharded forms; "
        "save the model there with save_pretrained"
    )


def read_tensor(tensor: Tensor) -> np.ndarray:
    """Return the tensor's values as float32; half-precision values convert exactly."""
    if tensor.file.suffix != ".safetensors":
        return pickled_state(tensor.file)[tensor.name].float().numpy()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(tensor.file, framework="numpy") as checkpoint:
            return checkpoint.get_tensor(tensor.name).astype(np.float32, copy=False)
    except TypeError:  # numpy has no bfloat16; torch has
        with safe_open(tensor.file, framework="pt") as checkpoint:
            return checkpoint.get_tensor(tensor.name).float().numpy()
    except (SafetensorError, OSError) as exc:
        raise _damaged(tensor.file, exc) from None


def verify_hub_blob(file: Path) -> None:
    """Check a file of the hub's cache against the SHA-256 that names it; files from elsewhere pass unchecked.

    Raises:
        PLMError: the file's content is not what the hub published.
    """
    blob = file.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name) and file_sha256(blob) != blob.name:
        raise PLMError(
            f"{file.name} in the hub's cache is damaged: its SHA-256 is not {blob.name}; delete {str(blob)!r}"
        )


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise PLMError(f"{str(index)!r} is no index of a sharded checkpoint: it has no readable weight_map") from None
    # An index is untrusted text: a shard's name must stay inside its folder.
    files = [index.parent / Path(str(name)).name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise PLMError(
            f"{len(missing)} of {len(files)} shards are missing in {str(index.parent)!r}, first {missing[0]!r}"
        )
    return files


def _safetensors_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as checkpoint:
            return {name: tuple(checkpoint.get_slice(name).get_shape()) for name in checkpoint.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as exc:
        raise _damaged(file, exc) from None


def pickled_state(file: Path) -> dict[str, Any]:
    """Return a `.bin` file's tensors by name, without running any code that it may hold.

    Raises:
        PLMError: the file is damaged, or holds something else than tensors.
    """
    import torch

    try:
        mapped = zipfile.is_zipfile(file)  # torch wrote plain pickles before 1.6, and those cannot be memory-mapped
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as exc:  # a damaged or hostile pickle can raise anything
        if is_out_of_memory(exc):
            raise
        raise _damaged(file, exc) from None
    if not isinstance(state, dict):
        raise _damaged(file, TypeError(f"it holds a {type(state).__name__}, not tensors by name"))
    return state


def _pickled_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in pickled_state(file).items() if hasattr(value, "shape")}


def _damaged(file: Path, exc: Exception) -> PLMError:
    return PLMError(f"{str(file)!r} is damaged or no checkpoint ({first_line(exc)}); copy or download it again")
