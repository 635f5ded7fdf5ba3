import numpy as np
import polars as pl
import pytest

from defemb_core.errors import SettingsError
from defemb_core.evaluation import held_out
from defemb_core.evaluation.held_out import (
    Judgement,
    chance_mrr,
    check_folds,
    judge_held_out,
    split_words,
    word_families,
)


def judged(predicted, true, centre):
    return judge_held_out(predicted, true, centre).of()


def rows(count=60, width=7, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width))


def test_a_perfect_prediction_is_first_everywhere():
    true = rows()
    found = judged(true, true, true.mean(axis=0))
    assert (found.tokens, found.mrr, found.median_rank) == (60, 1.0, 1.0)
    assert found.cosine == pytest.approx(1)


def test_figures_are_those_of_a_double_loop():
    true, predicted, centre = rows(), rows() + 2 * rows(seed=1), rows(1, seed=2)[0]

    def cosine(p, t):
        p, t = p - centre, t - centre
        return p @ t / np.sqrt((p @ p) * (t @ t))

    table = np.array([[cosine(p, t) for t in true] for p in predicted])
    ranks = [1 + sum(table[i, j] > table[i, i] for j in range(60)) for i in range(60)]
    found = judged(predicted, true, centre)
    assert found.cosine == pytest.approx(np.diag(table).mean())
    assert found.mrr == pytest.approx(np.mean(1 / np.array(ranks)))
    assert found.median_rank == np.median(ranks)
    assert 1 < found.median_rank < 30


def test_blocks_change_nothing(monkeypatch):
    true, predicted = rows(), rows() + rows(seed=1)
    whole = judged(predicted, true, np.zeros(7))
    monkeypatch.setattr(held_out, "BLOCK", 13)
    assert judged(predicted, true, np.zeros(7)) == whole


def test_random_predictions_are_at_chance():
    count = 2000
    found = judged(rows(count, 30, 1), rows(count, 30, 2), np.zeros(30))
    chance = (1 / np.arange(1, count + 1)).mean()  # the mean of 1 / rank when every rank is as likely
    assert abs(found.cosine) < 0.02
    assert found.mrr == pytest.approx(chance, rel=0.7)
    assert found.median_rank == pytest.approx((count + 1) / 2, rel=0.1)


def test_the_chance_of_guesses():
    assert [chance_mrr(n) for n in (0, 1, 3)] == pytest.approx([0, 1, (1 + 1 / 2 + 1 / 3) / 3])


def test_a_prediction_that_says_nothing_earns_chance():
    true = rows(101)
    found = judged(np.tile(true.mean(axis=0), (101, 1)), true, true.mean(axis=0))
    assert found.cosine == 0
    assert found.median_rank == 51
    assert found.mrr == pytest.approx(1 / 51)


def test_equal_rows_share_their_rank():
    true = np.repeat(np.eye(3), 2, axis=0)
    found = judged(true, true, np.zeros(3))
    assert found.median_rank == 1.5


def test_the_common_direction_earns_nothing():
    common = np.full(7, 100.0)
    true, predicted = rows() + common, rows(seed=1) + common
    assert judged(predicted, true, np.zeros(7)).cosine > 0.99
    assert abs(judged(predicted, true, common).cosine) < 0.2


def test_scale_of_predictions_does_not_matter():
    true, predicted = rows(), rows() + rows(seed=1)
    small, large = (judged(predicted * factor, true, np.zeros(7)) for factor in (1e-3, 1e3))
    assert small.mrr == large.mrr
    assert small.cosine == pytest.approx(large.cosine)


def words_named(count):
    return np.array([f"word {i}" for i in range(count)])


