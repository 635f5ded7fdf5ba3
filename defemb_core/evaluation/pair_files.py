"""Word pairs with human scores: the sets that come with defemb, and any file in the usual formats."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.cache import cache_folder, write_atomically
from defemb_core.errors import EvaluationError
from defemb_core.text import decoded

SHIPPED: Final = {
    "SimLex-999": "simlex-999.tsv",
    "WS-353": "ws-353.tsv",
    "MEN-3000": "men-3000.tsv",
    "MTurk-771": "mturk-771.tsv",
    "RG-65": "rg-65.tsv",
    "MC-30": "mc-30.tsv",
    "YP-130": "yp-130.tsv",
}
"""Names of the sets that come with defemb, and their files; pairs/README.md says who made them."""
LARGEST = 64 * 2**20  # bytes; the largest published set has a hundredth of it

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SNIFFED: Final = 200  # lines that tell how columns are separated
_NOTHING: Final = {"", "na", "nan", "none", "null"}  # what stands in the place of a missing score
_DECIMAL_COMMA: Final = re.compile(r"^(-?\d+),(\d+)$")
_FOLDER: Final = Path(__file__).parent / "pairs"
# How headers of the published files and of spreadsheets call their columns, letters and digits only.
_WORDS: Final = (
    {"word1", "wordone", "firstword", "worda", "w1", "term1"},
    {"word2", "wordtwo", "secondword", "wordb", "w2", "term2"},
)
_SCORES: Final = {
    "score", "scores", "humanscore", "similarity", "similarityscore", "sim", "relatedness", "rating", "meanrating",
    "human", "humanmean", "mean", "meanscore", "average", "averagescore", "avgscore", "judgement", "judgment", "gold",
    "goldscore", "simlex999", "simverb3500",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairSet:
    """Pairs of words with human scores.

    Attributes:
        name: what a reader knows the set by.
        pairs: a line a pair: `word1 str`, `word2 str` as they are written, `score f64`, finite, on the set's own scale.
        left_out: numbers of the lines, 1 for the file's first, that have no two words or no score.
    """

    name: str
    pairs: pl.DataFrame
    left_out: list[int] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """Sentences on what was left out."""
        if not self.left_out:
            return []
        lines = ", ".join(map(str, self.left_out[:10])) + (", ..." if len(self.left_out) > 10 else "")
        return [f"{self.name}: {len(self.left_out):,} lines without two words and a score left out (line {lines})"]


def shipped_pairs() -> list[PairSet]:
    """Return the sets that come with defemb, in the order of SHIPPED."""
    return [parse_pairs((_FOLDER / file).read_bytes(), name) for name, file in SHIPPED.items()]


def read_pairs(path: Path | str) -> PairSet:
    """Read a file of word pairs; see parse_pairs. The set is called like the file, without its suffix.

    Raises:
        EvaluationError: there is no such file, or it holds no pairs with scores.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            return parse_pairs(opened.read(LARGEST + 1), file.stem)
    except IsADirectoryError:
        raise EvaluationError(f"{str(path)!r} is a folder; name one file of word pairs in it") from None
    except (OSError, ValueError) as exc:  # the second: a NUL in the name
        why = getattr(exc, "strerror", None) or exc
        raise EvaluationError(f"cannot read word pairs from {str(path)!r} ({why}); name a file") from None


def keep_pairs(content: bytes, name: str) -> Path:
    """Keep a file of word pairs that has no place on this machine yet; return where it lies.

    Args:
        content: the file's bytes.
        name: what the file was called where it came from.

    Raises:
        EvaluationError: it holds no pairs with scores, or the cache folder cannot be written.
    """
    parse_pairs(content, name)
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = cache_folder() / "word-pairs" / digest / (re.sub(r"[/\\\x00-\x1f]", "_", name)[:60].strip(". ") or "pairs")
    try:
        write_atomically(path, lambda to: to.write_bytes(content))
    except OSError as exc:
        raise EvaluationError(
            f"cannot write to the cache folder {str(cache_folder())!r} ({exc.strerror or exc}); set DEFEMB_CACHE to a "
            "folder with space that you may write to"
        ) from None
    return path


