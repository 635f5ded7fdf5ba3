"""Neighbours and maps on disk, in the cache folder: found by what they were made from, made again where damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from defemb_core.cache import cache_folder, write_atomically
from defemb_core.errors import RunError
from defemb_core.neighbours import Neighbours, nearest_neighbours
from defemb_core.projection import Projection
from defemb_core.trustworthiness import Trust

# Part of every key; another number when what is kept changes.
_VERSION = 4


def neighbours_path(digest: str, k: int, metric: str = "cosine", rows: str = "") -> Path:
    """Return the file of a table's neighbours, of those `rows` that a digest stands for where they are not all."""
    return cache_folder() / "neighbours" / f"{digest}-{metric}-{k}{rows and f'-{rows}'}.npz"


def map_path(made_from: Sequence[object]) -> Path:
    """Return the file of the map that is made from these values, which JSON can hold."""
    key = json.dumps([_VERSION, *made_from], sort_keys=True)
    return cache_folder() / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"


def kept_neighbours(
    path: Path, matrix: np.ndarray, k: int, metric: str, progress: Callable[[int, int], None]
) -> Neighbours:
    """Return the neighbours kept at `path`, else find and keep them.

    Raises:
        RunError: the cache folder cannot be written.
    """
    kept = neighbours_at(path, metric)
    if kept:
        return kept
    found = nearest_neighbours(matrix, k, metric, progress=progress)
    _write_arrays(path, indices=found.indices, similarities=found.similarities)
    return found


def neighbours_at(path: Path, metric: str = "cosine") -> Neighbours | None:
    """Return the neighbours kept at `path`, None if they are absent or damaged."""
    arrays = _read_arrays(path)
    whole = arrays and {"indices", "similarities"} <= arrays.keys()
    return Neighbours(arrays["indices"], arrays["similarities"], metric) if arrays and whole else None


def kept_map(path: Path, make: Callable[[], Projection]) -> Projection:
    """Return the map kept at `path`, else make and keep it; it comes with its trustworthiness.

    Raises:
        RunError: the cache folder cannot be written.
    """
    kept = read_map(path)
    if kept:
        return kept
    made = make()
    about = {name: value for name, value in asdict(made).items() if name != "coordinates"}
    _write_arrays(path, coordinates=made.coordinates, about=np.array(json.dumps(about)))
    return made


def read_map(path: Path) -> Projection | None:
    """Return the map kept at `path`, None if it is absent or damaged."""
    arrays = _read_arrays(path)
    if not arrays or not {"coordinates", "about"} <= arrays.keys():
        return None
    try:
        about = json.loads(str(arrays["about"]))
        return Projection(**{**about, "coordinates": arrays["coordinates"], "trust": Trust(**about["trust"])})
    except (ValueError, TypeError, KeyError):  # another version's, or not ours
        return None


def _read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # absent or damaged, which zipfile reports in a dozen ways: it is only a cache
        return None


def _write_arrays(path: Path, **arrays: np.ndarray) -> None:
    def write(to: Path) -> None:
        with to.open("wb") as file:  # savez would append .npz to a bare name
            np.savez(file, allow_pickle=False, **arrays)

    try:
        write_atomically(path, write)
    except OSError as exc:
        raise RunError(
            f"cannot write to the cache folder {str(cache_folder())!r} ({exc.strerror or exc}); "
            "set DEFEMB_CACHE to a folder with space that you may write to"
        ) from None