@pytest.mark.parametrize("count", [2, 3, 5, 100])
def test_the_split_covers_every_row_once(count):
    fitted, held = split_words(words_named(count), seed=3)
    assert sorted([*fitted, *held]) == list(range(count))
    assert len(held) == max(1, count // 5)
    assert (np.diff(fitted) > 0).all()
    assert (np.diff(held) > 0).all()


def test_the_split_depends_on_the_seed_and_the_words_alone():
    words = words_named(100)
    first, again, other = (set(words[split_words(words, seed)[1]]) for seed in (0, 0, 1))
    assert first == again
    assert len(first & other) < 12  # 4 or so by chance
    assert set(words[::-1][split_words(words[::-1], 0)[1]]) == first
    assert [str(word) for word in sorted(first)][:3] == ["word 10", "word 13", "word 14"]  # on any machine, any day


def test_a_word_more_or_less_moves_no_other():
    """Two dictionaries, or a setting that leaves words out, are judged by the same tokens as far as both have them."""
    words = words_named(1000)
    some = np.delete(words, slice(0, None, 50))
    whole, less = (set(each[split_words(each, 0)[1]]) for each in (words, some))
    assert len(less - whole) <= 8
    assert len((whole & set(some)) - less) <= 8


@pytest.mark.parametrize("words", [[], ["dog"], ["dog", "dog"]])
def test_too_few_words_to_split(words):
    with pytest.raises(SettingsError, match=f"{len(set(words))} words"):
        split_words(np.array(words, dtype=str), 0)


def test_rows_of_one_word_are_held_out_together():
    words = np.array([f"w{i // 3}" for i in range(90)])[np.random.default_rng(0).permutation(90)]
    fit, held = split_words(words, seed=3)
    assert sorted([*fit, *held]) == list(range(90))
    assert not set(words[fit]) & set(words[held])
    assert len(set(words[held])) == 6  # a fifth of 30 words


def senses_of(*lines):
    """Senses of tokens: (token, form_of, source, how), a token's first sense first."""
    return pl.DataFrame(lines, schema=["token_id", "form_of", "source", "how"], orient="row")


SENSES = senses_of(
    (1, "Dog", "wordnet", "lemma"),
    (1, None, "wordnet", "exact"),  # not its first
    (2, None, "wordnet", "exact"),
    (2, "tow", "wordnet", "lemma"),
    (4, None, "numerals", "numeral"),
    (5, "dog", "wiki", "lemma"),
)


def test_forms_of_one_word_are_of_one_family():
    vocabulary = pl.DataFrame({"token_id": range(6), "text": ["the", "dogs", "Two", "none", "4", "doggy"]})
    ids = np.array([0, 1, 2, 4, 5])
    assert families(SENSES, vocabulary, ids) == [{0}, {1, 5}, {2}, {4}]
    chained = senses_of((1, "a", "", ""), (2, "a", "", ""), (2, "B", "", ""), (4, "b", "", ""))
    assert families(chained, vocabulary, ids) == [{0}, {1, 2, 4}, {5}]
    assert families(senses_of((0, "DOGS", "", "")), vocabulary, ids) == [{0, 1}, {2}, {4}, {5}]  # a lemma has a row
    assert families(SENSES.clear(), vocabulary.with_columns(text=pl.lit("Dog")), ids) == [set(ids.tolist())]


def test_a_family_is_named_by_its_shortest_word():
    vocabulary = pl.DataFrame({"token_id": range(4), "text": ["dogs", "Doggy", "none", "bats"]})
    senses = senses_of((0, "Dog", "", ""), (1, "dog", "", ""), (3, "cat", "", ""), (3, "bat", "", ""))
    assert word_families(senses, vocabulary, np.arange(4)).tolist() == ["dog", "dog", "none", "bat"]


def families(senses, vocabulary, ids):
    """Rows that go together."""
    found = {}
    for token, family in zip(ids.tolist(), word_families(senses, vocabulary, ids).tolist(), strict=True):
        found.setdefault(family, set()).add(token)
    return sorted(found.values(), key=min)


def test_figures_by_source_and_way_of_matching_are_means_over_their_tokens():
    cosines, ranks = np.array([0.1, 0.2, 0.3, 0.6]), np.array([1.0, 2.0, 4.0, 3.0])
    found = Judgement(cosines, ranks).by(SENSES, np.array([1, 2, 4, 5]))
    expected = {
        "source": {"numerals": [2], "wiki": [3], "wordnet": [0, 1]},
        "how": {"exact": [1], "lemma": [0, 3], "numeral": [2]},
    }
    assert {by: list(figures) for by, figures in found.items()} == {by: list(of) for by, of in expected.items()}
    for by, of in expected.items():
        for value, places in of.items():
            assert found[by][value] == pytest.approx(
                {
                    "tokens": len(places),
                    "cosine": cosines[places].mean(),
                    "mrr": (1 / ranks[places]).mean(),
                    "median_rank": np.median(ranks[places]),
                }
            )


def test_parts_together_make_the_whole():
    true, predicted = rows(), rows() + rows(seed=1)
    judgement = judge_held_out(predicted, true, np.zeros(7))
    senses = senses_of(*((i, None, f"s{i % 3}", "exact") for i in range(60)))
    parts = judgement.by(senses, np.arange(60))["source"]
    whole = judgement.of()
    assert sum(part["tokens"] for part in parts.values()) == whole.tokens == 60
    assert sum(part["mrr"] * part["tokens"] for part in parts.values()) / 60 == pytest.approx(whole.mrr)


def test_folds_need_a_word_each_that_is_learned_from():
    words = np.array([f"w{i // 2}" for i in range(20)])
    fit, _ = split_words(words, 3)
    weights = np.zeros(20)
    weights[fit] = 0.5
    assert len(set(words[fit])) == 8
    check_folds(words, weights, 8, 3)
    with pytest.raises(SettingsError, match="of 20 rows with a definition 8 are left to learn from, too few for 9"):
        check_folds(words, weights, 9, 3)
    weights[fit[:2]] = 0
    with pytest.raises(SettingsError, match=r"7 are left .* let rare rows in with --rare-weight 1 or name"):
        check_folds(words, weights, 8, 3)
    with pytest.raises(
        SettingsError, match=r"of 2 rows of word pieces 0 are left .* fewer folds or leave word pieces out"
    ):
        check_folds(np.array(["a", "a"]), np.ones(2), 2, 0, pieces=True)
