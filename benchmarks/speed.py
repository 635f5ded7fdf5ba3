"""How long things take: loading, instant reconstruction, prompts through the encoder, a click on a token.

The peer is sentence-transformers on the same prompts, model and threads in the same run, alternating with ours.
`--memory` also runs the command line's `reconstruct --method frozen` as a child, for its peak memory (two minutes).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import (
    REPEATS,
    THREADS,
    Line,
    T,
    as_milliseconds,
    as_seconds,
    median_seconds,
    numpy_rate,
    print_head,
    print_table,
    timed,
    torch_rate,
)
from defemb_core.definitions import describe_matches, match_definitions
from defemb_core.dictionaries import Dictionary, load_dictionary
from defemb_core.dictionaries.wordnet import read_wordnet
from defemb_core.features import TOKEN_BUDGET, definition_texts, encode_prompts
from defemb_core.frequency import plm_vocabulary
from defemb_core.hub import BUNDLED
from defemb_core.neighbours import nearest_neighbours, normalise_rows
from defemb_core.plm import PLM, load_plm
from defemb_core.prompts import encode_ids, make_prompts
from defemb_core.reconstruction import Reconstruction, Settings, reconstruct
from defemb_core.states import token_batches

PROMPTS = 3000
OURS = 0  # stands for encode_prompts where the peer's batch sizes are keys
PEER_BATCHES = (32, 64, 128)  # 32 is sentence-transformers' default
UNTIL_TABLE = ("definitions", "bags", "map", "rows")
CLICK_TOKENS = (2003, 5000, 12000, 20000, 29000)
Cost = tuple[float, float]


def report_loading() -> None:
    """Print the time to load the bundled PLM and WordNet, in a process that has the imports behind it."""
    plm = load_plm(BUNDLED)
    vocabulary, dictionary = plm_vocabulary(plm), load_dictionary("wordnet")
    with_forms = partial(load_dictionary, "wordnet", vocabulary)
    lines = [
        Line("load_plm(bundled): verified table, tokenizer", as_seconds(median_seconds(lambda: load_plm(BUNDLED)))),
        Line("plm_vocabulary: kinds, frequency, groups", as_seconds(median_seconds(lambda: plm_vocabulary(plm)))),
        Line("WordNet, read from its files", as_seconds(median_seconds(lambda: read_wordnet(Path(dictionary.origin))))),
        Line("WordNet, from the cache", as_seconds(median_seconds(lambda: load_dictionary("wordnet")))),
        Line("the same with forms of its words", as_seconds(median_seconds(with_forms)), "1 s"),
    ]
    print_table(lines, f"Loading (medians of {REPEATS})")


def report_instant(plm: PLM, vocabulary: pl.DataFrame, dictionary: Dictionary) -> Reconstruction:
    """Print what `instant` takes for the whole vocabulary, by stage, and return a table that it made."""
    work = partial(reconstruct, plm, vocabulary, dictionary, Settings("instant"))
    (first, _), made = costed(work)
    again = [costed(work) for _ in range(REPEATS)]
    stages = {
        name: statistics.median(r.evidence["seconds"][name] for _, r in again) for name in made.evidence["seconds"]
    }
    alone = statistics.median(sum(r.evidence["seconds"][name] for name in UNTIL_TABLE) for _, r in again)
    costs = [cost for cost, _ in again]
    whole, processor = _median(costs, 0), _median(costs, 1)
    rows = f"{int(made.rebuilt.sum()):,} rows, {made.definitions.height:,} senses; {processor:.1f} processor seconds"
    lines = [
        Line("whole, with evidence", as_seconds(whole), "5 s", rows),
        Line("whole, the first in its process", as_seconds(first), "5 s"),
        Line("the table alone", as_seconds(alone), "5 s", ", ".join(UNTIL_TABLE)),
        *(Line(f"stage {name}", as_seconds(seconds)) for name, seconds in stages.items()),
    ]
    print_table(lines, f"instant, bundled PLM and WordNet in memory (medians of {REPEATS} after the first)")
    return made


def report_encoding(plm: PLM, made: Reconstruction) -> None:
    """Print prompts a second against sentence-transformers, and the share of the matrix-product rate reached."""
    import torch
    from sentence_transformers import SentenceTransformer

    rates = [torch_rate()]  # also sets the threads for both
    prompts = real_prompts(plm, made)
    ours, peer = plm.encoder(), SentenceTransformer(str(plm.folder), device="cpu")
    encode_prompts(plm, prompts[:100], ours)
    peer.encode(prompts[:100])
    times: dict[int, list[Cost]] = {batch: [] for batch in (OURS, *PEER_BATCHES)}
    inside: list[float] = []
    batches: tuple[int, ...] = PEER_BATCHES
    for _ in range(REPEATS):
        cost, states = costed(lambda: encode_prompts(plm, prompts, ours))
        times[OURS].append(cost)
        inside.append(states.seconds)
        for batch in batches:
            times[batch].append(costed(partial(peer.encode, prompts, batch_size=batch))[0])
        rates.append(torch_rate())
        best = min(PEER_BATCHES, key=lambda b: times[b][0])  # later rounds only time its default and its best
        batches = tuple(dict.fromkeys((PEER_BATCHES[0], best)))
    lines = _encoding_lines({batch: (_median(costs, 0), _median(costs, 1)) for batch, costs in times.items()})
    rate, reached = statistics.median(rates), encoder_operations(plm, ours, prompts) / statistics.median(inside) / 1e9
    lines += [
        Line("encoder stage, float32", f"{reached:.1f} GFLOP/s, {reached / rate:.0%} of products", "70 %",
             f"median of {len(rates)} rates of 2,048 x 2,048 products: {rate:.1f} GFLOP/s; best {max(rates):.1f}"),
    ]  # fmt: skip
    print_table(
        lines, f"{PROMPTS:,} prompts through the encoder, {torch.get_num_threads()} threads (medians of {REPEATS})"
    )


def costed(work: Callable[[], T]) -> tuple[Cost, T]:
    """Return (wall-clock seconds, processor seconds of this process), and the result.

    On cores that others use too, processor seconds tell more: waiting for a core is not in them.
    """
    started = time.process_time()
    seconds, result = timed(work)
    return (seconds, time.process_time() - started), result


def _median(costs: Sequence[Cost], which: int) -> float:
    return statistics.median(cost[which] for cost in costs)


def _encoding_lines(times: dict[int, Cost]) -> list[Line]:
    seconds, processor = times.pop(OURS)
    lines = [Line("encode_prompts", _per_second(seconds), "", f"{seconds:.1f} s, {processor:.1f} processor seconds")]
    for batch, (theirs, used) in times.items():
        note = ", its default" if batch == PEER_BATCHES[0] else ""
        ratios = f"ours is {theirs / seconds:.2f} times as fast, {used / processor:.2f} by processor seconds"
        target = "1.3 times" if note else ""
        lines.append(Line(f"sentence-transformers encode, batch {batch}{note}", _per_second(theirs), target, ratios))
    return lines


def real_prompts(plm: PLM, made: Reconstruction) -> list[str]:
    """Return distinct prompts that method "frozen" would encode, drawn evenly."""
    glosses, _ = definition_texts(made.definitions, True, plm.mask_token or "")
    distinct = list(dict.fromkeys(make_prompts(glosses, made.definitions, made.vocabulary, plm.mask_token or "")))
    return [str(prompt) for prompt in np.random.default_rng(0).choice(distinct, PROMPTS, replace=False)]


def encoder_operations(plm: PLM, encoder: Any, prompts: Sequence[str]) -> float:
    """Return the multiplications and additions of the encoder's layers for these prompts, padding included.

    Two for each weight of a linear layer and token, and four for each column of the hidden state, token and token
    attended to (scores and weighted sums).
    """
    import torch

    layers = encoder.encoder.layer
    weights = sum(m.weight.numel() for m in layers.modules() if isinstance(m, torch.nn.Linear))
    attention = 4 * len(layers) * encoder.config.hidden_size
    lengths = np.array([len(ids) for ids in encode_ids(plm, sorted(set(prompts)))])
    shapes = [(len(batch), int(lengths[batch].max())) for batch in token_batches(lengths, TOKEN_BUDGET)]
    return float(sum(count * width * (2 * weights + attention * width) for count, width in shapes))


def report_click(plm: PLM, made: Reconstruction, dictionary: Dictionary) -> None:
    """Print what the server does after a click on a token: its lines, definitions, neighbours in both tables."""
    tables = [normalise_rows(plm.matrix), normalise_rows(made.matrix)]

    def click(token: int) -> None:
        made.definitions.filter(pl.col("token_id") == token)
        made.vocabulary.row(token, named=True)
        for table in tables:
            found = nearest_neighbours(table, 10, rows=[token], normalised=True)
            made.vocabulary[found.indices[0].tolist()]

    first, _ = timed(lambda: click(CLICK_TOKENS[0]))
    again = [timed(partial(click, token))[0] for token in CLICK_TOKENS * REPEATS]
    lookup = median_seconds(lambda: _look_up(made, dictionary))
    lines = [
        Line("a click: definitions, neighbours in both tables", as_milliseconds(statistics.median(again)), "200 ms",
             f"slowest of {len(again)}: {as_milliseconds(max(again))}; first: {as_milliseconds(first)}"),
        Line("all definitions of the vocabulary (page Definitions)", as_milliseconds(lookup)),
    ]  # fmt: skip
    print_table(lines, "On the server")


def _look_up(made: Reconstruction, dictionary: Dictionary) -> None:
    describe_matches(made.vocabulary, match_definitions(made.vocabulary, dictionary), dictionary)


def report_memory() -> None:
    """Print peak resident memory and wall-clock time of a frozen reconstruction on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "defemb_core", "reconstruct", "--method", "frozen", "--out", f"{folder}/run"]
        seconds, peak = timed(lambda: child_peak(command))
    lines = [
        Line("peak memory", f"{peak / 1e9:.2f} GB", "2 GB"),
        Line("from start to saved table", f"{seconds:.0f} s", "", "process start, imports and evidence included"),
    ]
    print_table(lines, "python -m defemb_core reconstruct --method frozen, as a process of its own")


def child_peak(command: Sequence[str]) -> int:
    """Run a command and return its own peak resident memory in bytes.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)  # this child alone; getrusage(RUSAGE_CHILDREN) is the largest so far
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)!r} ended with code {process.returncode}")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _per_second(seconds: float) -> str:
    return f"{PROMPTS / seconds:,.0f} prompts/s"


def main(arguments: Sequence[str]) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__)
    parser.add_argument("--memory", action="store_true", help="peak memory of a frozen run too (two minutes)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    print_head("speed", arguments)
    rates = f"torch {torch_rate():.1f}, numpy {numpy_rate():.1f}"
    print(f"\nfloat32 products of 2,048 x 2,048 on {THREADS} threads, GFLOP/s: {rates}")
    report_loading()
    plm = load_plm(BUNDLED)
    vocabulary = plm_vocabulary(plm)
    dictionary = load_dictionary("wordnet", vocabulary)
    made = report_instant(plm, vocabulary, dictionary)
    report_click(plm, made, dictionary)
    report_encoding(plm, made)
    if options.memory:
        report_memory()
