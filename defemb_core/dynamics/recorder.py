"""The recorder: a callback of transformers' Trainer that keeps the embedding table at some steps of a training.

The only module that imports a heavy library at once: the callback is a class of transformers', and whoever uses it has
imported that already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from defemb_core.dynamics.recording_writer import RecordingWriter
from defemb_core.errors import TrainingError

# Snapshots of a training whose user did not say how many.
SNAPSHOTS = 20


class EmbeddingRecorder(TrainerCallback):
    """Keeps the input embedding table at some steps of a training, and how often each token was in its batches.

    The first snapshot is taken before the first update, further ones every so many updates, with each checkpoint and
    after the last update. An interrupted training leaves a readable recording, and one that is resumed from a
    checkpoint goes on with it. Of several processes the first writes. A disk that fills up ends the recording with a
    warning, not the training.

    Args:
        folder: where the recording goes; made if missing. One of an unfinished training is begun anew when a training
            starts at step 0, that of a finished one is refused.
        every: updates between two snapshots; 0 for about twenty over the whole training.
    """

    def __init__(self, folder: str | Path, every: int = 0) -> None:
        if every < 0:
            raise TrainingError(f"every is {every}; give a number of updates, or 0 for about twenty snapshots")
        self.folder, self.every = Path(folder), every
        self._writer: RecordingWriter | None = None
        self._hooks: list[Any] = []
        self._shrink: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the recording, count what goes through the embedding layer from now on, take the first snapshot.

        Raises:
            TrainingError: the model has no table of its own to record, or the folder holds another recording.
        """
        del args, control
        self._detach()
        model = kwargs["model"]
        self._table = _input_table(model)
        self._steps = self.every or max(1, round(state.max_steps / SNAPSHOTS))
        self._counts = torch.zeros(len(self._table), dtype=torch.int64, device=self._table.device)
        self._shrink = []
        if self._writer:  # the Trainer begins again with smaller batches
            self._writer.settle()
        if state.is_world_process_zero:
            about = _about(model, self._table, kwargs.get("processing_class"), state.max_steps)
            self._writer = RecordingWriter(self.folder, about, kwargs.get("processing_class"))
            self._counts += self._writer.begin(state.global_step, self._table.detach()).to(self._counts.device)
        self._hooks = [
            layer.register_forward_pre_hook(self._count, with_kwargs=True)
            for layer in model.modules()
            if isinstance(layer, torch.nn.Embedding) and layer.weight is self._table
        ]

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note how much weight decay is about to shrink every row."""
        del args, state, control
        for group in kwargs["optimizer"].param_groups:
            if any(one is self._table for one in group["params"]):
                self._shrink.append(float(group["lr"]) * float(group.get("weight_decay") or 0.0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take a snapshot when its time has come."""
        del args, kwargs
        last = state.global_step >= state.max_steps or control.should_training_stop
        if last or state.global_step % self._steps == 0:
            self._record(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take a snapshot with each checkpoint, so that a resumed training finds its counts and its table."""
        del args, control, kwargs
        self._record(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the last snapshot, unless the model is another one by now, and say that the recording is whole."""
        del control, kwargs
        if not args.load_best_model_at_end:  # then the Trainer has put an earlier table in the place of the last
            self._record(state.global_step)
        self._detach()
        if self._writer:
            self._writer.finish()

    def _count(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count the ids that a training batch looks up; evaluations do not count."""
        if layer.training and torch.is_grad_enabled():
            ids = (args[0] if args else kwargs["input"]).detach().flatten().to(self._counts.device, torch.int64)
            self._counts.scatter_add_(0, ids, torch.ones_like(ids))

    def _record(self, step: int) -> None:
        """Give the table to the writer; every process adds what it has counted."""
        counts = _over_processes(self._counts)
        if self._writer:
            shrink = torch.tensor(self._shrink, dtype=torch.float64)
            self._writer.add(step, self._table.detach(), counts.cpu(), shrink)
        self._shrink = []

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _over_processes(counts: torch.Tensor) -> torch.Tensor:
    """Return the sum of all processes' counts; each must ask at the same step."""
    summed = counts.clone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(summed)
    return summed


def _input_table(model: Any) -> torch.nn.Parameter:
    """Return the input embedding table, also of a model that wraps one of transformers' (sentence-transformers)."""
    for part in model.modules():
        find = getattr(part, "get_input_embeddings", None)
        try:
            table = getattr(find(), "weight", None) if find else None
        except NotImplementedError:
            continue
        if isinstance(table, torch.nn.Parameter) and table.ndim == 2 and table.numel():
            return table
    raise TrainingError(
        f"{type(model).__name__} has no input embedding table that can be recorded; it needs get_input_embeddings() "
        "and a table that is not split over processes"
    )


def _about(model: Any, table: torch.Tensor, tokenizer: Any, steps: int) -> dict[str, Any]:
    """Return what the recording is of; `tokenizer` may be None."""
    config = getattr(model, "config", None)
    find_output = getattr(model, "get_output_embeddings", None)
    output = find_output() if find_output else None
    padding = getattr(config, "pad_token_id", None)
    return {
        "rows": table.shape[0],
        "width": table.shape[1],
        "dtype": str(table.dtype).removeprefix("torch."),
        "plm": str(getattr(config, "_name_or_path", "") or ""),
        "tied": getattr(output, "weight", None) is table,
        "padding_id": getattr(tokenizer, "pad_token_id", padding) if padding is None else padding,
        "special_ids": sorted(getattr(tokenizer, "all_special_ids", [])),
        "planned": steps,
    }
