"""A copy of a PLM's folder with the rebuilt rows in place: every other tensor as it was, to the bit.

Safetensors files are copied and the table's bytes overwritten where they lie, so that no tensor passes through another
library, whatever its type, and memory is bounded by the table. Pickled weights become safetensors, file by file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.cache import file_sha256, json_text
from defemb_core.errors import ExportError
from defemb_core.export_card import readme
from defemb_core.export_check import check_checkpoint
from defemb_core.export_formats.table import BLOCK_BYTES, Tell
from defemb_core.export_place import CHECKPOINT, MANIFEST, files_in
from defemb_core.export_tensors import BITS, Place, decode, encode, tensor_places
from defemb_core.families import is_input_table
from defemb_core.weights import SINGLE_AND_INDEX, pickled_state, weight_files

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Reconstruction

README = "README.md"
SINGLE, INDEX = SINGLE_AND_INDEX[0]
# Other formats of the weights hold the original rows; the rest is what trainers leave behind.
WEIGHT_SUFFIXES = frozenset({
    ".bin", ".gguf", ".h5", ".mlmodel", ".msgpack", ".npz", ".onnx", ".ot", ".pkl", ".pt", ".pth", ".safetensors",
    ".tflite",
})  # fmt: skip


def write_checkpoint(reconstruction: Reconstruction, plm: PLM, folder: Path, card: dict[str, Any], tell: Tell) -> None:
    """Fill the new folder `folder` with the PLM's files, the rebuilt rows in place of the original ones.

    Rows that equal the original stay as the file has them, to the bit; the others are rounded to the type of the
    table. Copies of the table in the file that the model ties to it (output rows, the decoder's table) follow; output
    rows that are not tied and output biases stay. A decoder's own table (T5Gemma) is treated likewise. MANIFEST.json
    has the SHA-256 of every file, which tensors changed, and what check_checkpoint found.

    Raises:
        ExportError: the weights are no longer those that `plm` was read from, or their type holds no such rows.
        OSError: reading or writing failed; what was written so far is left to the caller.
    """
    steps = Steps(tell, sum(checkpoint_files(plm).values()))
    places = tensor_places(copy_checkpoint(plm, folder, steps))
    changed = write_rebuilt(reconstruction, plm, places)
    (folder / README).write_text(readme(card, plm, changed), encoding="utf-8")
    manifest = {
        **card,
        "format": CHECKPOINT,
        "table": plm.table.name,
        "tensors": {"changed": changed, "unchanged": sorted(set(places) - set(changed))},
        "check": check_checkpoint(plm.folder, folder, changed, reconstruction.rebuilt).to_dict(),
    }
    write_manifest(folder, manifest, steps)


def write_rebuilt(reconstruction: Reconstruction, plm: PLM, places: dict[str, Place]) -> list[str]:
    """Write rebuilt rows into a copy of the PLM's tensors; return the names of those that have changed."""
    changed = _overwrite_rows(reconstruction.matrix, plm, places)
    if plm.has_decoder_table and reconstruction.decoder_matrix is not None:
        changed += _overwrite_rows(reconstruction.decoder_matrix, plm.decoder_side(), places)
    return sorted(changed)


def copy_checkpoint(plm: PLM, folder: Path, steps: Steps) -> list[Path]:
    """Fill the new folder `folder` with the PLM's files, weights as safetensors; return the files of these."""
    folder.mkdir()
    for source, target in _plain_files(plm):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        _copy(source, folder / target, steps)
    return _write_weights(plm.folder, folder, steps)


def write_manifest(folder: Path, described: dict[str, Any], steps: Steps) -> None:
    """Write MANIFEST.json: what is described, and the SHA-256 of every file, each of which is on disk then."""
    sums = {str(file.relative_to(folder).as_posix()): _settle(file, steps) for file in files_in(folder)}
    (folder / MANIFEST).write_text(json_text({**described, "files": sums}), encoding="utf-8")
    _settle(folder / MANIFEST, steps)


def checkpoint_files(plm: PLM) -> dict[str, int]:
    """Return the files of a checkpoint besides its cards, by name, and how many bytes each takes."""
    files = [*_plain_files(plm), *((file, Path(_weight_name(file))) for file in weight_files(plm.folder))]
    return {target.as_posix(): source.stat().st_size for source, target in files}


class Steps:
    """Tells how much of a checkpoint is copied, and then read once more for its sums; each counts for a half."""

    def __init__(self, tell: Tell, size: int) -> None:
        self.tell, self.total, self.done = tell, 2 * size, 0

    def add(self, size: int) -> None:
        """Note that so many bytes more are copied, or read."""
        self.done += size
        self.tell(min(self.done, self.total), self.total)


def _copy(source: Path, target: Path, steps: Steps) -> None:
    with source.open("rb") as read, target.open("xb") as write:
        while part := read.read(BLOCK_BYTES):
            write.write(part)
            steps.add(len(part))


def _settle(file: Path, steps: Steps) -> str:
    """Have the file on disk, not only in the system's memory; return its SHA-256."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
    steps.add(file.stat().st_size)
    return file_sha256(file)


def _plain_files(plm: PLM) -> Iterator[tuple[Path, Path]]:
    """Yield (source, name in the export) of what belongs to the PLM besides its weights and card.

    Subfolders only count if modules.json names them: those of sentence-transformers' modules, weights included.
    """
    for file in sorted(plm.folder.iterdir()):
        if file.is_file() and not _is_left_out(file.name):
            yield file, Path(file.name)
    for name in _module_folders(plm.folder):
        for file in files_in(plm.folder / name):
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


def _weight_name(file: Path) -> str:
    """Return what a file of weights is called as safetensors."""
    return file.name.removeprefix("pytorch_").removesuffix(file.suffix) + ".safetensors"


def _write_weights(source: Path, folder: Path, steps: Steps) -> list[Path]:
    """Write the weights in `source` as safetensors into `folder`, in as many files; return these."""
    written = []
    for file in weight_files(source):
        target = folder / _weight_name(file)
        if file.suffix == ".safetensors":
            _copy(file, target, steps)
        else:
            _convert(file, target)
            steps.add(file.stat().st_size)
        written.append(target)
    if written[0].name != SINGLE:
        index = source / next(name for _, name in SINGLE_AND_INDEX if (source / name).is_file())
        content = {"metadata": json.loads(index.read_text(encoding="utf-8")).get("metadata") or {}}
        content["weight_map"] = {name: place.file.name for name, place in sorted(tensor_places(written).items())}
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


def _overwrite_rows(matrix: np.ndarray, plm: PLM, places: dict[str, Place]) -> list[str]:
    """Write the rows that differ from the original into the table and the tensors tied to it; return their names."""
    table = places.get(plm.table.name)
    if table is None or table.shape != plm.matrix.shape:
        raise _changed(plm)
    if table.dtype not in BITS:
        raise ExportError(f"the table {plm.table.name!r} is stored as {table.dtype}; export needs {', '.join(BITS)}")
    for rows in table.blocks:
        if not np.array_equal(decode(table.read(rows), table.dtype), plm.matrix[rows]):
            raise _changed(plm)
    new = [(matrix[rows] != plm.matrix[rows]).any(axis=1) for rows in table.blocks]
    if not any(part.any() for part in new):
        return []
    _refuse_overflow(matrix, np.flatnonzero(np.concatenate(new)), table)
    copies = {name: place for name, place in places.items() if _follows(name, plm) and _is_copy(place, table)}
    copies[plm.table.name] = table
    for rows, part in zip(table.blocks, new, strict=True):
        bits = table.read(rows)
        bits[part] = encode(matrix[rows][part], table.dtype)
        for place in copies.values():
            place.write(rows, bits)
    return sorted(copies)


def _is_copy(place: Place, table: Place) -> bool:
    """Return whether a tensor has the table's bits."""
    return (place.dtype, place.shape) == (table.dtype, table.shape) and all(
        np.array_equal(place.read(rows), table.read(rows)) for rows in table.blocks
    )


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


def _refuse_overflow(matrix: np.ndarray, rows: np.ndarray, table: Place) -> None:
    """Raise ExportError if rows of `matrix` have values beyond what the table's type holds."""
    broken = 0
    for some in np.array_split(rows, -(-len(rows) * table.shape[1] * 4 // BLOCK_BYTES)):
        bits = encode(matrix[some], table.dtype)
        broken += int((~np.isfinite(decode(bits, table.dtype)).all(axis=1)).sum())
    if broken:
        raise ExportError(
            f"{broken} rebuilt rows have values beyond what the checkpoint's type {table.dtype} holds; "
            "export the matrix (npy, safetensors or parquet), or save the PLM in float32 and rebuild it"
        )
