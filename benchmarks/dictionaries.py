"""Wiktionary: megabytes a second, peak memory, and how long a store takes to open.

The file is made here, in the shape of wiktextract's, with words of our own: a few long entries, many short ones, every
third of a form. A vocabulary of 25,000 texts restricts the reading. Peers read the same file in the same run, each as a
process of its own: json.loads of every line, and polars.scan_ndjson for the keys that we use. Both go through the file
once; we do so twice, for the lemmas of forms. `--megabytes` sets the file's size.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.machine import Line, as_seconds, print_head, print_table

WORDS, KNOWN = 300_000, 25_000
WANTED_MB_S, WANTED_GB = 60, 1.5

OURS = """
from defemb_core.dictionaries.wiktionary import load_wiktionary
vocabulary = pl.read_parquet(sys.argv[2])
started, begun = time.perf_counter(), time.process_time()
found = load_wiktionary(sys.argv[1], vocabulary).definitions.height
"""
BUILD = """
from pathlib import Path
from defemb_core.dictionaries.wiktionary_store import build_store
started, begun = time.perf_counter(), time.process_time()
found = build_store(Path(sys.argv[1]), "en", Path(sys.argv[2])).senses
"""
LOADS = """
import json
wanted = set(pl.read_parquet(sys.argv[2])["text"].str.to_lowercase())
started, begun = time.perf_counter(), time.process_time()
found = 0
with open(sys.argv[1], "rb") as file:
    for line in file:
        entry = json.loads(line)
        if entry["word"].lower() in wanted:
            found += len(entry["senses"])
"""
NDJSON = """
wanted = pl.read_parquet(sys.argv[2]).select(folded=pl.col("text").str.to_lowercase())
link = pl.List(pl.Struct({"word": pl.String}))
texts = pl.List(pl.String)
sense = pl.Struct({"glosses": texts, "tags": texts, "form_of": link, "synonyms": link})
schema = {"word": pl.String, "lang_code": pl.String, "pos": pl.String, "senses": pl.List(sense)}
started, begun = time.perf_counter(), time.process_time()
lines = pl.scan_ndjson(sys.argv[1], schema=schema).with_columns(folded=pl.col("word").str.to_lowercase())
found = lines.join(wanted.lazy(), on="folded", how="semi").explode("senses").collect(engine="streaming").height
"""
MEASURE = """
print(json_of({"seconds": time.perf_counter() - started, "processor": time.process_time() - begun, "found": found,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)}))
"""


def made_words(count: int, rng: random.Random) -> list[str]:
    """Return distinct made-up words of two to five syllables."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(rng.choices(syllables, k=rng.randint(2, 5)))] = None
    return list(words)


