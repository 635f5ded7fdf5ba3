"""How good rebuilt rows are: held-out tokens, the choices behind the defaults, word similarity, isotropy.

The bundled PLM with WordNet, no network. Every figure comes from `reconstruct()` itself; where a choice is no setting
(the senses' weights), the one function that makes it is replaced for that line. Word pairs are read from the files of
`--pairs FOLDER` (as `read_pairs` reads them) and left out without it.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

from benchmarks.machine import Line, print_head, print_table
from defemb_core import methods, pieces, trained
from defemb_core import reconstruction as core
from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import Dictionary, load_dictionary
from defemb_core.evaluation.held_out import chance_mrr, held_out_rows, judge_held_out
from defemb_core.evaluation.pair_files import read_pairs
from defemb_core.evaluation.resampling import interval
from defemb_core.evaluation.word_similarity import LocatedPairs, locate_pairs, resample_spearman, spearman
from defemb_core.features import PromptStates, read_prompts
from defemb_core.frequency import plm_vocabulary
from defemb_core.hub import BUNDLED
from defemb_core.methods import METHODS, Method
from defemb_core.plm import PLM, load_plm
from defemb_core.progress import Progress
from defemb_core.prompts import Prompts
from defemb_core.reconstruction import Reconstruction, Settings
from defemb_core.replacement import match_norms
from defemb_core.states import Reader

ALL_SENSES = 1000
GROUPS = "all / frequent / medium / rare"
PAIRS = {"SimLex-999": "EN-SIMLEX-999.txt", "WS-353": "EN-WS-353-ALL.txt", "MEN": "EN-MEN-TR-3k.txt"}
RESAMPLES = 2000
SEEDS = 5
# Weight of the sense of rank r (0 = first), before a token's weights are made to sum to 1.
WEIGHTS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "1 / (1 + rank)": lambda r: 1.0 / (1.0 + r),
    "1 / sqrt(1 + rank), the default": lambda r: 1.0 / (1.0 + r).sqrt(),
    "all the same": lambda r: 1.0 + 0.0 * r,
}


@dataclass
class EncodedOnce:
    """Stands in for read_prompts of the encoder and keeps every prompt's states, so that variants share them."""

    rows: dict[tuple[int, ...], int] = field(default_factory=dict)
    states: list[np.ndarray] = field(default_factory=list)  # (2, n, H): at the mask, mean

    def __call__(self, plm: PLM, reader: Reader, prompts: Prompts, **options: Any) -> PromptStates:
        """Encode what is new, look the rest up."""
        keys = [tuple(ids) for ids in prompts.ids]
        new = [i for i, key in enumerate(keys) if key not in self.rows]
        if new:
            left = Prompts([prompts.ids[i] for i in new], prompts.slots[new], np.arange(len(new)))
            made = read_prompts(plm, reader, left, **options)
            self.rows.update({keys[i]: len(self.rows) + k for k, i in enumerate(new)})
            self.states = [np.concatenate([*self.states, np.stack([made.mask, made.mean])], axis=1)]
        mask, mean = self.states[0][:, [self.rows[keys[i]] for i in prompts.lines]]
        return PromptStates(mask, mean, 0, 0.0)


@dataclass
class Bench:
    """The inputs, loaded once, and what reconstruct() makes of them."""

    plm: PLM
    vocabulary: pl.DataFrame
    dictionary: Dictionary
    encode: EncodedOnce = field(default_factory=EncodedOnce)

    def rebuild(
        self, settings: Settings, progress: Progress | None = None, **replaced: Any
    ) -> tuple[Reconstruction, np.ndarray | None]:
        """Reconstruct with names of the modules replaced; the second value: held-out rows as `settings` say."""
        kept: list[np.ndarray] = []

        def judge(predicted: np.ndarray, true: np.ndarray, centre: np.ndarray) -> Any:
            kept.append(match_norms(predicted, true, centre) if settings.match_norms else predicted)
            return judge_held_out(predicted, true, centre)

        with ExitStack() as stack:
            for name, function in {"read_prompts": self.encode, "judge_held_out": judge, **replaced}.items():
                module = next(module for module in (methods, core, trained, pieces) if hasattr(module, name))
                stack.enter_context(patch.object(module, name, function))
            made = core.reconstruct(self.plm, self.vocabulary, self.dictionary, settings, progress)
        return made, kept[0] if kept else None


def open_bench() -> Bench:
    """Load the bundled PLM, its vocabulary and WordNet."""
    plm = load_plm(BUNDLED)
    vocabulary = plm_vocabulary(plm)
    return Bench(plm, vocabulary, load_dictionary("wordnet", vocabulary))


