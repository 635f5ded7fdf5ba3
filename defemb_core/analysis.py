"""What takes seconds of a comparison, neighbours and maps: computed once, kept on disk under the tables' own digests.

Both tables go through the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.analysis_files import kept_map, kept_neighbours, map_path, neighbours_at, neighbours_path, read_map
from defemb_core.cache import cached_frame
from defemb_core.clusters import CLUSTER_SCHEMA, name_clusters
from defemb_core.comparison import Comparison
from defemb_core.neighbours import Neighbours, nearest_neighbours
from defemb_core.progress import Clock, Progress
from defemb_core.projection import Projection, align, place_rows, project_pca
from defemb_core.projection_settings import ProjectionSettings, subset_rows
from defemb_core.trustworthiness import measure_trust
from defemb_core.umap_projection import project_umap

# Neighbours kept of each row; 15 shape a UMAP map, 10 measure turnover.
KEPT_NEIGHBOURS = 20
# The stages of an analysis and how long they take on the bundled PLM, in seconds on two free cores.
STAGES = {
    "neighbours of the original": 4.0,
    "neighbours of the rebuilt": 4.0,
    "map of the original": 13.0,  # most of it for compiling what umap-learn runs
    "map of the rebuilt": 4.5,
    "names of regions": 3.0,
}
# The same of PCA, most of it the measuring of its trustworthiness, and of places on the original's map.
_PCA_SECONDS, _PLACED_SECONDS = 2.5, 6.0
Tell = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Analysis:
    """What takes seconds to compute of a comparison: (original, rebuilt) each.

    Attributes:
        neighbours: of all rows, by cosine.
        maps: of the settings' rows, in that order, both with their trustworthiness.
        rows: int32 (n,), ascending: the rows that are on the maps.
        regions: dense regions of both maps with names from the definitions of their tokens, as name_clusters returns
            them, and `map i8`, 0 or 1; empty where the second table is no run's and has no definitions.
        settings: of the maps.
    """

    neighbours: tuple[Neighbours, Neighbours]
    maps: tuple[Projection, Projection]
    rows: np.ndarray
    regions: pl.DataFrame
    settings: ProjectionSettings


@dataclass(frozen=True, eq=False)
class _Task:
    """A comparison's maps with some settings: their rows, and where they are kept."""

    comparison: Comparison
    settings: ProjectionSettings

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows on the maps, int32."""
        both = self.comparison
        return subset_rows(self.settings.subset, both.vocabulary, both.changed)

    @property
    def is_whole(self) -> bool:
        """Whether all rows are on the maps."""
        return self.rows.size == self.comparison.plm.rows

    @cached_property
    def rows_key(self) -> str:
        """What tells these rows from others, empty for all rows."""
        return "" if self.is_whole else hashlib.sha256(self.rows.tobytes()).hexdigest()[:16]

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """These rows of both tables, (n, H) each."""
        both = self.comparison
        return (both.original, both.rebuilt) if self.is_whole else (both.original[self.rows], both.rebuilt[self.rows])

    @cached_property
    def map_paths(self) -> tuple[Path, Path]:
        """Files of the maps. The first one is the same whichever table is laid beside it."""
        settings = asdict(replace(self.settings.relevant, subset="all", mode="each"))
        digests = _digests(self.comparison)
        first = [digests[0], self.rows_key, settings]
        return map_path(first), map_path([*first, self.settings.mode, digests[1]])

    @property
    def regions_path(self) -> Path:
        """File of the regions' names, which depend on the run's definitions too: its table stands for them."""
        made_from = [path.name for path in self.map_paths] + [_digests(self.comparison)[1]]
        return map_path(made_from).with_suffix(".parquet")

    def neighbours(self, which: int, tell: Tell) -> Neighbours:
        """Neighbours that shape a table's UMAP map, among the rows on it; those kept of all rows where they will do."""
        metric, others = self.settings.metric, self.rows.size - 1
        k = min(max(KEPT_NEIGHBOURS, self.settings.neighbours), others)
        path = neighbours_path(_digests(self.comparison)[which], k, metric, self.rows_key)
        return kept_neighbours(path, self.tables[which], k, metric, tell)


