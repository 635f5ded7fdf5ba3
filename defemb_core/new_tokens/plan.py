"""What would be added: which of the words asked for, under which row, and from which definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from defemb_core.definitions import match_definitions
from defemb_core.errors import DictionaryError, SettingsError
from defemb_core.frequency import add_frequency, default_source
from defemb_core.new_tokens.cuts import cut_without
from defemb_core.new_tokens.rows import FROM_DEFINITIONS, Start, Words, start_rows
from defemb_core.new_tokens.spelling import (
    Style,
    first_free_row,
    misread,
    pieces_of,
    spelled,
    token_style,
    with_tokens,
)
from defemb_core.pieces import matched_senses
from defemb_core.progress import Clock, Progress
from defemb_core.text import plain
from defemb_core.vocabulary import read_vocabulary, tokenizer_kind

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from defemb_core.dictionaries import Dictionary
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Settings

Load = Callable[[pl.DataFrame], "Dictionary"]
"""Reads the dictionary for a vocabulary."""
PLANNED: Final = pl.Schema(
    {
        "term": pl.String(),  # as it was asked for, blanks joined
        "token": pl.String(),  # as the tokenizer will store it
        "token_id": pl.Int64(),  # its row; null for what is left out
        "count": pl.Int64(),  # how often a corpus has it; null without one
        "pieces": pl.List(pl.String()),  # what it is cut into so far
        "definition": pl.String(),  # the first that was found; null without one
        "source": pl.String(),  # the dictionary that it is from
        "left_out": pl.String(),  # why it is not added; null for what is
    }
)
"""Columns of `Plan.terms`, in the order in which the terms were asked for."""
NO_DEFINITION = "no definition was found"
ADDED_BEFORE = "it is, or holds, a token that was added before"
BEYOND_LIMIT = "beyond the number that was asked for"


@dataclass(frozen=True, eq=False)
class Plan:
    """The new tokens and what they are made from.

    Attributes:
        plm: the PLM as it is.
        tokenizer: with the new tokens.
        style: how these are found in texts.
        vocabulary: the vocabulary frame of the table with its new rows.
        dictionary: read for this vocabulary.
        senses: definitions of old and new rows, as describe_matches returns them.
        terms: what was asked for and what becomes of it (PLANNED).
    """

    plm: PLM
    tokenizer: Tokenizer
    style: Style
    vocabulary: pl.DataFrame
    dictionary: Dictionary
    senses: pl.DataFrame
    terms: pl.DataFrame

    @property
    def added(self) -> pl.DataFrame:
        """The terms that become tokens, in row order."""
        return self.terms.filter(pl.col("token_id").is_not_null()).sort("token_id")

    @property
    def new(self) -> np.ndarray:
        """The new rows, int64, consecutive."""
        return self.added["token_id"].to_numpy()

    @property
    def rows(self) -> int:
        """Rows of the table once they are added: those beyond the tokenizer's last token are used first."""
        return self.vocabulary.height


