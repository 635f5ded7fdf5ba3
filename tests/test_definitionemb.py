import numpy as np
import pytest
from sklearn.linear_model import Ridge

from defemb_core import definitionemb
from defemb_core.definitionemb import STRENGTHS, cross_fit, fit_map
from defemb_core.errors import SettingsError

ROWS, WIDTH = 90, 5


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def data(noise=0.5):
    """Two blocks of very different units, and rows that follow from both."""
    blocks = [1000 * random(ROWS, 6, seed=1) + 300, random(ROWS, 4, seed=2)]
    rows = blocks[0] @ random(6, WIDTH, seed=3) / 1000 + blocks[1] @ random(4, WIDTH, seed=4) + 7
    return blocks, (rows + noise * random(ROWS, WIDTH, seed=5)).astype(np.float32)


def scaled(blocks):
    """Each block centred, then divided by one number: the root of its features' mean variance."""
    centred = [block - block.mean(axis=0) for block in blocks]
    return np.concatenate([c / np.sqrt(c.var(axis=0).mean()) for c in centred], axis=1)


def folds_of(count, folds, seed):
    return np.array_split(np.random.default_rng(seed).permutation(count), folds)


def by_sklearn(blocks, rows, strength, folds=5, seed=0):
    x, predicted = scaled(blocks), np.empty(rows.shape)
    for fold in folds_of(len(rows), folds, seed):
        kept = np.setdiff1d(np.arange(len(rows)), fold)
        predicted[fold] = Ridge(alpha=strength * x.shape[1]).fit(x[kept], rows[kept]).predict(x[fold])
    return predicted


@pytest.mark.parametrize(("folds", "seed"), [(2, 0), (5, 0), (7, 3)])
def test_cross_fit_is_ridge_regression_fold_by_fold(folds, seed):
    blocks, rows = data()
    found = cross_fit(blocks, rows, folds, seed)
    np.testing.assert_allclose(found.predictions, by_sklearn(blocks, rows, found.strength, folds, seed), atol=1e-4)


def test_errors_are_those_of_the_predictions_at_every_strength():
    blocks, rows = data()
    brute = [((by_sklearn(blocks, rows, strength) - rows) ** 2).sum(axis=1).mean() for strength in STRENGTHS]
    np.testing.assert_allclose(definitionemb.RidgeProblem(blocks, rows, 5, 0).errors(), brute, rtol=1e-6)
    assert cross_fit(blocks, rows).strength == STRENGTHS[int(np.argmin(brute))]


def test_fit_map_is_ridge_regression_on_all_rows():
    blocks, rows = data()
    found = fit_map(blocks, rows)
    model = Ridge(alpha=found.strength * 10).fit(scaled(blocks), rows)
    np.testing.assert_allclose(found.predict(np.concatenate(blocks, axis=1)), model.predict(scaled(blocks)), atol=1e-4)
    assert found.strength == cross_fit(blocks, rows).strength


@pytest.mark.parametrize("strength", [STRENGTHS[0], STRENGTHS[-1]])
def test_no_row_helps_to_predict_itself(strength):
    blocks, rows = data()
    changed = rows.copy()
    changed[17] += 1e4
    before, after = (definitionemb.RidgeProblem(blocks, r, 5, 0).predict_folds(strength) for r in (rows, changed))
    own = next(fold for fold in folds_of(ROWS, 5, 0) if 17 in fold)
    others = np.setdiff1d(np.arange(ROWS), own)
    np.testing.assert_allclose(after[own], before[own], atol=1e-3)  # float32 of rows around 10
    assert (np.abs(after[others] - before[others]).max(axis=1) > 1).all()


def pairs(seed=0):
    """Each row has one other of its label, somewhere."""
    return np.array([f"w{i // 2}" for i in range(ROWS)])[np.random.default_rng(seed).permutation(ROWS)]


@pytest.mark.parametrize("weights", [None, np.where(np.arange(ROWS) % 7 == 0, 0.0, 0.5)])
def test_rows_of_one_group_do_not_help_each_other(weights):
    blocks, rows = data()
    groups = pairs()
    own = np.flatnonzero(groups == groups[17])
    changed = rows.copy()
    changed[own] += 1e4
    problems = [definitionemb.RidgeProblem(blocks, r, 5, 0, weights, groups) for r in (rows, changed)]
    assert sorted(np.concatenate(problems[0].folds)) == list(range(ROWS))
    assert all(len(set(groups[fold])) == len(fold) / 2 for fold in problems[0].folds)
    before, after = (problem.predict_folds(1.0) for problem in problems)
    assert len(own) == 2
    np.testing.assert_allclose(after[own], before[own], atol=1e-3)
    fold = next(fold for fold in problems[0].folds if 17 in fold)
    assert (np.abs(after - before).max(axis=1) > 1).sum() == ROWS - len(fold)


