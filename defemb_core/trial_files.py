"""The maps that answer trials of a run, kept on disk: made by the analysis, read by the app."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from defemb_core.cache import cache_folder, write_atomically
from defemb_core.definitionemb import RidgeMap
from defemb_core.dictionaries import load_dictionary
from defemb_core.errors import DefembError, RunError, SettingsError
from defemb_core.trial import TrialMaps, fit_trials, trial_settings

if TYPE_CHECKING:
    from defemb_core.comparison import Comparison
    from defemb_core.progress import Progress

STAGE = "map for trials"
"""What an analysis is at while the maps are fitted."""
_FORMAT = 1


def prepare_trials(comparison: Comparison, progress: Progress) -> None:
    """Keep the maps of two tables whose second is a run that definitions can be tried for; else the page says why not.

    Raises:
        RunError: the cache folder cannot be written to.
    """
    progress(STAGE, 0, 1)
    if comparison.definitions is not None:
        with suppress(SettingsError):
            keep_trials(comparison)
    progress(STAGE, 1, 1)


def keep_trials(comparison: Comparison) -> TrialMaps:
    """Return the maps that answer trials of a run, from disk where they are known, else fitted (seconds) and kept.

    Mentions count where the run's dictionary can be read again and is the same still.

    Raises:
        SettingsError: see fit_trials.
        RunError: the cache folder cannot be written to.
    """
    return read_trials(comparison) or _write(
        trials_folder(comparison), fit_trials(comparison, _definitions(comparison))
    )


def read_trials(comparison: Comparison) -> TrialMaps | None:
    """Return the maps if they are on disk, else None; never fits any.

    Raises:
        SettingsError: see trial.trial_settings.
    """
    folder = trials_folder(comparison)
    try:
        with np.load(folder / "maps.npz", allow_pickle=False) as kept:
            arrays = dict(kept)
        lines = np.load(folder / "mentions.npy", mmap_mode="r", allow_pickle=False)  # one line is read a trial
        counted = zip(arrays["weights"], arrays["intercepts"], strict=True)
        maps = [RidgeMap(arrays["map_centre"], arrays["scale"], w, i, float(arrays["strength"])) for w, i in counted]
        mentions = lines if arrays["with_mentions"] else None
        of_rows = {name: arrays[name] for name in ("fold", "weight", "mention", "centre")}
        return TrialMaps(tuple(maps), mentions=mentions, distance=float(arrays["distance"]), **of_rows)
    except Exception:  # absent or damaged, which zipfile reports in a dozen ways: it is only a cache
        return None


def _write(folder: Path, trials: TrialMaps) -> TrialMaps:
    """Keep the maps; maps.npz comes last, so that where it is all is there."""
    last = trials.maps[-1]
    arrays = {
        "weights": np.stack([one.weights for one in trials.maps]).astype(np.float32),
        "intercepts": np.stack([one.intercept for one in trials.maps]),
        "map_centre": last.centre,
        "scale": last.scale,
        "strength": np.array(last.strength),
        "with_mentions": np.array(trials.mentions is not None),
        "distance": np.array(trials.distance),
    } | {name: getattr(trials, name) for name in ("fold", "weight", "mention", "centre")}
    lines = trials.mentions if trials.mentions is not None else np.zeros((0, trials.centre.size), np.float32)

    def write_lines(to: Path) -> None:
        with to.open("wb") as file:  # save would append .npy to a bare name
            np.save(file, lines, allow_pickle=False)

    def write_arrays(to: Path) -> None:
        with to.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    try:
        write_atomically(folder / "mentions.npy", write_lines)
        write_atomically(folder / "maps.npz", write_arrays)
    except OSError as exc:
        raise RunError(
            f"cannot write to the cache folder {str(cache_folder())!r} ({exc.strerror or exc}); "
            "set DEFEMB_CACHE to a folder with space that you may write to"
        ) from None
    return trials


def trials_folder(comparison: Comparison) -> Path:
    """Return where the maps of a run are kept: named by all that they are made from.

    Raises:
        SettingsError: see trial.trial_settings.
    """
    run = comparison.reconstruction
    settings, groups = asdict(trial_settings(run.settings)), run.vocabulary["group"].to_physical().to_numpy().tobytes()
    made_from = [comparison.plm.digest, comparison.rebuilt_digest, hashlib.sha256(groups).hexdigest()]
    key = json.dumps([_FORMAT, *made_from, run.provenance["dictionary"]["sha256"], settings], sort_keys=True)
    return cache_folder() / "trials" / hashlib.sha256(key.encode()).hexdigest()


def _definitions(comparison: Comparison) -> pl.DataFrame | None:
    """Return the definition frame that the run was made from, None if it is not to be had any more."""
    made_from = comparison.reconstruction.provenance["dictionary"]
    try:
        dictionary = load_dictionary(made_from.get("spec", made_from["name"]), comparison.vocabulary)
    except DefembError:
        return None
    return dictionary.definitions if dictionary.digest == made_from["sha256"] else None
