import json

import numpy as np
import polars as pl
import pytest

from defemb_core.errors import SettingsError
from defemb_core.selections import (
    LONGEST_NAME,
    WAYS,
    combine,
    forget_selection,
    keep_selection,
    kept_selections,
)

FIRST, SECOND = np.array([5, 1, 3, 3]), np.array([4, 3, 5])


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def vocabulary():
    return pl.DataFrame({"token": [f"t{number}" for number in range(10)]})


def rows(kept):
    return {name: found.tolist() for name, found in kept.items()}


@pytest.mark.parametrize(
    ("how", "expected"),
    [("replace", [3, 4, 5]), ("intersect", [3, 5]), ("add", [1, 3, 4, 5]), ("subtract", [1])],
)
def test_two_selections_are_combined_as_sets(how, expected):
    found = combine(FIRST, SECOND, how)
    assert found.tolist() == expected
    assert found.dtype == np.int32


@pytest.mark.parametrize("how", WAYS)
def test_nothing_can_be_combined_too(how):
    nothing = np.empty(0, np.int32)
    assert combine(nothing, nothing, how).tolist() == []
    assert combine(FIRST, nothing, how).tolist() == ([1, 3, 5] if how in ("add", "subtract") else [])


def test_an_unknown_way_is_named():
    with pytest.raises(SettingsError, match=r"'xor'.*replace, intersect, add, subtract"):
        combine(FIRST, SECOND, "xor")


def test_selections_are_kept_by_name_and_found_again(vocabulary):
    assert keep_selection(vocabulary, " zeta ", FIRST) == "zeta"
    keep_selection(vocabulary, "z" * LONGEST_NAME, FIRST)
    forget_selection(vocabulary, "z" * LONGEST_NAME)
    keep_selection(vocabulary, "Alpha/../beta", SECOND)
    assert rows(kept_selections(vocabulary)) == {"Alpha/../beta": [3, 4, 5], "zeta": [1, 3, 5]}
    assert list(kept_selections(vocabulary)) == ["Alpha/../beta", "zeta"]
    keep_selection(vocabulary, "zeta", np.array([0]))
    assert rows(kept_selections(vocabulary))["zeta"] == [0]


def test_they_lie_in_the_users_data_folder_and_nowhere_else(vocabulary, data, tmp_path):
    keep_selection(vocabulary, "../../outside", FIRST)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert len(list(data.rglob("*.json"))) == 1


def test_another_vocabulary_has_selections_of_its_own(vocabulary):
    keep_selection(vocabulary, "mine", FIRST)
    assert kept_selections(vocabulary.with_columns(token=pl.col("token") + "x")) == {}
    assert kept_selections(vocabulary.head(9)) == {}


def test_a_selection_is_forgotten(vocabulary):
    keep_selection(vocabulary, "mine", FIRST)
    forget_selection(vocabulary, "mine")
    forget_selection(vocabulary, "mine")
    assert kept_selections(vocabulary) == {}


@pytest.mark.parametrize("name", ["", "  ", "x" * (LONGEST_NAME + 1), "ring\x07", "turned\u202e"])
def test_a_name_that_cannot_be_read_is_refused(vocabulary, name):
    with pytest.raises(SettingsError, match="cannot be named"):
        keep_selection(vocabulary, name, FIRST)
    assert kept_selections(vocabulary) == {}


@pytest.mark.parametrize(
    ("chosen", "message"), [([], "no token is selected"), ([3, 10], "3 to 10 of 10"), ([-1], "-1")]
)
def test_rows_that_are_none_are_refused(vocabulary, chosen, message):
    with pytest.raises(SettingsError, match=message):
        keep_selection(vocabulary, "mine", np.array(chosen, dtype=int))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"name": "mine"}', '{"name": "mine", "rows": [99]}', '{"name": 3, "rows": [1]}']
)
def test_damaged_files_are_left_out(vocabulary, data, content):
    keep_selection(vocabulary, "mine", FIRST)
    keep_selection(vocabulary, "whole", SECOND)
    [path] = [path for path in data.rglob("*.json") if json.loads(path.read_text())["name"] == "mine"]
    path.write_text(content)
    assert rows(kept_selections(vocabulary)) == {"whole": [3, 4, 5]}


def test_a_folder_that_cannot_be_written_is_named(vocabulary, data):
    data.write_text("a file where the folder would be")
    with pytest.raises(SettingsError, match="set DEFEMB_DATA to a folder"):
        keep_selection(vocabulary, "mine", FIRST)
