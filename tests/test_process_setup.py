"""How a process that computes is set up; each test looks at a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

# Each thread asks for memory, so that each would get an arena; malloc_stats names all there are.
ALLOCATING = """
import ctypes, threading
from defemb_core.process_setup import set_up_process
if {set_up}:
    set_up_process()
ready = threading.Barrier(4)
def allocate():
    kept = bytearray(100_000)
    ready.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


def arenas(set_up, **chosen):
    given = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC")} | chosen
    code = ALLOCATING.format(set_up=set_up)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=given, check=True)
    return sum(line.startswith("Arena ") for line in done.stderr.splitlines())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_one_arena_unless_told_otherwise():
    assert arenas(set_up=True) == 1
    assert arenas(set_up=False) > 1
    assert arenas(set_up=True, MALLOC_ARENA_MAX="8") > 1
