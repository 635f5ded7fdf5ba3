"""A training's checkpoint: all that it needs to go on, in one file that is replaced in one step."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import write_atomically
from defemb_core.errors import RunError, first_line, is_out_of_memory

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

TRAINING = "training.pt"


@dataclass
class Progressed:
    """How far a training is.

    Attributes:
        update: updates made.
        tokens: tokens read in them, padding included.
        seconds: spent in them.
        losses: the losses since the last evaluation.
        history: a line an evaluation.
        best_update: after which update the validation loss was least.
        best: the weights then, by name.
        bad: evaluations since.
    """

    update: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_update: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    bad: int = 0


class TrainingCheckpoint:
    """The file in which a training keeps its state."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Take the folder, and all that makes the training what it is: plain values by name."""
        self.file, self.settings = folder / TRAINING, settings

    def read(self) -> dict[str, Any] | None:
        """Return what an earlier try has left, None if there is nothing.

        Raises:
            RunError: it was made with other settings, or is damaged.
        """
        import torch

        if not self.file.is_file():
            return None
        try:
            kept: dict[str, Any] = torch.load(self.file, map_location="cpu", weights_only=True)
            made = kept["settings"]
        except Exception as exc:  # torch, zipfile and pickle each raise their own kinds for a damaged file
            if is_out_of_memory(exc):
                raise
            raise RunError(
                f"the training's checkpoint {str(self.file)!r} is damaged ({first_line(exc)}); delete it to train anew"
            ) from None
        differing = sorted(name for name in {*made, *self.settings} if made.get(name) != self.settings.get(name))
        if differing:
            told = ", ".join(f"{name} {made.get(name)!r}, now {self.settings.get(name)!r}" for name in differing[:3])
            raise RunError(f"the training's checkpoint was made with other settings: {told}; name a new run's folder")
        return kept

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file. A full disk costs only this: the last checkpoint stays, the training goes on."""
        import torch

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, lambda to: torch.save({**state, "settings": self.settings}, to))
        except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as the latter
            logger.warning("cannot keep the training's state in %s: %s", self.file.parent, first_line(error))
