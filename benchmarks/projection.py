"""Nearest neighbours and UMAP maps against what the machine and umap-learn's defaults can do.

Run from the repository's root: `python -m benchmarks projection`, with `--full` for the UMAP maps too (minutes).
The rows are the bundled model's embedding table and a disturbed copy of it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.machine import (
    REPEATS,
    Line,
    as_milliseconds,
    as_seconds,
    median_seconds,
    numpy_rate,
    print_head,
    print_table,
    timed,
)
from defemb_core.hub import BUNDLED
from defemb_core.neighbours import Neighbours, nearest_neighbours, neighbour_turnover, normalise_rows
from defemb_core.plm import load_plm
from defemb_core.projection import align
from defemb_core.trustworthiness import measure_trust
from defemb_core.umap_projection import project_umap

NEIGHBOURS = 20
# How strongly the copy differs from the table, in the table's standard deviations: neighbours change, most remain.
DISTURBANCE = 0.5
TOKEN = 2003  # the row that stands for a click
LARGE = (250_000, 768)  # XLM-RoBERTa's table
WARM = 5000  # rows of a fit that only compiles; umap-learn searches fewer than 4,096 exactly, which compiles less
TimedMap = tuple[float, np.ndarray]  # seconds, (V, 2)


def report_neighbours(table: np.ndarray) -> None:
    """Print the time for the neighbours of all rows, and of one row as a click on a token asks for."""
    rate = numpy_rate()
    nearest_neighbours(table[:1000], NEIGHBOURS)  # torch is imported here, not on the clock
    seconds = median_seconds(lambda: nearest_neighbours(table, NEIGHBOURS))
    unit = normalise_rows(table)
    single = median_seconds(lambda: nearest_neighbours(unit, NEIGHBOURS, rows=[TOKEN], normalised=True))
    reached = 2 * table.shape[0] ** 2 * table.shape[1] / seconds / 1e9
    lines = [
        Line("of all rows", as_seconds(seconds), "",
             f"as if {reached:.0f} GFLOP/s for all pairs, product rate {rate:.0f}; half of them are formed"),
        Line("of one row, normalised table", as_milliseconds(single)),
    ]  # fmt: skip
    size = f"{table.shape[0]:,} x {table.shape[1]}"
    print_table(lines, f"{NEIGHBOURS} nearest neighbours in a table of {size} (medians of {REPEATS})")


def report_click() -> None:
    """Print the time for one row's neighbours in a large table, whose single pass through memory is the limit."""
    rows, width = LARGE
    unit = normalise_rows(np.random.default_rng(0).standard_normal(LARGE, dtype=np.float32))
    single = median_seconds(lambda: nearest_neighbours(unit, NEIGHBOURS, rows=[TOKEN], normalised=True), 9)
    product = median_seconds(lambda: unit @ unit[TOKEN], 9)
    line = Line(
        "of one row, normalised table",
        as_milliseconds(single),
        "150 ms",
        f"the product alone {as_milliseconds(product)}",
    )
    print_table([line], f"{NEIGHBOURS} nearest neighbours in a table of {rows:,} x {width} (medians of 9)")


def report_maps(table: np.ndarray, disturbed: np.ndarray) -> None:
    """Print both maps our way, neighbours included, against two default fits, all of them compiled before."""
    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the defaults that we compare with
        project_umap(table[:WARM])
        UMAP(metric="cosine").fit_transform(table[:WARM])
        one = timed(partial(UMAP(metric="cosine").fit_transform, table))
        first = timed(lambda: project_umap(table).coordinates)
        second = timed(lambda: project_umap(disturbed, init=first[1]).coordinates)
        two = timed(partial(UMAP(metric="cosine").fit_transform, disturbed))
    ours, theirs = first[0] + second[0], one[0] + two[0]
    lines = [
        Line("both maps", as_seconds(ours), "0.6 times", f"{ours / theirs:.2f} times {as_seconds(theirs)}"),
        map_line("first map", table, first, one),
        map_line("second map, from the first's places", disturbed, second, two),
        Line("how far rows move between them", f"{movement(first[1], second[1]):.2f} standard deviations", "",
             f"{movement(one[1], two[1]):.2f}"),
    ]  # fmt: skip
    print_table(lines, "UMAP maps of the table and its disturbed copy, compiled before, against umap-learn's defaults")


def map_line(what: str, table: np.ndarray, ours: TimedMap, peer: TimedMap) -> Line:
    """Compare two maps of a table: how long they took, how far they can be trusted, which neighbours they keep."""
    found = nearest_neighbours(table, NEIGHBOURS)
    told = [f"{as_seconds(seconds)}, {judged(table, found, places)}" for seconds, places in (ours, peer)]
    return Line(what, told[0], "", f"{told[1]}: {ours[0] / peer[0]:.2f} times")


def judged(table: np.ndarray, found: Neighbours, coordinates: np.ndarray) -> str:
    """Return a map's trustworthiness, continuity and share of kept neighbours in words."""
    trust = measure_trust(table, coordinates)
    return (
        f"trustworthiness {trust.trustworthiness:.3f}, continuity {trust.continuity:.3f}, "
        f"keeps {kept(found, coordinates):.3f} of {found.k} neighbours"
    )


def kept(neighbours: Neighbours, coordinates: np.ndarray) -> float:
    """Return the share of the neighbours in the full space that are neighbours in the map (V, 2), 0 to 1."""
    near = nearest_neighbours(coordinates, neighbours.k, "euclidean")
    return 1 - float(neighbour_turnover(neighbours, near).mean())


def movement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean distance between a row's points in two maps (V, 2), in standard deviations of the first map.

    The second map is rotated, scaled and shifted onto the first before.
    """
    return float(np.linalg.norm(first - align(first, second), axis=1).mean() / first.std())


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks projection", description=__doc__)
    parser.add_argument("--full", action="store_true", help="UMAP maps too, ours and umap-learn's defaults (minutes)")
    options = parser.parse_args(arguments)
    print_head("projection", arguments)
    table = load_plm(BUNDLED).matrix
    report_neighbours(table)
    report_click()
    if options.full:
        noise = np.random.default_rng(1).standard_normal(table.shape).astype(np.float32)
        report_maps(table, table + np.float32(DISTURBANCE) * table.std() * noise)
