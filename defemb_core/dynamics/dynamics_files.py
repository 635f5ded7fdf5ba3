"""Measures on disk, in the recording's own folder: found again until the recording has other steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from defemb_core.cache import write_atomically, write_json
from defemb_core.dynamics.measures import Dynamics
from defemb_core.dynamics.recordings import Recording
from defemb_core.dynamics.snapshots import snapshot_file
from defemb_core.dynamics.svd_map import SVDMap

FOLDER = "dynamics"  # within the recording's
_FRAMES = ("isotropy", "spectrum", "displacement", "tokens")
_ABOUT, _MAP = "dynamics.json", "map.npz"
# Part of the key; another number when what is measured changes.
_VERSION = 1


def save_dynamics(dynamics: Dynamics, recording: Recording, plm: str) -> None:
    """Write measures into the recording's folder, what says that they are whole last.

    Args:
        dynamics: what was measured.
        recording: what it was measured of.
        plm: whose vocabulary it was, as a user named it.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = recording.folder / FOLDER
    (folder / _ABOUT).unlink(missing_ok=True)
    for name in _FRAMES:
        _write_frame(folder / f"{name}.parquet", getattr(dynamics, name))
    svd = dynamics.svd
    arrays = {"rows": svd.rows, "coordinates": svd.coordinates, "explained": svd.explained}

    def write(to: Path) -> None:
        with to.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_atomically(folder / _MAP, write)
    write_json(folder / _ABOUT, {"key": _key(recording, plm), "about": dynamics.about})


def read_dynamics(recording: Recording, plm: str) -> Dynamics | None:
    """Return the measures kept with a recording; None if there are none, or they are of other steps or damaged."""
    folder = recording.folder / FOLDER
    try:
        kept = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if kept["key"] != _key(recording, plm):
            return None
        frames = {name: pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in _FRAMES}
        with np.load(folder / _MAP, allow_pickle=False) as arrays:
            svd = SVDMap(arrays["rows"], arrays["coordinates"], arrays["explained"])
        return Dynamics(**frames, svd=svd, about=kept["about"])
    except Exception:  # absent or damaged, which parquet and zip report in a dozen ways: it can be measured again
        return None


def _key(recording: Recording, plm: str) -> str:
    """Return what tells one state of a recording from another: its steps, when they were written, the vocabulary."""
    files = [source.file for source in recording.sources] or [
        snapshot_file(recording.folder, step) for step in recording.steps
    ]
    stamps: list[Any] = [(step, file.stat().st_mtime_ns) for step, file in zip(recording.steps, files, strict=True)]
    return hashlib.sha256(json.dumps([_VERSION, stamps, plm]).encode()).hexdigest()


def _write_frame(path: Path, frame: pl.DataFrame) -> None:
    write_atomically(path, lambda to: frame.write_parquet(to))
