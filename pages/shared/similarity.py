"""Word similarity of the two tables: which pairs count, the chart, the table, the downloads."""

from pathlib import Path

import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.errors import EvaluationError
from defemb_core.evaluate import Evaluation, Question
from defemb_core.evaluation.pair_files import keep_pairs
from defemb_core.evaluation.word_similarity import ALL, PIECES
from defemb_core.evaluation_files import measured_runs, runs_side_by_side
from defemb_core.palette import table_colours
from defemb_core.text import plain
from pages.shared import charts, state
from pages.shared.downloads import offer_figures
from pages.shared.evaluations import evaluation_of, start_evaluation
from pages.shared.tables import as_plain
from pages.shared.text import as_text

PARTS = """Which pairs of a set count.

- **low-frequency token**: a word has a token of the rare group.
- **rebuilt token**: a word has a token with a new row. Each new row was predicted by a map that never saw its original,
  so this is fair evidence.
- **held-out token**: a word has a token of the 20 % that the held-out figures are about. With method “trained” the
  student has not learned from these either.
"""
SEVERAL = "A word that the tokenizer cuts into pieces is the mean of their rows, or its pairs are left out."
RULES = {"mean": "mean of the pieces", "skip": "left out"}
CAPTION = "Spearman's correlation of cosines with human scores; in brackets 95 % of resamples."
FIGURES = {
    "set": st.column_config.TextColumn("set", help="Who asked whom is in defemb_core/evaluation/pairs/README.md."),
    "part": None,
    "pairs": st.column_config.NumberColumn("pairs", help="That are left of the set; fewer than ten are not judged."),
    "p": st.column_config.TextColumn(
        "p",
        help="How easily the draw of the pairs alone would make such a difference: 0 to 1, two-sided, from paired "
        "resamples (at least 0.001). Of twenty differences that are none, one is below 0.05.",
    ),
}
CORRELATION = "Spearman's rank correlation of the pairs' cosines with people's scores, -1 to 1, 1 is best; in brackets \
95 % of resamples of the pairs."


def show_similarity(comparison: Comparison, own: list[Path]) -> None:
    """Show all of it, for the shipped sets and the files of the user's own after them."""
    parts, rule = st.columns([5, 2])
    pieces = rule.segmented_control(
        "Words of several pieces", PIECES, default=PIECES[0], required=True, format_func=RULES.__getitem__,
        key="several", help=SEVERAL, bind="query-params",
    )  # fmt: skip
    asked = {"Comparing cosines with human scores": Question(pieces=pieces)}
    if own:
        asked["Your own word pairs"] = Question(pairs=tuple(map(str, own)), pieces=pieces)
    found = [evaluation_of(comparison, question, title) for title, question in asked.items()]
    measured = [one for one in found if one]
    if not measured:
        return
    similarity = pl.concat([one.figures for one in measured])
    known = similarity["part"].unique(maintain_order=True).to_list()
    part = parts.segmented_control(
        "Pairs", known, default=ALL, required=True, key="part", help=PARTS, bind="query-params"
    )
    chosen = similarity.filter(pl.col("part") == part)
    st.markdown(_in_words(chosen, comparison.names))
    if chosen["spearman"].is_not_null().any():
        figure = charts.figures().similarity_figure(similarity, part, table_colours(comparison.names))
        charts.show(figure, "similarity")
    _show_figures(measured, part, comparison.names)
    with st.expander("What was read", icon=":material/fact_check:"):
        for note in (note for one in measured for note in one.notes):
            st.text(note)
    if comparison.is_usual:
        _show_runs(Question(pieces=pieces))


def _show_runs(question: Question) -> None:
    """Show all runs of this PLM that have been measured, baselines too, and offer to measure the others."""
    runs = state.complete_runs(state.chosen_plm())
    if len(runs) < 2:
        return
    with st.expander("All runs of this PLM", icon=":material/table_rows:"):
        measured = {folder.name: made.figures for folder, made in measured_runs(runs, question).items()}
        shown = runs_side_by_side(measured)
        numbers = {name: st.column_config.NumberColumn(plain(name), format="%.3f") for name in ["original", *measured]}
        st.dataframe(shown, column_config=numbers, hide_index=True, key="similarity-runs")
        offer_figures("word-similarity-of-runs", shown, shown, "Spearman's correlation of cosines with human scores")
        others = [folder for folder in runs if folder.name not in measured]
        if others and st.button(f"Measure {len(others)} more", icon=":material/play_arrow:", key="measure-runs"):
            start_evaluation(others[0], question, *others[1:])
            st.toast("Measuring in the background: they are here when you open this page again")


def own_pairs() -> list[Path]:
    """Return where the files of pairs lie that the user has chosen here; what is no such file is said."""
    files = st.file_uploader(
        "Your own word pairs", accept_multiple_files=True, key="pairs",
        help="Text or CSV, a line a pair: word, word, score; separated by tabs, commas, semicolons or blanks, with or "
        "without a header. They stay on this machine.",
    )  # fmt: skip
    found = []
    for file in files:
        try:
            found.append(keep_pairs(file.getvalue(), file.name))
        except EvaluationError as exc:
            st.error(as_text(str(exc)), icon=":material/error:")
    return found


def _in_words(chosen: pl.DataFrame, names: tuple[str, str]) -> str:
    """Return on how many sets the second table does better, and on how many beyond doubt."""
    judged = chosen.filter(pl.col("difference").is_not_null())
    if judged.is_empty():
        return "No set has ten such pairs: too few to judge by."
    counts = [judged.filter(pl.col("difference") * sign > 0) for sign in (1, -1)]
    told = [f"{part.height} ({part.filter(pl.col('p') < 0.05).height} with p below 0.05)" for part in counts]
    second, first = as_text(names[1]), as_text(names[0])
    return f"Of {judged.height} sets, {second} agrees better with people than {first} on {told[0]}, worse on {told[1]}."


def _show_figures(measured: list[Evaluation], part: str, names: tuple[str, str]) -> None:
    shown = pl.concat([one.shown for one in measured])
    columns = FIGURES | {name: st.column_config.TextColumn(plain(name), help=CORRELATION) for name in names}
    st.dataframe(
        as_plain(shown.filter(pl.col("part") == part), "set"),
        column_config=columns, hide_index=True, key="similarity-figures",
    )  # fmt: skip
    offer_figures("word-similarity", pl.concat([one.figures for one in measured]), shown, CAPTION)
