"""What a training did to a table, in sentences and in small tables: for the command line and the page alike."""

from __future__ import annotations

from typing import Any

import polars as pl

from defemb_core.dynamics.measures import Dynamics
from defemb_core.dynamics.recordings import Recording

TOP = 20
# What is told of rows by their counts: from how often, and of how many rows a mean is told.
OFTEN, FEWEST = 100, 10


def last_movement(dynamics: Dynamics, group: str = "all") -> dict[str, dict[str, Any]]:
    """Return the last step's line of each part of a group (every, seen, unseen) by its name."""
    lines = dynamics.displacement.filter((pl.col("step") == dynamics.steps[-1]) & (pl.col("group") == group))
    return {line["seen"]: line for line in lines.iter_rows(named=True)}


def movement_table(dynamics: Dynamics) -> pl.DataFrame:
    """Return how far the rows of each group have moved by the last step, seen and unseen apart where that is known."""
    last = dynamics.displacement.filter(pl.col("step") == dynamics.steps[-1])
    last = last.filter(pl.col("seen") != "every") if dynamics.knows_seen else last
    lines = [
        {
            "group": "special, unused" if line["group"] == "none" else line["group"],
            "rows": line["seen"],
            "number": line["rows"],
            "moved": percent(line["moved"]),
            "by (of length)": percent(line["relative"]),
            "cosine to start": "–" if line["cosine"] is None else f"{line['cosine']:.6f}",
            "one scale explains": percent(line["explained"]),
            "weight decay alone": percent(line["only_decay"]),
        }
        for line in last.iter_rows(named=True)
    ]
    return pl.DataFrame(lines)


def isotropy_table(dynamics: Dynamics) -> pl.DataFrame:
    """Return I(W), mean cosine, effective rank and IsoScore of all rows, a line a step."""
    rows = dynamics.isotropy.filter(pl.col("group") == "all")
    return rows.select("step", "i_w", "mean_cosine", "effective_rank", "iso_score")


def moved_most(dynamics: Dynamics, count: int | None = None) -> pl.DataFrame:
    """Return the tokens whose rows moved farthest of their length, first the farthest; `count` of them, or all moved.

    Columns: token_id, token, text, group, count (null if unknown), relative, l2, cosine.
    """
    columns = ("token_id", "token", "text", "group", "count", "relative", "l2", "cosine")
    moved = dynamics.tokens.filter("moved").sort("relative", "token_id", descending=[True, False], nulls_last=True)
    return moved.select(columns).head(count or moved.height)


def findings(dynamics: Dynamics) -> list[str]:
    """Return what stands in the measures, one sentence each."""
    parts, steps = last_movement(dynamics), dynamics.steps
    told = [f"{steps[-1] - steps[0]:,} updates in {len(steps)} snapshots of {dynamics.about['rows']:,} rows."]
    for kind in ("seen", "unseen") if dynamics.knows_seen else ("every",):
        if line := parts.get(kind):
            told.append(_moved_sentence(kind, line))
    told += _count_sentence(dynamics)
    if line := parts.get("unseen"):
        told += _decay_sentence(line)
    told.append(_isotropy_sentence(dynamics))
    return told


def cautions(dynamics: Dynamics, recording: Recording) -> list[str]:
    """Return what a reader has to know of how this was recorded, one sentence each; often none."""
    told = []
    about = recording.about
    if not dynamics.knows_seen:
        told.append("Which tokens were in the training data is not recorded, so seen and unseen are not told apart.")
    if about.get("tied"):
        told.append("The output rows are the same table, so every update moves every row, seen or not.")
    if not about["finished"]:
        done = f"{recording.steps[-1]:,} of {about['planned']:,}"
        told.append(f"The training has not finished, or was interrupted: {done} updates are recorded.")
    gaps = ", ".join(f"{first:,} to {last:,}" for first, last in about["gaps"])
    if gaps:
        told.append(
            f"The updates {gaps} were not watched: rows called unseen may have been seen there, and their weight decay "
            "is unknown."
        )
    if recording.kind == "checkpoints" and recording.steps[0] > 0:
        told.append(f"Movement counts from step {recording.steps[0]:,}: name the PLM that the training began from.")
    return told


def percent(share: float | None) -> str:
    """Return a share as a percentage with the digits that say something, "–" for none."""
    if share is None:
        return "–"
    # Never 100% for almost all, nor 0% for almost none.
    return f"{share:.0%}" if share in (0, 1) else f"{100 * share:.{4 if share > 0.99 else 3}g}%"


def _moved_sentence(kind: str, line: dict[str, Any]) -> str:
    what = {"seen": "seen in training", "unseen": "never seen in training", "every": "of the vocabulary"}[kind]
    if line["moved"] == 0:
        return f"{line['rows']:,} rows {what}: not one changed in any bit."
    by = f"on average by {percent(line['relative'])} of their length"
    return f"{line['rows']:,} rows {what}: {percent(line['moved'])} moved, {by}."


def _count_sentence(dynamics: Dynamics) -> list[str]:
    """Return whether rows moved farther the more often their token was seen; nothing where too few were."""
    seen = dynamics.tokens.filter((pl.col("group") != "none") & pl.col("seen").fill_null(False))
    seen = seen.filter(pl.col("relative").is_not_null())
    once, frequent = seen.filter(pl.col("count") == 1), seen.filter(pl.col("count") >= OFTEN)
    if min(once.height, frequent.height) < FEWEST:
        return []
    by = [percent(part.select(pl.col("relative").mean()).item()) for part in (once, frequent)]
    rank = seen.select(pl.corr("count", "relative", method="spearman")).item()
    return [
        f"The {once.height:,} rows seen once moved by {by[0]}, the {frequent.height:,} seen {OFTEN} times or more by "
        f"{by[1]}; Spearman's correlation of count and movement {rank:.2f}."
    ]


def _decay_sentence(line: dict[str, Any]) -> list[str]:
    """Return how much of the movement of unseen rows is weight decay."""
    if line["moved"] == 0:
        return []
    scale = f"{line['scale']:.7f}"
    told = f"One common scale of {scale} explains {percent(line['explained'])} of their squared displacement"
    if line["only_decay"] is not None:
        told += (
            f"; replaying the recorded weight decay (1 - rate x decay at each update, {line['decay']:.7f} in all) "
            f"gives {percent(line['only_decay'])} of these rows back to the bit, rounding included"
        )
    return [f"{told}."]


def _isotropy_sentence(dynamics: Dynamics) -> str:
    rows = isotropy_table(dynamics)
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    return (
        f"I(W) of all rows {first['i_w']:.4f} before and {last['i_w']:.4f} after, mean cosine "
        f"{first['mean_cosine']:.4f} and {last['mean_cosine']:.4f}, effective rank {first['effective_rank']:.1f} and "
        f"{last['effective_rank']:.1f}."
    )
