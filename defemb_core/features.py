"""Definitions to feature vectors: bags of input embeddings, and the encoder's states, each distinct prompt once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from defemb_core.definitions import hide_word
from defemb_core.devices import devices
from defemb_core.features_files import KeptStates, states_key
from defemb_core.prompts import Prompts, kept_tokenizer, tokenize_prompts
from defemb_core.states import AllThreads, Reader, token_batches

if TYPE_CHECKING:
    from pathlib import Path

    from scipy.sparse import csr_array
    from tokenizers import AddedToken, Tokenizer

    from defemb_core.plm import PLM

# Tokens in a batch; each thread has one in hand. Measured on two cores: 512 takes 0.95 to 0.99 of the time of 1,024.
TOKEN_BUDGET = 512

# Words that the tokenizer is asked for at once, for bags.
AT_ONCE = 64

Progress = Callable[[int, int], None]
"""Called with (prompts done, prompts in all)."""


@dataclass(frozen=True)
class PromptStates:
    """The encoder's answer to prompts, one row a prompt: float32 (n, width of the states).

    Attributes:
        mask: the states at the mask.
        mean: the mean of the states of all the prompt's tokens.
        tokens: how many tokens the encoder read, padding included.
        seconds: how long it took.
    """

    mask: np.ndarray
    mean: np.ndarray
    tokens: int
    seconds: float


def definition_texts(senses: pl.DataFrame, relations: bool, hidden_by: str) -> tuple[list[str], list[str]]:
    """Return (glosses, whole texts) of senses, the token's own word hidden in both.

    The whole text is what a bag is made of: part of speech, gloss and, with `relations`, related words.

    Args:
        senses: as describe_matches returns them.
        relations: whether related words count.
        hidden_by: what stands for the word in the glosses, the mask token say; in the whole texts nothing does.
    """
    lines = zip(senses["gloss"], senses["pos"], senses["related"], senses["text"], strict=True)
    glosses, texts = [], []
    for gloss, pos, related, word in lines:
        parts = [f"{pos} {gloss}" if pos else gloss] + ([related] if relations and related else [])
        glosses.append(hide_word(gloss, word, hidden_by))
        texts.append(hide_word("; ".join(parts), word, ""))
    return glosses, texts


def with_relations(glosses: Sequence[str], senses: pl.DataFrame, hidden_by: str) -> list[str]:
    """Return glosses, each followed by its related words where there are any, the token's own word hidden in these."""
    lines = zip(glosses, senses["related"], senses["text"], strict=True)
    return [f"{gloss} ; {hide_word(related, word, hidden_by)}" if related else gloss for gloss, related, word in lines]


def bag_of_embeddings(plm: PLM, texts: Sequence[str], own: np.ndarray | None = None) -> np.ndarray:
    """Return the weighted mean of the input embeddings of each text's own tokens, float32 (n, H).

    Tokens weigh as weigh_tokens says. Special tokens are left out; a text without tokens gives a row of zeros. No
    encoder is needed.

    Args:
        plm: gives tokenizer and table.
        texts: as definition_texts returns them.
        own: for each text the row that it is to tell about, which is left out, (n,); a definition of "playground" may
            say "ground" in pieces.
    """
    counts = counts_without(plm, texts, own) if own is not None else token_counts(plm, texts)
    return weighted_means(weigh_tokens(counts), plm.matrix)


def counts_without(plm: PLM, texts: Sequence[str], own: np.ndarray) -> csr_array:
    """Return token_counts of texts, each without the row of `own` that it is to tell about, (n,); -1 for none."""
    counts = token_counts(plm, texts)
    counts.data[counts.indices == np.repeat(own, np.diff(counts.indptr))] = 0
    counts.eliminate_zeros()
    return counts


def weighted_means(counts: csr_array, matrix: np.ndarray) -> np.ndarray:
    """Return the mean of a table's rows by each line of weights (n, V), float32 (n, H); zeros for a line of zeros."""
    totals = np.asarray(counts.sum(axis=1), dtype=np.float32).reshape(-1, 1)
    # Sparse shares times the table: no (tokens, H) array in between.
    return np.asarray(counts @ matrix) / np.where(totals > 0, totals, np.float32(1))


def token_counts(plm: PLM, texts: Sequence[str] | pl.Series) -> csr_array:
    """Return how often each token is in each text, sparse float32 (n, V); special tokens are left out.

    Texts are cut at blanks first and each distinct word into tokens once, as it stands inside a sentence: definitions
    share most of their words, and the tokenizer is what a bag takes its time for.
    """
    spoken = pl.DataFrame({"word": texts}, schema={"word": pl.String}).with_row_index("text")
    spoken = spoken.with_columns(pl.col("word").str.extract_all(r"\S+")).explode("word").drop_nulls()
    words = spoken.select(pl.col("word").unique(maintain_order=True)).with_row_index("number")
    found = spoken.join(words, on="word", maintain_order="left")["number"].to_numpy()
    cuts = _counts(*_cut(kept_tokenizer(plm.tokenizer), words["word"].to_list()), plm.rows)
    counts = _counts(found, np.bincount(spoken["text"].to_numpy(), minlength=len(texts)), words.height) @ cuts
    counts.sort_indices()
    return counts


