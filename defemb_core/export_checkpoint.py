"""A copy of a PLM's folder with the rebuilt rows in place: every other tensor as it was, to the bit.

Safetensors files are copied and the table's bytes overwritten where they lie, so that no tensor passes through another
library, whatever its type, and memory is bounded by the table. Pickled weights become safetensors, file by file.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.cache import file_sha256, json_text
from defemb_core.errors import ExportError
from defemb_core.export_card import readme
from defemb_core.families import is_input_table
from defemb_core.weights import SINGLE_AND_INDEX, pickled_state, weight_files

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Reconstruction

MANIFEST, README = "MANIFEST.json", "README.md"
SINGLE, INDEX = SINGLE_AND_INDEX[0]
# Other formats of the weights hold the original rows; the rest is what trainers leave behind.
WEIGHT_SUFFIXES = frozenset({
    ".bin", ".gguf", ".h5", ".mlmodel", ".msgpack", ".npz", ".onnx", ".ot", ".pkl", ".pt", ".pth", ".safetensors",
    ".tflite",
})  # fmt: skip
# Types of a table that rows can be written in, by their bits; numpy knows no bfloat16.
BITS = {"F64": "<u8", "F32": "<u4", "F16": "<u2", "BF16": "<u2"}
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class _Place:
    """Where a tensor's bytes lie: the file, the first byte, the type as safetensors names it, and the shape."""

    file: Path
    start: int
    dtype: str
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """Return the tensor's bits as unsigned integers."""
        bits = np.fromfile(self.file, dtype=BITS[self.dtype], count=math.prod(self.shape), offset=self.start)
        return bits.reshape(self.shape)

    def write(self, bits: np.ndarray) -> None:
        """Overwrite the tensor's bits; nothing else in the file changes."""
        with self.file.open("r+b") as stream:
            stream.seek(self.start)
            stream.write(bits.tobytes())


