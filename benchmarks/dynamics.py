"""A fine-tuning of the bundled PLM with its embedding table recorded: what that costs, how small it is, who moved.

Run from the repository's root: `python -m benchmarks dynamics --data FOLDER`, where FOLDER holds the train.tsv of a
GLUE task with classes (RTE, MRPC, SST-2). Trains twice, without and with weight decay; then compares short trainings
with and without the recorder in turn. Recordings go to --out, for the page Dynamics.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.machine import THREADS, Line, as_milliseconds, as_seconds, print_head, print_table, timed
from defemb_core.dynamics.measures import Dynamics, measure_dynamics
from defemb_core.dynamics.opening import open_with_vocabulary
from defemb_core.dynamics.summary import findings, last_movement, moved_most, percent
from defemb_core.hub import BUNDLED
from defemb_core.plm import load_plm

DECAYS = (0.0, 0.01)
TEXTS = ("sentence1", "sentence2", "sentence", "#1 String", "#2 String")
LABELS = ("label", "Quality")
TARGET = "under 5 %"
Examples = list[dict[str, Any]]


def read_task(folder: Path, tokenizer: Any, longest: int) -> tuple[Examples, int]:
    """Return a task's training examples and the number of its classes."""
    frame = pl.read_csv(folder / "train.tsv", separator="\t", quote_char=None, infer_schema=False)
    texts = [name for name in TEXTS if name in frame.columns]
    label = next(name for name in LABELS if name in frame.columns)
    classes = sorted(frame[label].unique())
    encoded = tokenizer(*(frame[name].to_list() for name in texts), truncation=True, max_length=longest)
    labels = [classes.index(value) for value in frame[label]]
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": one}
        for ids, mask, one in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
    ], len(classes)


