"""Train a student: updates by token budget, early stopping, and a checkpoint from which it goes on to the same bits."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from defemb_core.devices import devices
from defemb_core.errors import TrainingError, first_line, is_out_of_memory
from defemb_core.process_setup import release_memory
from defemb_core.states import AllThreads
from defemb_core.training_files import TrainingCheckpoint
from defemb_core.training_loop import Loop, Plan

if TYPE_CHECKING:
    from defemb_core.student import Examples, Student

# Evaluations in a whole training; early stopping counts them.
EVALUATIONS = 10
# Validation examples that are read at each of them, at most: 3 % of the time of preset default, 11 % of quick.
JUDGED = 400
RELEASE_EVERY = 4  # updates; more often costs time, more seldom memory (benchmarks/RESULTS.md)
# Seconds between two checkpoints at least; and how many times as long as the last one took to write, so that those of a
# large PLM, which take minutes, cost no more than a twentieth of the time.
CHECKPOINT_EVERY, CHECKPOINT_TIMES = 60.0, 20

Told = Callable[..., None]
"""Called with (updates done, updates in all) and the figures of the last update by name."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        updates: how many were made; fewer than planned if training ended early.
        planned: how many the recipe has.
        best: the update after which the validation loss was least, whose weights the student now has.
        examples, validation: how many examples were trained on, and judged by.
        tokens: how many the student read in training, padding included.
        seconds: spent in updates.
        history: a line an evaluation, the first before any update: `update`, `validation`, and `loss`, the mean of the
            updates since the line before.
    """

    updates: int
    planned: int
    best: int
    examples: int
    validation: int
    tokens: int
    seconds: float
    history: list[dict[str, float]]


def train(
    student: Student,
    examples: Examples,
    validation: Examples,
    seed: int = 0,
    progress: Told | None = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> Trained:
    """Train the student; at the end it has the weights of the best evaluation.

    Args:
        student: as it begins.
        examples: what it learns from.
        validation: what it is judged by now and then; of other tokens than the examples.
        seed: of the order of examples and of dropout.
        progress: told of every update.
        checkpoint: where the state is kept meanwhile, and found again.

    Raises:
        TrainingError: the loss is NaN or infinite, or the device fails; what was reached before is kept.
        RunError: the checkpoint was made with other settings.
    """
    judged = validation.of(np.random.default_rng(seed).permutation(len(validation))[:JUDGED])
    with closing(AllThreads()) as threads:
        loop = Loop(student, Plan(examples.lengths, student.recipe, seed), devices(), threads)
        _restore(loop, checkpoint)
        try:
            _run(loop, examples, judged, progress or _silent, checkpoint)
        except FloatingPointError as error:
            raise TrainingError(
                f"the validation loss became {error} after update {loop.done}; start a new run with a lower --rate"
            ) from None
        except (RuntimeError, MemoryError) as error:
            if told := _failure(loop, error):
                raise told from error
            raise
    state = loop.state
    return Trained(
        loop.done,
        loop.plan.updates,
        state.best_update,
        len(examples),
        len(judged),
        state.tokens,
        round(state.seconds, 3),
        state.history,
    )


def _run(
    loop: Loop, examples: Examples, judged: Examples, progress: Told, checkpoint: TrainingCheckpoint | None
) -> None:
    """Make all updates that are left, or as many as help; then take the best weights."""
    planned, patience = loop.plan.updates, loop.student.recipe.patience
    every, due = max(1, -(-planned // EVALUATIONS)), time.monotonic() + CHECKPOINT_EVERY
    if not loop.state.history:
        progress(0, planned, **loop.evaluate(judged))
    while loop.done < planned and loop.state.bad < patience:
        figures = {"loss": _update(loop, examples, checkpoint)}
        if loop.done % every == 0 or loop.done == planned:
            figures = loop.evaluate(judged)
        if loop.done % RELEASE_EVERY == 0:
            release_memory()
        ended = loop.done == planned or loop.state.bad >= patience
        if checkpoint and loop.shared.is_first and (ended or time.monotonic() > due):
            due = _write(checkpoint, loop)
        progress(loop.done, planned, **figures)
    loop.take_best()


def _failure(loop: Loop, error: Exception) -> TrainingError | None:
    """Return what a device's failure or lack of memory comes to for a user, None for any other error."""
    import torch

    short = is_out_of_memory(error)
    if not short and not isinstance(error, torch.AcceleratorError):
        return None
    way = "end other programs or take a larger machine, then go on" if short else "go on"
    return TrainingError(
        f"the device {loop.shared.device} failed at update {loop.done + 1} ({first_line(error)}); the last checkpoint "
        f"is kept, {way} with --resume"
    )


def _restore(loop: Loop, checkpoint: TrainingCheckpoint | None) -> None:
    """Go on from what the first process's checkpoint holds: other machines may not have that file.

    Nothing else keeps what was read, which is as large as the training itself.
    """
    kept = checkpoint.read() if checkpoint and loop.shared.is_first else None
    if kept := loop.shared.from_first(kept):
        loop.restore(kept)


def _write(checkpoint: TrainingCheckpoint, loop: Loop) -> float:
    """Keep the training's state; return when it is time to do so again."""
    started = time.monotonic()
    checkpoint.write(loop.keep())
    ended = time.monotonic()
    return ended + max(CHECKPOINT_EVERY, CHECKPOINT_TIMES * (ended - started))


def _silent(done: int, total: int, **figures: float) -> None:
    del done, total, figures


def _update(loop: Loop, examples: Examples, checkpoint: TrainingCheckpoint | None) -> float:
    """Make one update and return its loss; keep what was reached before it if the loss is no number."""
    try:
        return loop.update(examples)
    except FloatingPointError as error:
        if checkpoint and loop.shared.is_first:
            checkpoint.write(loop.keep())
        raise TrainingError(
            f"the loss became {error} at update {loop.done + 1}; the state before it is kept, start a new run with a "
            "lower --rate"
        ) from None
