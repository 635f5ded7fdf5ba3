"""A run's directory: what its status says, who works in it, how that work reports and ends.

A directory is complete, running, or resumable; its status file is replaced atomically, so that several pages (and
browsers) can watch one run.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from defemb_core.cache import is_temporary, write_text
from defemb_core.errors import DefembError, RunError
from defemb_core.history import remember

State = Literal["queued", "running", "complete", "failed", "cancelled", "interrupted"]
STATUS, LOG, STOP, LOCK = "status.json", "log.txt", "stop", "lock"
COMMAND = "command.json"
CHECKPOINT = "checkpoint"  # the folder within a run's for what it need not do again when it is resumed
ANALYSIS = "analysis"  # the folder within a run's where neighbours and maps are found
EXPORTS = "exports"  # the folder within a run's for the exports of it that were started in the background
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
# Seconds between two writes of the status file; the pages poll once a second.
STATUS_EVERY = 0.5
# Creation times count from the system's start, which two processes may read up to a second apart.
CLOCK_DRIFT = 2.0


class Cancelled(DefembError):
    """The user asked a run to stop."""

    code = 130


@dataclass(frozen=True)
class Status:
    """What a run's directory says about its process.

    Attributes:
        state: "queued", "running", "complete", "failed", "cancelled", or "interrupted" (its process is gone).
        stage: what it is doing.
        fraction: share of the whole work that is done, 0 to 1.
        message: the error's sentence, if it failed.
        started, updated: seconds since the epoch.
        pid, created: the process and when it was created; a bare pid may be somebody else's by now.
    """

    state: State
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    started: float = 0.0
    updated: float = 0.0
    pid: int = 0
    created: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether a process is at work."""
        return self.state in {"queued", "running"}

    @property
    def remaining(self) -> float | None:
        """Estimated seconds left, from the time that the share done took; None while too little is done to say."""
        if self.state != "running" or self.fraction < 0.02:
            return None
        return (self.updated - self.started) * (1.0 - self.fraction) / self.fraction


def runs_folder() -> Path:
    """Return where runs lie: the environment variable DEFEMB_RUNS, else `runs` in the working folder."""
    return Path(os.environ.get("DEFEMB_RUNS") or "runs").expanduser().absolute()


def run_path(name: str, folder: Path | None = None) -> Path:
    """Return the directory of the run `name`.

    Raises:
        RunError: the name is empty, too long, or could leave the folder.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunError(f"{name!r} is no name for a run; use up to 80 letters, digits, '.', '_' and '-', a letter first")
    return (folder or runs_folder()) / name


def list_runs(folder: Path | None = None) -> list[tuple[Path, Status]]:
    """Return the runs' directories and what they say, newest first."""
    root = folder or runs_folder()
    if not root.is_dir():
        return []
    found = []
    for path in root.iterdir():
        with suppress(RunError):  # one unreadable folder must not hide the others
            if RUN_NAME.fullmatch(path.name):
                found.append((path, read_status(path)))
    return sorted(found, key=lambda run: (-run[1].started, run[0].name))


def analysis_status(folder: Path) -> Status | None:
    """Return the status of the search for neighbours and maps of the run in `folder`, None if it was never begun."""
    return job_status(folder / ANALYSIS)


def job_status(job: Path) -> Status | None:
    """Return the status of the work in a folder within a run's, None if it was never begun."""
    return read_status(job) if (job / STATUS).exists() else None


