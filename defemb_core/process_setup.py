"""How a process that computes waits and keeps memory: set before torch is imported, given back now and then."""

import ctypes
import os
import platform
from functools import cache

# glibc's mallopt parameter M_ARENA_MAX (malloc.h): how many arenas threads get their memory from.
_ARENA_MAX = -8


def set_up_process() -> None:
    """Set what torch's threads and the allocator read once; what the user's environment says stays.

    torch's threads wait for each other by spinning 300,000 rounds: beside another program that does so too, encoding
    took up to five times as long (benchmarks/RESULTS.md). With 10,000 it does not, and alone it is no slower, as it
    would be without any spinning.

    glibc gives each thread an arena of its own and keeps there what is freed: parts of a training that are computed by
    whichever thread is free leave their largest sizes behind in every one. With one arena for all a training takes
    half the memory (benchmarks/RESULTS.md). Elsewhere than on Linux with glibc nothing is set.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if _has_glibc() and "MALLOC_ARENA_MAX" not in os.environ:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def release_memory() -> None:
    """Give the system back what the allocator keeps between blocks in use; nothing elsewhere than with glibc.

    A training asks for other sizes at every update, and what it frees fits the next ones badly.
    """
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