def report_held_out(bench: Bench, method: Method) -> None:
    """Print the default and the choices behind it, one line each."""
    default = Settings(method)
    found: dict[str, dict[str, Any]] = {}

    def measure(what: str, settings: Settings = default, **options: Any) -> None:
        found[what] = bench.rebuild(settings, **options)[0].evidence["held_out"]

    measure("default (relations, mentions, 5 senses)")
    measure("without relations", dataclasses.replace(default, relations=False))
    measure("without mentions", dataclasses.replace(default, mentions=False))
    measure("rare rows not learned from", dataclasses.replace(default, rare_weight=0.0))
    for senses in (1, 3, 5, ALL_SENSES):
        words = "all senses" if senses == ALL_SENSES else f"up to {senses} sense{'s' * (senses > 1)}"
        measure(words, dataclasses.replace(default, max_senses=senses))
    for name, weight in WEIGHTS.items():
        measure(f"weight {name}", match_definitions=partial(_weighted, weight))
    if method == "instant":
        measure("control: definitions given to other tokens", dataclasses.replace(default, method="random"))
    lines = [
        Line(what, f"MRR {x['mrr']:.3f}, cosine {x['cosine']:.3f}, median rank {x['median_rank']:.0f}")
        for what, x in found.items()
    ]
    tokens = next(iter(found.values()))["tokens"]  # a few more or less where senses that link words are left out
    print_table(lines, f"{tokens:,} held-out tokens, {method} (chance MRR {chance_mrr(tokens):.3f})")


def _weighted(weight: Callable[[pl.Expr], pl.Expr], *arguments: Any) -> pl.DataFrame:
    """Match definitions, their weights replaced by `weight` of the sense's rank."""
    matches = match_definitions(*arguments)
    raw = weight(pl.int_range(pl.len()).cast(pl.Float64))
    return matches.with_columns(weight=(raw / raw.sum()).over("token_id").cast(pl.Float32))


def report_pairs(bench: Bench, method: Method, folder: Path) -> None:
    """Print Spearman's rank correlation with human scores for the original and the rebuilt table."""
    made, predicted = bench.rebuild(Settings(method))
    held = held_ids(made)
    tables = {"held-out rows": bench.plm.matrix.copy(), "held-out rows, norms as predicted": bench.plm.matrix.copy()}
    tables["held-out rows"][held] = predicted
    tables["held-out rows, norms as predicted"][held] = bench.rebuild(Settings(method, match_norms=False))[1]
    tables["all covered rows, cross-fitted"] = made.matrix
    tables["half original, half rebuilt, cross-fitted"] = bench.rebuild(Settings(method, blend=0.5))[0].matrix
    lines = []
    is_held = np.isin(np.arange(bench.plm.rows), held)
    for name, pairs in read_sets(bench.plm, folder).items():
        with_held = pairs.with_token(is_held)
        for part, chosen in (("all pairs", with_held | True), ("pairs with a held-out token", with_held)):
            for rebuilt, table in tables.items():
                what = f"{name}, {part}: {rebuilt}"
                lines.append(pair_line(what, bench.plm.matrix, table, pairs, chosen)[0])
    print_table(lines, f"Word similarity, {method} (Spearman of cosine and human score; ratio rebuilt / original)")


def report_seeds(bench: Bench, method: Method, folder: Path) -> None:
    """Print MRR and the ratio on pairs with a held-out token for several splits: how much is one split's luck."""
    sets = read_sets(bench.plm, folder)
    original, lines = bench.plm.matrix, []
    ratios: dict[str, list[float]] = {name: [] for name in sets}
    ranks: list[float] = []
    for seed in range(SEEDS):
        made, predicted = bench.rebuild(Settings(method, seed=seed))
        held, table = held_ids(made), original.copy()
        table[held] = predicted
        ranks.append(made.evidence["held_out"]["mrr"])
        for name, pairs in sets.items():
            chosen = pairs.with_token(np.isin(np.arange(bench.plm.rows), held))
            line, ratio = pair_line(f"{name}, seed {seed}", original, table, pairs, chosen)
            lines.append(dataclasses.replace(line, target="1.00" if seed == 0 and _has_target(name, method) else ""))
            ratios[name].append(ratio)
    for name, found in ratios.items():
        target = "1.00" if _has_target(name, method) else ""
        lines.append(
            Line(f"{name}, mean of the ratios", f"{np.mean(found):.3f} ({min(found):.2f} to {max(found):.2f})", target)
        )
    lines.sort(key=lambda line: line.what)
    lines.append(
        Line("held-out MRR, mean", f"{np.mean(ranks):.3f}", "", "by seed: " + ", ".join(f"{r:.3f}" for r in ranks))
    )
    print_table(lines, f"Pairs with a held-out token, {method}, by the split's seed")


def _has_target(name: str, method: Method) -> bool:
    return (name, method) == ("SimLex-999", "frozen")


def held_ids(made: Reconstruction) -> np.ndarray:
    """Return the rows that were held out, int64 (n,)."""
    return held_out_rows(made.definitions, made.vocabulary, made.settings.seed)


def read_sets(plm: PLM, folder: Path) -> dict[str, LocatedPairs]:
    """Return the sets of pairs, those whose words are both single tokens."""
    sets = [read_pairs(folder / file) for file in PAIRS.values()]
    return dict(zip(PAIRS, locate_pairs(sets, plm, "skip"), strict=True))


