"""What counts as related, and how near it is: by hand on a lexicon of a few synsets and a table of a few rows."""

import numpy as np
import polars as pl
import pytest
from app_support import build_world, make_run
from tiny_wordnet import offsets_of, write_tiny_wordnet

from defemb_core.comparison import open_comparison
from defemb_core.dictionaries.wordnet import load_wordnet
from defemb_core.dictionaries.wordnet_hypernyms import load_hypernyms
from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.evaluate import evaluate_relations
from defemb_core.evaluation import relations
from defemb_core.evaluation.relations import (
    RelatedTokens,
    RelationSettings,
    measure_relations,
    related_tokens,
    relations_side_by_side,
)
from defemb_core.vocabulary import KINDS

# word, synset; a synset is called like its first letter
LEXICON = [
    ("dog", "d"), ("hound", "d"), ("cat", "c"), ("cow", "o"), ("animal", "a"), ("thing", "t"), ("dog", "v"),
    ("chase", "v"), ("stone", "s"),
]  # fmt: skip
ABOVE = [("d", "a"), ("c", "a"), ("o", "a"), ("a", "t"), ("s", "t")]
WORDS = ["[PAD]", "dog", "dogs", "Hound", "cat", "animal", "thing", "chase", "stone", "##cow", "xyzzy"]


def lexicon():
    own = pl.DataFrame(LEXICON, ["word", "synset"], orient="row").with_columns(form_of=pl.lit(None, pl.String))
    form = pl.DataFrame({"word": ["dogs"], "synset": ["d"], "form_of": ["dog"]})
    return pl.concat([own, form]), pl.DataFrame(ABOVE, ["synset", "hypernym"], orient="row")


def vocabulary(words=WORDS):
    special = [word.startswith("[") for word in words]
    kinds = [
        "special" if s else "subword" if w.startswith("##") else "word" for w, s in zip(words, special, strict=True)
    ]
    return pl.DataFrame(
        {
            "token_id": range(len(words)),
            "text": [word.removeprefix("##") for word in words],
            "kind": pl.Series(kinds, dtype=KINDS),
            "group": ["none" if s else "rare" for s in special],
        }
    )


def gold_of(word):
    found = related_tokens(vocabulary(), *lexicon())
    lines = found.gold.filter(pl.col("token_id") == WORDS.index(word))
    return {(relation, WORDS[row]) for relation, row in lines.select("relation", "row").iter_rows()}


def test_what_counts_as_related():
    assert gold_of("dog") == {
        ("synonyms", "Hound"), ("synonyms", "chase"), ("hypernyms", "animal"), ("co-hyponyms", "cat"),
    }  # fmt: skip
    assert gold_of("animal") == {("hypernyms", "thing"), ("co-hyponyms", "stone")}
    assert gold_of("thing") == gold_of("xyzzy") == gold_of("[PAD]") == set()


def test_forms_are_neither_asked_by_themselves_nor_gold_nor_candidates():
    found = related_tokens(vocabulary(), *lexicon())
    dog, dogs = WORDS.index("dog"), WORDS.index("dogs")
    assert found.family[dog] == found.family[dogs]
    assert len(set(found.family)) == len(WORDS) - 1
    assert dogs not in {*found.gold["token_id"], *found.gold["row"]}
    assert found.candidates.tolist() == [False] + [True] * (len(WORDS) - 1)


def test_hypernyms_are_wordnets_pointers_upwards(tmp_path):
    write_tiny_wordnet(tmp_path)
    noun = {offset: name for name, offset in offsets_of("noun").items()}
    found = {tuple(noun[synset[-8:]] for synset in line) for line in load_hypernyms(tmp_path).iter_rows()}
    assert found == {("dog", "canine"), ("dog", "pet"), ("rex", "dog")}
    synsets = set(load_wordnet(tmp_path).definitions["synset"])
    assert set(load_hypernyms(tmp_path).to_series(0)) < synsets


def ranks(table, related, relation="synonyms"):
    groups = {"rare": np.ones(len(table), bool)}
    frame = measure_relations({"a": table}, related, groups, RelationSettings(resamples=100))
    return frame.filter(pl.col("relation") == relation).row(0, named=True)


def related_of(pairs, rows, family=None, candidates=None):
    gold = pl.DataFrame(
        [(token, relation, row) for token, relation, row in pairs],
        {"token_id": pl.Int64, "relation": pl.String, "row": pl.Int64},
        orient="row",
    ).sort("token_id", "relation", "row")
    every = np.ones(rows, bool)
    return RelatedTokens(
        gold, np.arange(rows) if family is None else family, every if candidates is None else candidates
    )


def circle(rows):
    """Row i stands at an angle of i degrees: the nearest of 0 are 1, 2, 3, ..."""
    angles = np.deg2rad(np.arange(rows))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def one_token(*others, **options):
    """Eleven equal questions, of rows of their own, so that a group is large enough: the figures are those of each."""
    rows, tokens = 40, 11
    base = circle(rows)
    table = np.zeros((rows * tokens, 2 * tokens), np.float32)
    for copy in range(tokens):  # each in a plane of its own
        table[copy * rows : (copy + 1) * rows, 2 * copy : 2 * copy + 2] = base
    pairs = [(copy * rows, "synonyms", copy * rows + other) for copy in range(tokens) for other in others]
    family = np.arange(rows * tokens)
    for copy in range(tokens):
        for form in options.get("forms", ()):
            family[copy * rows + form] = copy * rows
    candidates = np.ones(rows * tokens, bool)
    for special in options.get("special", ()):
        candidates[special::rows] = False
    return ranks(table, related_of(pairs, rows * tokens, family, candidates))


