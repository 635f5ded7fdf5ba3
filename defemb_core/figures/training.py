"""The loss curve of a training."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from defemb_core.errors import SettingsError
from defemb_core.figures.layout import lay_out, number
from defemb_core.palette import GROUP_COLOURS, NEUTRAL

_LINES = {
    "loss": ("examples learned from", NEUTRAL, "dot"),
    "validation": ("validation tokens", GROUP_COLOURS["medium"], "solid"),
}


def loss_figure(history: Sequence[Mapping[str, float]], title: str = "Loss while training") -> go.Figure:
    """Losses by update: of the examples learned from, and of validation tokens, whose least value is marked.

    The loss is the squared error of the answers, divided by their width, times 100.

    Args:
        history: a line an evaluation: `update`, `validation` and, but for the first line perhaps, `loss`.
        title: plain text.

    Raises:
        SettingsError: for no lines.
    """
    if not history:
        raise SettingsError("no evaluations to draw; the first comes before the first update")
    figure, told = go.Figure(), []
    for key, (name, colour, dash) in _LINES.items():
        points = [(line["update"], line[key]) for line in history if key in line]
        if points:
            updates, losses = zip(*points, strict=True)
            figure.add_trace(
                go.Scatter(
                    x=updates,
                    y=losses,
                    name=name,
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"size": 5},
                    hovertemplate=f"{name}: %{{y:.4f}}<extra></extra>",
                )
            )
            told.append(f"{name} {number(losses[0])} to {number(losses[-1])}")
    best = min(history, key=lambda line: line["validation"])
    note = f"least on validation tokens: {best['validation']:.4f} after {best['update']:,.0f} updates"
    figure.add_vline(x=best["update"], line={"color": NEUTRAL, "width": 1, "dash": "dash"})
    y_title = "loss (no unit), lower is better"
    lay_out(figure, title, note, "updates", y_title, f"Line chart {title!r}: {'; '.join(told)}; {note}.")
    return figure.update_layout(hovermode="x unified", height=340)
