"""Evaluations on a page: measured in the background the first time they are asked for, then read from disk."""

from pathlib import Path

import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.evaluate import Evaluation, Question
from defemb_core.evaluation_files import evaluation_folder, read_evaluation
from defemb_core.processes import start_run
from defemb_core.runs import job_status
from pages.shared import state
from pages.shared.progress import watch_job
from pages.shared.text import as_text


def evaluation_of(comparison: Comparison, question: Question, title: str) -> Evaluation | None:
    """Return what was measured; until it is there show how far it is, or why it failed, and return None."""
    folder = state.work_folder(comparison)
    job = evaluation_folder(folder, question)
    status = job_status(job)
    if status is None or status.state == "complete":
        found = _read(str(job), comparison.key, status.updated if status else 0.0)
        if found:
            return found
        start_evaluation(folder, question)
        st.rerun()
    elif status.is_active:
        watch_job(job, title)
    else:
        st.warning(as_text(f"{title}: {status.state}. {status.message}"), icon=":material/error:")
        if st.button("Measure again", key=f"again-{job.name}", icon=":material/play_arrow:"):
            start_evaluation(folder, question)
            st.rerun()
    return None


def start_evaluation(folder: Path, question: Question, *more: Path) -> None:
    """Start to measure the run or pair in `folder` unless that is being done already; `more` runs come after it."""
    words = ["evaluate", str(folder), *map(str, more), *question.arguments()]
    start_run(words, evaluation_folder(folder, question), join=True)


@st.cache_resource(max_entries=24, show_spinner=False)
def _read(job: str, key: str, updated: float) -> Evaluation | None:
    del updated
    return read_evaluation(Path(job), key)
