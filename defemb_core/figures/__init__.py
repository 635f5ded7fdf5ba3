"""Plotly figures of results, for the app and for notebooks: readable on white and on dark pages."""

from defemb_core.figures.charts import coverage_figure, isotropy_figure, norm_figure, spectrum_figure
from defemb_core.figures.layout import describe, escape_hover
from defemb_core.figures.maps import TraceRows, map_figure, rows_in_box, rows_in_polygon, selected_rows, trace_rows
from defemb_core.figures.training import loss_figure

__all__ = [
    "TraceRows",
    "coverage_figure",
    "describe",
    "escape_hover",
    "isotropy_figure",
    "loss_figure",
    "map_figure",
    "norm_figure",
    "rows_in_box",
    "rows_in_polygon",
    "selected_rows",
    "spectrum_figure",
    "trace_rows",
]
