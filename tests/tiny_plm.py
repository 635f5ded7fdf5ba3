"""Tiny PLMs with random weights, saved as save_pretrained writes them: two layers, 16 columns, a fraction of a second.

Every builder fills a folder (made if missing) and returns it. Same seed, same weights.
"""

import json
from pathlib import Path
from typing import Any

from tiny import byte_level_bpe, sentencepiece, wordpiece
from tokenizers import Tokenizer

WIDTH, LAYERS, POSITIONS = 16, 2, 64
BERT_NAMES = {
    key: f"[{key[:-6].upper()}]" for key in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
}
ROBERTA_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
ROBERTA_NAMES |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
T5_NAMES = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
POOLING = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def save_bert(folder: Path, seed: int = 0, dtype: str = "float32", padding: int = 3) -> Path:
    """A BertModel over WordPiece without output rows; `padding` rows of the table belong to no token."""
    from transformers import BertModel

    return _save(BertModel, _bert_config(padding), wordpiece(), BERT_NAMES, folder, seed, dtype)


def save_bert_mlm(folder: Path, seed: int = 0, dtype: str = "float32", tied: bool = True) -> Path:
    """A BertForMaskedLM; its output rows are the input rows, which the file then holds once, unless not `tied`."""
    from transformers import BertForMaskedLM

    config = _bert_config(0, tie_word_embeddings=tied)
    return _save(BertForMaskedLM, config, wordpiece(), BERT_NAMES, folder, seed, dtype)


def save_roberta(folder: Path, seed: int = 0) -> Path:
    """A RobertaModel over byte-level BPE; positions start after the padding id."""
    from transformers import RobertaConfig, RobertaModel

    tokenizer = byte_level_bpe()
    config = RobertaConfig(vocab_size=tokenizer.get_vocab_size(), pad_token_id=1, type_vocab_size=1, **_sizes())
    return _save(RobertaModel, config, tokenizer, ROBERTA_NAMES, folder, seed)


def save_t5(folder: Path, seed: int = 0) -> Path:
    """A T5ForConditionalGeneration over Unigram pieces: an encoder-decoder whose two sides share the table."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = sentencepiece()
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=WIDTH,
        d_kv=8,
        d_ff=2 * WIDTH,
        num_layers=LAYERS,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return _save(T5ForConditionalGeneration, config, tokenizer, T5_NAMES, folder, seed)


def save_gpt2(folder: Path, seed: int = 0) -> Path:
    """A GPT2LMHeadModel: decoder-only, which defemb refuses."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = byte_level_bpe()
    rows = tokenizer.get_vocab_size()
    config = GPT2Config(vocab_size=rows, n_embd=WIDTH, n_layer=LAYERS, n_head=2, n_positions=POSITIONS)
    return _save(GPT2LMHeadModel, config, tokenizer, {"bos_token": "<s>", "eos_token": "</s>"}, folder, seed)


def save_sentence_transformer(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers model: save_bert's files, mean pooling and normalisation."""
    save_bert(folder, seed)
    kinds = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    _write_json(
        folder / "modules.json",
        [
            {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for name, path, kind in kinds
        ],
    )
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS, "do_lower_case": False})
    _write_json(folder / "1_Pooling" / "config.json", POOLING)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n", encoding="utf-8")
    return folder


def save_sharded_bert(folder: Path, seed: int = 0) -> Path:
    """save_bert's model in several safetensors files with an index."""
    save_bert(folder, seed)
    model = _load(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="12KB")
    return folder


def save_bin_bert(folder: Path, seed: int = 0, tied_copy: bool = False) -> Path:
    """The weights of save_bert pickled as pytorch_model.bin; with `tied_copy` those of save_bert_mlm.

    A pickled state keeps every name of a tied tensor, so the second form holds the table twice over the same memory.
    """
    import torch

    model = _load((save_bert_mlm if tied_copy else save_bert)(folder, seed), masked=tied_copy)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def save_sharded_bin_bert(folder: Path, seed: int = 0) -> Path:
    """save_bin_bert's state in two pickled files with an index."""
    import torch

    model = _load(save_bert(folder, seed))
    (folder / "model.safetensors").unlink()
    state = model.state_dict()
    names = sorted(state)
    parts = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, part in parts.items():
        torch.save({name: state[name].clone() for name in part}, folder / file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    weight_map = {name: file for file, part in parts.items() for name in part}
    _write_json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": size}, "weight_map": weight_map})
    return folder


def _save(
    kind: Any,
    config: Any,
    tokenizer: Tokenizer,
    names: dict[str, str],
    folder: Path,
    seed: int,
    dtype: str = "float32",
) -> Path:
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


def _load(folder: Path, masked: bool = False) -> Any:
    from transformers import AutoModel, AutoModelForMaskedLM

    return (AutoModelForMaskedLM if masked else AutoModel).from_pretrained(folder)


def _bert_config(padding: int, **more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=wordpiece().get_vocab_size() + padding, pad_token_id=0, **_sizes(), **more)


def _sizes() -> dict[str, Any]:
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": POSITIONS,
    }


def _write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
