"""Texts of tokens come from anywhere: made safe to show on one line, and to open in a spreadsheet."""

import polars as pl


def plain(text: str, longest: int = 40) -> str:
    """Return a token's text as one visible line: control and direction characters as code points, cut at `longest`.

    A right-to-left override or a line feed inside a token would otherwise rearrange what stands around it.
    """
    shown = "".join(c if c.isprintable() or c == " " else f"<U+{ord(c):04X}>" for c in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def formula_safe(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with an apostrophe before every text that a spreadsheet would run as a formula.

    Such cells begin, perhaps after blanks, with = + - @, a tab or a carriage return.
    """
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(r"^\s*[=+\-@\t\r]"))
        .then(pl.lit("'") + pl.col(name))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )
