"""Try a definition: type one and see where the token's rebuilt row would lie, and near which tokens."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import streamlit as st

from defemb_core.changes import row_cosines
from defemb_core.comparison import Comparison
from defemb_core.dictionaries.glossary_files import user_glossary
from defemb_core.errors import DefembError
from defemb_core.processes import start_analysis
from defemb_core.queries import Answers, local_map, nearest_to
from defemb_core.runs import analysis_status
from defemb_core.text import plain
from defemb_core.trial import Trial, TrialMaps, Wording, try_definition
from pages.shared import charts, state
from pages.shared.own_definition import PARTS_OF_SPEECH, keep_definitions
from pages.shared.progress import show_progress
from pages.shared.search import label_of, shown_names, token_named
from pages.shared.text import as_text
from pages.shared.token_card import show_heading
from pages.shared.token_neighbours import NEIGHBOURS, units_of
from pages.shared.token_queries import show_rows

_SAID: Final = "trial-said"
HOW: Final = """One sense a line, the first weighs most; its part of speech may stand before it in brackets, as in
*(noun) sloping land*. Related words may follow a semicolon. The token's own word is hidden in it."""


def show_trial(comparison: Comparison, changes: pl.DataFrame) -> None:
    """Show the box for a definition and what it would do; the answer comes from maps that the run's analysis fitted."""
    trials = _trials_or_stop(comparison)
    vocabulary = comparison.vocabulary
    left, right = st.columns(2, gap="large")
    with left:
        name = _ask_for_token(vocabulary)
        token_id = token_named(vocabulary, name)
        if not name.strip():
            st.info("Name a token, or a word that the table has no row for.", icon=":material/info:")
            return
        if token_id is None:
            st.subheader(f"“{as_text(plain(name.strip()))}”", anchor=False)
            st.caption("a new word: the table has no row for it")
        else:
            show_heading(changes.row(token_id, named=True))
            if vocabulary["group"][token_id] == "none":
                st.info("Special and unused rows take no part: they keep their values.", icon=":material/info:")
                return
        wordings = _ask_for_definition(comparison, name, token_id)
    if not wordings:
        right.info("Type a definition and press Ctrl+Enter: its row appears here.", icon=":material/edit_note:")
        return
    try:
        trial = try_definition(trials, comparison, wordings, token_id, name.strip())
    except DefembError as error:
        right.error(as_text(str(error)), icon=":material/error:")
        return
    with right:
        _show_place(comparison, trial, token_id)
        _show_reading(comparison, trials, trial, len(wordings))
        place = st.container()
    near = _show_nearest(comparison, trial, token_id)
    with place:
        _show_map(comparison, trial, token_id, near)


def _trials_or_stop(comparison: Comparison) -> TrialMaps:
    """Return the maps; where they have not been fitted yet, have that done in the background and end the page."""
    trials, folder = state.trials_of(comparison), state.work_folder(comparison)
    if trials is not None:
        return trials
    status = analysis_status(folder)
    if status is None or status.state == "complete":  # complete: its cache has been cleared since
        start_analysis(folder)
        st.rerun()
    if status.is_active:
        st.info("Once for each run: the map from definitions to rows is fitted.", icon=":material/hourglass_top:")
        _watch(folder, comparison)
    elif st.button(f"Fit the map for trials ({status.state} before)", icon=":material/play_arrow:"):
        start_analysis(folder)
        st.rerun()
    st.stop()


@st.fragment(run_every=1.0)
def _watch(folder: Path, comparison: Comparison) -> None:
    """Show the analysis until the maps are there, which are its first stage."""
    status = analysis_status(folder)
    if status is None or not status.is_active or state.trials_of(comparison) is not None:
        st.rerun()
    show_progress(status, "The map for trials")


def _ask_for_token(vocabulary: pl.DataFrame) -> str:
    opened = st.session_state.get("token")
    if not st.session_state.get("try") and opened is not None and opened < vocabulary.height:
        st.session_state["try"] = label_of(vocabulary, opened)
    return st.text_input(
        "Token or new word", key="try", bind="query-params",
        help="A token as a reader writes it, ## and its text for one inside a word, or its row as #2924.",
    )  # fmt: skip


