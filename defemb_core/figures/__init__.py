"""Plotly figures of results, for the app and for notebooks: readable on white and on dark pages."""

from defemb_core.figures.charts import coverage_figure, isotropy_figure, norm_figure
from defemb_core.figures.data import figure_data
from defemb_core.figures.dynamics import played_map_figure, spectrum_steps_figure, steps_figure
from defemb_core.figures.finetuning import seeds_figure
from defemb_core.figures.layout import describe, escape_hover
from defemb_core.figures.maps import map_figure
from defemb_core.figures.new_tokens import starts_figure
from defemb_core.figures.similarity import similarity_figure
from defemb_core.figures.spectra import cosine_figure, hubness_figure, spectrum_figure, variance_figure
from defemb_core.figures.tokens import local_map_figure, nearness_figures
from defemb_core.figures.training import loss_figure

__all__ = [
    "cosine_figure",
    "coverage_figure",
    "describe",
    "escape_hover",
    "figure_data",
    "hubness_figure",
    "isotropy_figure",
    "local_map_figure",
    "loss_figure",
    "map_figure",
    "nearness_figures",
    "norm_figure",
    "played_map_figure",
    "seeds_figure",
    "similarity_figure",
    "spectrum_figure",
    "spectrum_steps_figure",
    "starts_figure",
    "steps_figure",
    "variance_figure",
]
