"""What takes seconds of a comparison, neighbours and maps: computed once, kept on disk under the tables' own digests.

Both tables go through the same code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from defemb_core.cache import cache_folder, write_atomically
from defemb_core.comparison import Comparison
from defemb_core.errors import RunError
from defemb_core.neighbours import Neighbours, nearest_neighbours
from defemb_core.progress import Clock, Progress
from defemb_core.projection import Projection, align
from defemb_core.umap_projection import UmapSettings, project_umap

# Neighbours kept of each row; 15 shape a UMAP map, 10 measure turnover.
KEPT_NEIGHBOURS = 20
# Share of each stage in the time that an analysis takes, measured on the bundled PLM; the bar moves by these.
ANALYSIS_SHARES = {
    "neighbours of the original": 0.15,
    "neighbours of the rebuilt": 0.15,
    "map of the original": 0.4,
    "map of the rebuilt": 0.3,
}


@dataclass(frozen=True, eq=False)
class Analysis:
    """What takes seconds to compute of a comparison: (original, rebuilt) each."""

    neighbours: tuple[Neighbours, Neighbours]
    maps: tuple[Projection, Projection]


def analyse(
    comparison: Comparison, settings: UmapSettings | None = None, seed: int = 0, progress: Progress | None = None
) -> Analysis:
    """Find both tables' exact neighbours and UMAP maps, from disk where they are known.

    The second map starts from the first one's coordinates and is Procrustes-aligned to it, so that they can be read
    side by side.
    """
    settings = settings or UmapSettings()
    report = progress or Clock().tell

    def stage(name: str) -> Callable[[int, int], None]:
        return lambda done, total: report(name, done, total)

    names = list(ANALYSIS_SHARES)
    first, second = neighbours_of_both(comparison, report)
    key = (comparison.original_digest, seed, asdict(settings))
    first_map = _kept_map(
        _map_path(*key),
        lambda: project_umap(comparison.original, first, seed=seed, settings=settings, progress=stage(names[2])),
    )

    def second_map() -> Projection:
        made = project_umap(
            comparison.rebuilt, second, first_map.coordinates, seed=seed, settings=settings, progress=stage(names[3])
        )
        return Projection(align(first_map.coordinates, made.coordinates), made.method, made.settings, made.seconds)

    return Analysis((first, second), (first_map, _kept_map(_map_path(*key, comparison.rebuilt_digest), second_map)))


def neighbours_of_both(comparison: Comparison, progress: Progress | None = None) -> tuple[Neighbours, Neighbours]:
    """Return the 20 exact nearest neighbours (cosine) of every row in the original and in the rebuilt table.

    They come from disk where they are known, else in some ten seconds for 30,000 rows.
    """
    report = progress or Clock().tell
    before, after = list(ANALYSIS_SHARES)[:2]
    return (
        _neighbours(comparison.original, comparison.original_digest, lambda done, total: report(before, done, total)),
        _neighbours(comparison.rebuilt, comparison.rebuilt_digest, lambda done, total: report(after, done, total)),
    )


def read_analysis(comparison: Comparison, settings: UmapSettings | None = None, seed: int = 0) -> Analysis | None:
    """Return the analysis if all of it is on disk, else None; never computes."""
    key = (comparison.original_digest, seed, asdict(settings or UmapSettings()))
    tables = (comparison.original_digest, comparison.rebuilt_digest)
    maps = [_read_map(_map_path(*key)), _read_map(_map_path(*key, comparison.rebuilt_digest))]
    if not all(maps):  # made last: without them the neighbours, which are larger, need not be read
        return None
    neighbours = [_read_neighbours(_neighbours_path(digest, comparison.plm.rows)) for digest in tables]
    if neighbours[0] and neighbours[1] and maps[0] and maps[1]:
        return Analysis((neighbours[0], neighbours[1]), (maps[0], maps[1]))
    return None


def read_neighbours(digest: str, rows: int) -> Neighbours | None:
    """Return the neighbours of the table with this digest if they are on disk, else None; never computes."""
    return _read_neighbours(_neighbours_path(digest, rows))


def _neighbours_path(digest: str, rows: int) -> Path:
    return cache_folder() / "neighbours" / f"{digest}-cosine-{min(KEPT_NEIGHBOURS, rows - 1)}.npz"


def _map_path(digest: str, seed: int, settings: dict[str, object], started_from: str = "") -> Path:
    key = json.dumps([1, digest, seed, settings, started_from], sort_keys=True)
    return cache_folder() / "maps" / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"


def _neighbours(matrix: np.ndarray, digest: str, progress: Callable[[int, int], None]) -> Neighbours:
    path = _neighbours_path(digest, len(matrix))
    kept = _read_neighbours(path)
    if kept:
        return kept
    found = nearest_neighbours(matrix, min(KEPT_NEIGHBOURS, len(matrix) - 1), progress=progress)
    _write_arrays(path, indices=found.indices, similarities=found.similarities)
    return found


def _read_neighbours(path: Path) -> Neighbours | None:
    arrays = _read_arrays(path)
    whole = arrays and {"indices", "similarities"} <= arrays.keys()
    return Neighbours(arrays["indices"], arrays["similarities"]) if arrays and whole else None


def _kept_map(path: Path, make: Callable[[], Projection]) -> Projection:
    kept = _read_map(path)
    if kept:
        return kept
    made = make()
    _write_arrays(path, coordinates=made.coordinates, seconds=np.array(made.seconds))
    return made


def _read_map(path: Path) -> Projection | None:
    arrays = _read_arrays(path)
    whole = arrays and {"coordinates", "seconds"} <= arrays.keys()
    return Projection(arrays["coordinates"], "umap", {}, float(arrays["seconds"])) if arrays and whole else None


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
