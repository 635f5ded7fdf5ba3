import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.figures import describe, local_map_figure, nearness_figures
from defemb_core.figures.tokens import label_places
from defemb_core.palette import SELECTED, TABLE_COLOURS

POINTS = np.array([[0, 0], [1, 0], [0, 2], [3, 1]], np.float32)
SIDES_OF = ["token", "both", "original", "rebuilt"]
NAMES = {"both": "called both", "original": "called original", "rebuilt": "called rebuilt", "token": "called <i>"}
LABELS = ["bank", "<b>x</b>", "$y$", "shore"]


def test_a_local_map_has_every_row_in_its_colour_and_as_letters():
    figure = local_map_figure(POINTS, LABELS, SIDES_OF, 0.375, "Around it", NAMES)
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn) == ["called both", "called original", "called rebuilt", "called &lt;i&gt;"]
    assert drawn["called &lt;i&gt;"].marker.color == SELECTED
    assert drawn["called original"].marker.color == TABLE_COLOURS["original"]
    assert drawn["called both"].text == ("&lt;b&gt;x&lt;/b&gt;",)
    at = {label: (float(t.x[0]), float(t.y[0])) for t in figure.data for label in t.hovertext}
    assert at["shore"] == (3, 1)
    assert figure.layout.yaxis.scaleanchor == "x"  # distances are what is drawn
    for said in ("only these 4 rows", "38%", "called <i>: bank", "called both: <b>x</b>"):
        assert said in describe(figure)
    for axis, column in ((figure.layout.xaxis, 0), (figure.layout.yaxis, 1)):
        assert axis.range[0] < POINTS[:, column].min()
        assert POINTS[:, column].max() < axis.range[1]


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="4 points, 3 labels and 4 sides"):
        local_map_figure(POINTS, LABELS[:3], SIDES_OF, 1, "t", NAMES)
    with pytest.raises(SettingsError, match="2 labels"):
        nearness_figures({"original": np.eye(3), "rebuilt": np.eye(3)}, ["a", "b"])


def test_labels_make_room_for_each_other():
    beside = np.array([[0, 0], [1, 0], [50, 50]], np.float32)
    first, second, _ = label_places(beside, ["a long label", "another label", "x"])
    assert first != second
    assert label_places(np.array([[0, 0], [9, 9]]), ["a", "b"]) == ["middle right", "middle left"]  # inwards
    assert label_places(np.zeros((3, 2)), ["a", "b", "c"])  # all in one place


def test_cosines_are_drawn_on_one_scale_without_the_diagonal():
    original = np.array([[1, 0.5, 0.25], [0.5, 1, 0.125], [0.25, 0.125, 1]], np.float32)
    rebuilt = np.array([[1, 0.75, 0.0], [0.75, 1, 0.125], [0.0, 0.125, 1]], np.float32)
    drawn = nearness_figures({"original": original, "rebuilt": rebuilt}, ["a", "<i>", "c"])
    assert len(drawn) == 3
    apart = ~np.eye(3, dtype=bool)
    for figure, matrix in zip(drawn, (original, rebuilt, rebuilt - original), strict=True):
        (trace,) = figure.data
        assert np.isnan(np.diag(trace.z)).all()
        np.testing.assert_allclose(trace.z[apart], matrix[apart])
        assert trace.x == trace.y == ("1 a", "2 &lt;i&gt;", "3 c")
    assert {(figure.data[0].zmin, figure.data[0].zmax) for figure in drawn} == {(0, 0.75), (-0.25, 0.25)}
    assert "<i> and a 0.5" in describe(drawn[0])
    assert "+0.25" in np.array(drawn[2].data[0].text).ravel()


def test_equal_tables_have_no_change():
    same = np.full((2, 2), 0.5)
    assert "Change" in describe(nearness_figures({"original": same, "rebuilt": same}, ["a", "b"])[2])
