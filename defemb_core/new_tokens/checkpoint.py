"""A copy of a PLM's folder with new tokens: longer tables, the tokenizer that knows them, all else to the bit."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from defemb_core.cache import json_text
from defemb_core.errors import ExportError
from defemb_core.export_card import as_code, card, card_header, how_to_load
from defemb_core.export_check import check_checkpoint
from defemb_core.export_checkpoint import (
    INDEX,
    README,
    Steps,
    checkpoint_files,
    copy_checkpoint,
    write_manifest,
    write_rebuilt,
)
from defemb_core.export_place import CHECKPOINT, check_place, check_target, publish_folder, unfinished, why_not
from defemb_core.export_tensors import tensor_places
from defemb_core.hub import BUNDLED, BUNDLED_NAME
from defemb_core.new_tokens.plan import Plan, new_rows
from defemb_core.new_tokens.rows import EXPLAINED, FROM_DEFINITIONS, Start
from defemb_core.new_tokens.tensors import Growth, TokenTensors, grow_tensors, token_tensors
from defemb_core.new_tokens.tokenizer_files import check_tokenizer, write_tokenizer
from defemb_core.reconstruction import PACKAGES, plm_provenance
from defemb_core.text import plain
from defemb_core.version import VERSION
from defemb_core.weights import list_tensors, read_tensor

if TYPE_CHECKING:
    from defemb_core.progress import Progress
    from defemb_core.reconstruction import Reconstruction, Settings

STAGE = "writing the checkpoint"
SHOWN = 200  # tokens that the model card lists; the manifest has all of them
_MARGIN = 1 << 22


def add_tokens(
    plan: Plan,
    start: Start,
    settings: Settings,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
    rebuilt: Reconstruction | None = None,
) -> Path:
    """Write the PLM with its new tokens to the folder `out`, whole or not at all.

    AutoModel, AutoTokenizer and, where the PLM is one, SentenceTransformer load it. The input table, whatever repeats
    it, a decoder's own table and output rows that are not tied get a row for each token by `start`, each from its own
    old rows; output biases get the mean of the old ones. Rows that the table has beyond the tokenizer's last token are
    used first; where they do not suffice the table grows by as many as are missing, and vocab_size with it. Every
    other tensor, every other row and every other file stays as it was to the bit, which is checked; MANIFEST.json has
    the tokens and the SHA-256 of every file.

    Args:
        plan: what is added.
        start: how rows are made, one of STARTS.
        settings: see start_rows.
        out: the folder to make; parents are made when missing.
        force: replace an earlier export of ours that lies there.
        progress: told of every stage; what it raises ends the work, and nothing is left behind.
        rebuilt: a run of this PLM whose rows take the place of the original ones; new rows are made from these all the
            same, as the run's own are.

    Returns:
        The absolute path of the folder.

    Raises:
        ExportError: `out` is taken or cannot be written, the disk is full, the weights are of another type, or
            transformers cannot read the new tokens.
        SettingsError: see start_rows.
    """
    out = Path(os.path.abspath(out.expanduser()))
    check_target(out, CHECKPOINT, True, force, plan.plm.folder)
    tensors = token_tensors(plan.plm)
    grown = sum((plan.rows - of.rows) * of.width * 8 for of in tensors.tables.values()) * (1 + len(tensors.copies))
    sizes = checkpoint_files(plan.plm)
    needed = _MARGIN + 2 * sum(sizes.values()) + grown  # a file that grows is there twice for a while
    check_place(out, needed)
    rows = _rows_of_all(plan, tensors, start, settings, progress)

    def tell(done: int, total: int) -> None:
        if progress:
            progress(STAGE, done, total)

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(out) as (folder,):
            steps = Steps(tell, sum(sizes.values()))
            _fill(plan, tensors, rows, folder, _described(plan, start, settings, rebuilt), steps, rebuilt)
            publish_folder(folder, out)
    except (OSError, SafetensorError) as exc:
        raise ExportError(why_not(exc, out, needed)) from exc
    return out


def _rows_of_all(
    plan: Plan, tensors: TokenTensors, start: Start, settings: Settings, progress: Progress | None
) -> dict[str, np.ndarray]:
    """Return the new rows of every table by the tensor's name."""
    return {name: new_rows(plan, [start], settings, progress, of)[start] for name, of in tensors.tables.items()}


