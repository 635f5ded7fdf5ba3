"""Words from a tokenizer, a file or an error, shown as text and never as markup."""

import re

from defemb_core.text import plain

# Everything that Streamlit's Markdown may read as emphasis, code, link, colour, icon, LaTeX or HTML.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>&$:^=])")


def as_text(text: str, longest: int = 2000) -> str:
    """Return Markdown that shows `text` letter by letter."""
    return _MARKUP.sub(r"\\\1", plain(text, longest))


def as_duration(seconds: float) -> str:
    """Return seconds in words: "8 s", "1 min 20 s"."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"
