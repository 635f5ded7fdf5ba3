import dataclasses
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from defemb_core import trial_files
from defemb_core.comparison import Comparison
from defemb_core.dictionaries.glossary import LONGEST
from defemb_core.errors import DictionaryError, SettingsError
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.trial import MOST_READ, Wording, fit_trials, trial_settings, try_definition
from defemb_core.trial_files import keep_trials, read_trials, trials_folder


@pytest.fixture(scope="module")
def comparison(tiny_plm, tiny_reconstruction):
    return Comparison(tiny_plm, tiny_reconstruction)


@pytest.fixture(scope="module")
def trials(comparison, tiny_dictionary):
    return fit_trials(comparison, tiny_dictionary.definitions)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path))
    return tmp_path


def made_with(tiny_plm, tiny_vocabulary, tiny_dictionary, **settings):
    settings = Settings(**{"method": "instant", **settings})
    return Comparison(tiny_plm, reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, settings))


def own_wordings(comparison, token_id):
    """A token's definitions as a user would type them again."""
    senses = comparison.reconstruction.definitions.filter(pl.col("token_id") == token_id)
    related = comparison.reconstruction.settings.relations
    return [
        Wording(f"{gloss}; {more}" if more and related else gloss, pos)
        for gloss, pos, more in senses.select("gloss", "pos", "related").iter_rows()
    ]


def own_rows(comparison, trials, ids):
    return np.stack([try_definition(trials, comparison, own_wordings(comparison, i), i).row for i in ids])


def defined(comparison):
    """Rows that have definitions of their own."""
    weaker = pl.col("how").cast(pl.String).is_in(["piece", "other-cut"])
    return np.unique(comparison.reconstruction.definitions.filter(~weaker)["token_id"].to_numpy())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mentions": False},
        {"relations": False, "match_norms": False},
        {"blend": 0.25, "folds": 3, "seed": 4},
        {"rare_weight": 0.5, "max_senses": 1},
        {"pieces": True},
    ],
)
def test_the_same_definitions_give_the_rebuilt_row(settings, tiny_plm, tiny_vocabulary, tiny_dictionary):
    made = made_with(tiny_plm, tiny_vocabulary, tiny_dictionary, **settings)
    ids = defined(made)
    assert len(ids) > 20
    found = own_rows(made, fit_trials(made, tiny_dictionary.definitions), ids)
    np.testing.assert_allclose(found, made.rebuilt[ids], atol=2e-6)
    assert np.abs(found - made.original[ids]).max() > 0.01


def test_one_definition_typed_again_gives_the_rebuilt_row(comparison, trials):
    counts = comparison.reconstruction.definitions.group_by("token_id").len().filter(pl.col("len") == 1)
    alone = int(counts["token_id"].min())
    (wording,) = own_wordings(comparison, alone)
    spaced = Wording(f"  {wording.definition} ", wording.pos)
    for typed in (wording, spaced):
        made = try_definition(trials, comparison, [typed], alone)
        np.testing.assert_allclose(made.row, comparison.rebuilt[alone], atol=2e-6)
        assert (made.senses, made.row.dtype) == (1, np.float32)


def test_the_map_of_a_token_is_that_of_its_fold(comparison, trials):
    ids = defined(comparison)
    assert set(trials.fold[ids].tolist()) == set(range(5))
    turned = dataclasses.replace(trials, maps=(*trials.maps[1:5], trials.maps[0], trials.maps[5]))
    assert np.abs(own_rows(comparison, turned, ids) - comparison.rebuilt[ids]).max(axis=1).min() > 1e-4
    rest = np.setdiff1d(np.arange(comparison.plm.rows), ids)
    assert (trials.fold[rest] == -1).all()


def test_another_method_is_answered_as_instant(tiny_plm, tiny_vocabulary, tiny_dictionary, comparison):
    made = made_with(tiny_plm, tiny_vocabulary, tiny_dictionary, method="mean-of-definition")
    ids = defined(made)
    found = own_rows(made, fit_trials(made, tiny_dictionary.definitions), ids)
    np.testing.assert_allclose(found, comparison.rebuilt[ids], atol=2e-6)


def test_of_a_control_no_definition_can_be_tried(tiny_plm, tiny_vocabulary, tiny_dictionary):
    made = made_with(tiny_plm, tiny_vocabulary, tiny_dictionary, method="random")
    for ask in (lambda: fit_trials(made, None), lambda: read_trials(made), lambda: trial_settings(Settings("random"))):
        with pytest.raises(SettingsError, match="dealt out at random"):
            ask()


def test_a_new_word_lies_as_far_out_as_others(comparison, trials):
    made = try_definition(trials, comparison, [Wording("the river and the cat", "noun")], word="blorp")
    assert made.fold is None
    assert np.linalg.norm(made.row - trials.centre) == pytest.approx(trials.distance, rel=1e-5)
    covered = comparison.original[defined(comparison)].astype(np.float64)
    assert trials.distance == pytest.approx(np.median(np.linalg.norm(covered - covered.mean(axis=0), axis=1)))


