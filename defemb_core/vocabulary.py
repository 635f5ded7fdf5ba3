"""What each row of an embedding table stands for: its token, the text a reader sees, its kind, word start and case."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import polars as pl
from tokenizers import Tokenizer

from defemb_core.errors import PLMError

TokenizerKind = Literal["wordpiece", "byte-level bpe", "sentencepiece", "other"]

KINDS = pl.Enum(["word", "subword", "number", "symbol", "byte", "special", "unused"])
CASES = pl.Enum(["lower", "title", "upper", "mixed", "none"])

WORD_MARK = "\u2581"  # SentencePiece writes a blank as the character LOWER ONE EIGHTH BLOCK

# Names under which published vocabularies keep rows in reserve: BERT, Gemma, fairseq, Llama 3.
_UNUSED = r"^(?:\[unused\d+\]|<unused\d+>|madeupword\d+|<\|reserved_special_token_\d+\|>)$"
# Vowel signs of Indic scripts are alphabetic without being letters; circled letters and Roman numerals are not for us.
_LETTER = r"[\p{Alphabetic}--\p{N}--\p{S}]"
_BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# Control characters other than tab and line ends, and the code points that stand for bytes outside valid UTF-8.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\udc80-\udcff]+")

# (text, starts a word, holds bytes that are no text)
_Reading = tuple[str, bool, bool]


@dataclass(frozen=True)
class _Convention:
    """How a vocabulary writes word starts: marks that belong to the spelling of a token, not to its text."""

    kind: TokenizerKind
    continuation: str = ""  # before a piece that continues a word (WordPiece "##")
    ending: str = ""  # after a piece that ends a word ("</w>" of the first BPE models)


def read_vocabulary(tokenizer: Tokenizer, rows: int, special_ids: Collection[int] = ()) -> pl.DataFrame:
    """Describe every row of an embedding table.

    Args:
        tokenizer: the PLM's fast tokenizer.
        rows: number of rows of the embedding table; tables are often padded beyond the tokenizer's last token.
        special_ids: rows that are special although the tokenizer does not flag them (from the PLM's settings).

    Returns:
        Exactly `rows` lines in row order:

        - token_id (i64): the row, 0 to rows - 1.
        - token (str): as the tokenizer stores it; "<row 30522>" where it names nothing.
        - text (str): as a reader writes it, without marks of word start or continuation. Byte-level tokens are
          decoded from UTF-8; bytes that form no character are shown as "<0xE2 0x80>". "" for unnamed rows.
        - kind: word (starts a word, has letters), subword (continues a word, has letters), number (digits, no letters),
          symbol (neither), byte (one byte, or an incomplete character), special ([CLS], </s>, <extra_id_0>), unused
          ([unused12], madeupword0001, unnamed rows).
        - starts_word (bool): whether the token stands at the start of a word by the tokenizer's convention: no "##" in
          WordPiece, a leading blank mark in byte-level BPE and SentencePiece (there a word at the very start of a text,
          written without the mark, reads as a continuation). Tokens that were added by hand count as whole words, and
          so do all tokens of a tokenizer without such marks. False for special and unused rows.
        - case: lower, title (first letter alone is upper), upper, mixed, none (no cased letter; special, unused, byte).

    Raises:
        PLMError: if the tokenizer has more tokens than the table has rows, or a special id is no row.
    """
    tokens = _row_tokens(tokenizer, rows)
    _check_special(special_ids, rows)
    description = json.loads(tokenizer.to_str())
    added = tokenizer.get_added_tokens_decoder()
    plain = {row for row, token in added.items() if not token.special}
    flagged = added.keys() - plain | _unknown_token_ids(tokenizer, description["model"])
    readings = _readings(tokens, _convention(description), plain)
    return _frame(tokens, readings, sorted(special_ids), sorted(flagged))


@lru_cache(maxsize=4)  # to read a tokenizer's description takes 20 ms, and every page asks several times
def tokenizer_kind(tokenizer: Tokenizer) -> TokenizerKind:
    """Name the convention by which a tokenizer writes its tokens.

    Returns:
        "wordpiece" (continuations begin with "##"), "byte-level bpe" (characters stand for bytes, a word start carries
        the blank's, "Ġ"), "sentencepiece" (Unigram or BPE pieces whose word start carries "▁"), or "other".
    """
    return _convention(json.loads(tokenizer.to_str())).kind


def _convention(description: dict[str, Any]) -> _Convention:
    """Read the convention from the tokenizer's own description of itself."""
    model = description["model"]
    steps = [description.get(step) for step in ("normalizer", "pre_tokenizer", "decoder")]
    names = set(_strings(steps))
    continuation, ending = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    if model["type"] == "WordPiece":
        return _Convention("wordpiece", continuation)
    if model["type"] == "BPE" and "ByteLevel" in names:
        return _Convention("byte-level bpe", continuation, ending)
    # Gemma and Llama write the mark with a normalizer ("Replace"), the others with a pre-tokenizer ("Metaspace").
    if WORD_MARK in names or model["type"] == "Unigram":
        return _Convention("sentencepiece")
    return _Convention("other", continuation, ending)


def _strings(node: Any) -> Iterator[str]:
    """Yield every string value of a JSON tree."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _strings(child)


def _row_tokens(tokenizer: Tokenizer, rows: int) -> list[str | None]:
    """List the stored token of every row, None where the tokenizer names none."""
    named = {row: token for token, row in tokenizer.get_vocab(with_added_tokens=False).items()}
    # An added token may take a row that the model's own vocabulary names differently: then the added one encodes.
    named |= {row: token.content for row, token in tokenizer.get_added_tokens_decoder().items()}
    count = max(named, default=-1) + 1
    if count > rows:
        raise PLMError(
            f"the tokenizer has ids for {count:,} tokens, but the embedding table has {rows:,} rows; "
            "take tokenizer and weights from the same checkpoint, or resize the table to the tokenizer"
        )
    # A piece that a Unigram vocabulary lists twice has one id in the mapping above and the other one only here.
    return [named[row] if row in named else tokenizer.id_to_token(row) for row in range(rows)]


def _check_special(special_ids: Collection[int], rows: int) -> None:
    """Refuse special ids that are no rows of the table."""
    outside = sorted(row for row in special_ids if not 0 <= row < rows)
    if outside:
        raise PLMError(
            f"special id {outside[0]} is not a row of the embedding table, which has {rows:,} rows; "
            "correct the special token ids in the PLM's settings"
        )


def _unknown_token_ids(tokenizer: Tokenizer, model: dict[str, Any]) -> set[int]:
    """Return the row of the model's unknown token, which bare vocabularies do not flag as special."""
    if model.get("unk_id") is not None:
        return {model["unk_id"]}
    row = tokenizer.token_to_id(model.get("unk_token") or "")
    return set() if row is None else {row}


def _readings(tokens: list[str | None], convention: _Convention, added: Collection[int]) -> list[_Reading]:
    """Read every stored token; `added` are the rows of ordinary tokens that a user put in, spelled as plain text."""
    read = _reader(convention)
    readings = [("", False, False) if token is None else read(token) for token in tokens]
    for row in added:
        token = tokens[row] or ""
        continues = bool(convention.continuation) and token.startswith(convention.continuation)
        text, _, _ = read(token) if convention.kind != "byte-level bpe" else (token, False, False)
        readings[row] = (text.lstrip() or text, not continues, bool(_BYTE_PIECE.fullmatch(token)))
    return readings


def _reader(convention: _Convention) -> Callable[[str], _Reading]:
    """Choose how the convention's tokens are read."""
    if convention.kind == "sentencepiece":
        return _read_marked
    if convention.kind == "byte-level bpe" and not convention.ending:
        characters = _byte_characters()
        return lambda token: _read_bytes(token, characters)
    return lambda token: _read_affixed(token, convention)


def _read_affixed(token: str, convention: _Convention) -> _Reading:
    """Read a token whose mark is a prefix or suffix of plain text: "##ing", "table</w>", or a token without marks."""
    continues = bool(convention.continuation) and token.startswith(convention.continuation)
    text = token.removeprefix(convention.continuation).removesuffix(convention.ending)
    # Where only word ends are marked, a piece that ends a word is the one that can be a whole word.
    starts = token.endswith(convention.ending) if convention.ending else not continues
    return text or token, starts, False


def _read_marked(token: str) -> _Reading:
    """Read a SentencePiece token: the mark is a blank, and "<0x0A>" is the byte that no other piece covers."""
    if _BYTE_PIECE.fullmatch(token):
        return token, False, True
    text = token.replace(WORD_MARK, " ")
    starts = text.startswith(" ")
    return (text if text.isspace() else text.removeprefix(" ")), starts, False


def _read_bytes(token: str, characters: dict[str, int]) -> _Reading:
    """Read a byte-level token: each character stands for a byte, together they are UTF-8 or a part of it."""
    try:
        data = bytes([characters[character] for character in token])
    except KeyError:  # not spelled in byte characters, as tokens are that were added as plain text
        return token, token.startswith(" "), False
    decoded = data.decode("utf-8", errors="surrogateescape")
    shown = _NOT_TEXT.sub(_hexadecimal, decoded)
    starts = shown.startswith(" ")
    return (shown if shown.isspace() else shown.removeprefix(" ")), starts, shown != decoded


def _hexadecimal(match: re.Match[str]) -> str:
    """Write a run of bytes that is no text as "<0xE2 0x80>"."""
    # A byte b outside valid UTF-8 is decoded as the code point 0xDC00 + b.
    return "<" + " ".join(f"0x{ord(character) & 0xFF:02X}" for character in match.group()) + ">"


def _byte_characters() -> dict[str, int]:
    """Return which byte each character of a byte-level vocabulary stands for.

    Printable Latin-1 characters stand for themselves; the other bytes, in order, are written as U+0100 and following,
    so that the blank, 0x20, is "Ġ" (U+0120).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def _frame(
    tokens: list[str | None], readings: list[_Reading], special_ids: list[int], flagged: list[int]
) -> pl.DataFrame:
    """Put the columns together and add kind and case."""
    frame = pl.DataFrame(
        {
            "token_id": pl.Series(range(len(tokens)), dtype=pl.Int64),
            "token": pl.Series([f"<row {row}>" if t is None else t for row, t in enumerate(tokens)], dtype=pl.String),
            "text": pl.Series([text for text, _, _ in readings], dtype=pl.String),
            "starts_word": pl.Series([starts for _, starts, _ in readings], dtype=pl.Boolean),
            "_byte": pl.Series([not_text for _, _, not_text in readings], dtype=pl.Boolean),
            "_named": pl.Series([token is not None for token in tokens], dtype=pl.Boolean),
        }
    ).with_columns(kind=_kind(special_ids, flagged))
    reserved = pl.col("kind").is_in(["special", "unused"])
    uncased = reserved | (pl.col("kind") == "byte")
    return frame.select(
        "token_id",
        "token",
        "text",
        "kind",
        pl.col("starts_word") & ~reserved,
        pl.when(uncased).then(pl.lit("none")).otherwise(_case()).cast(CASES).alias("case"),
    )


def _kind(special_ids: list[int], flagged: list[int]) -> pl.Expr:
    """Decide a row's kind; the first rule that holds."""
    row, text = pl.col("token_id"), pl.col("text")
    return (
        pl.when(row.is_in(special_ids))
        .then(pl.lit("special"))
        .when(~pl.col("_named") | pl.col("token").str.contains(_UNUSED))
        .then(pl.lit("unused"))
        .when(row.is_in(flagged))
        .then(pl.lit("special"))
        .when(pl.col("_byte"))
        .then(pl.lit("byte"))
        .when(text.str.contains(_LETTER))
        .then(pl.when("starts_word").then(pl.lit("word")).otherwise(pl.lit("subword")))
        .when(text.str.contains(r"\p{N}"))
        .then(pl.lit("number"))
        .otherwise(pl.lit("symbol"))
        .cast(KINDS)
    )


def _case() -> pl.Expr:
    """Decide a text's case by its cased letters; a single capital is upper."""
    text = pl.col("text")
    upper, lower = text.str.contains(r"[\p{Lu}\p{Lt}]"), text.str.contains(r"\p{Ll}")
    return (
        pl.when(~upper & ~lower)
        .then(pl.lit("none"))
        .when(~upper)
        .then(pl.lit("lower"))
        .when(~lower)
        .then(pl.lit("upper"))
        .when(text.str.contains(r"^[^\p{Ll}\p{Lu}\p{Lt}]*[\p{Lu}\p{Lt}][^\p{Lu}\p{Lt}]*$"))
        .then(pl.lit("title"))
        .otherwise(pl.lit("mixed"))
    )
