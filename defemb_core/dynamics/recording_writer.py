"""Writes a recording: one snapshot after the other, beside the training, from its first step or on from a later one."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import write_text
from defemb_core.dynamics.snapshots import (
    ABOUT,
    RULES,
    TOKENIZER,
    Snapshot,
    applied,
    differing,
    following,
    read_about,
    read_snapshot,
    snapshot_file,
    snapshot_steps,
    write_about,
    write_snapshot,
)
from defemb_core.errors import EvaluationError, TrainingError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)
# What a resumed training must have in common with its recording.
_SAME = ("rows", "width", "dtype")


class RecordingWriter:
    """Writes snapshots of one table into a folder; files are written by a thread, so that training goes on.

    The table of the last snapshot is kept on the table's own device, where it is compared with the next one.
    """

    def __init__(self, folder: Path, about: dict[str, Any], tokenizer: Any = None) -> None:
        """Take where to write, what the recording is of, and the tokenizer to keep with it, if there is one."""
        self.folder = folder
        self._about: dict[str, Any] = about | {"gaps": [], "finished": False}
        self._tokenizer = getattr(tokenizer, "backend_tokenizer", None)
        self._step = -1
        self._last: torch.Tensor | None = None
        self._pool = ThreadPoolExecutor(1, "recording")
        self._writing: Future[None] | None = None
        self._failed = False

    def begin(self, step: int, table: torch.Tensor) -> torch.Tensor:
        """Begin at `step`: anew at 0, else on from the last snapshot; return the counts so far, int64 (V,).

        Raises:
            TrainingError: the folder holds the recording of a finished training, or of another one, or cannot be
                written.
        """
        import torch

        counts = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / ABOUT).exists():
                self._about["gaps"] = [[0, step]] if step else []
            elif step:
                counts = self._take_over(step, table)
            else:
                self._begin_anew()
            write_about(self.folder, self._about)
            if self._tokenizer is not None:
                write_text(self.folder / TOKENIZER, self._tokenizer.to_str())
        except OSError as exc:
            raise TrainingError(
                f"cannot write to {str(self.folder)!r} ({exc.strerror or exc}); name another folder"
            ) from None
        if counts is None:
            counts = torch.zeros(len(table), dtype=torch.int64)
        self.add(step, table, counts.clone(), torch.zeros(0, dtype=torch.float64))
        return counts

    def add(self, step: int, table: torch.Tensor, counts: torch.Tensor, shrink: torch.Tensor) -> None:
        """Add the snapshot of a step, unless it has one; a disk that fails ends the recording with a warning."""
        self.settle()
        if self._failed or step <= self._step:
            return
        if self._last is None:
            self._last = table.clone()
            snapshot = Snapshot(step, None, self._last.cpu(), counts, shrink, next(iter(RULES)))
        else:
            snapshot = following(step, table, self._last, counts, shrink)
            self._last.copy_(table)
        self._step = step
        self._writing = self._pool.submit(write_snapshot, self.folder, snapshot)

    def finish(self) -> None:
        """Wait for the last file and say that the training has ended."""
        self.settle()
        if not self._failed:
            try:
                write_about(self.folder, self._about | {"finished": True})
            except OSError as exc:
                self._give_up(exc)

    def settle(self) -> None:
        """Wait for the file that is being written."""
        if self._writing:
            try:
                self._writing.result()
            except OSError as exc:
                self._give_up(exc)
            self._writing = None

    def _give_up(self, exc: OSError) -> None:
        self._failed = True
        logger.warning(
            "the recording in %s ends here, it cannot be written (%s); training goes on",
            self.folder,
            exc.strerror or exc,
        )

    def _begin_anew(self) -> None:
        """Remove what an unfinished training has left, or refuse to remove a finished one's."""
        with suppress(EvaluationError):  # unreadable: nothing to protect
            if read_about(self.folder)["finished"]:
                raise TrainingError(
                    f"{str(self.folder)!r} holds the recording of a finished training; name a new folder or delete it"
                )
        self._remove_from(0)

    def _take_over(self, step: int, table: torch.Tensor) -> torch.Tensor | None:
        """Go on with a recording at `step`, what lies after it is recorded again; return its last counts, if any."""
        self._check_same(read_about(self.folder))
        self._remove_from(step + 1)
        snapshot, last = None, None
        for at in snapshot_steps(self.folder):
            snapshot = read_snapshot(self.folder, at)
            last = applied(snapshot, last)
        if snapshot is None or last is None:
            self._about["gaps"] = [[0, step]]
            return None
        last = last.to(table.device)
        if snapshot.step < step:
            self._about["gaps"] = [*self._about["gaps"], [snapshot.step, step]]
        elif differing(last, table).any():
            raise TrainingError(
                f"{str(self.folder)!r} records another training: at step {step} its table is not the one that this "
                "training goes on from; name a new folder"
            )
        self._step, self._last = snapshot.step, last
        return snapshot.counts

    def _check_same(self, known: dict[str, Any]) -> None:
        for name in _SAME:
            if known.get(name) != self._about[name]:
                raise TrainingError(
                    f"{str(self.folder)!r} records a table with {name} {known.get(name)}, that of this training has "
                    f"{self._about[name]}; name a new folder"
                )
        self._about["gaps"] = list(known["gaps"])

    def _remove_from(self, step: int) -> None:
        for at in snapshot_steps(self.folder):
            if at >= step:
                snapshot_file(self.folder, at).unlink()
