import numpy as np
import pytest

from defemb_core import cosines as module
from defemb_core.cosines import BINS, SAMPLED_PAIRS, cosine_histogram
from defemb_core.errors import SettingsError
from defemb_core.isotropy import measure_isotropy


def test_every_pair_of_a_small_table_is_counted_once():
    rows = np.array([[1, 0], [0, 2], [-3, 0]], np.float32)  # cosines 0, -1, 0
    found = cosine_histogram(rows)
    assert (found.pairs, found.all_pairs, found.exact) == (3, 3, True)
    assert found.mean == pytest.approx(-1 / 3)
    at = np.digitize([-1, 0], found.edges[1:-1])
    assert found.counts[at].tolist() == [1, 2]
    assert found.counts.sum() == 3


def test_the_mean_is_that_of_isotropy():
    table = np.random.default_rng(0).normal(0.3, 1, (200, 8)).astype(np.float32)
    assert cosine_histogram(table).mean == pytest.approx(measure_isotropy(table).mean_cosine, abs=1e-6)


def test_a_large_table_is_sampled_and_says_so():
    table = np.random.default_rng(0).normal(0.3, 1, (2000, 8)).astype(np.float32)
    found = cosine_histogram(table)
    assert (found.pairs, found.all_pairs, found.exact) == (SAMPLED_PAIRS, 1999 * 1000, False)
    assert found.counts.sum() == SAMPLED_PAIRS
    spread = 1.0 / np.sqrt(SAMPLED_PAIRS)
    assert found.mean == pytest.approx(measure_isotropy(table).mean_cosine, abs=4 * spread)
    again, other = cosine_histogram(table), cosine_histogram(table, seed=1)
    assert (again.counts == found.counts).all()
    assert (other.counts != found.counts).any()


def test_a_row_is_never_paired_with_itself(monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_PAIRS", 500)
    found = cosine_histogram(np.eye(40, dtype=np.float32))  # any two rows are at right angles, a row with itself not
    assert not found.exact
    assert found.counts[np.digitize(0, found.edges[1:-1])] == 500


def test_rows_of_zeros_take_no_part():
    table = np.array([[1, 1], [0, 0], [2, 2]], np.float32)
    found = cosine_histogram(table)
    assert found.all_pairs == 1
    assert found.counts[BINS - 1] == 1
    with pytest.raises(SettingsError, match="1 rows point anywhere"):
        cosine_histogram(table[:2])
