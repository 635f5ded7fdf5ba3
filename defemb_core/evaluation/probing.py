"""Masked-word probing: how likely a PLM finds a token where it belongs, with one table and with another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from defemb_core.definitions import hide_word
from defemb_core.errors import EvaluationError
from defemb_core.evaluation.resampling import RESAMPLES, compare_means
from defemb_core.prompts import make_prompt, tokenize_prompts
from defemb_core.states import pad

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.prompts import Prompts

BATCH = 32  # prompts read at a time
FEWEST = 10  # prompts; the mean of fewer says nothing


def definition_probes(senses: pl.DataFrame, plm: PLM, ids: np.ndarray) -> pl.DataFrame:
    """Return the prompt "MASK ( noun ) means GLOSS" of each token's first definition, its own word hidden in it.

    Args:
        senses: as describe_matches returns them.
        plm: its mask token stands for the token.
        ids: the tokens; those without a definition give no prompt.

    Returns:
        `token_id i64`, `prompt str`, in the order of the rows.
    """
    mask = _mask_of(plm)
    first = senses.unique("token_id", keep="first", maintain_order=True).filter(pl.col("token_id").is_in(ids.tolist()))
    lines = first.select("token_id", "gloss", "pos", "text").sort("token_id").iter_rows()
    prompts = [(token, make_prompt(hide_word(gloss, text, mask), (pos,), mask)) for token, gloss, pos, text in lines]
    return pl.DataFrame(prompts, {"token_id": pl.Int64, "prompt": pl.String}, orient="row")


def sentence_probes(plm: PLM, vocabulary: pl.DataFrame, word: str, sentences: list[str]) -> pl.DataFrame:
    """Return the user's sentences with every occurrence of a word masked; the same columns as definition_probes.

    Args:
        plm: its mask token stands for the word.
        vocabulary: the vocabulary frame.
        word: one token, as a reader writes it; where several rows have the text, that of a whole word counts.
        sentences: each has the word in it, in whatever case.

    Raises:
        EvaluationError: the word is no token, or a sentence lacks it.
    """
    mask = _mask_of(plm)
    rows = vocabulary.filter((pl.col("text") == word) & (pl.col("group") != "none"))
    if rows.is_empty():
        raise EvaluationError(f"{word!r} is no token of {plm.title!r}; probe a word that the tokenizer keeps whole")
    token = int(rows.sort("starts_word", descending=True, maintain_order=True)["token_id"][0])
    prompts = []
    for sentence in sentences:
        hidden = hide_word(re.sub(re.escape(mask), "", sentence), word, mask)
        if mask not in hidden:
            raise EvaluationError(
                f"the sentence {sentence[:80]!r} does not contain {word!r}; write it where it belongs"
            )
        prompts.append((token, hidden))
    return pl.DataFrame(prompts, {"token_id": pl.Int64, "prompt": pl.String}, orient="row")


def _mask_of(plm: PLM) -> str:
    if plm.mask_token is None:
        raise EvaluationError(f"the tokenizer of {plm.name!r} has no mask token; probe a PLM that fills masks")
    return plm.mask_token


def probe_masks(plm: PLM, probes: pl.DataFrame, tables: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """Ask the PLM for what belongs at the first mask of each prompt, with each table in place of its own.

    Wherever else in a prompt the token stands it is masked too. A table stands for the input rows and, where they are
    tied, for the output rows as well; untied output rows, the output's bias and the encoder stay as they are.

    Args:
        plm: with a head that fills masks.
        probes: `token_id`, `prompt` with the mask token.
        tables: by name, float32 (V, H).

    Returns:
        A line a table and probe, in this order: `table str`, `token_id i64`, `prompt str`, `probability f64` of the
        token at the mask, 0 to 1, `rank f64` of the token among all V rows, 1 is best; equal ones share their mean.

    Raises:
        PLMError: the PLM has no such head.
    """
    import torch

    model, tokens = plm.masked_lm(), probes["token_id"].to_numpy()
    prompts = tokenize_prompts(plm, probes["prompt"].to_list(), asked=tokens.tolist())
    batches = [np.arange(start, min(start + BATCH, len(tokens))) for start in range(0, len(tokens), BATCH)]
    found = []
    for name, table in tables.items():
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(torch.from_numpy(np.array(table, np.float32)))
        judged = np.concatenate(
            [_judged(_logits(model, prompts, prompts.lines[batch]), tokens[batch]) for batch in batches]
        )
        figures = pl.DataFrame(judged, ["probability", "rank"])
        found.append(probes.select(pl.lit(name).alias("table"), "token_id", "prompt").hstack(figures))
    return pl.concat(found)


def _logits(model: Any, prompts: Prompts, batch: np.ndarray) -> np.ndarray:
    """Return the logits at the slots of some prompts, float64 (b, V)."""
    import torch

    padded, attention = pad([prompts.ids[i] for i in batch])
    with torch.inference_mode():
        given = {"input_ids": torch.as_tensor(padded), "attention_mask": torch.as_tensor(attention)}
        logits = model(**given).logits[torch.arange(len(batch)), torch.as_tensor(prompts.slots[batch])]
    return np.asarray(logits.double().numpy())


def _judged(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return each line's probability and rank of its token, (n, 2)."""
    own = logits[np.arange(len(tokens)), tokens][:, None]
    largest = logits.max(axis=1, keepdims=True)
    probability = np.exp(own - largest)[:, 0] / np.exp(logits - largest).sum(axis=1)
    ranks = 1 + (logits > own).sum(axis=1) + ((logits == own).sum(axis=1) - 1) / 2
    return np.stack([probability, ranks], axis=1)


