"""Two tables of one vocabulary side by side: neighbours, maps and what changed for each token.

Both tables go through the same code; what takes seconds is kept on disk under the tables' own digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.cache import cache_folder, table_sha256, write_atomically
from defemb_core.errors import RunError
from defemb_core.hub import BUNDLED
from defemb_core.neighbours import Neighbours, nearest_neighbours, neighbour_turnover
from defemb_core.plm import PLM, load_plm
from defemb_core.progress import Clock, Progress
from defemb_core.projection import Projection, align
from defemb_core.reconstruction import Reconstruction
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.umap_projection import UmapSettings, project_umap

# Neighbours kept of each row; 15 shape a UMAP map, 10 measure turnover.
KEPT_NEIGHBOURS = 20
TURNOVER_NEIGHBOURS = 10
# Share of each stage in the time that an analysis takes, measured on the bundled PLM; the bar moves by these.
ANALYSIS_SHARES = {
    "neighbours of the original": 0.15,
    "neighbours of the rebuilt": 0.15,
    "map of the original": 0.4,
    "map of the rebuilt": 0.3,
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run's table and the PLM's own, row by row.

    Attributes:
        plm: whose table is the original.
        reconstruction: the run.

    Raises:
        RunError: the run was made from another table than the PLM's.
    """

    plm: PLM
    reconstruction: Reconstruction

    def __post_init__(self) -> None:
        made_from = self.reconstruction.provenance["plm"]["table_sha256"]
        if made_from != self.plm.digest:
            raise RunError(
                f"the run was made from a table with SHA-256 {made_from[:12]}..., {self.plm.name!r} now has "
                f"{self.plm.digest[:12]}...; load the PLM's earlier revision or rebuild"
            )

    @property
    def original(self) -> np.ndarray:
        """The PLM's table, float32 (V, H)."""
        return self.plm.matrix

    @property
    def rebuilt(self) -> np.ndarray:
        """The run's table, float32 (V, H)."""
        return self.reconstruction.matrix

    @property
    def vocabulary(self) -> pl.DataFrame:
        """The vocabulary frame."""
        return self.reconstruction.vocabulary

    @cached_property
    def rebuilt_digest(self) -> str:
        """SHA-256 of the rebuilt table."""
        return table_sha256(self.rebuilt)

    @cached_property
    def key(self) -> str:
        """SHA-256 over both tables and the frequency groups: two runs may share a table and differ in their groups."""
        groups = self.vocabulary["group"].to_physical().to_numpy().tobytes()
        parts = self.plm.digest.encode(), self.rebuilt_digest.encode(), groups
        return hashlib.sha256(b" ".join(parts)).hexdigest()


def open_comparison(folder: Path, load: Callable[[str, str | None], PLM] = load_plm) -> Comparison:
    """Open a complete run together with the PLM that it was made from.

    Args:
        folder: the run's directory.
        load: gives a PLM by name and revision; a program that keeps PLMs in memory passes its own.

    Raises:
        RunError: no complete run, or the PLM's table is another one by now.
        PLMError: the PLM cannot be loaded any more.
    """
    reconstruction = load_reconstruction(folder)
    plm = reconstruction.provenance["plm"]
    return Comparison(load(plm["name"], None if plm["name"] == BUNDLED else plm["revision"]), reconstruction)


def row_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine of each row of one table with the same row of the other, float32 (V,); 0 for a zero row."""
    dot = np.einsum("ij,ij->i", first, second)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)


def token_changes(comparison: Comparison, neighbours: tuple[Neighbours, Neighbours] | None = None) -> pl.DataFrame:
    """Return the vocabulary frame with what changed for each row, all measured in the full space.

    Added columns: `rebuilt bool`, `cosine f32` (original row with rebuilt row, -1 to 1), `movement f32` (1 - cosine, 0
    where the row was kept), `norm_original f32`, `norm_rebuilt f32`, and, with both tables' neighbours, `turnover f32`
    (share of the ten nearest neighbours that are new, 0 to 1).
    """
    cosine = np.clip(row_cosines(comparison.original, comparison.rebuilt), -1, 1)
    rebuilt = comparison.reconstruction.rebuilt
    columns = {
        "rebuilt": rebuilt,
        "cosine": cosine,
        "movement": np.where(rebuilt, 1 - cosine, 0).astype(np.float32),
        "norm_original": np.linalg.norm(comparison.original, axis=1),
        "norm_rebuilt": np.linalg.norm(comparison.rebuilt, axis=1),
    }
    if neighbours:
        before, after = (found.nearest(min(TURNOVER_NEIGHBOURS, found.k)) for found in neighbours)
        columns["turnover"] = neighbour_turnover(before, after)
    return comparison.vocabulary.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


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
    key = (comparison.plm.digest, seed, asdict(settings))
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
        _neighbours(comparison.original, comparison.plm.digest, lambda done, total: report(before, done, total)),
        _neighbours(comparison.rebuilt, comparison.rebuilt_digest, lambda done, total: report(after, done, total)),
    )


def read_analysis(comparison: Comparison, settings: UmapSettings | None = None, seed: int = 0) -> Analysis | None:
    """Return the analysis if all of it is on disk, else None; never computes."""
    key = (comparison.plm.digest, seed, asdict(settings or UmapSettings()))
    tables = (comparison.plm.digest, comparison.rebuilt_digest)
    maps = [_read_map(_map_path(*key)), _read_map(_map_path(*key, comparison.rebuilt_digest))]
    if not all(maps):  # made last: without them the neighbours, which are larger, need not be read
        return None
    neighbours = [_read_neighbours(_neighbours_path(digest, comparison.plm.rows)) for digest in tables]
    if neighbours[0] and neighbours[1] and maps[0] and maps[1]:
        return Analysis((neighbours[0], neighbours[1]), (maps[0], maps[1]))
    return None


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
