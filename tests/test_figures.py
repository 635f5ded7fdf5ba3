import json

import numpy as np
import polars as pl
import pytest

from defemb_core import frequency, vocabulary
from defemb_core.errors import SettingsError
from defemb_core.figures import (
    coverage_figure,
    describe,
    escape_hover,
    isotropy_figure,
    map_figure,
    norm_figure,
    spectrum_figure,
)
from defemb_core.figures.maps import drawn_rows
from defemb_core.isotropy import MEASURES, Isotropy, isotropy_by_group
from defemb_core.palette import (
    GROUP_COLOURS,
    KIND_COLOURS,
    NO_VALUE,
    SELECTED,
    SEQUENTIAL,
    TABLE_COLOURS,
    ColourBy,
    colour_by_coverage,
    colour_by_group,
    colour_by_kind,
    colour_by_values,
)
from defemb_core.spectrum import singular_values

HOSTILE = [
    "<b>bold</b>",
    "<a href='javascript:alert(1)'>x</a>",
    "<extra></extra>",
    "&amp;",
    "$$x^2$$",
    "%{x}",
    "a\u202eb",
]


def trace_rows(colour):
    """Rows of each trace, in the order of the traces."""
    return [rows for _, rows in drawn_rows(colour)]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def frame(rng):
    groups = rng.choice(["frequent", "medium", "rare", "none"], 600, p=[0.3, 0.45, 0.2, 0.05])
    kinds = rng.choice(list(KIND_COLOURS), 600)
    return pl.DataFrame(
        {"group": pl.Series(groups, dtype=frequency.GROUPS), "kind": pl.Series(kinds, dtype=vocabulary.KINDS)}
    )


@pytest.fixture
def points(rng):
    return rng.standard_normal((600, 2)).astype(np.float32)


def colourings(frame, rng):
    values = rng.standard_normal(len(frame))
    values[:50] = np.nan
    yield colour_by_group(frame)
    yield colour_by_kind(frame)
    yield colour_by_coverage(rng.random(len(frame)) < 0.4)
    yield colour_by_values("movement", values, "cosine distance, 0 to 2")


def drawn_points(figure):
    return [np.stack([trace.x, trace.y], axis=1) for trace in figure.data]


