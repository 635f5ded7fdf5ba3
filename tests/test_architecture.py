"""The rules of the layout: imports run one way, heavy libraries wait, the library neither prints nor draws pages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import defemb_core

ROOT = Path(defemb_core.__file__).parent
ORDER = [
    "errors", "version", "process_setup", "progress", "history", "cache", "text", "described", "latex", "weights",
    "hub", "families", "plm_files", "plm", "vocabulary", "frequency",
    "dictionaries", "definitions", "prompts", "other_cuts", "pieces", "devices", "states", "features_files",
    "features", "mentions",
    "definitionemb", "evaluation", "mixture", "presets", "student", "training_files", "training_loop", "training",
    "trained",
    "spectrum", "isotropy", "undertrained", "all_pairs", "neighbour_search", "neighbours", "queries", "cosines",
    "hubness", "trustworthiness", "projection", "umap_projection", "clusters",
    "baselines", "stages", "methods", "relevance", "replacement", "reconstruction", "reconstruction_files",
    "sizes", "costs", "estimate",
    "export_formats", "export_tensors", "table_files", "import_table", "comparison", "changes", "projection_settings",
    "analysis_files", "analysis", "trial", "trial_files", "evaluate", "evaluation_files", "selections", "dynamics",
    "palette", "figures", "views", "export_card", "export_place", "export_check", "export_checkpoint", "export",
    "hub_upload", "new_tokens", "report_style", "report_parts", "report", "runs", "processes", "export_jobs",
    "finetuning", "terminal", "cli_figures", "cli_options", "cli_add_tokens", "cli_export", "cli_estimate",
    "cli_dictionary", "cli_analyse", "cli_report", "cli_evaluate", "cli_dynamics", "cli_finetune", "cli", "__main__",
]  # fmt: skip
"""Every module and package of the core; each may import those before it."""
ANALYSES = {
    "spectrum",
    "isotropy",
    "undertrained",
    "all_pairs",
    "neighbour_search",
    "neighbours",
    "queries",
    "cosines",
    "hubness",
    "trustworthiness",
    "projection",
    "umap_projection",
    "clusters",
}
HEAVY = {"torch", "transformers", "umap", "sklearn", "numba", "pynndescent", "sentence_transformers"}
SCREEN = {"streamlit", "pages", "app"}

# The first defines a class of transformers', the second what numba compiles; both are imported where they are used.
LATE = {ROOT / "dynamics" / "recorder.py", ROOT / "all_pairs.py"}

FILES = sorted(ROOT.rglob("*.py"))
CODE = [path for path in FILES if path != ROOT / "__init__.py"]


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def unit_of(path):
    """The module, or the package directly under the core, that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def type_checking(tree):
    """Nodes that only a type checker reads."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


def imported(nodes):
    """Full names of what import statements name."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def units(path):
    """The core's units that a file imports anywhere, type checking apart."""
    tree = tree_of(path)
    names = imported(set(ast.walk(tree)) - type_checking(tree))
    found = {name.split(".")[1] for name in names if name.startswith("defemb_core.")}
    return found - {unit_of(path)}


def at_load(path):
    """Full names that importing a module imports at once."""
    tree = tree_of(path)
    inside = {
        node
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(outer)
    }
    return imported(set(ast.walk(tree)) - inside - type_checking(tree))


def name_of(path):
    return str(path.relative_to(ROOT))


def test_every_module_has_its_place_in_the_order():
    assert {unit_of(path) for path in CODE} == set(ORDER), "put a new module where its imports allow it"
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_imports_run_one_way(path):
    later = ORDER[ORDER.index(unit_of(path)) :]
    assert not units(path) & set(later), f"{name_of(path)} imports what comes after it"


def test_the_core_itself_is_imported_by_no_module():
    assert [
        path for path in FILES if "defemb_core" in {name.split(".")[-1] for name in imported(ast.walk(tree_of(path)))}
    ] == []


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_analyses_know_errors_and_each_other(name):
    assert units(ROOT / f"{name}.py") <= {"errors"} | ANALYSES


@pytest.mark.parametrize("name", ["figures", "palette"])
def test_figures_know_no_runs(name):
    files = [path for path in FILES if unit_of(path) == name]
    assert files
    assert not set().union(*map(units, files)) & {"runs", "cli", "export"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_core_knows_no_screen(path):
    assert not {name.split(".")[0] for name in imported(ast.walk(tree_of(path)))} & SCREEN


@pytest.mark.parametrize("path", [path for path in FILES if path not in LATE], ids=name_of)
def test_heavy_libraries_wait_until_they_are_needed(path):
    assert not {name.split(".")[0] for name in at_load(path)} & HEAVY


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_library_does_not_print(path):
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert "print" not in {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    writes = {ast.unparse(call.func) for call in calls} & {"sys.stdout.write", "sys.stderr.write"}
    assert not writes or unit_of(path) in {"terminal", "cli"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_opens_the_door_to_foreign_code(path):
    for call in (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)):
        name, given = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("trust_remote_code", "False") == "False"
        assert given.get("allow_pickle", "False") == "False"
        assert given.get("shell", "False") == "False"
        assert name not in {"eval", "exec", "pickle.load", "pickle.loads", "os.system"}
        assert name != "torch.load" or given.get("weights_only") == "True"
        assert name != "np.load" or given.get("allow_pickle") == "False"


def test_the_checks_see_what_they_look_for(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "from typing import TYPE_CHECKING\nimport numpy\nif TYPE_CHECKING:\n    import umap\n"
        "try:\n    import sklearn.svm\nexcept ImportError:\n    pass\n"
        "def f():\n    import torch\n    from defemb_core.runs import x\n"
    )
    assert at_load(path) == {"typing.TYPE_CHECKING", "numpy", "sklearn.svm"}
    assert imported(ast.walk(tree_of(path))) >= {"torch", "umap", "defemb_core.runs.x"}


def loaded_by(code):
    """Which of the heavy libraries a fresh process has after running `code`."""
    show = f"; import sys; print(sorted({HEAVY | SCREEN | {'scipy', 'plotly'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code + show], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_importing_the_core_imports_nothing_heavy():
    assert loaded_by("import defemb_core") == []


def test_importing_every_module_imports_neither_torch_nor_its_kin():
    names = ", ".join(f"defemb_core.{unit}" for unit in ORDER if unit not in {"__main__", "all_pairs"})
    assert not set(loaded_by(f"import {names}")) & (HEAVY | SCREEN)


def test_the_table_of_contents():
    assert not set(defemb_core.__all__) & set(ORDER), "once imported, the module would hide the name"
    for name in defemb_core.__all__:
        for _ in range(2):  # the first use imports the module
            value = getattr(defemb_core, name)
            assert callable(value)
            assert name.startswith(value.__name__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = defemb_core.nonsense
    tree = tree_of(ROOT / "__init__.py")
    known = {alias.asname for node in type_checking(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert known == set(defemb_core.__all__)
