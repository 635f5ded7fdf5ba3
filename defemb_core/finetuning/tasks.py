"""The tasks of GLUE: what their files call things, which labels there are, how they are judged.

Wang et al., GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding, ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from defemb_core.errors import EvaluationError

ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Task:
    """A task of GLUE.

    Attributes:
        name: as the command line and the `datasets` package call it.
        title: as papers call it, and the folder of its files.
        asks: what is asked, for a reader.
        texts: the names that columns of the one or two texts have, in lower case.
        label: the names that the column of labels has, in lower case.
        labels: the labels' names, in the order of their numbers; empty where the label is a score.
        metrics: the official ones, the first stands for the task.
        evaluations: the sets to judge by, and the stems that their files have.
        bare: of files without a header the places of the texts and, at the end, of the label.
        files: other stems of the file to learn from.
    """

    name: str
    title: str
    asks: str
    texts: tuple[tuple[str, ...], ...]
    label: tuple[str, ...] = ("label",)
    labels: tuple[str, ...] = ("0", "1")
    metrics: tuple[str, ...] = ("accuracy",)
    evaluations: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"dev": ("dev", "validation", "valid", "val")}
    )
    bare: tuple[int, ...] = ()
    files: tuple[str, ...] = ("train",)

    @property
    def is_regression(self) -> bool:
        """Whether the label is a score."""
        return not self.labels

    @property
    def outputs(self) -> int:
        """How many numbers the head gives."""
        return max(1, len(self.labels))


_PAIR = (("sentence1", "premise", "#1 string"), ("sentence2", "hypothesis", "#2 string"))
TASKS = {
    task.name: task
    for task in (
        Task("rte", "RTE", "Does the first text entail the second?", _PAIR, labels=ENTAILMENT),
        Task(
            "mrpc",
            "MRPC",
            "Do two sentences say the same?",
            _PAIR,
            ("quality", "label"),
            metrics=("accuracy", "F1"),
            evaluations={"dev": ("dev", "validation", "valid", "val", "msr_paraphrase_test")},
            files=("train", "msr_paraphrase_train"),
        ),
        Task(
            "stsb",
            "STS-B",
            "How alike in meaning are two sentences, 0 to 5?",
            _PAIR,
            ("score", "label"),
            (),
            ("Pearson", "Spearman"),
        ),
        Task(
            "cola",
            "CoLA",
            "Is a sentence grammatical?",
            (("sentence",),),
            metrics=("Matthews",),
            evaluations={"dev": ("dev", "validation", "valid", "val", "in_domain_dev")},
            bare=(3, 1),
            files=("train", "in_domain_train"),
        ),
        Task("sst2", "SST-2", "Is a review's sentence positive?", (("sentence",),)),
        Task("qnli", "QNLI", "Does a sentence answer the question?", (("question",), ("sentence",)), labels=ENTAILMENT),
        Task(
            "qqp",
            "QQP",
            "Do two questions ask the same?",
            (("question1",), ("question2",)),
            ("is_duplicate", "label"),
            metrics=("accuracy", "F1"),
        ),
        Task(
            "mnli",
            "MNLI",
            "Does the first text entail the second, contradict it, or neither?",
            _PAIR,
            ("gold_label", "label"),
            ("entailment", "neutral", "contradiction"),
            evaluations={
                "matched": ("dev_matched", "validation_matched"),
                "mismatched": ("dev_mismatched", "validation_mismatched"),
            },
        ),
        Task("wnli", "WNLI", "Does a sentence with a pronoun entail the one that resolves it?", _PAIR),
    )
}


def task_named(name: str) -> Task:
    """Return the task of that name, however it is written ("STS-B", "sst2").

    Raises:
        EvaluationError: there is none.
    """
    written = "".join(letter for letter in name.lower() if letter.isalnum())
    if written not in TASKS:
        raise EvaluationError(f"there is no GLUE task {name[:80]!r}; choose one of {', '.join(TASKS)}")
    return TASKS[written]
