"""What the linked maps are sent: arrays that mean what they say, small enough; and a front end of these sources."""

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from defemb_core.errors import SettingsError
from defemb_core.figures.linked_maps import (
    STEPS,
    colours_part,
    decode_rows,
    describe_maps,
    describe_sizes,
    encode_rows,
    most_moved,
    notable_rows,
    place_areas,
    points_part,
    shared_grid,
    sizes_part,
    tokens_part,
)
from defemb_core.palette import (
    GROUP_COLOURS,
    NO_VALUE,
    SEQUENTIAL,
    ColourBy,
    colour_by_group,
    colour_by_kind,
    colour_by_pos,
    colour_by_values,
)
from defemb_core.text import plain

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "assets" / "maps.js"
ROWS = 600


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def maps(rng):
    return [rng.normal(0, 3, (ROWS, 2)).astype(np.float32), rng.normal(5, 1, (ROWS, 2)).astype(np.float32)]


@pytest.fixture
def changes(rng):
    movement = np.where(np.arange(ROWS) % 3 == 0, 0, rng.random(ROWS)).astype(np.float32)
    return pl.DataFrame(
        {
            "text": [f"t{row}" for row in range(ROWS)],
            "movement": movement,
            "rank": rng.permutation(ROWS),
            "kind": rng.choice(["word", "subword", "symbol", "unused"], ROWS),
            "group": rng.choice(list(GROUP_COLOURS), ROWS),
        }
    )


def unpacked(part):
    """The arrays of a part, read as the browser reads them."""
    start = 4 + int.from_bytes(part.message[:4], "little")
    header = json.loads(part.message[4:start])
    assert (header["slot"], header["digest"]) == (part.slot, part.digest)
    body = part.message[start:]
    for place in header["arrays"]:
        assert place["at"] % 8 == 0
    return {
        place["name"]: np.frombuffer(body, place["type"], place["length"], place["at"]) for place in header["arrays"]
    }


def test_positions_are_exact_to_half_a_step_on_a_grid_that_both_maps_share(maps):
    grid, sent = shared_grid(maps), unpacked(points_part(*maps))
    for name, points in zip(("original", "rebuilt"), maps, strict=True):
        back = sent[name].reshape(-1, 2) * grid.span / STEPS + np.array(grid.low)
        assert np.abs(back - points).max() <= 0.51 * grid.span / STEPS
    both = np.concatenate(maps)
    assert grid.span == pytest.approx(np.ptp(both, axis=0).max())
    edges = np.concatenate([sent["original"], sent["rebuilt"]])
    assert (edges.min(), edges.max()) == (0, STEPS)


def test_a_map_without_extent_lies_in_the_middle():
    same = np.full((3, 2), 2.5, np.float32)
    sent = unpacked(points_part(same, same))
    assert np.abs(sent["original"].astype(float) - STEPS / 2).max() <= 1


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([np.zeros((3, 2)), np.zeros((4, 2))], "same rows"),
        ([np.zeros((3, 3))], "two columns"),
        ([], "same rows"),
        ([np.full((3, 2), np.nan)], "NaN"),
    ],
)
def test_maps_that_do_not_fit_are_refused(maps, message):
    with pytest.raises(SettingsError, match=message):
        shared_grid(maps)


def test_texts_come_back_one_a_row_whatever_they_hold():
    texts = ["bank", "", "two words", "new\nline", "a\u202ecod", "\ud800", "<b>", "日本", "x" * 90]
    changes = pl.DataFrame({"text": ["?"] * len(texts), "movement": [0.0] * len(texts)})

    class Frame:  # polars keeps no unpaired surrogate; a tokenizer may
        height, columns = changes.height, changes.columns
        select = staticmethod(changes.select)

        def __getitem__(self, name):
            return type("Texts", (), {"to_list": staticmethod(lambda: texts)}) if name == "text" else changes[name]

    lines = unpacked(tokens_part(Frame()))["texts"].tobytes().decode().split("\n")
    assert lines == [plain(text) for text in texts]


def test_codes_are_lines_of_the_legend(changes, maps):
    for colour in (colour_by_group(changes), colour_by_kind(changes)):
        legend = describe_maps(maps, colour, ("a", "b"), ("x", "y"))["legend"]
        codes = unpacked(colours_part(colour))["codes"]
        assert [legend[code]["name"] for code in codes] == colour.values.tolist()
        assert [line["rows"] for line in legend] == np.bincount(codes).tolist()
        # The largest category lies at the back.
        layers = sorted(legend, key=lambda line: line["layer"])
        assert [line["rows"] for line in layers] == sorted((line["rows"] for line in legend), reverse=True)
        assert [line["layer"] for line in layers] == list(range(len(legend)))


def test_parts_of_speech_are_those_of_any_dictionary():
    frame = pl.DataFrame({"pos": ["noun", "adj", "adjective satellite", "adv", "verb", "name", None]})
    colour = colour_by_pos(frame)
    assert colour.values.tolist() == ["noun", "adjective", "adjective", "adverb", "verb", "other", NO_VALUE]


def test_numbers_go_along_the_scale_and_none_is_no_number(maps):
    values = np.linspace(-1, 3, ROWS).astype(np.float32)
    values[[4, 9]] = np.nan, np.inf
    colour = colour_by_values("norm", values, "length")
    sent, told = unpacked(colours_part(colour)), describe_maps(maps, colour, ("a", "b"), ("x", "y"))
    assert np.array_equal(sent["values"], values, equal_nan=True)
    finite = np.isfinite(values)
    assert (sent["codes"][~finite] == 255).all()
    codes = sent["codes"][finite].astype(int)
    assert (np.diff(codes) >= 0).all()
    assert (codes[0], codes[-1]) == (0, 254)
    assert [(line["name"], line["rows"]) for line in told["legend"]] == [("norm", ROWS - 2), (NO_VALUE, 2)]
    assert (told["scale"]["low"], told["scale"]["high"]) == colour.limits
    assert told["scale"]["hues"] == list(SEQUENTIAL)


