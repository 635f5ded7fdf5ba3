"""Load a pretrained language model (PLM): its tokenizer and its embedding table, and the encoder when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from defemb_core.cache import table_sha256
from defemb_core.described import Described
from defemb_core.errors import PLMError, first_line, is_out_of_memory
from defemb_core.families import (
    OFFSET_POSITIONS,
    TWO_TABLES,
    count_parameters,
    find_decoder_table,
    find_table,
    output_rows,
    refuse_decoder_only,
)
from defemb_core.hub import BUNDLED, BUNDLED_NAME, locate, verify_bundled
from defemb_core.plm_files import (
    build_masked_lm,
    build_model,
    licence,
    mask_token,
    read_config,
    read_table,
    read_tokenizer,
    special_tokens,
)
from defemb_core.weights import Tensor, list_tensors, verify_hub_blob

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, eq=False, repr=False)
class PLM(Described):
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
        decoder_table: the tensor of a table that the decoder has for itself (T5Gemma), or None.
        decoder_matrix: that table, float32 (V, width of the decoder), read-only, or None.
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
    decoder_table: Tensor | None = None
    decoder_matrix: np.ndarray | None = None

    @property
    def facts(self) -> dict[str, object]:
        """What a console and a notebook say of it."""
        return {
            "PLM": self.title,
            "architecture": self.architecture,
            "table": f"{self.rows:,} rows x {self.width:,} columns",
            "parameters": f"{self.parameters:,}",
            "revision": self.revision,
            "licence": self.licence,
        }

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
        return self.decoder_matrix is not None

    @property
    def has_two_tables(self) -> bool:
        """Whether the encoder and the decoder have tables of their own, whichever of them `table` is."""
        return self.is_encoder_decoder and self.config["model_type"] in TWO_TABLES

    def decoder_side(self) -> PLM:
        """Return the same PLM with the decoder's table in the place of the encoder's.

        Raises:
            PLMError: the decoder has no table of its own.
        """
        if self.decoder_table is None or self.decoder_matrix is None:
            raise PLMError(f"the decoder of {self.name!r} has no table of its own")
        table, matrix = self.decoder_table, self.decoder_matrix
        return replace(self, table=table, matrix=matrix, decoder_table=None, decoder_matrix=None)

    @property
    def is_sentence_transformer(self) -> bool:
        """Whether the folder has the modules.json of a sentence-transformers model."""
        return (self.folder / "modules.json").is_file()

    @property
    def mask_id(self) -> int | None:
        """The row of the mask token, or None."""
        return None if self.mask_token is None else self.tokenizer.token_to_id(self.mask_token)

    @property
    def decoder_start(self) -> int | None:
        """What a decoder's input begins with; None where it is the last token of the encoder's (mBART)."""
        decoder = self.config.get("decoder") or {}
        named = (
            self.config.get("decoder_start_token_id"),
            decoder.get("bos_token_id"),
            self.config.get("pad_token_id"),
        )
        if self.config["model_type"] == "mbart":
            return named[0]
        return next((token for token in named if token is not None), 0)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the table's shape and values: the key of everything computed from it."""
        return table_sha256(self.matrix)

    @property
    def max_tokens(self) -> int:
        """Longest prompt in tokens: what the positions allow, at most 512 (longer definitions are cut)."""
        return min(512, self.positions)

    @cached_property
    def positions(self) -> int:
        """How many tokens the encoder can read; 512 where its settings set no limit."""
        positions = int(self.config.get("max_position_embeddings") or self.config.get("n_positions") or 512)
        if self.config["model_type"] in OFFSET_POSITIONS:
            positions -= max(1, int(self.config.get("pad_token_id") or 0)) + 1
        return positions

    def encoder(self) -> Any:
        """Build the encoder on the CPU in float32 and evaluation mode; loads torch and transformers.

        Raises:
            PLMError: the weights do not fit the architecture, or some of the encoder's are missing.
        """
        model = self._checked(("pooler.", "decoder."))
        return model.get_encoder() if self.is_encoder_decoder or self._is_encoder_alone else model

    def whole(self) -> Any:
        """Build the model without its head, an encoder-decoder with its decoder; otherwise as encoder()."""
        return self._checked(("pooler.",))

    def masked_lm(self) -> Any:
        """Build the model with its head that fills masks, on the CPU in float32 and evaluation mode.

        Raises:
            PLMError: it has no such head, or weights of it are missing.
        """
        why = "name one that was saved with its head, a BertForMaskedLM say"
        if self.output_rows == "none" or self.is_encoder_decoder:
            raise PLMError(f"{self.name!r} ({self.architecture}) has no head that fills masks; {why}")
        try:
            model, missing = build_masked_lm(self.folder)
        except Exception as exc:  # transformers raises many kinds for a folder that does not fit
            if is_out_of_memory(exc):
                raise
            raise PLMError(f"{self.name!r} has no head that fills masks and loads: {first_line(exc)}; {why}") from exc
        if missing:
            raise PLMError(f"{self.name!r} lacks {len(missing)} weights of its head, first {missing[0]!r}; {why}")
        return model.eval()

    @property
    def has_decoder(self) -> bool:
        """Whether a decoder follows the encoder and was saved with it."""
        return self.is_encoder_decoder and not self._is_encoder_alone

    @property
    def _is_encoder_alone(self) -> bool:
        return self.architecture.endswith("EncoderModel")

    def _checked(self, needless: tuple[str, ...]) -> Any:
        """Build the model; weights of `needless` parts may be missing."""
        try:
            model, missing = build_model(self.folder, self._is_encoder_alone)
        except Exception as exc:  # transformers raises many kinds for a folder that does not fit
            if is_out_of_memory(exc):
                raise
            raise PLMError(f"{self.name!r} has no encoder that loads: {first_line(exc)}") from exc
        missing = [name for name in missing if not name.startswith(needless)]
        if missing and not self.has_two_tables and all(name.endswith(".embed_tokens.weight") for name in missing):
            raise PLMError(
                f"{self.name!r} holds one input table, {self.table.name!r}, and its settings do not tie the two sides "
                "to it, so that these would begin with random rows; set tie_word_embeddings to true in the config.json "
                "of a copy (output rows that the file holds besides stay untied)"
            )
        if missing:
            raise PLMError(
                f"{self.name!r} lacks {len(missing)} weights of its encoder, first {missing[0]!r}; "
                "copy or download it again"
            )
        return model.eval()