def test_the_word_itself_is_hidden(comparison, trials):
    word = comparison.vocabulary["text"][int(defined(comparison)[-1])]
    given = [Wording("the river and the cat")], [Wording(f"the {word.upper()} river and the {word} cat")]
    plain, with_it = (try_definition(trials, comparison, wordings, word=word).row for wordings in given)
    np.testing.assert_allclose(plain, with_it, atol=1e-6)
    without, with_it = (try_definition(trials, comparison, wordings, word="blorp").row for wordings in given)
    assert np.abs(without - with_it).max() > 1e-3


def test_the_first_sense_weighs_most_and_further_ones_are_capped(comparison, trials):
    one, two = Wording("the river"), Wording("a cat and a dog")
    row = lambda *senses: try_definition(trials, comparison, senses, word="blorp").row  # noqa: E731
    apart = np.linalg.norm(row(one) - row(two))
    assert np.linalg.norm(row(one, two) - row(one)) < np.linalg.norm(row(one, two) - row(two)) < apart
    most = comparison.reconstruction.settings.max_senses
    made = try_definition(trials, comparison, [one] * most + [two], word="blorp")
    assert made.senses == most
    np.testing.assert_allclose(made.row, row(one), atol=1e-6)


def test_what_was_read_is_named_with_its_share(comparison, trials):
    made = try_definition(trials, comparison, [Wording("cat cat dog"), Wording("dog")], word="blorp")
    texts = [comparison.vocabulary["text"][i] for i in made.read["token_id"]]
    assert made.read["share"].sum() == pytest.approx(1, abs=1e-6)
    assert all(a >= b for a, b in pairwise(made.read["share"]))
    assert set("".join(texts)) <= set("catdog")
    long = " ".join(comparison.vocabulary.filter(pl.col("kind") == "word")["text"].head(40))
    assert try_definition(trials, comparison, [Wording(long)], word="blorp").read.height == MOST_READ


@pytest.mark.parametrize(
    ("wordings", "said"),
    [
        ([], "blank"),
        ([Wording(" \n ")], "blank"),
        ([Wording("the river"), Wording("")], "blank"),
        ([Wording("a\x07b")], "control character"),
        ([Wording("a" * (LONGEST + 1))], "characters"),
        ([Wording("blorp, Blorp")], None),
        ([Wording("Blorp BLORP")], "nothing but 'blorp'"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(wordings, said, comparison, trials):
    if said is None:  # a comma is a row of the table, too
        assert try_definition(trials, comparison, wordings, word="blorp").read.height == 1
        return
    with pytest.raises(DictionaryError, match=said):
        try_definition(trials, comparison, wordings, word="blorp")


def test_mentions_count_for_words_without_a_definition_too(comparison, trials, tiny_dictionary):
    ids = defined(comparison)
    kept = ids[: len(ids) // 2]
    few = comparison.reconstruction.definitions.filter(pl.col("token_id").is_in(kept.tolist()))
    half = Comparison(comparison.plm, dataclasses.replace(comparison.reconstruction, definitions=few))
    told = fit_trials(half, tiny_dictionary.definitions)
    others = np.setdiff1d(ids, kept)
    assert (told.mention[others] >= 0).sum() > len(others) / 2
    assert told.mentions[told.mention[others[told.mention[others] >= 0]]].any(axis=1).all()
    assert fit_trials(half, None).mentions is None


# On disk


def same(one, other):
    assert np.array_equal(one.fold, other.fold)
    assert one.distance == pytest.approx(other.distance)
    for name in ("weight", "mention", "centre"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.mentions, other.mentions)
    for a, b in zip(one.maps, other.maps, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, rtol=1e-6)
        np.testing.assert_array_equal(a.intercept, b.intercept)


def test_maps_are_fitted_once_and_found_again(tiny_run, cache, monkeypatch):
    from defemb_core.comparison import open_comparison

    run = open_comparison(tiny_run)
    assert read_trials(run) is None
    made = keep_trials(run)
    assert made.mentions is not None  # its dictionary was found by the name that the run was asked for with
    monkeypatch.setattr(trial_files, "fit_trials", lambda *given: pytest.fail("fits again"))
    for again in (keep_trials(run), read_trials(run)):
        same(made, again)
    ids = defined(run)[:5]
    np.testing.assert_allclose(own_rows(run, read_trials(run), ids), own_rows(run, made, ids), atol=2e-6)


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(b"PK"), lambda file: file.unlink()])
@pytest.mark.parametrize("name", ["maps.npz", "mentions.npy"])
def test_a_damaged_file_is_made_again(name, spoil, comparison, cache):
    made = keep_trials(comparison)
    spoil(trials_folder(comparison) / name)
    assert read_trials(comparison) is None
    same(keep_trials(comparison), made)


@pytest.mark.parametrize("spec", ["wordnet:/nowhere", "numerals"])
def test_without_the_runs_dictionary_mentions_do_not_count(spec, comparison, cache):
    run = comparison.reconstruction
    provenance = run.provenance | {"dictionary": run.provenance["dictionary"] | {"spec": spec}}
    moved = Comparison(comparison.plm, dataclasses.replace(run, provenance=provenance))
    assert keep_trials(moved).mentions is None
    assert read_trials(moved).mentions is None


def test_other_settings_have_maps_of_their_own(comparison):
    run = comparison.reconstruction
    other = dataclasses.replace(run, settings=dataclasses.replace(run.settings, folds=3))
    assert trials_folder(comparison) != trials_folder(Comparison(comparison.plm, other))