def _cut(tokenizer: Tokenizer, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all words' tokens, one word after the other, and how many each has, as inside a sentence.

    To ask the tokenizer takes as long as a word takes: it is asked for many at once, with a special token between two.
    """
    marks = {token.content: row for row, token in tokenizer.get_added_tokens_decoder().items() if _stands_alone(token)}
    mark = next(iter(marks), None)
    if mark is not None:
        batches = [f"{mark} ".join(["", *words[i : i + AT_ONCE]]) for i in range(0, len(words), AT_ONCE)]
        encodings = tokenizer.encode_batch_fast(batches, add_special_tokens=False)
        ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int32)
        starts = np.flatnonzero(ids == marks[mark])
        if len(starts) == len(words):  # else a word says what the mark says
            lengths = np.diff(starts, append=len(ids)) - 1
            return np.delete(ids, starts), lengths
    encodings = tokenizer.encode_batch_fast([f" {word}" for word in words], add_special_tokens=False)
    ids = np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int32)
    return ids, np.array([len(encoding) for encoding in encodings], dtype=np.int64)


def _stands_alone(token: AddedToken) -> bool:
    """Return whether a token is found wherever it is written and takes no blanks beside it."""
    return token.special and not (token.lstrip or token.rstrip or token.single_word or token.normalized)


def _counts(columns: np.ndarray, lengths: np.ndarray, width: int) -> csr_array:
    """Return how often each column comes up in each line, sparse float32; lines have so many `columns` each."""
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], np.cumsum(lengths)])
    counts = csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(lengths), width))
    counts.sum_duplicates()
    return counts


def weigh_tokens(counts: csr_array) -> csr_array:
    """Return the counts (n, V), each multiplied by its token's weight, as token_weights says."""
    weighed = counts.copy()
    weighed.data *= token_weights(counts)[counts.indices]
    return weighed


def token_weights(counts: csr_array) -> np.ndarray:
    """Return what a token weighs in bags made from these counts (n, V), float32 (V,).

    That is the square of the smoothed inverse document frequency among the texts, 1 + ln((1 + n) / (1 + texts that
    have it)), so that "of" and "the" do not drown what a definition says: as in the product of two TF-IDF vectors,
    where the factor comes in twice (benchmarks/RESULTS.md compares weights).
    """
    texts, rows = counts.shape
    weight = 1.0 + np.log((1 + texts) / (1 + np.bincount(counts.indices, minlength=rows)))
    return np.square(weight).astype(np.float32)


def encode_prompts(
    plm: PLM,
    texts: Sequence[str],
    encoder: Any = None,
    budget: int = TOKEN_BUDGET,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> PromptStates:
    """Return the encoder's last states for prompts, in their order; equal prompts are encoded once.

    Args:
        plm: the PLM; its mask token must occur in every prompt.
        texts: as make_prompts writes them.
        encoder: `plm.encoder()` if it is built already.
        budget: tokens in a batch, padding included.
        progress: told after every batch.
        checkpoint: folder where states are kept while they are made; what an interrupted call has left there is not
            made again.

    Raises:
        PLMError: the tokenizer has no mask token, or a prompt lacks it.
    """
    return read_prompts(plm, encoder_reader(plm, encoder), tokenize_prompts(plm, texts), budget, progress, checkpoint)


def encoder_reader(plm: PLM, encoder: Any = None) -> Reader:
    """Return the PLM's encoder as a reader of prompts on this process's device; `encoder` if it is built already."""
    device = devices().device
    return Reader(plm, encoder if encoder is not None else plm.encoder().to(device), device)


def read_prompts(
    plm: PLM,
    reader: Reader,
    prompts: Prompts,
    budget: int = TOKEN_BUDGET,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> PromptStates:
    """Return a reader's states for prompts, one row a line of `prompts.lines`; otherwise as encode_prompts.

    Prompts are sorted by length and cut into batches of at most `budget` tokens, so that little is padding. Several
    processes take their shares.
    """
    import torch

    shared, lengths = devices(), prompts.lengths
    mask, mean = (np.zeros((len(lengths), width), dtype=np.float32) for width in reader.widths)
    keeps = checkpoint is not None and shared.processes == 1
    kept = KeptStates(checkpoint, states_key(plm, prompts.ids, budget), mask, mean) if checkpoint and keeps else None

    def read(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            slots, means = reader(prompts, batch)
            mask[batch], mean[batch] = slots.float().cpu().numpy(), means.float().cpu().numpy()
        return batch

    start, batches = time.perf_counter(), token_batches(lengths, budget)
    finished = kept.read() if kept else np.zeros(len(lengths), dtype=bool)
    mine = shared.share(batches)
    done, total = sum(int(finished[batch].sum()) for batch in mine), sum(len(batch) for batch in mine)
    left = [batch for batch in mine if not finished[batch].all()]
    with closing(_in_turn(read, left, shared.is_cpu)) as ended:  # an exception in `progress` ends the work too
        try:
            for batch in ended:
                done += len(batch)
                if kept:
                    kept.add(batch)
                if progress:
                    progress(done, total)
        finally:  # at the end too: later stages may be interrupted
            if kept and left:
                kept.write()
    shared.sum_arrays([mask, mean])
    tokens = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return PromptStates(mask[prompts.lines], mean[prompts.lines], tokens, time.perf_counter() - start)


def _in_turn(
    read: Callable[[np.ndarray], np.ndarray], batches: Sequence[np.ndarray], on_cpu: bool
) -> Generator[np.ndarray]:
    """Yield batches as they are read: on all threads of a CPU, one after the other on an accelerator."""
    if on_cpu:
        with closing(AllThreads()) as threads, closing(threads(read, batches)) as ended:
            yield from ended
    else:
        yield from map(read, batches)
