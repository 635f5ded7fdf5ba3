"""Selections of tokens that a user keeps by name, and how two selections are put together.

A kept selection belongs to a vocabulary, so that it serves every run and checkpoint that has the same tokens.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import polars as pl

from defemb_core.cache import data_folder, write_json
from defemb_core.errors import SettingsError
from defemb_core.text import plain

How = Literal["replace", "intersect", "add", "subtract"]
WAYS: Final[tuple[How, ...]] = get_args(How)
"""How a second selection changes a first one."""
LONGEST_NAME: Final = 80
"""Characters that a name may have."""

_COMBINED: Final[dict[How, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "replace": lambda _, second: np.unique(second),
    "intersect": np.intersect1d,
    "add": np.union1d,
    "subtract": np.setdiff1d,
}


def combine(first: np.ndarray, second: np.ndarray, how: How) -> np.ndarray:
    """Return rows of two selections as one, int32, ascending, each once.

    Args:
        first: row numbers.
        second: row numbers.
        how: "replace" gives the second alone, "intersect" what both have, "add" what either has, "subtract" what the
            first has and the second has not.

    Raises:
        SettingsError: there is no such way.
    """
    if how not in _COMBINED:
        raise SettingsError(f"unknown way {how!r} to combine selections; use one of {', '.join(WAYS)}")
    return _COMBINED[how](first, second).astype(np.int32)


def keep_selection(vocabulary: pl.DataFrame, name: str, rows: np.ndarray) -> str:
    """Keep rows under a name, in the place of what that name stood for; return the name as it is kept.

    Args:
        vocabulary: the vocabulary frame; its tokens are what the selection belongs to.
        name: what a reader calls it; blanks around it do not count.
        rows: row numbers, at least one.

    Raises:
        SettingsError: no name, a name too long or with control characters, no rows or rows that the table has not, or
            the data folder cannot be written.
    """
    name, chosen = name.strip(), np.unique(rows)
    if not name or len(name) > LONGEST_NAME or plain(name, LONGEST_NAME) != name:
        raise SettingsError(
            f"a selection cannot be named {plain(name, LONGEST_NAME)!r}; write 1 to {LONGEST_NAME} plain characters"
        )
    if not chosen.size:
        raise SettingsError(f"no token is selected, so that {name!r} would be empty; select some first")
    if chosen[0] < 0 or chosen[-1] >= vocabulary.height:
        raise SettingsError(f"rows {chosen[0]} to {chosen[-1]} of {vocabulary.height:,}; select rows that exist")
    path = _folder(vocabulary) / _file(name)
    try:
        write_json(path, {"name": name, "rows": chosen.tolist()})
    except OSError as error:
        raise SettingsError(
            f"cannot keep the selection in {str(path.parent)!r} ({error.strerror or error}); "
            "set DEFEMB_DATA to a folder that you may write to"
        ) from None
    return name


def kept_selections(vocabulary: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the rows (int32, ascending) of every selection kept for the vocabulary, by name in alphabetical order.

    A file that cannot be read as a selection of this vocabulary is left out.
    """
    found = {}
    for path in _folder(vocabulary).glob("*.json"):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            rows = np.array(kept["rows"], dtype=np.int32)
            if (
                path.name == _file(kept["name"])
                and rows.ndim == 1
                and 0 <= rows.min() <= rows.max() < vocabulary.height
            ):
                found[kept["name"]] = np.unique(rows)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def forget_selection(vocabulary: pl.DataFrame, name: str) -> None:
    """Delete a kept selection; one that is not there is no error.

    Raises:
        SettingsError: the data folder cannot be written.
    """
    path = _folder(vocabulary) / _file(name)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot delete the selection {name!r} ({error.strerror or error}); delete {path}"
        ) from None


def _folder(vocabulary: pl.DataFrame) -> Path:
    """Return where a vocabulary's selections lie, named after its tokens."""
    tokens = vocabulary["token"]
    digest = hashlib.sha256(tokens.str.len_bytes().to_numpy().tobytes())  # else "a", "bc" would be as good as "ab", "c"
    digest.update("".join(tokens).encode(errors="surrogatepass"))
    return data_folder() / "selections" / digest.hexdigest()[:32]


def _file(name: str) -> str:
    """Return a file name for whatever characters a name has."""
    return hashlib.sha256(name.encode()).hexdigest()[:32] + ".json"