def parse_pairs(content: bytes, name: str) -> PairSet:
    """Read word pairs from a file's bytes.

    Columns are separated by tabs, semicolons, commas or blanks, whichever cuts most lines into three; in quotes these
    separate nothing. Decimal commas count as points unless commas separate. A first line without a score, or with names
    of columns as the published sets have them ("Word 1", "SimLex999", "Human (mean)"), is a header. Without known names
    the words are the first two columns, and the score the first column of numbers after them. Lines that begin with "#"
    before the first pair are comments. Text is UTF-8, or UTF-16 with a mark, else CP1252, which has Latin-1 in it.

    Raises:
        EvaluationError: it is no text, or has no line of two words and a score.
    """
    if len(content) > LARGEST:
        raise EvaluationError(f"{name!r} is larger than {LARGEST // 2**20} MB; no list of word pairs is so long")
    lines = [(number, line) for number, line in enumerate(_LINE_END.split(_text(content, name)), 1) if line.strip()]
    while lines and lines[0][1].startswith("#"):
        lines.pop(0)
    if not lines:
        raise EvaluationError(f"{name!r} is empty; a file of word pairs has a line a pair: word, word, score")
    try:
        separator = _separator([line for _, line in lines[:_SNIFFED]])
        cells = [(number, _cells(line, separator)) for number, line in lines]
    except csv.Error as exc:
        raise EvaluationError(
            f"{name!r} is no list of word pairs ({exc}); each line needs two words and a score"
        ) from None
    header = _is_header(cells[0][1], [row for _, row in cells[1:]])
    first, second, score = _columns(cells[0][1] if header else [], [row for _, row in cells[header:]], name)
    kept, left_out = [], []
    for number, row in cells[header:]:
        value = _number(row[score]) if score < len(row) else None
        if value is None or not (first < len(row) and second < len(row) and row[first] and row[second]):
            left_out.append(number)
        else:
            kept.append((row[first], row[second], value))
    if not kept:
        raise EvaluationError(f"{name!r} has scores, but no line with two words as well; each line needs all three")
    frame = pl.DataFrame(kept, {"word1": pl.String, "word2": pl.String, "score": pl.Float64}, orient="row")
    return PairSet(name, frame, left_out)


def _text(content: bytes, name: str) -> str:
    text = decoded(content)
    if text is None:
        raise EvaluationError(f"{name!r} is no text; save it as CSV or TSV with a line a pair: word, word, score")
    return text


def _separator(lines: list[str]) -> str:
    """Return what cuts at least half of the lines into three, "" for blanks."""
    for separator in "\t;,":
        if 2 * sum(len(_cells(line, separator)) > 2 for line in lines) >= len(lines):
            return separator
    return ""


def _cells(line: str, separator: str) -> list[str]:
    if not separator:
        return line.split()
    # A tab needs no quotes around a cell, and a quotation mark may be a word's own then.
    bare = separator == "\t" and line.count('"') % 2
    cells = [cell.strip() for cell in (line.split("\t") if bare else next(csv.reader([line], delimiter=separator), []))]
    return cells if separator == "," else [_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in cells]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _plain(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.lower())


def _is_header(first: list[str], others: list[list[str]]) -> bool:
    """Whether the first line names columns: by names that we know, or as the only one that is as long without numbers.

    A first pair without a score is shorter than its fellows, or its cell of the score is empty.
    """
    names = [_plain(cell) for cell in first]
    if any(name in _WORDS[0] for name in names) and any(name in _WORDS[1] for name in names):
        return True
    numbers = sum(any(_number(cell) is not None for cell in row[2:]) for row in others)
    bare = len(first) > 2 and all(_number(cell) is None and _plain(cell) not in _NOTHING for cell in first)
    return bare and 2 * numbers > len(others)


def _columns(header: list[str], rows: list[list[str]], name: str) -> tuple[int, int, int]:
    """Return where the two words and the score stand."""
    if not rows:
        raise EvaluationError(f"{name!r} has a header and no pairs; each line after it needs two words and a score")
    names = [_plain(cell) for cell in header]
    found = [next((i for i, cell in enumerate(names) if cell in known), None) for known in _WORDS]
    first, second = (0, 1) if found[0] is None or found[1] is None else (found[0], found[1])
    others = [i for i in range(max(map(len, rows))) if i not in (first, second)]
    numbers = {i: sum(i < len(row) and _number(row[i]) is not None for row in rows) for i in others}
    most = max(numbers.values(), default=0)
    if not most:
        raise EvaluationError(
            f"{name!r} has no line with two words and a score; each line needs them, as in: tiger, cat, 7.35"
        )
    named = [i for i in others if i < len(names) and names[i] in _SCORES and numbers[i]]
    # A column that is mostly words may hold a number or two.
    return first, second, (named or [i for i in others if 2 * numbers[i] >= most])[0]
