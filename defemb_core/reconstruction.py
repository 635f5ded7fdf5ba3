"""From definitions to a rebuilt table: which rows, how blended, how scaled, with held-out evidence."""

from __future__ import annotations

import dataclasses
import platform
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from defemb_core.definitions import MAX_SENSES, WAYS
from defemb_core.described import Described
from defemb_core.errors import RunError, SettingsError
from defemb_core.isotropy import isotropy_by_group
from defemb_core.methods import METHODS, TRANSFORMATIONS, Inputs, Method, predict_rows, shuffled
from defemb_core.pieces import matched_senses
from defemb_core.presets import PRESETS, Preset
from defemb_core.progress import Clock, Progress, peak_memory_mb
from defemb_core.relevance import relevant_settings
from defemb_core.replacement import replace_rows
from defemb_core.stages import DECODER
from defemb_core.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM

PACKAGES = ("numpy", "polars", "scipy", "tokenizers", "torch", "transformers", "wordfreq")


@dataclass(frozen=True)
class Settings:
    """How a table is rebuilt.

    Attributes:
        method: "instant" (features are the definition's own input embeddings), "frozen" (these and the PLM's states),
            "trained" (the states are those of a student that has learned to answer definitions), or one of
            methods.BASELINES.
        alpha: share of the lowest-frequency rows with a definition that are rebuilt, 0 to 1; 1 rebuilds all of them.
        blend: share of the rebuilt row in the new one, 0 (original) to 1.
        match_norms: whether each rebuilt row's distance to the mean row is scaled to its original's. Ridge predictions
            lie nearer to the mean than the rows that they predict, which a table that mixes them with kept rows shows
            in its isotropy (benchmarks/RESULTS.md). Methods that turn the whole table set their own scale.
        relations: whether synonyms, hypernyms and derived words count as part of a definition, where there are any.
        max_senses: senses used of each token.
        folds: parts of the cross-fitting; each rebuilt row comes from a map that did not see that row.
        seed: of the folds, the held-out split and the control "random".
        directions: how many principal directions "all-but-the-top" removes, 0 for a hundredth of the columns.
        mentions: whether the words whose definitions mention a token tell about it too.
        pieces: whether rows without a definition are rebuilt from words that contain them: weaker evidence.
        without: ways of matching, of definitions.WAYS, whose definitions do not count, separated by commas.
        rare_weight: how much rare rows count among those that map and student learn from, 0 (not at all) to 1; None for
            0 with method "trained" and 1 with the others (benchmarks/RESULTS.md has the effect).
        preset: how a student is trained, one of presets.PRESETS.
        passes: how often the student meets each prompt, 0 for the preset's number.
        rate: the peak learning rate, 0 for the preset's.
        train_table: whether the student's own embedding table is trained too; some presets do so anyway.

    Raises:
        SettingsError: a value is outside its range.

    Example:
        >>> de.Settings("instant", blend=0.5).seed
        0
        >>> de.Settings("instant", blend=2.0)
        Traceback (most recent call last):
        defemb_core.errors.SettingsError: blend must lie between 0 and 1, is 2.0
    """

    method: Method = "frozen"
    alpha: float = 1.0
    blend: float = 1.0
    match_norms: bool = True
    relations: bool = True
    max_senses: int = MAX_SENSES
    folds: int = 5
    seed: int = 0
    directions: int = 0
    mentions: bool = True
    pieces: bool = False
    without: str = ""
    rare_weight: float | None = None
    preset: Preset = "default"
    passes: float = 0.0
    rate: float = 0.0
    train_table: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingsError(f"unknown method {self.method!r}; choose one of {', '.join(METHODS)}")
        if self.preset not in PRESETS:
            raise SettingsError(f"unknown preset {self.preset!r}; choose one of {', '.join(PRESETS)}")
        for name in ("alpha", "blend", "rare_weight"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:  # also refuses NaN
                raise SettingsError(f"{name} must lie between 0 and 1, is {value}")
        for name in ("passes", "rate"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name} must be 0 (the preset's) or more, is {getattr(self, name)}")
        if unknown := sorted(set(self.left_out) - set(WAYS)):
            raise SettingsError(f"no definition is found {unknown[0]!r}; leave out some of {', '.join(WAYS)}")
        for name, least in (("max_senses", 1), ("folds", 2), ("seed", 0), ("directions", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} must be {least} or more, is {getattr(self, name)}")

    @property
    def left_out(self) -> list[str]:
        """The ways of matching in `without`."""
        return [way.strip() for way in self.without.split(",") if way.strip()]


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction(Described):
    """A rebuilt table and how it came about.

    Attributes:
        matrix: float32 (V, H), in the PLM's row order.
        rebuilt: bool (V,), which rows are new; all others equal the original to the bit.
        settings: how.
        vocabulary: the vocabulary frame.
        definitions: the definitions used, as describe_matches returns them.
        evidence: held-out figures, also by source and way of matching, coverage, isotropy before and after, seconds a
            stage, peak memory.
        provenance: PLM and revision, dictionary and its digest, package versions, seed.
        decoder_matrix: float32 (V, width of the decoder), the decoder's own table (T5Gemma) rebuilt in the same rows,
            after the encoder's, which `matrix` is; None where there is none.
    """

    matrix: np.ndarray
    rebuilt: np.ndarray
    settings: Settings
    vocabulary: pl.DataFrame
    definitions: pl.DataFrame
    evidence: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    decoder_matrix: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not len(self.matrix) == len(self.rebuilt) == self.vocabulary.height:
            raise RunError(
                f"the table has {len(self.matrix)} rows, the rebuilt marks {len(self.rebuilt)} and the vocabulary "
                f"{self.vocabulary.height}; they must agree"
            )

    @property
    def facts(self) -> dict[str, object]:
        """What a console and a notebook say of it."""
        held = self.evidence.get("held_out") or {}
        return {
            "Reconstruction": (self.provenance.get("plm") or {}).get("title", "of an unnamed PLM"),
            "method": self.settings.method,
            "dictionary": (self.provenance.get("dictionary") or {}).get("name"),
            "rows rebuilt": f"{np.count_nonzero(self.rebuilt):,} of {len(self.rebuilt):,}",
            "held-out MRR (0 to 1, 1 is best)": f"{held['mrr']:.3f} of {held['tokens']:,} tokens" if held else None,
            "held-out cosine (-1 to 1)": f"{held['cosine']:.3f}" if held else None,
        }

    @property
    def without_definition(self) -> pl.DataFrame:
        """The vocabulary's lines that have no definition; special and unused rows are not among them."""
        covered = self.definitions["token_id"].unique().implode()
        return self.vocabulary.filter((pl.col("group") != "none") & ~pl.col("token_id").is_in(covered))


def reconstruct(
    plm: PLM,
    vocabulary: pl.DataFrame,
    dictionary: Dictionary,
    settings: Settings,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Reconstruction:
    """Rebuild the PLM's embedding table.

    The method predicts rows (methods.predict_rows); of these, the share `alpha` with the lowest frequency replaces the
    original ones.

    Args:
        plm: its table is the original and stays as it is.
        vocabulary: the vocabulary frame with frequency groups.
        dictionary: where definitions come from.
        settings: how.
        progress: told of every stage.
        checkpoint: folder for what an interrupted run need not do again; it may be deleted afterwards.

    Raises:
        SettingsError: too few covered rows for the folds, or more directions than columns.
        PLMError: method "frozen" or "trained" with a tokenizer that has no mask token.
        TrainingError: the student's training cannot go on.
        NoMemoryError: memory does not suffice for one of the stages.

    Example:
        >>> made = de.reconstruct(plm, vocabulary, dictionary, de.Settings("instant"))
        >>> made.matrix.shape == plm.matrix.shape
        True
        >>> bool((made.matrix[~made.rebuilt] == plm.matrix[~made.rebuilt]).all())
        True
    """
    clock = Clock(progress)
    if settings.method in TRANSFORMATIONS:
        settings = dataclasses.replace(settings, match_norms=False)
    with clock.stage("definitions"):
        senses = matched_senses(plm, vocabulary, dictionary, settings)
        if settings.method == "random":
            senses = shuffled(senses, settings.seed)
    covered = senses["token_id"].n_unique()
    _refuse_few(covered, plm, dictionary, settings)
    inputs = Inputs(plm, vocabulary, senses, dictionary.definitions)
    matrix, rebuilt, evidence = _rebuild_table(inputs, settings, clock, checkpoint)
    seconds, decoder_matrix = clock.seconds, None
    if plm.has_decoder_table:
        clock = Clock(progress, DECODER)
        inputs = dataclasses.replace(inputs, plm=plm.decoder_side())
        decoder_matrix, _, evidence["decoder"] = _rebuild_table(
            inputs, settings, clock, checkpoint / "decoder" if checkpoint else None
        )
        seconds |= {f"{DECODER}{stage}": spent for stage, spent in clock.seconds.items()}
    without = vocabulary.filter(pl.col("group") != "none").height - covered
    evidence |= {
        "coverage": {"rows": plm.rows, "rebuilt": int(rebuilt.sum()), "without_definition": without},
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
    }
    provenance = _provenance(plm, dictionary, settings, vocabulary)
    return Reconstruction(matrix, rebuilt, settings, vocabulary, senses, evidence, provenance, decoder_matrix)


def _refuse_few(covered: int, plm: PLM, dictionary: Dictionary, settings: Settings) -> None:
    """Raise SettingsError if too few rows have a definition to learn from, or to be judged by."""
    if settings.method in TRANSFORMATIONS:
        return
    few = f"only {covered} of {plm.rows} rows have a definition in {dictionary.name}, too few"
    if "folds" in relevant_settings(settings.method) and covered < 2 * settings.folds:
        raise SettingsError(f"{few} for {settings.folds} folds; name a larger dictionary or take fewer folds")
    if covered < 2:
        raise SettingsError(f"{few} to hold some out; name a larger dictionary")


def _rebuild_table(
    inputs: Inputs, settings: Settings, clock: Clock, checkpoint: Path | None
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the new table, which of its rows are new, and the evidence for it."""
    original = inputs.plm.matrix
    predicted = predict_rows(inputs, settings, clock, checkpoint)
    with clock.stage("rows"):
        matrix, rebuilt = replace_rows(original, inputs.vocabulary, predicted, settings)
    with clock.stage("isotropy"):
        groups = inputs.vocabulary["group"].cast(pl.String).to_numpy()
        isotropy = {
            name: {group: measured.to_dict() for group, measured in isotropy_by_group(table, groups).items()}
            for name, table in (("original", original), ("rebuilt", matrix))
        }
    held_out = dataclasses.asdict(predicted.held_out) if predicted.held_out else None
    return matrix, rebuilt, {"held_out": held_out, "isotropy": isotropy, **predicted.more}


def plm_provenance(plm: PLM, name: str) -> dict[str, Any]:
    """Return which PLM something was made from, as plain JSON values, under the name by which to find it."""
    return {
        "name": name,
        "revision": plm.revision,
        "architecture": plm.architecture,
        "rows": plm.rows,
        "width": plm.width,
        "table_sha256": plm.digest,
        "licence": plm.licence,
    }


def _provenance(plm: PLM, dictionary: Dictionary, settings: Settings, vocabulary: pl.DataFrame) -> dict[str, Any]:
    return {
        # A whole path is found again from any working folder.
        "plm": plm_provenance(plm, plm.name if plm.revision else str(plm.folder.resolve())) | {"title": plm.title},
        "dictionary": {"name": dictionary.name, "sha256": dictionary.digest, "senses": dictionary.definitions.height},
        "groups": {str(group): rows for group, rows in vocabulary.group_by("group").len().sort("group").iter_rows()},
        "seed": settings.seed,
        "packages": {"defemb": VERSION, **{name: version(name) for name in PACKAGES}},
        "python": platform.python_version(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