def analyse(
    comparison: Comparison, settings: ProjectionSettings | None = None, progress: Progress | None = None
) -> Analysis:
    """Find both tables' exact neighbours and their maps with the trustworthiness of each, from disk where known.

    Example:
        >>> analysis = de.analyse(pair)  # about a minute the first time # doctest: +SKIP
        >>> analysis.maps[0].trust.trustworthiness > 0.5  # doctest: +SKIP
        True
    """
    task, report = _Task(comparison, settings or ProjectionSettings()), progress or Clock().tell

    def stage(name: str) -> Tell:
        return lambda done, total: report(name, done, total)

    names = list(STAGES)
    _ = task.rows  # refuses a subset that is none before the long work
    neighbours = neighbours_of_both(comparison, report)
    first = kept_map(task.map_paths[0], lambda: _first_map(task, stage(names[2])))
    second = kept_map(task.map_paths[1], lambda: _second_map(task, first, stage(names[3])))
    regions = cached_frame(task.regions_path, lambda: _regions(task, (first, second), stage(names[4])))
    return Analysis(neighbours, (first, second), task.rows, regions, task.settings)


def read_analysis(comparison: Comparison, settings: ProjectionSettings | None = None) -> Analysis | None:
    """Return the analysis if all of it is on disk, else None; never computes.

    Raises:
        SettingsError: the settings' subset has too few rows or is not known.
    """
    task = _Task(comparison, settings or ProjectionSettings())
    first, second = (read_map(path) for path in task.map_paths)
    if not (
        first and second and task.regions_path.exists()
    ):  # made last: without them the neighbours, which are larger, need not be read
        return None
    neighbours = known_neighbours(comparison)
    if not neighbours:
        return None
    regions = cached_frame(task.regions_path, lambda: _regions(task, (first, second), lambda done, total: None))
    return Analysis(neighbours, (first, second), task.rows, regions, task.settings)


def analysis_shares(comparison: Comparison, settings: ProjectionSettings) -> dict[str, float]:
    """Return the share of each stage in the time that an analysis will take, 0 for what is on disk; they sum to 1."""
    task = _Task(comparison, settings)
    seconds = dict(STAGES)
    if settings.method == "pca":
        seconds |= {"map of the original": _PCA_SECONDS, "map of the rebuilt": _PCA_SECONDS}
    elif settings.mode == "place":
        seconds["map of the rebuilt"] = _PLACED_SECONDS
    whole = [neighbours_path(digest, _kept(comparison)) for digest in _digests(comparison)]
    for name, path in zip(STAGES, (*whole, *task.map_paths, task.regions_path), strict=True):
        if path.exists():
            seconds[name] = 0.0
    total = sum(seconds.values())
    return {name: part / total if total else 1 / len(STAGES) for name, part in seconds.items()}


def neighbours_of_both(comparison: Comparison, progress: Progress | None = None) -> tuple[Neighbours, Neighbours]:
    """Return the 20 exact nearest neighbours (cosine) of every row in the original and in the rebuilt table.

    They come from disk where they are known, else in some ten seconds for 30,000 rows.
    """
    report, k = progress or Clock().tell, _kept(comparison)

    def found(name: str, digest: str, matrix: np.ndarray) -> Neighbours:
        return kept_neighbours(
            neighbours_path(digest, k), matrix, k, "cosine", lambda done, total: report(name, done, total)
        )

    names, digests = list(STAGES), _digests(comparison)
    return found(names[0], digests[0], comparison.original), found(names[1], digests[1], comparison.rebuilt)


def neighbour_stages() -> tuple[str, str]:
    """Return what the two stages of neighbours_of_both are called."""
    first, second = [*STAGES][:2]
    return first, second


def known_neighbours(comparison: Comparison) -> tuple[Neighbours, Neighbours] | None:
    """Return what neighbours_of_both finds if it is on disk, else None; never computes."""
    first, second = (read_neighbours(digest, comparison.plm.rows) for digest in _digests(comparison))
    return (first, second) if first and second else None


