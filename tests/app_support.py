"""A small world for the app's tests: a PLM of some 260 rows, a lexicon that defines half of them, and runs of it.

Some of its tokens are what a page must not fall for: HTML, Markdown, LaTeX, a formula, characters that turn or ring.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from unittest import mock

import pytest
import tiny_plm
import tiny_wordnet
from streamlit.runtime.pages_manager import PagesManager
from tiny import BERT_SPECIAL
from tiny_wordnet import Synset, write_tiny_wordnet
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from defemb_core.cache import write_json
from defemb_core.cli import main
from pages.shared.tour import SENTENCES

WORDS = tuple("".join(parts) for parts in product("bdkm", "ae", "lnr", "iou", ["", "t"]))
UNDEFINED = tuple(word + "sh" for word in WORDS[:30])
OVERRIDE, BELL = "a\u202ecod", "ring\x07"
DEFINED_HOSTILE = ("<b>bold</b>", "**strong**", "$\\alpha$")  # a lexicon has no words with colons or brackets
HOSTILE = (
    *DEFINED_HOSTILE,
    "<img/src=x/onerror=alert(1)>",
    "[l](javascript:alert(1))",
    ":red[hot]",
    "=1+1",
    OVERRIDE,
    BELL,
)
RUN = "tiny-run"


@dataclass(frozen=True)
class World:
    """Where things lie; `variables` is what the app must find in its environment."""

    folder: Path

    @property
    def plm(self) -> Path:
        return self.folder / "plm"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def run(self) -> Path:
        return self.runs / RUN

    @property
    def variables(self) -> dict[str, str]:
        return {
            "WNSEARCHDIR": str(self.folder / "wordnet"),
            "DEFEMB_RUNS": str(self.runs),
            "DEFEMB_CACHE": str(self.folder / "cache"),
            "DEFEMB_DATA": str(self.folder / "data"),
            "HF_HUB_OFFLINE": "1",
        }

    @contextmanager
    def entered(self) -> Iterator[pytest.MonkeyPatch]:
        """Have the environment be the world's."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            yield patch


def build_world(folder: Path) -> World:
    """Write PLM and lexicon; no run yet."""
    world = World(folder)
    save_plm(world.plm)
    write_json(folder / "data" / "tour.json", list(SENTENCES))  # the tour has been taken
    with mock.patch.object(tiny_wordnet, "SYNSETS", tiny_wordnet.SYNSETS + tuple(_synsets())):
        write_tiny_wordnet(folder / "wordnet")
    return world


def serve_world(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Have AppTest find this world and a server that app.py has run on, which it forgets before every run."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(PagesManager, "uses_pages_directory", False)
    monkeypatch.setattr("streamlit.testing.v1.app_test.PagesManager", type("Routed", (PagesManager,), {}))


def save_plm(folder: Path, seed: int = 0) -> Path:
    with mock.patch.object(tiny_plm, "wordpiece", _tokenizer):
        return tiny_plm.save_bert(folder, seed, padding=0)


def make_run(world: World, name: str = RUN, analyse: bool = True) -> Path:
    """Make a run as a user does, with the command line; the environment must be the world's."""
    folder = world.runs / name
    arguments = ["reconstruct", "--plm", str(world.plm), "--method", "instant", "--out", str(folder)]
    assert main(arguments + (["--analyse"] if analyse else [])) == 0
    return folder


def work_here(monkeypatch) -> None:
    """Do what the export page starts in the background at once, in this process: an import of torch costs seconds."""

    def start(words: list[str] | None, folder: Path) -> None:
        words = words or json.loads((folder / "command.json").read_text())
        write_json(folder / "command.json", words)
        main(words)

    monkeypatch.setattr("defemb_core.export_jobs.start_run", start)


def set_status(folder: Path, **changes: object) -> Path:
    """Change what a run's status file says, as a crash or another program would leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "status.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | changes))
    return folder


def _tokenizer() -> Tokenizer:
    """Rows: special, [unused0] to [unused3], characters, WORDS, those that nobody defines, the hostile ones."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,;"]
    unused = [f"[unused{i}]" for i in range(4)]
    rows = [*BERT_SPECIAL, *unused, *letters, *("##" + c for c in letters[:26]), *WORDS, *UNDEFINED, *HOSTILE]
    tokenizer = Tokenizer(models.WordPiece({token: row for row, token in enumerate(rows)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(BERT_SPECIAL)
    return tokenizer


def _synsets() -> list[Synset]:
    """A word is defined by three others; a hostile token by a hostile gloss."""
    made = [
        Synset(f"s-{word}", "noun", f"{word}:0", f"{WORDS[i * 5 % len(WORDS)]} of {WORDS[i - 7]} or {WORDS[i - 1]}")
        for i, word in enumerate(WORDS)
    ]
    nasty = "<b>bold</b> and $\\alpha$ and [l](javascript:alert(1)) <script>alert(2)</script>"
    return made + [Synset(f"s-{word}", "noun", f"{word}:0", nasty) for word in DEFINED_HOSTILE]
