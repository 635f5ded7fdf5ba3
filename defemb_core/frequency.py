"""How frequent each row of a vocabulary is: its rank, its word frequency, and the frequent / medium / rare groups."""

import hashlib
import math
import string
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import polars as pl

from defemb_core.cache import cache_folder, cached_frame
from defemb_core.errors import SettingsError
from defemb_core.vocabulary import read_vocabulary, tokenizer_kind

if TYPE_CHECKING:
    from defemb_core.plm import PLM

Source = Literal["vocabulary", "wordfreq"]

SOURCES: tuple[Source, ...] = ("vocabulary", "wordfreq")
GROUPS = pl.Enum(["frequent", "medium", "rare", "none"])
_FRAME_VERSION = 1  # part of the cache key: raise it when the same tokenizer gives another frame

_PUNCTUATION = string.punctuation + "“”‘’„«»…–—£€¥"  # at the ends of a word, where wordfreq does not keep it
_ZIPF_OF_CERTAINTY = 9  # Zipf scale: log10 of the occurrences in 10^9 words
_DEFAULT_SOURCES: dict[str, Source] = {
    "wordpiece": "vocabulary",
    "byte-level bpe": "vocabulary",
    "sentencepiece": "vocabulary",
    "other": "wordfreq",
}


@dataclass(frozen=True)
class Groups:
    """Shares of the ranked rows in each frequency group, from the most to the least frequent; they add up to 1.

    The defaults are those of the DefinitionEMB paper (arXiv 2408.01308).

    Raises:
        SettingsError: if a share is outside 0 to 1, or the three do not add up to 1 within 1e-6.
    """

    frequent: float = 0.3
    medium: float = 0.5
    rare: float = 0.2

    def __post_init__(self) -> None:
        shares = {"frequent": self.frequent, "medium": self.medium, "rare": self.rare}
        for name, share in shares.items():
            if not 0 <= share <= 1:  # also refuses NaN
                raise SettingsError(f"the share of {name} rows is {share:g}; give a number from 0 to 1")
        total = sum(shares.values())
        if abs(total - 1) > 1e-6:
            raise SettingsError(
                f"the shares of frequent, medium and rare rows add up to {total:g} "
                f"({self.frequent:g} + {self.medium:g} + {self.rare:g}); they have to add up to 1"
            )


def add_frequency(
    vocabulary: pl.DataFrame, source: Source = "vocabulary", groups: Groups | None = None, language: str = "en"
) -> pl.DataFrame:
    """Rank the rows of a vocabulary by frequency and group them.

    Args:
        vocabulary: lines of `vocabulary.read_vocabulary`, in row order.
        source: what decides the order. "vocabulary": the row order itself, which tokenizer training leaves behind
            (BPE merges and WordPiece come in order of frequency, Unigram pieces in order of probability). The rule is
            kept plain: the single characters that open such vocabularies (BERT: row 999 and following, from "!" to
            CJK; byte-level BPE: the first 256 rows) rank first although many of them are rare. "wordfreq": by `zipf`,
            descending; equal ones in row order, then the rows without a zipf in row order.
        groups: shares of the groups; `Groups()` if None.
        language: of the word frequencies, a code of wordfreq's lists ("en", "de", ...).

    Returns:
        The vocabulary with three more columns:

        - rank (i64): 0 = most frequent; every row has its own. Special and unused rows take no part: they come last.
        - zipf (f32): word frequency of the text on the Zipf scale (log10 of occurrences per 10^9 words: 3 is once in a
          million, "the" is 7.7), regardless of case; 0 = not in wordfreq's list. Null where a word frequency would
          mislead: special, unused, byte, whatever does not start a word, and symbols that wordfreq does not count.
        - group: frequent, medium, rare by rank among the rows that take part; none for the others. Group borders are
          rounded to whole rows.

    Raises:
        SettingsError: if the source or the language is unknown.
    """
    if source not in SOURCES:
        raise SettingsError(f"unknown frequency source {source!r}; choose one of {', '.join(SOURCES)}")
    frame = vocabulary.with_columns(zipf=_zipf(vocabulary, language))
    left_out = pl.col("kind").is_in(["special", "unused"])
    keys = [left_out, -pl.col("zipf")] if source == "wordfreq" else [left_out]
    order = frame.select(pl.arg_sort_by(keys, nulls_last=True, maintain_order=True)).to_series()
    ranks = pl.Series("rank", range(len(frame)), dtype=pl.Int64)
    rank = pl.DataFrame({"row": order, "rank": ranks}).sort("row")["rank"]
    taking_part = frame.select((~left_out).sum()).item()
    group = _group(groups or Groups(), taking_part)
    return (
        frame.with_columns(rank=rank)
        .with_columns(group=group)
        .select(
            *(name for name in vocabulary.columns if name not in ("rank", "zipf", "group")), "rank", "zipf", "group"
        )
    )