def pair_line(
    what: str, original: np.ndarray, rebuilt: np.ndarray, pairs: LocatedPairs, chosen: np.ndarray
) -> tuple[Line, float]:
    """Compare two tables on the same pairs; return a line, and the ratio of their correlations with the scores.

    The ratio's interval resamples pairs, the same ones for both tables.
    """
    cosines = np.stack([pairs.cosines(table)[chosen] for table in (original, rebuilt)])
    scores = pairs.scores[chosen]
    first, second = spearman(cosines, scores)
    resampled = resample_spearman(cosines, scores, RESAMPLES, 0)
    low, high = interval(resampled[1] / resampled[0])
    ratio = float(second / first)
    peer = f"original {first:.3f}: ratio {ratio:.2f} (95 % of resamples {low:.2f} to {high:.2f})"
    return Line(what, f"{second:.3f} ({len(scores)} pairs)", "", peer), ratio


def report_methods(bench: Bench, folder: Path | None) -> None:
    """Print the methods' runs side by side, seed 0: held-out tokens, isotropy, word similarity, seconds.

    Method "trained" takes so long that it has a benchmark of its own.

    Word similarity is that of pairs with a held-out token; a method that turns the whole table has all of its rows in.
    """
    original, lines = bench.plm.matrix, []
    sets = read_sets(bench.plm, folder) if folder else {}
    for method in (method for method in METHODS if method != "trained"):
        made, predicted = bench.rebuild(Settings(method))
        held, evidence = held_ids(made), made.evidence
        table = made.matrix if predicted is None else original.copy()
        if predicted is not None:
            table[held] = predicted
        found, isotropy = evidence["held_out"], evidence["isotropy"]["rebuilt"]
        words = [f"MRR {found['mrr']:.3f}" if found else "no MRR"]
        words.append(f"I(W) {by_group(isotropy)}")
        words += [f"{name} {_ratio(original, table, held, pairs):.2f}" for name, pairs in sets.items()]
        lines.append(Line(method, ", ".join(words), "", f"{sum(evidence['seconds'].values()):.1f} s"))
    before = bench.rebuild(Settings("instant"))[0].evidence["isotropy"]["original"]
    lines.insert(0, Line("original", f"I(W) {by_group(before)}"))
    print_table(lines, f"Methods, seed 0 (I(W) of {GROUPS} rows; word similarity as rebuilt / original Spearman)")


def by_group(isotropy: dict[str, dict[str, float]]) -> str:
    """Return I(W) of each group, in the order of GROUPS."""
    return " / ".join(f"{isotropy[group]['i_w']:.3f}" for group in GROUPS.split(" / "))


def _ratio(original: np.ndarray, rebuilt: np.ndarray, held: np.ndarray, pairs: LocatedPairs) -> float:
    """Return rebuilt / original Spearman on the pairs with a held-out token."""
    chosen = pairs.with_token(np.isin(np.arange(len(original)), held))
    before, after = spearman(
        np.stack([pairs.cosines(table)[chosen] for table in (original, rebuilt)]), pairs.scores[chosen]
    )
    return float(after / before)


def report_isotropy(bench: Bench, method: Method) -> None:
    """Print isotropy by frequency group for the original and the rebuilt table, norms matched or not."""
    tables: dict[str, dict[str, Any]] = {}
    for matched in (False, True):
        made, _ = bench.rebuild(Settings(method, match_norms=matched))
        tables["original"] = made.evidence["isotropy"]["original"]
        tables[f"rebuilt, norms {'matched' if matched else 'as predicted'}"] = made.evidence["isotropy"]["rebuilt"]
    lines = []
    for name, groups in tables.items():
        for group, found in groups.items():
            what = (
                f"I(W) {found['i_w']:.3f}, mean cosine {found['mean_cosine']:+.4f}, IsoScore {found['iso_score']:.3f}"
            )
            before = tables["original"][group]["i_w"]
            peer = "" if name == "original" else f"I(W) {found['i_w'] - before:+.3f} against the original"
            lines.append(Line(f"{name}: {group}", what, "", peer))
    print_table(lines, f"Isotropy, {method} (I(W) over both signs, 1 is isotropic)")


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks quality", description=__doc__)
    parser.add_argument("--pairs", type=Path, help="folder of word pairs; without it word similarity is left out")
    parser.add_argument("--instant", action="store_true", help="only the method that needs no encoder (a minute)")
    parser.add_argument("--methods", action="store_true", help="only the table of all methods (two minutes)")
    options = parser.parse_args(arguments)
    if options.pairs and not options.pairs.is_dir():
        parser.error(f"no folder {str(options.pairs)!r}; name one that holds {', '.join(PAIRS.values())}")
    print_head("quality", arguments)
    bench = open_bench()
    if not options.instant:
        report_methods(bench, options.pairs)
    chosen: tuple[Method, ...] = ("instant",) if options.instant else ("instant", "frozen")
    for method in () if options.methods else chosen:
        report_held_out(bench, method)
        report_isotropy(bench, method)
        if options.pairs:
            report_pairs(bench, method, options.pairs)
            report_seeds(bench, method, options.pairs)
