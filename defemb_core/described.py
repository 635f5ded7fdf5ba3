"""Results that say what they are: on one line in a console, as a small card in a notebook."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Mapping

from defemb_core.text import plain

# Of neither theme: text as around it, lines and grounds that both white and black shine through.
_CARD = "border:1px solid rgba(128,128,128,.35);border-radius:6px;padding:.6em .9em;max-width:46em;color:inherit"
_LIST = "display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em;margin:.4em 0 0"
_LONGEST = 200


class Described(ABC):
    """Gives a class a short `repr` and a card for notebooks, both made of its `facts`."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, object]:
        """What a reader should know, by name, the name of the kind of result first; what is None is not told."""

    def __repr__(self) -> str:
        (kind, title), *others = self._told()
        return f"<{kind} {title}{''.join(f'; {name}: {fact}' for name, fact in others)}>"

    def _repr_html_(self) -> str:
        (kind, title), *others = self._told(html.escape)
        lines = "".join(f'<dt style="opacity:.7">{name}</dt><dd style="margin:0">{fact}</dd>' for name, fact in others)
        return f'<div style="{_CARD}"><strong>{kind}</strong> {title}<dl style="{_LIST}">{lines}</dl></div>'

    def _told(self, escape: object = None) -> list[tuple[str, str]]:
        """Return the facts as texts of one line."""
        clean = escape if callable(escape) else str
        return [(name, clean(plain(str(fact), _LONGEST))) for name, fact in self.facts.items() if fact is not None]
