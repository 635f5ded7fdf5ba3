"""Snapshots of an embedding table on disk: the first whole, each later one the rows that weight decay does not explain.

A row that gets no gradient is only multiplied by 1 - rate x weight decay at every update of AdamW. A snapshot holds
these small numbers, one an update, and the rows that differ in any bit from what the last snapshot becomes under them.
Replaying the same multiplications in the same precision gives every other row back to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import write_atomically, write_json
from defemb_core.errors import EvaluationError, first_line

if TYPE_CHECKING:
    import torch

ABOUT = "recording.json"
TOKENIZER = "tokenizer.json"
VERSION = 1
# Numbers that are multiplied at a time on a processor: they stay in its cache for all updates since the last snapshot,
# and torch does not share so few among threads, which would wait for each other where the machine has other work.
_BLOCK = 32_768


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the file of one step holds.

    Attributes:
        step: updates made.
        ids: int64 (n,), the rows that it holds, None for all of them.
        rows: (n, H) or (V, H), in the model's own precision.
        counts: int64 (V,), how often each token id was in the training batches so far.
        shrink: float64 (updates since the last snapshot,), rate x weight decay of each; empty without weight decay.
        rule: name of the way in which the optimizer applies it, one of RULES.
    """

    step: int
    ids: torch.Tensor | None
    rows: torch.Tensor
    counts: torch.Tensor
    shrink: torch.Tensor
    rule: str


def _scaled(block: torch.Tensor, shrink: Sequence[float]) -> torch.Tensor:
    """As torch's AdamW does it on a processor, and everywhere when it is not fused."""
    for rate in shrink:
        block = block.mul_(1 - rate)
    return block


def _subtracted(block: torch.Tensor, shrink: Sequence[float]) -> torch.Tensor:
    """As torch's fused AdamW is written for accelerators: rate x decay x value is a float64 number."""
    import torch

    for rate in shrink:
        wide = block.to(torch.float64)
        block = (wide - rate * wide).to(block.dtype)
    return block


RULES: dict[str, Callable[[torch.Tensor, Sequence[float]], torch.Tensor]] = {
    "scaled": _scaled,
    "subtracted": _subtracted,
}


def decayed(table: torch.Tensor, shrink: torch.Tensor, rule: str) -> torch.Tensor:
    """Return a copy of a table (V, H) after updates that only weight decay has a part in, to the bit."""
    made = table.clone()
    rates = [rate for rate in shrink.tolist() if rate]
    if rates:
        rows = max(1, _BLOCK // table.shape[1]) if table.device.type == "cpu" else len(table)
        for block in made.split(rows):
            block.copy_(RULES[rule](block, rates))
    return made


def differing(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return which rows of two tables of one precision differ in any bit, bool (V,)."""
    import torch

    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[first.element_size()]
    return (first.view(bits) != second.view(bits)).any(dim=1)


def following(
    step: int, table: torch.Tensor, last: torch.Tensor, counts: torch.Tensor, shrink: torch.Tensor
) -> Snapshot:
    """Return the snapshot of `table` after the one that held `last`, with as few rows as one of the rules allows."""
    found: tuple[torch.Tensor, str] | None = None
    for rule in RULES if shrink.any() else [next(iter(RULES))]:
        rows = differing(decayed(last, shrink, rule), table)
        if found is None or rows.sum() < found[0].sum():
            found = rows, rule
        if not bool((found[0].cpu() & (counts == 0)).any()):  # all that is left has its reason in the data
            break
    assert found is not None
    ids = found[0].nonzero()[:, 0]
    return Snapshot(step, ids.cpu(), table[ids].cpu(), counts, shrink, found[1])


def applied(snapshot: Snapshot, last: torch.Tensor | None) -> torch.Tensor:
    """Return the table of a snapshot, from that of the one before it."""
    if snapshot.ids is None:
        return snapshot.rows
    if last is None:
        raise ValueError("a snapshot of some rows needs the table of the one before it")
    table = decayed(last, snapshot.shrink, snapshot.rule)
    table[snapshot.ids] = snapshot.rows
    return table


def snapshot_file(folder: Path, step: int) -> Path:
    """Return the file of a step's snapshot."""
    return folder / f"step-{step:08d}.safetensors"


def snapshot_steps(folder: Path) -> list[int]:
    """Return the steps that have a snapshot in `folder`, ascending."""
    names = (file.name.removeprefix("step-").removesuffix(".safetensors") for file in folder.glob("step-*.safetensors"))
    return sorted(int(name) for name in names if name.isdecimal())


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot, whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {"rows": snapshot.rows, "counts": snapshot.counts, "shrink": snapshot.shrink}
    if snapshot.ids is not None:
        tensors["ids"] = snapshot.ids
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    # Not save_file, which would make a file that nobody else may read.
    content = save(whole, metadata={"rule": snapshot.rule})
    write_atomically(snapshot_file(folder, snapshot.step), lambda to: _fill(to, content))


def read_snapshot(folder: Path, step: int) -> Snapshot:
    """Read the snapshot of a step.

    Raises:
        EvaluationError: its file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    file = snapshot_file(folder, step)
    try:
        with safe_open(file, framework="pt") as kept:
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
            rule = (kept.metadata() or {})["rule"]
        return Snapshot(
            step, tensors.get("ids"), tensors["rows"], tensors["counts"], tensors["shrink"], _checked_rule(rule)
        )
    except (SafetensorError, OSError, KeyError) as exc:
        raise EvaluationError(
            f"snapshot {str(file)!r} is damaged or no snapshot ({first_line(exc)}); those before it are readable "
            "once it and those after it are moved away"
        ) from None


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write what the recording is of."""
    write_json(folder / ABOUT, {"version": VERSION, **about})


def read_about(folder: Path) -> dict[str, Any]:
    """Return what the recording in `folder` is of.

    Raises:
        EvaluationError: there is none, or it is another version's.
    """
    try:
        about = dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise EvaluationError(f"{str(folder)!r} has no readable {ABOUT}; name the folder of a recording") from None
    if about.get("version") != VERSION:
        raise EvaluationError(
            f"the recording in {str(folder)!r} has version {about.get('version')!r}, not {VERSION}; record it again"
        )
    return about


def _fill(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def _checked_rule(rule: str) -> str:
    if rule not in RULES:
        raise KeyError(f"no rule {rule!r}")
    return rule
