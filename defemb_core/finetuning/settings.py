"""How a PLM is fine-tuned: the published settings as defaults, each adjustable."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil
from typing import Any

from defemb_core.errors import SettingsError

RECIPES = (
    "RTE and MRPC: the published commands of DefinitionEMB (arXiv 2408.01308) for RoBERTa and for BART; other tasks: "
    "the configurations for RoBERTa (arXiv 1907.11692) that lie beside them, CoLA's as RoBERTa's, WNLI as RTE. Adam "
    "(0.9, 0.98), epsilon 1e-6, no clipping, the rate rises for a share of the updates and falls in a line to 0."
)
BETAS, EPSILON = (0.9, 0.98), 1e-6
# Rate and batch of RoBERTa; 10 epochs each, the first 6 % of the updates to warm up, of QQP's 25 %. The published
# commands have another weight decay than the configurations of the other tasks.
_RATES = {
    "rte": (2e-5, 16), "mrpc": (1e-5, 16), "stsb": (2e-5, 16), "cola": (1e-5, 16), "sst2": (1e-5, 32),
    "qnli": (1e-5, 32), "qqp": (1e-5, 32), "mnli": (1e-5, 32), "wnli": (2e-5, 16),
}  # fmt: skip
_COMMANDED, _DECAY_OF_OTHERS = frozenset({"rte", "mrpc", "wnli"}), 0.1
_BART = {"rte": (1e-5, 32), "mrpc": (2e-5, 64)}
_T5 = frozenset({"t5", "mt5", "umt5", "t5gemma"})


@dataclass(frozen=True)
class FinetuningSettings:
    """How each table is fine-tuned.

    Attributes:
        epochs: passes over the examples to learn from.
        rate: the peak learning rate.
        batch: examples an update.
        max_length: tokens of an example at most; longer ones are cut.
        weight_decay: AdamW's.
        warmup: share of the updates in which the rate rises, 0 to 1.
        train_table: whether the table learns too, or stays as it was put in.
        seeds: how many, from 0 up: of the head's first weights, the order of examples, and dropout.
        limit: examples to learn from at most, 0 for all.
        eval_limit: examples to judge by at most, 0 for all.

    Raises:
        SettingsError: a value is out of its range.
    """

    epochs: float = 10.0
    rate: float = 2e-5
    batch: int = 16
    max_length: int = 512
    weight_decay: float = 0.01
    warmup: float = 0.06
    train_table: bool = True
    seeds: int = 3
    limit: int = 0
    eval_limit: int = 0

    def __post_init__(self) -> None:
        least = {"batch": 1, "max_length": 8, "seeds": 1}
        for field in fields(self):
            value, low = getattr(self, field.name), least.get(field.name, 0)
            if not low <= value < float("inf"):
                raise SettingsError(f"{field.name} must be {low} or more, is {value}")
        if not self.epochs or not self.rate:
            raise SettingsError("epochs and rate must be above 0")
        if self.warmup > 1:
            raise SettingsError(f"warmup is a share of the updates, 0 to 1, is {self.warmup}")

    def updates(self, examples: int) -> int:
        """Return how many updates so many examples make."""
        return max(1, ceil(self.epochs * -(-examples // self.batch)))


def glue_settings(task: str, model_type: str, **chosen: Any) -> FinetuningSettings:
    """Return the published settings of a GLUE task for a family of PLMs, those chosen in their place."""
    rate, batch = _RATES[task]
    if model_type in {"bart", "mbart"}:
        rate, batch = _BART.get(task, (rate, batch))
    usual: dict[str, Any] = {"rate": rate, "batch": batch}
    if task not in _COMMANDED:
        usual |= {"weight_decay": _DECAY_OF_OTHERS}
    if task == "qqp":
        usual |= {"warmup": 0.25}
    return _with(usual, chosen)


def summarisation_settings(model_type: str, **chosen: Any) -> FinetuningSettings:
    """Return the published settings for summaries, those chosen in their place.

    The commands of DefinitionEMB: BART 3e-5 with 500 of 20,000 updates to warm up and texts of 1,024 tokens; T5 1e-3
    throughout (Adafactor) and texts of 512. Their batches of 64,000 and 16,000 tokens need a GPU: here it is 8 texts.
    """
    if model_type in _T5:
        usual = {"rate": 1e-3, "batch": 8, "warmup": 0.0, "max_length": 512, "epochs": 3.0}
    else:
        usual = {"rate": 3e-5, "batch": 8, "warmup": 0.025, "max_length": 1024, "epochs": 3.0}
    return _with(usual, chosen)


def is_t5(model_type: str) -> bool:
    """Whether a family is T5's, which learns with Adafactor and at a constant rate."""
    return model_type in _T5


def _with(usual: dict[str, Any], chosen: dict[str, Any]) -> FinetuningSettings:
    return FinetuningSettings(**{**usual, **{name: value for name, value in chosen.items() if value is not None}})