def read_status(folder: Path) -> Status:
    """Return the run's status; "interrupted" if its process died without saying so.

    Raises:
        RunError: the folder is no run's directory.
    """
    try:
        status = Status(**json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise RunError(f"{str(folder)!r} is no run: it has no readable {STATUS}; list the runs with 'runs'") from None
    if status.is_active and not is_alive(status):
        return replace(status, state="cancelled" if (folder / STOP).exists() else "interrupted")
    return status


def queue_run(folder: Path) -> None:
    """Announce that this process will work in `folder` soon, so that nobody else starts the same work meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    write_status(folder, Status("queued", "starting", started=now, updated=now, **identity(os.getpid())))


def delete_run(folder: Path) -> None:
    """Delete a run's directory.

    Raises:
        RunError: a process is at work on it, on its analysis, on an evaluation or an export, or it is no run.
    """
    if read_status(folder).is_active or any(read_status(status.parent).is_active for status in folder.rglob(STATUS)):
        raise RunError(f"run {folder.name!r} is running; cancel it, or wait for its maps or exports, then delete it")
    shutil.rmtree(folder)


class Reporter:
    """Writes a run's status and history while it works; stops the work when the user has asked for it."""

    def __init__(self, folder: Path, shares: dict[str, float]) -> None:
        """Take the folder and each stage's share of the whole work, in the order of the stages; they sum to 1."""
        self.folder = folder
        self.shares = shares
        now = time.time()
        self.status = Status("running", "starting", started=now, updated=now, **identity(os.getpid()))
        write_status(folder, self.status)

    def __call__(self, stage: str, done: int, total: int, /, **figures: float) -> None:
        """Report progress within a stage; figures that are whole evaluations (of a training) go into the history.

        Raises:
            Cancelled: the user asked to stop.
        """
        if (self.folder / STOP).exists():
            raise Cancelled("cancelled by the user")
        before = 0.0
        for name, share in self.shares.items():
            if name == stage:
                break
            before += share
        fraction = min(1.0, before + self.shares.get(stage, 0.0) * done / max(total, 1))
        now = time.time()
        if stage != self.status.stage or now - self.status.updated > STATUS_EVERY:
            self.status = replace(self.status, stage=stage, fraction=max(fraction, self.status.fraction), updated=now)
            write_status(self.folder, self.status)
        if "validation" in figures:
            remember(self.folder, {"stage": stage, "update": done, **figures})
        if done == total:
            remember(self.folder, {"stage": stage, "seconds": round(now - self.status.started, 3)})

    def finish(self, state: State, message: str = "") -> None:
        """Write the last status."""
        fraction = 1.0 if state == "complete" else self.status.fraction
        self.status = replace(self.status, state=state, fraction=fraction, message=message, updated=time.time())
        write_status(self.folder, self.status)


@contextmanager
def working_in(folder: Path, shares: dict[str, float], resume: bool = False, again: bool = False) -> Iterator[Reporter]:
    """Do a run's work in `folder`: status from first to last, errors written down before they go on.

    Args:
        folder: made if missing.
        shares: see Reporter.
        resume: take over a folder whose run was interrupted, cancelled or failed.
        again: take over a folder whose work is complete, too.

    Raises:
        RunError: the folder holds something else, a complete run, a running one, or one to resume without `resume`.
    """
    reporter = _claim(folder, shares, resume, again)
    try:
        yield reporter
        reporter.finish("complete")
    except Cancelled as exc:
        reporter.finish("cancelled", str(exc))
        raise
    except KeyboardInterrupt:
        reporter.finish("cancelled", "stopped from the keyboard or by the system")
        raise
    except OSError as exc:
        reporter_sentence = f"cannot write to {str(folder)!r} ({exc.strerror or exc}); free some space, then --resume"
        _try_finish(reporter, reporter_sentence)
        raise RunError(reporter_sentence) from exc
    except BaseException as exc:
        _try_finish(reporter, str(exc) if isinstance(exc, DefembError) else f"{type(exc).__name__}: {exc}")
        raise


def _claim(folder: Path, shares: dict[str, float], resume: bool, again: bool) -> Reporter:
    """Take the folder for this process; the first status is written under the lock, so that one process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_foreign(folder)  # before the lock, which is a file in that folder
        with locked(folder):
            if refuse_foreign(folder):
                _refuse_taken(folder, resume, again)
            return Reporter(folder, shares)
    except OSError as exc:
        raise RunError(f"cannot write to {str(folder)!r} ({exc.strerror}); name another folder") from None


def refuse_foreign(folder: Path) -> bool:
    """Return whether the folder holds a run, False if it is as good as empty; raise RunError for anything else."""
    found = {path.name for path in folder.iterdir()}
    # What another process is writing at this moment is under another name until it is whole.
    others = sorted(name for name in found - {LOG, LOCK, COMMAND} if not is_temporary(name))
    if others and STATUS not in found:
        raise RunError(f"{str(folder)!r} exists and is no run ({others[0]!r} lies there); name a new folder")
    return STATUS in found


def _refuse_taken(folder: Path, resume: bool, again: bool) -> None:
    status = read_status(folder)
    if status.is_active and status.pid != os.getpid():
        raise RunError(f"run {folder.name!r} is running already; wait for it or cancel it")
    if status.state == "complete" and not again:
        raise RunError(f"{str(folder)!r} exists and holds a complete run; name a new folder")
    if not status.is_active and not resume and not again:
        raise RunError(f"the run in {str(folder)!r} was {status.state}; add --resume to finish it")
    if not status.is_active:
        (folder / STOP).unlink(missing_ok=True)


def _try_finish(reporter: Reporter, message: str) -> None:
    with suppress(OSError):  # on a full disk the dead process will read as interrupted, which is true
        reporter.finish("failed", message)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a second process waits, which takes as long as one status is written."""
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def identity(pid: int) -> dict[str, Any]:
    """Return the pid and when its process was created, as Status holds them."""
    return {"pid": pid, "created": psutil.Process(pid).create_time()}


def is_alive(status: Status) -> bool:
    """Return whether the process that wrote `status` still is at work."""
    try:
        process = psutil.Process(status.pid)
        same = abs(process.create_time() - status.created) < CLOCK_DRIFT
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, TypeError, ValueError):  # the last two from a status file that others wrote
        return False


def write_status(folder: Path, status: Status) -> None:
    """Replace the folder's status in one step."""
    write_text(folder / STATUS, json.dumps(asdict(status)))
