"""The runs so far: what came out, a way to resume what was interrupted, a way to delete."""

from pathlib import Path

import streamlit as st

from defemb_core.processes import start_run
from defemb_core.runs import COMMAND, Status, delete_run, list_runs
from pages.shared.evidence import show_evidence_or_error
from pages.shared.text import as_text

RESUMABLE = {"interrupted", "cancelled", "failed"}


def show_history() -> None:
    """Show every run that is not at work, newest first."""
    ended = [(folder, status) for folder, status in list_runs() if not status.is_active]
    if not ended:
        st.info("No finished run yet. The settings above are good defaults: press Rebuild.", icon=":material/info:")
    for folder, status in ended:
        with st.expander(f"{as_text(folder.name)} · {status.state}", icon=":material/history:"):
            if status.state == "complete":
                show_evidence_or_error(folder)  # so that a damaged run can still be deleted
            elif status.message:
                st.error(as_text(status.message), icon=":material/error:")
            resume_or_delete(folder, status)


def resume_or_delete(folder: Path, status: Status) -> None:
    """Show what can be done with ended work: resume it where it can be, delete it."""
    resume, delete, _ = st.columns([1, 1, 4])
    resumable = status.state in RESUMABLE and (folder / COMMAND).is_file()
    if resumable and resume.button("Resume", key=f"resume-{folder.name}", icon=":material/resume:"):
        start_run(None, folder)
        st.rerun()
    if delete.button("Delete", key=f"delete-{folder.name}", icon=":material/delete:"):
        delete_run(folder)
        st.rerun()
