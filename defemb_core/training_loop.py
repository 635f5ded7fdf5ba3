"""The updates of a training: which examples each has, their gradients, what the optimiser makes of them.

Nothing depends on what was computed before but the weights and the optimiser's state: the examples of an update and
its dropout are drawn from its number, so that a resumed training, or one shared by several processes, is the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.devices import Devices
from defemb_core.states import AllThreads, Done, Work, even_batches, token_batches
from defemb_core.training_files import Progressed

if TYPE_CHECKING:
    import torch

    from defemb_core.presets import Recipe
    from defemb_core.student import Examples, Student

# Tokens that are computed at once, about: a part of an update's; on a CPU each thread has one such part in hand. Larger
# parts are mostly padding: of 256 the bundled PLM's updates take 0.8 of the time of 512, as long as of 128, at a higher
# rate. An accelerator wants more at once, and several processes parts enough: the published batches have two of 2,048.
AT_ONCE = {"cpu": 256, "cuda": 2_048}


class Plan:
    """Which examples each update has: a shuffled pass after the other, cut into updates of about equal tokens."""

    def __init__(self, lengths: np.ndarray, recipe: Recipe, seed: int) -> None:
        """Take the examples' lengths in tokens."""
        self.lengths, self.seed = lengths, seed
        self.updates = recipe.updates_for(int(lengths.sum()))
        self.per_pass = max(1, round(int(lengths.sum()) / recipe.batch_tokens))

    def __getitem__(self, update: int) -> np.ndarray:
        """Return the examples of an update, counted from 0."""
        turn, part = divmod(update, self.per_pass)
        order = np.random.default_rng([self.seed, turn]).permutation(len(self.lengths))
        ends = np.cumsum(self.lengths[order])
        edges = np.searchsorted(ends, np.linspace(0, ends[-1], self.per_pass + 1)[[part, part + 1]], side="left")
        return order[edges[0] : len(order) if part == self.per_pass - 1 else edges[1]]


