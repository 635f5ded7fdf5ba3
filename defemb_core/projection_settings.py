"""What a pair of maps is made with: method, mode, UMAP's own settings, and which rows are on the maps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.cache import cache_folder, write_text
from defemb_core.errors import RunError, SettingsError
from defemb_core.isotropy import GROUPS
from defemb_core.umap_projection import FEWEST_UMAP_ROWS, UmapSettings
from defemb_core.vocabulary import KINDS

METHODS = ("umap", "pca")
MODES = ("each", "place")
# Subsets that every table may have, in the order in which they are offered.
SUBSETS = ("all", "rebuilt", *GROUPS, *KINDS.categories.to_list())
# Rows that stand in a list of their own; the name says what is in it.
_LISTED = re.compile(r"selected-[0-9a-f]{12}")


@dataclass(frozen=True)
class ProjectionSettings:
    """What the maps of both tables are made with.

    Attributes:
        method: "umap", or "pca".
        mode: "each": both tables are fitted, the rebuilt one from the original's places, and laid onto them as well as
            turning, mirroring and scaling can. "place": the original alone is fitted; rows that were kept stay where
            they are, a rebuilt row lies among the rows of the original that are nearest to it (UMAP: at the median of
            their places, its own original row may be one of them; PCA: on the original's axes).
        neighbours: size of a row's neighbourhood in UMAP, and how many of the original's rows place a rebuilt one.
        min_dist: how close points may lie in a UMAP map, 0 to 1.
        metric: "cosine" or "euclidean", in the full space; PCA's maps are judged by cosines.
        subset: which rows are on the maps: "all", a frequency group, a kind of token, "rebuilt", or the name that
            `keep_rows` gave a list of rows. Neighbourhoods are those among these rows.
        seed: of UMAP's sampling, 0 to 2^32 - 1.

    Raises:
        SettingsError: a value outside its range.
    """

    method: str = "umap"
    mode: str = "each"
    neighbours: int = 15
    min_dist: float = 0.1
    metric: str = "cosine"
    subset: str = "all"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("mode", MODES)):
            if getattr(self, name) not in known:
                raise SettingsError(f"unknown {name} {getattr(self, name)!r} of a map; use one of {', '.join(known)}")
        if self.subset not in SUBSETS and not is_list(self.subset):
            raise SettingsError(f"unknown subset {self.subset!r}; use one of {', '.join(SUBSETS)}, or a list of rows")
        if not 0 <= self.seed < 2**32:
            raise SettingsError(f"seed is {self.seed}; choose 0 to {2**32 - 1}")
        _ = self.umap  # which checks the others

    @property
    def umap(self) -> UmapSettings:
        """UMAP's part."""
        return UmapSettings(self.neighbours, self.min_dist, self.metric)

    @property
    def relevant(self) -> ProjectionSettings:
        """The same without what PCA does not use: settings with the same relevant part give the same maps."""
        if self.method == "umap":
            return self
        return ProjectionSettings(self.method, self.mode, subset=self.subset)

    def arguments(self) -> list[str]:
        """Return the command line's words for what differs from the defaults."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                words.append(f"--{field.name.replace('_', '-')}={value}")
        return words


def is_list(subset: str) -> bool:
    """Return whether a subset's name stands for a list of rows that keep_rows kept."""
    return _LISTED.fullmatch(subset) is not None


def subset_rows(subset: str, vocabulary: pl.DataFrame, rebuilt: np.ndarray) -> np.ndarray:
    """Return the rows that a subset names, int32, ascending.

    Args:
        subset: as ProjectionSettings has it.
        vocabulary: the vocabulary frame.
        rebuilt: boolean (V,).

    Raises:
        SettingsError: the subset has fewer than four rows, or its list is not of this table or gone from the cache.
    """
    if subset == "all":
        mask = np.ones(vocabulary.height, dtype=bool)
    elif subset == "rebuilt":
        mask = rebuilt
    elif subset in SUBSETS:
        mask = (vocabulary["group" if subset in GROUPS else "kind"] == subset).to_numpy()
    else:
        mask = np.zeros(vocabulary.height, dtype=bool)
        mask[_listed(subset, vocabulary.height)] = True
    rows = np.flatnonzero(mask).astype(np.int32)
    if rows.size < FEWEST_UMAP_ROWS:
        raise SettingsError(f"{rows.size} rows are {subset!r}; a map needs at least {FEWEST_UMAP_ROWS}, choose others")
    return rows


def keep_rows(rows: Sequence[int] | np.ndarray) -> str:
    """Keep a list of rows on disk and return the name that stands for it as a subset.

    The name is the list's own digest: the same rows have the same name, on every machine.

    Raises:
        RunError: the cache folder cannot be written.
    """
    text = " ".join(str(int(row)) for row in np.unique(np.asarray(rows, dtype=np.int64)))
    name = _name_of(text)
    try:
        write_text(_list_path(name), text)
    except OSError as exc:
        raise RunError(
            f"cannot write to the cache folder {str(cache_folder())!r} ({exc.strerror or exc}); "
            "set DEFEMB_CACHE to a folder with space that you may write to"
        ) from None
    return name


def read_rows(file: Path) -> list[int]:
    """Read row numbers from a text file: whole numbers with blanks, commas or line ends between them.

    Raises:
        SettingsError: the file cannot be read, or holds something else.
    """
    try:
        words = file.read_text(encoding="utf-8").replace(",", " ").split()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"cannot read rows from {str(file)!r} ({type(exc).__name__}); name a text file") from None
    wrong = next((word for word in words if not (word.isascii() and word.isdigit() and len(word) < 10)), None)
    if wrong is not None:
        raise SettingsError(f"{wrong[:40]!r} in {str(file)!r} is no row; write whole numbers, 0 for the first row")
    return [int(word) for word in words]


def _listed(name: str, height: int) -> np.ndarray:
    """Rows of a kept list, int64."""
    try:
        text = _list_path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if _name_of(text) != name:
        raise SettingsError(f"the list {name!r} is not in the cache any more; select its rows again")
    rows = np.array(text.split(), dtype=np.int64)
    if rows.size and rows.max() >= height:
        raise SettingsError(f"the list has row {rows.max()}, the table has rows 0 to {height - 1}; select rows of it")
    return rows


def _name_of(text: str) -> str:
    return f"selected-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _list_path(name: str) -> Path:
    return cache_folder() / "subsets" / f"{name}.txt"
