"""A PLM with a head to fine-tune, and another table in the place of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from defemb_core.errors import PLMError, first_line, is_out_of_memory
from defemb_core.families import is_input_table
from defemb_core.finetuning.tables import Table
from defemb_core.plm import PLM
from defemb_core.plm_files import build_classifier, build_seq2seq


def classifier(plm: PLM, table: Table, outputs: int, seed: int) -> Any:
    """Return the PLM with a new head that classifies (or, with one output, scores) texts, ready to train.

    The head's first weights depend on the seed alone, not on the table.

    Raises:
        PLMError: the family has no such head in transformers, or weights of the encoder are missing.
    """
    import torch

    torch.manual_seed(seed)
    try:
        model, missing = build_classifier(plm.folder, outputs)
    except Exception as exc:  # transformers raises many kinds for a folder or a family that does not fit
        if is_out_of_memory(exc):
            raise
        raise PLMError(f"{plm.name!r} cannot be fine-tuned to classify: {first_line(exc)}; take another PLM") from exc
    inside = [
        name for name in missing if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in f".{name}"
    ]
    if inside:
        raise PLMError(
            f"{plm.name!r} lacks {len(inside)} weights of its encoder, first {inside[0]!r}; download it again"
        )
    put_table(model, plm, table)
    return model


def summariser(plm: PLM, table: Table, seed: int) -> Any:
    """Return an encoder-decoder with its output rows, ready to train to write.

    Raises:
        PLMError: it is no encoder-decoder, or weights are missing.
    """
    import torch

    if not plm.has_decoder:
        raise PLMError(f"{plm.name!r} ({plm.architecture}) has no decoder to write with; name a BART or a T5")
    torch.manual_seed(seed)
    try:
        model, missing = build_seq2seq(plm.folder)
    except Exception as exc:
        if is_out_of_memory(exc):
            raise
        raise PLMError(f"{plm.name!r} cannot be fine-tuned to write: {first_line(exc)}; take another PLM") from exc
    if missing:
        raise PLMError(f"{plm.name!r} lacks {len(missing)} weights, first {missing[0]!r}; name one saved with its head")
    put_table(model, plm, table)
    return model


def put_table(model: Any, plm: PLM, table: Table) -> None:
    """Put a table's rows in the place of the PLM's; what is tied to them follows, untied output rows stay.

    An encoder-decoder's input tables are one table, even where the file has it twice; a decoder's own (T5Gemma) is
    replaced by the table's second matrix.

    Raises:
        PLMError: the model's rows are not those that the table is for.
    """
    import torch

    inputs = model.get_input_embeddings().weight
    if tuple(inputs.shape) != table.matrix.shape:
        raise PLMError(f"the table {table.name!r} is {table.matrix.shape}, the PLM's {tuple(inputs.shape)}")
    original = torch.from_numpy(np.array(plm.matrix))
    new = torch.from_numpy(np.array(table.matrix))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if plm.has_two_tables and ".decoder.embed_tokens." in f".{name}":
                if table.decoder_matrix is not None:
                    weight.copy_(torch.from_numpy(np.array(table.decoder_matrix)))
            elif weight is inputs or (
                is_input_table(name) and weight.shape == inputs.shape and torch.equal(weight, original)
            ):
                weight.copy_(new)


def freeze_table(model: Any) -> None:
    """Keep every input table as it is while the rest learns; output rows that are tied to it stay too."""
    for name, weight in model.named_parameters():
        if is_input_table(name) or weight is model.get_input_embeddings().weight:
            weight.requires_grad_(False)
