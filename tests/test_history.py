import pytest

from defemb_core.errors import SettingsError
from defemb_core.figures import describe, loss_figure
from defemb_core.history import HISTORY, read_evaluations, remember
from defemb_core.runs import Reporter

LINES = [
    {"update": 0.0, "validation": 0.5},
    {"update": 10.0, "validation": 0.3, "loss": 0.45},
    {"update": 20.0, "validation": 0.4, "loss": 0.2},
]


def tell(folder, stage, lines):
    for line in lines:
        remember(folder, {"stage": stage, **line})


def test_no_history_has_no_evaluations(tmp_path):
    assert read_evaluations(tmp_path) == []
    tell(tmp_path, "bags", [{"seconds": 1.5}])
    assert read_evaluations(tmp_path) == []


def test_evaluations_are_read_as_they_were_told(tmp_path):
    remember(tmp_path, {"stage": "start", "seconds": 1.0})
    tell(tmp_path, "training", LINES)
    assert read_evaluations(tmp_path) == LINES


def test_a_resumed_training_tells_some_again(tmp_path):
    tell(tmp_path, "training", LINES[:2])
    with (tmp_path / HISTORY).open("a") as history:
        history.write('{"stage": "training", "upd\n[1]\nnull\n')  # cut short by the end of the process
    again = [{**LINES[1], "loss": 0.44}, LINES[2]]
    tell(tmp_path, "training", again)
    assert read_evaluations(tmp_path) == [LINES[0], *again]


def test_the_second_of_two_tables_takes_over(tmp_path):
    tell(tmp_path, "training", LINES)
    tell(tmp_path, "decoder's training", LINES[:1])
    assert read_evaluations(tmp_path) == LINES[:1]


def test_a_reporter_remembers_evaluations_and_no_other_figures(tmp_path):
    reporter = Reporter(tmp_path, {"training": 1.0})
    reporter("training", 0, 20, validation=0.5)
    for update in range(1, 10):
        reporter("training", update, 20, loss=0.1)
    reporter("training", 10, 20, validation=0.3, loss=0.45)
    assert read_evaluations(tmp_path) == LINES[:2]


def test_the_loss_curve_has_both_lines_and_marks_the_best(tmp_path):
    figure = loss_figure(LINES)
    learned, judged = figure.data
    assert (learned.name, list(learned.x), list(learned.y)) == ("examples learned from", [10, 20], [0.45, 0.2])
    assert (judged.name, list(judged.x), list(judged.y)) == ("validation tokens", [0, 10, 20], [0.5, 0.3, 0.4])
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 10
    assert "0.3000 after 10 updates" in describe(figure)
    assert figure.layout.xaxis.title.text == "updates"
    assert len(loss_figure(LINES[:1]).data) == 1


def test_no_evaluations_no_curve():
    with pytest.raises(SettingsError, match="no evaluations"):
        loss_figure([])
