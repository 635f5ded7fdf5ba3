"""What was found out about new tokens, kept in a folder: written by the command, read by the app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from defemb_core.cache import write_atomically, write_json
from defemb_core.definitions import INSIDE
from defemb_core.errors import RunError
from defemb_core.neighbours import normalise_rows
from defemb_core.queries import nearest_to

if TYPE_CHECKING:
    from defemb_core.new_tokens.plan import Plan
    from defemb_core.new_tokens.rows import Start

NEAREST: Final = 5
NEAR: Final = pl.Schema(
    {
        "token_id": pl.Int64(),  # a new row
        "start": pl.String(),
        "nearest": pl.List(pl.String()),  # texts of the nearest old rows, nearest first; "##" before pieces
        "cosine": pl.Float64(),  # with the nearest
    }
)
_FRAMES: Final = ("terms", "near", "compared")
_ABOUT: Final = "about.json"


@dataclass(frozen=True, eq=False)
class Findings:
    """What the command has found out.

    Attributes:
        terms: PLANNED.
        near: NEAR; None unless it was asked for.
        compared: COMPARED; None unless it was asked for.
        about: `plm` (its title), `rows` (old), `new_rows` (of the table then), `start`, `method`, `dictionary`,
            `notes` (sentences), and `out`, the folder that was written, null for a dry run.
    """

    terms: pl.DataFrame
    near: pl.DataFrame | None
    compared: pl.DataFrame | None
    about: dict[str, Any]


def nearest_tokens(plan: Plan, made: Mapping[Start, np.ndarray]) -> pl.DataFrame:
    """Return which old rows are nearest to each new row (NEAR), by cosine, exact, in the full space.

    Special and unused rows are no answers.

    Args:
        plan: what is added.
        made: the new rows by start, (n, H).
    """
    old = np.flatnonzero((plan.vocabulary["group"] != "none").to_numpy()[: plan.plm.rows])
    old = np.setdiff1d(old, plan.new)
    units, texts = normalise_rows(plan.plm.matrix[old]), plan.vocabulary["text"]
    starts = plan.vocabulary["starts_word"]
    lines = []
    for start, rows in made.items():
        for row, vector in zip(plan.new.tolist(), rows, strict=True):
            found = nearest_to(units, vector, NEAREST)
            names = [f"{'' if starts[int(old[i])] else INSIDE}{texts[int(old[i])]}" for i in found.rows]
            lines.append({"token_id": row, "start": start, "nearest": names, "cosine": float(found.scores[0])})
    return pl.DataFrame(lines, schema=NEAR)


def write_findings(folder: Path, found: Findings) -> None:
    """Keep findings in a folder; about.json comes last, so that where it is all is there.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FRAMES:
            frame = getattr(found, name)
            (folder / f"{name}.parquet").unlink(missing_ok=True)
            if frame is not None:
                write_atomically(folder / f"{name}.parquet", frame.write_parquet)
        write_json(folder / _ABOUT, found.about)
    except OSError as exc:
        raise RunError(f"cannot write to {str(folder)!r} ({exc.strerror or exc}); name another folder") from None


def read_findings(folder: Path) -> Findings | None:
    """Return what a folder holds, None if there is nothing that can be read."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        files = {name: folder / f"{name}.parquet" for name in _FRAMES}
        known = {name: pl.read_parquet(file, glob=False) for name, file in files.items() if file.is_file()}
        return Findings(known["terms"], known.get("near"), known.get("compared"), about)
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        return None
