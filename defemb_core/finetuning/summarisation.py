"""Fine-tuning an encoder-decoder to write summaries, judged by the words that they share with the reference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.finetuning.models import freeze_table, summariser
from defemb_core.finetuning.settings import FinetuningSettings, is_t5
from defemb_core.finetuning.summaries import SUMMARIES, SummaryData
from defemb_core.finetuning.tables import Table
from defemb_core.finetuning.timing import Estimate, time_updates
from defemb_core.finetuning.trainers import Course, Example, Tell, fine_tune, predict
from defemb_core.finetuning.units import Unit
from defemb_core.plm import PLM

if TYPE_CHECKING:
    from transformers import TrainerCallback

ROUGE = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
WRITTEN = 8  # texts at a time
# What T5 has learned to take before a text that is to be summarised (arXiv 1910.10683, appendix D).
PREFIX = "summarize: "


@dataclass(frozen=True, eq=False)
class SummaryWork:
    """An encoder-decoder, tables, and texts with summaries: what `experiment` does unit by unit.

    Attributes:
        plm: whose weights all tables share.
        tables: to put into it.
        data: as much of it as the settings allow.
        settings: how each is fine-tuned.
    """

    plm: PLM
    tables: Sequence[Table]
    data: SummaryData
    settings: FinetuningSettings
    kind = "summarisation"

    @property
    def train(self) -> list[Example]:
        """Examples to learn from, as the model takes them."""
        return self._encoded[0]

    def describe(self) -> dict[str, Any]:
        """Return what figures depend on besides PLM, tables and settings."""
        sizes = {"train": self.data.train.height, "evaluations": {"test": self.data.evaluation.height}}
        decoding = dict(SUMMARIES[self.data.task].decoding)
        return {
            "task": self.data.task,
            "data": {"digest": self.data.digest, **sizes},
            "metrics": list(ROUGE),
            "notes": list(self.data.left_out),
            "decoding": decoding,
        }

    def gold(self) -> dict[str, list[float]]:
        """Return nothing: each unit keeps its summaries' scores."""
        return {}

    def unit(self, table: Table, seed: int, place: Path, tell: Tell, callbacks: Sequence[TrainerCallback] = ()) -> Unit:
        """Fine-tune with one table and seed, and write a summary of every text."""
        start = time.monotonic()
        model, t5 = self.model(table, seed), is_t5(self.plm.config["model_type"])
        fine_tune(model, self.train, self.collate(model), Course(self.settings, seed, place, tell, callbacks, t5))
        written = self.write(model, self._encoded[1])
        scores = rouge(written, self.data.evaluation["summary"].to_list())
        metrics: dict[str, float | None] = {name: float(np.mean(values)) for name, values in scores.items()}
        return Unit(table.name, seed, metrics, {"test": written}, scores, round(time.monotonic() - start, 1))

    def estimate(self, tell: Tell | None = None) -> Estimate:
        """Time a few updates and one batch of summaries, and say what all units will take."""
        model = self.model(self.tables[0], 0)
        update = time_updates(model, self.train, self.collate(model), self.settings.batch, tell)
        start = time.perf_counter()
        some = self._encoded[1][:WRITTEN]
        self.write(model, some)
        answering = (time.perf_counter() - start) * len(self._encoded[1]) / len(some)
        units = len(self.tables) * self.settings.seeds
        return Estimate(update, self.settings.updates(len(self.train)), answering, units)

    def model(self, table: Table, seed: int) -> Any:
        """Return the model before it learns."""
        model = summariser(self.plm, table, seed)
        if not self.settings.train_table:
            freeze_table(model)
        return model

    def write(self, model: Any, examples: Sequence[Example]) -> list[str]:
        """Return the summaries that the model writes, by the settings of the task."""
        decoding = dict(SUMMARIES[self.data.task].decoding)
        positions = model.config.to_dict().get("max_position_embeddings") or decoding["max_length"]
        decoding["max_length"] = min(decoding["max_length"], positions)
        decoding["min_length"] = min(decoding["min_length"], decoding["max_length"] // 2)

        def ask(inputs: Any) -> Any:
            # Nothing else: what makes batches to learn from gives the decoder the reference, too.
            seen = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            made = model.generate(**seen, **decoding)
            return self.tokenizer.batch_decode(made, skip_special_tokens=True)

        return [str(text).strip() for text in predict(model, examples, self.collate(model), WRITTEN, ask)]

    def collate(self, model: Any) -> Any:
        """Return what makes a batch of examples, filled up to the longest of it."""
        from transformers import DataCollatorForSeq2Seq

        return DataCollatorForSeq2Seq(self.tokenizer, model)

    @cached_property
    def tokenizer(self) -> Any:
        """The PLM's tokenizer, as transformers has it."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.plm.folder, trust_remote_code=False, local_files_only=True)

    @cached_property
    def _encoded(self) -> tuple[list[Example], list[Example]]:
        return self._encode(self.data.train), self._encode(self.data.evaluation)

    def _encode(self, part: Any) -> list[Example]:
        longest = min(self.settings.max_length, self.plm.positions if not self._is_t5 else self.settings.max_length)
        prefix = PREFIX if self._is_t5 else ""
        texts = self.tokenizer([prefix + text for text in part["document"]], truncation=True, max_length=longest)
        target = min(longest, int(SUMMARIES[self.data.task].decoding["max_length"]))
        labels = self.tokenizer(text_target=part["summary"].to_list(), truncation=True, max_length=target)
        return [
            {"input_ids": ids, "attention_mask": seen, "labels": label}
            for ids, seen, label in zip(texts["input_ids"], texts["attention_mask"], labels["input_ids"], strict=True)
        ]

    @property
    def _is_t5(self) -> bool:
        return is_t5(self.plm.config["model_type"])


def rouge(written: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return each summary's ROUGE F measures, 0 to 1, by metric: Google's package, with Porter's stemmer.

    Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004. The published figures come from files2rouge,
    which cuts words and stems a little differently; compare tables, not papers.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE.values()), use_stemmer=True)
    scores = [scorer.score(reference, text) for text, reference in zip(written, references, strict=True)]
    return {name: [float(score[key].fmeasure) for score in scores] for name, key in ROUGE.items()}
