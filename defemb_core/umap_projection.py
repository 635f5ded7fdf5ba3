"""UMAP maps of tables from exact nearest neighbours, the same bytes for the same seed."""

import io
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from defemb_core.errors import SettingsError
from defemb_core.neighbours import METRICS, Neighbours, nearest_neighbours
from defemb_core.projection import Projection, project_pca
from defemb_core.spectrum import checked_matrix

# UMAP needs a row, two neighbours and one row that is none: below that there is no layout to find.
FEWEST_UMAP_ROWS = 4
# umap-learn's own scale of a starting layout, and the noise it adds so that no two rows start at one point.
_START_SPAN, _START_NOISE = 10.0, 1e-4
# Above so many rows fewer epochs than umap-learn's 200, with 2 instead of 5 rows that a row is pushed away from at each
# step and a stronger push, give a map that is as trustworthy in a quarter of the time (benchmarks/RESULTS.md).
_MANY_ROWS, _FEW_EPOCHS, _FEW_NEGATIVES, _REPULSION = 10_000, 80, 2, 6.0
# Two fits at once may abort the whole process: numba's default thread pool does not allow it.
_ONE_FIT = threading.Lock()


@dataclass(frozen=True)
class UmapSettings:
    """What shapes a UMAP map.

    Attributes:
        n_neighbours: size of a row's neighbourhood, the row itself among it as umap-learn counts; small values show
            detail, large ones the whole. At least 3; a table with fewer rows gets one less than it has rows.
        min_dist: how close points may lie in the map, 0 to 1.
        metric: "cosine" or "euclidean", in the full space.
        epochs: passes over the neighbour graph; None: 500 up to 10,000 rows, 80 above.
    """

    n_neighbours: int = 15
    min_dist: float = 0.1
    metric: str = "cosine"
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.n_neighbours < 3:
            raise SettingsError(f"n_neighbours is {self.n_neighbours}; choose at least 3")
        if not 0 <= self.min_dist <= 1:
            raise SettingsError(f"min_dist is {self.min_dist}; choose 0 to 1")
        if self.metric not in METRICS:
            raise SettingsError(f"unknown metric {self.metric!r}; use one of {', '.join(METRICS)}")
        if self.epochs is not None and self.epochs < 1:
            raise SettingsError(f"epochs is {self.epochs}; choose at least 1, or none for the default")