class Loop:
    """A training between two updates: the student, what is planned and how far it is."""

    def __init__(self, student: Student, plan: Plan, shared: Devices, threads: AllThreads) -> None:
        """Begin; `threads` are used on a CPU."""
        self.student, self.plan, self.shared, self.threads = student, plan, shared, threads
        self.parameters = student.parameters()
        self.optimiser = _optimiser(list(self.parameters.values()), student.recipe)
        self.state = Progressed()
        student.model.train()  # evaluations alone go without dropout

    @property
    def done(self) -> int:
        """Updates made."""
        return self.state.update

    def update(self, examples: Examples) -> float:
        """Make one update and return its mean loss."""
        import torch

        start, batch = time.perf_counter(), self.plan[self.done]
        lengths, total = self.plan.lengths[batch], float(examples.weight[batch].sum())
        parts = even_batches(lengths, AT_ONCE.get(self.shared.device.type, AT_ONCE["cpu"]))

        def differentiate(numbered: tuple[int, np.ndarray]) -> tuple[float, tuple[torch.Tensor | None, ...]]:
            number, part = numbered
            if self.student.recipe.dropout != 0:
                torch.manual_seed((self.plan.seed * 1_000_003 + self.done) * 1_000_003 + number)
            with self.shared.autocast():
                loss = self.student.loss(examples, batch[part]) / total
            return loss.item(), torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)

        mine = self.shared.share(list(enumerate(parts)))
        # Dropout draws from one generator for all threads.
        mean = self._step(_summed(self._each(differentiate, mine, self.student.recipe.dropout == 0)))
        self.state.update += 1
        self.state.tokens += sum(len(part) * int(lengths[part].max()) for part in parts)
        self.state.losses.append(mean)
        self.state.seconds += time.perf_counter() - start
        return mean

    def _step(self, summed: tuple[float, list[torch.Tensor | None]]) -> float:
        """Give the gradients of all processes to the optimiser; return the mean loss."""
        import torch

        loss, gradients = summed
        mean = torch.tensor([loss], device=self.shared.device)
        if self.shared.processes > 1:  # one that has no part of a small batch adds nothing
            given = gradients or [None] * len(self.parameters)
            pairs = zip(given, self.parameters.values(), strict=True)
            gradients = [torch.zeros_like(value) if gradient is None else gradient for gradient, value in pairs]
            self.shared.sum([mean, *(gradient for gradient in gradients if gradient is not None)])
        if not math.isfinite(mean.item()):
            raise FloatingPointError(str(mean.item()))
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.student.recipe.clip)
        if not math.isfinite(norm.item()):
            raise FloatingPointError(f"the gradient's norm {norm.item()}")
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(self.done, self.plan.updates, self.student.recipe)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return mean.item()

    def evaluate(self, judged: Examples) -> dict[str, float]:
        """Judge by the validation examples; remember the line and, if it is the best so far, the weights."""
        import torch

        self.student.model.eval()

        def judge(part: np.ndarray) -> float:
            with torch.inference_mode(), self.shared.autocast():
                return self.student.loss(judged, part).item()

        parts = self.shared.share(token_batches(judged.lengths, AT_ONCE["cpu"]))
        total = torch.tensor([sum(self._each(judge, parts, True), 0.0)], device=self.shared.device)
        self.shared.sum([total])
        self.student.model.train()
        state, loss = self.state, total.item() / max(float(judged.weight.sum()), 1e-9)
        if not math.isfinite(loss):
            raise FloatingPointError(str(loss))
        line = {"update": float(self.done), "validation": loss}
        if state.losses:
            line["loss"] = float(np.mean(state.losses))
        state.history, state.losses = [*state.history, line], []
        better = loss < min((past["validation"] for past in state.history[:-1]), default=math.inf) or not len(judged)
        state.bad = 0 if better else state.bad + 1
        if better:
            state.best_update = self.done
            # In main memory: an accelerator has none to spare.
            state.best = {name: value.detach().to("cpu", copy=True) for name, value in self.parameters.items()}
        return {name: value for name, value in line.items() if name != "update"}

    def _each(self, work: Callable[[Work], Done], parts: list[Work], side_by_side: bool) -> Iterable[Done]:
        """Return what `work` returns for each part; on a CPU side by side if they may be.

        There one thread computes a part alone either way: the bits do not depend on how many there are.
        """
        if not self.shared.is_cpu:
            return map(work, parts)
        if side_by_side:
            return self.threads(work, parts)
        return (done for part in parts for done in self.threads(work, [part]))

    def keep(self) -> dict[str, Any]:
        """Return all that the training needs to go on."""
        weights = {name: value.detach() for name, value in self.parameters.items()}
        return {"weights": weights, "optimiser": self.optimiser.state_dict(), "state": vars(self.state)}

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from what keep() returned."""
        _assign(self.parameters, kept["weights"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.state = Progressed(**kept["state"])

    def take_best(self) -> None:
        """Give the student the weights of the best evaluation."""
        _assign(self.parameters, self.state.best)


def rate_at(update: int, updates: int, recipe: Recipe) -> float:
    """Return the learning rate of an update, counted from 0."""
    warm_up = recipe.warm_up_of(updates)
    if update < warm_up:
        return recipe.rate * (update + 1) / warm_up
    if recipe.schedule == "linear":
        return recipe.rate * (updates - update) / max(updates - warm_up, 1)
    if recipe.schedule == "inverse_sqrt":
        return recipe.rate * math.sqrt(max(warm_up, 1) / (update + 1))
    return recipe.rate


def _optimiser(parameters: list[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    import torch

    if recipe.optimiser == "adafactor":
        return torch.optim.Adafactor(parameters, lr=recipe.rate, weight_decay=0.0)
    return torch.optim.AdamW(parameters, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)


def _summed(found: Iterable[tuple[float, tuple[torch.Tensor | None, ...]]]) -> tuple[float, list[torch.Tensor | None]]:
    """Return the sum of losses and those of gradients, added in order: the same bits every time."""
    loss = 0.0
    total: list[torch.Tensor | None] = []
    for part, gradients in found:
        loss += part
        total = [_plus(*pair) for pair in zip(total, gradients, strict=True)] if total else list(gradients)
    return loss, total


def _plus(total: torch.Tensor | None, gradient: torch.Tensor | None) -> torch.Tensor | None:
    """Return the sum, in place where it can be; None is what has no part in the loss."""
    return gradient if total is None else total if gradient is None else total.add_(gradient)


def _assign(parameters: dict[str, torch.nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)
