"""Recordings on disk: what EmbeddingRecorder writes, and folders of `checkpoint-N` as a Trainer leaves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from defemb_core.dynamics.snapshots import (
    ABOUT,
    TOKENIZER,
    Snapshot,
    applied,
    decayed,
    read_about,
    read_snapshot,
    snapshot_steps,
)
from defemb_core.errors import EvaluationError
from defemb_core.families import find_table
from defemb_core.plm_files import read_config, read_table, read_tokenizer, special_tokens
from defemb_core.weights import Tensor, list_tensors

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from defemb_core.plm import PLM

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
# How deep below a folder recordings are looked for: a run's own folder, and one within it.
_DEPTH = 3


@dataclass(frozen=True, eq=False)
class Frame:
    """The table at one step.

    Attributes:
        step: updates made.
        table: float32 (V, H); valid until the next step is read.
        untouched: which rows are, to the bit, what the recorded weight decay alone makes of the first table, bool (V,);
            None where it was not recorded.
        decay: product of 1 - rate x weight decay over all updates so far, 1 without; None where it was not recorded.
    """

    step: int
    table: np.ndarray
    untouched: np.ndarray | None = None
    decay: float | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """A table at several steps of a training; its tables are read one after the other, one in memory at a time.

    Attributes:
        folder: where it lies.
        kind: what wrote it.
        steps: ascending, at least two.
        rows: of the table, V.
        width: of the table, H.
        counts: int64 (V,), how often each token id was in the training batches up to the last step; None if unknown.
        about: `plm` (what the training began with, "" if unknown), `tied` (whether the output rows are the same table,
            which moves every row at every update; None if unknown), `padding_id`, `special_ids`, `finished`, `planned`
            (updates), `gaps` (pairs of steps between which batches were not counted).
        sources: of checkpoints, the tensor of each step; a PLM's for step 0 if one was named.
    """

    folder: Path
    kind: Literal["recording", "checkpoints"]
    steps: tuple[int, ...]
    rows: int
    width: int
    counts: np.ndarray | None
    about: dict[str, Any]
    sources: tuple[Tensor, ...] = field(default=(), repr=False)

    @property
    def seen(self) -> np.ndarray | None:
        """Which rows had their token in a training batch, padding left out, bool (V,); None if unknown."""
        if self.counts is None:
            return None
        seen = self.counts > 0
        if self.about["padding_id"] is not None:
            seen[self.about["padding_id"]] = False
        return seen

    def frames(self) -> Iterator[Frame]:
        """Read the table of each step, first to last.

        Raises:
            EvaluationError: a snapshot is damaged.
            PLMError: a checkpoint is damaged.
        """
        if self.kind == "checkpoints":
            for step, source in zip(self.steps, self.sources, strict=True):
                yield Frame(step, read_table(source, str(source.file)))
            return
        table: torch.Tensor | None = None
        alone: torch.Tensor | None = None
        decay = 1.0
        for step in self.steps:
            snapshot = self._checked(step)
            alone = snapshot.rows if alone is None else decayed(alone, snapshot.shrink, snapshot.rule)
            table = applied(snapshot, table)
            decay *= float((1 - snapshot.shrink).prod())
            untouched = (table == alone).all(dim=1).numpy()
            yield Frame(step, table.float().numpy(), untouched, decay)

    def table(self, step: int) -> np.ndarray:
        """Return the table of one of the steps, float32 (V, H).

        Raises:
            EvaluationError: no such step.
        """
        if step not in self.steps:
            raise EvaluationError(f"step {step} is none of {', '.join(map(str, self.steps))}; name one of these")
        return next(frame.table for frame in self.frames() if frame.step == step)

    def _checked(self, step: int) -> Snapshot:
        snapshot = read_snapshot(self.folder, step)
        first = step == self.steps[0]
        right = snapshot.rows.shape[1:] == (self.width,) and (snapshot.ids is None) == first
        if not right or (first and len(snapshot.rows) != self.rows) or len(snapshot.counts) != self.rows:
            raise EvaluationError(
                f"the snapshot of step {step} in {str(self.folder)!r} does not fit its recording of {self.rows:,} x "
                f"{self.width:,}; snapshots of two trainings lie in one folder"
            )
        return snapshot


def open_recording(folder: Path, start: PLM | None = None) -> Recording:
    """Open a recording, or the folder of a Trainer's checkpoints.

    Args:
        folder: as EmbeddingRecorder was given it, or a Trainer's output_dir.
        start: what checkpoints began from, their step 0; a recording has its own.

    Raises:
        EvaluationError: there is neither, fewer than two steps, or their vocabularies or widths differ.
        PLMError: a checkpoint cannot be read.
    """
    if (folder / ABOUT).is_file():
        return _recording(folder)
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        within = find_recordings(folder)
        hint = f"there is one in {str(within[0])!r}" if within else "record a training with EmbeddingRecorder"
        raise EvaluationError(f"{str(folder)!r} holds neither a recording nor folders named checkpoint-N; {hint}")
    return _of_checkpoints(folder, checkpoints, start)


def find_recordings(folder: Path) -> list[Path]:
    """Return the folders at or below `folder` that hold a recording or checkpoints, newest first."""
    found: list[tuple[float, Path]] = []
    level = [folder]
    for _ in range(_DEPTH):
        below: list[Path] = []
        for path in level:
            with suppress(OSError):  # gone meanwhile, or not ours to read
                if (path / ABOUT).is_file() or len(_checkpoints(path)) > 1:
                    found.append((path.stat().st_mtime, path))
                else:
                    below += [child for child in path.iterdir() if child.is_dir()]
        level = below
    return [path for _, path in sorted(found, key=lambda one: (-one[0], one[1]))]


def recorded_tokenizer(recording: Recording) -> tuple[Tokenizer, frozenset[int]] | None:
    """Return the tokenizer that lies with a recording and the ids of its special tokens, None if there is none."""
    folder = recording.folder if recording.kind == "recording" else recording.sources[-1].file.parent
    if not (folder / TOKENIZER).is_file():
        return None
    tokenizer = read_tokenizer(folder)
    ids = {tokenizer.token_to_id(token) for token in special_tokens(folder).values()}
    added = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return tokenizer, frozenset({*recording.about["special_ids"], *added, *(one for one in ids if one is not None)})


def recording_frame(recording: Recording, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Return the vocabulary frame with `count i64` and `seen bool`, both null if unknown.

    Raises:
        EvaluationError: the vocabulary has another number of rows than the table.
    """
    if vocabulary.height != recording.rows:
        raise EvaluationError(
            f"the vocabulary has {vocabulary.height:,} rows, the recorded table {recording.rows:,}; name the PLM that "
            "was trained with --plm"
        )
    none = [None] * recording.rows
    counts, seen = recording.counts, recording.seen
    return vocabulary.with_columns(
        pl.Series("count", none if counts is None else counts, dtype=pl.Int64),
        pl.Series("seen", none if seen is None else seen, dtype=pl.Boolean),
    )


