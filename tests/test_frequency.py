from types import SimpleNamespace

import polars as pl
import pytest
import tiny
import wordfreq

from defemb_core.errors import SettingsError
from defemb_core.frequency import Groups, add_frequency, default_source, plm_vocabulary
from defemb_core.vocabulary import KINDS, read_vocabulary

RESERVED = ("special", "unused")


def vocabulary_of(*rows: tuple[str, str] | tuple[str, str, bool]) -> pl.DataFrame:
    """A vocabulary frame of (text, kind) or (text, kind, starts_word)."""
    texts, kinds = [row[0] for row in rows], [row[1] for row in rows]
    starts = [row[2] if len(row) == 3 else row[1] in ("word", "number", "symbol") for row in rows]
    return pl.DataFrame(
        {
            "token_id": range(len(rows)),
            "token": texts,
            "text": texts,
            "kind": pl.Series(kinds, dtype=KINDS),
            "starts_word": starts,
        }
    )


@pytest.fixture(scope="module")
def vocabulary() -> pl.DataFrame:
    tokenizer = tiny.wordpiece()
    return read_vocabulary(tokenizer, tokenizer.get_vocab_size() + 7)


@pytest.mark.parametrize("source", ["vocabulary", "wordfreq"])
def test_ranks_are_a_total_order_and_reserved_rows_come_last(vocabulary, source):
    frame = add_frequency(vocabulary, source)
    assert sorted(frame["rank"]) == list(range(len(vocabulary)))
    taking_part = ~frame["kind"].is_in(RESERVED)
    assert frame.filter(taking_part)["rank"].max() == taking_part.sum() - 1
    assert set(frame.filter(~taking_part)["group"]) == {"none"}
    assert "none" not in set(frame.filter(taking_part)["group"])


@pytest.mark.parametrize("source", ["vocabulary", "wordfreq"])
def test_rows_and_their_order_stay_and_the_schema_is_documented(vocabulary, source):
    frame = add_frequency(vocabulary, source)
    assert frame.drop("rank", "zipf", "group").equals(vocabulary)
    assert frame.schema["rank"] == pl.Int64
    assert frame.schema["zipf"] == pl.Float32
    assert frame.schema["group"] == pl.Enum(["frequent", "medium", "rare", "none"])
    assert frame["rank"].null_count() == frame["group"].null_count() == 0


def test_vocabulary_order_is_row_order_among_the_rows_that_take_part():
    frame = add_frequency(vocabulary_of(("[PAD]", "special"), ("zyzzyva", "word"), ("[x]", "unused"), ("the", "word")))
    assert frame["rank"].to_list() == [2, 0, 3, 1]


def test_wordfreq_order_is_by_zipf_then_row_and_rows_without_zipf_follow():
    frame = add_frequency(
        vocabulary_of(
            ("[PAD]", "special"),
            ("ing", "subword", False),
            ("river", "word"),
            ("qqzzxv", "word"),  # not listed: zipf 0
            ("the", "word"),
            (",", "symbol"),
            ("THE", "word"),
            ("River", "word"),
        ),
        "wordfreq",
    )
    ordered = frame.sort("rank")["text"].to_list()
    assert ordered == ["the", "THE", "river", "River", "qqzzxv", "ing", ",", "[PAD]"]


def test_adding_frequency_again_replaces_it(vocabulary):
    once = add_frequency(vocabulary, "wordfreq")
    assert add_frequency(add_frequency(vocabulary), "wordfreq").equals(once)


@pytest.mark.parametrize("taking_part", [1, 2, 10, 101])
@pytest.mark.parametrize("groups", [Groups(), Groups(0.1, 0.2, 0.7), Groups(0, 0, 1), Groups(1, 0, 0)])
def test_group_sizes_are_the_shares_to_the_nearest_row_and_follow_the_rank(taking_part, groups):
    rows = [("[PAD]", "special"), *((f"w{i}", "word") for i in range(taking_part))]
    frame = add_frequency(vocabulary_of(*rows), groups=groups).filter(pl.col("kind") == "word").sort("rank")
    counts = dict(frame["group"].value_counts().rows())
    assert counts.get("frequent", 0) == pytest.approx(groups.frequent * taking_part, abs=0.5)
    assert counts.get("rare", 0) == pytest.approx(groups.rare * taking_part, abs=0.5)
    assert sum(counts.values()) == taking_part
    assert frame["group"].to_physical().is_sorted()


def test_default_groups_are_the_papers():
    frame = add_frequency(vocabulary_of(*((f"w{i}", "word") for i in range(1000))))
    assert dict(frame["group"].value_counts().rows()) == {"frequent": 300, "medium": 500, "rare": 200}


@pytest.mark.parametrize(
    "word", ["the", "River", "DON'T", "café", "1984", "19", "7", "3,500", "U.S.", "ﬁne", "$5", "1980s"]
)
def test_zipf_agrees_with_wordfreq_on_single_words(word):
    kind = "number" if any(c.isdigit() for c in word) else "word"
    zipf = add_frequency(vocabulary_of((word, kind)))["zipf"].item()
    assert zipf == pytest.approx(wordfreq.zipf_frequency(word, "en"), abs=0.011)
    assert zipf > 0


