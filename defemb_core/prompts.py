"""A definition as a prompt: a sentence about a masked token, for the PLM to fill the mask's state with meaning."""

from __future__ import annotations

from collections.abc import Iterable

# Chosen on held-out tokens of the bundled PLM among wordings that name the part of speech (benchmarks/RESULTS.md). The
# prompt never shows the token itself.
TEMPLATE = "{mask} ( {pos} ) means {definition}"
TEMPLATE_WITHOUT_POS = "{mask} means {definition}"


def make_prompt(definition: str, pos: str | None, mask: str) -> str:
    """Return the prompt of one sense.

    Args:
        definition: the gloss, without usage examples.
        pos: part of speech in words ("noun"), or None if the dictionary has none.
        mask: the PLM's mask token, which stands where the token itself would.
    """
    if pos:
        return TEMPLATE.format(mask=mask, pos=pos, definition=definition)
    return TEMPLATE_WITHOUT_POS.format(mask=mask, definition=definition)


def make_prompts(definitions: Iterable[str], parts_of_speech: Iterable[str | None], mask: str) -> list[str]:
    """Return one prompt a sense, in order; equal senses give equal prompts, which are encoded once."""
    return [make_prompt(definition, pos, mask) for definition, pos in zip(definitions, parts_of_speech, strict=True)]
