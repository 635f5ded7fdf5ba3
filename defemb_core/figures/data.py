"""The numbers behind a chart, for those who want to draw it themselves."""

import html

import numpy as np
import plotly.graph_objects as go
import polars as pl


def figure_data(figure: go.Figure) -> pl.DataFrame:
    """Return a line for each point or bar of a figure of lines and bars, in the order they are drawn.

    Returns:
        `series` (as the legend has it), and a column each for x and y, called as the figure's axes are titled.
    """
    x, y = (_heading(axis) for axis in (figure.layout.xaxis, figure.layout.yaxis))
    frames = [
        pl.DataFrame({"series": [html.unescape(trace.name or "")] * len(trace.x)}).with_columns(
            pl.Series(x, np.asarray(trace.x)), pl.Series(y, np.asarray(trace.y))
        )
        for trace in figure.data
    ]
    return pl.concat(frames)


def _heading(axis: go.layout.XAxis | go.layout.YAxis) -> str:
    return html.unescape(axis.title.text)
