"""A run's history: events, a line of JSON each, in the order in which they came."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

HISTORY = "history.jsonl"


def remember(folder: Path, event: dict[str, Any]) -> None:
    """Add an event to the history of the run in `folder`; raises OSError where it cannot be written."""
    with (folder / HISTORY).open("a", encoding="utf-8") as history:
        history.write(json.dumps(event, allow_nan=False) + "\n")


def read_evaluations(folder: Path) -> list[dict[str, float]]:
    """Return the evaluations of a training so far, in order: `update`, `validation` and `loss`; none is no error.

    A run that was resumed has told some of them twice; the last telling counts. Of two tables that are trained one
    after the other the second's count as soon as there are any.
    """
    stage, found = "", dict[float, dict[str, float]]()
    with suppress(OSError):
        for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError, KeyError):  # a line that was cut short
                event = json.loads(line)
                if "validation" in event:
                    found = found if event["stage"] == stage else {}
                    stage = event.pop("stage")
                    found[float(event["update"])] = {name: float(value) for name, value in event.items()}
    return [found[update] for update in sorted(found)]