def _fill(
    plan: Plan,
    tensors: TokenTensors,
    rows: dict[str, np.ndarray],
    folder: Path,
    described: dict[str, Any],
    steps: Steps,
    rebuilt: Reconstruction | None,
) -> None:
    """Fill the new folder."""
    plm, first = plan.plm, int(plan.new[0])
    files = copy_checkpoint(plm, folder, steps)
    rows = rows | {name: rows[table] for name, table in tensors.copies.items()}
    stored = list_tensors(plm.folder)
    for name in tensors.biases:
        mean = read_tensor(stored[name]).ravel()[:first].mean(dtype=np.float64)
        rows[name] = np.full((len(plan.new), 1), mean, dtype=np.float32)
    before = tensor_places(files)
    lost = sorted(rows.keys() - before.keys())
    if lost or before[plm.table.name].shape != plm.matrix.shape:
        raise ExportError(f"the weights in {str(plm.folder)!r} changed after they were read; load the PLM again")
    changed = write_rebuilt(rebuilt, plm, before) if rebuilt else []
    changed = sorted({*changed, *rows})
    added = grow_tensors(files, {name: Growth(plan.rows, first, values) for name, values in rows.items()}, plm.rows)
    _write_index(folder, added)
    _write_config(folder, plm.rows, plan.rows)
    write_tokenizer(plan, folder)
    check_tokenizer(plan, folder)
    (folder / README).write_text(_readme(described, plan, changed), encoding="utf-8")
    replaced = rebuilt.rebuilt.copy() if rebuilt else np.zeros(plm.rows, dtype=bool)
    replaced[first : first + len(plan.new)] = True
    manifest = {
        **described,
        "format": CHECKPOINT,
        "table": plm.table.name,
        "tensors": {"changed": changed, "unchanged": sorted(set(before) - set(changed))},
        "check": check_checkpoint(plm.folder, folder, changed, replaced).to_dict(),
    }
    write_manifest(folder, manifest, steps)


def _write_index(folder: Path, added: int) -> None:
    """Tell the index of a sharded checkpoint how large it is now."""
    file = folder / INDEX
    if not file.is_file():
        return
    content = json.loads(file.read_text(encoding="utf-8"))
    metadata = content.get("metadata") or {}
    if isinstance(metadata.get("total_size"), int | float):
        metadata["total_size"] += added
    file.write_text(json_text({**content, "metadata": metadata}), encoding="utf-8")


def _write_config(folder: Path, before: int, rows: int) -> None:
    """Set vocab_size, a side's own too (T5Gemma), where the table has grown; else the file stays as it is."""
    if rows == before:
        return
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for part in (config, *(config.get(side) for side in ("encoder", "decoder"))):
        if isinstance(part, dict) and "vocab_size" in part:
            part["vocab_size"] = rows
    config.setdefault("vocab_size", rows)
    file.write_text(json_text(config), encoding="utf-8")


def _described(plan: Plan, start: Start, settings: Settings, rebuilt: Reconstruction | None) -> dict[str, Any]:
    """Return how the tokens came about, as plain JSON values."""
    plm, dictionary = plan.plm, plan.dictionary
    name = BUNDLED_NAME if plm.name == BUNDLED else plm.name if plm.revision else plm.title
    made_of = {"name": dictionary.name, "sha256": dictionary.digest} if start in FROM_DEFINITIONS else None
    return {
        "made_by": {"package": "defemb", "version": VERSION},
        "method": f"new tokens: {start}",
        "start": start,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "plm": plm_provenance(plm, name),
        "dictionary": made_of,
        "settings": asdict(settings),
        "rows": {"all": plan.rows, "new": len(plan.new), "before": plm.rows},
        "rebuilt": card(rebuilt) if rebuilt else None,
        "tokens": plan.added.select("token_id", "token", "term", "pieces").to_dicts(),
        "packages": {"defemb": VERSION, **{package: version(package) for package in PACKAGES}},
    }


def _readme(described: dict[str, Any], plan: Plan, changed: list[str]) -> str:
    """Return the model card in Markdown."""
    plm, tokens, run = described["plm"], described["tokens"], described["rebuilt"]
    old = f"{run['rows']['rebuilt']:,} old rows are rebuilt by method {run['method']}.\n" if run else ""
    source = f" ({as_code(described['dictionary']['name'])})" if described["dictionary"] else ""
    listed = ", ".join(as_code(plain(token["token"])) for token in tokens[:SHOWN])
    more = f" and {len(tokens) - SHOWN:,} more (MANIFEST.json)" if len(tokens) > SHOWN else ""
    return f"""{card_header(described, plan.plm)}
# {plm["name"]} with {len(tokens):,} new tokens

A copy of {as_code(plm["name"])} whose tokenizer knows {len(tokens):,} further words, each as one token.
How their rows were made: {EXPLAINED[described["start"]]}{source}.
Tensors that have rows for them: {", ".join(map(as_code, changed))}.
{old}All other rows and tensors are the original's, to the bit.

New tokens: {listed}{more}.

A new token is found where its word stands alone; words that merely contain it are cut as before.

Made on {described["date"]} with defemb {VERSION}. `MANIFEST.json` has the SHA-256 of every file and all settings.

## How to load it

{how_to_load(plan.plm)}
"""
