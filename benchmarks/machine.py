"""What every benchmark shares: a line about the machine, its matrix-product rate, medians, units and tables."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np

PACKAGES = ("numpy", "polars", "streamlit", "torch", "transformers", "sentence-transformers", "umap-learn")
THREADS = 2  # the machines that the targets are set for have two cores
REPEATS = 3
SIDE = 2048
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A line of a benchmark's table.

    Attributes:
        what: what was measured.
        measured: the figure with its unit.
        target: what it should be, "" where no target is set.
        peer: the same of a peer or a baseline in the same run, and the ratio to it; "" without one.
    """

    what: str
    measured: str
    target: str = ""
    peer: str = ""


def describe_machine() -> str:
    """Return processor, cores, memory, Python, packages and present load in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.1f} GB, load {load:.1f} at the start; "
        f"Python {platform.python_version()}, {packages}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def torch_rate() -> float:
    """Return torch's float32 products of 2,048 x 2,048 on two threads, in 10^9 operations a second; best of five."""
    import torch

    torch.set_num_threads(THREADS)
    square = torch.from_numpy(_square())
    return _rate(lambda: square @ square)


def numpy_rate() -> float:
    """Return numpy's, as torch_rate."""
    from threadpoolctl import threadpool_limits

    square = _square()
    with threadpool_limits(THREADS, user_api="blas"):
        return _rate(lambda: square @ square)


def _square() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)


def _rate(multiply: Callable[[], object]) -> float:
    multiply()
    return 2 * SIDE**3 / min(timed(multiply)[0] for _ in range(5)) / 1e9


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the wall-clock seconds that `work` took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def median_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median of the wall-clock seconds of `repeats` calls."""
    return statistics.median(timed(work)[0] for _ in range(repeats))


def as_seconds(seconds: float) -> str:
    """Return a duration with its unit."""
    return f"{seconds:.2f} s"


def as_milliseconds(seconds: float) -> str:
    """Return a short duration, given in seconds, with its unit."""
    return f"{1000 * seconds:.1f} ms"


def print_head(name: str, arguments: Sequence[str]) -> None:
    """Print what runs, with its command line, and on which machine."""
    print(f"{name}: python -m benchmarks {' '.join([name, *arguments])}\n\n{describe_machine()}")


def print_table(lines: Sequence[Line], title: str = "") -> None:
    """Print lines as a Markdown table that is also readable on a terminal; columns without content are left out."""
    rows = [
        ("what", "measured", "target", "peer or baseline"),
        *((x.what, x.measured, x.target, x.peer) for x in lines),
    ]
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    cells = [list(row) for row in zip(*columns, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    print(f"\n{title}\n" if title else "")
    for row in cells:
        print("| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |")
    sys.stdout.flush()
