"""What is known of a run before it starts: how large the PLM is, and how much there is to read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from defemb_core.definitions import PIECES
from defemb_core.evaluation.held_out import SHARE
from defemb_core.families import OUTPUT_NAMES, TABLE_NAMES, is_input_table
from defemb_core.features import definition_texts, with_relations
from defemb_core.pieces import cuts_of
from defemb_core.prompts import encode_ids, make_prompts, slot_remarks
from defemb_core.trained import VALIDATION
from defemb_core.weights import Tensor, list_tensors

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

# Prompts that are tokenized to learn how long they are: their mean is within 5 % of that of all.
SAMPLE = 500
# Parts of a checkpoint that a student does not have: what is above the last state.
HEADS = ("cls.", "lm_head.", "pooler.", "predictions.", "classifier.")


@dataclass(frozen=True)
class Sizes:
    """How large a PLM is, heads apart.

    Attributes:
        parameters: all of them, each counted once.
        table: those of the tables over the vocabulary, which are looked up, not multiplied.
        encoder: weights that a token is multiplied with in the encoder; shared layers count as often as they are used.
        decoder: likewise in the decoder, 0 without one.
        rows: of the table that is rebuilt, V.
        width: columns of the states, H.
        columns: of the table; fewer than the states' where a factor lies between (ALBERT).
        layers: of encoder and decoder.
        tables: how many are rebuilt, one after the other; 2 for T5Gemma.
    """

    parameters: int
    table: int
    encoder: int
    decoder: int
    rows: int
    width: int
    columns: int
    layers: int
    tables: int = 1


@dataclass(frozen=True)
class PromptLoad:
    """How much there is to read.

    Attributes:
        covered: rows that have a definition.
        lines: their senses, of which a prompt is made each.
        prompts: different ones among these; each is read once.
        lengths: tokens of a sample of the prompts, special tokens included.
        learned: lines that a student may learn from and is not judged by.
        maps: maps that are fitted: one, and one more for rows that are told by words which contain them.
    """

    covered: int
    lines: int
    prompts: int
    lengths: tuple[int, ...]
    learned: int
    maps: int = 1

    @property
    def tokens(self) -> float:
        """Mean tokens of a prompt."""
        return float(np.mean(self.lengths))


def public_sizes(
    parameters: int, rows: int, width: int, layers: int, decoder_layers: int = 0, tables: int = 1
) -> Sizes:
    """Return the sizes of a PLM that is not on this machine, from the numbers that its card or paper gives.

    What is no table is shared out to encoder and decoder by their layers; positions count as weights, which is 1 %.
    """
    table = tables * rows * width
    encoder = round((parameters - table) * layers / (layers + decoder_layers))
    decoder = parameters - table - encoder
    return Sizes(parameters, table, encoder, decoder, rows, width, width, layers + decoder_layers, tables)


def sizes_of(plm: PLM) -> Sizes:
    """Return a PLM's sizes, from its settings and the names and shapes of its tensors; no weights are read."""
    tensors = _body(plm)
    names = [name for name, tensor in tensors.items() if _is_weight(name, tensor, plm.rows)]
    decoder = [name for name in names if name.startswith("decoder.")]
    encoder = [name for name in names if not name.startswith("decoder.")]
    used = _uses(plm.config)
    tables = [t for t in tensors.values() if t.shape[:1] == (plm.rows,) and is_input_table(t.name)]
    return Sizes(
        parameters=sum(tensor.size for tensor in tensors.values()),
        table=sum(table.size for table in tables),
        encoder=sum(tensors[name].size * (used if _layers([name]) else 1) for name in encoder),
        decoder=sum(tensors[name].size for name in decoder),
        rows=plm.rows,
        width=_width(plm.config) or plm.width,
        columns=plm.width,
        layers=_layers(encoder) * used + _layers(decoder),
        tables=2 if plm.has_decoder_table else 1,
    )


