"""Data of the linked maps, two maps of the same rows in a browser: small typed arrays, and what they mean.

What changes apart from each other travels apart: a `Part` holds arrays as bytes under a digest, so that other colours
do not send coordinates again; `describe_maps` is the rest, a few kilobytes ready for JSON.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.figures.maps import describe_map, drawn_rows, marker_look
from defemb_core.palette import NEUTRAL, NO_VALUE, PERCENTILES, SELECTED, SEQUENTIAL, TABLE_COLOURS, ColourBy
from defemb_core.text import plain

# Steps of the grid on which both maps lie: half a pixel wide where a map of 560 pixels is magnified 60 times.
STEPS = 65_535
# Colours of a scale, and the code of a row without a value.
_RAMP, _NO_VALUE_CODE = 255, 255
# How large points are where a number says so, from its least to its largest fifth of the scale.
SIZES = (0.55, 0.8, 1.05, 1.4, 1.9)
# Rows that may carry a label, in the order in which they get a place; arrows that are drawn where nothing is selected.
LABELLED, MOVERS = 2000, 200


@dataclass(frozen=True)
class Part:
    """Arrays that travel together.

    Attributes:
        slot: what they are: "points", "tokens", "colours" or "sizes".
        digest: of their contents; equal parts have equal digests.
        message: a length (uint32, little-endian), a header in JSON, the arrays, each from a multiple of 8 bytes on.
    """

    slot: str
    digest: str
    message: bytes


@dataclass(frozen=True)
class Grid:
    """The square on which maps are laid, so that a position is two whole numbers from 0 to `STEPS`.

    Attributes:
        low: its lower left corner in the maps' own units.
        span: length of its sides in those units.
    """

    low: tuple[float, float]
    span: float

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return positions (n, 2) on the grid, uint16; what lies outside comes to its edge."""
        steps = (np.asarray(points, np.float64) - self.low) * (STEPS / self.span)
        return np.clip(np.rint(steps), 0, STEPS).astype(np.uint16)


def shared_grid(maps: Sequence[np.ndarray]) -> Grid:
    """Return the smallest square around all points of maps (V, 2), with its centre where theirs is.

    Raises:
        SettingsError: for no maps, other shapes, or coordinates that are not finite.
    """
    shapes = {np.shape(points) for points in maps}
    if len(shapes) != 1 or any(len(shape) != 2 or shape[0] < 1 or shape[1] != 2 for shape in shapes):
        raise SettingsError(f"maps are {sorted(shapes)}; give one or more of the same rows, two columns each")
    low = np.min([points.min(axis=0) for points in maps], axis=0).astype(np.float64)
    high = np.max([points.max(axis=0) for points in maps], axis=0).astype(np.float64)
    if not np.isfinite([low, high]).all():
        raise SettingsError("coordinates of a map hold NaN or infinity; project the table again")
    span = float((high - low).max()) or 1.0
    return Grid((float(low[0] + high[0] - span) / 2, float(low[1] + high[1] - span) / 2), span)


def points_part(original: np.ndarray, rebuilt: np.ndarray) -> Part:
    """Both maps (V, 2) on their shared grid, 8 bytes a row."""
    grid = shared_grid([original, rebuilt])
    return _pack("points", original=grid.place(original), rebuilt=grid.place(rebuilt))


def tokens_part(changes: pl.DataFrame) -> Part:
    """Texts of all rows as a reader sees them, rows worth a label, and the rows that moved most.

    Args:
        changes: with columns `text` and `movement`, and `rank` if the vocabulary has one.
    """
    lines = "\n".join(map(plain, changes["text"].to_list()))  # `plain` leaves no line break in a text
    return _pack(
        "tokens",
        texts=np.frombuffer(lines.encode(), np.uint8),
        notable=notable_rows(changes).astype(np.uint32),
        movers=most_moved(changes, MOVERS).astype(np.uint32),
    )


def colours_part(colour: ColourBy) -> Part:
    """A code a row: its line of the legend; for numbers 0 to 254 along the scale or 255 for none, and the number."""
    codes = np.empty(len(colour.values), np.uint8)
    if not colour.continuous:
        for code, rows in enumerate(colour.members().values()):
            codes[rows] = code
        return _pack("colours", codes=codes)
    low, high = colour.limits or (0.0, 1.0)
    finite = np.isfinite(colour.values)
    share = np.clip((colour.values[finite].astype(np.float64) - low) / (high - low), 0, 1)
    codes[finite] = np.minimum(share * _RAMP, _RAMP - 1)
    codes[~finite] = _NO_VALUE_CODE
    return _pack("colours", codes=codes, values=colour.values.astype(np.float32))


def sizes_part(size: ColourBy) -> Part:
    """A class of size a row, 0 to 4 by fifths of the scale, 0 without a number; and the number.

    Args:
        size: numbers, as `colour_by_values` has them.

    Raises:
        SettingsError: these are categories, which have no size.
    """
    if not size.continuous or size.limits is None:
        raise SettingsError(f"points cannot be sized by {size.name}, which is no number; colour by it")
    low, high = size.limits
    known = np.where(np.isfinite(size.values), size.values, low).astype(np.float64)
    share = np.clip((known - low) / (high - low), 0, 1)
    codes = np.minimum(share * len(SIZES), len(SIZES) - 1).astype(np.uint8)
    return _pack("sizes", codes=codes, values=size.values.astype(np.float32))


def describe_sizes(size: ColourBy) -> dict[str, Any]:
    """What the sizes of the points mean, ready for JSON."""
    low, high = size.limits or (0.0, 1.0)
    return {"by": plain(size.name), "explanation": size.explanation, "low": low, "high": high, "factors": list(SIZES)}


