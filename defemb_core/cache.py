"""Where defemb keeps files, and how a file gets there whole or not at all."""

import hashlib
import json
import logging
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import polars as pl

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder for downloads and parsed dictionaries; all of it may be deleted at any time.

    Returns:
        The folder that the environment variable DEFEMB_CACHE names, else the operating system's place for a user's
        caches. It need not exist yet.
    """
    return _folder_named("DEFEMB_CACHE", platformdirs.user_cache_path("defemb", appauthor=False))


def data_folder() -> Path:
    """Folder for what a user wrote: the glossary, kept selections.

    Returns:
        The folder that the environment variable DEFEMB_DATA names, else the operating system's place for a user's
        data. It need not exist yet.
    """
    return _folder_named("DEFEMB_DATA", platformdirs.user_data_path("defemb", appauthor=False))


def _folder_named(variable: str, usual: Path) -> Path:
    """Return the folder that an environment variable names, the usual one if it names none."""
    named = os.environ.get(variable)
    return Path(named).expanduser().absolute() if named else usual


def temporary_neighbour(path: Path) -> Path:
    """A fresh hidden name beside `path` (same folder, hence same file system) that no other process uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def is_temporary(name: str, of: str | None = None) -> bool:
    """Return whether a file's name is one of temporary_neighbour's, of a file named `of` if that is given."""
    return re.fullmatch(rf"\.{'.+' if of is None else re.escape(of)}\.[0-9a-f]{{12}}\.tmp", name) is not None


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file and put it in the place of `path` once it is complete and on disk.

    Readers see the old content or the new one, never a part; of several writers the last one wins.

    Args:
        path: The file to make or replace; its folder is made when missing.
        write: Writes the whole content to the path that it is given.

    Raises:
        OSError: The folder or file cannot be written. Whatever `write` raises comes through as well; either way the
            temporary file is gone and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_neighbour(path)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; raises as write_atomically does."""

    def write(to: Path) -> None:
        to.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; raises as write_atomically does."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return a value as people and diffs read JSON: indented, every character as itself, a line feed at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_sha256(table: np.ndarray) -> str:
    """Return the SHA-256 over a table's shape and values: the key of everything computed from it."""
    digest = hashlib.sha256(repr(table.shape).encode())
    digest.update(np.ascontiguousarray(table).data)
    return digest.hexdigest()


def cached_frame(path: Path, build: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """The frame stored at `path` as Parquet, else the one that `build` makes, stored for the next time.

    A file beside it holds the Parquet file's SHA-256, so a truncated or altered cache is noticed and built again.
    A cache that cannot be written costs the next caller time, nothing else: it is logged, not raised.

    Args:
        path: The Parquet file. Its name must change with whatever the frame is made from.
        build: Makes the frame; what it raises comes through, and nothing is stored then.
    """
    checksum = path.with_name(path.name + ".sha256")
    try:
        if checksum.read_text("ascii") == file_sha256(path):
            return pl.read_parquet(path, glob=False)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError):
        pass  # absent, half there, or written by a polars whose Parquet this one cannot read
    frame = build()
    try:
        write_atomically(path, lambda temporary: frame.write_parquet(temporary))
        digest = file_sha256(path)
        write_text(checksum, digest)
    except (OSError, pl.exceptions.PolarsError) as error:  # the second is how polars reports a full disk
        logger.warning("cannot keep %s for the next time: %s", path, error)
    return frame
