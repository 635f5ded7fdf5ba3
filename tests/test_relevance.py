import dataclasses

import polars as pl
import pytest

from defemb_core.methods import METHODS
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.relevance import ignored_settings, relevant_settings
from defemb_core.training_loop import Loop

OTHER = {
    "alpha": 0.5,
    "blend": 0.5,
    "match_norms": False,
    "relations": False,
    "max_senses": 1,
    "folds": 3,
    "seed": 1,
    "directions": 3,
    "mentions": False,
    "pieces": True,
    "without": "case-folded",
    "rare_weight": 0.5,
    "preset": "default",
    "passes": 2.0,
    "rate": 1e-3,
    "train_table": True,
}
PLAIN = Settings(preset="quick")


@pytest.fixture(scope="module")
def outcome(tiny_plm, tiny_vocabulary, tiny_dictionary):
    """What a method makes: the table's bits and the evidence on held-out tokens."""
    some = pl.int_range(pl.len()) % 7 == 0
    related = tiny_dictionary.definitions.with_columns(
        related=pl.col("word").reverse(), word=pl.when(some).then(pl.col("word").str.to_uppercase()).otherwise("word")
    )
    dictionary = dataclasses.replace(tiny_dictionary, definitions=related)

    def make(method, **changes):
        made = reconstruct(tiny_plm, tiny_vocabulary, dictionary, dataclasses.replace(PLAIN, method=method, **changes))
        return made.matrix.tobytes(), made.evidence["held_out"]

    return make


def test_every_setting_is_tried():
    assert OTHER.keys() | {"method"} == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_relevant_changes_the_outcome_and_nothing_else_does(method, outcome, monkeypatch):
    # So small a training may do harm, and then the weights it began with are taken, whatever it was told.
    monkeypatch.setattr(Loop, "take_best", lambda self: None)
    expected, relevant = outcome(method), relevant_settings(method)
    changed = {name for name, value in OTHER.items() if outcome(method, **{name: value}) != expected}
    assert changed == relevant - {"method"}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_given_and_does_not_count_is_ignored(method):
    assert ignored_settings(Settings(method)) == []
    given = Settings(method, **{**OTHER, "preset": "quick"})
    names = [field.name for field in dataclasses.fields(Settings)]
    assert ignored_settings(given) == [name for name in names if name not in relevant_settings(method)]
