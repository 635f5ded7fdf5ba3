"""Texts of tokens come from anywhere: made safe to show on one line, and to open in a spreadsheet."""

import polars as pl

# Characters of a token that are shown; what is longer is no word, and would push everything else away.
LONGEST = 40


def plain(text: str, longest: int = LONGEST) -> str:
    """Return a token's text as one line of which a reader sees every character, cut at `longest`.

    Characters that show nothing or reorder what is around them (controls, direction marks, joiners, blanks other than
    the space, unpaired surrogates) are written as their code point, "<U+202E>"; so is a text of spaces alone.
    """
    if not text.isprintable() or text.isspace():
        blank = text.isspace()
        text = "".join(c if c.isprintable() and not blank else f"<U+{ord(c):04X}>" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


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