def default_source(kind: str) -> Source:
    """Choose the frequency source that suits a tokenizer's convention.

    Args:
        kind: as `vocabulary.tokenizer_kind` names it.

    Returns:
        "vocabulary" for WordPiece, byte-level BPE and SentencePiece (all in order of frequency or probability),
        "wordfreq" for "other", whose row order promises nothing.

    Raises:
        SettingsError: if there is no such kind.
    """
    if kind not in _DEFAULT_SOURCES:
        raise SettingsError(f"unknown tokenizer kind {kind!r}; choose one of {', '.join(_DEFAULT_SOURCES)}")
    return _DEFAULT_SOURCES[kind]


def plm_vocabulary(
    plm: "PLM", source: Source | None = None, groups: Groups | None = None, language: str = "en"
) -> pl.DataFrame:
    """Return the whole vocabulary frame of a PLM: what each row stands for and how frequent it is.

    It is kept on disk under the tokenizer's content and the arguments: word frequencies take longer to load than all
    the rest of a first page.

    Args:
        plm: gives the tokenizer, the number of rows and the special ids.
        source: as in add_frequency; None takes the one that suits the tokenizer.
        groups: as in add_frequency.
        language: as in add_frequency.

    Raises:
        SettingsError: as add_frequency does.

    Example:
        >>> vocabulary = de.plm_vocabulary(plm)
        >>> vocabulary.filter(text="1984").select("token_id", "kind", "group").row(0)
        (3118, 'number', 'frequent')
    """
    source, groups = source or default_source(tokenizer_kind(plm.tokenizer)), groups or Groups()

    def build() -> pl.DataFrame:
        return add_frequency(read_vocabulary(plm.tokenizer, plm.rows, plm.special_ids), source, groups, language)

    made_of = (_FRAME_VERSION, version("wordfreq"), plm.rows, sorted(plm.special_ids), source, groups, language)
    key = hashlib.sha256(f"{made_of}{plm.tokenizer.to_str()}".encode()).hexdigest()
    return cached_frame(cache_folder() / "vocabularies" / f"{key[:32]}.parquet", build)


def _group(groups: Groups, taking_part: int) -> pl.Expr:
    """Assign ranks to groups; `taking_part` rows share the ranks 0 to taking_part - 1."""
    rank = pl.col("rank")
    return (
        pl.when(rank >= taking_part)
        .then(pl.lit("none"))
        .when(rank < round(groups.frequent * taking_part))
        .then(pl.lit("frequent"))
        .when(rank < round((groups.frequent + groups.medium) * taking_part))
        .then(pl.lit("medium"))
        .otherwise(pl.lit("rare"))
        .cast(GROUPS)
    )


def _zipf(vocabulary: pl.DataFrame, language: str) -> pl.Series:
    """Look up the Zipf frequency of every row that stands for a word, a number, or a symbol that wordfreq counts."""
    lookup = _ZipfLookup(language)
    lookups = {"word": lookup.word, "number": lookup.word, "symbol": lookup.symbol}
    values = [
        lookups[kind](text) if starts_word and kind in lookups else None
        for text, kind, starts_word in vocabulary.select("text", "kind", "starts_word").iter_rows()
    ]
    return pl.Series("zipf", values, dtype=pl.Float32)


class _ZipfLookup:
    """Zipf frequencies of single words in one language.

    `wordfreq.zipf_frequency` splits each text into words first, which needs further packages for Chinese, Japanese and
    Korean. A token is one word already: it is looked up as it is, then as wordfreq normalises it (case, Unicode form),
    without punctuation at its ends ("U.S." is listed as "u.s"). A text of several words is not in the list.
    """

    def __init__(self, language: str) -> None:
        import wordfreq
        from langcodes import Language

        languages = wordfreq.available_languages()
        if language not in languages:
            raise SettingsError(
                f"no word frequencies for language {language!r}; choose one of {', '.join(sorted(languages))}"
            )
        self._frequencies = wordfreq.get_frequency_dict(language)
        self._language = Language.get(language)

    def symbol(self, text: str) -> float | None:
        """Return the Zipf frequency of a symbol, None for punctuation, which wordfreq does not count."""
        frequency = self._frequencies.get(text)
        return None if frequency is None else _to_zipf(frequency)

    def word(self, text: str) -> float:
        """Return the Zipf frequency of a word or number, 0 if it is not listed or rarer than once in 10^9 words."""
        return _to_zipf((text.isalpha() and self._frequencies.get(text)) or self._normalised(text))

    def _normalised(self, text: str) -> float:
        """Return the relative frequency of the text in wordfreq's own spelling."""
        from wordfreq.numbers import digit_freq, smash_numbers
        from wordfreq.preprocess import preprocess_text

        word = preprocess_text(text, self._language).replace("\u2019", "'").strip(_PUNCTUATION)
        # Numbers of several digits are listed by their form, all years as "0000"; digit_freq estimates this one's share
        # (1 without such a number). wordfreq itself gives "00" the sum of all two-digit numbers; here it has its share.
        return self._frequencies.get(smash_numbers(word), 0.0) * digit_freq(word)


def _to_zipf(frequency: float) -> float:
    """Convert a relative frequency (0 to 1) to the Zipf scale, to the two decimals that wordfreq stores."""
    return max(0.0, round(math.log10(frequency) + _ZIPF_OF_CERTAINTY, 2)) if frequency else 0.0
