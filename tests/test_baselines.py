"""Baselines: the transformations by their defining properties, the methods by what a rebuilt table has of them."""

import dataclasses

import numpy as np
import pytest

from defemb_core.baselines import all_but_the_top, whitening
from defemb_core.errors import SettingsError
from defemb_core.evaluation.held_out import chance_mrr
from defemb_core.features import bag_of_embeddings, definition_texts
from defemb_core.isotropy import measure_isotropy
from defemb_core.methods import BASELINES, TRANSFORMATIONS, shuffled
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.reconstruction_files import load_reconstruction, save_reconstruction


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cone(rng):
    """Rows around a far mean, with two directions of much variance and a column without any."""
    scales = np.array([9.0, 4.0, 1.0, 0.8, 0.5, 0.0])
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    return ((rng.standard_normal((500, 6)) * scales) @ turn + 20 * turn[2]).astype(np.float32)


def covariance(rows):
    return np.cov(rows.astype(np.float64).T, bias=True)


@pytest.mark.parametrize("directions", [1, 2, 5])
def test_the_leading_directions_are_gone_and_nothing_else(cone, directions):
    found, removed = all_but_the_top(cone, directions)
    assert removed == directions
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    before = np.linalg.eigvalsh(covariance(cone))[::-1]
    after = np.linalg.eigvalsh(covariance(found))[::-1]
    np.testing.assert_allclose(after, np.append(before[directions:], np.zeros(directions)), atol=1e-4)
    assert found.dtype == np.float32


def test_by_default_a_hundredth_of_the_columns_rounded_up(rng):
    for width, expected in ((6, 1), (100, 1), (101, 2), (384, 4)):
        assert all_but_the_top(rng.standard_normal((400, width)))[1] == expected


@pytest.mark.parametrize("directions", [-1, 7])
def test_directions_that_the_table_does_not_have(cone, directions):
    with pytest.raises(SettingsError, match=f"directions is {directions}; choose 0"):
        all_but_the_top(cone, directions)


def test_whitened_rows_vary_alike_in_every_direction_that_has_variance(cone):
    found = whitening(cone)
    variances = np.linalg.eigvalsh(covariance(found))[::-1]
    np.testing.assert_allclose(
        variances, np.append(np.full(5, np.trace(covariance(cone)) / 5), 0), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert found.dtype == np.float32


def test_whitening_moves_no_direction_across(cone):
    """ZCA: the product of the whitened and the centred rows is symmetric, as for no other whitening."""
    product = whitening(cone).T.astype(np.float64) @ (cone - cone.mean(axis=0))
    np.testing.assert_allclose(product, product.T, rtol=1e-3, atol=0.05)


def test_both_make_a_cone_isotropic(cone):
    before = measure_isotropy(cone)
    for rows in (all_but_the_top(cone, 2)[0], whitening(cone)):
        assert abs(measure_isotropy(rows).mean_cosine) < 0.01 < before.mean_cosine


# As methods


@pytest.fixture
def rebuild(tiny_plm, tiny_vocabulary, tiny_dictionary):
    def run(method, **settings):
        return reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(method, **settings))

    return run


@pytest.mark.parametrize("method", TRANSFORMATIONS)
def test_transformations_take_all_rows_that_take_part(rebuild, tiny_plm, method):
    made = rebuild(method)
    taking_part = (made.vocabulary["group"] != "none").to_numpy()
    assert (made.rebuilt == taking_part).all()
    np.testing.assert_allclose(made.matrix[taking_part].mean(axis=0), 0, atol=1e-5)
    assert made.matrix[~taking_part].tobytes() == tiny_plm.matrix[~taking_part].tobytes()
    assert made.evidence["held_out"] is None
    assert made.settings.match_norms is False  # they set the scale themselves


def test_the_directions_removed_are_in_the_evidence(rebuild):
    assert rebuild("all-but-the-top").evidence["directions"] == 1
    assert rebuild("all-but-the-top", directions=3).evidence["directions"] == 3
    with pytest.raises(SettingsError, match="choose 0"):
        rebuild("all-but-the-top", directions=10_000)


def test_the_mean_of_a_definition_is_the_weighted_bag(rebuild, tiny_plm):
    made = rebuild("mean-of-definition", match_norms=False)
    _, texts = definition_texts(made.definitions, True, tiny_plm.mask_token)
    bags = bag_of_embeddings(tiny_plm, texts) * made.definitions["weight"].to_numpy()[:, None]
    token = made.definitions["token_id"].to_numpy()
    for row in np.flatnonzero(made.rebuilt):
        np.testing.assert_allclose(made.matrix[row], bags[token == row].sum(axis=0), atol=1e-5)
    assert made.evidence["held_out"]["tokens"] == rebuild("instant").evidence["held_out"]["tokens"]


def test_random_gives_tokens_the_definitions_of_others(rebuild):
    real, made = rebuild("instant"), rebuild("random")
    assert (made.rebuilt == real.rebuilt).all()
    assert made.matrix.tobytes() != real.matrix.tobytes()
    assert made.matrix.tobytes() == rebuild("random").matrix.tobytes()
    assert made.matrix.tobytes() != rebuild("random", seed=1).matrix.tobytes()
    assert made.evidence["held_out"]["mrr"] < 4 * chance_mrr(made.evidence["held_out"]["tokens"])


def test_shuffling_keeps_tokens_weights_and_lines(rebuild):
    senses = rebuild("instant").definitions
    mixed = shuffled(senses, 0)
    for column in ("token_id", "text", "weight", "how"):
        assert mixed[column].equals(senses[column])
    said = ["word", "gloss", "related", "definition"]
    assert mixed.select(said).sort(said).equals(senses.select(said).sort(said))
    assert (mixed["gloss"] != senses["gloss"]).mean() > 0.9


@pytest.mark.parametrize("method", BASELINES)
def test_a_baseline_is_saved_and_read_like_any_run(rebuild, method, tmp_path):
    made = rebuild(method, alpha=0.5)
    save_reconstruction(made, tmp_path)
    read = load_reconstruction(tmp_path)
    assert read.matrix.tobytes() == made.matrix.tobytes()
    assert (read.settings, read.evidence["held_out"]) == (made.settings, made.evidence["held_out"])
    assert 0 < made.rebuilt.sum() < rebuild(method).rebuilt.sum()


@pytest.mark.parametrize("method", TRANSFORMATIONS)
def test_transformations_need_no_definition(tiny_plm, tiny_vocabulary, tiny_dictionary, method):
    empty = dataclasses.replace(tiny_dictionary, definitions=tiny_dictionary.definitions.clear())
    made = reconstruct(tiny_plm, tiny_vocabulary, empty, Settings(method))
    assert made.rebuilt.any()
    assert made.definitions.is_empty()
