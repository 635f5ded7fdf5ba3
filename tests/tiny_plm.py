"""Tiny PLMs with random weights, saved as save_pretrained writes them: two layers, 16 columns, a fraction of a second.

Every builder fills a folder (made if missing) and returns it. Same seed, same weights.
"""

import json
from pathlib import Path
from typing import Any

from families import BERT_NAMES, ENCODER_SIZES, POSITIONS, WIDTH, save_family, save_plm
from tiny import wordpiece

POOLING = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def save_bert(folder: Path, seed: int = 0, dtype: str = "float32", padding: int = 3) -> Path:
    """A BertModel over WordPiece without output rows; `padding` rows of the table belong to no token."""
    from transformers import BertModel

    return save_plm(BertModel, _bert_config(padding), wordpiece(), BERT_NAMES, folder, seed, dtype)


def save_bert_mlm(folder: Path, seed: int = 0, dtype: str = "float32", tied: bool = True) -> Path:
    """A BertForMaskedLM; its output rows are the input rows, which the file then holds once, unless not `tied`."""
    from transformers import BertForMaskedLM

    config = _bert_config(0, tie_word_embeddings=tied)
    return save_plm(BertForMaskedLM, config, wordpiece(), BERT_NAMES, folder, seed, dtype)


def save_roberta(folder: Path, seed: int = 0) -> Path:
    """A RobertaModel over byte-level BPE; positions start after the padding id."""
    return save_family("roberta", folder, seed=seed)


def save_t5(folder: Path, seed: int = 0) -> Path:
    """A T5ForConditionalGeneration over Unigram pieces: an encoder-decoder whose two sides share the table."""
    return save_family("t5", folder, "ForConditionalGeneration", seed)


def save_gpt2(folder: Path, seed: int = 0) -> Path:
    """A GPT2LMHeadModel: decoder-only, which defemb refuses."""
    return save_family("gpt2", folder, "LMHeadModel", seed)


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


def _load(folder: Path, masked: bool = False) -> Any:
    from transformers import AutoModel, AutoModelForMaskedLM

    return (AutoModelForMaskedLM if masked else AutoModel).from_pretrained(folder)


def _bert_config(padding: int, **more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=wordpiece().get_vocab_size() + padding, pad_token_id=0, **ENCODER_SIZES, **more)


def _write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