def prompt_load(plm: PLM, vocabulary: pl.DataFrame, senses: pl.DataFrame, settings: Settings) -> PromptLoad:
    """Return how much there is to read; different prompts are counted by what they are made of.

    Args:
        plm: its tokenizer cuts a sample of the prompts.
        vocabulary: the vocabulary frame with frequency groups.
        senses: as describe_matches returns them, of one line at least.
        settings: method, related words and what rare rows count.
    """
    related = settings.method == "trained" and settings.relations
    ids = senses["token_id"].to_numpy()
    said = ["gloss", "pos", *(["related"] if related else []), *({"pieces", "at"} & set(senses.columns))]
    # Where its own word is hidden in it, a definition that several words share gives each a prompt of its own.
    shows = pl.any_horizontal(
        pl.col(column).str.to_lowercase().str.contains(pl.col("text").str.to_lowercase(), literal=True)
        for column in ("gloss", *(["related"] if related else []))
    )
    different = senses.select(
        *said, remark=pl.Series(slot_remarks(vocabulary, ids)), hidden=pl.when(shows).then("text")
    ).n_unique()
    sample = senses[np.unique(np.linspace(0, senses.height - 1, SAMPLE).astype(int))]
    glosses, _ = definition_texts(sample, False, plm.mask_token or "")
    if related:
        glosses = with_relations(glosses, sample, plm.mask_token or "")
    prompts = make_prompts(glosses, sample, vocabulary, plm.mask_token or "")
    more = [0 if cut is None else len(cut[0]) - 1 for cut in cuts_of(sample) or [None] * len(prompts)]
    lengths = tuple(len(row) + pieces for row, pieces in zip(encode_ids(plm, prompts), more, strict=True))
    rare_counts = settings.rare_weight if settings.rare_weight is not None else settings.method != "trained"
    counted = 1.0 if rare_counts else float((vocabulary["group"] != "rare").to_numpy()[ids].mean())
    learned = round(senses.height * counted * (1 - SHARE) * (1 - VALIDATION))
    maps = 2 if senses["how"].cast(pl.String).is_in(PIECES).any() else 1
    return PromptLoad(senses["token_id"].n_unique(), senses.height, different, lengths, max(1, learned), maps)


def _body(plm: PLM) -> dict[str, Tensor]:
    """Return the tensors below the heads, by their names without the model's own prefix; each table once."""
    suffix = next(known for known in TABLE_NAMES if f".{plm.table.name}".endswith(f".{known}"))
    prefix = plm.table.name.removesuffix(suffix)
    found: dict[str, Tensor] = {}
    for tensor in list_tensors(plm.folder).values():
        name = tensor.name.removeprefix(prefix)
        head = name.startswith(HEADS) or f".{name}".endswith(tuple(f".{output}" for output in OUTPUT_NAMES))
        # A pickled checkpoint lists the table that both sides share again.
        again = tensor != plm.table and tensor.shape == plm.table.shape and is_input_table(name)
        repeated = again and plm.is_encoder_decoder and not plm.has_two_tables
        if tensor.name.startswith(prefix) and not head and not repeated and not name.endswith("position_ids"):
            found[name] = tensor
    return found


def _is_weight(name: str, tensor: Tensor, rows: int) -> bool:
    """Return whether tokens are multiplied with a tensor: a matrix that nothing is looked up in."""
    looked_up = "embeddings." in name or "embed_" in name or "relative_attention_bias" in name
    return len(tensor.shape) == 2 and not looked_up and tensor.shape[0] != rows


def _layers(names: list[str]) -> int:
    """Return how many layers tensors of these names have."""
    return len({found[0] for name in names if (found := re.match(r".*?\.\d+\.", name))})


def _uses(config: dict[str, Any]) -> int:
    """Return how often the encoder goes through each of its layers: once, but for ALBERT's shared ones."""
    groups = int(config.get("num_hidden_groups") or 0)
    return max(1, int(config["num_hidden_layers"]) // groups) if groups else 1


def _width(config: dict[str, Any]) -> int:
    """Return the width of the encoder's states by the settings, 0 if they do not say."""
    settings = config | (config.get("encoder") or {})
    return int(next((settings[name] for name in ("hidden_size", "d_model", "dim") if settings.get(name)), 0))
