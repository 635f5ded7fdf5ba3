"""A definition as a prompt: a sentence about a masked token, for the PLM to fill the mask's state with meaning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.errors import PLMError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from defemb_core.plm import PLM

# Chosen on held-out tokens of the bundled PLM among wordings that name the part of speech (benchmarks/RESULTS.md). The
# prompt never shows the token itself.
TEMPLATE = "{mask} ( {remarks} ) means {definition}"
TEMPLATE_WITHOUT_REMARKS = "{mask} means {definition}"
Cut = tuple[tuple[int, ...], int]
"""The rows that a word is cut into, and which of them is asked for."""
CASES = ("lower", "title", "upper", "mixed")


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts in the PLM's tokens, each distinct one once.

    Attributes:
        ids: token ids of each prompt, special tokens included.
        slots: where in each prompt the mask stands that is to be filled, int64 (n,).
        lines: which prompt belongs to each of the given lines, int64 (m,).
    """

    ids: list[list[int]]
    slots: np.ndarray
    lines: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each prompt, int64 (n,)."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def make_prompt(definition: str, remarks: Iterable[str | None], mask: str) -> str:
    """Return the prompt of one sense.

    Args:
        definition: the gloss, without usage examples.
        remarks: what else is known of the token: its part of speech in words ("noun"), what slot_remarks says. Empty
            ones and None are left out.
        mask: the PLM's mask token, which stands where the token itself would.
    """
    said = " , ".join(remark for remark in remarks if remark)
    template = TEMPLATE if said else TEMPLATE_WITHOUT_REMARKS
    return template.format(mask=mask, remarks=said, definition=definition)


def make_prompts(glosses: Sequence[str], senses: pl.DataFrame, vocabulary: pl.DataFrame, mask: str) -> list[str]:
    """Return one prompt a sense, in order; equal senses give equal prompts, which are encoded once.

    Args:
        glosses: one a sense, the token's own word hidden.
        senses: as describe_matches returns them.
        vocabulary: the vocabulary frame.
        mask: the PLM's mask token.
    """
    remarks = slot_remarks(vocabulary, senses["token_id"].to_numpy())
    lines = zip(glosses, senses["pos"], remarks, strict=True)
    return [make_prompt(gloss, (pos, remark), mask) for gloss, pos, remark in lines]


def slot_remarks(vocabulary: pl.DataFrame, ids: np.ndarray) -> list[str]:
    """Return what sets rows of the same word apart: "starts a word", "title case"; "" where the tokenizer has one form.

    Args:
        vocabulary: the vocabulary frame.
        ids: rows, any number of times each.
    """
    rows = vocabulary.select("starts_word", "case")[ids]
    case = pl.when(pl.col("case").cast(pl.String).is_in(CASES)).then(pl.col("case").cast(pl.String) + " case")
    start = pl.when("starts_word").then(pl.lit("starts a word")).otherwise(pl.lit("inside a word"))
    said = rows.select(start=start, case=case)
    told = [name for name in said.columns if said[name].drop_nulls().n_unique() > 1]
    if not told:
        return [""] * len(ids)
    return said.select(pl.concat_str(told, separator=" , ", ignore_nulls=True)).to_series().to_list()


def tokenize_prompts(
    plm: PLM,
    texts: Sequence[str],
    cuts: Sequence[Cut | None] | None = None,
    longest: int = 512,
    asked: Sequence[int] | None = None,
) -> Prompts:
    """Return prompts in tokens; the first mask is the slot.

    Args:
        plm: its mask token must occur in every text.
        texts: as make_prompts writes them.
        cuts: for each text None, or the rows of a word cut into pieces and which of them is asked for. Then the pieces
            before it are shown and those after it are masked too (autoregressive masking).
        longest: tokens of a prompt, at most, if the PLM can read so many; what is beyond them is cut off.
        asked: for each text the row that it asks for, which is masked wherever else it stands; a definition for
            "##ground" may say "back ##ground".

    Raises:
        PLMError: the tokenizer has no mask token, or a text lacks it.
    """
    cut = cuts if cuts is not None else [None] * len(texts)
    numbers: dict[tuple[str, Cut | None], int] = {}
    lines = [numbers.setdefault(key, len(numbers)) for key in zip(texts, cut, strict=True)]
    spare = max((len(pieces) - 1 for pieces, _ in filter(None, cut)), default=0)
    ids = encode_ids(plm, [text for text, _ in numbers], min(longest, plm.positions) - spare)
    slots = _mask_positions(plm, ids)
    for number, (_, pieced) in enumerate(numbers):
        if pieced is not None:
            (pieces, at), slot = pieced, slots[number]
            ids[number][slot : slot + 1] = [*pieces[:at], *[ids[number][slot]] * (len(pieces) - at)]
            slots[number] += at
    prompts = Prompts(ids, slots, np.array(lines, dtype=np.int64))
    return prompts if asked is None else _hide_asked(prompts, asked, int(plm.mask_id or 0))


def _hide_asked(prompts: Prompts, asked: Sequence[int], mask_id: int) -> Prompts:
    """Return the prompts with the row that a line asks for masked; a prompt that shows it becomes one of its own."""
    ids, slots, shown = list(prompts.ids), list(prompts.slots), [set(row) for row in prompts.ids]
    numbers: dict[tuple[int, int], int] = {}
    lines = prompts.lines.copy()
    for line, (prompt, row) in enumerate(zip(prompts.lines.tolist(), asked, strict=True)):
        if row not in shown[prompt]:
            continue
        number = numbers.setdefault((prompt, row), len(ids))
        if number == len(ids):
            ids.append([mask_id if token == row else token for token in ids[prompt]])
            slots.append(slots[prompt])
        lines[line] = number
    used, lines = np.unique(lines, return_inverse=True)  # a prompt that all its lines have left
    return Prompts([ids[i] for i in used], np.array([slots[i] for i in used], dtype=np.int64), lines)


def encode_ids(plm: PLM, texts: Sequence[str], longest: int | None = None) -> list[list[int]]:
    """Return each text's token ids with the PLM's special tokens, at most `longest`, None for `plm.max_tokens`."""
    tokenizer = plain_tokenizer(plm.tokenizer)
    tokenizer.enable_truncation(longest or plm.max_tokens)
    encodings: list[Encoding] = tokenizer.encode_batch_fast(list(texts))
    return [encoding.ids for encoding in encodings]


@lru_cache(maxsize=2)
def kept_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return the plain copy that was made before, which nobody may change: to make one takes a tenth of a second."""
    return plain_tokenizer(tokenizer)


def plain_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy without the padding and truncation that the checkpoint's tokenizer.json may switch on."""
    from tokenizers import Tokenizer

    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def _mask_positions(plm: PLM, ids: list[list[int]]) -> np.ndarray:
    if plm.mask_token is None:
        raise PLMError(f"the tokenizer of {plm.name!r} has no mask token; method 'instant' works without one")
    mask_id = plm.tokenizer.token_to_id(plm.mask_token)
    try:
        return np.array([row.index(mask_id) for row in ids if mask_id is not None], dtype=np.int64)
    except ValueError:
        raise PLMError(f"a prompt lacks the mask token {plm.mask_token!r} of {plm.name!r}") from None
