"""What differs by family of PLM: names of tables and heads, positions, which tables are one, what is out of scope."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from defemb_core.errors import PLMError
from defemb_core.weights import Tensor, read_tensor

# Families whose layout we know, so that their tables load without importing transformers (seconds). Any other type is
# looked up in transformers' own lists.
KNOWN_ENCODERS = frozenset({
    "albert", "bart", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "mbart", "modernbert",
    "mpnet", "mt5", "roberta", "t5", "t5gemma", "umt5", "xlm-roberta",
})  # fmt: skip
# Families whose position ids start after the padding id, so that the places up to it stay unused.
OFFSET_POSITIONS = frozenset({
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip
# Families whose decoder has an input table of its own, to which the output rows are tied. Both are rebuilt.
TWO_TABLES = frozenset({"t5gemma"})
# Families without a mask token whose sentinel stands for a missing span, which their decoder fills after saying it.
SENTINEL_MASKS = frozenset({"mt5", "t5", "umt5"})
# Names under which these families keep the input embedding table, the input table of an encoder-decoder first.
TABLE_NAMES = (
    "shared.weight",
    "embeddings.word_embeddings.weight",
    "embeddings.tok_embeddings.weight",
    "encoder.embed_tokens.weight",
    "embed_tokens.weight",
    "word_embeddings.weight",
    "word_embedding.weight",
    "wte.weight",
)
OUTPUT_NAMES = (
    "lm_head.weight",
    "decoder.weight",
    "generator_lm_head.weight",
    "vocab_projector.weight",
    "lm_head.out_proj.weight",
)
OUTPUT_BIASES = (
    "lm_head.bias",
    "decoder.bias",
    "predictions.bias",
    "generator_lm_head.bias",
    "vocab_projector.bias",
    "final_logits_bias",
)
HEADS = ("ForMaskedLM", "ForPreTraining", "ForConditionalGeneration", "LMHeadModel", "ForCausalLM")
# ELECTRA's discriminator tells replaced tokens from true ones: a head without output rows.
ROWLESS_HEADS = ("ElectraForPreTraining",)
# Tensors that are no parameters: buffers which a checkpoint may list.
BUFFERS = ("position_ids", "final_logits_bias")


def refuse_decoder_only(config: dict[str, Any]) -> None:
    """Raise PLMError for a decoder-only model, or one that no family of encoders knows."""
    kind = str(config["model_type"])
    causal = any(str(name).endswith("ForCausalLM") for name in config.get("architectures") or [])
    if (
        kind in KNOWN_ENCODERS
        and not config.get("is_decoder")
        and not (causal and not config.get("is_encoder_decoder"))
    ):
        return
    from transformers.models.auto import modeling_auto as auto

    encoders = {*auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, *auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
    if kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (kind not in encoders or causal or config.get("is_decoder")):
        raise PLMError(
            f"model type {kind!r} is decoder-only, which is out of scope: definitions rebuild the rows of "
            "encoder-based PLMs (BERT, RoBERTa, BART, T5 and their kin)"
        )
    if kind not in encoders:
        raise PLMError(f"model type {kind!r} is no encoder-based language model that the installed transformers knows")


def find_table(tensors: dict[str, Tensor], vocab_size: int, folder: Path) -> Tensor:
    """Return the tensor that holds the input embeddings; raise PLMError if there is none."""
    for suffix in TABLE_NAMES:
        found = [t for t in tensors.values() if f".{t.name}".endswith(f".{suffix}") and len(t.shape) == 2]
        found = [t for t in found if not re.search(r"(^|\.)decoder\.", t.name)] or found
        if found:
            # Several match in ELECTRA's pre-training checkpoints and the like: the vocabulary's size decides.
            return max(found, key=lambda t: (t.shape[0] == vocab_size, t.shape[0]))
    raise PLMError(f"no embedding table among the {len(tensors)} tensors of {str(folder)!r}; is it a text model?")


def find_decoder_table(tensors: dict[str, Tensor], config: dict[str, Any]) -> Tensor | None:
    """Return the tensor that holds the decoder's own input embeddings, None where both sides share one table."""
    if config["model_type"] not in TWO_TABLES:
        return None
    return next((t for t in tensors.values() if f".{t.name}".endswith(".decoder.embed_tokens.weight")), None)


def is_input_table(name: str) -> bool:
    """Return whether a tensor's name is one under which the families keep input embeddings."""
    return f".{name}".endswith(tuple(f".{known}" for known in TABLE_NAMES))


def output_rows(
    config: dict[str, Any], tensors: dict[str, Tensor], matrix: np.ndarray
) -> Literal["none", "tied", "untied"]:
    """Return whether the model has output rows (an LM head), tied to the rows of `matrix` or not."""
    architectures = [str(name) for name in config.get("architectures") or []]
    if not any(name.endswith(HEADS) and name not in ROWLESS_HEADS for name in architectures):
        return "none"
    if config["model_type"] in TWO_TABLES:
        return "untied"
    stored = [t for t in tensors.values() if is_output_table(t.name) and t.shape == matrix.shape]
    if stored and config.get("tie_word_embeddings") is False:
        return "untied"
    # Settings may claim a tie that the weights deny (T5 1.1 saved anew): then transformers ties nothing either.
    return "tied" if all(np.array_equal(read_tensor(t), matrix) for t in stored) else "untied"


def count_parameters(tensors: dict[str, Tensor], table: Tensor, config: dict[str, Any], output_rows: str) -> int:
    """Return the number of parameters, each counted once; buffers are none."""

    def repeats(tensor: Tensor) -> bool:
        # A pickled checkpoint lists tied output rows and the input table of either side again.
        if tensor == table or tensor.shape != table.shape:
            return False
        return (output_rows == "tied" and is_output_table(tensor.name)) or (one_table and is_input_table(tensor.name))

    one_table = bool(config.get("is_encoder_decoder")) and config["model_type"] not in TWO_TABLES
    return sum(t.size for t in tensors.values() if not repeats(t) and not t.name.endswith(BUFFERS))


def is_output_table(name: str) -> bool:
    """Return whether a tensor's name is one under which the families keep output rows."""
    return f".{name}".endswith(tuple(f".{output}" for output in OUTPUT_NAMES))


def is_output_bias(name: str) -> bool:
    """Return whether a tensor's name is one under which the families keep a number for each output row."""
    return f".{name}".endswith(tuple(f".{bias}" for bias in OUTPUT_BIASES))
