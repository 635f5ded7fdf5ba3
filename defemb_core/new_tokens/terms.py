"""Which words might become tokens: those of a glossary, or those of a corpus that cost most pieces."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from defemb_core.dictionaries.glossary import load_glossary
from defemb_core.errors import DictionaryError, SettingsError
from defemb_core.new_tokens.spelling import pieces_of, spelled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from defemb_core.progress import Progress

TERMS: Final = pl.Schema({"term": pl.String(), "count": pl.Int64()})
"""What is asked for, most wanted first; `count` is how often a corpus has it, null without one."""
STAGE = "reading the corpus"
# A word: letters and digits, a letter first; hyphens inside belong to it.
_WORD: Final = re.compile(r"(?<![\w-])[^\W\d_][^\W_]*(?:-[^\W_]+)*(?!\w)")
_LONGEST: Final = 60  # characters of a word of a corpus; longer ones are addresses and debris
_READ: Final = 1 << 20  # characters of a line that are looked at at a time
_LEAST: Final = 2  # occurrences of a word of a corpus
CONSIDERED: Final = 20
"""How many times as many words of a corpus are looked up as may be added: some have no definition."""


def glossary_terms(path: Path) -> pl.DataFrame:
    """Return the words of a glossary (TERMS) in the order of the file, each once.

    Raises:
        DictionaryError: as load_glossary does.
    """
    words = load_glossary(str(path)).definitions["word"].unique(maintain_order=True)
    return pl.DataFrame({"term": words}).with_columns(count=pl.lit(None, pl.Int64))


def corpus_terms(tokenizer: Tokenizer, path: Path, limit: int, progress: Progress | None = None) -> pl.DataFrame:
    """Return the words of a corpus that cost most pieces (TERMS), at most CONSIDERED times `limit` of them.

    What a word costs is its number of occurrences times the pieces that it takes beyond one. Words count in the
    tokenizer's own case and accents. Files are read line by line.

    Args:
        tokenizer: cuts the words.
        path: a text file in UTF-8, or a folder of .txt files, folders within it too.
        limit: how many tokens are wanted.
        progress: told how many bytes are read.

    Raises:
        SettingsError: a limit below 1, no such file, no .txt in the folder, or no word that is cut into pieces.
    """
    if limit < 1:
        raise SettingsError(f"--limit must be 1 or more, is {limit}")
    counts: Counter[str] = Counter()
    for line in _lines(path, progress):
        counts.update(word for word in _WORD.findall(line) if len(word) <= _LONGEST)
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        folded[spelled(tokenizer, word)] += count
    words = [word for word, count in folded.items() if count >= _LEAST]
    pieces = [len(ids) for ids in pieces_of(tokenizer, words)]
    frame = pl.DataFrame(
        {"term": words, "count": [folded[word] for word in words], "pieces": pieces},
        schema={**TERMS, "pieces": pl.Int64()},
    )
    cut = frame.filter(pl.col("pieces") > 1).with_columns(cost=pl.col("count") * (pl.col("pieces") - 1))
    if cut.is_empty():
        raise SettingsError(f"no word of {str(path)!r} comes up twice and is cut into pieces; name a larger corpus")
    return cut.sort("cost", "term", descending=[True, False]).head(CONSIDERED * limit).select(*TERMS)


def _lines(path: Path, progress: Progress | None) -> Iterator[str]:
    """Yield the corpus' lines, long ones in parts."""
    files = _files(path)
    total, done = sum(file.stat().st_size for file in files), 0
    try:
        for file in files:
            with file.open("r", encoding="utf-8", errors="replace") as stream:
                while line := stream.readline(_READ):
                    yield line
            done += file.stat().st_size
            if progress:
                progress(STAGE, done, total)
    except OSError as exc:
        raise SettingsError(f"cannot read the corpus {str(path)!r} ({exc.strerror or exc}); name another") from None


def _files(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path]
        files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    except (OSError, ValueError) as exc:
        raise SettingsError(f"cannot read the corpus {str(path)!r} ({exc}); name another") from None
    if not path.is_dir():
        raise SettingsError(f"there is no corpus at {str(path)!r}; name a text file or a folder of .txt files")
    if not files:
        raise SettingsError(f"there is no .txt file in {str(path)!r}; name a text file or a folder with some")
    return files


def typed_terms(text: str, file: Path) -> Path:
    """Write words with definitions as a user types them, "word: definition" a line, as a glossary; return its path.

    Raises:
        DictionaryError: a line without a colon, or no line at all.
    """
    entries = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not entries:
        raise DictionaryError("no terms are written; write a line each, the word, a colon and what it means")
    for word, colon, meaning in entries:
        if not (word.strip() and colon and meaning.strip()):
            raise DictionaryError(
                f"the line of {word.strip()[:40]!r} has no definition; write the word, a colon and it"
            )
    frame = pl.DataFrame({"word": [e[0].strip() for e in entries], "definition": [e[2].strip() for e in entries]})
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(file)
    return file
