"""Fine-tuning on a task of GLUE: texts to tokens, one unit of work, the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.errors import EvaluationError
from defemb_core.finetuning.glue_data import GlueData
from defemb_core.finetuning.glue_files import Examples
from defemb_core.finetuning.metrics import measure
from defemb_core.finetuning.models import classifier, freeze_table
from defemb_core.finetuning.settings import FinetuningSettings
from defemb_core.finetuning.tables import Table
from defemb_core.finetuning.timing import ANSWER, Estimate, time_updates
from defemb_core.finetuning.trainers import Course, Example, Tell, fine_tune, predict
from defemb_core.finetuning.units import Unit
from defemb_core.plm import PLM

if TYPE_CHECKING:
    from transformers import TrainerCallback

EVALUATED = 32  # examples at a time


@dataclass(frozen=True, eq=False)
class GlueWork:
    """A PLM, tables and a task of GLUE: what `experiment` does unit by unit.

    Attributes:
        plm: whose weights all tables share.
        tables: to put into it.
        data: of the task, as much of it as the settings allow.
        settings: how each is fine-tuned.
    """

    plm: PLM
    tables: Sequence[Table]
    data: GlueData
    settings: FinetuningSettings
    kind = "glue"

    @property
    def train(self) -> list[Example]:
        """Examples to learn from, as the model takes them."""
        return self._encoded[0]

    @property
    def evaluated(self) -> int:
        """How many examples are judged by."""
        return sum(part.frame.height for part in self.data.evaluations.values())

    def describe(self) -> dict[str, Any]:
        """Return what figures depend on besides PLM, tables and settings."""
        sizes = {name: part.frame.height for name, part in self.data.evaluations.items()}
        about = {"digest": self.data.digest, "train": self.data.train.frame.height, "evaluations": sizes}
        return {"task": self.data.task.name, "data": about, "notes": self.data.notes(), "baseline": self._baseline()}

    def gold(self) -> dict[str, list[float]]:
        """Return the labels by set."""
        return {name: part.frame["label"].to_list() for name, part in self.data.evaluations.items()}

    def unit(self, table: Table, seed: int, place: Path, tell: Tell, callbacks: Sequence[TrainerCallback] = ()) -> Unit:
        """Fine-tune with one table and seed, and answer every example; checkpoints lie in `place` meanwhile."""
        start = time.monotonic()
        model = self.model(table, seed)
        fine_tune(model, self.train, self.collate, Course(self.settings, seed, place, tell, callbacks))
        answers = {name: self.answer(model, encoded) for name, encoded in self._encoded[1].items()}
        return Unit(table.name, seed, self._metrics(answers), answers, {}, round(time.monotonic() - start, 1))

    def estimate(self, tell: Tell | None = None) -> Estimate:
        """Time a few updates, and say what all units will take."""
        update = time_updates(self.model(self.tables[0], 0), self.train, self.collate, self.settings.batch, tell)
        answering = ANSWER * update * self.evaluated / self.settings.batch
        units = len(self.tables) * self.settings.seeds
        return Estimate(update, self.settings.updates(len(self.train)), answering, units)

    def model(self, table: Table, seed: int) -> Any:
        """Return the model before it learns."""
        model = classifier(self.plm, table, self.data.task.outputs, seed)
        if not self.settings.train_table:
            freeze_table(model)
        return model

    def answer(self, model: Any, examples: Sequence[Example]) -> list[float]:
        """Return the model's answers: class numbers, or scores."""

        def ask(inputs: Any) -> np.ndarray:
            inputs.pop("labels", None)
            logits = model(**inputs).logits.float().cpu().numpy()
            return logits[:, 0] if self.data.task.is_regression else logits.argmax(axis=1)

        return [float(answer) for answer in predict(model, examples, self.collate, EVALUATED, ask)]

    @cached_property
    def collate(self) -> Any:
        """Makes a batch of examples, filled up to the longest of it."""
        from transformers import DataCollatorWithPadding

        return DataCollatorWithPadding(self.tokenizer)

    @cached_property
    def tokenizer(self) -> Any:
        """The PLM's tokenizer, as transformers has it."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.plm.folder, trust_remote_code=False, local_files_only=True)

    @cached_property
    def _encoded(self) -> tuple[list[Example], dict[str, list[Example]]]:
        sets = {name: self._encode(part) for name, part in self.data.evaluations.items()}
        return self._encode(self.data.train), sets

    def _encode(self, part: Examples) -> list[Example]:
        longest = min(self.settings.max_length, self.plm.max_tokens)
        pairs = part.frame["second"].null_count() < part.frame.height
        second = part.frame["second"].to_list() if pairs else None
        found = self.tokenizer(part.frame["first"].to_list(), second, truncation=True, max_length=longest)
        labels = part.frame["label"].to_list()
        kind = float if self.data.task.is_regression else int
        names = [name for name in found if name in {"input_ids", "attention_mask", "token_type_ids"}]
        return [{**{name: found[name][at] for name in names}, "labels": kind(label)} for at, label in enumerate(labels)]

    def _metrics(self, answers: dict[str, list[float]]) -> dict[str, float | None]:
        figures = {}
        for name, metric, called in metric_names(self.data.task.metrics, list(self.data.evaluations)):
            gold = self.data.evaluations[name].frame["label"].to_numpy()
            figures[called] = _known(measure(metric, np.array(answers[name]), gold))
        return figures

    def _baseline(self) -> dict[str, float | None]:
        """Return the figures of one answer to everything: the train set's most common label or mean score."""
        labels = self.data.train.frame["label"]
        if not len(labels):
            raise EvaluationError(f"{self.data.train.name!r} has no examples to learn from")
        common = labels.mean() if self.data.task.is_regression else labels.mode().sort()[0]
        return self._metrics({n: [common] * part.frame.height for n, part in self.data.evaluations.items()})  # type: ignore[list-item]


def metric_names(metrics: Sequence[str], sets: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return set, metric, and what the figure is called: with the set's name where there are several."""
    return [(name, m, m if len(sets) == 1 else f"{m}, {name}") for name in sets for m in metrics]


def _known(value: float) -> float | None:
    return None if value != value else value
