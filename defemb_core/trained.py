"""Method "trained": a student learns to answer definitions with rows; its states become the features."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.definitionemb import RidgeMap, fit_map
from defemb_core.devices import devices
from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import split_words
from defemb_core.features import PromptStates, read_prompts
from defemb_core.presets import PRESETS, Recipe
from defemb_core.prompts import Prompts
from defemb_core.student import Examples, Student
from defemb_core.training import train
from defemb_core.training_files import TrainingCheckpoint

if TYPE_CHECKING:
    from pathlib import Path

    from defemb_core.plm import PLM
    from defemb_core.progress import Clock
    from defemb_core.reconstruction import Settings

# Share of the tokens to learn from by which training is judged meanwhile, not learned from.
VALIDATION = 0.05
# Prompts that the starting map is fitted on, at most: a few thousand fix its H x H numbers well enough to start.
START = 5000


@dataclass(frozen=True, eq=False)
class Lesson:
    """What there is to learn: all prompts, and from which tokens the student may learn.

    Attributes:
        examples: one a line of the senses.
        token: which token each belongs to, a number 0..tokens-1, int64 (lines,).
        learned: which tokens the student may learn from, bool (tokens,).
        words: the word of each token, folded, (tokens,); tokens of one word are judged or learned from together.
    """

    examples: Examples
    token: np.ndarray
    learned: np.ndarray
    words: np.ndarray


def recipe_of(settings: Settings) -> Recipe:
    """Return the preset's recipe with what the settings replace."""
    recipe = PRESETS[settings.preset]
    given = {"passes": settings.passes, "rate": settings.rate}
    replaced: dict[str, Any] = {name: value for name, value in given.items() if value}
    if settings.passes and recipe.updates:  # a warm-up of so many updates would outlast a short training
        replaced |= {"updates": 0, "warm_up": recipe.warm_up / recipe.updates}
    return dataclasses.replace(recipe, train_table=recipe.train_table or settings.train_table, **replaced)


def kept_to_judge(lesson: Lesson, seed: int) -> np.ndarray:
    """Return which of the tokens that there are to learn from training is judged by instead, bool (tokens,)."""
    chosen, judged = np.flatnonzero(lesson.learned), np.zeros_like(lesson.learned)
    judged[chosen[split_words(lesson.words[chosen], seed + 1, VALIDATION)[1]]] = True
    return judged


def trained_states(
    plm: PLM, lesson: Lesson, settings: Settings, clock: Clock, checkpoint: Path | None
) -> tuple[PromptStates, dict[str, Any]]:
    """Train a student on the lesson; return its states for all prompts, a line each, and what the training came to.

    Args:
        plm: the PLM; its table gives the true rows.
        lesson: what there is to learn.
        settings: preset, seed and what replaces the preset's values.
        clock: told of the stages "start", "training" and "states".
        checkpoint: folder in which the training is kept meanwhile.

    Raises:
        TrainingError: see training.train.
        RunError: the checkpoint was made with other settings.
    """
    recipe, shared = recipe_of(settings), devices()
    chosen = np.flatnonzero(lesson.learned)
    if len(np.unique(lesson.words[chosen])) < 2 * settings.folds:
        raise SettingsError(
            f"only {len(chosen)} rows to learn from: frequent or medium ones with a definition; "
            "let rare ones in with --rare-weight 1, or name a larger dictionary"
        )
    judged = kept_to_judge(lesson, settings.seed)
    training, validation = (lesson.examples.of(mask[lesson.token]) for mask in (lesson.learned & ~judged, judged))
    with clock.stage("start"):
        student = Student(plm, recipe, shared.device)
        student.begin(_starting_map(student, training, settings), np.unique([*training.row, *validation.row]))
        shared.copy_first(student.tensors())  # other machines may have rounded otherwise
    with clock.stage("training"):
        kept = TrainingCheckpoint(checkpoint, _identity(plm, lesson, settings, recipe)) if checkpoint else None

        def tell(done: int, of: int, **figures: float) -> None:
            clock.tell("training", done, of, **figures)

        made = train(student, training, validation, settings.seed, tell, kept)
    with clock.stage("states"):
        student.model.eval()
        states = read_prompts(
            plm,
            student.reader,
            lesson.examples.prompts,
            progress=lambda done, of: clock.tell("states", done, of),
        )
    return states, {"preset": settings.preset, "recipe": asdict(recipe), **asdict(made)}


def _starting_map(student: Student, training: Examples, settings: Settings) -> RidgeMap:
    """Fit the map from the untrained student's slot states to the true rows on a sample of the examples."""
    chosen = np.random.default_rng(settings.seed).permutation(len(training))[:START]
    used, place = np.unique(training.prompt[chosen], return_inverse=True)
    sample = Prompts([training.prompts.ids[i] for i in used], training.prompts.slots[used], place)
    slots = read_prompts(student.plm, student.reader, sample).mask
    return fit_map([slots], student.plm.matrix[training.row[chosen]], min(settings.folds, len(chosen)), settings.seed)


def _identity(plm: PLM, lesson: Lesson, settings: Settings, recipe: Recipe) -> dict[str, Any]:
    """Return what makes a training what it is, by name."""
    digest = hashlib.sha256(lesson.learned.tobytes())
    for ids in lesson.examples.prompts.ids:
        digest.update(np.array([len(ids), *ids], dtype=np.int32).tobytes())
    for values in (lesson.examples.prompt, lesson.examples.row, lesson.examples.weight):
        digest.update(values.tobytes())
    return {**asdict(recipe), "seed": settings.seed, "table": plm.digest, "examples": digest.hexdigest()}
