"""Predictions of two maps, mixed in the share that ranks best."""

import numpy as np
import pytest

from defemb_core.definitionemb import fit_map
from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import judge_held_out
from defemb_core.mixture import SHARES, best_share, fit_mixture, mixed


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture
def problem(rng):
    """Rows of 20 columns, and two views that each tell half of them, with noise of its own."""
    truth = rng.standard_normal((300, 20))
    views = [[(truth[:, part] + 0.5 * rng.standard_normal((300, 10))).astype(np.float32)] for part in HALVES]
    return views, truth.astype(np.float32)


HALVES = (slice(0, 10), slice(10, 20))


def mrr(predicted, rows):
    return judge_held_out(predicted, rows, rows.mean(axis=0)).of().mrr


def test_one_view_is_its_map_to_the_bit(problem):
    views, rows = problem
    made = fit_mixture(views[:1], rows, 4, 1)
    assert made.shares == (1.0,)
    assert made.predict(views[:1]).tobytes() == fit_map(views[0], rows, 4, 1).predict(views[0][0]).tobytes()


def test_two_views_are_better_than_either_on_rows_that_no_map_saw(problem):
    views, rows = problem
    fit, held = np.arange(200), np.arange(200, 300)
    made = fit_mixture([[block[fit] for block in view] for view in views], rows[fit])
    alone = [fit_map([view[0][fit]], rows[fit]).predict(view[0][held]) for view in views]
    predicted = made.predict([[view[0][held]] for view in views])
    assert 0.2 <= made.shares[0] <= 0.8
    assert sum(made.shares) == pytest.approx(1)
    assert mrr(predicted, rows[held]) > max(mrr(one, rows[held]) for one in alone)
    np.testing.assert_allclose(predicted, mixed(alone, made.shares), atol=1e-5)


def test_a_view_that_tells_nothing_gets_no_share(problem, rng):
    views, rows = problem
    noise = [rng.standard_normal((300, 5)).astype(np.float32)]
    assert fit_mixture([noise, views[0]], rows).shares[0] <= 0.3
    assert fit_mixture([views[0], noise], rows).shares[0] >= 0.7


def test_the_share_is_chosen_by_the_judges_alone(problem, rng):
    """The second view knows every row but the judges': by all rows it counts, by the judges it tells little."""
    views, rows = problem
    judges = np.arange(300) < 60
    knows = np.where(judges[:, None], rng.standard_normal(rows.shape), rows).astype(np.float32)
    views = [views[0], [knows + rng.standard_normal(rows.shape).astype(np.float32)]]
    by_all = fit_mixture(views, rows).shares[0]
    assert fit_mixture(views, rows, judges=judges).shares[0] >= by_all + 0.2
    assert fit_mixture(views, rows, judges=np.zeros(300, bool)).shares[0] == by_all, "none: all judge"


def test_of_equal_shares_the_largest_is_taken(rng):
    rows = rng.standard_normal((30, 4)).astype(np.float32)
    assert best_share([rows, rows], rows, rows.mean(axis=0)) == 1.0
    assert SHARES[0] == 1
    assert SHARES[-1] == 0
    assert len(SHARES) == 11


@pytest.mark.parametrize("share", SHARES)
def test_a_mixture_is_the_weighted_sum(rng, share):
    first, second = (rng.standard_normal((5, 3)).astype(np.float32) for _ in range(2))
    made = mixed([first, second], (share, 1 - share))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, share * first + (1 - share) * second, atol=1e-6)
    if share in (0, 1):
        assert made is (first if share else second)


def test_too_few_rows_are_refused(problem):
    views, rows = problem
    with pytest.raises(SettingsError, match="folds"):
        fit_mixture([[block[:3] for block in view] for view in views], rows[:3], 5)
