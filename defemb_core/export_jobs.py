"""Exports and reports as work in the background: each has a folder within its run's that says how far it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from defemb_core.cache import is_temporary
from defemb_core.errors import RunError
from defemb_core.export_place import card_path, whole_path
from defemb_core.processes import start_run
from defemb_core.runs import COMMAND, EXPORTS, Status, read_status

REPORT = "report"


@dataclass(frozen=True)
class ExportJob:
    """An export that was started in the background.

    Attributes:
        folder: where its status, its log and its command line lie.
        status: how far it is.
        to: the format, or "report".
        out: the file or folder that it makes.
    """

    folder: Path
    status: Status
    to: str
    out: Path

    @property
    def is_there(self) -> bool:
        """Whether it is complete and what it made still lies in its place."""
        return self.status.state == "complete" and os.path.lexists(self.out)


def start_export(run: Path, to: str, out: Path, force: bool = False) -> Path:
    """Start an export of the run in the background, as `export` of the command line; return the job's folder.

    There is one job a format and place, so that a second click cannot write to the same place at the same time.

    Raises:
        ExportError: `out` is no path.
        RunError: that job is at work, or its folder cannot be written.
    """
    out = whole_path(out)
    folder = run / EXPORTS / f"{to}-{hashlib.sha256(os.fsencode(out)).hexdigest()[:12]}"
    words = ["export", str(run), f"--to={to}", f"--out={out}", f"--job={folder}", *(["--force"] if force else [])]
    start_run(words, folder)
    return folder


def start_report(folder: Path) -> Path:
    """Start the report of the run or pair in `folder` in the background.

    Returns the job's folder, which the report will lie in; raises as start_run does.
    """
    job = folder / EXPORTS / REPORT
    start_run([REPORT, str(folder), f"--out={job / 'report.html'}", "--force", f"--job={job}"], job)
    return job


def find_report(folder: Path) -> ExportJob | None:
    """Return the report of the run or pair in `folder` that was started last, if any was since its table was made."""
    job = _read_job(folder / EXPORTS / REPORT)
    with suppress(OSError):
        if job and job.status.started < (folder / "config.json").stat().st_mtime:  # of a run that is another one by now
            return None
    return job


def list_exports(run: Path) -> list[ExportJob]:
    """Return the run's exports in the background, the latest first; without its report."""
    if not (run / EXPORTS).is_dir():
        return []
    found = [_read_job(folder) for folder in (run / EXPORTS).iterdir() if folder.name != REPORT]
    return sorted((job for job in found if job), key=lambda job: (-job.status.started, job.folder.name))


def _read_job(folder: Path) -> ExportJob | None:
    """Return the job in a folder, None if there is none that can be read."""
    try:
        words = json.loads((folder / COMMAND).read_text(encoding="utf-8"))
        told = dict(str(word).removeprefix("--").split("=", 1) for word in words if "=" in word)
        return ExportJob(folder, read_status(folder), told.get("to", REPORT), Path(told["out"]))
    except (OSError, ValueError, TypeError, KeyError, RunError):
        return None


def retry_export(job: ExportJob) -> None:
    """Start a job once more that was not completed; raises as start_run does."""
    _delete_leftovers(job)
    start_run(None, job.folder)


def forget_export(job: ExportJob) -> None:
    """Take a job off the list; what it has completed stays where it is, what it left half-written goes.

    Raises:
        RunError: it is at work.
    """
    if read_status(job.folder).is_active:
        raise RunError(f"the export to {str(job.out)!r} is running; cancel it before you take it off the list")
    _delete_leftovers(job)
    shutil.rmtree(job.folder, ignore_errors=True)


def _delete_leftovers(job: ExportJob) -> None:
    """Delete what lies half-written beside the target: only a process that was killed leaves any (temporary_neighbour).

    Another process may be at work on the same target, hence nothing is deleted unless this job was interrupted.
    """
    if job.status.state != "interrupted":
        return
    names = [path.name for path in (job.out, card_path(job.out))]
    with suppress(OSError):
        for path in [path for path in job.out.parent.iterdir() if any(is_temporary(path.name, of) for of in names)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
