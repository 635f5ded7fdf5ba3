"""What evaluation says of two tables: which of the method's claims hold on this PLM, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl

from defemb_core.comparison import Comparison
from defemb_core.dictionaries.wordnet import load_wordnet
from defemb_core.dictionaries.wordnet_hypernyms import load_hypernyms
from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.evaluation.held_out import held_out_rows
from defemb_core.evaluation.pair_files import PairSet, read_pairs, shipped_pairs
from defemb_core.evaluation.probing import (
    definition_probes,
    probe_masks,
    probes_side_by_side,
    sentence_probes,
    summarise_probes,
)
from defemb_core.evaluation.relations import (
    RelationSettings,
    measure_relations,
    related_tokens,
    relations_side_by_side,
)
from defemb_core.evaluation.resampling import RESAMPLES
from defemb_core.evaluation.word_similarity import (
    Pieces,
    SimilaritySettings,
    locate_pairs,
    measure_similarity,
    side_by_side,
)
from defemb_core.reconstruction import Reconstruction

CAVEAT = (
    "not held-out evidence where the run's dictionary is WordNet, for held-out tokens neither: synonyms have one "
    "definition, co-hyponyms much of theirs, and unless relations were left out, synonyms and hypernyms themselves "
    "told of the rows"
)
RARE, REBUILT, CHANGED, HELD_OUT = "low-frequency token", "rebuilt token", "changed token", "held-out token"
What = Literal["similarity", "relations", "probing"]
WHAT: tuple[What, ...] = get_args(What)
CAPTIONS = {
    "similarity": "Spearman's correlation of cosines with human scores, 1 is best (in brackets 95 % of resampled "
    "pairs)",
    "relations": "Mean reciprocal rank of the nearest word that WordNet relates to a rebuilt token, 1 is best (in "
    "brackets 95 % of resampled tokens), and the share of such words among the 3 and the 10 nearest",
    "probing": "Rank (1 is best) and probability of a token at the mask",
}


@dataclass(frozen=True)
class Question:
    """What is to be measured of two tables.

    Attributes:
        what: "similarity" (people's scores of word pairs), "relations" (whether words that WordNet relates are near)
            or "probing" (whether a PLM that fills masks finds tokens).
        pairs: files of word pairs for similarity; none for the shipped sets.
        pieces: of similarity, see SimilaritySettings.
        word, sentences: of probing, see evaluate_probing.
        resamples, seed: of the intervals.

    Raises:
        SettingsError: a value is outside its range, or belongs to something else than `what`.

    Example:
        >>> de.Question("similarity").resamples
        2000
    """

    what: What = "similarity"
    pairs: tuple[str, ...] = ()
    pieces: Pieces = "mean"
    word: str = ""
    sentences: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.what not in WHAT:
            raise SettingsError(f"{self.what!r} cannot be measured; choose from {', '.join(WHAT)}")
        if self.pairs and self.what != "similarity":
            raise SettingsError(f"--pairs belong to --what similarity, not to {self.what}")
        if bool(self.word) != bool(self.sentences) or (self.word and self.what != "probing"):
            raise SettingsError("--word and --sentence belong together, and to --what probing")
        SimilaritySettings(self.pieces, self.resamples, self.seed)  # refuses what is out of range

    def arguments(self) -> list[str]:
        """Return the options of the command `evaluate` that ask this."""
        # With "=": a value may begin with a dash.
        words = [f"--what={self.what}", f"--word-pieces={self.pieces}"]
        words += [f"--resamples={self.resamples}", f"--seed={self.seed}"]
        words += [f"--pairs={file}" for file in self.pairs]
        words += [f"--word={self.word}"] if self.word else []
        return words + [f"--sentence={sentence}" for sentence in self.sentences]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured.

    Attributes:
        question: what was asked.
        figures: a line a figure: the frame of measure_similarity, measure_relations or probe_masks.
        notes: sentences on how to read them.
    """

    question: Question
    figures: pl.DataFrame
    notes: list[str]

    @property
    def shown(self) -> pl.DataFrame:
        """The figures for a reader: both tables side by side."""
        if self.question.what == "similarity":
            return side_by_side(self.figures)
        if self.question.what == "relations":
            return relations_side_by_side(self.figures)
        if self.question.word:
            return probes_side_by_side(self.figures)
        return summarise_probes(self.figures, self.question.resamples, self.question.seed)

    @property
    def caption(self) -> str:
        """What the figures are, without a full stop."""
        several = self.question.what == "probing" and not self.question.word
        return f"{CAPTIONS[self.question.what]}{', over all prompts' if several else ''}"


def evaluate(comparison: Comparison, question: Question | None = None) -> Evaluation:
    """Measure what is asked of two tables, the original's and the rebuilt's rows in each other's place.

    Args:
        comparison: of two tables.
        question: by default word similarity on the shipped sets.

    Raises:
        DefembError: as evaluate_similarity, evaluate_relations and evaluate_probing do, and read_pairs.

    Example:
        >>> found = de.evaluate_comparison(pair, de.Question("similarity", resamples=100))
        >>> found.shown.columns[:2]
        ['set', 'part']
    """
    question = question or Question()
    if question.what == "similarity":
        sets = [read_pairs(file) for file in question.pairs] or shipped_pairs()
        settings = SimilaritySettings(question.pieces, question.resamples, question.seed)
        return Evaluation(question, *evaluate_similarity(comparison, sets, settings))
    if question.what == "relations":
        asked = RelationSettings(resamples=question.resamples, seed=question.seed)
        figures, notes = evaluate_relations(comparison, asked)
        return Evaluation(question, figures, [*notes, CAVEAT])
    return Evaluation(question, *evaluate_probing(comparison, question.word, question.sentences, seed=question.seed))


def evaluate_similarity(
    comparison: Comparison, sets: Sequence[PairSet], settings: SimilaritySettings | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Measure word similarity of both tables on the same pairs.

    A run's rebuilt rows are cross-fitted: each comes from a map that never saw its original, so that pairs with a
    rebuilt token are fair evidence. Rows of held-out tokens are predicted like all others; what sets them apart is that
    a student (method "trained") has not learned from them either.

    Returns:
        The frame of measure_similarity, its parts as marked_rows has them; and a sentence for each set on how it was
        read.

    Raises:
        EvaluationError: the tokenizer knows no pair of any set.
    """
    settings = settings or SimilaritySettings()
    located = locate_pairs(sets, comparison.plm, settings.pieces)
    notes = [note for one in sets for note in one.notes]
    measured = measure_similarity(located, _tables(comparison), marked_rows(comparison), settings)
    return measured, [one.note for one in located] + notes


def _tables(comparison: Comparison) -> dict[str, np.ndarray]:
    first, second = comparison.names
    if first == second:
        raise EvaluationError(f"both tables are those of {first!r}; compare it with another one")
    return {first: comparison.original, second: comparison.rebuilt}


def marked_rows(comparison: Comparison) -> dict[str, np.ndarray]:
    """Return the kinds of rows that evidence is parted by, bool (V,) each.

    Rows of the rare group; rows that are rebuilt (of any two tables: that differ); rows of the second table's run whose
    originals took no part in fitting the map of its held-out figures, if it predicts rows.
    """
    rows = {RARE: (comparison.vocabulary["group"] == "rare").to_numpy()}
    rows[REBUILT if comparison.is_usual else CHANGED] = comparison.changed
    made = comparison.second
    if isinstance(made, Reconstruction) and made.evidence.get("held_out"):
        rows[HELD_OUT] = np.zeros(len(made.matrix), dtype=bool)
        rows[HELD_OUT][held_out_rows(made.definitions, made.vocabulary, made.settings.seed)] = True
    return rows


def evaluate_relations(
    comparison: Comparison, settings: RelationSettings | None = None, wordnet: str | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """Measure how near synonyms, hypernyms and co-hyponyms by WordNet are to the rebuilt tokens, in both tables.

    This is no held-out evidence where a run used WordNet (CAVEAT).

    Returns:
        The frame of measure_relations, by frequency group and, for a run that predicts rows, for the held-out tokens
        among those asked about; and sentences on what was asked and left out.

    Raises:
        DictionaryError: WordNet cannot be found, obtained or read.
        EvaluationError: no rebuilt token is a word of WordNet with a related word in the vocabulary.
    """
    settings, vocabulary = settings or RelationSettings(), comparison.vocabulary
    definitions = load_wordnet(wordnet, vocabulary).definitions
    related = related_tokens(vocabulary, definitions, load_hypernyms(wordnet))
    asked = np.zeros(vocabulary.height, dtype=bool)
    asked[related.gold["token_id"].unique().to_numpy()] = True
    asked &= comparison.changed
    if not asked.any():
        raise EvaluationError("none of the new rows is a word that WordNet relates to another one of the vocabulary")
    of_rows, marked = vocabulary["group"].cast(pl.String).to_numpy(), marked_rows(comparison)
    groups = {group: asked & (of_rows == group) for group in ("rare", "medium", "frequent")}
    if HELD_OUT in marked:
        groups["held out"] = asked & marked[HELD_OUT]
    counts = ", ".join(f"{int(groups[group].sum()):,} {group}" for group in ("rare", "medium", "frequent"))
    notes = [
        f"{int(asked.sum()):,} of {int(comparison.changed.sum()):,} new rows are words of WordNet with a related word "
        f"in the vocabulary ({counts}); of each group at most {settings.tokens:,} were asked about, drawn with seed "
        f"{settings.seed}"
    ]
    return measure_relations(_tables(comparison), related, groups, settings), notes


def evaluate_probing(
    comparison: Comparison, word: str = "", sentences: Sequence[str] = (), tokens: int = 200, seed: int = 0
) -> tuple[pl.DataFrame, list[str]]:
    """Ask a PLM that fills masks for rare tokens, with either table in place of its own.

    Args:
        comparison: of two tables.
        word: what the sentences are to be completed by; "" for tokens of the rare group in their own definitions.
        sentences: that contain the word.
        tokens: of the rare group with a new row and a definition, drawn by `seed` where there are more.
        seed: of the draw.

    Returns:
        The frame of probe_masks, and sentences on how to read it.

    Raises:
        PLMError: the PLM has no head that fills masks.
        EvaluationError: there is nothing to ask about.
    """
    plm, vocabulary = comparison.plm, comparison.vocabulary
    tied = "the new rows serve as output rows too" if plm.output_rows == "tied" else "output rows are untied and stay"
    notes = [f"tables take each other's place in {plm.title}, whose encoder and output bias stay; {tied}"]
    if word:
        return probe_masks(plm, sentence_probes(plm, vocabulary, word, list(sentences)), _tables(comparison)), notes
    if comparison.definitions is None:
        raise EvaluationError(f"{comparison.names[1]!r} is no run and has no definitions; give a word and sentences")
    defined = comparison.definitions["token_id"].unique().sort()
    rare = np.flatnonzero(marked_rows(comparison)[RARE] & comparison.changed & np.isin(np.arange(plm.rows), defined))
    chosen = rare if len(rare) <= tokens else np.random.default_rng(seed).choice(rare, tokens, replace=False)
    if not len(chosen):
        raise EvaluationError("no rare token has a new row and a definition; give a word and sentences")
    notes.append(
        f"{len(chosen):,} of {len(rare):,} rare tokens with a new row, each in its first definition, which the row was "
        "made from; sentences of your own are the fairer test"
    )
    return probe_masks(plm, definition_probes(comparison.definitions, plm, chosen), _tables(comparison)), notes