def test_sizes_are_fifths_of_the_scale_and_nothing_is_small():
    values = np.array([0, 1.9, 2, 5, 9.9, 10, 50, -3, np.nan, np.inf], np.float32)
    size = ColourBy("norm", values, "length", limits=(0.0, 10.0))
    sent = unpacked(sizes_part(size))
    assert sent["codes"].tolist() == [0, 0, 1, 2, 4, 4, 4, 0, 0, 0]
    assert np.array_equal(sent["values"], values, equal_nan=True)
    told = json.loads(json.dumps(describe_sizes(size)))
    assert (told["low"], told["high"], len(told["factors"])) == (0, 10, 5)
    assert told["factors"] == sorted(told["factors"])


def test_categories_have_no_size(changes):
    with pytest.raises(SettingsError, match="points cannot be sized by"):
        sizes_part(colour_by_group(changes))


def test_what_is_told_beside_the_arrays_is_ready_for_json_and_small(maps, changes):
    told = describe_maps(maps, colour_by_group(changes), ("original", "rebuilt"), ("x (unit)", "y (unit)"))
    assert len(json.dumps(told)) < 10_000
    assert told["rows"] == ROWS
    for name, description in zip(("original", "rebuilt"), told["descriptions"], strict=True):
        assert f"{name!r} of all {ROWS} rows" in description


def test_other_contents_have_other_digests(maps, changes):
    assert points_part(*maps).digest == points_part(*(points.copy() for points in maps)).digest
    other = maps[0].copy()
    other[0] += 0.5
    assert points_part(other, maps[1]).digest != points_part(*maps).digest
    turned = changes.with_columns(group=changes["group"].reverse())
    assert colours_part(colour_by_group(changes)).digest != colours_part(colour_by_group(turned)).digest


def test_two_maps_of_a_large_vocabulary_fit_into_eight_megabytes(rng):
    rows = 250_000
    maps = [rng.normal(size=(rows, 2)).astype(np.float32) for _ in range(2)]
    changes = pl.DataFrame({"text": [f"token{row}" for row in range(rows)], "movement": rng.random(rows)})
    colour = colour_by_values("movement", changes["movement"].to_numpy(), "movement")
    parts = [points_part(*maps), tokens_part(changes), colours_part(colour)]
    told = json.dumps(describe_maps(maps, colour, ("a", "b"), ("x", "y"))), encode_rows(np.arange(rows), rows)
    total = sum(len(part.message) for part in parts) + sum(map(len, told)) + BUNDLE.stat().st_size
    assert total < 8e6


def test_labels_are_for_what_moved_and_for_frequent_words_by_turns(changes):
    moved, notable = most_moved(changes, 50), notable_rows(changes)
    movement = changes["movement"].to_numpy()
    assert moved.tolist() == np.argsort(-movement, kind="stable")[:50].tolist()
    words = changes.filter((pl.col("kind") == "word") & (pl.col("text").str.len_chars() > 2)).sort("rank")
    assert notable[0] == moved[0]
    assert changes["text"][int(notable[1])] == words["text"][0]
    assert len(set(notable.tolist())) == notable.size
    kept = changes.with_columns(movement=pl.lit(0.0))
    assert most_moved(kept, 50).size == 0
    assert set(notable_rows(kept).tolist()) == {int(text[1:]) for text in words["text"]}


def test_areas_lie_where_the_points_around_them_lie(maps):
    x, y = (float(value) for value in maps[1][17])
    first, second = place_areas(maps, [[], [(x, y, "a\nb")]])
    sent = unpacked(points_part(*maps))["rebuilt"].reshape(-1, 2)
    assert first == []
    assert second == [(*sent[17].tolist(), plain("a\nb"))]
    assert place_areas(maps, None) == [[], []]


@pytest.mark.parametrize("total", [1, 8, 9, 1000])
def test_rows_survive_the_way_to_the_browser_and_back(total, rng):
    for rows in (np.empty(0, np.int64), np.arange(total), np.flatnonzero(rng.random(total) < 0.3)):
        text = encode_rows(rows, total)
        back = decode_rows(text, total)
        assert back.dtype == np.int32
        assert back.tolist() == rows.tolist()


@pytest.mark.parametrize("text", ["", "AAAA", "!", None, "é"])
def test_what_no_map_sends_is_refused(text):
    with pytest.raises(SettingsError, match="select again"):
        decode_rows(text, 9)


def test_the_front_end_is_built_from_its_sources():
    frontend = ROOT / "frontend"
    names = ["package-lock.json", "build.js", *sorted(f"src/{path.name}" for path in (frontend / "src").iterdir())]
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + (frontend / name).read_bytes() + b"\0")
    first = BUNDLE.read_text(encoding="utf-8").partition("\n")[0]
    assert digest.hexdigest() in first, "assets/maps.js is older than frontend/: run make frontend"


def test_the_front_end_keeps_licences_and_calls_nobody():
    code = BUNDLE.read_text(encoding="utf-8")
    needed = json.loads((ROOT / "frontend" / "package.json").read_text())["dependencies"]
    for name, version in needed.items():
        assert version[0].isdigit(), "pin exactly"
        assert f"\n{name} {version}\n" in code
    assert code.count("Copyright") >= len(needed)
    for way_out in ("fetch(", "XMLHttpRequest", "import(", "http://", "https://", "eval(", "innerHTML"):
        assert way_out not in code.partition("/*! This file contains")[0]
