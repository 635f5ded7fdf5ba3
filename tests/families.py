"""One tiny PLM of every family, from the family's own config class, with a tokenizer of the family's kind.

Two layers, 16 columns, random weights without a zero or a one; saved as save_pretrained writes them. Same seed, same
weights. `FAMILIES` are those that defemb rebuilds, `DECODERS` those that it refuses.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tiny import BERT_SPECIAL, ROBERTA_SPECIAL, byte_level_bpe, gemma, sentencepiece, unigram, wordpiece
from tokenizers import Tokenizer

WIDTH, LAYERS, POSITIONS, NARROW = 16, 2, 64, 12  # NARROW: the table's width where it is not the states'

BERT_NAMES = {
    key: f"[{key[:-6].upper()}]" for key in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
}
ROBERTA_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
ROBERTA_NAMES |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
T5_NAMES = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
# Gemma's settings name no mask token, although the vocabulary has one.
GEMMA_NAMES = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
MPNET_SPECIAL = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
LANGUAGES = ["en_XX", "de_DE"]

LAYER_SIZES = {"intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
ENCODER_SIZES = {"hidden_size": WIDTH, **LAYER_SIZES, "max_position_embeddings": POSITIONS}
SEQ2SEQ_SIZES = {"d_model": WIDTH, "max_position_embeddings": POSITIONS, "decoder_start_token_id": 2} | {
    f"{side}_{what}": size
    for side in ("encoder", "decoder")
    for what, size in (("layers", LAYERS), ("attention_heads", 2), ("ffn_dim", 2 * WIDTH))
}
GEMMA_SIZES = {"hidden_size": WIDTH, **LAYER_SIZES, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}


@dataclass(frozen=True)
class Family:
    """How a tiny PLM of a family is made.

    Attributes:
        prefix: of the family's class names, "Bert".
        tokenizer: makes the tokenizer.
        names: what the tokenizer's settings call its special tokens.
        sizes: the config's arguments besides vocab_size.
        head: the class name's end with output rows.
        table: the input table's name in a checkpoint without a head.
        mask: what stands for a token in a prompt.
        max_tokens: the longest prompt.
    """

    prefix: str
    tokenizer: Callable[[], Tokenizer]
    names: dict[str, str]
    sizes: dict[str, Any] = field(default_factory=lambda: ENCODER_SIZES)
    head: str = "ForMaskedLM"
    table: str = "embeddings.word_embeddings.weight"
    mask: str = "<mask>"
    max_tokens: int = POSITIONS


_roberta_pieces = partial(unigram, ROBERTA_SPECIAL[:4], ["<mask>"], "<s> $A </s>")
_offset = {**ENCODER_SIZES, "pad_token_id": 1}
_roberta = {**_offset, "type_vocab_size": 1}
FAMILIES = {
    "bert": Family("Bert", wordpiece, BERT_NAMES, mask="[MASK]"),
    "roberta": Family("Roberta", byte_level_bpe, ROBERTA_NAMES, _roberta, max_tokens=POSITIONS - 2),
    "xlm-roberta": Family("XLMRoberta", _roberta_pieces, ROBERTA_NAMES, _roberta, max_tokens=POSITIONS - 2),
    "distilbert": Family(
        "DistilBert",
        wordpiece,
        BERT_NAMES,
        {"dim": WIDTH, "hidden_dim": 2 * WIDTH, "n_layers": LAYERS, "n_heads": 2, "max_position_embeddings": POSITIONS},
        mask="[MASK]",
    ),
    "albert": Family(
        "Albert",
        partial(unigram, ["<pad>", "<unk>", "[CLS]", "[SEP]"], ["[MASK]"], "[CLS] $A [SEP]"),
        {**BERT_NAMES, "pad_token": "<pad>", "unk_token": "<unk>"},
        {**ENCODER_SIZES, "embedding_size": NARROW},
        mask="[MASK]",
    ),
    "electra": Family("Electra", wordpiece, BERT_NAMES, {**ENCODER_SIZES, "embedding_size": NARROW}, mask="[MASK]"),
    "mpnet": Family(
        "MPNet",
        partial(wordpiece, special=MPNET_SPECIAL, single="<s> $A </s>"),
        {**ROBERTA_NAMES, "unk_token": "[UNK]"},
        _offset,
        max_tokens=POSITIONS - 2,
    ),
    "deberta-v2": Family(
        "DebertaV2",
        partial(unigram, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], ["[MASK]"], "[CLS] $A [SEP]"),
        BERT_NAMES,
        {**ENCODER_SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
        mask="[MASK]",
    ),
    "modernbert": Family(
        "ModernBert",
        partial(byte_level_bpe, special=BERT_SPECIAL, single="[CLS] $A [SEP]"),
        BERT_NAMES,
        ENCODER_SIZES | {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3},
        table="embeddings.tok_embeddings.weight",
        mask="[MASK]",
    ),
    "bart": Family(
        "Bart", byte_level_bpe, ROBERTA_NAMES, SEQ2SEQ_SIZES, "ForConditionalGeneration", table="shared.weight"
    ),
    "mbart": Family(
        "MBart",
        partial(unigram, ROBERTA_SPECIAL[:4], [*LANGUAGES, "<mask>"], "$A </s> en_XX"),
        ROBERTA_NAMES,
        {**SEQ2SEQ_SIZES, "scale_embedding": True},
        "ForConditionalGeneration",
        table="shared.weight",
    ),
    "t5": Family(
        "T5",
        sentencepiece,
        T5_NAMES,
        {"d_model": WIDTH, "d_kv": 8, "d_ff": 2 * WIDTH, "num_layers": LAYERS, "num_heads": 2}
        | {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
        "ForConditionalGeneration",
        table="shared.weight",
        mask="<extra_id_0>",
        max_tokens=512,
    ),
    "t5gemma": Family(
        "T5Gemma",
        gemma,
        GEMMA_NAMES,
        {"encoder": GEMMA_SIZES, "decoder": GEMMA_SIZES},
        "ForConditionalGeneration",
        table="encoder.embed_tokens.weight",
        max_tokens=512,
    ),
}
DECODERS = {
    "gpt2": Family(
        "GPT2",
        byte_level_bpe,
        {"bos_token": "<s>", "eos_token": "</s>"},
        {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "n_positions": POSITIONS},
        "LMHeadModel",
    ),
    "llama": Family("Llama", gemma, GEMMA_NAMES, {**ENCODER_SIZES, "num_key_value_heads": 1}, "ForCausalLM"),
}


def save_family(
    name: str, folder: Path, kind: str = "Model", seed: int = 0, tied: bool = True, **settings: Any
) -> Path:
    """Fill `folder` (made if missing) with a tiny PLM of the family; return it.

    Args:
        name: a key of FAMILIES or DECODERS.
        folder: where to.
        kind: the class name's end, "Model" or a head such as "ForMaskedLM".
        seed: of the weights.
        tied: whether output rows, where there are any, are the input rows.
        settings: further arguments of the config.
    """
    import transformers

    family = (FAMILIES | DECODERS)[name]
    tokenizer = family.tokenizer()
    rows = {"vocab_size": tokenizer.get_vocab_size()}
    sizes = {key: {**value, **rows} if isinstance(value, dict) else value for key, value in family.sizes.items()}
    config = getattr(transformers, f"{family.prefix}Config")(tie_word_embeddings=tied, **rows, **sizes, **settings)
    return save_plm(getattr(transformers, family.prefix + kind), config, tokenizer, family.names, folder, seed)


def save_plm(
    kind: Any,
    config: Any,
    tokenizer: Tokenizer,
    names: dict[str, str],
    folder: Path,
    seed: int,
    dtype: str = "float32",
) -> Path:
    """Fill `folder` with a model of class `kind` and its tokenizer; return it."""
    import torch
    from transformers import PreTrainedTokenizerFast

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).to(getattr(torch, dtype)).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # no tensor of zeros or ones: any mix-up must show
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=POSITIONS - 2, **names).save_pretrained(folder)
    return folder
