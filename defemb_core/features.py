"""Definitions to feature vectors: bags of input embeddings, and the encoder's states, each distinct prompt once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.definitions import hide_word
from defemb_core.errors import PLMError
from defemb_core.features_files import KeptStates, states_key

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from tokenizers import Encoding, Tokenizer

    from defemb_core.plm import PLM

# Tokens in a batch; each thread has one in hand. Measured on two cores: 512 takes 0.95 to 0.99 of the time of 1,024.
TOKEN_BUDGET = 512

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


def bag_of_embeddings(plm: PLM, texts: Sequence[str]) -> np.ndarray:
    """Return the weighted mean of the input embeddings of each text's own tokens, float32 (n, H).

    A token weighs the square of its smoothed inverse document frequency among the texts,
    1 + ln((1 + n) / (1 + texts that have it)), so that "of" and "the" do not drown what a definition says: as in the
    product of two TF-IDF vectors, where the factor comes in twice (benchmarks/RESULTS.md compares weights). Special
    tokens are left out; a text without tokens gives a row of zeros. No encoder is needed.
    """
    from scipy.sparse import csr_array

    encodings = _plain_tokenizer(plm.tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
    lengths = np.array([len(e.ids) for e in encodings], dtype=np.int64)
    ids = np.concatenate([np.asarray(e.ids, dtype=np.int32) for e in encodings] or [np.empty(0, np.int32)])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    counts = csr_array((np.ones(len(ids), dtype=np.float32), ids, ends), shape=(len(lengths), plm.rows))
    counts.sum_duplicates()
    weight = 1.0 + np.log((1 + len(texts)) / (1 + np.bincount(counts.indices, minlength=plm.rows)))
    counts.data *= np.square(weight).astype(np.float32)[counts.indices]
    totals = np.asarray(counts.sum(axis=1), dtype=np.float32).reshape(-1, 1)
    # Sparse shares times the table: no (tokens, H) array in between.
    return np.asarray(counts @ plm.matrix) / np.where(totals > 0, totals, np.float32(1))


def encode_prompts(
    plm: PLM,
    prompts: Sequence[str],
    encoder: Any = None,
    budget: int = TOKEN_BUDGET,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> PromptStates:
    """Return the encoder's last states for `prompts`, in their order; equal prompts are encoded once.

    Prompts are sorted by length and cut into batches of at most `budget` tokens, so that little is padding.

    Args:
        plm: the PLM; its mask token must occur in every prompt.
        prompts: as make_prompts writes them.
        encoder: `plm.encoder()` if it is built already.
        budget: tokens in a batch, padding included.
        progress: told after every batch.
        checkpoint: folder where states are kept while they are made; what an interrupted call has left there is not
            made again.

    Raises:
        PLMError: the tokenizer has no mask token, or a prompt lacks it.
    """
    import torch

    model = encoder if encoder is not None else plm.encoder()
    unique, inverse = np.unique(np.asarray(prompts, dtype=object), return_inverse=True)
    ids = encode_ids(plm, unique.tolist())
    mask_at = _mask_positions(plm, ids)
    lengths = np.array([len(i) for i in ids], dtype=np.int64)
    width = int(getattr(model.config, "hidden_size", None) or model.config.d_model)
    mask, mean = (np.zeros((len(ids), width), dtype=np.float32) for _ in range(2))
    kept = KeptStates(checkpoint, states_key(plm, unique.tolist(), budget), mask, mean) if checkpoint else None

    def encode(batch: np.ndarray) -> np.ndarray:
        padded, attention = _pad([ids[i] for i in batch], int(lengths[batch].max()))
        full = bool(attention.all())  # without padding the mask costs time and changes nothing
        given = {} if full else {"attention_mask": torch.from_numpy(attention)}
        with torch.inference_mode():
            states = model(input_ids=torch.from_numpy(padded), **given).last_hidden_state
            mask[batch] = states[torch.arange(len(batch)), torch.from_numpy(mask_at[batch])].numpy()
            weight = torch.from_numpy(attention / attention.sum(axis=1, keepdims=True)).float()
            mean[batch] = torch.einsum("bth,bt->bh", states, weight).numpy()
        return batch

    start, batches = time.perf_counter(), token_batches(lengths, budget)
    finished = kept.read() if kept else np.zeros(len(ids), dtype=bool)
    done, left = int(finished.sum()), [batch for batch in batches if not finished[batch].all()]
    with closing(_on_all_threads(encode, left)) as ended:  # so that an exception in `progress` ends the work too
        try:
            for batch in ended:
                done += len(batch)
                if kept:
                    kept.add(batch)
                if progress:
                    progress(done, len(ids))
        finally:  # at the end too: later stages may be interrupted
            if kept and left:
                kept.write()
    tokens = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return PromptStates(mask[inverse], mean[inverse], tokens, time.perf_counter() - start)


def _on_all_threads(work: Callable[[np.ndarray], np.ndarray], batches: Sequence[np.ndarray]) -> Generator[np.ndarray]:
    """Yield what `work` returns for each batch, as they are done: one batch a thread of torch's.

    Batches side by side leave no thread waiting for another after every operation, as the threads within one would:
    4 % faster on two idle cores, several times on busy ones, and the same bits (benchmarks/RESULTS.md).
    """
    import torch

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "encoder", torch.set_num_threads, (1,))
    try:
        for future in as_completed([pool.submit(work, batch) for batch in batches]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # MKL keeps one number for all threads


def encode_ids(plm: PLM, prompts: Sequence[str]) -> list[list[int]]:
    """Return each prompt's token ids with the PLM's special tokens, at most `plm.max_tokens` of them."""
    tokenizer = _plain_tokenizer(plm.tokenizer)
    tokenizer.enable_truncation(plm.max_tokens)
    encodings: list[Encoding] = tokenizer.encode_batch_fast(list(prompts))
    return [encoding.ids for encoding in encodings]


def token_batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Return indices of sequences in batches, shortest first, each of at most `budget` tokens with padding.

    A sequence longer than the budget is a batch of its own.
    """
    order = np.argsort(lengths, kind="stable")
    batches: list[np.ndarray] = []
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > budget:
            batches.append(order[start:end])
            start = end
    return batches


def _plain_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy without the padding and truncation that the checkpoint's tokenizer.json may switch on."""
    from tokenizers import Tokenizer

    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def _mask_positions(plm: PLM, ids: list[list[int]]) -> np.ndarray:
    if plm.mask_token is None:
        raise PLMError(f"the tokenizer of {plm.name!r} has no mask token; method 'instant' works without one")
    mask_id = plm.tokenizer.token_to_id(plm.mask_token)
    try:
        return np.array([row.index(mask_id) for row in ids if mask_id is not None], dtype=np.int64)
    except ValueError:
        raise PLMError(f"a prompt lacks the mask token {plm.mask_token!r} of {plm.name!r}") from None


def _pad(ids: list[list[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (b, width) and attention (b, width), padded at the end with id 0, which nothing attends to."""
    padded, attention = (np.zeros((len(ids), width), dtype=np.int64) for _ in range(2))
    for row, sequence in enumerate(ids):
        padded[row, : len(sequence)] = sequence
        attention[row, : len(sequence)] = 1
    return padded, attention
