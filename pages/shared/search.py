"""Finding tokens by text or regular expression."""

import polars as pl

from defemb_core.errors import SettingsError


def find_tokens(frame: pl.DataFrame, wanted: str, regular: bool) -> pl.DataFrame:
    """Return the lines whose text holds `wanted`, in any case; all lines if it is empty.

    The order stays, but for lines whose whole text is `wanted`: those come first.

    Raises:
        SettingsError: a regular expression that cannot be read.
    """
    if not wanted:
        return frame
    if not regular:
        text = pl.col("text").str.to_lowercase()
        found = frame.filter(text.str.contains(wanted.lower(), literal=True))
        return found.sort(text != wanted.lower(), maintain_order=True)
    try:
        return frame.filter(pl.col("text").str.contains(f"(?i){wanted}"))
    except pl.exceptions.ComputeError:
        raise SettingsError(
            f"{wanted!r} is no regular expression; check its brackets, or search for plain text"
        ) from None
