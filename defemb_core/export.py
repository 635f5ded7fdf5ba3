"""Give a rebuilt table away: as a checkpoint that from_pretrained loads, or as a matrix in a common format."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from safetensors import SafetensorError

from defemb_core.cache import file_sha256, json_text, temporary_neighbour
from defemb_core.errors import ExportError, first_line
from defemb_core.export_card import card
from defemb_core.export_checkpoint import checkpoint_bytes, foreign_files, write_checkpoint
from defemb_core.vocabulary import WORD_MARK

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Reconstruction

__all__ = ["FORMATS", "card", "card_path", "export"]

CHECKPOINT = "checkpoint"
COLUMNS = ("token_id", "token", "text", "kind", "group", "zipf")
# Everything that some reader takes for a blank or a line's end.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_MARGIN = 1 << 20


def export(reconstruction: Reconstruction, plm: PLM, to: str, out: Path, force: bool = False) -> Path:
    """Write the rebuilt table to `out`, whole or not at all.

    Args:
        reconstruction: made from this PLM's table.
        plm: the original.
        to: "checkpoint", a folder that AutoModel, AutoTokenizer and, where the PLM is one, SentenceTransformer load:
            the PLM's files, weights as safetensors, all tensors but the table (and what is tied to it) as they were to
            the bit, with a model card and MANIFEST.json. Or one file with the card `OUT.card.json` beside it:
            "safetensors" (tensors `matrix` f32 (V, H) and `rebuilt` bool (V,); metadata `card`), "npy" (f32 (V, H)),
            "parquet" (columns token_id, token, text, kind, group, zipf, rebuilt, embedding: array of H f32), or
            "word2vec" (text that gensim reads: "V H", then a line a row; labels are the stored tokens, see word_labels;
            values are exact).
        out: the folder or file to make; parents are made when missing.
        force: replace an earlier export of ours that lies at `out`. Anything else is never replaced.

    Returns:
        The absolute path of what was written.

    Raises:
        ExportError: unknown format, another PLM's reconstruction, `out` is taken, no permission, or the disk is full.
    """
    if to not in FORMATS:
        raise ExportError(f"unknown format {to!r}; choose one of {', '.join(FORMATS)}")
    out = Path(os.path.abspath(out.expanduser()))  # not resolve(): a link at `out` is to be seen
    _check_table(reconstruction, plm)
    _check_target(out, to, force, plm)
    needed = _MARGIN + (checkpoint_bytes(plm) if to == CHECKPOINT else _file_bytes(reconstruction, to))
    _check_place(out, needed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if to == CHECKPOINT:
            with _unfinished(out) as (folder,):
                write_checkpoint(reconstruction, plm, folder, card(reconstruction))
                _publish_folder(folder, out)
        else:
            _write_file(reconstruction, to, out)
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as exc:
        raise ExportError(_why(exc, out, needed)) from exc
    return out


def card_path(out: Path) -> Path:
    """Return where the card of a single-file export lies."""
    return out.with_name(out.name + ".card.json")


def word_labels(tokens: list[str]) -> list[str]:
    """Return the tokens as labels for formats that split at blanks: unique, never empty, no white space.

    White space and control characters become "▁"; an empty token becomes "<row▁N>"; where that makes a label twice, or
    the vocabulary lists a token twice, all but one get "<row▁N>" appended. Tokens that need no change keep theirs.
    """
    labels = [_BLANK.sub(WORD_MARK, token) for token in tokens]
    taken: set[str] = {""}
    # Unchanged tokens choose first, so that a token with a blank never takes the name of one with a true mark.
    for row in sorted(range(len(tokens)), key=lambda row: labels[row] != tokens[row]):
        while labels[row] in taken:
            labels[row] += f"<row{WORD_MARK}{row}>"
        taken.add(labels[row])
    return labels


def _check_table(reconstruction: Reconstruction, plm: PLM) -> None:
    made_from = (reconstruction.provenance.get("plm") or {}).get("table_sha256")
    if made_from != plm.digest:
        raise ExportError(
            f"the reconstruction was made from another table (SHA-256 {str(made_from)[:12]}) than {plm.name!r} has "
            f"({plm.digest[:12]}); name the PLM and revision that it was made from"
        )
    if reconstruction.matrix.shape != plm.matrix.shape:
        raise ExportError(
            f"the rebuilt table has shape {reconstruction.matrix.shape}, {plm.name!r} has {plm.matrix.shape}; "
            "run reconstruct again"
        )
    broken = np.flatnonzero(~np.isfinite(reconstruction.matrix).all(axis=1))
    if broken.size:
        raise ExportError(f"{broken.size} rows hold NaN or infinity, first row {broken[0]}; run reconstruct again")


def _check_target(out: Path, to: str, force: bool, plm: PLM) -> None:
    """Refuse to touch anything at `out` but an earlier export, and that only with `force`."""
    targets = [out] if to == CHECKPOINT else [out, card_path(out)]
    taken = [path for path in targets if os.path.lexists(path)]
    if not taken:
        return
    if not force:
        raise ExportError(f"{str(taken[0])!r} exists; name another place, or force it to replace an earlier export")
    if plm.folder.resolve().is_relative_to(out.resolve()):
        raise ExportError(f"{str(out)!r} holds the PLM that is to be exported; name another place")
    foreign = _foreign(out, to) if not any(path.is_symlink() for path in taken) else None
    if foreign is None:
        raise ExportError(f"{str(taken[0])!r} exists and is no {to} export of defemb, so it stays; name another place")
    if foreign:
        raise ExportError(
            f"{str(out)!r} holds {len(foreign)} files that the export did not write, first {foreign[0]!r}; "
            "move them away or name another place"
        )


def _foreign(out: Path, to: str) -> list[str] | None:
    """Return which files at `out` an earlier export did not write; None if there is no earlier export."""
    if to == CHECKPOINT:
        return foreign_files(out)
    try:
        described = json.loads(card_path(out).read_text(encoding="utf-8"))
        ours = described["made_by"]["package"] == "defemb" and described["file"] == out.name and not out.is_dir()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [] if ours else None


def _check_place(out: Path, needed: int) -> None:
    """Refuse a place without permission or space before any work is done."""
    folder = next(parent for parent in out.parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise ExportError(f"{str(folder)!r} is no folder, so nothing can be written below it; name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"no permission to write in {str(folder)!r}; name another place or change its permissions")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(_full(out, needed, free))


def _why(exc: Exception, out: Path, needed: int) -> str:
    """Say in a sentence why writing failed."""
    number = getattr(exc, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(exc):
        return _full(out, needed)
    reason = getattr(exc, "strerror", None) or first_line(exc)
    return f"cannot write {str(out)!r} ({reason}); nothing was left behind; name another place"


def _full(out: Path, needed: int, free: int | None = None) -> str:
    left = "" if free is None else f" and {free / 1e6:,.1f} MB are free"
    return (
        f"the disk of {str(out)!r} is full: the export takes about {needed / 1e6:,.1f} MB{left}; "
        "free some space or name a place on another disk"
    )


def _file_bytes(reconstruction: Reconstruction, to: str) -> int:
    rows, width = reconstruction.matrix.shape
    # A value takes 4 bytes, in text with its blank about 13; a token and its columns about 60.
    return int(rows * (width * (13 if to == "word2vec" else 4) + 60))


@contextmanager
def _unfinished(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yield temporary names beside the targets; whatever still lies there at the end, of whatever kind, goes."""
    names = tuple(temporary_neighbour(target) for target in targets)
    try:
        yield names
    finally:
        for name in names:
            if name.is_dir():
                shutil.rmtree(name, ignore_errors=True)
            else:
                name.unlink(missing_ok=True)


