import json

import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.isotropy import isotropy_by_group, measure_isotropy


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def brute_i_w(matrix, both_signs):
    wide = matrix.astype(np.float64)
    vectors = np.linalg.eigh(wide.T @ wide)[1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(vectors))])
    partition = np.exp(wide @ np.hstack([vectors, -vectors] if both_signs else [vectors])).sum(axis=0)
    return partition.min() / partition.max()


def brute_mean_cosine(matrix):
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return cosines[~np.eye(len(cosines), dtype=bool)].mean()


def test_i_w_is_the_formula(rng):
    matrix = (rng.standard_normal((3000, 6)) * [1, 0.8, 0.6, 0.5, 0.3, 0.2] + 0.2).astype(np.float32)
    result = measure_isotropy(matrix)
    assert result.i_w == pytest.approx(brute_i_w(matrix, both_signs=True), rel=1e-5)
    assert result.i_w_positive == pytest.approx(brute_i_w(matrix, both_signs=False), rel=1e-5)
    assert 0 < result.i_w < result.i_w_positive <= 1


def test_rotation_changes_nothing_but_the_one_sign_convention(rng):
    matrix = rng.standard_normal((500, 8)) * np.linspace(0.2, 1, 8) + 0.3
    turned = matrix @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    before, after = measure_isotropy(matrix).to_dict(), measure_isotropy(turned).to_dict()
    del before["i_w_positive"], after["i_w_positive"]
    assert after == pytest.approx(before, rel=1e-4)


def test_rows_mirrored_at_the_origin_have_the_same_i_w(rng):
    matrix = rng.standard_normal((200, 5)) + 0.5
    assert measure_isotropy(-matrix).i_w == pytest.approx(measure_isotropy(matrix).i_w, rel=1e-5)


def test_i_w_of_rows_on_the_axes_is_one():
    axes = np.concatenate([np.eye(4), -np.eye(4)])
    result = measure_isotropy(axes)
    assert result.i_w == pytest.approx(1)
    assert result.mean_cosine == pytest.approx(-1 / 7)  # of 7 others one is opposite, six are at right angles
    assert result.iso_score == pytest.approx(1)
    assert result.effective_rank == pytest.approx(4)


def test_large_rows_neither_overflow_nor_vanish(rng):
    matrix = rng.standard_normal((100, 4)) * [1000, 1, 1, 1]
    result = measure_isotropy(matrix)
    assert 0 <= result.i_w <= result.i_w_positive < 1e-100


def test_mean_cosine_is_the_average_over_all_pairs(rng):
    matrix = (rng.standard_normal((150, 5)) + 0.4).astype(np.float32)
    assert measure_isotropy(matrix).mean_cosine == pytest.approx(brute_mean_cosine(matrix), abs=1e-6)


def test_zero_rows_are_counted_and_left_out_of_the_cosine(rng):
    matrix = rng.standard_normal((30, 5))
    result = measure_isotropy(np.concatenate([matrix, np.zeros((4, 5))]))
    assert (result.rows, result.zero_rows) == (34, 4)
    assert result.mean_cosine == pytest.approx(brute_mean_cosine(matrix), abs=1e-6)


def test_isotropic_gaussian_scores_near_one(rng):
    result = measure_isotropy(rng.standard_normal((20_000, 16)) * 0.05)
    # Sampling spreads the covariance eigenvalues by about sqrt(H / V), and PR = H / (1 + spread^2).
    assert result.iso_score == pytest.approx(1, abs=2 * 16 / 20_000)
    assert result.effective_rank == pytest.approx(16, rel=1e-3)
    assert result.mean_cosine == pytest.approx(0, abs=2e-3)


def test_one_direction_scores_zero(rng):
    result = measure_isotropy(np.outer(rng.uniform(1, 2, 50), [3.0, 4.0, 0.0]))
    assert result.effective_rank == pytest.approx(1, abs=1e-3)
    assert result.iso_score == pytest.approx(0, abs=1e-6)
    assert result.mean_cosine == pytest.approx(1)


def test_same_row_throughout_has_no_variance():
    result = measure_isotropy(np.full((40, 6), 0.3))
    assert result.participation_ratio == result.iso_score == 0


def test_iso_score_and_participation_ratio_follow_the_covariance(rng):
    matrix = rng.standard_normal((300, 5)) * [3, 2, 1, 1, 1] + 10
    spectrum = np.linalg.eigvalsh(np.cov(matrix.T))
    ratio = spectrum.sum() ** 2 / np.sum(spectrum**2)
    result = measure_isotropy(matrix)
    assert result.participation_ratio == pytest.approx(ratio, rel=1e-4)
    assert result.iso_score == pytest.approx((ratio - 1) / 4, rel=1e-4)


def test_each_group_is_measured_as_if_alone(rng):
    matrix = (rng.standard_normal((90, 4)) * 0.3).astype(np.float32)
    groups = np.array(["frequent", "none", "medium"] * 30)
    results = isotropy_by_group(matrix, groups)
    assert list(results) == ["all", "frequent", "medium"]  # no rare rows
    for key, rows in {"all": groups != "none", "frequent": groups == "frequent", "medium": groups == "medium"}.items():
        expected = measure_isotropy(matrix[rows]).to_dict()
        assert results[key].to_dict() == pytest.approx(expected, rel=1e-5)


def test_group_without_two_rows_to_compare_is_left_out(rng):
    matrix = rng.standard_normal((6, 3))
    matrix[4] = 0
    results = isotropy_by_group(matrix, ["frequent"] * 3 + ["medium"] + ["rare"] * 2)
    assert list(results) == ["all", "frequent"]
    assert results["all"].rows == 6


def test_result_goes_into_json(rng):
    result = measure_isotropy(rng.standard_normal((9, 3)))
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


@pytest.mark.parametrize(
    ("groups", "message"),
    [(["rare"] * 2, "2 groups for 3 rows"), (["rare", "rare", "seldom"], "'seldom'")],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    with pytest.raises(SettingsError, match=message):
        isotropy_by_group(np.eye(3), groups)


@pytest.mark.parametrize("matrix", [np.full((3, 2), np.nan), np.ones((1, 2)), np.zeros((5, 2))])
def test_unusable_matrices_are_refused(matrix):
    with pytest.raises(SettingsError):
        measure_isotropy(matrix)