def test_folds_of_groups_have_about_as_many_rows():
    sizes = [len(fold) for fold in definitionemb.RidgeProblem(*data(), 5, 0, None, pairs()).folds]
    assert max(sizes) - min(sizes) <= 2


@pytest.mark.parametrize("seed", [0, 4])
@pytest.mark.parametrize(
    "labels", [None, np.arange(ROWS)[::-1], np.array([f"w{i * 7919 % 1000}" for i in range(ROWS)])]
)
def test_rows_of_different_groups_have_the_folds_of_rows(seed, labels):
    blocks, rows = data()
    found = definitionemb.RidgeProblem(blocks, rows, 5, seed, None, labels).folds
    for ours, rows_ in zip(found, folds_of(ROWS, 5, seed), strict=True):
        assert ours.tolist() == rows_.tolist()
    weights = np.where(random(ROWS) > 0, 1, 0)
    order = np.random.default_rng(seed).permutation(ROWS)
    order = [*order[weights[order] > 0], *order[weights[order] == 0]]
    found = definitionemb.RidgeProblem(blocks, rows, 5, seed, weights, labels).folds
    assert [fold.tolist() for fold in found] == [order[k::5] for k in range(5)]
    bits = [cross_fit(blocks, rows, 5, seed, w, labels).predictions.tobytes() for w in (None, weights)]
    assert bits == [cross_fit(blocks, rows, 5, seed, w).predictions.tobytes() for w in (None, weights)]


def test_too_few_groups_for_the_folds():
    blocks, rows = data()
    groups = np.arange(ROWS) // 30
    with pytest.raises(SettingsError, match="cannot cut 3 covered words into 4 folds"):
        fit_map(blocks, rows, 4, groups=groups)
    with pytest.raises(SettingsError, match="cannot cut 2 covered words into 3 folds"):
        cross_fit(blocks, rows, 3, 0, (groups > 0).astype(float), groups)
    assert np.isfinite(cross_fit(blocks, rows, 3, groups=groups).predictions).all()


def test_linear_rows_are_recovered():
    blocks, rows = data(noise=0)
    found = cross_fit(blocks, rows)
    assert found.strength == STRENGTHS[0]
    assert np.abs(found.predictions - rows).max() < 0.1 * rows.std()
    errors = definitionemb.RidgeProblem(blocks, rows, 5, 0).errors()
    assert errors[0] < 1e-3 * errors[-1]


def test_noise_is_shrunk_to_the_mean():
    blocks, rows = [random(300, 8, seed=1)], random(300, WIDTH, seed=2)
    found = cross_fit(blocks, rows)
    assert found.strength >= 100
    assert np.abs(found.predictions - rows.mean(axis=0)).max() < 0.25


def test_units_of_a_block_do_not_matter():
    blocks, rows = data()
    other = cross_fit([blocks[0] / 1e6, blocks[1] * 1e6], rows)
    found = cross_fit(blocks, rows)
    np.testing.assert_allclose(other.predictions, found.predictions, atol=1e-4)
    assert other.strength == found.strength


def test_a_constant_block_changes_no_prediction():
    blocks, rows = data()
    found = definitionemb.RidgeProblem([*blocks, np.full((ROWS, 10), 4.0)], rows, 5, 0)
    alone = definitionemb.RidgeProblem(blocks, rows, 5, 0)
    np.testing.assert_allclose(found.predict_folds(1.0), alone.predict_folds(2.0), atol=1e-4)  # 20 features, not 10


def test_more_features_than_rows():
    found = cross_fit([random(20, 50)], random(20, 3, seed=1))
    assert np.isfinite(found.predictions).all()


def test_twice_the_same_to_the_bit():
    blocks, rows = data()
    first, again = cross_fit(blocks, rows, seed=2), cross_fit(blocks, rows, seed=2)
    assert first.predictions.tobytes() == again.predictions.tobytes()
    assert first.strength == again.strength
    assert cross_fit(blocks, rows, seed=3).predictions.tobytes() != first.predictions.tobytes()


def test_predictions_are_float32():
    blocks, rows = data()
    found = cross_fit(blocks, rows)
    assert found.predictions.dtype == fit_map(blocks, rows).predict(np.concatenate(blocks, axis=1)).dtype == np.float32
    assert found.predictions.shape == rows.shape


@pytest.mark.parametrize(("rows", "folds"), [(10, 1), (10, 0), (10, -2), (10, 11), (0, 2)])
def test_folds_out_of_range(rows, folds):
    for fit in (cross_fit, fit_map):
        with pytest.raises(SettingsError, match=f"{rows} covered rows into {folds} folds"):
            fit([random(rows, 3)], random(rows, 2), folds)
