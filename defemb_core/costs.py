"""What a run costs in operations, seconds and bytes, stage by stage, from sizes alone.

A prompt's token costs two operations for each weight that it is multiplied with, in training six (Kaplan et al. 2020,
arXiv 2001.08361), eight where activations are computed again; and four for each column of the states, layer and token
attended to, in training as much more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from defemb_core.states import even_batches
from defemb_core.student import LARGE
from defemb_core.trained import START
from defemb_core.training import EVALUATIONS, JUDGED
from defemb_core.training_loop import AT_ONCE

if TYPE_CHECKING:
    from defemb_core.presets import Recipe
    from defemb_core.reconstruction import Settings
    from defemb_core.sizes import PromptLoad, Sizes

# Share of the rate of products that reading prompts, training and the map reach. The first was measured on two cores
# (benchmarks/RESULTS.md: 84 % of the median rate), the second is the project's target, which benchmarks/ measures; the
# map computes in float64 and spends most of its time in eigenvalues.
READING, TRAINING, FIXED = 0.8, 0.6, 0.4
# An accelerator's float32 products, in which prompts are read, by its bfloat16 ones: data sheets say a fifteenth (A100,
# H100), but float32 reaches more of what they say.
FLOAT32 = 0.1
# Seconds an accelerator spends at least on a layer of a part that is trained on, since kernels are started one by one;
# assumed, not measured.
LAUNCH = 0.003
# Seconds a definition costs apart from products: reading, tokenizing, looking up mentions; measured on the bundled PLM.
LINE = 7e-5
# Operations of finding eigenvalues and eigenvectors of an n x n matrix, by n^3 (Golub and Van Loan 2013, chapter 8).
EIGEN = 9
# Bytes of a process with a dictionary, and of torch and transformers; measured on the bundled PLM.
PROCESS, LIBRARIES = 5e8, 3.5e8
# Gradients of parts of an update that are there besides those of the parts in hand: the sum, and one that waits for it.
WAITING = 2
# What the system's allocator holds on to of an update's gradients and activations once they are freed, as a share of
# these, although a training has it give freed blocks back now and then (process_setup.release_memory). Left to itself,
# glibc's came to 3.8 GB by the end of a pass over the bundled PLM's prompts, on two threads.
HELD = 0.5
# Tokens that a decoder reads of a prompt: what stands before the slot, which begins it.
DECODED = 3
# Updates that are drawn to see how much of them is padding.
DRAWS = 16


@dataclass(frozen=True)
class Machine:
    """What the work runs on.

    Attributes:
        processor: operations a second in products of float32 matrices, all threads together.
        accelerator: the same of each process's accelerator in bfloat16; 0 without one.
        processes: how many share the work, each with a device of its own.
        threads: of the processor; each has a part of an update in hand.
    """

    processor: float
    accelerator: float = 0.0
    processes: int = 1
    threads: int = 2

    @property
    def at_once(self) -> int:
        """Tokens that are trained on at once, padding included."""
        return AT_ONCE["cuda" if self.accelerator else "cpu"]


def table_seconds(sizes: Sizes, load: PromptLoad, settings: Settings, machine: Machine) -> float:
    """Return the seconds of all that is done with one table and no encoder: definitions, map, held-out, isotropy.

    The map's Gram matrices cost rows x features^2 and its eigenvectors features^3, once a fold, once more without folds
    and again for the held-out rows, all of it twice with a student; isotropy costs rows x columns^2. Every process does
    all of it.
    """
    features, views = _features(sizes, settings), 2 if settings.method == "trained" else 1
    problems = views * load.maps * (2 * settings.folds + 1)
    grams = 4.0 * views * load.covered * features * (features + sizes.columns)
    solving = problems * ((EIGEN + 4) * features**3 + 8 * features**2 * sizes.columns)
    isotropy = 12.0 * sizes.rows * sizes.columns**2
    return load.lines * LINE + (grams + solving + isotropy) / (machine.processor * FIXED)


def reading_operations(sizes: Sizes, load: PromptLoad, settings: Settings) -> float:
    """Return the operations of what is read without learning: all prompts, and what starts and judges a training.

    A training's prompts are read twice, by the PLM as it is and by the student.
    """
    own = float(load.prompts * load.tokens) * _token_operations(sizes, load.tokens, decodes=False)
    if settings.method != "trained":
        return own
    students = load.prompts + min(START, load.learned) + (EVALUATIONS + 1) * min(JUDGED, load.learned)
    return own + students * load.tokens * _token_operations(sizes, load.tokens, decodes=True)


def update_cost(sizes: Sizes, load: PromptLoad, recipe: Recipe, machine: Machine) -> tuple[float, float]:
    """Return the operations of an update, padding included, and the seconds of the process that has most of it."""
    factor = 4.0 if sizes.parameters > LARGE else 3.0
    each = factor * _token_operations(sizes, load.tokens, decodes=True)
    parts = _drawn_parts(load, recipe, machine.at_once)
    operations = each * float(np.mean([sum(tokens) for tokens in parts]))
    rate, least = machine.processor * TRAINING, 0.0
    if machine.accelerator:
        rate, least = machine.accelerator * TRAINING, LAUNCH * sizes.layers
    seconds = [[max(each * tokens / rate, least) for tokens in drawn] for drawn in parts]
    busiest = [max(sum(drawn[k :: machine.processes]) for k in range(machine.processes)) for drawn in seconds]
    return operations, float(np.mean(busiest))


@dataclass(frozen=True)
class StudentMemory:
    """What a student's training holds while an update's gradients are computed, bytes by part, all in float32.

    Attributes:
        weights: of the model.
        rows: the true ones of the table, and those that the student knows.
        moments: the optimiser's: two numbers a trained one for Adam; Adafactor keeps rows and columns, about nothing.
        best: the weights of the best evaluation so far; they lie in main memory wherever the student computes.
        gradients: of the parts in hand, their sum, and what waits to be added to it; or an optimiser's step with them.
        activations: of the parts in hand, one a thread, or one on an accelerator.
        held: what the system's allocator does not give back of gradients and activations; of main memory alone.
    """

    weights: float
    rows: float
    moments: float
    best: float
    gradients: float
    activations: float
    held: float

    @property
    def computing(self) -> float:
        """Bytes where the student computes, without the best weights."""
        return self.weights + self.rows + self.moments + self.gradients + self.activations + self.held


def main_memory(sizes: Sizes, load: PromptLoad, settings: Settings, machine: Machine, recipe: Recipe) -> float:
    """Return the bytes of main memory that a process needs, those of its fullest stage.

    Tables are float32, original and rebuilt. Besides these: in training the bags of all senses and the student; then
    these, the states of all prompts and the model that makes them; then the features of the covered rows in float32
    about five times (as made, those to fit on, centred, by fold, predicted from) with the Gram matrices and
    eigenvectors of all folds, and with a student the states of the other map.

    Args:
        sizes: of the PLM.
        load: what there is to read.
        settings: method and folds.
        machine: what it runs on; the model passes through main memory on its way to an accelerator.
        recipe: of a student.
    """
    reads = settings.method in ("frozen", "trained")
    features = _features(sizes, settings)
    tables = 8.0 * sizes.tables * sizes.rows * sizes.columns
    bags = 8.0 * load.lines * sizes.columns
    others = 8.0 * load.covered * sizes.width if settings.method == "trained" else 0.0
    stages = [20.0 * load.covered * features + 8.0 * (2 * settings.folds + 1) * features**2 + others]
    if reads:
        stages.append(bags + 8.0 * sizes.width * (load.lines + load.prompts) + 4.0 * sizes.parameters)
    if settings.method == "trained":
        student = student_memory(sizes, load, recipe, machine)
        # While a better one is copied, the best so far is still there.
        here = 2 * student.best if machine.accelerator else student.computing + student.best
        stages.append(bags + here)
    return PROCESS + (LIBRARIES if reads else 0.0) + tables + max(*stages, bags)


def device_memory(sizes: Sizes, load: PromptLoad, settings: Settings, machine: Machine, recipe: Recipe) -> float:
    """Return the bytes that a process's accelerator needs, 0 without one; arguments as of main_memory."""
    if not machine.accelerator:
        return 0.0
    return student_memory(sizes, load, recipe, machine).computing if settings.method == "trained" else _weights(sizes)