def test_rank_of_the_nearest_and_precision():
    found = one_token(4, 7, 30)
    assert found["tokens"] == 11
    assert found["mrr"] == pytest.approx(1 / 4)
    assert (found["precision_3"], found["precision_10"]) == pytest.approx((0, 2 / 10))
    assert (found["low"], found["high"]) == pytest.approx((1 / 4, 1 / 4))
    assert one_token(1, 2, 3)["precision_3"] == pytest.approx(1)


def test_forms_of_the_word_and_special_rows_take_no_rank():
    assert one_token(4, forms=[1, 2])["mrr"] == pytest.approx(1 / 2)
    assert one_token(4, special=[1, 3])["mrr"] == pytest.approx(1 / 2)


def test_blocks_change_nothing(monkeypatch):
    whole = one_token(4, 7, 30)
    monkeypatch.setattr(relations, "_SCORE_BYTES", 4 * 440 * 3)
    blocks = one_token(4, 7, 30)
    figures = ["mrr", "precision_3", "precision_10", "low", "high"]
    assert [blocks[name] for name in figures] == pytest.approx([whole[name] for name in figures])


def test_a_table_of_equal_rows_earns_chance():
    rows = 61
    pairs = [(token, "synonyms", token + 1) for token in range(20)]
    found = ranks(np.ones((rows, 3), np.float32), related_of(pairs, rows))
    assert found["mrr"] == pytest.approx(2 / rows)  # the mean rank of the 60 others


def test_figures_of_random_rows_are_those_of_a_loop():
    draw = np.random.default_rng(0)
    rows, tokens = 50, 15
    table = draw.normal(size=(rows, 6)).astype(np.float32)
    pairs = sorted(
        {(int(t), "hypernyms", int(r)) for t, r in draw.integers(rows, size=(60, 2)) if t < tokens and r != t}
    )
    units = table / np.linalg.norm(table, axis=1, keepdims=True)
    reciprocal, precision = [], []
    for token in sorted({token for token, _, _ in pairs}):
        order = [row for row in np.argsort(-units @ units[token]) if row != token]
        gold = {row for asked, _, row in pairs if asked == token}
        reciprocal.append(1 / (1 + min(order.index(row) for row in gold)))
        precision.append(len(gold & set(order[:10])) / 10)
    found = ranks(table, related_of(pairs, rows), "hypernyms")
    assert found["mrr"] == pytest.approx(np.mean(reciprocal))
    assert found["precision_10"] == pytest.approx(np.mean(precision))


def test_two_tables_and_their_groups():
    draw = np.random.default_rng(0)
    rows = 60
    pairs = [(token, "synonyms", token + 30) for token in range(30)]
    good = np.zeros((rows, 30), np.float32)
    good[np.arange(rows), np.arange(rows) % 30] = 1  # a token and its synonym are one row
    groups = {"rare": np.arange(rows) < 20, "frequent": (np.arange(rows) >= 20) & (np.arange(rows) < 25)}
    frame = measure_relations(
        {"noise": draw.normal(size=(rows, 30)), "good": good}, related_of(pairs, rows), groups
    ).filter(pl.col("relation") == "synonyms")
    noise, best, few, _ = frame.rows(named=True)
    assert (best["tokens"], best["mrr"], best["p"]) == (20, pytest.approx(1), pytest.approx(2 / 2001))
    assert best["difference"] == pytest.approx(1 - noise["mrr"])
    assert noise["difference"] is None
    assert (few["tokens"], few["mrr"]) == (5, None)
    shown = relations_side_by_side(frame)
    assert shown.columns == [
        "relation", "group", "tokens", "noise", "good", "good - noise", "p", "P@3, P@10 of noise", "P@3, P@10 of good",
    ]  # fmt: skip
    assert shown["P@3, P@10 of good"].to_list() == ["0.333, 0.100", "–"]


def test_no_more_tokens_are_asked_than_wanted():
    pairs = [(token, "synonyms", token + 30) for token in range(30)]
    table = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    groups = {"rare": np.arange(60) < 25, "held out": np.arange(60) % 2 == 0}
    related = related_of(pairs, 60)

    def tokens(seed):
        frame = measure_relations({"a": table}, related, groups, RelationSettings(12, 100, seed))
        return frame.filter(pl.col("relation") == "synonyms")["mrr"].to_list(), frame["tokens"].to_list()[:2]

    assert tokens(0) == tokens(0)
    assert tokens(0)[1][0] == 12
    assert tokens(0)[0] != tokens(1)[0]
    for wrong in ({"tokens": 5}, {"resamples": 1}, {"seed": -1}):
        with pytest.raises(SettingsError):
            RelationSettings(**wrong)


def test_a_run_without_such_words_is_told(tmp_path, monkeypatch):
    world = build_world(tmp_path)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    comparison = open_comparison(make_run(world, analyse=False))
    with pytest.raises(EvaluationError, match="none of the new rows is a word that WordNet relates"):
        evaluate_relations(comparison)
