"""Axes of a static drawing: where values stand on it, and the marks beside it."""

import html
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from defemb_core.figures.layout import number

# Digits that a mark on a linear axis may begin with.
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Axis:
    """One axis of a drawing.

    Attributes:
        low, high: values at its two ends; logarithms of them on a logarithmic axis.
        start, end: where these stand, in the drawing's units.
        logarithmic: whether it is.
        title: plain text.
        percent: whether values are written as percentages.
        names: of the categories, which stand at 0, 1, ...; empty for numbers.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    title: str = ""
    percent: bool = False
    names: tuple[str, ...] = ()

    def place(self, values: np.ndarray) -> np.ndarray:
        """Where values stand."""
        wide = np.asarray(values, np.float64)
        scaled = np.log10(wide) if self.logarithmic else wide
        return np.asarray(self.start + (scaled - self.low) / (self.high - self.low) * (self.end - self.start))

    def marks(self) -> list[tuple[float, str]]:
        """Return places and words of some five marks."""
        values = np.arange(len(self.names), dtype=np.float64) if self.names else self._values()
        words = self.names or tuple(self._written(value) for value in values)
        return list(zip(self.place(values).tolist(), words, strict=True))

    def _values(self) -> np.ndarray:
        if self.logarithmic:
            digits = (1,) if self.high - self.low >= 3 else (1, 2, 5)
            powers = range(int(np.floor(self.low)), int(np.ceil(self.high)) + 1)
            values = np.array([digit * 10.0**power for power in powers for digit in digits])
            within = (np.log10(values) >= self.low - 1e-9) & (np.log10(values) <= self.high + 1e-9)
            return values[within]
        rough = (self.high - self.low) / 5
        power = 10.0 ** np.floor(np.log10(rough))
        step = next(digit * power for digit in _STEPS if digit * power >= rough * 0.999)
        return np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1) * step

    def _written(self, value: float) -> str:
        exact = float(f"{value:.6g}") + 0.0  # no minus before a zero
        return f"{100 * exact:.4g}%" if self.percent else number(exact)


def axis_of(axis: go.layout.XAxis | go.layout.YAxis, values: list[np.ndarray], start: float, end: float) -> Axis:
    """Return a static axis like a Plotly axis.

    Args:
        axis: of the figure's layout, with its range, type, title and number format, if it has them.
        values: what stands along it, of each trace; texts are categories.
        start: where its low end stands.
        end: where its high end stands.
    """
    title = html.unescape(axis.title.text or "")
    named = tuple(dict.fromkeys(str(name) for of in values for name in of if isinstance(name, str)))
    if named:
        return Axis(-0.5, len(named) - 0.5, start, end, title=title, names=axis.categoryarray or named)
    logarithmic = axis.type == "log"
    together = np.concatenate([np.asarray(of, np.float64) for of in values])
    scaled = np.log10(together[together > 0]) if logarithmic else together
    low, high = (float(scaled.min()), float(scaled.max())) if scaled.size else (0.0, 1.0)
    if axis.range:
        low, high = (float(at) for at in axis.range)
    elif axis.rangemode == "tozero":
        low, high = min(low, 0.0), 1.05 * high
    high = high if high > low else low + 1.0
    return Axis(low, high, start, end, logarithmic, title, "%" in (axis.tickformat or "") or axis.tickformat == "~p")
