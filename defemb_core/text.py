"""Texts of tokens come from anywhere: made safe to show on one line and to open in a spreadsheet, and compared."""

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


def folded(column: str) -> pl.Expr:
    """Return texts in lower case, with blanks for underscores: words are the same if they are so."""
    return pl.col(column).str.to_lowercase().str.replace_all("_", " ", literal=True)


def without_accents(column: str) -> pl.Expr:
    """Return texts without accents ("café" as "cafe") and with the typewriter's apostrophe for all others."""
    return pl.col(column).str.normalize("NFD").str.replace_all(r"\p{Mn}", "").str.replace_all("[‘’ʼ]", "'")


def decoded(content: bytes) -> str | None:
    """Return a file's bytes as text, None for what is none: UTF-8, or UTF-16 with a mark, else CP1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
