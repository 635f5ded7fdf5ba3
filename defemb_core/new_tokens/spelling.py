"""How a tokenizer learns a word: as an added token that is found where the word stands alone, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from defemb_core.errors import SettingsError
from defemb_core.prompts import plain_tokenizer
from defemb_core.vocabulary import WORD_MARK

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

# A word stands between these in the sentence that the tokenizer is tried with.
_BEFORE, _AFTER = "a", " b"
_TRIED = "zq"  # a word that no tokenizer has
# Scripts whose words stand without blanks between them, so that no word is ever "alone": Thai, Lao, Myanmar, Khmer,
# kana, Han.
_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True)
class Style:
    """How added tokens are looked for.

    Attributes:
        normalized: in the text as the tokenizer normalizes it (lower case, without accents), else as it is written.
        lstrip: whether the blanks before it are part of it, as they are of the tokens of byte-level BPE and
            SentencePiece; else these would become a token of their own.
    """

    normalized: bool
    lstrip: bool


_STYLES = (Style(True, False), Style(True, True), Style(False, True))


def token_style(tokenizer: Tokenizer) -> Style:
    """Return the first style by which this tokenizer reads an added word in a sentence as one token and no more.

    Raises:
        SettingsError: it does so by none.
    """
    for style in _STYLES:
        if not misread(with_tokens(tokenizer, [_TRIED], style), tokenizer, {_TRIED: _TRIED}):
            return style
    raise SettingsError("this tokenizer does not read an added word as one token, so that none can be added")


def spelled(tokenizer: Tokenizer, term: str) -> str:
    """Return a term as its token is stored: in the tokenizer's own case and accents, one blank between words."""
    term = " ".join(term.split())
    if tokenizer.normalizer is None:
        return term
    normalize = tokenizer.normalizer.normalize_str
    normal = str(normalize(term)).strip()
    steady = normalize(normal).strip() == normal  # BERT's puts blanks around Chinese characters, each time anew
    return normal if normal and steady and WORD_MARK not in normal else term


def with_tokens(tokenizer: Tokenizer, tokens: Sequence[str], style: Style) -> Tokenizer:
    """Return a copy of the tokenizer that knows further tokens, in the rows after its last.

    A word that merely contains such a token is cut as before, except in scripts that write no blanks between words.

    Raises:
        SettingsError: the tokenizer numbers its tokens with gaps, so that new ones would take rows of others.
    """
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(tokenizer.to_str())
    first = first_free_row(tokenizer)
    copy.add_tokens([added_token(token, style) for token in tokens])
    got = [copy.token_to_id(token) for token in tokens]
    if got != list(range(first, first + len(tokens))):
        raise SettingsError(
            f"the tokenizer would give {tokens[0]!r} row {got[0]} instead of {first}, the first after its last token; "
            "it numbers its tokens with gaps, save it again with its own library"
        )
    return copy


def added_token(token: str, style: Style) -> AddedToken:
    """Return the token as tokenizers takes it."""
    from tokenizers import AddedToken

    alone = not (_WITHOUT_BLANKS.match(token[:1]) or _WITHOUT_BLANKS.match(token[-1:]))
    return AddedToken(token, single_word=alone, lstrip=style.lstrip, normalized=style.normalized, special=False)


def first_free_row(tokenizer: Tokenizer) -> int:
    """Return the row after the tokenizer's last token."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def pieces_of(tokenizer: Tokenizer, terms: Sequence[str]) -> list[list[int]]:
    """Return the rows that each term is cut into as it stands inside a sentence."""
    asked = plain_tokenizer(tokenizer)
    encodings = asked.encode_batch_fast([f" {term}" for term in terms], add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def misread(new: Tokenizer, old: Tokenizer, tokens: Mapping[str, str]) -> set[str]:
    """Return those of the added tokens that a sentence with the word does not give as one token.

    Args:
        new: the tokenizer with the tokens.
        old: the one without them.
        tokens: what each token stands for, as a reader writes it.
    """
    now, before = plain_tokenizer(new), plain_tokenizer(old)
    start, end = (before.encode(part, add_special_tokens=False).ids for part in (_BEFORE, _AFTER))
    texts = [f"{_BEFORE} {term}{_AFTER}" for term in tokens.values()]
    read = now.encode_batch_fast(texts, add_special_tokens=False)
    lines = zip(tokens, read, strict=True)
    return {token for token, line in lines if line.ids != [*start, now.token_to_id(token), *end]}
