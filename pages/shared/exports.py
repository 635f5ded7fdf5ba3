"""Exports and reports that were started in the background: how far they are, what came of them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.export import export_notes
from defemb_core.export_formats import FORMATS
from defemb_core.export_jobs import (
    ExportJob,
    find_report,
    forget_export,
    list_exports,
    retry_export,
    start_report,
)
from defemb_core.export_place import read_card
from defemb_core.hub_upload import uploadable
from pages.shared import state
from pages.shared.progress import watch_job
from pages.shared.text import as_text
from pages.shared.upload import show_upload

OPENS = 'transformers.AutoModel.from_pretrained("{path}")'
LEFT = "What is written so far is deleted."  # when an export is cancelled
LARGEST_DOWNLOAD = 200_000_000  # bytes; a browser's copy passes through the server's memory


def show_exports(run: Path) -> None:
    """Show the run's exports, the latest first: how far those at work are, what the others have made."""
    jobs = list_exports(run)
    if jobs:
        st.subheader("Exports of this run", anchor=False)
    for number, job in enumerate(jobs):
        if job.status.is_active:
            watch_job(job.folder, f"{job.to} to {job.out}", LEFT)
        elif job.status.state == "complete":
            with st.expander(as_text(f"{job.to}: {job.out}"), expanded=number == 0, icon=":material/inventory_2:"):
                _show_made(job)
        else:
            _show_ended(job, f"The {job.to} export to {job.out}")


def _show_ended(job: ExportJob, what: str) -> None:
    """Say why a job came to no good end, and offer to try again."""
    said = f"{what} was {job.status.state}." + (f" {job.status.message}" if job.status.state == "failed" else "")
    (st.error if job.status.state == "failed" else st.warning)(as_text(said), icon=":material/error:")
    with st.container(horizontal=True):
        if st.button("Try again", key=f"again-{job.folder.name}", icon=":material/replay:"):
            retry_export(job)
            st.rerun()
        _offer_to_forget(job)


def _offer_to_forget(job: ExportJob) -> None:
    """Show a button that takes the job off the list."""
    what = "Takes this entry off the list; a finished file or folder stays where it is."
    if st.button("Remove from list", key=f"forget-{job.folder.name}", icon=":material/playlist_remove:", help=what):
        forget_export(job)
        st.rerun()


def _show_made(job: ExportJob) -> None:
    """Show what a finished export is, how it is opened, and its manifest."""
    path = job.out
    if job.is_there:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.status.updated))
        st.success(as_text(f"Written to {path}, {when}"), icon=":material/check_circle:")
        opens = FORMATS[job.to].opens if job.to in FORMATS else OPENS
        in_code = json.dumps(str(path), ensure_ascii=False)[1:-1]  # quotes and backslashes as code has them
        st.code(opens.format(path=in_code), language="python")
    else:
        st.warning(as_text(f"{path} is no longer there."), icon=":material/help:")
    card = _card_with_notes(path) if job.is_there else {}
    with st.container(horizontal=True):
        if path.is_file() and path.stat().st_size <= LARGEST_DOWNLOAD:
            st.download_button(
                "Download a copy", path.read_bytes, path.name, icon=":material/download:", on_click="ignore",
                key=f"copy-{job.folder.name}",
            )  # fmt: skip
        if card:
            _show_manifest(path, card)
        _offer_to_forget(job)
    with suppress(OSError, ValueError, KeyError):  # it is gone, or its manifest is
        if files := uploadable(path):
            show_upload(path, files)


def _card_with_notes(path: Path) -> dict[str, Any]:
    """Return what an export says of itself, and show what a user should know of it; {} if that cannot be read."""
    try:
        notes, card = export_notes(path), read_card(path)
    except (OSError, ValueError, KeyError, TypeError):
        st.warning("Its manifest is missing or damaged; export again.", icon=":material/error:")
        return {}
    for note in notes:
        st.write(as_text(note))
    return card


def _show_manifest(path: Path, card: dict[str, Any]) -> None:
    """Show the sums of the files behind a button, and how the table came about."""
    sums = card.get("files") or {path.name: card.get("sha256")}
    with st.popover("Manifest", icon=":material/fingerprint:", help="SHA-256 of every file, and how it came about."):
        st.dataframe([{"file": name, "SHA-256": known} for name, known in sums.items()], hide_index=True)
        st.json({key: value for key, value in card.items() if key != "files"}, expanded=1)


def show_report(comparison: Comparison, name: str) -> None:
    """Offer the comparison's report: made in the background, then downloaded as `name`."""
    st.subheader("Report", anchor=False)
    st.caption("This comparison as one HTML file that opens anywhere, offline: figures, maps, tokens, how to cite.")
    folder = state.work_folder(comparison)
    job = find_report(folder)
    if job and job.status.is_active:
        watch_job(job.folder, "Report", LEFT)
        return
    if job and job.status.state != "complete":
        _show_ended(job, "The report")
        return
    what = "Some seconds; a minute more where neighbours are not known yet. With UMAP maps once these are made."
    with st.container(horizontal=True):
        if job and job.is_there:
            st.download_button(
                "Download the report", job.out.read_bytes, name, "text/html", key="report", icon=":material/download:",
                on_click="ignore",
            )  # fmt: skip
        label = "Make it again" if job else "Make the report"
        if st.button(label, key="make-report", icon=":material/description:", help=what):
            start_report(folder)
            st.rerun()