def test_zipf_is_zero_for_unlisted_words_and_null_where_it_would_mislead():
    frame = add_frequency(
        vocabulary_of(
            ("qqzzxv", "word"),
            ("of the", "word"),
            ("ing", "subword", False),
            ("10", "number", False),
            ("<0xE2>", "byte", True),
            ("pad", "special", False),
            ("", "unused", False),
            (",", "symbol", True),
            ("🙂", "symbol", False),
        )
    )
    assert frame["zipf"].to_list() == [0.0, 0.0, *[None] * 7]


def test_symbols_that_wordfreq_counts_have_a_zipf():
    zipf = add_frequency(vocabulary_of(("🙂", "symbol", True)))["zipf"].item()
    assert zipf == pytest.approx(wordfreq.zipf_frequency("🙂", "en"), abs=0.011)


def test_round_numbers_get_their_own_share_not_that_of_all_numbers_of_the_form():
    zipf = add_frequency(vocabulary_of(("00", "number"), ("10", "number")))["zipf"].to_list()
    assert 0 < zipf[0] < zipf[1]


@pytest.mark.parametrize(
    ("language", "word"), [("de", "Straße"), ("fr", "été"), ("tr", "IŞIK"), ("zh", "中国"), ("ja", "日本")]
)
def test_other_languages_need_no_further_package(language, word):
    assert add_frequency(vocabulary_of((word, "word")), language=language)["zipf"].item() > 3


@pytest.mark.parametrize("language", ["xx", "english", ""])
def test_unknown_language_lists_what_there_is(language):
    with pytest.raises(SettingsError, match=rf"{language!r}; choose one of .*\bde\b.*\ben\b"):
        add_frequency(vocabulary_of(("dog", "word")), language=language)


def test_unknown_source_lists_what_there_is():
    with pytest.raises(SettingsError, match="'corpus'; choose one of vocabulary, wordfreq"):
        add_frequency(vocabulary_of(("dog", "word")), "corpus")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.5, 0.5, 0.5), r"add up to 1\.5 \(0\.5 \+ 0\.5 \+ 0\.5\)"),
        ((0.3, 0.5, 0.2001), "add up to 1"),
        ((-0.1, 0.9, 0.2), r"frequent rows is -0\.1"),
        ((0.0, 1.5, -0.5), r"medium rows is 1\.5"),
        ((0.3, 0.5, float("nan")), "rare rows is nan"),
    ],
)
def test_impossible_shares_are_refused(shares, message):
    with pytest.raises(SettingsError, match=message):
        Groups(*shares)


def test_shares_may_miss_one_by_rounding():
    assert Groups(1 / 3, 1 / 3, 0.3333333).rare < 1 / 3


def test_default_source():
    sources = [default_source(kind) for kind in ("wordpiece", "byte-level bpe", "sentencepiece", "other")]
    assert sources == ["vocabulary", "vocabulary", "vocabulary", "wordfreq"]
    with pytest.raises(SettingsError, match="'bpe'; choose one of wordpiece"):
        default_source("bpe")


def test_an_empty_or_all_special_vocabulary_has_no_groups():
    assert add_frequency(vocabulary_of(("[PAD]", "special"), ("[CLS]", "special")))["group"].to_list() == ["none"] * 2
    assert add_frequency(vocabulary_of()).height == 0


@pytest.mark.parametrize("change", [{"source": "wordfreq"}, {"groups": Groups(0.1, 0.1, 0.8)}, {}])
def test_a_plms_vocabulary_is_the_same_from_disk(tiny_plm, monkeypatch, tmp_path, change):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path))
    fresh = add_frequency(
        read_vocabulary(tiny_plm.tokenizer, tiny_plm.rows, tiny_plm.special_ids), **{"source": "vocabulary", **change}
    )
    plm_vocabulary(tiny_plm)  # another frame in the same cache
    built = plm_vocabulary(tiny_plm, **change)
    monkeypatch.setattr("defemb_core.frequency.add_frequency", lambda *_: pytest.fail("built again"))
    read = plm_vocabulary(tiny_plm, **change)
    assert fresh.schema == built.schema == read.schema
    assert fresh.equals(built)
    assert fresh.equals(read)


@pytest.mark.parametrize("change", [{"rows": 500}, {"special_ids": frozenset({9})}])
def test_another_plm_has_a_frame_of_its_own(tiny_plm, monkeypatch, tmp_path, change):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path))
    parts = {name: getattr(tiny_plm, name) for name in ("tokenizer", "rows", "special_ids")}
    one, other = (SimpleNamespace(**{**parts, **more}) for more in ({}, change))
    assert not plm_vocabulary(one).equals(plm_vocabulary(other))
