"""What training a student costs and brings: share of the product rate, memory, held-out tokens, word similarity.

The bundled PLM with WordNet, no network. Several students may be trained for comparison; each takes about as long as
the first line of its table says.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import Line, print_head, print_table, torch_rate
from benchmarks.quality import GROUPS, Bench, by_group, held_ids, open_bench, pair_line, read_sets
from defemb_core.presets import PRESET_NAMES
from defemb_core.reconstruction import Reconstruction, Settings
from defemb_core.student import Student

VARIANTS: dict[str, dict[str, Any]] = {
    "relations not in the prompts": {"relations": False},
    "rare rows learned from like others": {"rare_weight": 1.0},
    "without mentions": {"mentions": False},
}
# What method trained is asked for, as rebuilt / original Spearman on pairs with a held-out token.
TARGETS = {"SimLex-999": "1.05", "WS-353": "0.93", "MEN": "0.95"}


class Watch:
    """Follows the stages of a run: the memory that training takes beside what was there before, and product rates."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.stage, self.before, self.peak = "", 0, 0
        self.rates = [torch_rate()]
        self.ended = threading.Event()

    def __call__(self, stage: str, done: int, total: int, /, **figures: float) -> None:
        """Take note of the stage; print evaluations, so that somebody who waits sees something."""
        if stage == "start" and self.stage != "start":
            self.before = psutil.Process().memory_info().rss
            threading.Thread(target=self._sample, daemon=True).start()
        if stage == "states" and self.stage != "states":
            self.ended.set()
        self.stage = stage

    def _sample(self) -> None:
        process = psutil.Process()
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, process.memory_info().rss)


def report(bench: Bench, settings: Settings, pairs: Path | None, title: str) -> None:
    """Train one student, rebuild the table with it and print what that took and brought."""
    watch, students = Watch(), list[Student]()

    class Kept(Student):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            students.append(self)

    began = time.perf_counter()
    made, predicted = bench.rebuild(settings, progress=watch, **{"Student": Kept})
    seconds = time.perf_counter() - began
    watch.rates.append(torch_rate())
    print_table([*cost_lines(made, students[0], watch, seconds), *_worth_lines(bench, made, predicted, pairs)], title)


def cost_lines(made: Reconstruction, student: Student, watch: Watch, seconds: float) -> list[Line]:
    """Return what the training took."""
    found, plm = made.evidence["training"], student.plm
    rate, reached = statistics.median(watch.rates), operations(student, found["tokens"]) / found["seconds"] / 1e9
    allowed = 6 * 4 * plm.parameters + 500e6
    note = f"{found['updates']:,} of {found['planned']:,} updates, best after {found['best']:,}"
    return [
        Line("the whole run", f"{seconds / 60:.1f} min", "", note),
        Line("updates", f"{found['seconds'] / 60:.1f} min", "", f"{found['tokens']:,} tokens, padding included"),
        Line("training, float32", f"{reached:.1f} GFLOP/s, {reached / rate:.0%} of products", "60 %",
             f"median of {len(watch.rates)} rates of 2,048 x 2,048 products: {rate:.1f} GFLOP/s; "
             f"best {max(watch.rates):.1f}"),
        Line("memory of training", f"{(watch.peak - watch.before) / 1e6:,.0f} MB", f"{allowed / 1e6:,.0f} MB",
             f"beside {watch.before / 1e6:,.0f} MB before; {4 * plm.parameters / 1e6:,.0f} MB of parameters"),
    ]  # fmt: skip


def operations(student: Student, tokens: int) -> float:
    """Return the multiplications and additions of training on so many tokens: six for each trained weight of a product.

    Two in the forward pass, two each for the gradients of its input and of the weight; attention's own are left out.
    """
    import torch

    return 6.0 * tokens * sum(m.weight.numel() for m in _layers(student) if isinstance(m, torch.nn.Linear))


def _layers(student: Student) -> list[Any]:
    return [m for name, m in student.model.named_modules() if not name.startswith("pooler")]


def _worth_lines(bench: Bench, made: Reconstruction, predicted: np.ndarray | None, folder: Path | None) -> list[Line]:
    """Return what the table is worth."""
    held_out, history = made.evidence["held_out"], made.evidence["training"]["history"]
    isotropy = made.evidence["isotropy"]["rebuilt"]
    losses = f"{history[0]['validation']:.4f} to {min(line['validation'] for line in history):.4f}"
    lines = [
        Line("loss on validation tokens", losses),
        Line(
            "share of the student's map", f"{made.evidence['student_share']:.1f}", "", "the rest is the own states' map"
        ),
        Line("held-out MRR", f"{held_out['mrr']:.3f}", "0.68", f"cosine {held_out['cosine']:.3f}"),
        Line(f"I(W) of {GROUPS} rows", by_group(isotropy)),
    ]
    if folder is None or predicted is None:
        return lines
    table, held = bench.plm.matrix.copy(), held_ids(made)
    table[held] = predicted
    for name, pairs in read_sets(bench.plm, folder).items():
        chosen = pairs.with_token(np.isin(np.arange(bench.plm.rows), held))
        line, ratio = pair_line(name, bench.plm.matrix, table, pairs, chosen)
        what = f"{name}, pairs with a held-out token"
        lines.append(Line(what, f"{ratio:.2f}: {line.measured}", TARGETS[name], line.peer))
    return lines


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks training", description=__doc__)
    parser.add_argument("--pairs", type=Path, help="folder of word pairs; without it word similarity is left out")
    parser.add_argument("--preset", choices=PRESET_NAMES, default=Settings.preset, help="default: %(default)s")
    parser.add_argument("--passes", type=float, default=0.0, help="over the prompts; 0 for the preset's")
    parser.add_argument("--variants", action="store_true", help="train with other choices too, to compare")
    options = parser.parse_args(arguments)
    print_head("training", arguments)
    bench = open_bench()
    settings = Settings("trained", preset=options.preset, passes=options.passes)
    report(bench, settings, options.pairs, f"trained, preset {options.preset}")
    for name, changed in VARIANTS.items() if options.variants else ():
        variant = dataclasses.replace(settings, **changed)
        report(bench, variant, options.pairs, f"trained, preset {options.preset}, {name}")