def luminance(hue):
    channels = np.array([int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_row_is_drawn_exactly_once(frame, points, rng):
    for colour in colourings(frame, rng):
        figure, rows = map_figure(points, colour, "Map"), trace_rows(colour)
        assert sorted(np.concatenate(rows).tolist()) == list(range(600))
        assert len(figure.data) == len(rows)
        for drawn, expected in zip(drawn_points(figure), rows, strict=True):
            assert np.array_equal(drawn, points[expected])


def test_legend_counts_are_true(frame, points):
    figure = map_figure(points, colour_by_group(frame), "Map")
    counts = dict(frame["group"].cast(pl.String).value_counts().iter_rows())
    in_order = sorted(figure.data, key=lambda trace: trace.legendrank)
    assert [trace.name for trace in in_order] == [f"{group} · {counts[group]:,}" for group in GROUP_COLOURS]
    assert {trace.name.split(" · ")[0]: trace.marker.color for trace in figure.data} == GROUP_COLOURS


def test_the_largest_category_is_at_the_back_and_rows_without_a_value_behind_it(frame, points, rng):
    for colour in colourings(frame, rng):
        sizes = [rows.size for rows in trace_rows(colour)]
        assert colour.continuous or sizes == sorted(sizes, reverse=True)
    assert map_figure(points, colour, "Map").data[0].name == f"{NO_VALUE} · 50"


def test_a_map_says_how_many_rows_it_shows(frame, points):
    figure = map_figure(points, colour_by_group(frame), "Map")
    assert figure.layout.title.subtitle.text == "all 600 rows"
    assert "of all 600 rows" in describe(figure)


def test_colours_by_value_span_the_stated_percentiles(frame, points):
    values = np.linspace(0, 100, 600)
    values[-1] = 1e9
    figure = map_figure(points, colour_by_values("norm", values, "norm (units)"), "Map")
    low, high = np.percentile(values.astype(np.float32), [1, 99])
    marker = figure.data[0].marker
    assert (marker.cmin, marker.cmax) == pytest.approx((low, high))
    assert "1st to the 99th percentile" in figure.layout.title.subtitle.text
    assert marker.colorbar.title.text == "norm (units)"
    assert marker.color.dtype == np.float32


@pytest.mark.parametrize("values", [np.full(600, 3.0), np.full(600, np.nan)])
def test_a_scale_has_width_where_values_do_not_differ(points, values):
    colour = colour_by_values("norm", values, "norm")
    assert colour.limits[0] < colour.limits[1]
    assert sum(len(trace.x) for trace in map_figure(points, colour, "Map").data) == 600


def test_payload_of_a_bert_sized_map_is_small_and_typed(rng):
    rows = 30_522
    points = rng.standard_normal((rows, 2)).astype(np.float32)
    groups = pl.DataFrame({"group": rng.choice(list(GROUP_COLOURS), rows)})
    labels = [f"token{row}" for row in range(rows)]
    colour = colour_by_group(groups)
    plain = map_figure(points, colour, "Map").to_json()
    # Two float32 a row in base64, of which Plotly writes each "/" as six characters; nothing else a row.
    assert len(plain) < 1.4 * rows * 8 * 4 / 3
    assert len(map_figure(points, colour, "Map", labels=labels).to_json()) < 1_000_000
    values = colour_by_values("norm", points[:, 0], "norm")
    assert len(map_figure(points, values, "Map", np.arange(0, rows, 3), labels=labels).to_json()) < 1_500_000
    assert all(trace["x"]["dtype"] == "f4" for trace in json.loads(plain)["data"])


def test_hover_shows_the_label_of_its_own_row_escaped(points, frame):
    colour, labels = colour_by_group(frame), [f"<{row}>" for row in range(600)]
    figure = map_figure(points, colour, "Map", labels=labels)
    for trace, rows in zip(figure.data, trace_rows(colour), strict=True):
        assert trace.hovertext.tolist() == [f"&lt;{row}&gt;" for row in rows]
        assert trace.hovertemplate.startswith("%{hovertext}<br>")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_leaves_no_markup(text):
    shown = escape_hover(text)
    assert not set("<>$%\u202e") & set(shown)
    assert "&" not in shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").replace("&#3", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b>&", "a&lt;b&gt;&amp;"),
        ("&lt;", "&amp;lt;"),
        ("x\u202ey", "x&lt;U+202E&gt;y"),
        ("\n\x00", "&lt;U+000A&gt;&lt;U+0000&gt;"),
        ("\u00a0", "&lt;U+00A0&gt;"),
        (" ", "&lt;U+0020&gt;"),
        ("\ud800", "&lt;U+D800&gt;"),
        ("New York", "New York"),
        ("кот 猫 قطة", "кот 猫 قطة"),
        ("", ""),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
        ("<" * 41, "&lt;" * 39 + "…"),
    ],
)
def test_escape_hover(text, shown):
    assert escape_hover(text) == shown


def test_hostile_names_are_text_everywhere(points, frame):
    bad = "<b>%{meta.description}</b>"
    colour = ColourBy(bad, np.full(600, bad), bad, {bad: "#123456"})
    figures = [
        map_figure(points, colour, bad, np.arange(3), (bad, bad), [bad] * 600),
        map_figure(points, colour_by_values(bad, points[:, 0], bad), bad),
        spectrum_figure({bad: singular_values(points)}, True, bad),
        isotropy_figure({bad: {"all": {"i_w": 0.5}}}),
        norm_figure({bad: points[:, 0]}, bad),
        coverage_figure(pl.DataFrame({"group": [bad], "rows": [2], "covered": [1], "share": [0.5]}), bad),
    ]
    for figure in figures:
        assert bad not in json.dumps({**json.loads(figure.to_json())["layout"], "meta": None})
        assert bad not in json.dumps(json.loads(figure.to_json())["data"])