def student_memory(sizes: Sizes, load: PromptLoad, recipe: Recipe, machine: Machine) -> StudentMemory:
    """Return what a student's training holds; an accelerator's optimiser takes two gradients' memory while it steps."""
    trained = 4.0 * (sizes.parameters - (0 if recipe.train_table else sizes.table) + sizes.width * sizes.columns)
    parts = max(len(tokens) for tokens in _drawn_parts(load, recipe, machine.at_once))
    in_hand = 1 if machine.accelerator else min(machine.threads, parts)
    gradients = trained * min(-(-parts // machine.processes), in_hand + WAITING)
    activations = in_hand * _activations(sizes, load, recipe, machine)
    return StudentMemory(
        weights=_weights(sizes),
        rows=4.0 * sizes.columns * (sizes.rows + load.covered),
        moments=trained * (2 if recipe.optimiser == "adam" else 0),
        best=trained,
        gradients=max(gradients, 2 * trained - activations) if machine.accelerator else gradients,
        activations=activations,
        held=0.0 if machine.accelerator else HELD * (gradients + activations),
    )


def _weights(sizes: Sizes) -> float:
    return 4.0 * sizes.parameters


def _activations(sizes: Sizes, load: PromptLoad, recipe: Recipe, machine: Machine) -> float:
    """Return the bytes that one part of an update keeps for its gradients.

    34 bytes a layer, token and column, and 5 for each head and token attended to, in 16 bits (Korthikanti et al. 2022,
    arXiv 2205.05198), with heads of 64 columns; twice that in float32. An accelerator also keeps the weights in 16
    bits. Large PLMs keep one layer's and every layer's input.
    """
    tokens = max(max(drawn) for drawn in _drawn_parts(load, recipe, machine.at_once))
    layer = tokens * sizes.width * (34 + 5 * load.tokens / 64) * (1 if machine.accelerator else 2)
    if sizes.parameters > LARGE:
        return layer + 4.0 * sizes.layers * tokens * sizes.width
    return sizes.layers * layer + (2.0 * (sizes.encoder + sizes.decoder) if machine.accelerator else 0.0)


def _features(sizes: Sizes, settings: Settings) -> int:
    """Return the columns of the map's features: bags, mentions, and two states of the PLM."""
    states = 2 * sizes.width if settings.method in ("frozen", "trained") else 0
    return sizes.columns * (2 if settings.mentions else 1) + states


def _token_operations(sizes: Sizes, tokens: float, decodes: bool) -> float:
    """Return the operations of one token's way through the PLM, in a prompt of `tokens`."""
    weights = sizes.encoder + (sizes.decoder * min(1.0, DECODED / tokens) if decodes else 0.0)
    return 2.0 * weights + 4.0 * sizes.layers * sizes.width * tokens


def _drawn_parts(load: PromptLoad, recipe: Recipe, at_once: int) -> list[list[int]]:
    """Return, for some updates, the tokens of each part, padding included; the same ones every time."""
    random, lengths = np.random.default_rng(0), np.array(load.lengths)
    prompts = max(1, round(recipe.batch_tokens / load.tokens))
    drawn = [random.choice(lengths, prompts) for _ in range(DRAWS)]
    return [[len(part) * int(one[part].max()) for part in even_batches(one, at_once)] for one in drawn]
