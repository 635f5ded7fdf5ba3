"""Tiny files as GLUE has them, for tests: sentences of the tiny corpus with labels that words give away."""

import json
from pathlib import Path

from tiny import sentences

PAIRED = "index\tsentence1\tsentence2\tlabel\n"


def write_rte(folder: Path, train: int = 24, dev: int = 12) -> Path:
    """RTE's files in `folder`/RTE; a second sentence that is the first is entailed."""
    lines = [line.replace("\t", " ") for line in sentences()]
    place = folder / "RTE"
    place.mkdir(parents=True, exist_ok=True)
    for name, start, count in (("train", 0, train), ("dev", 3, dev)):
        rows = []
        for at in range(count):
            first = lines[(start + at) % len(lines)]
            same = at % 2 == 0
            second = first if same else lines[(start + at + 7) % len(lines)]
            rows.append(f"{at}\t{first}\t{second}\t{'entailment' if same else 'not_entailment'}\n")
        (place / f"{name}.tsv").write_text(PAIRED + "".join(rows), encoding="utf-8")
    return folder


def write_summaries(folder: Path, train: int = 6, test: int = 4) -> Path:
    """A folder with train.jsonl and test.jsonl; a text's summary is its first words."""
    lines = sentences()
    folder.mkdir(parents=True, exist_ok=True)
    for name, start, count in (("train", 0, train), ("test", 5, test)):
        texts = [" ".join(lines[(start + at + step) % len(lines)] for step in range(2)) for at in range(count)]
        records = [{"document": text, "summary": " ".join(text.split()[:5])} for text in texts]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
