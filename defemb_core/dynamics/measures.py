"""What a training did to a table, step by step: isotropy, spectrum, how far rows moved, a map, who moved most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from defemb_core.dynamics.displacement import DISPLACEMENT_SCHEMA, displacement_lines, displacement_of, parts_of
from defemb_core.dynamics.recordings import Recording, recording_frame
from defemb_core.dynamics.svd_map import SVDMap, map_axes, mapped_rows, place_rows
from defemb_core.isotropy import MEASURES, Isotropy, isotropy_by_group
from defemb_core.progress import Clock, Progress
from defemb_core.spectrum import singular_values

STAGE = "measuring"
ISOTROPY_SCHEMA = {"step": pl.Int64, "group": pl.String, "rows": pl.Int64, **dict.fromkeys(MEASURES, pl.Float64)}
"""A line for each step and group (all, frequent, medium, rare): `isotropy.Isotropy`."""
SPECTRUM_SCHEMA = {"step": pl.Int64, "index": pl.Int64, "value": pl.Float64}
"""A line for each step and singular value of all rows, mean row not subtracted; index 1 is the largest."""
TOKEN_COLUMNS = ("l2", "relative", "cosine")


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What a recording says, measured in the full space.

    Attributes:
        isotropy: ISOTROPY_SCHEMA.
        spectrum: SPECTRUM_SCHEMA.
        displacement: DISPLACEMENT_SCHEMA.
        tokens: the vocabulary frame, a line a row in row order, with `count i64` and `seen bool` (null if unknown), and
            of the last step against the first `l2 f64`, `relative f64`, `cosine f64` (see DISPLACEMENT_SCHEMA; null for
            rows of zeros), `moved bool`.
        svd: the map.
        about: `steps`, `rows`, `width`, `kind`, and the recording's `about`.
    """

    isotropy: pl.DataFrame
    spectrum: pl.DataFrame
    displacement: pl.DataFrame
    tokens: pl.DataFrame
    svd: SVDMap
    about: dict[str, Any]

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps measured, ascending."""
        return tuple(self.about["steps"])

    @property
    def knows_seen(self) -> bool:
        """Whether it is known which rows were seen in training."""
        return self.tokens["seen"].null_count() == 0


def measure_dynamics(recording: Recording, vocabulary: pl.DataFrame, progress: Progress | None = None) -> Dynamics:
    """Measure every step of a recording: about a second a step of 30,000 x 384.

    Args:
        recording: of `open_recording`.
        vocabulary: frame with frequency groups, a line a row.
        progress: told after each step.

    Raises:
        EvaluationError: the vocabulary does not fit, or a snapshot is damaged.
        PLMError: a checkpoint is damaged.
    """
    clock, frame = Clock(progress), recording_frame(recording, vocabulary)
    groups, parts = frame["group"].cast(pl.String).to_numpy(), parts_of(frame)
    isotropy: list[dict[str, Any]] = []
    spectrum: list[pl.DataFrame] = []
    displacement: list[dict[str, Any]] = []
    places: list[tuple[np.ndarray, float]] = []
    first, axes, found = np.empty(0), np.empty(0), None
    for done, now in enumerate(recording.frames()):
        clock.tell(STAGE, done, len(recording.steps))
        if found is None:
            first, axes = now.table.copy(), map_axes(now.table)
        found = displacement_of(now.table, first)
        isotropy += [_isotropy_line(now.step, *of) for of in isotropy_by_group(now.table, groups).items()]
        spectrum.append(_spectrum_lines(now.step, now.table))
        displacement += displacement_lines(now, found, parts)
        places.append(place_rows(now.table, axes))
    clock.tell(STAGE, len(recording.steps), len(recording.steps))
    assert found is not None
    kept = mapped_rows(found.l2, frame)
    svd = SVDMap(kept, np.stack([place[kept] for place, _ in places]), np.array([share for _, share in places]))
    columns = {name: pl.Series(getattr(found, name)).fill_nan(None) for name in TOKEN_COLUMNS}
    return Dynamics(
        pl.DataFrame(isotropy, schema=ISOTROPY_SCHEMA),
        pl.concat(spectrum),
        pl.DataFrame(displacement, schema=DISPLACEMENT_SCHEMA),
        frame.with_columns(**columns, moved=pl.Series(found.moved)),
        svd,
        about_recording(recording),
    )


def about_recording(recording: Recording) -> dict[str, Any]:
    """Return what measures are of, ready for JSON."""
    shape = {"steps": list(recording.steps), "rows": recording.rows, "width": recording.width}
    return recording.about | shape | {"kind": recording.kind}


def _isotropy_line(step: int, group: str, measured: Isotropy) -> dict[str, Any]:
    return {"step": step, "group": group, "rows": measured.rows, **{name: getattr(measured, name) for name in MEASURES}}


def _spectrum_lines(step: int, table: np.ndarray) -> pl.DataFrame:
    values = singular_values(table).values
    columns = {"step": [step] * values.size, "index": np.arange(1, values.size + 1), "value": values}
    return pl.DataFrame(columns, schema=SPECTRUM_SCHEMA)
