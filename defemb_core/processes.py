"""Work in processes of their own: started, resumed and stopped from the app, which no crash of theirs takes down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from defemb_core.cache import write_text
from defemb_core.errors import RunError
from defemb_core.projection_settings import ProjectionSettings
from defemb_core.runs import (
    ANALYSIS,
    COMMAND,
    LOG,
    STATUS,
    STOP,
    Status,
    identity,
    is_alive,
    locked,
    read_status,
    refuse_foreign,
    write_status,
)


def start_run(arguments: Sequence[str] | None, folder: Path, join: bool = False) -> None:
    """Start `python -m defemb_core ARGUMENTS` in the background, its output in the folder's log.

    The process outlives the page, the browser and the server that started it.

    Args:
        arguments: the command line; None for the one that the folder was started with, to resume it.
        folder: the run's directory.
        join: whether a process that is at work in that folder already will do, as where several pages ask at once.

    Raises:
        RunError: a process is at work in that folder already and will not do, it holds something else, or it cannot be
            written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_foreign(folder)
        with (folder / LOG).open("a", encoding="utf-8") as log, locked(folder):
            if (folder / STATUS).exists() and read_status(folder).is_active:
                if join:
                    return
                raise RunError(f"run {folder.name!r} is running already; wait for it or cancel it")
            arguments = _read_command(folder) if arguments is None else list(arguments)
            write_text(folder / COMMAND, json.dumps(arguments))
            (folder / STOP).unlink(missing_ok=True)
            process = subprocess.Popen(
                [sys.executable, "-m", "defemb_core", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie when it ends
            now = time.time()
            write_status(folder, Status("queued", "starting", started=now, updated=now, **identity(process.pid)))
    except OSError as exc:
        raise RunError(f"cannot write to {str(folder)!r} ({exc.strerror}); name another folder for runs") from None


def _read_command(folder: Path) -> list[str]:
    try:
        return [str(word) for word in json.loads((folder / COMMAND).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise RunError(
            f"run {folder.name!r} does not say how it was started; resume it with the command line and --resume"
        ) from None


def cancel_run(folder: Path, patience: float = 3.0) -> None:
    """Ask the run's process to stop, and end its process group if it does not within `patience` seconds."""
    status = read_status(folder)
    if not status.is_active:
        return
    (folder / STOP).touch()
    limit = time.monotonic() + patience
    while time.monotonic() < limit and is_alive(status):
        time.sleep(0.05)
    with suppress(ProcessLookupError):  # it ended just now
        if is_alive(status) and os.getpgid(status.pid) == status.pid:  # a group of its own, as start_run makes it
            os.killpg(status.pid, signal.SIGTERM)


def start_analysis(folder: Path, settings: ProjectionSettings | None = None) -> None:
    """Start the search for neighbours and maps of the run or pair in `folder` unless one is at work there already."""
    start_run(analysis_command(folder, settings), folder / ANALYSIS, join=True)


def analysis_command(folder: Path, settings: ProjectionSettings | None = None) -> list[str]:
    """Return the command line of the search for neighbours and maps; with the usual settings if none are given."""
    return ["analyse", str(folder), *(settings.arguments() if settings else [])]


def analysed_with(folder: Path, settings: ProjectionSettings) -> bool:
    """Return whether the analysis of the run in `folder` that was started last has these settings."""
    try:
        return _read_command(folder / ANALYSIS) == analysis_command(folder, settings)
    except RunError:  # made together with the run
        return settings == ProjectionSettings()