def train(task: tuple[Examples, int], options: argparse.Namespace, decay: float, steps: int, recorder: Any) -> float:
    """Fine-tune the bundled PLM and return the seconds of the training loop; `recorder` may be None."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(options.seed)
    folder = load_plm(BUNDLED).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=task[1])
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out, max_steps=steps, per_device_train_batch_size=options.batch, learning_rate=options.rate,
            weight_decay=decay, seed=options.seed, save_strategy="no", logging_strategy="no", report_to=[],
            disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, DataCollatorWithPadding(tokenizer), task[0], processing_class=tokenizer,
            callbacks=[recorder] if recorder else None,
        )  # fmt: skip
        return float(timed(trainer.train)[0])


def timed_recorder(folder: Path, every: int = 0) -> Any:
    """Return a recorder that adds up the seconds which the training waits for it."""
    from defemb_core.dynamics import EmbeddingRecorder

    class Timed(EmbeddingRecorder):
        waited = 0.0

    def waiting(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> None:
            self.waited += timed(lambda: getattr(EmbeddingRecorder, name)(self, *args, **kwargs))[0]

        return method

    for name in ("on_train_begin", "on_pre_optimizer_step", "on_step_end", "on_train_end", "_count"):
        setattr(Timed, name, waiting(name))
    return Timed(folder, every)


def movement_lines(name: str, dynamics: Dynamics) -> list[Line]:
    """Return a line for each part of the rows: how many of them moved, and how far."""
    lines = []
    for group in ("all", "none"):
        for kind, line in last_movement(dynamics, group).items():
            if kind == "every":
                continue
            rows = f"{line['rows']:,} {kind}{' special or unused' if group == 'none' else ''} rows"
            far = f"{percent(line['moved'])} moved, by {percent(line['relative'])} of their length"
            alone = f"weight decay alone gives {percent(line['only_decay'])} of them to the bit"
            scale = f"one scale of {line['scale']:.8f} explains {percent(line['explained'])}"
            lines.append(Line(f"{name}: {rows}", far, "", f"{alone}, {scale}"))
    return lines


def size_line(name: str, folder: Path, dynamics: Dynamics, seconds: float, waited: float) -> list[Line]:
    """Return what a recording weighs against whole tables, and how long the training waited for it."""
    size = sum(file.stat().st_size for file in folder.glob("step-*.safetensors"))
    whole = len(dynamics.steps) * dynamics.about["rows"] * dynamics.about["width"] * 4
    share = f"{waited:.2f} s of {as_seconds(seconds)}, {waited / seconds:.2%}"
    return [
        Line(f"{name}: {len(dynamics.steps)} snapshots", f"{size / 1e6:.1f} MB", "", f"whole {whole / 1e6:.1f} MB"),
        Line(f"{name}: time that training waited", share, TARGET),
    ]


def cost_lines(task: tuple[Examples, int], options: argparse.Namespace) -> list[Line]:
    """Compare short trainings without and with a recorder, in turn, with as many snapshots for their steps.

    By the processor's time of one thread: seconds on the wall depend on what else the machine does.
    """
    import torch

    torch.set_num_threads(1)
    every, ratios, waits, without = max(1, options.steps // 20), [], [], []
    train(task, options, DECAYS[-1], 2, None)  # what is imported at first use is no part of either
    for _ in range(options.repeats):
        bare = _processor_seconds(lambda: train(task, options, DECAYS[-1], options.short, None))
        with tempfile.TemporaryDirectory() as folder:
            recorder = timed_recorder(Path(folder) / "recording", every)
            watched = partial(train, task, options, DECAYS[-1], options.short, recorder)
            seconds, ratio = timed(partial(_processor_seconds, watched))
            ratios.append(ratio / bare)
            waits.append(recorder.waited / seconds)
        without.append(bare)
    found = f"{statistics.median(ratios) - 1:+.1%} (from {min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%})"
    what = f"{options.short} steps with a snapshot every {every} against none, {options.repeats} pairs in turn"
    step = as_milliseconds(statistics.median(without) / options.short)
    return [
        Line(f"{what}: processor time", found, TARGET, f"a step without takes {step} of one thread"),
        Line("share of the time on the wall that training waited", f"{statistics.median(waits):.2%}", TARGET),
    ]


def _processor_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that work takes, those of its threads included."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main(arguments: Sequence[str]) -> None:
    """Train, record, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dynamics", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a GLUE task's train.tsv")
    parser.add_argument("--out", type=Path, help="keep the recordings in this folder")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--longest", type=int, default=128, help="tokens of an example")
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--short", type=int, default=60, help="steps of the trainings that are compared")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of these")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging

    torch.set_num_threads(THREADS)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print_head("dynamics", arguments)
    task = read_task(options.data, AutoTokenizer.from_pretrained(load_plm(BUNDLED).folder), options.longest)
    with tempfile.TemporaryDirectory() as temporary:
        for decay in DECAYS:
            name = f"{options.data.name}, weight decay {decay:g}"
            folder = (options.out or Path(temporary)) / f"{options.data.name.lower()}-decay-{decay:g}"
            recorder = timed_recorder(folder)
            seconds = train(task, options, decay, options.steps, recorder)
            recording, vocabulary = open_with_vocabulary(folder, BUNDLED)
            spent, dynamics = timed(lambda: measure_dynamics(recording, vocabulary))  # noqa: B023
            lines = [*size_line(name, folder, dynamics, seconds, recorder.waited), *movement_lines(name, dynamics)]
            lines.append(Line(f"{name}: measuring {len(dynamics.steps)} snapshots", as_seconds(spent)))
            print_table(lines, name)
            print("\n".join(["", *findings(dynamics), f"moved most: {_words(dynamics)}"]), flush=True)
    print_table(cost_lines(task, options), "cost of recording")


def _words(dynamics: Dynamics) -> str:
    most = moved_most(dynamics, 10)
    return ", ".join(f"{line['token']} ({line['relative']:.1%}, {line['count']} times)" for line in most.to_dicts())
