"""How the tokenizer would cut a word that is one of its tokens, had it not that token."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from defemb_core.vocabulary import tokenizer_kind

Cut = Callable[[str], list[int]]
LONGEST = 100  # characters of a token; a longer one is no word, and has no cut


def cut_without(tokenizer: Tokenizer, rows: Collection[int], hidden: Collection[int] = ()) -> dict[int, list[int]]:
    """Return, for each of some rows, the rows that its token would be cut into without that token.

    - WordPiece: the longest piece first, from left to right, as the tokenizer itself goes (Wu et al. 2016), the word
      itself left out.
    - BPE: the two parts that its last merge joined; these stay if that merge is gone.
    - Unigram: the pieces with the highest sum of log-probabilities (Viterbi; Kudo 2018), the word itself left out.

    Args:
        tokenizer: the PLM's.
        rows: rows of whole words.
        hidden: rows that no cut may use either.

    Returns:
        The pieces of each row that can be cut so; rows that cannot (single characters, say) are left out.
    """
    model = json.loads(tokenizer.to_str())["model"]
    cut = {"WordPiece": _wordpiece, "Unigram": _unigram}.get(model["type"])
    hidden = set(hidden)
    if cut is None:
        return _by_merges(model, rows, hidden) if model["type"] == "BPE" else {}
    spelled = _spellings(model)
    find: Cut = partial(cut, _pieces(model, spelled, hidden))
    found = {row: find(spelled[row]) for row in rows if row in spelled and len(spelled[row]) <= LONGEST}
    return {row: pieces for row, pieces in found.items() if len(pieces) > 1}


def can_be_hidden(tokenizer: Tokenizer, rows: np.ndarray) -> np.ndarray:
    """Return which rows can be taken from the tokenizer without another token becoming out of reach, bool (n,).

    A merge of BPE may join this token to a longer one; such rows stay. WordPiece and Unigram have no such ties.
    """
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] != "BPE":
        return np.ones(len(rows), dtype=bool)
    parts = {model["vocab"].get(part) for merge in _merges(model) for part in merge}
    return np.array([row not in parts for row in rows.tolist()], dtype=bool)


def without_tokens(tokenizer: Tokenizer, rows: Collection[int]) -> Tokenizer:
    """Return a tokenizer that does not know the tokens of these rows and cuts their words into others.

    Each keeps its number under a name that no text holds and that reads as a row in reserve, "madeupword000000123".
    """
    described = json.loads(tokenizer.to_str())
    model, hidden = described["model"], set(rows)
    if model["type"] == "Unigram":
        worst = min(score for _, score in model["vocab"])
        model["vocab"] = [
            [_reserve(row), worst] if row in hidden else entry for row, entry in enumerate(model["vocab"])
        ]
    else:
        spelled = {token for token, row in model["vocab"].items() if row in hidden}
        model["vocab"] = {(_reserve(row) if row in hidden else token): row for token, row in model["vocab"].items()}
        if model["type"] == "BPE":
            model["merges"] = [list(merge) for merge in _merges(model) if "".join(merge) not in spelled]
    return Tokenizer.from_str(json.dumps(described))


def keeps_marks(tokenizer: Tokenizer) -> bool:
    """Return whether a word's start is part of its token's spelling, as in byte-level BPE and SentencePiece."""
    return tokenizer_kind(tokenizer) in {"byte-level bpe", "sentencepiece"}


def _reserve(row: int) -> str:
    return f"madeupword{row:09d}"


def _merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return BPE's merges; older files have each as one text."""
    parts = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"])
    return [(left, right) for left, right in parts]


def _spellings(model: dict[str, Any]) -> dict[int, str]:
    if model["type"] == "Unigram":
        return {row: piece for row, (piece, _) in enumerate(model["vocab"])}
    return {row: token for token, row in model["vocab"].items()}


def _pieces(model: dict[str, Any], spelled: dict[int, str], hidden: set[int]) -> dict[str, tuple[int, float]]:
    """Return what words may be cut into: row and score by spelling; WordPiece has no scores."""
    scores = [score for _, score in model["vocab"]] if model["type"] == "Unigram" else None
    return {token: (row, scores[row] if scores else 0.0) for row, token in spelled.items() if row not in hidden}


def _wordpiece(pieces: dict[str, tuple[int, float]], word: str, mark: str = "##") -> list[int]:
    found, start = [], 0
    while start < len(word):
        before = mark if start else ""
        ends = range(len(word), start, -1)
        end = next((e for e in ends if e - start < len(word) and before + word[start:e] in pieces), None)
        if end is None:
            return []
        found.append(pieces[before + word[start:end]][0])
        start = end
    return found


def _unigram(pieces: dict[str, tuple[int, float]], word: str) -> list[int]:
    best: list[tuple[float, int, int]] = [(0.0, 0, -1)]  # score of the start of the word, where its last piece begins
    for end in range(1, len(word) + 1):
        ways = [
            (best[start][0] + pieces[word[start:end]][1], start, pieces[word[start:end]][0])
            for start in range(end)
            if end - start < len(word) and word[start:end] in pieces
        ]
        best.append(max(ways, default=(float("-inf"), 0, -1)))
    if best[-1][0] == float("-inf"):
        return []
    found, end = [], len(word)
    while end:
        found.append(best[end][2])
        end = best[end][1]
    return found[::-1]


def _by_merges(model: dict[str, Any], rows: Collection[int], hidden: set[int]) -> dict[int, list[int]]:
    vocab, wanted = model["vocab"], set(rows)
    found: dict[int, list[int]] = {}
    for left, right in _merges(model):
        row = vocab.get(left + right)
        pieces = [vocab[left], vocab[right]]
        if row in wanted and row not in found and not hidden & set(pieces):
            found[row] = pieces
    return found
