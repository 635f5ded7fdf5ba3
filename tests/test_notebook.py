"""The notebook in examples/ runs from first to last as it lies there, and shows what its text says."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from installed import real_wordnet
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
(NOTEBOOK,) = EXAMPLES.glob("*.ipynb")
CHECKS = """
import json
print(json.dumps({
    "rows": plm.rows,
    "covered": int(covered["covered"].sum()),
    "rebuilt": int(made.rebuilt.sum()),
    "mrr": made.evidence["held_out"]["mrr"],
    "isotropy": isotropy.to_dicts(),
    "near": near.to_dicts(),
    "sets": scores.shown["set"].unique().to_list(),
    "traces": len(maps.data),
    "files": files,
    "is_ours": is_ours,
}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The notebook after a run in this very Python, and what its names stand for at the end."""
    folder = tmp_path_factory.mktemp("notebook")
    write_kernel_spec(folder / "kernels" / "here")
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS))
    client = NotebookClient(notebook, timeout=300, kernel_name="here", resources={"metadata": {"path": str(folder)}})
    names = {"WNSEARCHDIR": real_wordnet(), "PYTHONPATH": str(NOTEBOOK.parents[1])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        client.execute(env={**os.environ, **names})  # a cell that fails raises here, with its traceback
    return notebook


def outputs(cell):
    return [
        part["data"] if "data" in part else {"text/plain": part.get("text", "")} for part in cell.get("outputs", [])
    ]


def cell_with(notebook, code):
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and code in cell.source]
    return cell


def test_it_lies_there_without_outputs_and_is_written_for_readers():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    assert NOTEBOOK.stat().st_size < 20_000
    told = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len(told) >= 7
    assert re.findall(r"^## (\d)\. ", "\n".join(cell.source for cell in told), re.MULTILINE) == list("1234567")


def test_it_runs_and_its_names_hold_what_it_says(ran):
    found = json.loads(ran.cells[-1].outputs[0].text)
    assert found["rows"] == 30_522
    assert 18_000 < found["rebuilt"] <= found["covered"] < 30_522
    assert found["mrr"] > 0.5
    gained = {line["group"]: line["rebuilt"] - line["original"] for line in found["isotropy"]}
    assert min(gained["rare"], gained["medium"]) > 2 * gained["frequent"] > 0
    assert [line["word"] for line in found["near"]] == ["quilt", "oboe", "volcano", "1984"]
    assert {"SimLex-999", "WS-353", "MEN-3000"} <= set(found["sets"])
    assert found["traces"] > 4
    assert {"README.md", "MANIFEST.json", "model.safetensors", "config.json"} <= set(found["files"])
    assert found["is_ours"] is True


def test_results_show_as_cards_tables_and_figures(ran):
    assert any("<strong>PLM</strong>" in shown.get("text/html", "") for shown in outputs(cell_with(ran, "load_plm(")))
    cards = outputs(cell_with(ran, "de.reconstruct("))
    assert any("held-out MRR" in shown.get("text/html", "") for shown in cards)
    assert any("<table" in shown.get("text/html", "") for shown in outputs(cell_with(ran, "nearest_words(")))
    figure = outputs(cell_with(ran, "draw_maps("))
    assert any("application/vnd.plotly.v1+json" in shown for shown in figure)
