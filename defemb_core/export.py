"""Give a rebuilt table away: as a checkpoint that from_pretrained loads, or as a matrix in a common format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from safetensors import SafetensorError

from defemb_core.cache import json_text
from defemb_core.errors import ExportError
from defemb_core.export_card import card
from defemb_core.export_check import Check
from defemb_core.export_checkpoint import checkpoint_files, write_checkpoint
from defemb_core.export_formats import FORMATS, Table, Target, Tell
from defemb_core.export_formats.table import row_blocks
from defemb_core.export_place import (
    CHECKPOINT,
    MANIFEST,
    card_path,
    check_place,
    check_target,
    publish_folder,
    read_card,
    unfinished,
    whole_path,
    why_not,
)
from defemb_core.progress import Progress

if TYPE_CHECKING:
    from defemb_core.analysis import Analysis
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Reconstruction

__all__ = ["TARGETS", "card", "card_path", "check_format", "check_out", "export", "export_notes", "planned_files"]

TARGETS: tuple[str, ...] = (CHECKPOINT, *FORMATS)
_MARGIN = 1 << 20
_CARD_BYTES = 20_000  # about what a card, a manifest or a model card takes


def export(
    reconstruction: Reconstruction,
    plm: PLM,
    to: str,
    out: Path | str,
    force: bool = False,
    *,
    analysis: Analysis | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the rebuilt table to `out`, whole or not at all.

    Args:
        reconstruction: made from this PLM's table.
        plm: the original.
        to: "checkpoint", a folder that AutoModel, AutoTokenizer and, where the PLM is one, SentenceTransformer load:
            the PLM's files, weights as safetensors, all tensors but the table (and what is tied to it) as they were to
            the bit, with a model card and MANIFEST.json. Or a format of FORMATS: one file with the card
            `OUT.card.json` beside it, or a folder with MANIFEST.json; either has the SHA-256 of what was written.
        out: the folder or file to make; parents are made when missing.
        force: replace an earlier export of ours that lies at `out`. Anything else is never replaced.
        analysis: the maps, for the format that holds them.
        progress: told how far the writing is; what it raises ends the export, and nothing is left behind.

    Returns:
        The absolute path of what was written.

    Raises:
        ExportError: unknown format, another PLM's reconstruction, `out` is taken, no permission, or the disk is full.

    Example:
        >>> written = de.export_reconstruction(made, plm, "npy", Path("table.npy"))
        >>> np.load(written).shape
        (30522, 384)
    """
    check_format(to, analysis)
    out, needed = check_out(reconstruction, plm, to, Path(out), force)
    _check_table(reconstruction, plm)
    is_folder = to == CHECKPOINT or FORMATS[to].is_folder
    tell = _tell(progress, f"writing {to}")
    table = Table(
        reconstruction.matrix,
        reconstruction.rebuilt,
        reconstruction.vocabulary,
        card(reconstruction),
        plm.tokenizer,
        analysis,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if to == CHECKPOINT:
            with unfinished(out) as (folder,):
                write_checkpoint(reconstruction, plm, folder, table.card, tell)
                publish_folder(folder, out)
        else:
            (_write_folder if is_folder else _write_file)(table, to, out, tell)
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as exc:
        raise ExportError(why_not(exc, out, needed)) from exc
    return out


def check_out(reconstruction: Reconstruction, plm: PLM, to: str, out: Path, force: bool) -> tuple[Path, int]:
    """Refuse a place that is taken, that cannot be written, or that is too small, before any work is done.

    Returns:
        The absolute path, and about how many bytes the export takes there.

    Raises:
        ExportError: one of these, or an unknown format.
    """
    out = whole_path(out)
    needed = _MARGIN + sum(planned_files(reconstruction, plm, to, out).values())
    check_target(out, to, to == CHECKPOINT or FORMATS[to].is_folder, force, plm.folder)
    check_place(out, needed)
    return out, needed


def planned_files(reconstruction: Reconstruction, plm: PLM, to: str, out: Path) -> dict[str, int]:
    """Return what an export would write, by its name, and about how many bytes each file takes; nothing is written.

    The bytes of weights and of the PLM's other files are exact, those of cards and of text formats about right.

    Raises:
        ExportError: unknown format, or `out` is no path.
    """
    if to not in TARGETS:
        raise _unknown(to)
    if to == CHECKPOINT:
        return {**checkpoint_files(plm), "README.md": _CARD_BYTES, MANIFEST: _CARD_BYTES}
    out, size = whole_path(out), FORMATS[to].bytes_of(*reconstruction.matrix.shape)
    about = MANIFEST if FORMATS[to].is_folder else card_path(out).name
    return {out.name: size, about: _CARD_BYTES}


def export_notes(out: Path) -> list[str]:
    """Return what a user should know of an export that was written: sentences from its card, mostly one or none."""
    told = read_card(out)
    notes = [str(Check(**told["check"]))] if "check" in told else []
    if told.get("labels_changed"):
        notes.append(f"{told['labels_changed']:,} tokens with blanks, or without text, have labels of their own")
    if told.get("rows_left_out"):
        notes.append(f"{told['rows_left_out']:,} rows beyond the tokenizer's last token are left out")
    return notes


def _unknown(to: str) -> ExportError:
    return ExportError(f"unknown format {to!r}; choose one of {', '.join(TARGETS)}")


def check_format(to: str, analysis: Analysis | None) -> None:
    """Refuse a format that is not known, or that holds maps which have not been made."""
    if to not in TARGETS:
        raise _unknown(to)
    if to != CHECKPOINT and FORMATS[to].needs_maps and analysis is None:
        raise ExportError(f"format {to!r} holds the UMAP maps, and there are none of this run; run 'analyse' first")


def _check_table(reconstruction: Reconstruction, plm: PLM) -> None:
    made_from = (reconstruction.provenance.get("plm") or {}).get("table_sha256")
    if made_from != plm.digest:
        raise ExportError(
            f"the reconstruction was made from another table (SHA-256 {str(made_from)[:12]}) than {plm.name!r} has "
            f"({plm.digest[:12]}); name the PLM and revision that it was made from"
        )
    matrix = reconstruction.matrix
    if matrix.shape != plm.matrix.shape:
        raise ExportError(
            f"the rebuilt table has shape {matrix.shape}, {plm.name!r} has {plm.matrix.shape}; run reconstruct again"
        )
    broken = np.flatnonzero(~np.concatenate([_finite(matrix[rows]) for rows in row_blocks(*matrix.shape)]))
    if broken.size:
        raise ExportError(f"{broken.size} rows hold NaN or infinity, first row {broken[0]}; run reconstruct again")


def _finite(rows: np.ndarray) -> np.ndarray:
    """Return which rows have neither NaN nor infinity, bool (n,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(rows.sum(axis=1))  # four times as fast as a look at every value; large ones may overflow
    finite[~finite] = np.isfinite(rows[~finite]).all(axis=1)
    return finite


def _tell(progress: Progress | None, stage: str) -> Tell:
    def tell(done: int, total: int) -> None:
        if progress:
            progress(stage, done, total)

    return tell


def _described(table: Table, to: str, target: Target) -> dict[str, Any]:
    """Return the card of a matrix format once it is written."""
    changed = {}
    if FORMATS[to].has_labels:
        tokens = table.vocabulary["token"]
        changed = {"labels_changed": int((tokens != pl.Series(table.labels, dtype=pl.String)).sum())}
    return {**table.card, "format": to, **changed, **target.notes}


def _write_file(table: Table, to: str, out: Path, tell: Tell) -> None:
    """Write a single-file export and its card, and put both in their places once both are complete."""
    table.card.update(format=to, file=out.name)
    with unfinished(out, card_path(out)) as (data, about):
        target = Target(data, is_folder=False)
        FORMATS[to].write(table, target, tell)
        described = {**_described(table, to, target), "file": out.name, "sha256": target.sums[""]}
        _write_card(about, described)
        os.replace(data, out)
        os.replace(about, card_path(out))


def _write_folder(table: Table, to: str, out: Path, tell: Tell) -> None:
    """Write an export that is a folder, its manifest last."""
    with unfinished(out) as (folder,):
        target = Target(folder, is_folder=True)
        FORMATS[to].write(table, target, tell)
        _write_card(folder / MANIFEST, {**_described(table, to, target), "files": dict(sorted(target.sums.items()))})
        publish_folder(folder, out)


def _write_card(file: Path, described: dict[str, Any]) -> None:
    with Target(file, is_folder=False).open() as stream:
        stream.write(json_text(described).encode("utf-8"))
