"""What pages share: core calls, cached by content, and what the user has chosen.

Caches are keyed by names, files' time stamps and digests, never by arrays: Streamlit hashes a large array from a sample
of its elements, and one changed row would mostly go unseen.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.analysis import Analysis, known_neighbours, read_analysis
from defemb_core.changes import token_changes
from defemb_core.comparison import Comparison, open_comparison
from defemb_core.comparison import work_folder as folder_for
from defemb_core.dictionaries import GLOSSARY, Dictionary, load_dictionary, parts_of
from defemb_core.dictionaries.glossary_files import user_glossary
from defemb_core.errors import PLMError
from defemb_core.frequency import Groups, Source, default_source, plm_vocabulary
from defemb_core.hub import BUNDLED
from defemb_core.neighbours import Neighbours, normalise_rows
from defemb_core.pieces import matched_senses
from defemb_core.plm import PLM, load_plm
from defemb_core.projection import Projection, project_pca
from defemb_core.projection_settings import ProjectionSettings
from defemb_core.reconstruction import Settings
from defemb_core.reconstruction_files import plm_place
from defemb_core.runs import list_runs, runs_folder
from defemb_core.trial import TrialMaps
from defemb_core.trial_files import read_trials, trials_folder
from defemb_core.undertrained import undertrained_indicators
from defemb_core.vocabulary import tokenizer_kind

# Choices of the sidebar that are no run's name: runs' names have no blanks.
OWN, CHECKPOINT = "the original", "another checkpoint"
K = TypeVar("K")
V = TypeVar("V")


def plm_named(name: str, revision: str | None = None) -> PLM:
    """Return the PLM; one object serves every session, until the files of a local folder change."""
    return _plm(name, revision, _stamp(name))


@st.cache_resource(show_spinner="Reading the model's table", max_entries=3)
def _plm(name: str, revision: str | None, stamp: float) -> PLM:
    del stamp
    return load_plm(name, revision)


def _stamp(name: str) -> float:
    """Return when a file, or a local folder's files, last changed, 0 for what is neither."""
    if not name:
        return 0.0
    try:
        path = Path(name).expanduser()
        return max(file.stat().st_mtime for file in (path.iterdir() if path.is_dir() else [path]))
    except (OSError, RuntimeError, ValueError):
        return 0.0


def vocabulary_of(name: str, source: Source | None = None, groups: Groups | None = None) -> pl.DataFrame:
    """Return the PLM's vocabulary frame."""
    plm = plm_named(name)
    return _vocabulary(plm, str(plm.folder), _stamp(name), source, groups)


@st.cache_resource(show_spinner=False, max_entries=6)
def _vocabulary(_plm: PLM, folder: str, stamp: float, source: Source | None, groups: Groups | None) -> pl.DataFrame:
    del folder, stamp
    return plm_vocabulary(_plm, source, groups)


def chosen_plm() -> str:
    """Return the name of the PLM that the sidebar names."""
    return st.session_state.get("plm") or BUNDLED


def frequency_choice(plm: PLM) -> tuple[Source, Groups]:
    """Return the frequency source and groups chosen on the Model page; until then the source that suits the PLM."""
    low, high = st.session_state.get("cuts", (30, 80))
    groups = Groups(low / 100, (high - low) / 100, (100 - high) / 100)
    return st.session_state.get(frequency_key(plm)) or default_source(tokenizer_kind(plm.tokenizer)), groups


def frequency_key(plm: PLM) -> str:
    """Return where the session keeps the choice of a source: one for all PLMs that the same source suits."""
    return f"frequency-{default_source(tokenizer_kind(plm.tokenizer))}"


def frequency_in_words(plm: PLM) -> str:
    """Return that choice in words: "row order, 30% / 50% / 20% frequent, medium and rare"."""
    source, groups = frequency_choice(plm)
    shares = " / ".join(f"{share:.0%}" for share in (groups.frequent, groups.medium, groups.rare))
    return f"{'row order' if source == 'vocabulary' else 'wordfreq (English)'}, {shares} frequent, medium and rare"


