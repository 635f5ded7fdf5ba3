"""Files that are on disk once they are closed, and whose SHA-256 is known then without reading them again."""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

# Below this a thread costs more than it saves.
_LARGE = 2**20
# Large parts that may wait to be summed up.
_WAITING = 2


class Target:
    """Where a format writes: one new file, or new files in a new folder.

    Attributes:
        path: the file or folder.
        sums: SHA-256 of each file that is complete, by its name in the folder; of a single file by "".
        notes: what the card is to say besides, plain JSON values.
    """

    def __init__(self, path: Path, is_folder: bool) -> None:
        self.path = path
        self.is_folder = is_folder
        self.sums: dict[str, str] = {}
        self.notes: dict[str, Any] = {}
        if is_folder:
            path.mkdir()

    @contextmanager
    def open(self, name: str = "") -> Iterator[HashedFile]:
        """Yield a new file to write bytes to; it is on disk afterwards, not only in the system's memory."""
        path = self.path / name if self.is_folder else self.path
        with HashedFile(path.open("xb")) as stream:
            yield stream
        self.sums[name] = stream.sha256

    def write_text(self, name: str, text: str) -> None:
        """Write a whole file of text in UTF-8."""
        with self.open(name) as stream:
            stream.write(text.encode("utf-8"))


class HashedFile(io.RawIOBase):
    """A new file, written from first to last; a thread sums up its large parts meanwhile."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._summing: deque[Future[None]] = deque()
        self._size = 0

    def writable(self) -> bool:
        """Whether it takes bytes; libraries ask before they write."""
        return True

    def tell(self) -> int:
        """Return how many bytes are written; there is no way back."""
        return self._size

    def write(self, data: Any) -> int:
        """Write all of `data`, anything with bytes in a row, which must not change until the file is closed."""
        part = memoryview(data).cast("B")
        if part.nbytes >= _LARGE:
            self._summing.append(self._thread.submit(self._digest.update, part))
            # A view of a table that is kept anyway may wait as long as it takes, anything else takes memory.
            self._wait(None if getattr(data, "base", None) is not None else _WAITING)
        else:
            self._wait(0)
            self._digest.update(part)
        self._file.write(part)
        self._size += part.nbytes
        return part.nbytes

    def _wait(self, most: int | None) -> None:
        """Wait until at most that many parts are to be summed up; None for any number."""
        while most is not None and len(self._summing) > most:
            self._summing.popleft().result()

    def write_lines(self, frame: pl.DataFrame, **options: Any) -> None:
        """Write a frame as lines of text; `options` are those of its write_csv."""
        frame.write_csv(cast(IO[bytes], self), **options)

    def close(self) -> None:
        """Have the file on disk and close it."""
        if self.closed:
            return
        super().close()
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._wait(0)
            self._thread.shutdown()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written; the file must be closed."""
        return self._digest.hexdigest()
