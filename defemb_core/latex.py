"""Tables for papers."""

from __future__ import annotations

import re

import polars as pl

from defemb_core.text import plain

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "…": r"\ldots{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
LONGEST = 400


def latex_text(text: str) -> str:
    """Return text that LaTeX sets letter by letter; what shows nothing is written as code points (`text.plain`)."""
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found.group()], plain(text, LONGEST))


def latex_table(frame: pl.DataFrame, caption: str) -> str:
    """Return a frame as a table environment in the style of the package booktabs.

    Numbers stand to the right, fractions with three digits; null is a dash.
    """
    numbers = [kind.is_numeric() for kind in frame.dtypes]
    head = " & ".join(latex_text(name) for name in frame.columns)
    lines = [" & ".join(_cell(value) for value in row) for row in frame.iter_rows()]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numbers)}}}",
            r"\toprule",
            *(rf"{line} \\" for line in [head]),
            r"\midrule",
            *(rf"{line} \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _cell(value: object) -> str:
    if value is None:
        return "--"
    if isinstance(value, float):
        return f"{value:.3f}".replace("-", "$-$")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else latex_text(str(value))
