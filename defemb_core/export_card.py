"""What an export says of itself: the facts as a dict for programs, and the same in words for a model card."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from defemb_core.evaluation.held_out import chance_mrr
from defemb_core.hub import BUNDLED, BUNDLED_NAME
from defemb_core.version import VERSION

if TYPE_CHECKING:
    from defemb_core.plm import PLM
    from defemb_core.reconstruction import Reconstruction


_DEFINITIONEMB = "https://arxiv.org/abs/2408.01308"
# What a method does to rows, for a reader, and the paper to cite, where it is not DefinitionEMB's own way.
_OTHER_METHODS = {
    "mean-of-definition": (
        "are the mean of the embeddings in their definitions ({source}), a baseline",
        _DEFINITIONEMB,
    ),
    "random": (
        "are predicted from definitions of {source} that were dealt out at random, a control of no use",
        _DEFINITIONEMB,
    ),
    "all-but-the-top": (
        "have lost their mean and their leading principal directions, without any definition",
        "https://arxiv.org/abs/1702.01417",
    ),
    "whitening": ("are whitened (ZCA), without any definition", "https://arxiv.org/abs/1512.00809"),
}
_USUAL = ("are rebuilt from the definitions of {source}", _DEFINITIONEMB)


def card(reconstruction: Reconstruction) -> dict[str, Any]:
    """Return how a rebuilt table came about, as plain JSON values.

    Returns:
        `made_by` (package, version), `method` (of the settings), `paper` (to cite for it), `date` (UTC), `plm` (name,
        revision, architecture, rows, width, table_sha256, licence), `dictionary` (name, sha256, senses), `settings`,
        `rows` (all, rebuilt), `evidence` (held-out figures, coverage, isotropy, seconds), `packages` (versions). A PLM
        from a folder is named by the folder's last part, so that no path of the maker's machine is published.
    """
    made = reconstruction.provenance
    plm = dict(made.get("plm") or {})
    title = plm.pop("title", None) or "unnamed PLM"
    method = reconstruction.settings.method
    name = BUNDLED_NAME if plm.get("name") == BUNDLED else plm.get("name") if plm.get("revision") else title
    return {
        "made_by": {"package": "defemb", "version": VERSION},
        "method": method,
        "paper": _OTHER_METHODS.get(method, _USUAL)[1],
        "date": made.get("made"),
        "plm": {**plm, "name": name, "revision": plm.get("revision")},
        "dictionary": dict(made.get("dictionary") or {}),
        "settings": dataclasses.asdict(reconstruction.settings),
        "rows": {"all": len(reconstruction.rebuilt), "rebuilt": int(np.count_nonzero(reconstruction.rebuilt))},
        "evidence": reconstruction.evidence,
        "packages": dict(made.get("packages") or {}),
    }


def readme(card: dict[str, Any], plm: PLM, changed: list[str]) -> str:
    """Return the model card in Markdown: what this is, how it was made, how good it is, how to load and cite it.

    Args:
        card: of the reconstruction.
        plm: the original.
        changed: names of the tensors that hold rebuilt rows.
    """
    of, rows = card["plm"], card["rows"]
    name, source = as_code(of["name"]), card["dictionary"].get("name") or "a dictionary"
    what = _OTHER_METHODS.get(card["method"], _USUAL)[0]
    title = f"by {card['method']}" if card["method"] in _OTHER_METHODS else "rebuilt from definitions"
    revision = f" (revision {as_code(of['revision'])})" if of["revision"] else ""
    others = [as_code(tensor) for tensor in changed if tensor != plm.table.name]
    tied = f" The model ties {', '.join(others)} to the table, so the same rows are new there." if others else ""
    if plm.has_decoder_table:
        tied += " The decoder has a table of its own; "
        tied += "the same rows are new there." if "decoder" in card["evidence"] else "it is the original's."
    settings = "\n".join(f"| {key} | {value} |" for key, value in card["settings"].items())
    return f"""{card_header(card, plm)}
# {of["name"]} with token embeddings {title}

A copy of {name}{revision} in which {rows["rebuilt"]:,} of {rows["all"]:,} rows of the token embedding table
{as_code(plm.table.name)} {what.format(source=as_code(source))}. All other rows and tensors are the
original's, to the bit.{tied}

## How it was made

| setting | value |
|---|---|
{settings}

Made on {card["date"]} with defemb {card["made_by"]["version"]}. `MANIFEST.json` has the SHA-256 of every file, of the
original table and of the dictionary, the versions of the packages, and all figures.

## Held-out evidence

{_evidence(card["evidence"].get("held_out"))}

## How to load it

{how_to_load(plm)}

## How to cite it

The method is that of {card["paper"]}. Please cite it, the original model and the dictionary.
"""


def card_header(card: dict[str, Any], plm: PLM) -> str:
    """Return the YAML header; a JSON string is a YAML string whatever is in it."""
    lines = [f"license: {json.dumps(plm.licence)}"] if plm.licence else []
    if plm.revision:  # a folder's name is no address
        lines.append(f"base_model: {json.dumps(card['plm']['name'])}")
    lines.append(f"library_name: {'sentence-transformers' if plm.is_sentence_transformer else 'transformers'}")
    return "\n".join(["---", *lines, "tags:", "- definitionemb", "---"])


def _evidence(held_out: dict[str, Any] | None) -> str:
    if not held_out:
        return "None was recorded."
    tokens = held_out["tokens"]
    return (
        f"{tokens:,} tokens with a definition were kept from a map that was fitted on the others. Their rows, "
        "predicted from\ntheir definitions alone, compare with their true rows so:\n\n"
        "| measure | value | chance | best |\n|---|---|---|---|\n"
        f"| mean centred cosine | {held_out['cosine']:.3f} | 0 | 1 |\n"
        f"| mean reciprocal rank of the true row | {held_out['mrr']:.3f} | {chance_mrr(tokens):.3f} | 1 |\n"
        f"| median rank of the true row | {held_out['median_rank']:g} | {(tokens + 1) / 2:g} | 1 |"
    )


def how_to_load(plm: PLM) -> str:
    """Return the lines of Python that load a checkpoint, in Markdown."""
    lines = ["from transformers import AutoModel, AutoTokenizer", ""]
    lines += [f'{verb} = Auto{kind}.from_pretrained("path/to/this/folder")' for verb, kind in _AUTO]
    text = "```python\n" + "\n".join(lines) + "\n```"
    if plm.is_sentence_transformer:
        text += '\n\nor `SentenceTransformer("path/to/this/folder")` of sentence-transformers.'
    return text


_AUTO = (("model", "Model"), ("tokenizer", "Tokenizer"))


def as_code(text: str) -> str:
    """Return any text as code in Markdown, in one line."""
    return "`" + str(text).replace("`", "'").replace("\n", " ") + "`"
