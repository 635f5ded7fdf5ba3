import numpy as np
import polars as pl
import pytest

from defemb_core.errors import SettingsError
from defemb_core.undertrained import UNDERTRAINED_SCHEMA, undertrained_indicators
from defemb_core.vocabulary import KINDS

ROWS, WIDTH = 400, 24
UNUSED = np.arange(10, 40)
PLANTED = np.array([100, 200, 399])


def vocabulary(unused=UNUSED):
    kinds = np.full(ROWS, "word", dtype=object)
    kinds[unused] = "unused"
    return pl.DataFrame({"token_id": np.arange(ROWS), "kind": pl.Series(kinds.tolist(), dtype=KINDS)})


@pytest.fixture
def table():
    """Words point anywhere; unused rows and three planted words are short and close to one direction."""
    rng = np.random.default_rng(2)
    table = rng.standard_normal((ROWS, WIDTH))
    like_unused = np.concatenate([UNUSED, PLANTED])
    place = 0.3 * rng.standard_normal(WIDTH)
    table[like_unused] = place + 0.01 * rng.standard_normal((like_unused.size, WIDTH))
    return table.astype(np.float32)


def words_by(table, indicator):
    found = undertrained_indicators(table, vocabulary()).with_columns(kind=vocabulary()["kind"])
    return found.filter(pl.col("kind") == "word").sort(indicator)


@pytest.mark.parametrize("indicator", ["norm", "unused_distance", "unused_distance_removed"])
def test_rows_like_the_unused_come_first(table, indicator):
    words = words_by(table, indicator)
    assert sorted(words["token_id"][:3]) == PLANTED.tolist()
    assert words[indicator][3] > words[indicator][2] + 0.2


def test_a_part_that_all_rows_share_is_taken_out(table):
    table = table + np.float32(3)
    as_it_is, removed = words_by(table, "unused_distance"), words_by(table, "unused_distance_removed")
    assert as_it_is["unused_distance"].max() < 0.2  # every row is like the unused ones
    assert sorted(removed["token_id"][:3]) == PLANTED.tolist()
    assert removed["unused_distance_removed"][3] > removed["unused_distance_removed"][2] + 0.2


def test_the_figures_are_their_formulas(table):
    found = undertrained_indicators(table, vocabulary())
    assert found.schema == UNDERTRAINED_SCHEMA
    assert found["token_id"].to_list() == list(range(ROWS))
    wide = table.astype(np.float64)
    direction = np.linalg.svd(wide, full_matrices=False)[2][0]
    removed = wide - np.outer(wide @ direction, direction)
    for name, rows in (("unused_distance", wide), ("unused_distance_removed", removed)):
        mean = rows[UNUSED].mean(axis=0)
        for row in (0, 15, 100, 398):
            cosine = rows[row] @ mean / np.sqrt((rows[row] @ rows[row]) * (mean @ mean))
            assert found[name][row] == pytest.approx(1 - cosine, abs=1e-5)
    np.testing.assert_allclose(found["norm"], np.sqrt((wide**2).sum(axis=1)), rtol=1e-5)


def test_without_unused_rows_there_is_only_the_norm(table):
    found = undertrained_indicators(table, vocabulary(unused=[]))
    assert found.schema == UNDERTRAINED_SCHEMA
    assert found["norm"].null_count() == 0
    assert found["unused_distance"].null_count() == found["unused_distance_removed"].null_count() == ROWS


def test_rows_of_zeros_have_no_direction(table):
    table[[0, 5]] = 0
    found = undertrained_indicators(table, vocabulary())
    assert found["norm"][0] == 0
    assert found["unused_distance"][5] == found["unused_distance_removed"][5] == 1


def test_another_vocabulary_is_refused(table):
    with pytest.raises(SettingsError, match="a vocabulary of 400 rows for a table of 399"):
        undertrained_indicators(table[:-1], vocabulary())