def _ask_for_definition(comparison: Comparison, name: str, token_id: int | None) -> list[Wording]:
    """Show the box, with the run's own definitions in it, and what may be done with them; return what it says."""
    frame = comparison.reconstruction.definitions
    senses = frame.filter(pl.col("token_id") == (-1 if token_id is None else token_id))
    key = f"trial-{name.strip() if token_id is None else token_id}-{comparison.key[:8]}"
    given = "\n".join(_as_line(sense, comparison) for sense in senses.iter_rows(named=True))
    text = st.text_area(
        "Definitions, one sense a line", given, key=key, height=260, help=HOW,
        placeholder="(noun) a small sweet cake that is fried in oil",
    )  # fmt: skip
    known = set(PARTS_OF_SPEECH) | set(frame["pos"].drop_nulls().unique().to_list())
    wordings = [_as_wording(line, known) for line in text.split("\n") if line.strip()]
    with st.container(horizontal=True):
        st.button(
            "Accept into my glossary", type="primary", icon=":material/bookmark_add:", on_click=_accept,
            disabled=not wordings or token_id is None, args=(comparison.vocabulary, name.strip(), wordings),
            help=f"Kept in {as_text(str(user_glossary()))}, after what that says of the token already. In a run a "
            "glossary comes before all other dictionaries. Only a token of the table can be accepted.",
        )  # fmt: skip
        if given:
            st.button("Back to the run's", icon=":material/undo:", on_click=_reset, args=(key, given))
    _say_what_was_kept()
    return wordings


def _as_line(sense: dict[str, Any], comparison: Comparison) -> str:
    """Return a sense as the box has it: part of speech, definition and, where they counted, related words."""
    related = sense["related"] if comparison.reconstruction.settings.relations else None
    said = "; ".join(part for part in (sense["gloss"], related) if part)
    return f"({sense['pos']}) {said}" if sense["pos"] else said


def _as_wording(line: str, known: set[str]) -> Wording:
    """Return what a line of the box says; brackets that hold no part of speech belong to the definition."""
    line = line.strip()
    pos, closed, rest = line.removeprefix("(").partition(")")
    if line.startswith("(") and closed and pos.strip() in known and rest.strip():
        return Wording(rest.strip(), pos.strip() or None)
    return Wording(line)


def _accept(vocabulary: pl.DataFrame, name: str, wordings: list[Wording]) -> None:
    """Write into the glossary; called before the page runs again."""
    row = token_named(vocabulary, name)
    named = name if row is None or not name.startswith("#") else str(vocabulary["token"][row])
    try:
        added = keep_definitions(vocabulary, named, [(one.definition, one.pos) for one in wordings])
    except DefembError as error:
        st.session_state[_SAID] = (False, str(error))
        return
    there = f", {len(wordings) - added} there already" if added < len(wordings) else ""
    st.session_state[_SAID] = (True, f"“{plain(named)}”: {added} definitions are in your glossary{there}.")


def _say_what_was_kept() -> None:
    kept, said = st.session_state.pop(_SAID, (True, ""))
    if said and kept:
        st.success(as_text(said), icon=":material/check_circle:")
        st.page_link(
            "pages/reconstruction.py", label="Rebuild with your glossary, whose definitions count first",
            icon=":material/construction:",
        )  # fmt: skip
    elif said:
        st.error(as_text(said), icon=":material/error:")


def _reset(key: str, given: str) -> None:
    st.session_state[key] = given


