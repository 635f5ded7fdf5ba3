"""Where the heavy work runs: one process or several, CPUs or accelerators. Accelerate decides.

Started by `accelerate launch`, every process does the same work and takes its share of the batches. What a process
writes, says or keeps is the first one's business alone. What ends one of them ends all: before they exchange anything
they agree that all are well, and one that is not says why.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from defemb_core.errors import DefembError, ProcessError, SettingsError, first_line

if TYPE_CHECKING:
    import numpy as np
    import torch


Failure = tuple[int, str]
"""The exit code and the sentence of an error."""


@dataclass
class _Talk:
    """Whether the processes have ceased to exchange anything: one has failed, or they have parted."""

    over: bool = False


@dataclass(frozen=True)
class Devices:
    """The processes that share the work, and this one's device.

    Attributes:
        rank: this process's number, 0 for the first.
        processes: how many there are.
    """

    rank: int
    processes: int
    _talk: _Talk = field(default_factory=_Talk, repr=False, compare=False)

    @cached_property
    def _accelerator(self) -> Any:
        from accelerate import Accelerator

        with self._connected():
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
            with self._exchange():
                for tensor in tensors:
                    tensor.copy_(self._accelerator.reduce(tensor, reduction="sum"))

    def sum_arrays(self, arrays: Sequence[np.ndarray]) -> None:
        """Replace each array by its sum over all processes; alone it stays as it is."""
        import torch

        if self.processes > 1:
            with self._exchange():
                for array in arrays:
                    total = self._accelerator.reduce(torch.from_numpy(array).to(self.device), reduction="sum")
                    array[...] = total.cpu().numpy()

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite each tensor by the first process's; alone it stays as it is."""
        if self.processes > 1:
            with self._exchange():
                for tensor in tensors:
                    tensor.detach().copy_(self._broadcast(tensor.detach()))

    def from_first(self, value: Any) -> Any:
        """Return the first process's value, its tensors in main memory; the others' is not looked at.

        Args:
            value: tensors and plain values, alone or in dicts, lists and tuples.
        """
        import torch

        if self.processes == 1:
            return value
        from accelerate.utils import broadcast_object_list

        tensors: list[torch.Tensor] = []
        with self._exchange():
            [form] = broadcast_object_list([_taken_out(value, tensors) if self.is_first else None])
            for tensor in tensors:
                self._broadcast(tensor)
            if self.is_first:
                return value
            return _put_in(
                form, lambda one: self._broadcast(torch.empty(one.shape, dtype=one.dtype, device=self.device)).cpu()
            )

    def _broadcast(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the first process's tensor, on this one's device."""
        from accelerate.utils import broadcast

        sent: torch.Tensor = tensor.to(self.device).contiguous()
        return broadcast(sent) if sent.numel() else sent

    @contextmanager
    def together(self) -> Iterator[None]:
        """End the work of all processes if it ends in this one.

        The keyboard and the system stop all of them anyway.
        """
        try:
            yield
        except Exception as error:
            known = isinstance(error, DefembError)
            code, said = (error.code, str(error)) if isinstance(error, DefembError) else (1, _kind_and_line(error))
            try:
                with suppress(SettingsError):  # Accelerate does not see the others, who find that out by themselves
                    self.agree((code, said))
            except ProcessError as told:
                if known and code == DefembError.code:
                    raise told from error
            raise

    def agree(self, failure: Failure | None = None) -> None:
        """Learn whether all processes are well, and tell them if this one is not; every exchange begins with it.

        Raises:
            ProcessError: one or more are not, or are lost.
        """
        if self.processes == 1 or self._talk.over:
            return
        import torch
        from accelerate.utils import gather_object

        ill = torch.tensor([float(failure is not None)], device=self.device)
        with self._connected():
            failed = self._accelerator.reduce(ill, reduction="sum").item()
            if failed:
                _end_undisturbed()  # while all are here: none ends before all have come to the next line
            said: list[Failure | None] = gather_object([failure]) if failed else []
        if failed:
            self._cease()
            raise _in_one_sentence(said)

    def part(self) -> None:
        """Agree for the last time: from here on each goes its own way."""
        self.agree()
        self._cease()

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Exchange something, all processes at once, if all are well."""
        self.agree()
        with self._connected():
            yield

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Have it that nothing more is exchanged once an exchange has failed halfway: the others may wait in it."""
        before, self._talk.over = self._talk.over, True
        try:
            yield
        except (RuntimeError, MemoryError) as error:  # torch and gloo raise many kinds, all of them these two's
            if self.processes == 1:
                raise
            _end_undisturbed()
            self._cease(lost=True)
            raise ProcessError(
                f"rank {self.rank} of {self.processes} processes lost the others ({first_line(error)}); see what these "
                "said, then go on with --resume",
                lost=True,
            ) from error
        self._talk.over = before

    def leave(self, code: int) -> None:
        """End this process at once if it is one of several; alone it goes on.

        torch's threads may still let go of what was exchanged, and abort a process that tidies up meanwhile.
        """
        if self.processes > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _cease(self, lost: bool = False) -> None:
        """Exchange nothing more."""
        self._talk.over = True
        if self.processes > 1:
            import torch.distributed as connections

            # NCCL would wait for those that are lost.
            if connections.is_initialized() and not (lost and connections.get_backend() == "nccl"):
                with suppress(RuntimeError):
                    connections.destroy_process_group()


@cache
def devices() -> Devices:
    """Return how this process was started: the launcher says so in the environment; without one it is alone."""
    return Devices(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def _end_undisturbed() -> None:
    """Let no launcher, which ends all when one has ended, cut off what is to be said."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 faster than float32: NVIDIA's from Ampere (2020) on.

    A CPU without such instructions is several hundred times slower at it.
    """
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8


@dataclass(frozen=True)
class _Form:
    """What a tensor is but for its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def _taken_out(value: Any, tensors: list[torch.Tensor]) -> Any:
    """Return a value with its tensors' forms in their places; the tensors themselves are added to the list."""
    import torch

    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return _Form(tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return {key: _taken_out(one, tensors) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_taken_out(one, tensors) for one in value)
    return value


def _put_in(form: Any, tensor_of: Callable[[_Form], torch.Tensor]) -> Any:
    """Return a value with tensors in the places of their forms, in the order of _taken_out."""
    if isinstance(form, _Form):
        return tensor_of(form)
    if isinstance(form, dict):
        return {key: _put_in(one, tensor_of) for key, one in form.items()}
    if isinstance(form, list | tuple):
        return type(form)(_put_in(one, tensor_of) for one in form)
    return form


def _in_one_sentence(said: Sequence[Failure | None]) -> ProcessError:
    """Return the error of all processes: what all of them say, or else what the first that failed says."""
    rank, failure = next((rank, failure) for rank, failure in enumerate(said) if failure)
    code, sentence = failure
    return ProcessError(sentence if len(set(said)) == 1 else f"rank {rank} of {len(said)} processes: {sentence}", code)


def _kind_and_line(error: Exception) -> str:
    line = first_line(error)
    return line if line == type(error).__name__ else f"{type(error).__name__}: {line}"
