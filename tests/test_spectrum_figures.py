import numpy as np
import pytest

from defemb_core.cosines import cosine_histogram
from defemb_core.errors import SettingsError
from defemb_core.figures import (
    cosine_figure,
    describe,
    figure_data,
    hubness_figure,
    isotropy_figure,
    norm_figure,
    spectrum_figure,
    variance_figure,
)
from defemb_core.hubness import Hubness
from defemb_core.palette import TABLE_COLOURS, table_colours
from defemb_core.spectrum import Spectrum


def spectrum(*values, centred=True):
    return Spectrum(np.array(values, np.float64), centred, 10)


def test_cumulative_variance_is_of_squares():
    assert spectrum(3, 1, 1).cumulative_variance == pytest.approx([9 / 11, 10 / 11, 1])
    assert spectrum(0, 0).cumulative_variance.tolist() == [0, 0]
    figure = variance_figure({"original": spectrum(3, 1, 1), "rebuilt": spectrum(1, 1, 1)}, "Variance")
    assert figure.data[0].y == pytest.approx([9 / 11, 10 / 11, 1])
    assert "original 2 of 3, rebuilt 3 of 3" in describe(figure)  # 90 % of 11 are 9.9, of 3 are 2.7
    assert figure.layout.title.subtitle.text.startswith("90&#37; in 2 (original), 3 (rebuilt)")


def test_a_linear_scale_shows_values_of_zero():
    flat = spectrum_figure({"original": spectrum(2, 1, 0)}, False, "Spectrum", logarithmic=False)
    assert flat.data[0].y.tolist() == [2, 1, 0]
    assert flat.layout.yaxis.type is None
    steep = spectrum_figure({"original": spectrum(2, 1, 0)}, False, "Spectrum")
    assert steep.data[0].y.tolist() == [2, 1]
    assert "1 values of 0 not shown" in describe(steep)


def test_cosines_are_shares_and_the_sample_is_told():
    table = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    figure = cosine_figure({"original": cosine_histogram(table)}, "Cosines")
    assert figure.data[0].y[::2].sum() == pytest.approx(1, abs=1e-5)
    assert "all 1,225 pairs" in figure.layout.title.subtitle.text
    many = cosine_histogram(np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32))
    told = describe(cosine_figure({"original": many}, "Cosines"))
    assert "200,000 of 244,650 pairs, drawn at random" in told


def test_hubness_counts_rows_that_are_neighbours_at_least_so_often():
    found = Hubness(np.array([0, 0, 1, 3], np.int32), 10)
    figure = hubness_figure({"original": found}, "Hubness")
    assert figure.data[0].x.tolist() == [1, 2, 3]
    assert figure.data[0].y == pytest.approx([0.5, 0.25, 0.25])
    assert "50.0% of the rows nobody's neighbour" in describe(figure)


def test_the_two_compared_have_the_fixed_hues_and_others_their_own():
    colours = table_colours(("one", "two"), ["three", "four"])
    assert [colours["one"], colours["two"]] == list(TABLE_COLOURS.values())
    assert len(set(colours.values())) == 4
    spectra = {name: spectrum(2, 1) for name in ("one", "three/rare", "two")}
    for figure in (spectrum_figure(spectra, True, "S", colours=colours), variance_figure(spectra, "V", colours)):
        assert [line.line.color for line in figure.data] == [colours["one"], colours["three"], colours["two"]]
        assert [line.line.dash for line in figure.data] == ["solid", "dot", "solid"]
    norms = norm_figure({"two/rare": np.ones(3), "one": np.ones(2)}, colours=colours)
    assert [line.line.color for line in norms.data] == [colours["two"], colours["one"]]
    bars = isotropy_figure({"three": {"all": {"i_w": 0.5}}}, colours=colours)
    assert bars.data[0].marker.color == colours["three"]


def test_a_table_whose_name_has_a_slash_is_one_table():
    figure = variance_figure(
        {"owner/model": spectrum(1), "owner/model/rare": spectrum(1)}, "V", {"owner/model": "#123456"}
    )
    assert [line.name for line in figure.data] == ["owner/model", "owner/model, rare"]
    assert {line.line.color for line in figure.data} == {"#123456"}


def test_the_data_of_a_chart_are_its_points():
    figure = variance_figure({"<b>": spectrum(1, 0), "rebuilt": spectrum(1, 1)}, "V")
    found = figure_data(figure)
    assert found.columns == ["series", "number of directions, largest first", "share of the variance"]
    assert found["series"].to_list() == ["<b>", "<b>", "rebuilt", "rebuilt"]
    assert found["share of the variance"].to_list() == [1, 1, 0.5, 1]
    bars = figure_data(isotropy_figure({"original": {"all": {"i_w": 0.5}, "rare": {"i_w": 0.25}}}))
    assert bars["frequency group"].to_list() == ["all", "rare"]


@pytest.mark.parametrize("draw", [variance_figure, cosine_figure, hubness_figure])
def test_nothing_cannot_be_drawn(draw):
    with pytest.raises(SettingsError, match="at least one table"):
        draw({}, "Nothing")
