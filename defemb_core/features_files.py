"""What the encoder has answered so far, kept on disk: an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import logging
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from defemb_core.cache import write_atomically

if TYPE_CHECKING:
    from defemb_core.plm import PLM

logger = logging.getLogger(__name__)

STATES = "prompt-states.npz"
# Seconds between two writes; one takes a third of a second for 36,000 prompts of a small PLM.
WRITE_EVERY = 30.0


class KeptStates:
    """States of prompts, filled by others, that are written to disk now and then and read back by the next try."""

    def __init__(self, folder: Path, key: str, mask: np.ndarray, mean: np.ndarray) -> None:
        """Take the folder, what the states are made of (states_key), and the arrays to keep, (n, width) each."""
        self.file = folder / STATES
        self.key, self.mask, self.mean = key, mask, mean
        self.finished = np.zeros(len(mask), dtype=bool)
        self.written = time.monotonic()

    def read(self) -> np.ndarray:
        """Fill the arrays with what an earlier try has left; return which prompts are finished, bool (n,)."""
        try:
            with np.load(self.file, allow_pickle=False) as kept:
                if str(kept["key"]) == self.key:
                    finished = kept["finished"].copy()
                    self.mask[:], self.mean[:] = kept["mask"], kept["mean"]
                    self.finished = finished
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # nothing there, or nothing that can be used: all prompts are encoded again
        return self.finished

    def add(self, batch: np.ndarray) -> None:
        """Take note of a finished batch of prompts; write if it is time."""
        self.finished[batch] = True
        if time.monotonic() - self.written > WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write what is finished. A disk that is full costs only this: the work goes on."""

        def save(to: Path) -> None:
            with to.open("wb") as file:
                np.savez(file, key=np.array(self.key), mask=self.mask, mean=self.mean, finished=self.finished)

        try:
            write_atomically(self.file, save)
        except OSError as error:
            logger.warning("cannot keep the encoder's states in %s: %s", self.file.parent, error)
        self.written = time.monotonic()


def states_key(plm: PLM, prompts: Sequence[Sequence[int]], budget: int) -> str:
    """Return the SHA-256 over all that states depend on: the table, the PLM's other files, prompts and batches."""
    digest = hashlib.sha256(f"{plm.digest} {budget}".encode())
    for file in sorted(path for path in plm.folder.iterdir() if path.is_file()):
        digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    for ids in prompts:
        digest.update(np.array([len(ids), *ids], dtype=np.int32).tobytes())
    return digest.hexdigest()