def _show_place(comparison: Comparison, trial: Trial, token_id: int | None) -> None:
    """Show how the row lies to the token's own rows in both tables."""
    facts = st.columns(3)
    norm = f"{np.linalg.norm(trial.row):.2f}"
    if token_id is None:
        facts[0].metric("Norm", norm, help="Its distance to the mean row is the usual one of rebuilt rows.")
        return
    to_original, to_rebuilt = (
        f"{row_cosines(trial.row[None], matrix[token_id][None])[0]:.3f}"
        for matrix in (comparison.original, comparison.rebuilt)
    )
    facts[0].metric("To original", to_original, help="Cosine of your row with the original row, -1 to 1.")
    facts[1].metric("To rebuilt", to_rebuilt, help="Cosine of your row with this run's row, -1 to 1; 1 is the same.")
    facts[2].metric("Norm", norm, help="Euclidean length of your row, scaled and blended as the run's settings say.")


def _show_reading(comparison: Comparison, trials: TrialMaps, trial: Trial, given: int) -> None:
    """Show which words weigh most, and what stands behind the answer."""
    texts = comparison.vocabulary["text"]
    st.markdown("**Read by**", help="The tokens that weigh most in the definition's bag: rarer ones weigh more.")
    st.text(" · ".join(f"{plain(texts[i])} {share:.0%}" for i, share in trial.read.iter_rows()))
    said = ["The map was fitted on other words' rows: this token's row had no part in it."]
    settings = comparison.reconstruction.settings
    if trial.senses < given:
        said.append(f"The first {trial.senses} senses count, as in the run; {given - trial.senses} are left out.")
    if settings.method != "instant":
        said.append(f"The run's method is {settings.method}; trials answer with method instant, so their rows differ.")
    if settings.mentions and trials.mentions is None:
        said.append("The run's dictionary cannot be read as it was: words that mention a token do not count here.")
    st.caption(as_text(" ".join(said)))


def _show_nearest(comparison: Comparison, trial: Trial, token_id: int | None) -> dict[str, Answers]:
    """Show which rows are nearest to the original row, the run's and the trial's; a click opens a card."""
    units, without = units_of(comparison), [] if token_id is None else [token_id]
    asked = {"trial": (units["rebuilt"], trial.row)}
    if token_id is not None:
        asked = {name: (units[name], units[name][token_id]) for name in units} | asked
    near = {name: nearest_to(table, row, NEIGHBOURS, without) for name, (table, row) in asked.items()}
    st.subheader(
        "Nearest tokens", anchor=False,
        help="By cosine, exact, in the full space: yours and the run's among the rebuilt rows. Click one to open it.",
    )  # fmt: skip
    for column, (name, found) in zip(st.columns(len(near)), near.items(), strict=True):
        with column:
            st.markdown(f"**To {as_text(_called(comparison, name))}**")
            show_rows(comparison, found, f"trial-{name}", "similarity")
    return near


def _show_map(comparison: Comparison, trial: Trial, token_id: int | None, near: dict[str, Answers]) -> None:
    """Show the row, the token's own rows, and the rebuilt rows nearest to yours and to the run's."""
    table = units_of(comparison)
    found = dict.fromkeys(row for name in ("trial", "rebuilt") if name in near for row in near[name].rows.tolist())
    own = {} if token_id is None else {name: units[token_id] for name, units in table.items()}
    rows = np.stack([trial.row / max(float(np.linalg.norm(trial.row)), 1e-12), *own.values()])
    labels = shown_names(comparison.vocabulary, list(found))
    points, shown = local_map(np.concatenate([rows, table["rebuilt"][list(found)]]))
    names = {"token": _called(comparison, "trial"), "both": "rebuilt rows nearest to yours and to this run's"}
    names |= {name: _called(comparison, name) for name in table}
    sides = ["token", *own, *["both"] * len(found)]
    said = [names["token"], *(names[name] for name in own), *labels]
    figure = charts.figures().local_map_figure(points, said, sides, shown, "Where it lies", names)
    charts.show(figure, "trial-map")


def _called(comparison: Comparison, name: str) -> str:
    """Return what a row is called: its own in the first table, in this run's, or the one that is tried."""
    first = "its original row" if comparison.is_usual else f"its row in {comparison.names[0]}"
    return {"original": first, "rebuilt": "this run's row", "trial": "your definition"}[name]