def plan_tokens(
    plm: PLM, terms: pl.DataFrame, load: Load, start: Start, settings: Settings, limit: int | None = None
) -> Plan:
    """Decide which terms become tokens.

    Left out, with a reason each: what is one token already; what has the name of a piece or a special token; what is
    another term once more for this tokenizer (which may fold case); what no sentence gives as one token; with a start
    that needs one, what has no definition; what is beyond `limit`. Several words may be one term ("atrial
    fibrillation"): their token is found where they stand with one blank between them.

    Args:
        plm: the PLM.
        terms: as TERMS, the most wanted first.
        load: reads the dictionary; it is told all terms, so that endless or large sources look them up.
        start: how rows will be made.
        settings: which senses count.
        limit: tokens to add, at most.

    Raises:
        SettingsError: no term can be added, and why the first cannot, or none was given.
        DictionaryError: the dictionary cannot be read.
    """
    if terms.is_empty():
        raise DictionaryError("there are no terms; name a glossary with some, or a corpus")
    style = token_style(plm.tokenizer)
    screened = _screened(plm.tokenizer, terms, style)
    candidates = _tokens(screened)
    all_of_them = _vocabulary(plm, with_tokens(plm.tokenizer, candidates, style))
    dictionary = load(all_of_them)
    new = all_of_them.filter(pl.col("token_id") >= first_free_row(plm.tokenizer))
    screened = _defined(screened, new, dictionary, start, settings)
    is_left = pl.col("left_out").is_null()
    if limit is not None:
        beyond = is_left & (is_left.cum_sum() > limit)
        screened = screened.with_columns(left_out=pl.when(beyond).then(pl.lit(BEYOND_LIMIT)).otherwise("left_out"))
    tokens, first = _tokens(screened), first_free_row(plm.tokenizer)
    if not tokens:
        term, why = screened["term"][0], screened["left_out"][0]
        raise SettingsError(f"none of {screened.height:,} terms can be added; the first, {plain(term)!r}: {why}")
    placed = screened.with_columns(token_id=pl.when(is_left).then(first - 1 + is_left.cum_sum()))
    tokenizer = with_tokens(plm.tokenizer, tokens, style)
    vocabulary = _vocabulary(plm, tokenizer)
    senses = matched_senses(plm, vocabulary, dictionary, replace(settings, pieces=False))
    return Plan(plm, tokenizer, style, vocabulary, dictionary, senses, placed.select(*PLANNED).cast(PLANNED))


def considered(terms: pl.DataFrame) -> pl.DataFrame:
    """Return the lines of a corpus' words that had a chance: up to the last one that is added, if others are beyond.

    Args:
        terms: PLANNED; a corpus offers more words than may be added, which nobody has asked for one by one.
    """
    beyond = (terms["left_out"] == BEYOND_LIMIT).fill_null(value=False)
    return terms.head(int(beyond.arg_max() or 0)) if beyond.any() else terms


def new_rows(
    plan: Plan, starts: Sequence[Start], settings: Settings, progress: Progress | None = None, plm: PLM | None = None
) -> dict[Start, np.ndarray]:
    """Return the new tokens' rows by each start, float32 (n, H), in row order; see start_rows.

    Args:
        plan: what is added.
        starts: which; those from definitions need a definition of every new token.
        settings: how.
        progress: told of every stage.
        plm: whose table the rows are for, `plan.plm` if None; another view of it has its decoder's table.

    Raises:
        SettingsError: see start_rows.
    """
    return start_rows(words_of(plan, plm or plan.plm), starts, settings, Clock(progress))


def notes_on(plan: Plan) -> list[str]:
    """Return what a user should know of the new tokens besides: sentences, mostly none or one."""
    notes = []
    if plan.style.lstrip and plan.plm.is_encoder_decoder:
        notes.append(
            "text that this PLM writes itself has no blank before a new token: it is part of the token, as of <mask>"
        )
    tokens = plan.added["token"].to_list()
    told = zip(plan.new.tolist(), tokens, strict=True)
    garbled = [token for row, token in told if plan.tokenizer.decode([row]).strip() != token]
    if garbled:
        notes.append(
            f"of the new tokens {len(garbled):,}, first {plain(garbled[0])!r}, read right but turn into other "
            "characters when ids are decoded to text"
        )
    if beyond := sum(1 for token in tokens if " " in token):
        what = "term of several words is" if beyond == 1 else "terms of several words are"
        notes.append(f"{beyond:,} {what} found where one blank stands between the words")
    return notes


def words_of(plan: Plan, plm: PLM) -> Words:
    """Return the new tokens as start_rows takes them."""
    table = np.zeros((plan.rows, plm.width), np.float32)
    table[: plm.rows] = plm.matrix
    table[plan.new] = 0
    table.setflags(write=False)
    covered = plan.senses["token_id"].unique().to_list()
    new = plan.added["term"].to_list()
    pieces: dict[int, list[int]] = cut_without(plm.tokenizer, covered)
    pieces |= dict(zip(plan.new.tolist(), pieces_of(plm.tokenizer, new), strict=True))
    return Words(
        replace(plm, matrix=table), plan.vocabulary, plan.senses, plan.dictionary.definitions, plan.new, pieces
    )