def _publish_folder(made: Path, out: Path) -> None:
    """Put the finished folder in its place; an earlier one goes only once that is done."""
    if not os.path.lexists(out):
        os.rename(made, out)
        return
    aside = temporary_neighbour(out)
    os.rename(out, aside)
    try:
        os.rename(made, out)
    except BaseException:
        os.rename(aside, out)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _write_file(reconstruction: Reconstruction, to: str, out: Path) -> None:
    """Write a single-file export and its card, and put both in their places once both are complete."""
    described = {**card(reconstruction), "format": to, "file": out.name}
    with _unfinished(out, card_path(out)) as (data, about):
        _WRITERS[to](reconstruction, data, described)
        text = json_text({**described, "sha256": file_sha256(data)})
        about.write_text(text, encoding="utf-8")
        for file in (data, about):
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
        os.replace(data, out)
        os.replace(about, card_path(out))


def _write_safetensors(reconstruction: Reconstruction, to: Path, described: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    tensors = {"matrix": _matrix(reconstruction), "rebuilt": np.ascontiguousarray(reconstruction.rebuilt, dtype=bool)}
    save_file(tensors, to, metadata={"card": json.dumps(described)})


def _write_npy(reconstruction: Reconstruction, to: Path, described: dict[str, Any]) -> None:
    del described  # the format has no place for it
    with to.open("wb") as stream:  # given a name, numpy would append ".npy"
        np.save(stream, _matrix(reconstruction), allow_pickle=False)


def _write_parquet(reconstruction: Reconstruction, to: Path, described: dict[str, Any]) -> None:
    frame = reconstruction.vocabulary.select(COLUMNS).with_columns(
        pl.col("kind", "group").cast(pl.String),  # other readers know no enum
        rebuilt=pl.Series(reconstruction.rebuilt, dtype=pl.Boolean),
        embedding=pl.Series(_matrix(reconstruction)),
    )
    with to.open("wb") as stream:  # a name with "*" in it would be taken for a pattern
        frame.write_parquet(stream, metadata={"card": json.dumps(described)})


def _write_word2vec(reconstruction: Reconstruction, to: Path, described: dict[str, Any]) -> None:
    del described  # the format has no place for it
    matrix = _matrix(reconstruction)
    labels = pl.Series("label", word_labels(reconstruction.vocabulary["token"].to_list()), dtype=pl.String)
    with to.open("wb") as stream:
        stream.write(f"{matrix.shape[0]} {matrix.shape[1]}\n".encode())
        # polars writes the shortest digits that read back as the same float32, ten times as fast as "%.9g".
        frame = pl.DataFrame([labels]).hstack(pl.from_numpy(matrix))
        frame.write_csv(stream, include_header=False, separator=" ", quote_style="never")


def _matrix(reconstruction: Reconstruction) -> np.ndarray:
    return np.ascontiguousarray(reconstruction.matrix, dtype=np.float32)


_WRITERS: dict[str, Callable[[Reconstruction, Path, dict[str, Any]], None]] = {
    "safetensors": _write_safetensors,
    "npy": _write_npy,
    "parquet": _write_parquet,
    "word2vec": _write_word2vec,
}
FORMATS: tuple[str, ...] = (CHECKPOINT, *_WRITERS)
