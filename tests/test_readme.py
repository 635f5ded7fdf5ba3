"""The README's Python runs as it stands there."""

import re
from pathlib import Path

from installed import real_wordnet

README = Path(__file__).parents[1] / "README.md"


def test_python_of_the_readme_runs(capsys, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", real_wordnet())
    (snippet,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(snippet, str(README), "exec"), {})
    printed = capsys.readouterr().out
    assert "'mrr'" in printed
    assert "'rebuilt'" in printed


def test_files_that_the_readme_links_exist():
    targets = re.findall(r"\]\(((?!http)[^)]+)\)", README.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (README.parent / target).exists()] == []