def test_selected_rows_are_ringed_on_top_and_labelled_up_to_thirty(points, frame):
    colour, labels = colour_by_group(frame), [f"t{row}" for row in range(600)]
    figure = map_figure(points, colour, "Map", np.array([40, 7, 7]), labels=labels)
    ring = figure.data[-1]
    assert np.array_equal(np.stack([ring.x, ring.y], axis=1), points[[7, 40]])
    assert ring.name == "selected · 2"
    assert [(tag.text, tag.x, tag.y) for tag in figure.layout.annotations] == [
        (f"t{row}", points[row, 0], points[row, 1]) for row in (7, 40)
    ]
    assert len(map_figure(points, colour, "Map", np.arange(30), labels=labels).layout.annotations) == 30
    assert not map_figure(points, colour, "Map", np.arange(31), labels=labels).layout.annotations
    with pytest.raises(SettingsError, match="0 to 600 of 600"):
        map_figure(points, colour, "Map", np.array([0, 600]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": np.zeros((600, 3))}, r"\(600, 3\)"),
        ({"coordinates": np.full((600, 2), np.nan)}, "finite"),
        ({"coordinates": np.zeros((599, 2))}, "600 values for 599 points"),
        ({"labels": ["a"]}, "1 labels for 600 points"),
    ],
)
def test_maps_that_do_not_fit_are_refused(frame, points, change, message):
    with pytest.raises(SettingsError, match=message):
        map_figure(**{"coordinates": points, "colour": colour_by_group(frame), "title": "Map"} | change)


def test_colours_refuse_what_has_none(frame):
    with pytest.raises(SettingsError, match="no colour for 'often'"):
        colour_by_group(pl.DataFrame({"group": ["often"]}))
    with pytest.raises(SettingsError, match="no column 'group'"):
        colour_by_group(frame.drop("group"))
    with pytest.raises(SettingsError, match="boolean"):
        colour_by_coverage(np.array([0, 1]))
    with pytest.raises(SettingsError, match="numbers"):
        colour_by_values("x", np.array(["a"]), "x")


def test_the_palette_names_every_group_and_kind():
    assert list(GROUP_COLOURS) == frequency.GROUPS.categories.to_list()
    assert list(KIND_COLOURS) == vocabulary.KINDS.categories.to_list()


def test_colours_stand_out_on_white_and_on_dark():
    hues = [*TABLE_COLOURS.values(), *GROUP_COLOURS.values(), *KIND_COLOURS.values(), SELECTED]
    assert min(contrast(hue, "#ffffff") for hue in hues) > 3
    assert min(contrast(hue, "#0e1117") for hue in hues) > 3
    assert min(contrast(hue, page) for hue in SEQUENTIAL for page in ("#ffffff", "#0e1117")) > 2.5


def test_the_ordinal_scale_gets_lighter_and_tables_share_no_colour_with_it():
    lightness = [luminance(GROUP_COLOURS[group]) for group in ("frequent", "medium", "rare")]
    assert lightness == sorted(lightness)
    assert len({*TABLE_COLOURS.values(), *GROUP_COLOURS.values()}) == 6


def test_spectrum_lines(rng):
    matrix = rng.standard_normal((50, 6)).astype(np.float32) * [9, 5, 3, 2, 1, 0]
    whole, part = singular_values(matrix), singular_values(matrix[:20] * 2)
    figure = spectrum_figure({"original": whole, "rebuilt/rare": part}, True, "Spectra")
    first, second = figure.data
    assert first.x.tolist() == [1, 2, 3, 4, 5]  # the value of exactly 0 has no place on a logarithmic axis
    assert first.y == pytest.approx(whole.values[:5] / whole.values[0], rel=1e-6)
    assert "2 values of 0 not shown" in figure.layout.title.subtitle.text
    assert figure.layout.yaxis.type == "log"
    assert (first.line.color, first.line.dash) == (TABLE_COLOURS["original"], "solid")
    assert (second.line.color, second.line.dash) == (TABLE_COLOURS["rebuilt"], "dot")
    assert second.name == "rebuilt, rare"
    raw = spectrum_figure({"original": whole}, False, "Spectra")
    assert raw.data[0].y == pytest.approx(whole.values[:5], rel=1e-6)
    assert raw.layout.yaxis.title.text != figure.layout.yaxis.title.text


