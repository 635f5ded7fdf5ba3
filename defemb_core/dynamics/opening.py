"""Open a recording together with the vocabulary that its rows stand for."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from defemb_core.dynamics.recordings import Recording, open_recording, recorded_tokenizer
from defemb_core.errors import EvaluationError, PLMError
from defemb_core.frequency import add_frequency, default_source, plm_vocabulary
from defemb_core.plm import PLM, load_plm
from defemb_core.vocabulary import read_vocabulary, tokenizer_kind


def open_with_vocabulary(folder: Path, plm: str = "") -> tuple[Recording, pl.DataFrame]:
    """Open a recording or a Trainer's folder, and the vocabulary frame of its rows.

    Args:
        folder: as `open_recording` takes it.
        plm: whose vocabulary it is, and, for checkpoints, what the training began from; "" for the tokenizer that lies
            with the recording, else the PLM that the recording names.

    Raises:
        EvaluationError: as open_recording does, or it is not known which tokens the rows stand for.
        PLMError: `plm` cannot be loaded.
    """
    start = load_plm(plm) if plm else None
    recording = open_recording(folder, start)
    return recording, recorded_vocabulary(recording, start)


def recorded_vocabulary(recording: Recording, start: PLM | None = None) -> pl.DataFrame:
    """Return the vocabulary frame of a recording's rows: that of `start`, if it is given.

    Raises:
        EvaluationError: it is not known which tokens the rows stand for.
    """
    if start:
        return plm_vocabulary(start)
    if kept := recorded_tokenizer(recording):
        tokenizer, special = kept
        source = default_source(tokenizer_kind(tokenizer))
        return add_frequency(read_vocabulary(tokenizer, recording.rows, special), source)
    return plm_vocabulary(_named(recording))


def _named(recording: Recording) -> PLM:
    way = "name the PLM that was trained with --plm"
    name = recording.about["plm"]
    if not name:
        raise EvaluationError(f"{str(recording.folder)!r} does not say whose vocabulary its rows are; {way}")
    try:
        return load_plm(name)
    except PLMError as exc:
        raise EvaluationError(f"{str(recording.folder)!r} was recorded from {name!r}: {exc}; {way}") from None