def write_checkpoint(reconstruction: Reconstruction, plm: PLM, folder: Path, card: dict[str, Any]) -> None:
    """Fill the new folder `folder` with the PLM's files, the rebuilt rows in place of the original ones.

    Rows that equal the original stay as the file has them, to the bit; the others are rounded to the type of the
    table. Copies of the table in the file that the model ties to it (output rows, the decoder's table) follow; output
    rows that are not tied and output biases stay. A decoder's own table (T5Gemma) is treated likewise. MANIFEST.json
    has the SHA-256 of every file and which tensors changed.

    Raises:
        ExportError: the weights are no longer those that `plm` was read from, or their type holds no such rows.
        OSError: reading or writing failed; what was written so far is left to the caller.
    """
    folder.mkdir()
    for source, target in _plain_files(plm):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    places = _places(_write_weights(plm.folder, folder))
    changed = _overwrite_rows(reconstruction.matrix, plm, places)
    if plm.has_decoder_table and reconstruction.decoder_matrix is not None:
        changed = sorted([*changed, *_overwrite_rows(reconstruction.decoder_matrix, plm.decoder_side(), places)])
    (folder / README).write_text(readme(card, plm, changed), encoding="utf-8")
    manifest = {
        **card,
        "format": "checkpoint",
        "table": plm.table.name,
        "tensors": {"changed": changed, "unchanged": sorted(set(places) - set(changed))},
        "files": {str(file.relative_to(folder).as_posix()): _settle(file) for file in _files(folder)},
    }
    (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
    _settle(folder / MANIFEST)


def checkpoint_bytes(plm: PLM) -> int:
    """Return about how many bytes the checkpoint will take."""
    return sum(
        file.stat().st_size for file in [*weight_files(plm.folder), *(source for source, _ in _plain_files(plm))]
    )


def foreign_files(folder: Path) -> list[str] | None:
    """Return which files in an earlier export's folder the export did not write; None if it is no export of ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["made_by"]["package"] != "defemb" or manifest["format"] != "checkpoint":
            return None
        known = {*manifest["files"], MANIFEST}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [name for file in _files(folder) if (name := file.relative_to(folder).as_posix()) not in known]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())


def _settle(file: Path) -> str:
    """Have the file on disk, not only in the system's memory; return its SHA-256."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
    return file_sha256(file)


def _plain_files(plm: PLM) -> Iterator[tuple[Path, Path]]:
    """Yield (source, name in the export) of what belongs to the PLM besides its weights and card.

    Subfolders only count if modules.json names them: those of sentence-transformers' modules, weights included.
    """
    for file in sorted(plm.folder.iterdir()):
        if file.is_file() and not _is_left_out(file.name):
            yield file, Path(file.name)
    for name in _module_folders(plm.folder):
        for file in _files(plm.folder / name):
            inside = file.relative_to(plm.folder)
            if file.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield file, inside


def _is_left_out(name: str) -> bool:
    return (
        name.startswith(".")
        or name in {MANIFEST, README}
        or name.endswith(".index.json")
        or ".ckpt" in name
        or Path(name).suffix.lower() in WEIGHT_SUFFIXES
    )


def _module_folders(folder: Path) -> list[str]:
    if not (folder / "modules.json").is_file():
        return []
    try:
        paths = [str(module.get("path") or "") for module in json.loads((folder / "modules.json").read_text("utf-8"))]
    except (ValueError, AttributeError, TypeError):
        raise ExportError(f"modules.json in {str(folder)!r} is no list of modules; copy or download it again") from None
    # The file is untrusted text: a module's folder must be one beside it.
    return sorted({path for path in paths if path and Path(path).name == path and (folder / path).is_dir()})


def _write_weights(source: Path, folder: Path) -> list[Path]:
    """Write the weights in `source` as safetensors into `folder`, in as many files; return these."""
    written = []
    for file in weight_files(source):
        target = folder / (file.name.removeprefix("pytorch_").removesuffix(file.suffix) + ".safetensors")
        if file.suffix == ".safetensors":
            shutil.copyfile(file, target)
        else:
            _convert(file, target)
        written.append(target)
    if written[0].name != SINGLE:
        index = source / next(name for _, name in SINGLE_AND_INDEX if (source / name).is_file())
        content = {"metadata": json.loads(index.read_text(encoding="utf-8")).get("metadata") or {}}
        content["weight_map"] = {name: place.file.name for name, place in sorted(_places(written).items())}
        (folder / INDEX).write_text(json_text(content), encoding="utf-8")
    return written


def _convert(source: Path, target: Path) -> None:
    """Write a pickled file as safetensors; tensors that share memory come to lie there once each."""
    import torch
    from safetensors.torch import save_file

    state = pickled_state(source)
    tensors = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    save_file(tensors, target, metadata={"format": "pt"})


def _places(files: list[Path]) -> dict[str, _Place]:
    """Return where every tensor lies, from the files' headers."""
    places = {}
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                start = 8 + length + entry["data_offsets"][0]
                places[name] = _Place(file, start, entry["dtype"], tuple(entry["shape"]))
    return places


def _overwrite_rows(matrix: np.ndarray, plm: PLM, places: dict[str, _Place]) -> list[str]:
    """Write the rows that differ from the original into the table and the tensors tied to it; return their names."""
    table = places.get(plm.table.name)
    if table is None or table.shape != plm.matrix.shape:
        raise _changed(plm)
    if table.dtype not in BITS:
        raise ExportError(f"the table {plm.table.name!r} is stored as {table.dtype}; export needs {', '.join(BITS)}")
    old = table.read()
    if not np.array_equal(_decode(old, table.dtype), plm.matrix):
        raise _changed(plm)
    rows = np.flatnonzero((matrix != plm.matrix).any(axis=1))
    if not rows.size:
        return []
    new = old.copy()
    new[rows] = _encode(matrix[rows], table.dtype)
    changed = []
    for name, place in places.items():
        follows = _follows(name, plm)
        alike = follows and (place.dtype, place.shape) == (table.dtype, table.shape)
        if name == plm.table.name or (alike and np.array_equal(place.read(), old)):
            place.write(new)
            changed.append(name)
    return sorted(changed)


def _follows(name: str, plm: PLM) -> bool:
    """Return whether a tensor with the table's values is the table once more.

    Untied output rows are a model's own business; an encoder-decoder's input tables are one even then, unless each side
    has its own. Then the output rows are the decoder's.
    """
    tied = plm.config.get("tie_word_embeddings") is not False
    if plm.has_two_tables:
        return tied and not is_input_table(name) and "decoder." in plm.table.name
    return tied or is_input_table(name)


def _changed(plm: PLM) -> ExportError:
    return ExportError(f"the weights in {str(plm.folder)!r} changed after they were read; load the PLM again")


def _decode(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Return the values of a tensor's bits as float32."""
    if dtype == "BF16":  # the upper half of a float32
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(FLOATS[dtype]).astype(np.float32, copy=False)


def _encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return the bits of float32 values in `dtype`, rounded to nearest, ties to even."""
    if dtype == "BF16":
        wide = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        bits = ((wide + 0x7FFF + ((wide >> 16) & 1)) >> 16).astype(np.uint16)
    else:
        with np.errstate(over="ignore"):
            bits = values.astype(FLOATS[dtype]).view(BITS[dtype])
    broken = np.flatnonzero(~np.isfinite(_decode(bits, dtype)).all(axis=1))
    if broken.size:
        raise ExportError(
            f"{broken.size} rebuilt rows have values beyond what the checkpoint's type {dtype} holds; "
            "export the matrix (npy, safetensors or parquet), or save the PLM in float32 and rebuild it"
        )
    return bits
