"""One fine-tuning through transformers' Trainer: a seed fixes the order, a killed one goes on from its checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.finetuning.settings import BETAS, EPSILON, FinetuningSettings

if TYPE_CHECKING:
    from transformers import TrainerCallback

Example = dict[str, Any]
"""What a model takes for one example, lists by name: `input_ids`, `attention_mask`, ..., `labels`."""
Tell = Callable[[int], None]
"""Told how many updates are made; may raise to stop the work."""
# Seconds between two checkpoints within a fine-tuning: about as much work is done again after a kill, and one takes
# a second for each 100 million parameters.
SAVE_EVERY = 120.0
STATE = "trainer_state.json"  # the last file that the Trainer writes of a checkpoint


@dataclass(frozen=True)
class Course:
    """How one fine-tuning goes.

    Attributes:
        settings: rates, batches, epochs.
        seed: of order and dropout.
        place: a folder for checkpoints, which the caller deletes.
        tell: told of each update.
        callbacks: further ones of transformers' own kind.
        adafactor: T5's way: Adafactor at a constant rate.
    """

    settings: FinetuningSettings
    seed: int
    place: Path
    tell: Tell
    callbacks: Sequence[TrainerCallback] = ()
    adafactor: bool = False


def fine_tune(model: Any, examples: Sequence[Example], collate: Any, course: Course) -> None:
    """Train a model in place, from the last whole checkpoint in `place` if there is one.

    Examples of about the same length share a batch; their order depends on the seed and the epoch alone.

    Args:
        model: with a head, its `labels` give a loss.
        examples: to learn from.
        collate: makes a batch of examples.
        course: how.
    """
    from transformers import PrinterCallback, TrainingArguments

    settings = course.settings
    arguments = TrainingArguments(
        output_dir=str(course.place),
        per_device_train_batch_size=settings.batch,
        num_train_epochs=settings.epochs,
        learning_rate=settings.rate,
        weight_decay=settings.weight_decay,
        warmup_steps=round(settings.warmup * settings.updates(len(examples))),
        lr_scheduler_type="constant" if course.adafactor else "linear",
        optim="adafactor" if course.adafactor else "adamw_torch",
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        adam_epsilon=EPSILON,
        max_grad_norm=0.0,
        seed=course.seed,
        save_strategy="no",
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    trainer = _trainer(model, arguments, examples, collate, [_watcher(course.tell), *course.callbacks])
    trainer.remove_callback(PrinterCallback)  # the standard output is the command's
    trainer.train(resume_from_checkpoint=last_checkpoint(course.place))


def last_checkpoint(place: Path) -> str | None:
    """Return the newest whole checkpoint in a folder, None if there is none: what was being written may be half."""
    found = []
    for folder in place.glob("checkpoint-*"):
        try:
            found.append((int(json.loads((folder / STATE).read_text(encoding="utf-8"))["global_step"]), str(folder)))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(found)[1] if found else None


def batches_by_length(lengths: Sequence[int], batch: int, generator: Any = None) -> list[int]:
    """Return the order of examples of an epoch: at random, but those of a batch about as long as each other."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    return list(get_length_grouped_indices(list(lengths), batch, generator=generator))


def predict(
    model: Any, examples: Sequence[Example], collate: Any, batch: int, ask: Callable[[Any], np.ndarray]
) -> list[Any]:
    """Return what a model answers to each example, in their order; longer ones first, few of a length to fill up.

    Args:
        model: trained.
        examples: to answer.
        collate: makes a batch of examples.
        batch: how many at a time.
        ask: returns a line an example of a batch.
    """
    import torch

    model.eval()
    order = sorted(range(len(examples)), key=lambda at: -len(examples[at]["input_ids"]))
    answers: list[Any] = [None] * len(examples)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = collate([examples[at] for at in chosen]).to(model.device)
            for at, answer in zip(chosen, ask(inputs), strict=True):
                answers[at] = answer
    return answers


def _trainer(model: Any, arguments: Any, examples: Sequence[Example], collate: Any, callbacks: list[Any]) -> Any:
    import torch
    from transformers import Trainer

    lengths = [len(example["input_ids"]) for example in examples]

    class Order(torch.utils.data.Sampler[int]):
        """Examples by length, in an order that an epoch has whether or not those before it were seen."""

        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Iterator[int]:
            generator = torch.Generator().manual_seed(arguments.seed * 1_000_003 + self.epoch)
            return iter(batches_by_length(lengths, arguments.per_device_train_batch_size, generator))

    class Ordered(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            del train_dataset
            return Order()

    return Ordered(model, arguments, data_collator=collate, train_dataset=list(examples), callbacks=callbacks)


def _watcher(tell: Tell) -> Any:
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):
        """Tells how far the training is, and has it write a checkpoint now and then."""

        saved = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
            del args, more
            tell(state.global_step)
            if time.monotonic() - self.saved > SAVE_EVERY and state.global_step < state.max_steps:
                self.saved, control.should_save = time.monotonic(), True
            return control

    return Watcher()