def _vocabulary(plm: PLM, tokenizer: Tokenizer) -> pl.DataFrame:
    """Return the vocabulary frame of a tokenizer with new tokens; not kept on disk, as the PLM's own is."""
    rows = max(plm.rows, first_free_row(tokenizer))
    source = default_source(tokenizer_kind(tokenizer))
    return add_frequency(read_vocabulary(tokenizer, rows, plm.special_ids), source)


def _tokens(screened: pl.DataFrame) -> list[str]:
    return screened.filter(pl.col("left_out").is_null())["token"].to_list()


def _screened(tokenizer: Tokenizer, terms: pl.DataFrame, style: Style) -> pl.DataFrame:
    """Return the terms with `token`, `pieces` and why some cannot be tokens of this tokenizer (`left_out`)."""
    asked = [" ".join(term.split()) for term in terms["term"]]
    tokens = [spelled(tokenizer, term) if term else "" for term in asked]
    cut = pieces_of(tokenizer, asked)
    added = [one.content for one in tokenizer.get_added_tokens_decoder().values()]
    seen: dict[str, str] = {}
    reasons = []
    for term, token, pieces in zip(asked, tokens, cut, strict=True):
        held = any(one in term for one in added)
        reasons.append(ADDED_BEFORE if term and held else _reason(tokenizer, term, token, pieces, seen))
        if reasons[-1] is None:
            seen[token] = term
    if seen:
        lost = misread(with_tokens(tokenizer, list(seen), style), tokenizer, seen)
        lost_why = "in a sentence the tokenizer does not find it"
        reasons = [lost_why if t in lost and r is None else r for t, r in zip(tokens, reasons, strict=True)]
    return pl.DataFrame(
        {
            "term": asked,
            "token": tokens,
            "count": terms["count"],
            "pieces": [[str(tokenizer.id_to_token(i)) for i in pieces] for pieces in cut],
            "left_out": reasons,
        },
        schema={name: PLANNED[name] for name in ("term", "token", "count", "pieces", "left_out")},
    )


def _reason(tokenizer: Tokenizer, term: str, token: str, pieces: list[int], seen: dict[str, str]) -> str | None:
    """Return why a term cannot be a token, None if it can."""
    if not term or not pieces:
        return "it is no text"
    if not term.isprintable():
        return "it holds characters that show nothing"
    if token in seen:
        return f"it is the same as “{seen[token]}” to this tokenizer"
    unknown = tokenizer.id_to_token(pieces[0]) in {"[UNK]", "<unk>"}
    if len(pieces) == 1 and not unknown:
        return "it is one token already"
    return "the tokenizer has a piece of this very name" if tokenizer.token_to_id(token) is not None else None


def _defined(
    screened: pl.DataFrame, new: pl.DataFrame, dictionary: Dictionary, start: Start, settings: Settings
) -> pl.DataFrame:
    """Return the terms with their first definition and its source; without one they are left out if the start asks.

    `new` are the lines of a vocabulary frame that stand for the terms' tokens.
    """
    matches = match_definitions(new, dictionary, settings.max_senses, settings.left_out)
    lines = dictionary.definitions.with_row_index("line").select("line", "source", text="definition")
    found = (
        matches.unique("token_id", keep="first", maintain_order=True)
        .join(new.select("token_id", "token"), on="token_id")
        .join(lines, left_on="definition", right_on="line")
        .select("token", "source", definition="text")
    )
    wanted = pl.when(pl.col("left_out").is_null()).then("token")
    joined = screened.with_columns(key=wanted).join(
        found.rename({"token": "key"}), on="key", how="left", maintain_order="left"
    )
    if start not in FROM_DEFINITIONS:
        return joined
    missing = pl.col("left_out").is_null() & pl.col("definition").is_null()
    return joined.with_columns(left_out=pl.when(missing).then(pl.lit(NO_DEFINITION)).otherwise("left_out"))
