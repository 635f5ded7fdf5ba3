"""What is asked for: which tables, which task, which settings; as values, and as a command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from defemb_core.comparison import Load
from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.finetuning.experiment import Work
from defemb_core.finetuning.glue import GlueWork
from defemb_core.finetuning.glue_data import load_glue
from defemb_core.finetuning.glue_files import find_file
from defemb_core.finetuning.settings import FinetuningSettings, glue_settings, summarisation_settings
from defemb_core.finetuning.summaries import SUMMARIES, find_texts, load_summaries
from defemb_core.finetuning.summarisation import SummaryWork
from defemb_core.finetuning.tables import open_tables
from defemb_core.finetuning.tasks import TASKS, task_named
from defemb_core.plm import load_plm


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        tables: as open_tables takes them.
        task: of GLUE or of summaries.
        data: a folder of files; "" for the `datasets` package.
        chosen: settings other than the published ones, by name.
    """

    tables: tuple[str, ...]
    task: str
    data: str = ""
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, name: str) -> list[str]:
        """Return the command line that does it in the evaluation called `name`."""
        words = ["finetune", f"--task={self.task}", f"--name={name}"]
        words += [f"--data={self.data}"] if self.data else []
        for option, value in self.chosen.items():
            switch = option.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{'' if value else 'no-'}{switch}")
            elif value is not None:
                words.append(f"--{switch}={value}")
        return [*words, "--", *self.tables]

    def name(self) -> str:
        """Return a name for it, from the task, the first table and the time."""
        stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(self.tables[0]).name).strip("-").lower()
        return f"{self.task}-{stem[:40] or 'plm'}-{datetime.now().strftime('%m%d-%H%M%S')}"


def request_of(options: argparse.Namespace) -> Request:
    """Return what the command line's options ask for.

    Raises:
        SettingsError: no table or no task is named.
    """
    if not options.run:
        raise SettingsError("name a run whose table is to be judged, or a PLM for its own table alone")
    if not options.task:
        raise SettingsError(f"name a --task: {', '.join([*TASKS, *SUMMARIES])}")
    names = [f.name for f in fields(FinetuningSettings)]
    chosen = {name: value for name in names if (value := getattr(options, name)) is not None}
    return Request(tuple(options.run), _task(options.task), str(options.data or ""), chosen)


def check_data(request: Request) -> None:
    """Look for the files of a request, without reading them.

    Raises:
        EvaluationError: there is no such folder, or a file is missing.
    """
    if not request.data:
        return
    folder = Path(request.data).expanduser()
    if request.task in SUMMARIES:
        find_texts(folder)
        return
    task = task_named(request.task)
    for stems in (task.files, *task.evaluations.values()):
        find_file(task, folder, stems)


def open_work(request: Request, load: Load = load_plm) -> Work:
    """Open tables and data of a request.

    Raises:
        DefembError: tables of different PLMs, no such task, files that are missing or cannot be read, settings out of
            their range.
    """
    folder = Path(request.data) if request.data else None
    if request.task in SUMMARIES:
        plm, tables = open_tables(request.tables, load)
        settings = summarisation_settings(plm.config["model_type"], **request.chosen)
        texts = load_summaries(request.task, folder).limited(settings.limit, settings.eval_limit)
        return SummaryWork(plm, tables, texts, settings)
    task = task_named(request.task)
    data = load_glue(task, folder)
    plm, tables = open_tables(request.tables, load)
    settings = glue_settings(task.name, plm.config["model_type"], **request.chosen)
    return GlueWork(plm, tables, data.limited(settings.limit, settings.eval_limit), settings)


def _task(name: str) -> str:
    """Return a task's name as it is kept; raises EvaluationError for one that does not exist."""
    written = name.lower().replace("_", "-")
    if written in SUMMARIES:
        return written
    try:
        return task_named(name).name
    except EvaluationError:
        raise EvaluationError(
            f"there is no task {name[:80]!r}; choose one of {', '.join([*TASKS, *SUMMARIES])}"
        ) from None
