"""Where an export may go: no file of a user's is replaced, none is left half-written, each refusal is a sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from defemb_core.cache import temporary_neighbour
from defemb_core.errors import ExportError, first_line

MANIFEST = "MANIFEST.json"
CHECKPOINT = "checkpoint"
LOADS = "A folder that from_pretrained and sentence-transformers load, the rebuilt rows in place."


def card_path(out: Path) -> Path:
    """Return where the card of a single-file export lies."""
    return out.with_name(out.name + ".card.json")


def whole_path(out: Path) -> Path:
    """Return the absolute path of what a user named; links in it stay, so that one at `out` is seen.

    Raises:
        ExportError: it is no path: of a user who is not known here, say.
    """
    try:
        whole = Path(os.path.abspath(out.expanduser()))
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.lstat(whole)  # refuses what no system call takes
    except (RuntimeError, ValueError, OSError) as exc:
        raise ExportError(
            f"{str(out)!r} is no place to write to ({getattr(exc, 'strerror', '') or exc}); name another"
        ) from None
    if not out.name:
        raise ExportError(f"{str(out)!r} is no place to write to; name a new file or folder")
    return whole


def check_target(out: Path, to: str, is_folder: bool, force: bool, source: Path) -> None:
    """Refuse to touch anything at `out` but an earlier export, and that only with `force`.

    Args:
        out: the file or folder to make.
        to: the format's name.
        is_folder: whether that is a folder.
        force: whether an earlier export may be replaced.
        source: the PLM's folder, which is never replaced.

    Raises:
        ExportError: `out` is taken.
    """
    targets = [out] if is_folder else [out, card_path(out)]
    taken = [path for path in targets if os.path.lexists(path)]
    if not taken:
        return
    if not force:
        raise ExportError(f"{str(taken[0])!r} exists; name another place, or force it to replace an earlier export")
    if source.resolve().is_relative_to(out.resolve()):
        raise ExportError(f"{str(out)!r} holds the PLM that is to be exported; name another place")
    foreign = _foreign(out, to, is_folder) if not any(path.is_symlink() for path in taken) else None
    if foreign is None:
        raise ExportError(f"{str(taken[0])!r} exists and is no {to} export of defemb, so it stays; name another place")
    if foreign:
        raise ExportError(
            f"{str(out)!r} holds {len(foreign)} files that the export did not write, first {foreign[0]!r}; "
            "move them away or name another place"
        )


def _foreign(out: Path, to: str, is_folder: bool) -> list[str] | None:
    """Return which files at `out` an earlier export did not write; None if there is no earlier export."""
    try:
        described = read_card(out)
        if described["made_by"]["package"] != "defemb" or out.is_dir() != is_folder:
            return None
        if not is_folder:
            return [] if described["file"] == out.name else None
        known = {*described["files"], MANIFEST}
        if described["format"] != to:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [name for file in files_in(out) if (name := file.relative_to(out).as_posix()) not in known]


def read_card(out: Path) -> dict[str, Any]:
    """Return what an export says of itself: a folder's manifest, the card beside a file.

    Raises:
        OSError, ValueError: there is none that can be read.
    """
    file = out / MANIFEST if out.is_dir() else card_path(out)
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return card


def files_in(folder: Path) -> list[Path]:
    """Return every file below a folder, links too, in the order of their names."""
    return sorted(file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())


def check_place(out: Path, needed: int) -> None:
    """Refuse a place without permission or space before any work is done.

    Raises:
        ExportError: it has none.
    """
    folder = next(parent for parent in out.parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise ExportError(f"{str(folder)!r} is no folder, so nothing can be written below it; name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"no permission to write in {str(folder)!r}; name another place or change its permissions")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(_full(out, needed, free))


def why_not(exc: Exception, out: Path, needed: int) -> str:
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


@contextmanager
def unfinished(*targets: Path) -> Iterator[tuple[Path, ...]]:
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


def publish_folder(made: Path, out: Path) -> None:
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