def describe_maps(
    maps: Sequence[np.ndarray], colour: ColourBy, names: Sequence[str], axes: tuple[str, str]
) -> dict[str, Any]:
    """What the two maps mean, ready for JSON: legend or scale, names, axes, a text alternative for each map.

    Args:
        maps: coordinates (V, 2) of original and rebuilt.
        colour: what the points are coloured by.
        names: of the two maps.
        axes: of x and y, with their units.
    """
    members = colour.members()
    order = [name for name, _ in drawn_rows(colour)]
    return {
        "rows": len(colour.values),
        "names": [plain(name) for name in names],
        "axes": list(axes),
        "by": plain(colour.name),
        "explanation": colour.explanation,
        "legend": [_legend_line(colour, name, rows.size, order.index(name)) for name, rows in members.items()],
        "scale": _scale(colour),
        "marked": SELECTED,
        "tables": [TABLE_COLOURS["original"], TABLE_COLOURS["rebuilt"]],
        "descriptions": [
            describe_map(name, points, colour, 0) for name, points in zip(names, maps, strict=True)
        ],
    }  # fmt: skip


def place_areas(
    maps: Sequence[np.ndarray], areas: Sequence[Sequence[tuple[float, float, str]]] | None
) -> list[list[tuple[int, int, str]]]:
    """Names of areas at their places (x, y in the maps' own units) on the grid that the maps share, a list a map."""
    grid = shared_grid(maps)
    placed = []
    for named in areas or [[] for _ in maps]:
        steps = grid.place(np.array([area[:2] for area in named], np.float64).reshape(-1, 2)).tolist()
        placed.append([(x, y, plain(text)) for (x, y), (*_, text) in zip(steps, named, strict=True)])
    return placed


def notable_rows(changes: pl.DataFrame) -> np.ndarray:
    """Rows (int64, at most 2,000) worth a label, by turns one that moved much and one that is frequent.

    The frequent ones are whole words of three letters or more, if the frame tells kinds: signs say little on a map.
    """
    moved = most_moved(changes, LABELLED // 2)
    named = changes.select("text", *(name for name in ("rank", "kind") if name in changes.columns)).with_row_index(
        "row"
    )
    if "kind" in changes.columns:
        named = named.filter((pl.col("kind") == "word") & (pl.col("text").str.len_chars() > 2))
    frequent = named.sort("rank" if "rank" in changes.columns else "row")["row"].head(LABELLED // 2).to_numpy()
    by_turns = np.full(2 * max(moved.size, frequent.size), -1, np.int64)
    by_turns[: 2 * moved.size : 2], by_turns[1 : 2 * frequent.size : 2] = moved, frequent
    rows = by_turns[by_turns >= 0]
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


def most_moved(changes: pl.DataFrame, most: int) -> np.ndarray:
    """Rows (int64) of the largest movement in the full space, the farthest first; none that did not move."""
    movement = changes["movement"].to_numpy()
    rows = np.argsort(-movement, kind="stable")[:most]
    return rows[movement[rows] > 0].astype(np.int64)


def encode_rows(rows: np.ndarray, total: int) -> str:
    """Rows as text: one bit for each of `total` rows, the lowest bit of a byte first, in base64."""
    mask = np.zeros(total, bool)
    mask[rows] = True
    return base64.b64encode(np.packbits(mask, bitorder="little").tobytes()).decode()


def decode_rows(text: str, total: int) -> np.ndarray:
    """Rows (int32, ascending) of such a text.

    Raises:
        SettingsError: for a text that is not one bit a row; it comes from a browser.
    """
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (ValueError, TypeError):
        raise SettingsError(f"the selection {str(text)[:20]!r} is not base64; select again") from None
    if packed.size != -(-total // 8):
        raise SettingsError(f"the selection has {packed.size:,} bytes for {total:,} rows; select again")
    return np.flatnonzero(np.unpackbits(packed, count=total, bitorder="little")).astype(np.int32)


def _pack(slot: str, **arrays: np.ndarray) -> Part:
    """Arrays one after the other behind a header that says where each begins."""
    bodies = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    places, body = [], bytearray()
    for name, values in bodies.items():
        places.append({"name": name, "type": str(values.dtype), "at": len(body), "length": values.size})
        body += values.tobytes() + bytes(-values.nbytes % 8)
    digest = hashlib.sha256(json.dumps(places).encode() + body).hexdigest()[:32]
    header = json.dumps({"slot": slot, "digest": digest, "arrays": places}).encode()
    return Part(slot, digest, len(header).to_bytes(4, "little") + header + bytes(body))


def _legend_line(colour: ColourBy, name: str, rows: int, layer: int) -> dict[str, Any]:
    """One category as it is drawn: `layer` 0 lies at the back."""
    size, opacity = marker_look(rows, len(colour.values))
    look: Mapping[str, Any] = {"size": size, "opacity": opacity, "shape": colour.shapes.get(name, "circle")}
    return {"name": plain(name), "rows": rows, "colour": colour.colours.get(name, NEUTRAL), "layer": layer, **look}


def _scale(colour: ColourBy) -> dict[str, Any] | None:
    """Ends and hues of a scale of numbers; None for categories."""
    if not colour.continuous:
        return None
    low, high = colour.limits or (0.0, 1.0)
    note = f"colours from the {PERCENTILES[0]}st to the {PERCENTILES[1]}th percentile"
    return {"low": low, "high": high, "hues": list(SEQUENTIAL), "none": NO_VALUE, "note": note}