def entries(words: list[str], rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield entries without end, in the shape of wiktextract's: every third a form, a few of them with long lists."""
    texts = [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(5_000)]
    number = 0
    while True:
        word = words[number % len(words)]
        sense: dict[str, Any] = {"glosses": [_text(rng, texts)], "tags": ["transitive"], "categories": [_category(rng)]}
        if form := number % 3 == 2:
            lemma = words[(number - 1) % len(words)]
            word = f"{lemma}s"
            sense = {"glosses": [f"plural of {lemma}"], "tags": ["form-of", "plural"], "form_of": [{"word": lemma}]}
        yield {
            "pos": rng.choice(["noun", "verb", "adj"]),
            "head_templates": [{"name": "en-head", "args": {"1": word}, "expansion": f"{word} (plural {word}s)"}],
            "etymology_text": rng.choice(texts),
            "sounds": [{"ipa": f"/{word}/", "tags": ["UK"]}],
            "word": word,
            "lang": "English",
            "lang_code": "en",
            "senses": [sense, *([_plain(rng, texts) for _ in range(rng.randint(0, 3))] if not form else [])],
            "translations": [_translation(rng, texts) for _ in range(rng.choice([0] * 24 + [200]))],
        }
        number += 1


def _text(rng: random.Random, texts: list[str]) -> str:
    """Return one of 25 million texts, so that none is stored for many senses."""
    return f"{rng.choice(texts)} {rng.choice(texts)}."


def _category(rng: random.Random) -> dict[str, Any]:
    return {"name": "English " + "".join(rng.choices(string.ascii_lowercase, k=8)), "kind": "other", "parents": []}


def _plain(rng: random.Random, texts: list[str]) -> dict[str, Any]:
    return {
        "glosses": [_text(rng, texts)],
        "raw_glosses": [f"(transitive) {rng.choice(texts)}"],
        "examples": [{"text": rng.choice(texts), "type": "example"}],
        "categories": [_category(rng)],
    }


def _translation(rng: random.Random, texts: list[str]) -> dict[str, Any]:
    code = rng.choice(["de", "fr", "ru", "ja"])
    return {"lang": "Any", "code": code, "lang_code": code, "sense": rng.choice(texts), "word": "öäüß"}


def write_dump(path: Path, megabytes: int, words: list[str]) -> float:
    """Write entries until the file has its size; return it in MB."""
    rng, size = random.Random(1), 0
    with path.open("wb") as file:
        for entry in entries(words, rng):
            line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
            size += file.write(line)
            if size >= megabytes * 1_000_000:
                return size / 1e6
    return size / 1e6


def measured(code: str, *arguments: object) -> dict[str, float]:
    """Run code in a process of its own; return its seconds, its peak memory in bytes and how many senses it found.

    Raises:
        RuntimeError: it failed.
    """
    code = f"import resource, sys, time\nfrom json import dumps as json_of\nimport polars as pl\n{code}{MEASURE}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report_wiktionary(folder: Path, megabytes: int) -> None:
    """Print the table."""
    rng = random.Random(0)
    words = made_words(WORDS, rng)
    texts = rng.sample(words, KNOWN // 2) + [f"{word}s" for word in rng.sample(words, KNOWN // 2)]
    vocabulary = folder / "vocabulary.parquet"
    pl.DataFrame({"text": texts, "kind": "word"}).write_parquet(vocabulary)
    dump = folder / "dump.jsonl"
    size = write_dump(dump, megabytes, words)
    loads, ndjson = measured(LOADS, dump, vocabulary), _perhaps(NDJSON, dump, vocabulary)
    lines = []
    for name, path in (("plain", dump), (".gz", _gzipped(dump)), (".zst", _zstandard(dump))):
        found = measured(OURS, path, vocabulary)
        lines += [_reading(f"dump, {name}, restricted to {KNOWN:,} texts", size, found, loads["seconds"])]
    built = measured(BUILD, dump, folder / "store")
    opened = measured(OURS, folder / "store", vocabulary)
    lines += [
        _reading("dictionary build, every word", size, built, loads["seconds"]),
        Line("store, opened for the same texts", as_seconds(opened["seconds"]), "1 s", _also(opened)),
        Line("store on disk", f"{sum(p.stat().st_size for p in (folder / 'store').iterdir()) / 1e6:.0f} MB"),
        Line("peer: json.loads of every line", f"{size / loads['seconds']:.0f} MB/s", "", _also(loads)),
        Line("peer: polars.scan_ndjson", f"{size / ndjson['seconds']:.0f} MB/s", "", _also(ndjson)) if ndjson
        else Line("peer: polars.scan_ndjson", "failed"),
    ]  # fmt: skip
    print_table(lines, f"Wiktionary, {size:,.0f} MB of JSON lines (MB/s of the lines as they are without compression)")


def _perhaps(code: str, *arguments: object) -> dict[str, float] | None:
    try:
        return measured(code, *arguments)
    except RuntimeError:
        return None


def _reading(what: str, size: float, found: dict[str, float], peer: float) -> Line:
    note = f"json.loads takes {peer / found['seconds']:.1f} times as long; {_also(found)}"
    return Line(what, f"{size / found['seconds']:.0f} MB/s", f"{WANTED_MB_S} MB/s, {WANTED_GB} GB", note)


def _also(found: dict[str, float]) -> str:
    return f"peak {found['peak'] / 1e9:.2f} GB, {found['processor']:.1f} processor seconds, {found['found']:,} senses"


def _gzipped(path: Path) -> Path:
    to = path.with_name(f"{path.name}.gz")
    with path.open("rb") as file, gzip.open(to, "wb", compresslevel=4) as packed:
        while block := file.read(1 << 22):
            packed.write(block)
    return to


def _zstandard(path: Path) -> Path:
    import zstandard

    to = path.with_name(f"{path.name}.zst")
    with path.open("rb") as file, to.open("wb") as packed:
        zstandard.ZstdCompressor().copy_stream(file, packed)
    return to


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dictionaries", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300, help="size of the file (default: %(default)s)")
    options = parser.parse_args(arguments)
    print_head("dictionaries", arguments)
    with tempfile.TemporaryDirectory() as folder:
        report_wiktionary(Path(folder), options.megabytes)
