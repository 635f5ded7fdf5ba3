"""Pair files in every usual form, Spearman with its intervals, and which pairs count for which part."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata, spearmanr
from tokenizers import Tokenizer, models, pre_tokenizers

from defemb_core.comparison import open_comparison
from defemb_core.errors import EvaluationError, SettingsError
from defemb_core.evaluate import HELD_OUT, RARE, REBUILT, evaluate_similarity, marked_rows
from defemb_core.evaluation.held_out import held_out_rows
from defemb_core.evaluation.pair_files import SHIPPED, PairSet, parse_pairs, read_pairs, shipped_pairs
from defemb_core.evaluation.resampling import interval, resampled_counts, two_sided_p
from defemb_core.evaluation.word_similarity import (
    ALL,
    LocatedPairs,
    SimilaritySettings,
    locate_pairs,
    measure_similarity,
    resample_spearman,
    side_by_side,
    spearman,
)
from defemb_core.figures import describe, similarity_figure
from defemb_core.palette import TABLE_COLOURS

PAIRS = [("tiger", "cat", 7.35), ("book", "paper", 7.46), ("king", "cabbage", 0.23)]
FORMS = {
    "tabs": "tiger\tcat\t7.35\nbook\tpaper\t7.46\nking\tcabbage\t0.23\n",
    "commas": "tiger,cat,7.35\nbook,paper,7.46\nking,cabbage,0.23",
    "semicolons and decimal commas": "tiger;cat;7,35\nbook;paper;7,46\nking;cabbage;0,23\n",
    "blanks": "tiger cat 7.35\nbook   paper 7.46\n\nking cabbage 0.23\n",
    "quotes": '"tiger","cat","7.35"\n"book","paper","7.46"\n"king","cabbage","0.23"\n',
    "windows": "tiger\tcat\t7.35\r\nbook\tpaper\t7.46\r\nking\tcabbage\t0.23\r\n",
    "a mark": "\ufefftiger\tcat\t7.35\nbook\tpaper\t7.46\nking\tcabbage\t0.23\n",
    "comments": "# gold standard\n# word word mean\ntiger\tcat\t7.35\nbook\tpaper\t7.46\nking\tcabbage\t0.23\n",
    "header": "word1\tword2\tscore\ntiger\tcat\t7.35\nbook\tpaper\t7.46\nking\tcabbage\t0.23\n",
    "unknown header": "left,right,points\ntiger,cat,7.35\nbook,paper,7.46\nking,cabbage,0.23\n",
    "WS-353": "Word 1,Word 2,Human (mean),1,2\ntiger,cat,7.35,9,7\nbook,paper,7.46,8,8\nking,cabbage,0.23,0,1\n",
    "SimLex-999": (
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\ntiger\tcat\tN\t7.35\t5\nbook\tpaper\tN\t7.46\t4.9\n"
        "king\tcabbage\tN\t0.23\t4.6\n"
    ),
    "SimVerb": "tiger\tcat\tN\t7.35\tCOHYPONYMS\nbook\tpaper\tN\t7.46\tNONE\nking\tcabbage\tN\t0.23\tNONE\n",
    "columns in another order": "rating;word2;word1\n7.35;cat;tiger\n7.46;paper;book\n0.23;cabbage;king\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_of_a_file_reads_the_same(tmp_path, form):
    (tmp_path / "mine.csv").write_bytes(FORMS[form].encode())
    found = read_pairs(tmp_path / "mine.csv")
    assert found.pairs.rows() == PAIRS
    assert (found.name, found.left_out, found.notes) == ("mine", [], [])


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding):
    found = parse_pairs("café\tnaïve\t1\nthé\tété\t2\n".encode(encoding), "french")
    assert found.pairs["word1"].to_list() == ["café", "thé"]


def test_lines_without_a_score_or_a_word_are_counted_with_their_numbers():
    text = "word1\tword2\tscore\na\tb\t1\nc\td\t\ne\tf\tn/a\n\t g\t2\n\nh\ti\nj\tk\tinf\nl\tm\t3\n"
    found = parse_pairs(text.encode(), "gaps")
    assert found.pairs.rows() == [("a", "b", 1.0), ("l", "m", 3.0)]
    assert found.left_out == [3, 4, 5, 7, 8]
    assert found.notes == ["gaps: 5 lines without two words and a score left out (line 3, 4, 5, 7, 8)"]


def test_a_first_pair_without_a_score_is_no_header():
    assert parse_pairs(b"a\tb\tn/a\nc\td\t1\ne\tf\t2\n", "x").left_out == [1]
    assert parse_pairs(b"a\tb\nc\td\t1\ne\tf\t2\n", "x").left_out == [1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "'x' is empty"),
        (b"\n \n# nothing\n", "'x' is empty"),
        (b"word1\tword2\tscore\n", "has a header and no pairs"),
        (b"a\tb\nc\td\n", "no line with two words and a score"),
        (b"word1,word2,score\na,b,\nc,d,n/a\n", "no line with two words and a score"),
        (b"word1,word2,score\na,,1\n,d,2\n", "has scores, but no line with two words"),
        (b"PK\x03\x04\0\0", "is no text"),
        (b"just one line", "no line with two words and a score"),
        (b'a,b,"' + b"x" * 200_000, "is no list of word pairs"),
    ],
)
def test_what_is_no_file_of_pairs_gets_one_sentence(content, said):
    with pytest.raises(EvaluationError, match=said) as error:
        parse_pairs(content, "x")
    assert "\n" not in str(error.value)
    assert not str(error.value).endswith(".")


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(EvaluationError, match="is a folder; name one file"):
        read_pairs(tmp_path)
    with pytest.raises(EvaluationError, match=r"cannot read word pairs from .*gone"):
        read_pairs(tmp_path / "gone.txt")
    with pytest.raises(EvaluationError, match="cannot read word pairs"):
        read_pairs("a\0b")


def test_the_shipped_sets_are_whole(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # found from any working folder
    sizes = {one.name: one.pairs.height for one in shipped_pairs()}
    assert sizes == {
        "SimLex-999": 999, "WS-353": 353, "MEN-3000": 3000, "MTurk-771": 771, "RG-65": 65, "MC-30": 30, "YP-130": 130,
    }  # fmt: skip
    assert list(sizes) == list(SHIPPED)
    scales = {"SimLex-999": 10, "WS-353": 10, "MEN-3000": 50, "MTurk-771": 5, "RG-65": 4, "MC-30": 4, "YP-130": 4}
    for one in shipped_pairs():
        assert one.left_out == []
        assert 0 <= one.pairs["score"].min() < one.pairs["score"].max() <= scales[one.name]


def test_spearman_is_scipys_with_ties_and_without():
    draw = np.random.default_rng(0)
    values = np.stack([draw.normal(size=50), draw.integers(4, size=50).astype(float)])
    scores = draw.integers(6, size=50).astype(float)
    assert spearman(values, scores) == pytest.approx([spearmanr(line, scores).statistic for line in values])
    assert np.isnan(spearman(np.ones(50), scores)).all()


def test_resamples_are_those_of_drawing_pairs_again():
    draw = np.random.default_rng(1)
    values, scores = draw.integers(9, size=(2, 20)).astype(float), draw.integers(5, size=20).astype(float)
    counts = np.concatenate(list(resampled_counts(20, 100, seed=3)))
    assert (counts.sum(axis=1) == 20).all()
    found = resample_spearman(values, scores, 100, seed=3)
    for line, expected in zip(found.T, counts, strict=True):
        drawn = np.repeat(np.arange(20), expected.astype(int))
        ranks = [rankdata(of[drawn]) for of in (*values, scores)]
        assert line == pytest.approx([np.corrcoef(of, ranks[2])[0, 1] for of in ranks[:2]])


def test_blocks_of_resamples_change_nothing(monkeypatch):
    whole = np.concatenate(list(resampled_counts(7, 50, 0)))
    monkeypatch.setattr("defemb_core.evaluation.resampling._AT_ONCE", 20)
    assert (np.concatenate(list(resampled_counts(7, 50, 0))) == whole).all()


def test_intervals_cover_the_true_correlation_about_as_often_as_they_say():
    draw, hits = np.random.default_rng(0), 0
    for seed in range(100):
        common, noise = draw.normal(size=(2, 80))
        low, high = interval(resample_spearman(common + noise, common, 200, seed)[0])
        # Spearman's correlation of a normal pair whose Pearson's is r: 6 / pi * asin(r / 2); here r is 1 / sqrt(2)
        hits += low <= 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2) <= high
    assert 86 <= hits <= 100


def test_p_of_a_difference():
    assert two_sided_p(np.zeros(99)) == 1
    assert two_sided_p(np.ones(99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.array([-1.0] * 10 + [1.0] * 89)) == pytest.approx(2 * 11 / 100)
    assert two_sided_p(-np.array([-1.0] * 10 + [1.0] * 89)) == pytest.approx(2 * 11 / 100)


def words_of(plm, count):
    frame = plm_words(plm).filter(pl.col("text").str.len_chars() > 1)
    return frame["text"].to_list()[:count], frame["token_id"].to_list()[:count]


def plm_words(plm):
    from defemb_core.frequency import plm_vocabulary

    return plm_vocabulary(plm).filter(pl.col("kind") == "word")


def pair_set(words, scores=None):
    chosen = list(zip(words[::2], words[1::2], strict=True))
    frame = pl.DataFrame(chosen, ["word1", "word2"], orient="row")
    return PairSet("mine", frame.with_columns(score=pl.Series(scores or range(len(chosen)), dtype=pl.Float64)))


def test_a_whole_word_is_its_row_and_one_in_pieces_their_mean(tiny_plm):
    (one, other), ids = words_of(tiny_plm, 2)
    long = one + other  # no token of its own
    pieces = tiny_plm.tokenizer.encode(long, add_special_tokens=False).ids
    assert len(pieces) > 1
    (found,) = locate_pairs([pair_set([one, other, long, other])], tiny_plm)
    table = tiny_plm.matrix.astype(float)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    expected = [cosine(table[ids[0]], table[ids[1]]), cosine(table[pieces].mean(axis=0), table[ids[1]])]
    assert found.cosines(tiny_plm.matrix) == pytest.approx(expected, abs=1e-6)
    assert (found.in_set, found.in_pieces, found.skipped, found.unknown) == (2, 1, 0, 0)
    (whole,) = locate_pairs([pair_set([one, other, long, other])], tiny_plm, "skip")
    assert (len(whole.scores), whole.in_pieces, whole.skipped) == (1, 0, 1)
    assert whole.note == "mine: 1 of 2 pairs; 1 left out for a word of several pieces"


def test_unknown_words_are_counted_and_a_set_of_them_refused(tiny_plm):
    (one, other), _ = words_of(tiny_plm, 2)
    (found,) = locate_pairs([pair_set([one, other, one, "日本"])], tiny_plm)
    assert (len(found.scores), found.unknown) == (1, 1)
    foreign, long = pair_set(["日本", "語"]), pair_set([one + other, one])
    with pytest.raises(
        EvaluationError, match=r"of the 1 pairs in 'mine' there is none .* known .* language and script"
    ):
        locate_pairs([foreign], tiny_plm)
    with pytest.raises(EvaluationError, match=r"there is none .* whole .* take the mean"):
        locate_pairs([long], tiny_plm, "skip")
    # A set of which nothing is left does not take the others along.
    found = locate_pairs([foreign, long], tiny_plm)
    assert [len(one.scores) for one in found] == [0, 1]
    assert measure_similarity(found, {"a": tiny_plm.matrix}, {})["pairs"].to_list() == [0, 1]


def test_a_case_folding_tokenizer_folds_and_marks_of_word_start_count(tiny_plm, tmp_path):
    from tiny_plm import save_roberta

    from defemb_core.plm import load_plm

    (one, other), ids = words_of(tiny_plm, 2)
    (found,) = locate_pairs([pair_set([one.upper(), other])], tiny_plm)
    assert (found.shares.toarray()[found.words[0, 0]].nonzero()[0] == ids[:1]).all()
    roberta = load_plm(str(save_roberta(tmp_path / "roberta")))
    inside = plm_words(roberta).filter(pl.col("starts_word") & pl.col("token").str.starts_with("Ġ"))
    (text, row) = inside.select("text", "token_id").row(0)
    (found,) = locate_pairs([pair_set([text, text])], roberta)
    assert found.shares.toarray()[0].nonzero()[0].tolist() == [row]


def located(scores, rows):
    """Pairs (0, 1), (2, 3), ... of single rows."""
    from scipy.sparse import csr_array

    count = len(scores)
    words = np.arange(2 * count).reshape(-1, 2)
    return LocatedPairs("made", words, np.array(scores, float), csr_array(np.eye(rows)), count, 0, 0, 0)


def test_parts_of_the_pairs_and_a_table_against_the_first():
    draw = np.random.default_rng(0)
    count = 40
    angles = draw.uniform(0, np.pi, count)
    good = np.zeros((2 * count, 2))
    good[::2, 0], good[1::2] = 1, np.stack([np.cos(angles), np.sin(angles)], axis=1)
    noise = draw.normal(size=(2 * count, 2))
    marked = np.zeros(2 * count, bool)
    marked[:24] = True  # the tokens of the first twelve pairs
    few = np.zeros(2 * count, bool)
    few[:3] = True
    sets = [located(np.cos(angles), 2 * count)]
    frame = measure_similarity(sets, {"noise": noise, "good": good}, {"rare token": marked, "odd token": few})
    assert frame["part"].unique(maintain_order=True).to_list() == [ALL, "with a rare token", "with a odd token"]
    assert frame["pairs"].to_list() == [count, count, 12, 12, 2, 2]
    noise_line, good_line, _, rare_line = frame.rows(named=True)[:4]
    assert good_line["spearman"] == pytest.approx(1) == rare_line["spearman"]
    assert (good_line["low"], good_line["high"]) == pytest.approx((1, 1))
    assert good_line["difference"] == pytest.approx(1 - noise_line["spearman"])
    assert good_line["difference_low"] > 0.3
    assert good_line["p"] == pytest.approx(2 / 2001)
    assert noise_line["low"] < noise_line["spearman"] < noise_line["high"]
    assert noise_line["difference"] is noise_line["p"] is None
    assert frame[4:]["spearman"].null_count() == 2  # two pairs say nothing


def test_equal_tables_differ_by_nothing():
    table = np.random.default_rng(0).normal(size=(60, 4))
    frame = measure_similarity([located(range(30), 60)], {"a": table, "b": 3 * table}, {})
    assert frame["difference"].to_list() == [None, pytest.approx(0, abs=1e-12)]
    assert frame["p"][1] == 1


def test_seeds_and_settings():
    table = np.random.default_rng(0).normal(size=(60, 4))
    sets = [located(range(30), 60)]

    def low(seed):
        return measure_similarity(sets, {"a": table}, {}, SimilaritySettings(seed=seed, resamples=200))["low"][0]

    assert low(0) == low(0) != low(1)
    for wrong in ({"pieces": "first"}, {"resamples": 10}, {"seed": -1}):
        with pytest.raises(SettingsError):
            SimilaritySettings(**wrong)


def test_a_table_for_people():
    table = np.random.default_rng(0).normal(size=(60, 4))
    shown = side_by_side(measure_similarity([located(range(30), 60)], {"a": table, "b": -table + 1}, {}))
    assert shown.columns == ["set", "part", "pairs", "a", "b", "b - a", "p"]
    assert shown["a"][0].count(" to ") == 1


def test_held_out_rows_are_those_that_a_run_judged(tiny_reconstruction):
    made = tiny_reconstruction
    held = held_out_rows(made.definitions, made.vocabulary, made.settings.seed)
    assert len(held) == made.evidence["held_out"]["tokens"]
    assert set(held) < set(made.definitions["token_id"])
    other = held_out_rows(made.definitions, made.vocabulary, made.settings.seed + 1)
    assert set(other) != set(held)


def test_a_run_is_evaluated_by_what_is_known_of_its_rows(tiny_run):
    comparison = open_comparison(tiny_run)
    words, _ = words_of(comparison.plm, 60)
    marked = marked_rows(comparison)
    assert list(marked) == [RARE, REBUILT, HELD_OUT]
    assert (marked[REBUILT] == comparison.changed).all()
    assert not (marked[HELD_OUT] & ~marked[REBUILT]).any()
    frame, notes = evaluate_similarity(comparison, [pair_set(words)])
    assert frame["table"].unique(maintain_order=True).to_list() == ["original", "rebuilt"]
    assert frame.height == 2 * (1 + len(marked))
    assert notes == ["mine: 30 of 30 pairs"]
    parts = dict(frame.select("part", "pairs").iter_rows())
    assert parts[ALL] >= parts[f"with a {REBUILT}"] >= parts[f"with a {HELD_OUT}"] > 0


def test_a_table_that_is_no_prediction_has_no_held_out_part(tiny_bert, tiny_lexicon, tmp_path):
    from defemb_core.cli import main

    out = tmp_path / "turned"
    names = ["--plm", str(tiny_bert), "--dictionary", f"wordnet:{tiny_lexicon}", "--method", "all-but-the-top"]
    assert main(["reconstruct", *names, "--out", str(out)]) == 0
    assert list(marked_rows(open_comparison(out))) == [RARE, REBUILT]


def test_a_tokenizer_that_knows_nothing_is_no_crash(tiny_plm):
    empty = Tokenizer(models.WordLevel({"[UNK]": 1}, unk_token="[UNK]"))
    empty.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(EvaluationError, match="there is none"):
        locate_pairs([pair_set(["a", "b"])], dataclasses.replace(tiny_plm, tokenizer=empty))


def test_a_chart_has_a_dot_and_an_interval_for_each_set_and_table():
    table = np.random.default_rng(0).normal(size=(60, 4))
    one, two = located(range(30), 60), located(range(8), 60)
    sets = [dataclasses.replace(one, name="<b>one</b>"), dataclasses.replace(two, name="few")]
    frame = measure_similarity(sets, {"original": table, "rebuilt": -table + 1}, {})
    figure = similarity_figure(frame, ALL)
    assert [trace.marker.color for trace in figure.data] == list(TABLE_COLOURS.values())
    for trace, line in zip(figure.data, frame.rows(named=True), strict=False):
        assert trace.x[0] == pytest.approx(line["spearman"])
        assert trace.x[0] + trace.error_x.array[0] == pytest.approx(line["high"])
        assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(line["low"])
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;one&lt;/b&gt; · 30"]
    assert "too few pairs in 1" in figure.layout.title.subtitle.text
    assert "original: <b>one</b> " in describe(figure)
    with pytest.raises(SettingsError, match="no set has enough pairs"):
        similarity_figure(frame.filter(pl.col("set") == "few"), ALL)
