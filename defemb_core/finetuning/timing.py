"""How long an evaluation will take: a few updates are made and timed, the rest is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from defemb_core.estimate import time_in_words
from defemb_core.finetuning.trainers import Example, batches_by_length

TIMED = 6
# An answer is a forward pass, an update that and a backward pass of twice the work.
ANSWER = 1 / 3


def time_updates(
    model: Any, examples: Sequence[Example], collate: Any, batch: int, tell: Callable[[int], None] | None = None
) -> float:
    """Return the mean seconds of an update, from a few whose batches stand evenly among an epoch's by length.

    The model is changed by it. AdamW keeps two numbers a weight, as in the fine-tuning itself.
    """
    import torch

    lengths = [len(example["input_ids"]) for example in examples]
    order = batches_by_length(lengths, batch, torch.Generator().manual_seed(0))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    batches.sort(key=lambda chosen: len(chosen) * max(lengths[at] for at in chosen))
    places = ((np.arange(TIMED) + 0.5) / TIMED * len(batches)).astype(int)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0)
    model.train()
    seconds = []
    for number, place in enumerate([places[0], *places]):  # the first is not counted: it lays out memory
        start = time.perf_counter()
        inputs = collate([examples[at] for at in batches[place]]).to(model.device)
        model(**inputs).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.perf_counter() - start)
        if tell:
            tell(number)
    return float(np.mean(seconds[1:]))


@dataclass(frozen=True)
class Estimate:
    """What an evaluation will take on this machine while it is as busy as now.

    Attributes:
        update: seconds of an update, measured.
        updates: of one unit.
        answering: seconds to answer all examples judged by, once.
        units: tables times seeds.
    """

    update: float
    updates: int
    answering: float
    units: int

    @property
    def unit(self) -> float:
        """Seconds of one table and seed."""
        return self.update * self.updates + self.answering

    @property
    def seconds(self) -> float:
        """Seconds of all."""
        return self.unit * self.units

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"about {time_in_words(self.seconds)}: {self.units} times {self.updates:,} updates of {self.update:.2f} s "
            f"(a few were timed) and {time_in_words(self.answering)} of answers; longer while other work goes on"
        )
