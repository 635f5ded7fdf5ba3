import numpy as np
import pytest
from sklearn.manifold import trustworthiness

import defemb_core.trustworthiness as module
from defemb_core.errors import SettingsError
from defemb_core.trustworthiness import measure_trust


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 15, 40])
def test_it_is_scikit_learns_on_all_rows(rng, metric, k):
    table = rng.standard_normal((200, 12)).astype(np.float32)
    places = (table[:, :2] + 0.3 * rng.standard_normal((200, 2))).astype(np.float32)
    found = measure_trust(table, places, metric, k=k)
    assert found.trustworthiness == pytest.approx(trustworthiness(table, places, n_neighbors=k, metric=metric))
    # Continuity exchanges map and table; the table's distances then are those of the map.
    if metric == "euclidean":
        assert found.continuity == pytest.approx(trustworthiness(places, table, n_neighbors=k))
    assert (found.k, found.sample, found.rows) == (k, 200, 200)


def test_a_map_that_is_the_table_has_nothing_wrong(rng):
    table = rng.standard_normal((300, 2)).astype(np.float32)
    found = measure_trust(table, 5 * table + 100, "euclidean")
    assert found.trustworthiness == pytest.approx(1, abs=1e-5)
    assert found.continuity == pytest.approx(1, abs=1e-5)


def test_two_clusters_on_one_spot_are_not_trustworthy_but_continuous():
    # Two lines far apart in the full space lie on each other in the map: half of the map's neighbours are not real.
    along = np.arange(100.0)
    table = np.vstack([np.stack([along, 0 * along, 0 * along], 1), np.stack([along, 0 * along, along + 1000], 1)])
    folded = measure_trust(table, table[:, :2], "euclidean", k=4)
    apart = measure_trust(table, table[:, [0, 2]], "euclidean", k=4)
    assert folded.trustworthiness < 0.8 < apart.trustworthiness
    assert folded.continuity > 0.95


def test_a_random_map_is_near_one_half(rng):
    found = measure_trust(rng.standard_normal((2000, 20)), rng.standard_normal((2000, 2)), k=5)
    assert found.trustworthiness == pytest.approx(0.5, abs=0.02)
    assert found.continuity == pytest.approx(0.5, abs=0.02)


def test_a_sample_is_near_the_whole_and_repeats(rng, monkeypatch):
    table = rng.standard_normal((1500, 10)).astype(np.float32)
    whole = measure_trust(table, table[:, :2])
    part = measure_trust(table, table[:, :2], sample=400, seed=1)
    assert part.trustworthiness == pytest.approx(whole.trustworthiness, abs=0.02)
    assert part.continuity == pytest.approx(whole.continuity, abs=0.02)
    assert (part.sample, part.rows, part.seed) == (400, 1500, 1)
    assert measure_trust(table, table[:, :2], sample=400, seed=2) != part
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * 1500 * 7)
    told = []
    again = measure_trust(table, table[:, :2], sample=400, seed=1, progress=lambda *call: told.append(call))
    assert again.trustworthiness == pytest.approx(part.trustworthiness, abs=1e-6)
    assert told[0] == (7, 400)
    assert told[-1] == (400, 400)


@pytest.mark.parametrize("rows", [4, 5, 9])
def test_few_rows_have_fewer_neighbours(rng, rows):
    table = rng.standard_normal((rows, 3))
    found = measure_trust(table, table[:, :2])
    assert found.k == (rows - 1) // 2
    assert found.trustworthiness == pytest.approx(
        trustworthiness(table, table[:, :2], n_neighbors=found.k, metric="cosine")
    )


@pytest.mark.parametrize(("rows", "places"), [(3, 3), (10, 9)])
def test_what_does_not_fit_is_refused(rng, rows, places):
    with pytest.raises(SettingsError, match=f"a map of {places} rows for a table of {rows}"):
        measure_trust(rng.standard_normal((rows, 5)), rng.standard_normal((places, 2)))