def dictionary_named(spec: str) -> Dictionary:
    """Return the dictionary for the chosen PLM's vocabulary; read again when the files that either names change."""
    plm = chosen_plm()
    places = [str(user_glossary()) if part == GLOSSARY else part.partition(":")[2] for part in parts_of(spec)]
    vocabulary = vocabulary_of(plm, *frequency_choice(plm_named(plm)))
    return _dictionary(vocabulary, str(plm_named(plm).folder), _stamp(plm), spec, tuple(map(_stamp, places)))


@st.cache_resource(show_spinner="Reading the dictionary", max_entries=3)
def _dictionary(
    _vocabulary: pl.DataFrame, folder: str, plm_stamp: float, spec: str, stamps: tuple[float, ...]
) -> Dictionary:
    del folder, plm_stamp, stamps
    return load_dictionary(spec, _vocabulary)


def senses_of(spec: str, pieces: bool) -> pl.DataFrame:
    """Return the definitions of the chosen PLM's rows in words; with `pieces` those of words that contain rows too."""
    name = chosen_plm()
    plm, dictionary = plm_named(name), dictionary_named(spec)
    vocabulary = vocabulary_of(name, *frequency_choice(plm))
    key = (str(plm.folder), _stamp(name), dictionary.name, dictionary.digest)
    return _senses(plm, vocabulary, dictionary, key, pieces)


@st.cache_resource(show_spinner="Looking definitions up", max_entries=4)
def _senses(
    _plm: PLM, _vocabulary: pl.DataFrame, _dictionary: Dictionary, key: tuple[str, float, str, str], pieces: bool
) -> pl.DataFrame:
    del key
    return matched_senses(_plm, _vocabulary, _dictionary, Settings(pieces=pieces))


def complete_runs(plm: str | None = None) -> list[Path]:
    """Return the runs that can be compared, newest first; only those made from `plm`, if one is named."""
    complete = [folder for folder, status in list_runs() if status.state == "complete"]
    return [folder for folder in complete if plm is None or _is_same_plm(plm, _made_from(folder))]


def _is_same_plm(name: str, made_from: str | None) -> bool:
    """Return whether `name` is what a run was made from; runs keep a local folder's whole path, users may type less."""
    try:
        return name == made_from or (made_from is not None and Path(name).expanduser().resolve() == Path(made_from))
    except (OSError, RuntimeError, ValueError):  # "~nobody", a name too long or with a NUL: no path at all
        return False


