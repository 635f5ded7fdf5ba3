"""A language's senses as a folder of Parquet files, built once from a dump and opened in a moment."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.cache import file_sha256, json_text, temporary_neighbour
from defemb_core.dictionaries.wiktionary_dump import Report, read_dump
from defemb_core.dictionaries.wiktionary_entries import SENSE_SCHEMA
from defemb_core.errors import DictionaryError, first_line
from defemb_core.progress import Progress

MANIFEST: Final = "store.json"
FORMAT: Final = "defemb wiktionary store 1"
"""Raise the number when the same dump gives other senses; older stores are then refused."""
_PART_SENSES: Final = 200_000  # the most that is sorted in memory at once
_ROW_GROUP: Final = 50_000


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        folder: where it is.
        language: the language code of its words.
        source_sha256: of the dump that it was built from.
        senses: how many it has.
        words: how many folded words these are of.
        notes: what was left out when it was built.
        parts: SHA-256 of each of its Parquet files by name.
    """

    folder: Path
    language: str
    source_sha256: str
    senses: int
    words: int
    notes: tuple[str, ...]
    parts: dict[str, str]

    def read(self, wanted: Collection[str] | None) -> pl.DataFrame:
        """Return the senses of some folded words, or all for None, as a frame of `SENSE_SCHEMA`, in no order."""
        lines = pl.scan_parquet([self.folder / Path(name).name for name in self.parts], glob=False)
        if wanted is not None:
            lines = lines.filter(pl.col("folded").is_in(sorted(wanted)))
        return lines.select(list(SENSE_SCHEMA)).collect()

    def lemmas(self) -> pl.Series:
        """Return the words that are no form of another, each once, in alphabetical order."""
        lines = pl.scan_parquet([self.folder / Path(name).name for name in self.parts], glob=False)
        return lemmas(lines.select("word", "lemma").collect()).sort()


def lemmas(senses: pl.DataFrame) -> pl.Series:
    """Return the words of a frame of `SENSE_SCHEMA` that have a sense of their own, each once."""
    return senses.filter(pl.col("lemma").is_null())["word"].unique()


def open_store(folder: Path) -> Store:
    """Open a store; its files are compared with the sums that its manifest has.

    Raises:
        DictionaryError: the folder is no store, is one of another version, or a file of it is missing or was changed.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = found.pop("format")
        store = Store(folder, **{**found, "notes": tuple(found["notes"]), "parts": dict(found["parts"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise DictionaryError(
            f"{folder} is no Wiktionary store, it has no readable {MANIFEST}; name a dump, or build a store with "
            f"'dictionary build DUMP --out STORE'"
        ) from None
    if version != FORMAT:
        raise DictionaryError(f"{folder} has the format {version!r}, this version reads {FORMAT!r}; build it again")
    for name, digest in store.parts.items():
        path = folder / Path(name).name
        try:
            whole = file_sha256(path) == digest
        except OSError as exc:
            raise DictionaryError(f"cannot read {path} ({exc.strerror or exc}); build the store again") from exc
        if not whole:
            raise DictionaryError(f"{path} was changed since the store was built; build it again")
    return store


def build_store(dump: Path, language: str, out: Path, progress: Progress | None = None) -> Store:
    """Build a store from a dump: the folder `out` is there whole, or not at all.

    Senses are sorted by folded word in two steps, so that memory does not grow with the dump: runs of it are sorted
    as they are read; then ranges of words are taken from all runs and become the parts.

    Args:
        dump: as `read_dump` takes it.
        language: the language code of the entries to keep, all words of them.
        out: the folder to make.
        progress: is told the stages "reading" and "sorting".

    Raises:
        DictionaryError: `out` exists or cannot be written, or the dump cannot be read.
    """
    if out.exists() or out.is_symlink():
        raise DictionaryError(f"{out} exists; name a new folder, or delete it first")
    temporary = temporary_neighbour(out)
    report = Report()
    try:
        (temporary / "runs").mkdir(parents=True)
        runs = _write_runs(temporary / "runs", dump, language, report, progress)
        senses, words, parts = _write_parts(temporary, runs, progress)
        shutil.rmtree(temporary / "runs")
        digests = {name: file_sha256(temporary / name) for name in parts}
        store = Store(out, language, report.sha256, senses, words, report.notes(), digests)
        told = {name: value for name, value in asdict(store).items() if name != "folder"}
        (temporary / MANIFEST).write_text(json_text({"format": FORMAT, **told}), encoding="utf-8")
        for name in (MANIFEST, *parts):
            _to_disk(temporary / name)
        os.rename(temporary, out)
    except (OSError, pl.exceptions.PolarsError) as exc:  # the second is how polars reports a full disk
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else first_line(exc)
        raise DictionaryError(f"cannot write {out} ({why}); free some space or name another folder") from exc
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return store


def _write_runs(folder: Path, dump: Path, language: str, report: Report, progress: Progress | None) -> list[Path]:
    """Write the dump's senses to files that are each sorted, and return these."""

    def told(done: int, total: int) -> None:
        if progress:
            progress("reading", done, total)

    runs: list[Path] = []
    told(0, 1)
    for senses in read_dump(dump, language, None, report, told):
        runs.append(folder / f"run-{len(runs):05d}.parquet")
        senses.sort("folded", "order").write_parquet(runs[-1], row_group_size=_ROW_GROUP // 10)
    told(1, 1)
    return runs


def _write_parts(folder: Path, runs: list[Path], progress: Progress | None) -> tuple[int, int, list[str]]:
    """Write the runs' senses to parts, in the order of the words over all parts; return senses, words, file names."""
    lines = pl.scan_parquet(runs, glob=False)
    counts = lines.group_by("folded").len().sort("folded").collect(engine="streaming")
    part = (counts["len"].cum_sum() - 1) // _PART_SENSES
    ranges = counts.group_by(part=part).agg(first=pl.col("folded").min(), last=pl.col("folded").max()).sort("part")
    names = []
    for done, (first, last) in enumerate(ranges.select("first", "last").iter_rows()):
        if progress:
            progress("sorting", done, ranges.height)
        names.append(f"part-{done:04d}.parquet")
        mine = lines.filter(pl.col("folded").is_between(pl.lit(first), pl.lit(last))).sort("folded", "order").collect()
        mine.write_parquet(folder / names[-1], row_group_size=_ROW_GROUP)
    return int(counts["len"].sum()), counts.height, names


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