def project_umap(
    matrix: np.ndarray,
    neighbours: Neighbours | None = None,
    init: np.ndarray | None = None,
    *,
    seed: int = 0,
    settings: UmapSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Projection:
    """UMAP map of a table from its exact nearest neighbours; the same seed gives the same bytes.

    umap-learn gets the exact neighbours and a starting layout, so it neither searches nor compiles its approximate
    search. Fits within one process wait for each other: run several in a process each, never in threads.

    Args:
        matrix: (V, H), V at least 4.
        neighbours: at least `settings.n_neighbours - 1` of each row, in the same metric; found here if not given.
        init: starting layout (V, 2), for example another map's coordinates; the table's own PCA if not given.
        seed: of the noise on the starting layout and of the sampling, 0 to 2^32 - 1.
        settings: defaults if not given.
        progress: called with epochs done and their number, about twice a second.

    Raises:
        SettingsError: for fewer than four rows, or neighbours or a start that do not fit the table.

    Example:
        >>> made = de.project_umap(plm.matrix, seed=0)  # doctest: +SKIP
        >>> made.method  # doctest: +SKIP
        'umap'
    """
    started = time.perf_counter()
    table = checked_matrix(matrix)
    used = _fitted_settings(settings or UmapSettings(), table.shape[0])
    if not 0 <= seed < 2**32:
        raise SettingsError(f"seed is {seed}; choose 0 to {2**32 - 1}")
    if neighbours is None:
        neighbours = nearest_neighbours(table, used.n_neighbours - 1, used.metric)
    graph = _with_self(_checked_neighbours(neighbours, used, table.shape[0]))
    start = _start(table, init, seed)
    with _ONE_FIT:
        coordinates = _run_umap(start, graph, seed, used, progress)
    named = {**asdict(used), "seed": seed, "init": "pca" if init is None else "given"}
    return Projection(coordinates, "umap", named, time.perf_counter() - started)


def _fitted_settings(settings: UmapSettings, rows: int) -> UmapSettings:
    """Settings with a neighbourhood that fits the table and the number of epochs spelt out."""
    if rows < FEWEST_UMAP_ROWS:
        raise SettingsError(f"UMAP of {rows} rows; it needs at least {FEWEST_UMAP_ROWS}, use PCA")
    epochs = settings.epochs or (500 if rows <= _MANY_ROWS else _FEW_EPOCHS)
    return replace(settings, n_neighbours=min(settings.n_neighbours, rows - 1), epochs=epochs)


def _checked_neighbours(neighbours: Neighbours, settings: UmapSettings, rows: int) -> Neighbours:
    """As many neighbours as UMAP wants, of all rows, in its metric."""
    if len(neighbours.indices) != rows:
        raise SettingsError(f"neighbours of {len(neighbours.indices)} rows for a table of {rows}; query all rows")
    if neighbours.metric != settings.metric:
        raise SettingsError(f"neighbours are {neighbours.metric}, the map wants {settings.metric}; use one metric")
    wanted = settings.n_neighbours - 1
    if neighbours.k < wanted:
        raise SettingsError(f"{neighbours.k} neighbours a row, but the map wants {wanted}; query more")
    return neighbours.nearest(wanted)


def _with_self(neighbours: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Indices int32 and distances float32 (V, k + 1) as umap-learn takes them: each row first among its own."""
    rows = np.arange(len(neighbours.indices), dtype=np.int32)[:, None]
    distances = -neighbours.similarities if neighbours.metric == "euclidean" else 1 - neighbours.similarities
    indices = np.concatenate([rows, neighbours.indices], axis=1)
    return indices, np.concatenate([np.zeros_like(rows, dtype=np.float32), np.maximum(distances, 0)], axis=1)


def _start(table: np.ndarray, init: np.ndarray | None, seed: int) -> np.ndarray:
    """Starting layout, float32 (V, 2): centred, scaled to umap-learn's span, with its trace of noise."""
    if init is None:
        if table.shape[1] < 2:
            table = np.repeat(table, 2, axis=1)
        layout = project_pca([table])[0].coordinates
    else:
        layout = checked_matrix(init, "init")
        if layout.shape != (table.shape[0], 2):
            raise SettingsError(f"init is {layout.shape}; a start for {table.shape[0]} rows is ({table.shape[0]}, 2)")
    centred = layout - layout.mean(axis=0)
    largest = np.abs(centred).max()
    scaled = centred * (_START_SPAN / largest if largest > 0 else 1.0)
    noise = np.random.default_rng(seed).normal(scale=_START_NOISE, size=layout.shape)
    return (scaled + noise).astype(np.float32)


def _run_umap(
    start: np.ndarray,
    graph: tuple[np.ndarray, np.ndarray],
    seed: int,
    settings: UmapSettings,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """The one place that touches umap-learn: layout float32 (V, 2) from a start and a neighbour graph."""
    from umap.umap_ import UMAP, find_ab_params

    # In float32 the layout's powers take a fifth less time than in float64, which umap-learn would find them in.
    a, b = (np.float32(value) for value in find_ab_params(1.0, settings.min_dist))
    many = len(start) > _MANY_ROWS
    reducer = UMAP(
        n_neighbors=settings.n_neighbours,
        a=a,
        b=b,
        negative_sample_rate=_FEW_NEGATIVES if many else 5,
        repulsion_strength=_REPULSION if many else 1.0,
        metric=settings.metric,
        n_epochs=settings.epochs,
        init=start,
        random_state=seed,
        n_jobs=1,  # what a seed forces anyway, with a warning
        precomputed_knn=(*graph, None),
        disconnection_distance=np.inf,  # an opposite row is far away, not a row without coordinates
        tqdm_kwds=_tqdm_settings(progress, settings.epochs or 0),
    )
    with warnings.catch_warnings():
        # We never place new rows into a finished map.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\].*NNDescent")
        # With neighbours and a start given the rows themselves are only copied and hashed: the start stands for them.
        return np.asarray(reducer.fit_transform(start), dtype=np.float32)


def _tqdm_settings(progress: Callable[[int, int], None] | None, epochs: int) -> dict[str, Any]:
    """Settings of umap-learn's progress bar that make it report to a callable instead of a terminal."""
    if progress is None:
        return {"disable": True}
    return {"disable": False, "file": _EpochReader(progress, epochs), "bar_format": "{n}", "mininterval": 0.5}


class _EpochReader(io.StringIO):
    """A file whose every written number is an epoch count."""

    def __init__(self, progress: Callable[[int, int], None], epochs: int) -> None:
        super().__init__()
        self._progress, self._epochs = progress, epochs

    def write(self, text: str) -> int:
        if text.strip().isdigit():
            self._progress(int(text), self._epochs)
        return len(text)
