"""What colours mean, on every chart alike: the two tables, the frequency groups, the kinds, and values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError

# All of these keep a contrast of 3:1 or nearly so to white and to the app's dark background, and differ in lightness or
# along the blue-yellow axis, which people see who do not tell red from green.
TABLE_COLOURS = {"original": "#0072b2", "rebuilt": "#d55e00"}
# Further tables beside those two, in this order, then from the first again.
MORE_TABLES = ("#5a7d00", "#b0479b", "#007f8a", "#8a4b2a")
NEUTRAL = "#6b6b6b"
# An ordinal scale, from the most to the least frequent: blue to yellow, dark to light.
GROUP_COLOURS = {"frequent": "#6a51c8", "medium": "#16947f", "rare": "#c08a00", "none": NEUTRAL}
KIND_COLOURS = {
    "word": "#3f8fd6",
    "subword": "#c08a00",
    "number": "#00875f",
    "symbol": "#9a4fd0",
    "byte": "#8c5a3c",
    "special": "#e0488a",
    "unused": NEUTRAL,
}
# Seven hues are more than colour alone can carry: the rarer kinds have a shape of their own too.
KIND_SHAPES = {"number": "square", "symbol": "diamond", "byte": "triangle-up", "special": "star", "unused": "x"}
# Of rows in a training: whether their tokens were in its batches.
SEEN_COLOURS = {"seen": "#b0479b", "unseen": NEUTRAL, "every row": NEUTRAL}
SELECTED = "#e6007e"
GRID = "rgba(128, 128, 128, 0.25)"
# Readable on white and on dark where no theme sets a colour for text.
TEXT = "#7d7d7d"
# From low to high: the frequency groups' scale, without the ends that vanish on white or on dark.
SEQUENTIAL = ("#6a51c8", "#4a70c4", "#2587a8", "#16947f", "#5c9a45", "#9a9413", "#c08a00", "#dc8a1e")

NO_VALUE = "no value"
POS_COLOURS = {
    "noun": "#3f8fd6",
    "verb": "#c08a00",
    "adjective": "#00875f",
    "adverb": "#9a4fd0",
    "other": "#8c5a3c",
    NO_VALUE: NEUTRAL,
}
# Percentiles that the ends of a colour scale stand for, so that a few outliers do not use up the scale.
PERCENTILES = (1, 99)


@dataclass(frozen=True, eq=False)
class ColourBy:
    """What the points of a map are coloured by.

    Attributes:
        name: what the colours stand for, as a reader writes it ("frequency group").
        values: one a row: names of categories (V,), or float32 (V,) where NaN means that a row has no value.
        explanation: what the values are, with unit and range; one sentence or a few words.
        colours: categories and their colours, in the order of the legend; empty for numbers.
        shapes: marker symbols of categories that are not drawn as circles.
        limits: values at the ends of the colour scale; None for categories.
    """

    name: str
    values: np.ndarray
    explanation: str
    colours: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 1:
            raise SettingsError(f"values to colour by are {self.values.shape}; give one a row")
        if self.continuous == (self.limits is None):
            raise SettingsError(f"{self.name} needs either colours of categories or limits of a colour scale")
        unknown = sorted(set(np.unique(self.values).tolist()) - set(self.colours)) if not self.continuous else []
        if unknown:
            raise SettingsError(f"no colour for {unknown[0]!r}; give one for every category of {self.name}")

    @property
    def continuous(self) -> bool:
        """Whether the values are numbers."""
        return not self.colours

    def members(self) -> dict[str, np.ndarray]:
        """Rows (int32, ascending) of each category that has any, in the legend's order.

        Numbers have one category, called like the values, and "no value" for NaN and infinity.
        """
        if self.continuous:
            finite = np.isfinite(self.values)
            masks = {self.name: finite, NO_VALUE: ~finite}
        else:
            masks = {category: self.values == category for category in self.colours}
        return {name: np.flatnonzero(mask).astype(np.int32) for name, mask in masks.items() if mask.any()}


def table_colours(compared: tuple[str, str], others: Sequence[str] = ()) -> dict[str, str]:
    """Return a colour for each table; the two compared have the hues of original and rebuilt, whatever their names."""
    more = {name: MORE_TABLES[number % len(MORE_TABLES)] for number, name in enumerate(others)}
    return {**more, **dict(zip(compared, TABLE_COLOURS.values(), strict=True))}


def colour_by_group(vocabulary: pl.DataFrame) -> ColourBy:
    """Colours by frequency group, of a vocabulary frame with a `group` column (`frequency.add_frequency`)."""
    return ColourBy(
        "frequency group",
        _names(vocabulary, "group"),
        "frequent, medium and rare rows by rank; none: special and unused rows",
        GROUP_COLOURS,
    )


def colour_by_seen(seen: pl.Series) -> ColourBy:
    """Colours by whether a row's token was in a training batch, of true, false or null (unknown) for each row."""
    names = ["every row" if one is None else "seen" if one else "unseen" for one in seen]
    explanation = "seen: the token was in a training batch; unseen: it was not; every row: not recorded"
    return ColourBy("seen in training", np.asarray(names, dtype=str), explanation, SEEN_COLOURS)