def load_plm(name_or_path: str, revision: str | None = None) -> PLM:
    """Load a PLM's tokenizer and embedding table; its encoder is not built.

    Args:
        name_or_path: "bundled" (all-MiniLM-L6-v2, offline), a hub name such as "FacebookAI/roberta-base", or a folder.
        revision: a hub branch, tag or commit; only for hub names.

    Raises:
        PLMError: no such model, damaged or unreadable files, a decoder-only model, NaN or infinite rows.

    Example:
        >>> plm = de.load_plm("bundled")
        >>> plm.matrix.shape
        (30522, 384)
        >>> plm.tokenizer.id_to_token(3118)
        '1984'
    """
    folder, commit = locate(name_or_path, revision)
    plm = read_plm(folder, name=name_or_path, revision=commit)
    if name_or_path == BUNDLED:
        verify_bundled(plm.table.file)
    else:
        verify_hub_blob(plm.table.file)
    return plm


def read_plm(folder: Path, name: str | None = None, revision: str | None = None) -> PLM:
    """Read the PLM in `folder`, the layout that save_pretrained writes; the door without names and downloads."""
    config = read_config(folder)
    refuse_decoder_only(config)
    tensors = list_tensors(folder)
    table = find_table(tensors, int(config.get("vocab_size") or 0), folder)
    matrix = read_table(table, str(name or folder))
    decoder = find_decoder_table(tensors, config)
    tokenizer = read_tokenizer(folder)
    names = special_tokens(folder)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    special |= {i for token in names.values() if (i := tokenizer.token_to_id(token)) is not None}
    heads_rows = output_rows(config, tensors, matrix)
    return PLM(
        name=name or str(folder),
        folder=folder,
        revision=revision,
        config=config,
        table=table,
        matrix=matrix,
        tokenizer=tokenizer,
        special_ids=frozenset(special),
        mask_token=mask_token(tokenizer, names),
        output_rows=heads_rows,
        parameters=count_parameters(tensors, table, config, heads_rows),
        licence=licence(folder),
        decoder_table=decoder,
        decoder_matrix=read_table(decoder, str(name or folder)) if decoder else None,
    )
