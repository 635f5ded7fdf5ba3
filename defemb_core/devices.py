"""Where the heavy work runs: one process or several, CPUs or accelerators. Accelerate decides.

Started by `accelerate launch`, every process does the same work and takes its share of the batches. What a process
writes, says or keeps is the first one's business alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from defemb_core.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Devices:
    """The processes that share the work, and this one's device.

    Attributes:
        rank: this process's number, 0 for the first.
        processes: how many there are.
    """

    rank: int
    processes: int

    @cached_property
    def _accelerator(self) -> Any:
        from accelerate import Accelerator

        made = Accelerator()
        if made.num_processes != self.processes:
            raise SettingsError(
                f"{self.processes} processes were started, Accelerate sees {made.num_processes}: they would not add "
                "up; on CPUs set ACCELERATE_USE_CPU=true"
            )
        return made

    @property
    def is_first(self) -> bool:
        """Whether this process writes, says and keeps things."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        device: torch.device = self._accelerator.device
        return device

    @property
    def is_cpu(self) -> bool:
        """Whether this process computes on a CPU."""
        return self.device.type == "cpu"

    def autocast(self) -> Any:
        """Return a context of bfloat16 products where the device is fast at them, of float32 elsewhere."""
        import torch

        return torch.autocast(self.device.type, torch.bfloat16, enabled=_fast_bfloat16(self.device))

    def share(self, items: Sequence[Any]) -> list[Any]:
        """Return this process's part of the items: every n-th, so that parts of a sorted list cost about the same."""
        return list(items[self.rank :: self.processes])

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes; alone it stays as it is."""
        if self.processes > 1:
            for tensor in tensors:
                tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))

    def sum_arrays(self, arrays: Sequence[np.ndarray]) -> None:
        """Replace each array by its sum over all processes; alone it stays as it is."""
        import torch

        if self.processes > 1:
            for array in arrays:
                total = self._accelerator.reduce(torch.from_numpy(array).to(self.device), reduction="sum")
                array[...] = total.cpu().numpy()


@cache
def devices() -> Devices:
    """Return how this process was started: the launcher says so in the environment; without one it is alone."""
    return Devices(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def _fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 faster than float32: NVIDIA's from Ampere (2020) on.

    A CPU without such instructions is several hundred times slower at it.
    """
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
