import numpy as np
import pytest

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix, oriented, singular_values


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("shape", [(50, 8), (8, 8), (5, 12)])  # tall: Gram matrix; the others: decomposed directly
@pytest.mark.parametrize("centred", [False, True])
def test_squares_sum_to_the_squared_frobenius_norm(rng, shape, centred):
    matrix = (rng.standard_normal(shape) + 3).astype(np.float32)
    spectrum = singular_values(matrix, centred)
    rest = matrix - matrix.mean(axis=0, dtype=np.float64) if centred else matrix.astype(np.float64)
    assert spectrum.values.shape == (min(shape),)
    assert spectrum.values.dtype == np.float64
    assert np.sum(spectrum.values**2) == pytest.approx(np.sum(rest**2), rel=1e-9)


def test_values_are_those_of_a_known_product(rng):
    left = np.linalg.qr(rng.standard_normal((60, 3)))[0]
    right = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    spectrum = singular_values(left @ np.diag([8, 4, 2]) @ right)
    assert spectrum.values == pytest.approx([8, 4, 2], rel=1e-6)
    assert spectrum.normalised == pytest.approx([1, 1 / 2, 1 / 4], rel=1e-6)
    shares = np.array([8, 4, 2]) / 14
    assert spectrum.effective_rank == pytest.approx(np.prod(shares**-shares), rel=1e-6)


def test_both_routes_agree(rng):
    matrix = rng.standard_normal((40, 10)).astype(np.float32)
    assert singular_values(matrix).values == pytest.approx(singular_values(matrix.T).values, rel=1e-9)


def test_rows_along_one_direction_have_effective_rank_one(rng):
    spectrum = singular_values(np.outer(rng.standard_normal(30), np.full(6, 0.5)))
    assert spectrum.effective_rank == pytest.approx(1, abs=1e-4)


def test_missing_direction_is_exactly_zero():
    matrix = np.zeros((30, 4), dtype=np.float32)
    matrix[np.arange(30), np.arange(30) % 3] = 1
    spectrum = singular_values(matrix)
    assert spectrum.values[:3] == pytest.approx(np.sqrt(10))
    assert spectrum.values[3] == 0


def test_all_zeros_gives_zeros_not_nan():
    spectrum = singular_values(np.zeros((9, 3)))
    assert spectrum.effective_rank == 0
    assert not spectrum.normalised.any()


def test_oriented_makes_the_largest_component_positive():
    assert oriented(np.array([[0.6, -0.8], [-0.8, -0.6]])).tolist() == [[-0.6, 0.8], [0.8, 0.6]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((1, 3)), "1 x 3"),
        (np.ones((0, 3)), "0 x 3"),
        (np.ones((3, 0)), "3 x 0"),
        (np.ones(3), "1 dimensions"),
        (np.array([["a", "b"]] * 2), "not numbers"),
        (np.array([[1, 2], [3, np.nan]]), "row 1"),
        (np.array([[1, -np.inf], [3, np.inf]]), "row 0"),
        (np.array([[1.0, 2.0], [1e300, 0.0]]), "row 1"),  # past float32
    ],
)
def test_unusable_matrices_are_refused(matrix, message):
    with pytest.raises(SettingsError, match=message):
        singular_values(matrix)


def test_float32_is_passed_on_without_a_copy():
    matrix = np.ones((3, 2), dtype=np.float32)
    assert checked_matrix(matrix) is matrix
