"""How a student is trained: presets of ours for a machine without accelerator, and the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Preset = Literal["quick", "default", "paper-roberta", "paper-bart", "paper-t5", "paper-t5gemma"]


@dataclass(frozen=True)
class Recipe:
    """How a student is trained.

    Attributes:
        optimiser: "adam" (AdamW, betas 0.9 and 0.98) or "adafactor".
        rate: the peak learning rate.
        schedule: "linear" (to zero at the end), "inverse_sqrt" or "constant".
        warm_up: share of the updates (below 1) or number of updates over which the rate rises to its peak.
        passes: how often each prompt is met; 0 where `updates` says how long.
        updates: updates in all; 0 where `passes` says how long.
        batch_tokens: tokens of the prompts of one update, about, over all processes.
        longest: longest prompt in tokens; longer definitions are cut.
        clip: largest norm of the gradient of an update's mean loss.
        weight_decay: AdamW's.
        dropout: every dropout rate of the student; None keeps those of the PLM's settings.
        contrastive: weight of the contrastive term beside the squared error.
        train_table: whether the student's own embedding table is trained too.
        patience: evaluations without a better validation loss before training ends.
    """

    optimiser: Literal["adam", "adafactor"] = "adam"
    rate: float = 1e-4
    schedule: Literal["linear", "inverse_sqrt", "constant"] = "linear"
    warm_up: float = 0.05
    passes: float = 0.0
    updates: int = 0
    batch_tokens: int = 1024
    longest: int = 512
    clip: float = 1.0
    weight_decay: float = 0.01
    dropout: float | None = 0.0
    contrastive: float = 0.0
    train_table: bool = False
    patience: int = 3

    def updates_for(self, tokens: int) -> int:
        """Return how many updates there are where one pass over the prompts has so many tokens."""
        return self.updates or max(1, round(self.passes * tokens / self.batch_tokens))

    def warm_up_of(self, updates: int) -> int:
        """Return over how many of the updates the rate rises."""
        return round(self.warm_up * updates) if self.warm_up < 1 else int(self.warm_up)


_FAIRSEQ = {"schedule": "inverse_sqrt", "batch_tokens": 4096, "clip": 0.1, "dropout": None}
_ADAFACTOR = Recipe("adafactor", 1e-3, "constant", 0.0, updates=125_000, batch_tokens=8192, dropout=None)
# The published settings (arXiv 2408.01308 and its extension): optimiser, rates, schedules, tokens a batch, updates.
PRESETS: dict[Preset, Recipe] = {
    "quick": Recipe(passes=0.5),
    "default": Recipe(passes=1.0),
    "paper-roberta": Recipe(warm_up=24_000, updates=400_000, train_table=True, **_FAIRSEQ),  # type: ignore[arg-type]
    "paper-bart": Recipe(warm_up=20_000, updates=250_000, longest=1024, **_FAIRSEQ),  # type: ignore[arg-type]
    "paper-t5": _ADAFACTOR,
    "paper-t5gemma": _ADAFACTOR,
}
PRESET_NAMES: tuple[Preset, ...] = get_args(Preset)
