"""How a process that computes keeps memory."""

import platform
import subprocess
import sys

import pytest

# Blocks that are freed between others that stay cannot be given back from the end.
FREEING = """
import psutil
from defemb_core.process_setup import release_memory
blocks = [bytearray(100_000) for _ in range(3_000)]
kept = blocks[::30]
del blocks
before = psutil.Process().memory_info().rss
release_memory()
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_what_was_freed_between_blocks_in_use_is_given_back():
    done = subprocess.run([sys.executable, "-c", FREEING], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 200e6
