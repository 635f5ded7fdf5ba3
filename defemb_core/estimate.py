"""How long a run will take and how much memory it will need, before it starts.

Nothing is tried out: operations are counted and divided by the rate that a machine reaches in products of matrices.
That is rough; it was calibrated on the bundled PLM and two cores (methods "instant" and "frozen", the memory of
"trained"). What several processes send each other is not counted.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from defemb_core.costs import (
    FLOAT32,
    READING,
    Machine,
    device_memory,
    main_memory,
    reading_operations,
    table_seconds,
    update_cost,
)
from defemb_core.errors import SettingsError
from defemb_core.methods import STUDENTS
from defemb_core.pieces import matched_senses
from defemb_core.sizes import PromptLoad, Sizes, prompt_load, sizes_of
from defemb_core.trained import recipe_of

if TYPE_CHECKING:
    import polars as pl

    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

SIDE = 2048  # of the matrices whose product is timed


@dataclass(frozen=True)
class Estimate:
    """What a run is about to take.

    Attributes:
        seconds: until the table is there with its evidence; until both are, where the decoder has one of its own.
        memory: bytes of main memory, each process.
        device_memory: bytes of each process's accelerator, 0 without one.
        operations: multiplications and additions of all processes in reading and training.
        updates: of a student, 0 where none is trained; fewer if its training ends early.
        tokens: that it reads in these, padding apart.
    """

    seconds: float
    memory: float
    device_memory: float
    operations: float
    updates: int
    tokens: int

    @property
    def memory_in_words(self) -> str:
        """Main memory and, where there is one, the accelerator's: "9.1 GB and 84 GB of the accelerator"."""
        device = f" and {bytes_in_words(self.device_memory)} of the accelerator" if self.device_memory else ""
        return bytes_in_words(self.memory) + device


def estimate_run(sizes: Sizes, load: PromptLoad, settings: Settings, machine: Machine) -> Estimate:
    """Return how long a run takes and what memory it needs; costs.py has the formulas.

    Baselines cost about what "instant" does.

    Args:
        sizes: of the PLM.
        load: what there is to read.
        settings: method, preset and what replaces its values.
        machine: what it runs on.
    """
    seconds, recipe = table_seconds(sizes, load, settings, machine), recipe_of(settings)
    memory = main_memory(sizes, load, settings, machine, recipe)
    if settings.method not in STUDENTS:
        return Estimate(seconds * sizes.tables, memory, 0.0, 0.0, 0, 0)
    updates, update = 0, (0.0, 0.0)
    if settings.method == "trained":
        updates = recipe.updates_for(round(load.learned * load.tokens))
        update = update_cost(sizes, load, recipe, machine)
    reading = reading_operations(sizes, load, settings)
    reader = READING * (machine.accelerator * FLOAT32 or machine.processor) * machine.processes
    seconds += reading / reader + updates * update[1]
    return Estimate(
        seconds * sizes.tables,
        memory,
        device_memory(sizes, load, settings, machine, recipe),
        (reading + updates * update[0]) * sizes.tables,
        updates,
        updates * recipe.batch_tokens,
    )


def estimate_reconstruction(
    plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary, settings: Settings, machine: Machine | None = None
) -> Estimate:
    """Return what reconstruct() would take with the same arguments, on this machine's processor unless told otherwise.

    Raises:
        SettingsError: the dictionary defines none of the rows.
    """
    senses = matched_senses(plm, vocabulary, dictionary, settings)
    if not senses.height:
        raise SettingsError(
            f"none of {plm.rows} rows has a definition in {dictionary.name}, so there is nothing to estimate; name a "
            "larger dictionary"
        )
    load = prompt_load(plm, vocabulary, senses, settings)
    return estimate_run(sizes_of(plm), load, settings, machine or this_machine())


def this_machine(processes: int = 1) -> Machine:
    """Return this machine's processor, its rate measured."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return Machine(product_rate(), 0.0, processes, int(threads) if threads.isdigit() else os.cpu_count() or 1)


@cache
def product_rate() -> float:
    """Return numpy's operations a second in products of 2,048 x 2,048 float32 matrices, the best of up to five.

    Measured once a process, in a third of a second or so. A busy machine gives less, and so longer estimates.
    """
    square = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    seconds: list[float] = []
    while len(seconds) < 5 and sum(seconds) < 0.3:
        started = time.perf_counter()
        square @ square
        seconds.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(seconds)


def time_in_words(seconds: float) -> str:
    """Return seconds with two digits at most and a unit that suits: "4 s", "80 s", "15 min", "3.9 h", "7.2 days"."""
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if _rounded(seconds / size) < most:
            return f"{_rounded(seconds / size):g} {unit}"
    return f"{_rounded(seconds / 86400):g} days"


def bytes_in_words(count: float) -> str:
    """Return bytes with two digits and a unit that suits: "850 MB", "1.6 GB" (10^9 bytes)."""
    if _rounded(count / 1e6) < 1000:
        return f"{_rounded(count / 1e6):g} MB"
    return f"{_rounded(count / 1e9):g} GB"


def _rounded(value: float) -> float:
    """Return a value with two digits, 0.1 at least."""
    return max(0.1, float(f"{value:.2g}"))