def _recording(folder: Path) -> Recording:
    about, steps = read_about(folder), snapshot_steps(folder)
    if len(steps) < 2:
        raise EvaluationError(
            f"the recording in {str(folder)!r} has {len(steps)} snapshots, two are needed; let the training run on"
        )
    rows, width = int(about["rows"]), int(about["width"])
    counts = read_snapshot(folder, steps[-1]).counts.numpy()
    return Recording(folder, "recording", tuple(steps), rows, width, counts, about)


def _checkpoints(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in a folder by their steps, ascending."""
    if not folder.is_dir():
        return {}
    named = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in named if match and path.is_dir()))


def _of_checkpoints(folder: Path, checkpoints: dict[int, Path], start: PLM | None) -> Recording:
    steps = {step: _table_of(path) for step, path in checkpoints.items()}
    if start is not None and 0 not in steps:
        steps = {0: start.table, **steps}
    if len(steps) < 2:
        raise EvaluationError(
            f"{str(folder)!r} has one checkpoint, two are needed; name the PLM that the training began from with --plm"
        )
    first = next(iter(steps.values()))
    for step, tensor in steps.items():
        if tensor.shape != first.shape:
            shapes = [f"{one.shape[0]:,} x {one.shape[1]:,}" for one in (first, tensor)]
            raise EvaluationError(
                f"the table of step {next(iter(steps))} in {str(folder)!r} is {shapes[0]}, that of step {step} "
                f"{shapes[1]}; leave out checkpoints of another vocabulary"
            )
    _check_tokens(list(checkpoints.values()), start)
    config = read_config(next(iter(checkpoints.values())))
    about: dict[str, Any] = {"plm": start.name if start else "", "tied": None, "gaps": [], "special_ids": []}
    about |= {"padding_id": config.get("pad_token_id"), "finished": True, "planned": max(steps)}
    return Recording(
        folder, "checkpoints", tuple(steps), first.shape[0], first.shape[1], None, about, tuple(steps.values())
    )


def _table_of(checkpoint: Path) -> Tensor:
    return find_table(list_tensors(checkpoint), int(read_config(checkpoint).get("vocab_size") or 0), checkpoint)


def _check_tokens(checkpoints: list[Path], start: PLM | None) -> None:
    """Refuse checkpoints whose rows stand for other tokens than the first's; those without a tokenizer cannot tell."""
    known: tuple[str, str, dict[str, int]] | None = None
    if start is not None:
        known = (start.title, "", start.tokenizer.get_vocab())
    for path in checkpoints:
        if not (path / TOKENIZER).is_file():
            continue
        text = (path / TOKENIZER).read_text(encoding="utf-8", errors="replace")
        if known and text == known[1]:
            continue
        tokens = read_tokenizer(path).get_vocab()
        if known and tokens != known[2]:
            raise EvaluationError(
                f"{path.name} and {known[0]} have other tokens for the same rows; leave out checkpoints of another "
                "vocabulary"
            )
        known = (path.name, text, tokens)