def summarise_probes(probed: pl.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Return a line a table: how high the tokens come, over all prompts.

    Columns: `table str`, `prompts i64`, `mrr f64` (mean reciprocal rank, 0 to 1, 1 is best) with `low f64`, `high f64`
    (95 % of resampled prompts), `median_rank f64`, `probability f64` (geometric mean), and `difference f64`,
    `difference_low f64`, `difference_high f64`, `p f64` of the MRR to the first table's. Null: below 10 prompts, and,
    for the first table, the differences.
    """
    tables = {str(name): frame for (name,), frame in probed.group_by("table", maintain_order=True)}
    values = np.stack([1 / frame["rank"].to_numpy() for frame in tables.values()])
    prompts = values.shape[1]
    means: list[dict[str, float]] = [{} for _ in tables]
    if prompts >= FEWEST:
        means = compare_means(values, resamples, seed)
    lines = []
    for (name, frame), told in zip(tables.items(), means, strict=True):
        probability = float(np.exp(np.log(np.maximum(frame["probability"].to_numpy(), 1e-300)).mean()))
        line = {"table": name, "prompts": prompts, "median_rank": frame["rank"].median(), "probability": probability}
        lines.append(line | {"mrr" if key == "mean" else key: value for key, value in told.items()})
    return pl.DataFrame(lines, PROBE_SCHEMA)


PROBE_SCHEMA = {
    "table": pl.String, "prompts": pl.Int64, "mrr": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "median_rank": pl.Float64, "probability": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "p": pl.Float64,
}  # fmt: skip


def probes_side_by_side(probed: pl.DataFrame) -> pl.DataFrame:
    """Return a line a prompt for people to read: `prompt` and each table's "rank 12, probability 0.034"."""
    told = pl.format(
        "rank {}, probability {}", pl.col("rank").ceil().cast(pl.Int64), pl.col("probability").round_sig_figs(3)
    )
    tables = [
        frame.select("prompt", told.alias(str(name)))
        for (name,), frame in probed.group_by("table", maintain_order=True)
    ]
    return pl.concat([tables[0], *(table.drop("prompt") for table in tables[1:])], how="horizontal")
