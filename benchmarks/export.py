"""Speed and memory of exporting a large table, against a plain copy of the file that was written.

Run from the repository's root: `python -m benchmarks export`, for a table of 256,000 x 2,304 (2.4 GB, and twice that of
free disk) with `--rows 256000 --width 2304 --formats safetensors,npy`. Each format is measured in a process of its own
that holds one table, random numbers; original and rebuilt are the same, so that the peak is that of the table and of
what the export adds.

The copy is made as the export is: under a new name beside the earlier one, which it then replaces. Each begins with
nothing left to be written and with free memory for the whole file at hand: a virtual machine gives memory that is not
used back to its host, and getting it again can take longer than all the rest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.machine import REPEATS, Line, as_seconds, print_head, print_table, timed
from defemb_core.export import export
from defemb_core.export_formats import FORMATS
from defemb_core.hub import BUNDLED
from defemb_core.plm import PLM, load_plm
from defemb_core.progress import peak_memory_mb
from defemb_core.reconstruction import Reconstruction, Settings
from defemb_core.vocabulary import read_vocabulary

MB = 1e6
BINARY = ("safetensors", "npy")  # the formats that a target is set for
TARGET_SPEED, TARGET_MEMORY = 0.6, 1.5
# What a process does that has memory for so many bytes, more than the file's, written to and freed.
TOUCH, MORE = "import sys; bytearray(b'1') * int(sys.argv[1])", 1.5


@dataclass(frozen=True)
class Measured:
    """Figures of one format: medians of seconds, bytes written, size of the table in MB, and the process's peak."""

    export: float
    copy: float
    quick_copy: float
    size: int
    table: float
    peak: float


def large_table(rows: int, width: int) -> tuple[PLM, Reconstruction]:
    """Return a PLM with a table of random numbers and the bundled PLM's tokenizer, and a reconstruction of the same."""
    random = np.random.default_rng(0)
    table = np.empty((rows, width), np.float32)
    for start in range(0, rows, 1000):
        random.standard_normal(dtype=np.float32, out=table[start : start + 1000])
    bundled = load_plm(BUNDLED)
    plm = replace(bundled, matrix=table)
    known = read_vocabulary(bundled.tokenizer, bundled.rows, bundled.special_ids)
    vocabulary = known[np.arange(rows) % bundled.rows].with_columns(
        token_id=pl.int_range(rows, dtype=pl.Int64), group=pl.lit("rare"), zipf=pl.lit(3.0, pl.Float32)
    )
    provenance = {"plm": {"name": "random", "table_sha256": plm.digest}}
    marks = random.random(rows) < 0.5
    return plm, Reconstruction(table, marks, Settings(), vocabulary, pl.DataFrame(), {}, provenance)


def measure(to: str, rows: int, width: int, repeats: int, folder: str) -> Measured:
    """Export and copy in turn; run in a process of its own, whose peak memory is the export's then."""
    plm, made = large_table(rows, width)
    out, copy = Path(folder) / f"table{FORMATS[to].suffix}", Path(folder) / "copy"
    export(made, plm, to, out)  # what is imported at first use is no part of the speed
    works = (
        lambda: export(made, plm, to, out, force=True),
        lambda: copy_file(out, copy, settle=True),
        lambda: copy_file(out, copy),
    )
    seconds: list[list[float]] = [[], [], []]
    for turn in range(repeats):
        for which in (np.arange(3) + turn) % 3:  # so that each comes after each
            seconds[which].append(_alike(works[which], plm.matrix.nbytes))
    spent, settled, quick = map(statistics.median, seconds)
    size = sum(file.stat().st_size for file in files_of(out))
    return Measured(spent, settled, quick, size, rows * width * 4 / MB, peak_memory_mb())


def _alike(work: Callable[[], object], size: int) -> float:
    """Return the seconds of some work on `size` bytes that begins as all others do.

    Nothing waits to be written, else it would pay for the work before; and another process has just freed memory for
    the whole file, else what comes right after another file was removed would have that one's, and others none.
    """
    os.sync()
    subprocess.run([sys.executable, "-c", TOUCH, str(int(size * MORE))], check=True)
    return timed(work)[0]


def files_of(path: Path) -> list[Path]:
    """Return the files of an export."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def copy_file(source: Path, target: Path, settle: bool = False) -> None:
    """Copy an export's files in the place of an earlier copy; `settle` waits until they are on disk, as an export."""
    for number, file in enumerate(files_of(source)):
        new = target.with_name("new copy")
        shutil.copyfile(file, new)
        if settle:
            with new.open("rb+") as stream:
                os.fsync(stream.fileno())
        os.replace(new, target.with_name(f"{target.name} {number}"))


def line(to: str, found: Measured) -> Line:
    """Say how one format did."""
    share, memory = found.copy / found.export, found.peak / found.table
    targets = f"{TARGET_SPEED:.0%} of the copy, {TARGET_MEMORY} tables" if to in BINARY else f"{TARGET_MEMORY} tables"
    return Line(
        f"{to}, {found.size / MB:,.0f} MB",
        f"{as_seconds(found.export)}, {found.size / MB / found.export:,.0f} MB/s, peak {memory:.2f} tables",
        targets,
        f"copy and fsync {as_seconds(found.copy)}: {share:.0%}; copy without {as_seconds(found.quick_copy)}: "
        f"{found.quick_copy / found.export:.0%}",
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks export", description=__doc__)
    parser.add_argument("--rows", type=int, default=64_000, help="of the table (default: %(default)s)")
    parser.add_argument("--width", type=int, default=768, help="columns of the table (default: %(default)s)")
    measurable = [name for name, of in FORMATS.items() if not of.needs_maps]
    parser.add_argument("--formats", default=",".join(measurable), help="default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=REPEATS, help="of which medians are taken (default: %(default)s)"
    )
    parser.add_argument("--folder", help="where to write, on the disk in question (default: the system's for such)")
    options = parser.parse_args(arguments)
    print_head("export", arguments)
    lines = []
    for to in options.formats.split(","):
        with (
            tempfile.TemporaryDirectory(dir=options.folder) as folder,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            found = pool.apply(measure, (to, options.rows, options.width, options.repeats, folder))
        lines.append(line(to, found))
    size = options.rows * options.width * 4 / MB
    print_table(
        lines,
        f"a table of {options.rows:,} x {options.width:,}, {size:,.0f} MB (medians of {options.repeats}; peak memory "
        "of the whole process, which holds one table)",
    )