@pytest.mark.parametrize("measure", MEASURES)
def test_isotropy_bars_carry_their_values(rng, measure):
    matrix = rng.standard_normal((60, 4)).astype(np.float32)
    by_group = isotropy_by_group(matrix, np.repeat(["frequent", "medium", "rare"], 20))
    as_dicts = {group: isotropy.to_dict() for group, isotropy in by_group.items() if group != "rare"}
    figure = isotropy_figure({"original": by_group, "rebuilt": as_dicts}, measure)
    original, rebuilt = figure.data
    assert list(original.x) == ["all", "frequent", "medium", "rare"]
    assert list(rebuilt.x) == ["all", "frequent", "medium"]
    assert original.y == pytest.approx([getattr(by_group[group], measure) for group in original.x])
    assert [float(text.replace(",", "")) for text in rebuilt.text] == pytest.approx(rebuilt.y, rel=0.01)
    assert [bar.marker.color for bar in figure.data] == [TABLE_COLOURS["original"], TABLE_COLOURS["rebuilt"]]
    assert f"rare {original.text[3]}" in describe(figure)


def test_every_measure_is_an_attribute_of_isotropy():
    assert set(MEASURES) <= set(Isotropy.__dataclass_fields__)
    with pytest.raises(SettingsError, match="unknown measure 'rows'"):
        isotropy_figure({}, "rows")


def test_coverage_bars():
    lines = {"kind": ["word", "symbol"], "rows": [4000, 10], "covered": [3000, 1], "share": [0.75, 0.1]}
    figure = coverage_figure(pl.DataFrame(lines))
    track, bars = figure.data
    assert list(bars.y) == ["word", "symbol"]
    assert bars.x.tolist() == [0.75, 0.1]
    assert list(track.text) == ["75.0% · 3,000 of 4,000", "10.0% · 1 of 10"]
    assert list(bars.marker.color) == [KIND_COLOURS["word"], KIND_COLOURS["symbol"]]
    assert "3,001 of 4,010 rows" in describe(figure)
    by_source = {"source": ["wordnet", "wiki"], "rows": [4000, 4000], "covered": [3000, 10], "share": [0.75, 0.0025]}
    assert "3,010 of 4,000 rows" in describe(coverage_figure(pl.DataFrame(by_source)))
    with pytest.raises(SettingsError, match="coverage needs"):
        coverage_figure(pl.DataFrame({"group": ["rare"]}))


def test_norm_histogram_counts_every_row_in_shared_bins(rng):
    norms = {"original": rng.gamma(9, 1, 5000), "rebuilt": rng.gamma(9, 1.2, 4000)}
    figure = norm_figure(norms, bins=30)
    for trace, (name, values) in zip(figure.data, norms.items(), strict=True):
        assert np.array_equal(trace.x, figure.data[0].x)
        assert trace.y[::2].sum() == values.size
        assert np.array_equal(trace.y[::2], trace.y[1::2])
        assert trace.name == f"{name} · {values.size:,}"
        assert trace.line.color == TABLE_COLOURS[name]
    assert len(figure.to_json()) < 5_000
    for bad in ({}, {"original": np.array([1, np.nan])}):
        with pytest.raises(SettingsError, match="finite"):
            norm_figure(bad)


def test_every_figure_has_titles_a_description_and_no_ground_of_its_own(frame, points):
    figures = [
        map_figure(points, colour_by_group(frame), "A map"),
        spectrum_figure({"original": singular_values(points)}, False, "Spectra"),
        isotropy_figure({"original": {"all": {"i_w": 0.25}}}),
        coverage_figure(pl.DataFrame({"group": ["rare"], "rows": [2], "covered": [1], "share": [0.5]})),
        norm_figure({"original": points[:, 0]}),
    ]
    for figure in figures:
        layout = figure.layout
        assert layout.title.text
        assert layout.xaxis.title.text
        assert layout.yaxis.title.text
        assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
        assert layout.font.color is None  # the theme's; ours stands in the template
        assert layout.title.text in describe(figure)
        assert layout.meta["description"] == describe(figure)
    assert figures[0].layout.yaxis.scaleanchor == "x"
    assert figures[0].layout.uirevision == map_figure(points, colour_by_kind(frame), "B").layout.uirevision


def test_describe_needs_a_description(frame, points):
    with pytest.raises(SettingsError, match="no description"):
        describe(map_figure(points, colour_by_group(frame), "A").update_layout(meta=None))
    text = describe(map_figure(points, colour_by_group(frame), "A", np.arange(5)))
    for name, rows in colour_by_group(frame).members().items():
        assert f"{name} {rows.size}" in text
    assert f"x {points[:, 0].min():.3g} to {points[:, 0].max():.3g}" in text
    assert "5 rows marked" in text
