"""What a process that computes sets before torch is imported: how its threads wait, how it keeps memory."""

import ctypes
import os
import platform

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
    if platform.libc_ver()[0] == "glibc" and "MALLOC_ARENA_MAX" not in os.environ:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
