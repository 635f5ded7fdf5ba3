"""How a process that computes waits and keeps memory: set before torch is imported, given back now and then."""

import ctypes
import os
import platform


def set_up_process() -> None:
    """Set what torch's threads read once; what the user's environment says stays.

    They wait for each other by spinning 300,000 rounds: beside another program that does so too, encoding took up to
    five times as long (benchmarks/RESULTS.md). With 10,000 it does not, and alone it is no slower, as it would be
    without any spinning.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def release_memory() -> None:
    """Give the system back what the allocator keeps between blocks in use; nothing elsewhere than with glibc.

    A training asks for other sizes at every update, and what it frees fits the next ones badly: without this its memory
    grew to three times what it needs (benchmarks/RESULTS.md).
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