def _made_from(folder: Path) -> str | None:
    """Return the name of the PLM that a run was made from; None if its files are damaged."""
    try:
        name = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["provenance"]["plm"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(PLMError):  # of a PLM that is gone the run keeps the name, so that opening it can say so
        return plm_place(name, folder)
    return name


def chosen_run() -> Path | None:
    """Return the run that the sidebar names as the rebuilt table, or None."""
    name = st.session_state.get("run")
    folder = runs_folder() / name if name else None
    return folder if folder and (folder / "config.json").is_file() else None


def compared() -> tuple[str, str]:
    """Return the second and the first table as `open_comparison` takes them; "" for one that is not named yet.

    The first is "" too where it is the own table of the PLM that the second's run was made from.
    """
    run, against = chosen_run(), st.session_state.get("against") or OWN
    checkpoint = st.session_state.get("checkpoint") or ""
    second = checkpoint if st.session_state.get("run") == CHECKPOINT else str(run or "")
    if against == CHECKPOINT:
        return second, checkpoint
    if against == OWN:
        return second, "" if run else chosen_plm()
    return second, str(runs_folder() / against)


def comparison_or_stop() -> Comparison:
    """Return the two tables that are compared, or say what to do next and end the page."""
    second, first = compared()
    if CHECKPOINT in (st.session_state.get("run"), st.session_state.get("against")) and "" in (second, first):
        st.info("Name the other checkpoint at the left: a hub name or a folder.", icon=":material/info:")
        st.stop()
    if not second:
        st.info("There is no rebuilt table yet. Rebuild one: it takes seconds.", icon=":material/info:")
        st.page_link("pages/reconstruction.py", label="Go to Reconstruction", icon=":material/construction:")
        st.stop()
    return _comparison(second, first, (*_table_stamps(second), *_table_stamps(first)))


def _table_stamps(name: str) -> tuple[float, ...]:
    """Return when a run, or a PLM's files, last changed."""
    try:
        if (Path(name) / "evidence.json").is_file():
            return (Path(name) / "config.json").stat().st_mtime, _stamp(_made_from(Path(name)) or "")
    except (OSError, ValueError):  # no path: a PLM's name
        pass
    return (_stamp(name),)


@st.cache_resource(show_spinner="Opening the run", max_entries=4)
def _comparison(second: str, first: str, stamps: tuple[float, ...]) -> Comparison:
    del stamps  # only part of the key: a run rebuilt under the same name is another run, a PLM's new files another PLM
    return open_comparison(second, plm_named, first)


def work_folder(comparison: Comparison) -> Path:
    """Return the folder for background work on the two tables: the run's, or one of the pair's own."""
    return folder_for(comparison, *compared())


def analysis_of(comparison: Comparison, settings: ProjectionSettings | None = None) -> Analysis | None:
    """Return neighbours and maps with these settings if they have been found, else None; looked up until they are."""
    settings = settings or ProjectionSettings()
    return _known(_analyses(), (comparison.key, settings), lambda: read_analysis(comparison, settings))


def neighbours_of(comparison: Comparison) -> tuple[Neighbours, Neighbours] | None:
    """Return both tables' nearest neighbours if they have been found, else None; looked up until they are."""
    return _known(_neighbours(), comparison.key, lambda: known_neighbours(comparison))


def _known(known: dict[K, V], key: K, find: Callable[[], V | None]) -> V | None:
    """Return what is known, else what is found by now and then is known; the last few are."""
    if key not in known:
        found = find()
        if found is None:
            return None
        while len(known) > 3:
            known.pop(next(iter(known)))
        known[key] = found
    return known[key]


@st.cache_resource
def _analyses() -> dict[tuple[str, ProjectionSettings], Analysis]:
    return {}


@st.cache_resource
def _neighbours() -> dict[str, tuple[Neighbours, Neighbours]]:
    return {}


def trials_of(comparison: Comparison) -> TrialMaps | None:
    """Return the maps that answer trials of a run if the analysis has fitted them, else None."""
    return _known(_trials(), str(trials_folder(comparison)), lambda: read_trials(comparison))


@st.cache_resource
def _trials() -> dict[str, TrialMaps]:
    return {}


def undertrained_of(comparison: Comparison) -> pl.DataFrame:
    """Return the indicators of under-training of each row of the first table."""
    return _undertrained(comparison, comparison.original_digest)


@st.cache_resource(max_entries=4, show_spinner="Measuring distances to the unused rows")
def _undertrained(_comparison: Comparison, digest: str) -> pl.DataFrame:
    del digest
    return undertrained_indicators(_comparison.original, _comparison.vocabulary).drop("norm")


def changes_of(comparison: Comparison) -> pl.DataFrame:
    """Return what changed for each token; with turnover and hubness once neighbours are known."""
    return _changes(comparison, comparison.key, neighbours_of(comparison) is not None)


@st.cache_resource(max_entries=6, show_spinner=False)
def _changes(_comparison: Comparison, key: str, with_neighbours: bool) -> pl.DataFrame:
    del key
    return token_changes(_comparison, neighbours_of(_comparison) if with_neighbours else None)


def pca_of(comparison: Comparison) -> tuple[Projection, ...]:
    """Return both tables' PCA maps on the original's axes."""
    return _pca(comparison, comparison.original_digest + comparison.rebuilt_digest)


@st.cache_resource(max_entries=4, show_spinner="Projecting")
def _pca(_comparison: Comparison, digest: str) -> tuple[Projection, ...]:
    del digest
    return project_pca([_comparison.original, _comparison.rebuilt])


@st.cache_resource(max_entries=6, show_spinner=False)
def unit_rows(_matrix: np.ndarray, digest: str) -> np.ndarray:
    """Return the table's rows at length 1, so that a click on a token is one product."""
    del digest
    return normalise_rows(_matrix)
