"""The student: a copy of the PLM and a linear map on its state at the slot, which learn to give a token's row.

The loss is the published one (DefinitionEMB, arXiv 2408.01308): the squared error between the map's answer L h and the
true row E[t], summed over the supervised slots, divided by the width, times 100; here it is given per slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.states import Reader

if TYPE_CHECKING:
    import torch

    from defemb_core.definitionemb import RidgeMap
    from defemb_core.plm import PLM
    from defemb_core.presets import Recipe
    from defemb_core.prompts import Prompts

# Temperature of the contrastive term: cosines, divided by it, are the logits.
TEMPERATURE = 0.1
# PLMs with more parameters keep no activations but compute them again (gradient checkpointing), if they can.
LARGE = 500_000_000


@dataclass(frozen=True, eq=False)
class Examples:
    """What a student is to answer: which prompt asks for which row.

    Attributes:
        prompts: the prompts, each distinct one once.
        prompt: which of them an example has, int64 (n,).
        row: the row of the table that is the right answer, int64 (n,).
        weight: how much its error counts, float32 (n,), above 0.
    """

    prompts: Prompts
    prompt: np.ndarray
    row: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example's prompt, int64 (n,)."""
        return self.prompts.lengths[self.prompt]

    def of(self, chosen: np.ndarray) -> Examples:
        """Return the examples that `chosen` names, by number or by a mask."""
        return Examples(self.prompts, self.prompt[chosen], self.row[chosen], self.weight[chosen])


class Student:
    """A trainable copy of the PLM with a linear map, on one device."""

    def __init__(self, plm: PLM, recipe: Recipe, device: Any = "cpu") -> None:
        """Build the student; it answers once it has begun.

        Args:
            plm: the PLM; its table gives the true rows.
            recipe: how it will be trained.
            device: where it computes.

        Raises:
            PLMError: the PLM's weights do not load.
        """
        import torch

        self.plm, self.recipe = plm, recipe
        self.model = plm.whole().to(device)
        set_dropout(self.model, recipe.dropout)
        if plm.parameters > LARGE and self.model.supports_gradient_checkpointing:
            self.model.activation_checkpointing_enable()
        if not recipe.train_table:
            for table in _tables(self.model, plm.rows):
                table.requires_grad_(False)
        self.reader = Reader(plm, self.model, device)
        self.rows = torch.from_numpy(plm.matrix.copy()).to(device)

    def begin(self, start: RidgeMap, known: np.ndarray) -> None:
        """Let the linear map start as a closed-form one.

        Args:
            start: a map from the states at the slots to the rows.
            known: rows that the student may know, (m,): among these the contrastive term tells the right one.
        """
        import torch

        device, weights = self.rows.device, (start.scale[:, None] * start.weights).T
        self.head = torch.nn.Linear(weights.shape[1], weights.shape[0], device=device)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weights))
            self.head.bias.copy_(torch.from_numpy(start.intercept - weights @ start.centre))
        self.centre = torch.from_numpy(start.intercept).float().to(device)
        self.position = np.full(self.plm.rows, -1)
        self.position[known] = np.arange(len(known))
        if self.recipe.contrastive:
            self.known = torch.nn.functional.normalize(self.rows[known] - self.centre, dim=1)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Return what is trained, by name."""
        named = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        return named | {f"head.{name}": value for name, value in self.head.named_parameters()}

    def tensors(self) -> list[torch.Tensor]:
        """Return all numbers that its answers and losses come from."""
        known = [self.known] if self.recipe.contrastive else []
        model = [*self.model.parameters(), *self.model.buffers(), *self.head.parameters()]
        return [*model, self.rows, self.centre, *known]

    def loss(self, examples: Examples, batch: np.ndarray) -> torch.Tensor:
        """Return the weighted sum of the losses of the examples `batch`, a scalar."""
        import torch

        answers = self.head(self.reader(examples.prompts, examples.prompt[batch])[0]).float()
        target, weight = (self._tensor(values[batch]) for values in (examples.row, examples.weight))
        error = (answers - self.rows[target]).square().mean(dim=1) * 100
        if self.recipe.contrastive:
            logits = torch.nn.functional.normalize(answers - self.centre, dim=1) @ self.known.T / TEMPERATURE
            right = self._tensor(self.position[examples.row[batch]])
            error = error + self.recipe.contrastive * torch.nn.functional.cross_entropy(logits, right, reduction="none")
        return (error * weight).sum()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        import torch

        return torch.from_numpy(array).to(self.rows.device)


def set_dropout(model: Any, rate: float | None) -> None:
    """Set every dropout rate of a model, whatever its family calls it; None leaves them."""
    for module in model.modules() if rate is not None else ():
        for name, value in vars(module).items():
            if isinstance(value, float) and ("drop" in name or (name == "p" and "Dropout" in type(module).__name__)):
                setattr(module, name, rate)


def _tables(model: Any, rows: int) -> list[torch.Tensor]:
    """Return the embedding tables over the vocabulary; each is named once however many modules share it."""
    import torch

    found = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding) and m.num_embeddings == rows]
    return list({id(table): table for table in found}.values())
