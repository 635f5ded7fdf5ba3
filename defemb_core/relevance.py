"""Which settings count for which method; what does not count is neither asked for nor named."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from defemb_core.reconstruction import Settings

_ALWAYS = frozenset({"method", "alpha", "blend"})
_DEFINED = frozenset({"match_norms", "relations", "max_senses", "pieces", "seed", "without"})
_MAPPED = _DEFINED | {"mentions", "folds", "rare_weight"}
_RELEVANT: dict[str, frozenset[str]] = {
    "instant": _MAPPED,
    "frozen": _MAPPED,
    "trained": _MAPPED | {"preset", "passes", "rate", "train_table"},
    "random": _MAPPED,
    "mean-of-definition": _DEFINED,
    "all-but-the-top": frozenset({"directions"}),
    "whitening": frozenset(),
}


def relevant_settings(method: str) -> frozenset[str]:
    """Return the names of the settings on which a method's table or its evidence depends."""
    return _ALWAYS | _RELEVANT[method]


def ignored_settings(settings: Settings) -> list[str]:
    """Return the names of the settings that were given another value than their default, to no effect."""
    relevant = relevant_settings(settings.method)
    return [
        field.name
        for field in fields(settings)
        if field.name not in relevant and getattr(settings, field.name) != field.default
    ]
