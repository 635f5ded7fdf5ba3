"""Which synsets of WordNet are broader than which."""

from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.cache import cache_folder, cached_frame
from defemb_core.dictionaries.wordnet import read_links, read_synsets
from defemb_core.dictionaries.wordnet_files import PARTS_OF_SPEECH, content_digest, ensure_wordnet

_FRAME_VERSION: Final = 1  # part of the cache key: raise it when the same files give another frame


def load_hypernyms(folder: str | Path | None = None) -> pl.DataFrame:
    """Return each synset's direct hypernyms (pointers @ and @i), from the cache when the same files were read before.

    Nouns and verbs have them.

    Args:
        folder: as load_wordnet takes it.

    Returns:
        A line a pointer: `synset str`, `hypernym str`, as the column `synset` of WordNet's definition frame has them.

    Raises:
        DictionaryError: WordNet cannot be found, obtained or read.
    """
    found = ensure_wordnet(folder)
    name = f"wordnet-hypernyms-v{_FRAME_VERSION}-{content_digest(found)[:32]}.parquet"
    return cached_frame(cache_folder() / "dictionaries" / name, lambda: _read_hypernyms(found))


def _read_hypernyms(folder: Path) -> pl.DataFrame:
    links = pl.concat([read_links(read_synsets(folder, suffix).values()) for suffix in PARTS_OF_SPEECH])
    broader = links.filter((pl.col("group") == 1) & ~pl.col("similar"))
    return broader.select("synset", hypernym="to").unique(maintain_order=True)
