"""A model's states for prompts: batches of about equal length, read by an encoder or by a student with its decoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from defemb_core.families import SENTINEL_MASKS

if TYPE_CHECKING:
    import torch

    from defemb_core.plm import PLM
    from defemb_core.prompts import Prompts

Work = TypeVar("Work")
Done = TypeVar("Done")


class Reader:
    """Reads prompts with a model: the states at the slots, and the mean of all states.

    An encoder's states are its own. Of a whole encoder-decoder the slot's state is the decoder's, which is fed what
    stands before the slot (teacher forcing) and so is about to say what belongs into it; the mean is the encoder's.
    """

    def __init__(self, plm: PLM, model: Any, device: Any = "cpu") -> None:
        """Take the PLM, `plm.encoder()` or `plm.whole()` or a trained copy of either, and where it lies."""
        self.model, self.device = model, device
        self.decodes = plm.has_decoder and hasattr(model, "decoder")
        self.starts = plm.decoder_start if self.decodes else None
        self.sentinel = plm.mask_id if plm.config["model_type"] in SENTINEL_MASKS else None

    @property
    def widths(self) -> tuple[int, int]:
        """Columns of the states at the slots and of the mean states; a T5Gemma's two sides may differ."""
        config = self.model.config
        sides = ("decoder", "encoder") if self.decodes else ("encoder", "encoder")
        slot, mean = (_width(getattr(config, side, None)) or _width(config) for side in sides)
        return slot, mean

    def __call__(self, prompts: Prompts, batch: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states at the slots and the mean states of the prompts `batch`, each (b, width)."""
        import torch

        padded, attention = pad([prompts.ids[i] for i in batch])
        # Without padding the mask costs time and changes nothing.
        given = {} if attention.all() else {"attention_mask": self._tensor(attention)}
        rows = torch.arange(len(batch), device=self.device)
        if self.decodes:
            before, read = pad([self._decoder_input(prompts.ids[i], int(prompts.slots[i])) for i in batch])
            found = self.model(
                input_ids=self._tensor(padded),
                decoder_input_ids=self._tensor(before),
                decoder_attention_mask=self._tensor(read),
                use_cache=False,
                **given,
            )
            states = found.encoder_last_hidden_state
            slots = found.last_hidden_state[rows, self._tensor(read.sum(axis=1) - 1)]
        else:
            states = self.model(input_ids=self._tensor(padded), **given).last_hidden_state
            slots = states[rows, self._tensor(prompts.slots[batch])]
        weight = (attention / attention.sum(axis=1, keepdims=True)).astype(np.float32)  # no float64 on Apple's GPUs
        weight = self._tensor(weight).to(states.dtype)
        return slots, torch.einsum("bth,bt->bh", states, weight)

    def _decoder_input(self, ids: list[int], slot: int) -> list[int]:
        start = ids[-1] if self.starts is None else self.starts  # mBART: the language, which ends the encoder's input
        if self.sentinel is not None:
            return [start, self.sentinel]
        before = ids[:slot]
        return [start, *(before[1:] if before[:1] == [start] else before)]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        import torch

        return torch.from_numpy(array).to(self.device)


def _width(config: Any) -> int:
    """Return the width of the states by a model's settings, 0 if they do not say."""
    return int(getattr(config, "hidden_size", None) or getattr(config, "d_model", None) or 0)


def token_batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Return indices of sequences in batches, shortest first, each of at most `budget` tokens with padding.

    A sequence longer than the budget is a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")
    batches: list[np.ndarray] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > budget:
            batches.append(order[start:end])
            start = end
    return batches


def even_batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Return indices of sequences in an even number of batches of about equal tokens, of at most about `budget` each.

    Unlike token_batches, which leaves a small rest, they keep two threads (or processes) busy for the same time. Fewer
    sequences than batches give one batch each.
    """
    order = np.argsort(lengths, kind="stable")
    number = min(2 * max(1, round(float(lengths.sum()) / (2 * budget))), len(order))
    ends = np.cumsum(lengths[order])
    edges = np.searchsorted(ends, np.linspace(0, ends[-1], number + 1)[1:-1], side="right")
    return [part for part in np.split(order, edges) if len(part)]


class AllThreads:
    """Works on several parts side by side: one part a thread of torch's.

    Parts side by side leave no thread waiting for another after every operation, as the threads within one would: 4 %
    faster on two idle cores, several times on busy ones, and the same bits (benchmarks/RESULTS.md). To be closed
    afterwards: until then torch has one thread a part.
    """

    def __init__(self) -> None:
        """Start the threads."""
        import torch

        self.threads = torch.get_num_threads()
        # Few threads for long: each has memory of its own, which the system's allocator keeps for it.
        self.pool = ThreadPoolExecutor(self.threads, "states", torch.set_num_threads, (1,))

    def __call__(self, work: Callable[[Work], Done], parts: Iterable[Work]) -> Generator[Done]:
        """Yield what `work` returns for each part, in their order."""
        waiting = deque(self.pool.submit(work, part) for part in parts)
        try:
            while waiting:
                yield waiting.popleft().result()  # and forget it
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the threads, once those at work are done."""
        import torch

        self.pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.threads)  # MKL keeps one number for all threads


def pad(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (b, width) and attention (b, width), padded at the end with id 0, which nothing attends to."""
    padded, attention = (np.zeros((len(ids), max(len(row) for row in ids)), dtype=np.int64) for _ in range(2))
    for row, sequence in enumerate(ids):
        padded[row, : len(sequence)] = sequence
        attention[row, : len(sequence)] = 1
    return padded, attention
