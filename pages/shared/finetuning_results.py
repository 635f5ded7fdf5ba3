"""What fine-tuning has shown: figures, a chart and downloads of each evaluation, and several side by side."""

from pathlib import Path

import polars as pl
import streamlit as st

from defemb_core.errors import DefembError
from defemb_core.finetuning.metrics import METRICS
from defemb_core.finetuning.results import P_NOTE, for_reading, kept_figures, seed_figures
from defemb_core.finetuning.units import list_evaluations, read_config
from defemb_core.palette import table_colours
from defemb_core.runs import Status
from pages.shared import charts
from pages.shared.downloads import offer_figures
from pages.shared.history import resume_or_delete
from pages.shared.tables import as_plain
from pages.shared.text import as_text

WHAT = "  \n".join(f"**{name}**: {told}." for name, told in METRICS.items())
CAPTION = "Mean over seeds; in brackets 95 % of resampled examples."
HELP = {
    "metric": WHAT,
    "seeds": "That are done.",
    "mean": CAPTION,
    "table": "The last line of a figure is one answer to everything: the most common label, or the mean score.",
    "deviation": "Standard deviation over seeds: how far chance in the fine-tuning goes.",
    "difference": "To the first table, over the seeds that both have; above 0 is better. In brackets 95 % of resampled "
    "examples.",
    "p (examples)": "How easily the draw of the examples alone would make such a difference, 0 to 1, two-sided.",
    "p (seeds)": "How easily the draw of the seeds alone would, by a paired t test, 0 to 1. With three seeds only "
    "large differences can be told from chance.",
}
WIDTHS = {"mean": 160, "difference": 180}  # pixels, as wide as "0.688 (0.588 to 0.787)"


def show_table(made: pl.DataFrame, key: str) -> None:
    """Show figures, one line a metric and table; a dash where there is none."""
    shown = as_plain(for_reading(made), "evaluation", "table", longest=80)
    cells = {
        name: ["–" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in shown[name]]
        for name in shown.columns
    }
    columns = {
        name: st.column_config.TextColumn(name, help=HELP.get(name), width=WIDTHS.get(name)) for name in shown.columns
    }
    st.dataframe(pl.DataFrame(cells), column_config=columns, hide_index=True, key=key)


def show_finished() -> None:
    """Show every evaluation that is not at work, newest first, and several of them side by side."""
    ended = [(folder, status) for folder, status in list_evaluations() if not status.is_active]
    if not ended:
        st.info("Nothing has been fine-tuned yet. Choose a task and a folder above.", icon=":material/info:")
        return
    with_figures = [folder for folder, _ in ended if kept_figures(folder) is not None]
    if len(with_figures) > 1:
        names = {folder.name: folder for folder in with_figures}
        compared = st.multiselect("Side by side", list(names), key="side-by-side", placeholder="choose two or more")
        if len(compared) > 1:
            _side_by_side([names[name] for name in compared])
    for number, (folder, status) in enumerate(ended):
        title = f"{as_text(folder.name)} · {status.state}"
        with st.expander(title, expanded=number == 0, icon=":material/model_training:"):
            _show_one(folder, status)


def _show_one(folder: Path, status: Status) -> None:
    if status.message and status.state != "complete":
        st.error(as_text(status.message), icon=":material/error:")
    try:
        made = kept_figures(folder)
        if made is not None:
            _show_figures(folder, made)
    except DefembError as exc:  # a damaged evaluation can still be deleted
        st.error(as_text(str(exc)), icon=":material/error:")
    resume_or_delete(folder, status)


def _show_figures(folder: Path, made: pl.DataFrame) -> None:
    config = read_config(folder)
    metrics = made["metric"].unique(maintain_order=True).to_list()
    metric = metrics[0]
    if len(metrics) > 1:
        metric = st.segmented_control("Figure", metrics, default=metric, required=True, key=f"metric-{folder.name}")
    tables = [table["name"] for table in config["tables"]]
    seeds = seed_figures(folder)
    if seeds.filter((pl.col("metric") == metric) & pl.col("value").is_not_null()).height:
        colours = table_colours((tables[0], tables[1]), tables[2:]) if len(tables) > 1 else None
        charts.show(charts.figures().seeds_figure(made, seeds, metric, colours), key=f"seeds-{folder.name}")
    shown = for_reading(made)
    show_table(made, f"figures-{folder.name}")
    offer_figures(folder.name, made, shown, CAPTION)
    st.caption(as_text(f"{P_NOTE}."))
    data, chosen = config["data"], config["settings"]
    sizes = ", ".join(f"{count:,} ({name})" for name, count in data["evaluations"].items())
    said = f"Learned from {data['train']:,} examples, judged by {sizes}; " + ", ".join(
        f"{name.replace('_', ' ')} {value:g}" for name, value in chosen.items()
    )
    for note in (said, *config["notes"]):
        st.caption(as_text(note))


def _side_by_side(folders: list[Path]) -> None:
    """Show the figures of several evaluations in one table."""
    frames = []
    for folder in folders:
        made = kept_figures(folder)
        if made is not None:
            frames.append(made.select(pl.lit(folder.name).alias("evaluation"), pl.all()))
    whole = pl.concat(frames)
    shown = for_reading(whole)
    show_table(whole, "several")
    offer_figures("fine-tuning", whole, shown, CAPTION)
