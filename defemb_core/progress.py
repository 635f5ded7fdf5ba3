"""Progress of work in stages: told to whoever waits, and how long each stage took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); may raise to stop the work."""


class Clock:
    """Tells progress and keeps how long each stage took, in seconds."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.tell = progress or _silent
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Tell that a stage begins and that it is done; its seconds add up if it comes again."""
        self.tell(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
        self.tell(name, 1, 1)


def _silent(stage: str, done: int, total: int) -> None:
    del stage, done, total
