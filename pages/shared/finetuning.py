"""Fine-tuning asked for: inputs, an estimate by a process that times a few updates, the start, the progress."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import streamlit as st

from defemb_core.errors import RunError
from defemb_core.finetuning.request import Request, check_data
from defemb_core.finetuning.results import kept_figures
from defemb_core.finetuning.settings import (
    RECIPES,
    FinetuningSettings,
    glue_settings,
    summarisation_settings,
)
from defemb_core.finetuning.summaries import SUMMARIES
from defemb_core.finetuning.tasks import TASKS
from defemb_core.finetuning.units import ESTIMATE, estimate_path, evaluation_path, list_evaluations
from defemb_core.plm import PLM
from defemb_core.processes import cancel_run, start_run
from defemb_core.runs import read_status
from pages.shared import state
from pages.shared.finetuning_results import show_table
from pages.shared.progress import show_progress
from pages.shared.text import as_text

DATA = "A folder on this machine. For GLUE: its TSV files, RTE/train.tsv and RTE/dev.tsv say, or the folder above. For \
summaries: train.jsonl and test.jsonl, a line a text with 'document' and 'summary'. Empty: fetched by the package \
datasets, if it is installed."
TABLES = "Finished runs of this PLM. The original is always among the tables."
TITLES = {**{name: f"{task.title}: {task.asks}" for name, task in TASKS.items()}}
TITLES |= {name: f"Summaries: {name}" for name in SUMMARIES}
HELP = {
    "seeds": "How often each table is fine-tuned: other first weights of the head, order and dropout each time. Three "
    "show how far chance goes; a test over seeds wants five or more.",
    "epochs": "How often each example is learned from.",
    "rate": "The peak learning rate. Small PLMs like the bundled one learn at higher rates, 5e-5 say.",
    "batch": "Examples an update.",
    "max_length": "Tokens of an example at most; longer ones are cut.",
    "weight_decay": "How much every weight shrinks at each update, as a share of the rate.",
    "warmup": "Share of the updates in which the rate rises to its peak.",
    "limit": "Examples to learn from at most, drawn once for all; 0 takes all.",
    "eval_limit": "Examples to judge by at most, drawn once for all; 0 takes all.",
    "train_table": "Whether the table learns too, as is usual. Switched off, what was put in stays as it is.",
}
LABELS = {"rate": "Learning rate", "max_length": "Longest example", "limit": "Learn from at most"}
STEPS = {"epochs": 1.0, "rate": 1e-5, "weight_decay": 0.01, "warmup": 0.01}
LABELS |= {"eval_limit": "Judge by at most", "train_table": "Table learns"}


def ask_and_start(plm: PLM) -> None:
    """Show the inputs, what it would take, and start it when asked."""
    left, right = st.columns(2, gap="large")
    task = left.selectbox("Task", list(TITLES), format_func=TITLES.__getitem__, key="task", bind="query-params")
    data = right.text_input(
        "Folder of data", key="glue-data", persist_state="session", placeholder="empty: the package datasets", help=DATA
    )
    runs = [folder.name for folder in state.complete_runs(state.chosen_plm())]
    chosen = state.chosen_run()
    first = [chosen.name] if chosen and chosen.name in runs else runs[:1]
    tables = st.multiselect(
        "Tables beside the original", runs, first, key="glue-tables", placeholder="the original alone", help=TABLES
    )
    with st.form("finetuning", border=True):
        settings = _settings(task, plm)
        asked = Request((*tables, state.chosen_plm()), task, data.strip(), settings)
        estimate, start, _ = st.columns([1, 1, 3])
        wants = estimate.form_submit_button("Estimate", icon=":material/timer:", key="estimate-glue")
        busy = bool(active_evaluations())
        begins = start.form_submit_button(
            "Fine-tune", type="primary", icon=":material/play_arrow:", disabled=busy,
            help="One at a time: wait for the one above, or cancel it." if busy else None,
        )  # fmt: skip
    st.caption(as_text(f"Defaults are as published. {RECIPES}"))
    place = estimate_path(hashlib.sha256("\0".join(asked.arguments("x")).encode()).hexdigest()[:24])
    if wants or begins:
        check_data(asked)
        folder = evaluation_path(asked.name()) if begins else place
        start_run([*asked.arguments(folder.name)[:1], *([] if begins else ["--estimate"]),
                   *asked.arguments(folder.name)[1:]], folder)  # fmt: skip
        st.rerun()
    if (place / "status.json").is_file():
        _watch_estimate(place)


def _settings(task: str, plm: PLM) -> dict[str, Any]:
    """Show the settings with the published ones as defaults; return all of them."""
    family = str(plm.config["model_type"])
    usual = summarisation_settings(family) if task in SUMMARIES else glue_settings(task, family)
    chosen: dict[str, Any] = {}
    columns = st.columns(5)
    for number, field in enumerate(fields(FinetuningSettings)):
        name, value = field.name, getattr(usual, field.name)
        label = LABELS.get(name, name.replace("_", " ").capitalize())
        where, key = columns[number % 5], f"{name}-{task}-{family}"
        if isinstance(value, bool):
            chosen[name] = where.toggle(label, value, key=key, help=HELP[name])
        elif isinstance(value, int):
            least = 0 if name in {"limit", "eval_limit"} else 1
            chosen[name] = int(where.number_input(label, least, None, value, key=key, help=HELP[name]))
        else:
            chosen[name] = float(where.number_input(
                label, 0.0, None, value, STEPS[name], key=key, help=HELP[name], format="%g"))  # fmt: skip
    return chosen


def active_evaluations() -> list[Path]:
    """Return the evaluations whose process is at work."""
    return [folder for folder, status in list_evaluations() if status.is_active]


@st.fragment(run_every=1.0)
def watch_evaluation(folder: Path) -> None:
    """Show an evaluation until it ends, with the figures that there are by now."""
    status = read_status(folder)
    if not status.is_active:
        st.rerun()
    show_progress(status, folder.name)
    if (made := kept_figures(folder)) is not None:
        show_table(made, f"so-far-{folder.name}")
    if st.button("Cancel", key=f"cancel-{folder.name}", icon=":material/stop_circle:"):
        with st.spinner("Stopping"):
            cancel_run(folder)


@st.fragment(run_every=1.0)
def _watch_estimate(place: Path) -> None:
    """Show what it would take, once a few updates are timed."""
    try:
        status = read_status(place)
    except RunError:
        return
    if status.is_active:
        show_progress(status, "Estimate")
    elif (place / ESTIMATE).is_file():
        said = json.loads((place / ESTIMATE).read_text(encoding="utf-8"))["said"]
        st.info(as_text(f"This would take {said}."), icon=":material/timer:")
    else:
        st.error(as_text(status.message or f"the estimate was {status.state}"), icon=":material/error:")