def colour_by_kind(vocabulary: pl.DataFrame) -> ColourBy:
    """Colours by what a row stands for, of a vocabulary frame."""
    explanation = "word: starts a word; subword: continues one; byte: an incomplete character"
    return ColourBy("kind", _names(vocabulary, "kind"), explanation, KIND_COLOURS, KIND_SHAPES)


def colour_by_pos(changes: pl.DataFrame) -> ColourBy:
    """Colours by the part of speech of each row's first definition, of a frame with a `pos` column."""
    names = {"adj": "adjective", "adv": "adverb", "adjective satellite": "adjective"}
    known = changes["pos"].cast(pl.String).replace(names)
    kept = pl.when(known.is_in([*POS_COLOURS])).then(known).otherwise(pl.lit("other"))
    pos = pl.select(pl.when(known.is_null()).then(pl.lit(NO_VALUE)).otherwise(kept)).to_series()
    explanation = "of the first definition that the run used; no value: no definition, or its dictionary does not say"
    return ColourBy("part of speech", np.asarray(pos.to_list(), dtype=str), explanation, POS_COLOURS)


def colour_by_coverage(rebuilt: np.ndarray) -> ColourBy:
    """Colours by whether a row was rebuilt.

    Args:
        rebuilt: boolean (V,).
    """
    mask = np.asarray(rebuilt)
    if mask.dtype != bool:
        raise SettingsError(f"rebuilt holds {mask.dtype}, not true and false; pass a boolean array")
    colours = {"rebuilt": TABLE_COLOURS["rebuilt"], "kept": NEUTRAL}
    explanation = "rebuilt: from definitions; kept: as in the original table"
    return ColourBy("coverage", np.where(mask, "rebuilt", "kept"), explanation, colours)


def colour_by_values(name: str, values: np.ndarray, title: str) -> ColourBy:
    """Colours by a number a row has, on a scale from the 1st to the 99th percentile of the finite values.

    Args:
        name: short ("movement").
        values: (V,); NaN or infinity where a row has none.
        title: what the number is, with its unit ("cosine distance from the original row, 0 to 2").
    """
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiu":
        raise SettingsError(f"{name} holds {numbers.dtype}, not numbers; pass one number a row")
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(end) for end in np.percentile(finite, PERCENTILES)) if finite.size else (0.0, 1.0)
    # A scale without width has no middle to put the one value at.
    limits = (low, high) if low < high else (low - 0.5, high + 0.5)
    return ColourBy(name, numbers, title, limits=limits)


def _names(vocabulary: pl.DataFrame, column: str) -> np.ndarray:
    """A column of categories as a numpy array of strings."""
    if column not in vocabulary.columns:
        raise SettingsError(f"the vocabulary has no column {column!r}; add it first")
    return np.asarray(vocabulary[column].cast(pl.String).to_list(), dtype=str)