def read_neighbours(digest: str, rows: int) -> Neighbours | None:
    """Return the neighbours of the table with this digest if they are on disk, else None; never computes."""
    return neighbours_at(neighbours_path(digest, min(KEPT_NEIGHBOURS, rows - 1)))


def _first_map(task: _Task, tell: Tell) -> Projection:
    """The original's map."""
    table = task.tables[0]
    if task.settings.method == "pca":
        made = project_pca([table])[0]
    else:
        near = task.neighbours(0, _part(tell, 0.0, 0.3))
        made = project_umap(
            table, near, seed=task.settings.seed, settings=task.settings.umap, progress=_part(tell, 0.3, 0.9)
        )
    return _judged(task, table, made, _part(tell, 0.9, 1.0))


def _second_map(task: _Task, first: Projection, tell: Tell) -> Projection:
    """The rebuilt table's map, beside the original's."""
    original, table = task.tables
    settings = task.settings
    if settings.method == "pca":
        made = project_pca([original, table] if settings.mode == "place" else [table])[-1]
        if settings.mode == "each":
            made = replace(made, coordinates=_same_signs(first.coordinates, made.coordinates))
    elif settings.mode == "place":
        made = Projection(_placed(task, first, _part(tell, 0.0, 0.9)), "umap", asdict(settings))
    else:
        near = task.neighbours(1, _part(tell, 0.0, 0.3))
        made = project_umap(
            table, near, first.coordinates,
            seed=settings.seed, settings=settings.umap, progress=_part(tell, 0.3, 0.9),
        )  # fmt: skip
        made = replace(made, coordinates=align(first.coordinates, made.coordinates))
    return _judged(task, table, made, _part(tell, 0.9, 1.0))


def _placed(task: _Task, first: Projection, tell: Tell) -> np.ndarray:
    """Places of the rebuilt table's rows on the original's map: those that were kept have theirs."""
    original, table = task.tables
    moved = np.flatnonzero((original != table).any(axis=1))
    places = first.coordinates.copy()
    if moved.size:
        k = min(task.settings.neighbours, len(original))
        found = nearest_neighbours(original, k, task.settings.metric, of=table[moved], progress=tell)
        places[moved] = place_rows(first.coordinates, found)
    return places


def _same_signs(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`other` with each axis mirrored that runs against the reference's: the sign of a principal direction is free."""
    agreement = np.einsum("ij,ij->j", reference - reference.mean(axis=0), other - other.mean(axis=0))
    return other * np.where(agreement < 0, -1, 1).astype(np.float32)


def _regions(task: _Task, maps: tuple[Projection, Projection], tell: Tell) -> pl.DataFrame:
    """Both maps' regions with their names."""
    definitions, found = task.comparison.definitions, []
    for number, made in enumerate(maps):
        named = CLUSTER_SCHEMA.to_frame(eager=True)
        if definitions is not None:
            named = name_clusters(made.coordinates, task.rows, task.comparison.vocabulary, definitions)
        found.append(named.with_columns(map=pl.lit(number, pl.Int8)))
        tell(number + 1, len(maps))
    return pl.concat(found)


def _judged(task: _Task, table: np.ndarray, made: Projection, tell: Tell) -> Projection:
    """A map with its trustworthiness, judged in the metric that it was made with."""
    metric = task.settings.relevant.metric
    return replace(made, trust=measure_trust(table, made.coordinates, metric, progress=tell))


def _part(tell: Tell, start: float, end: float) -> Tell:
    """Progress within a part of a stage, told in thousandths of the whole."""
    return lambda done, total: tell(round(1000 * (start + (end - start) * done / max(total, 1))), 1000)


def _kept(comparison: Comparison) -> int:
    """How many neighbours of each row are kept."""
    return min(KEPT_NEIGHBOURS, comparison.plm.rows - 1)


def _digests(comparison: Comparison) -> tuple[str, str]:
    return comparison.original_digest, comparison.rebuilt_digest
