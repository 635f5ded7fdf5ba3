"""Watching background work: a progress bar with an estimate, a way to cancel, one rerun when it ends."""

import time
from datetime import datetime
from pathlib import Path

import streamlit as st

from defemb_core.cli import Request
from defemb_core.history import read_evaluations
from defemb_core.processes import cancel_run, start_run
from defemb_core.runs import ANALYSIS, Status, job_status, list_runs, read_status, run_path
from pages.shared.charts import figures, show
from pages.shared.text import as_duration, as_text


def start_reconstruction(request: Request) -> None:
    """Start a run in the background, in a directory named after its PLM, its method and the time."""
    folder = run_path(_free_run_name(request.plm, request.settings.method))
    start_run(request.arguments(folder), folder)


def _free_run_name(plm: str, method: str) -> str:
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(plm).name).strip("-").lower() or "plm"
    return f"{stem[:40]}-{method}-{datetime.now().strftime('%m%d-%H%M%S')}"


def active_runs() -> list[Path]:
    """Return the runs whose process is at work."""
    return [folder for folder, status in list_runs() if status.is_active]


@st.fragment(run_every=1.0)
def watch_run(folder: Path) -> None:
    """Show a run until it ends; a finished one becomes the rebuilt table."""
    status = read_status(folder)
    if status.is_active:
        show_progress(status, folder.name)
        if evaluations := read_evaluations(folder):
            show(figures().loss_figure(evaluations), key=f"loss-{folder.name}")
        if st.button("Cancel", key=f"cancel-{folder.name}", icon=":material/stop_circle:"):
            with st.spinner("Stopping"):
                cancel_run(folder)
        return
    if status.state == "complete":
        st.session_state["next_run"] = folder.name
        st.session_state["finished_run"] = folder.name
    st.rerun()


def watch_analysis(folder: Path) -> None:
    """Show the search for neighbours and UMAP maps of the run in `folder` until it ends."""
    watch_job(folder / ANALYSIS, "UMAP and neighbours")


@st.fragment(run_every=1.0)
def watch_job(job: Path, title: str, told: str | None = None) -> None:
    """Show work in the background until it ends, with a way to stop it; `told` says what becomes of it then."""
    status = job_status(job)
    if status is None or not status.is_active:
        st.rerun()
    show_progress(status, title)
    if st.button("Cancel", key=f"cancel-{job.name}-{title}", icon=":material/stop_circle:", help=told):
        with st.spinner("Stopping"):
            cancel_run(job)


def show_progress(status: Status, title: str) -> None:
    """Show one bar: the stage, how long it has taken and about how long it will."""
    elapsed = as_duration(time.time() - status.started)
    left = f", about {as_duration(status.remaining)} left" if status.remaining is not None else ""
    st.progress(status.fraction, f"{as_text(title)}: {as_text(status.stage)} ({elapsed}{left})")
