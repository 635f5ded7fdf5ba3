"""Progress of work in stages: told to whoever waits, and how long each stage took."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from defemb_core.errors import NoMemoryError, first_line, is_out_of_memory
from defemb_core.process_setup import release_memory


class Progress(Protocol):
    """Whoever waits for the work."""

    def __call__(self, stage: str, done: int, total: int, /, **figures: float) -> None:
        """Take note of how far a stage is, and of figures that it has by now; may raise to stop the work."""


class Clock:
    """Tells progress and keeps how long each stage took, in seconds."""

    def __init__(self, progress: Progress | None = None, part: str = "") -> None:
        """Take who is told, and what the names of the stages begin with."""
        self.progress = progress or _silent
        self.part = part
        self.seconds: dict[str, float] = {}

    def tell(self, stage: str, done: int, total: int, /, **figures: float) -> None:
        """Tell how far a stage is; see Progress."""
        self.progress(f"{self.part}{stage}", done, total, **figures)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Tell that a stage begins and that it is done; its seconds add up if it comes again.

        What it freed goes back to the system: the next one asks for other sizes, which would come on top.
        """
        self.tell(name, 0, 1)
        start = time.perf_counter()
        with memory_for(f"{self.part}{name}"):
            yield
        release_memory()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
        self.tell(name, 1, 1)


@contextmanager
def memory_for(stage: str) -> Iterator[None]:
    """Say in one sentence if memory does not suffice for a stage.

    Raises:
        NoMemoryError: it does not.
    """
    try:
        yield
    except Exception as exc:
        if not is_out_of_memory(exc):
            raise
        raise NoMemoryError(
            f"memory does not suffice for stage {stage!r} ({first_line(exc)}); end other programs or take a larger "
            "machine and go on with --resume, or choose a method that needs less, as 'estimate' says"
        ) from exc


def _silent(stage: str, done: int, total: int, /, **figures: float) -> None:
    del stage, done, total, figures


def peak_memory_mb() -> float:
    """Return the process's peak resident memory in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
