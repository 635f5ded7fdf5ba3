"""defemb: see and repair the token embeddings of pretrained language models (PLMs).

A table of contents, in the order of the flow:

    PLM -> vocabulary -> definitions -> reconstruction -> comparison -> export

Names load on first use, so that `import defemb_core` takes no time. The examples in their docstrings are one session,
in the order of `__all__`, after `import defemb_core as de`; the whole flow is

    plm = de.load_plm("bundled")
    vocabulary = de.plm_vocabulary(plm)
    dictionary = de.load_dictionary("wordnet", vocabulary)
    made = de.reconstruct(plm, vocabulary, dictionary, de.Settings("instant"))
    pair = de.Comparison(plm, made)
    de.nearest_words(pair, ["quilt", "oboe"])
    de.evaluate_comparison(pair).shown
    de.draw_maps(pair)
    de.export_reconstruction(made, plm, "checkpoint", "exports/minilm-rebuilt")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from defemb_core.analysis import analyse as analyse
    from defemb_core.changes import token_changes as token_changes
    from defemb_core.comparison import Comparison as Comparison
    from defemb_core.comparison import open_comparison as open_comparison
    from defemb_core.definitions import coverage as coverage
    from defemb_core.definitions import match_definitions as match_definitions
    from defemb_core.dictionaries import load_dictionary as load_dictionary
    from defemb_core.errors import DefembError as DefembError
    from defemb_core.evaluate import Question as Question
    from defemb_core.evaluate import evaluate as evaluate_comparison  # noqa: F401
    from defemb_core.export import export as export_reconstruction  # noqa: F401
    from defemb_core.frequency import plm_vocabulary as plm_vocabulary
    from defemb_core.import_table import read_table as read_table
    from defemb_core.isotropy import measure_isotropy as measure_isotropy
    from defemb_core.neighbours import nearest_neighbours as nearest_neighbours
    from defemb_core.plm import load_plm as load_plm
    from defemb_core.projection import project_pca as project_pca
    from defemb_core.reconstruction import Settings as Settings
    from defemb_core.reconstruction import reconstruct as reconstruct
    from defemb_core.reconstruction_files import load_reconstruction as load_reconstruction
    from defemb_core.reconstruction_files import save_reconstruction as save_reconstruction
    from defemb_core.report import write_report as write_report
    from defemb_core.spectrum import singular_values as singular_values
    from defemb_core.umap_projection import project_umap as project_umap
    from defemb_core.views import draw_maps as draw_maps
    from defemb_core.views import nearest_words as nearest_words

_MODULES = {
    "load_plm": "plm",
    "plm_vocabulary": "frequency",
    "load_dictionary": "dictionaries",
    "match_definitions": "definitions",
    "coverage": "definitions",
    "Settings": "reconstruction",
    "reconstruct": "reconstruction",
    "save_reconstruction": "reconstruction_files",
    "load_reconstruction": "reconstruction_files",
    "Comparison": "comparison",
    "open_comparison": "comparison",
    "token_changes": "changes",
    "measure_isotropy": "isotropy",
    "singular_values": "spectrum",
    "nearest_neighbours": "neighbours",
    "nearest_words": "views",
    "project_pca": "projection",
    "project_umap": "umap_projection",
    "analyse": "analysis",
    "draw_maps": "views",
    "Question": "evaluate",
    "evaluate_comparison": "evaluate",
    "export_reconstruction": "export",
    "read_table": "import_table",
    "write_report": "report",
    "DefembError": "errors",
}
# A name that is a module's as well would give the module once that is imported.
_RENAMED = {"evaluate_comparison": "evaluate", "export_reconstruction": "export"}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'defemb_core' has no attribute {name!r}")
    return getattr(import_module(f"defemb_core.{_MODULES[name]}"), _RENAMED.get(name, name))
