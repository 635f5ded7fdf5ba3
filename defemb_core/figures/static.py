"""Figures as HTML that stands alone: SVG without scripts, in the page's own text colour, sharp on screen and paper."""

import html
from typing import Any

import numpy as np
import plotly.graph_objects as go

from defemb_core.figures.axes import Axis, axis_of
from defemb_core.figures.layout import describe

_WIDTH, _HEIGHT = 560, 330
_MAP = 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 8, 46
# Places along a map's side that points are told apart by: about two on each pixel of a wide screen.
_GRID = 2000


def figure_html(figure: go.Figure) -> str:
    """Return a figure of this package's lines, bars or points as a `<figure>` with heading, drawing and legend.

    Points that fall within the same half pixel as another of their own colour are drawn once.
    """
    title, note = figure.layout.title.text, figure.layout.title.subtitle.text
    is_map = any(isinstance(trace, go.Scattergl) for trace in figure.data)
    height = _MAP if is_map else _HEIGHT
    body = _map(figure) if is_map else _chart(figure)
    return (
        f"<figure><figcaption><strong>{_text(title)}</strong><span>{_text(note)}</span></figcaption>\n"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(describe(figure))}">{body}</svg>\n'
        f'<ul class="legend">{"".join(_legend(trace) for trace in sorted(figure.data, key=_rank))}</ul></figure>\n'
    )


def _text(markup: str | None) -> str:
    """Plotly's own escaped text as HTML; its line breaks are blanks."""
    return html.escape(html.unescape((markup or "").replace("<br>", " ")))


def _rank(trace: Any) -> int:
    return int(trace.legendrank or 0)


def _legend(trace: Any) -> str:
    is_line = isinstance(trace, go.Scatter)
    colour = trace.line.color if is_line else trace.marker.color
    dash = _dash(trace) if is_line else ""
    width = 3 if is_line else 10
    path = f'<path d="M1 5H23" stroke="{colour}" stroke-width="{width}"{dash}/>'
    sample = f'<svg viewBox="0 0 24 10" aria-hidden="true">{path}</svg>'
    return f"<li>{sample}{_text(trace.name)}</li>"


def _dash(trace: Any) -> str:
    lengths = {"dash": "8 5", "dashdot": "8 4 2 4", "dot": "2 4"}.get(trace.line.dash or "solid")
    return f' stroke-dasharray="{lengths}"' if lengths else ""


def _chart(figure: go.Figure) -> str:
    """Lines and bars within their two axes."""
    x = axis_of(figure.layout.xaxis, [trace.x for trace in figure.data], _LEFT, _WIDTH - _RIGHT)
    y = axis_of(figure.layout.yaxis, [trace.y for trace in figure.data], _HEIGHT - _BOTTOM, _TOP)
    bars = [trace for trace in figure.data if isinstance(trace, go.Bar)]
    drawn = [_bars(trace, number, len(bars), x, y) for number, trace in enumerate(bars)]
    drawn += [_line(trace, x, y) for trace in figure.data if isinstance(trace, go.Scatter)]
    return _axes(x, y) + "".join(drawn)


def _axes(x: Axis, y: Axis) -> str:
    base, middle = _HEIGHT - _BOTTOM, ((_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2)
    drawn = [f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>' for at, _ in y.marks()]
    drawn += [_word(_LEFT - 6, at + 4, say, "end") for at, say in y.marks()]
    drawn += [_word(at, base + 16, say, "middle") for at, say in x.marks()]
    drawn.append(_word(middle[0], _HEIGHT - 8, x.title, "middle"))
    drawn.append(f'<g transform="translate(13 {middle[1]}) rotate(-90)">{_word(0, 0, y.title, "middle")}</g>')
    return "".join(drawn)


def _word(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{anchor}">{html.escape(text)}</text>'


def _line(trace: go.Scatter, x: Axis, y: Axis) -> str:
    xs, ys = (np.asarray(values, np.float64) for values in (trace.x, trace.y))
    shown = (ys > 0) | (not y.logarithmic)
    shown &= (xs >= 10**x.low * (1 - 1e-9)) if x.logarithmic else (xs >= x.low) & (xs <= x.high)
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x.place(xs[shown]), y.place(ys[shown]), strict=True)]
    if not points:
        return ""
    colour, path = trace.line.color, "M" + "L".join(points)
    area = ""
    if trace.fill == "tozeroy" and _dash(trace) == "":
        first, last = points[0].split()[0], points[-1].split()[0]
        area = f'<path d="{path}L{last} {y.start}L{first} {y.start}Z" fill="{colour}" fill-opacity="0.18"/>'
    return f'{area}<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{_dash(trace)}/>'


def _bars(trace: go.Bar, number: int, count: int, x: Axis, y: Axis) -> str:
    """A group of bars stands around its category's place, in the order of the traces."""
    width = 0.76 * (x.end - x.start) / len(x.names) / count
    base = float(y.place(np.zeros(1))[0])
    drawn = []
    for name, value, text in zip(trace.x, trace.y, trace.text, strict=True):
        left = float(x.place(np.array([x.names.index(name)]))[0]) + (number - count / 2) * width
        top = float(y.place(np.array([value]))[0])
        high, low = min(top, base), max(top, base)
        drawn.append(
            f'<rect x="{left:.1f}" y="{high:.1f}" width="{0.92 * width:.1f}" height="{low - high:.1f}" '
            f'fill="{trace.marker.color}"/>' + _word(left + width / 2, high - 3, str(text), "middle")
        )
    return "".join(drawn)


def _map(figure: go.Figure) -> str:
    """Points of a map on axes of one scale, the first trace at the back."""
    points = [np.stack([np.asarray(trace.x), np.asarray(trace.y)], axis=1) for trace in figure.data]
    together = np.concatenate(points)
    low, high = together.min(axis=0), together.max(axis=0)
    if figure.layout.xaxis.range and figure.layout.yaxis.range:
        low, high = np.array([figure.layout.xaxis.range, figure.layout.yaxis.range], np.float64).T
    scale = min((_WIDTH - 8) / (high[0] - low[0] or 1), (_MAP - 8) / (high[1] - low[1] or 1))
    middle = (low + high) / 2
    drawn = []
    for trace, of in zip(figure.data, points, strict=True):
        placed = (of - middle) * scale * [1, -1] + [_WIDTH / 2, _MAP / 2]
        size = 1.5 if len(together) > 5000 else 4
        drawn.append(
            f'<path transform="scale({_WIDTH / _GRID})" d="{_dots(placed)}" stroke="{trace.marker.color}" '
            f'stroke-width="{size * _GRID / _WIDTH:.1f}" stroke-opacity="{trace.marker.opacity:.2f}" '
            f'stroke-linecap="round"/>'
        )
    return "".join(drawn)


def _dots(points: np.ndarray) -> str:
    """Dots as strokes of no length, each relative to the one before in whole steps of the grid: a few letters each."""
    cells = np.unique(np.round(points * _GRID / _WIDTH).astype(np.int64), axis=0)
    steps = np.diff(cells, axis=0, prepend=np.zeros((1, 2), np.int64))
    return "".join(f"m{a} {b}h0" for a, b in steps.tolist())
