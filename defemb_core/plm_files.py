"""A PLM's files: settings, tokenizer, special tokens, tables, and the model that transformers builds from them."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.errors import PLMError, first_line
from defemb_core.weights import Tensor, read_tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# While it builds a model, transformers replaces functions of its own for the whole process, tie_weights among them: of
# two builds at once the second may put the replacement back for good, and no model ties its output rows any more.
_ONE_BUILD = threading.Lock()


def read_table(table: Tensor, name: str) -> np.ndarray:
    """Return an embedding table, read-only; raise PLMError if rows of it are no numbers."""
    matrix = read_tensor(table)
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if broken.size:
        raise PLMError(
            f"{broken.size} of {len(matrix)} embedding rows of {name!r} hold NaN or infinity, first row "
            f"{broken[0]}; the checkpoint is damaged, copy or download it again"
        )
    matrix.setflags(write=False)
    return matrix


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as exc:
        raise PLMError(f"{str(file)!r} is no readable JSON ({first_line(exc)})") from None
    return content if isinstance(content, dict) else {}


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json; raise PLMError if there is none or it names no family."""
    if not (folder / "config.json").is_file():
        raise PLMError(f"no config.json in {str(folder)!r}; name a folder that save_pretrained wrote")
    config = _read_json(folder / "config.json")
    if not config.get("model_type"):
        raise PLMError(f"config.json in {str(folder)!r} names no model_type; it is no transformers model")
    return config


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the fast tokenizer; raise PLMError if there is none that can be read."""
    from tokenizers import Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True).backend_tokenizer
    except Exception as exc:  # the Rust reader raises bare Exception; conversion raises many kinds
        raise PLMError(f"no tokenizer that can be read in {str(folder)!r} ({first_line(exc)})") from None


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens that the tokenizer's settings name, such as mask_token -> "[MASK]"."""
    settings = {**_read_json(folder / "tokenizer_config.json"), **_read_json(folder / "special_tokens_map.json")}
    contents = {k: v.get("content") if isinstance(v, dict) else v for k, v in settings.items() if k.endswith("_token")}
    return {key: value for key, value in contents.items() if isinstance(value, str)}


def mask_token(tokenizer: Tokenizer, names: dict[str, str]) -> str | None:
    """Return what stands for a missing token, or None; `names` are the special tokens by name."""
    # T5 has no mask token; its first sentinel stands for a missing span in pretraining, which is what a mask is.
    candidates = [names.get("mask_token"), "[MASK]", "<mask>", "<extra_id_0>", "<unused0>"]
    return next((token for token in candidates if token and tokenizer.token_to_id(token) is not None), None)


def build_model(folder: Path, encoder_alone: bool) -> tuple[Any, list[str]]:
    """Return the model without its head, and which of its weights the checkpoint lacks."""
    return _built("AutoModelForTextEncoding" if encoder_alone else "AutoModel", folder)


def build_masked_lm(folder: Path) -> tuple[Any, list[str]]:
    """Return the model with the head that fills masks, and which of its weights the checkpoint lacks."""
    return _built("AutoModelForMaskedLM", folder)


def build_classifier(folder: Path, outputs: int) -> tuple[Any, list[str]]:
    """Return the model with a head of so many outputs, new where none is stored, and which weights are new."""
    return _built("AutoModelForSequenceClassification", folder, num_labels=outputs)


def build_seq2seq(folder: Path) -> tuple[Any, list[str]]:
    """Return an encoder-decoder with its output rows, and which of its weights the checkpoint lacks."""
    return _built("AutoModelForSeq2SeqLM", folder)


def _built(kind: str, folder: Path, **settings: Any) -> tuple[Any, list[str]]:
    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours shows the stage
    with _ONE_BUILD:
        level = logging.get_verbosity()
        logging.set_verbosity_error()  # a head that is not built and a pooler that is not stored are no news
        try:
            model, report = getattr(transformers, kind).from_pretrained(
                folder,
                trust_remote_code=False,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation="eager",  # measured quicker than sdpa for short prompts on a CPU
                output_loading_info=True,
                **settings,
            )
        finally:
            logging.set_verbosity(level)
    return model, sorted(report["missing_keys"])


def licence(folder: Path) -> str | None:
    """Return the licence that the model card's header names, or None."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    header = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:[ \t]*(\S.*)$", header.group(1), re.MULTILINE) if header else None
    return found.group(1).strip("'\" ") if found else None
