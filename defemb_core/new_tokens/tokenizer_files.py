"""A tokenizer's files with new tokens in them; whatever else they say stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defemb_core.cache import json_text
from defemb_core.errors import ExportError, first_line
from defemb_core.new_tokens.spelling import added_token

if TYPE_CHECKING:
    from defemb_core.new_tokens.plan import Plan

TOKENIZER, SETTINGS, ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"


def write_tokenizer(plan: Plan, folder: Path) -> None:
    """Add the plan's tokens to the files in `folder`, a copy of the PLM's: tokenizer.json, and where they are listed.

    Raises:
        ExportError: a file is no readable JSON.
    """
    entries = {int(row): _entry(plan, token) for row, token in plan.added.select("token_id", "token").iter_rows()}
    if (folder / TOKENIZER).is_file():
        described = _read(folder / TOKENIZER)
        described["added_tokens"] = [
            *(described.get("added_tokens") or []),
            *({"id": row, **entry} for row, entry in entries.items()),
        ]
        (folder / TOKENIZER).write_text(json_text(described), encoding="utf-8")
    else:
        plan.tokenizer.save(str(folder / TOKENIZER))
    settings = _read(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    if "added_tokens_decoder" in settings:
        settings["added_tokens_decoder"] |= {str(row): entry for row, entry in entries.items()}
        (folder / SETTINGS).write_text(json_text(settings), encoding="utf-8")
    if (folder / ADDED).is_file():
        listed = _read(folder / ADDED) | {entry["content"]: row for row, entry in entries.items()}
        (folder / ADDED).write_text(json_text(listed), encoding="utf-8")


def check_tokenizer(plan: Plan, folder: Path) -> None:
    """Load the tokenizer in `folder` as a user does and compare what it makes of each term; seconds.

    Raises:
        ExportError: it does not load, or reads a term in another way than it should.
    """
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as exc:  # transformers raises many kinds for files that do not fit
        raise ExportError(f"the tokenizer with new tokens does not load ({first_line(exc)})") from exc
    terms = plan.added["term"].to_list()
    lines = loaded([f"a {term} b" for term in terms], add_special_tokens=False, padding=False)["input_ids"]
    for term, row, read in zip(terms, plan.new.tolist(), lines, strict=True):
        if list(read).count(row) != 1:
            raise ExportError(
                f"transformers reads {term!r} as {read} with the new tokenizer, without its row {row}; this family's "
                "tokenizer does not take added tokens from its files"
            )


def _entry(plan: Plan, token: str) -> dict[str, Any]:
    made = added_token(token, plan.style)
    return {
        "content": token,
        "single_word": made.single_word,
        "lstrip": made.lstrip,
        "rstrip": made.rstrip,
        "normalized": made.normalized,
        "special": made.special,
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ExportError(f"{file.name} is no readable JSON ({first_line(exc)}); copy the PLM again") from None
    if not isinstance(content, dict):
        raise ExportError(f"{file.name} holds no JSON object; copy the PLM again")
    return content
