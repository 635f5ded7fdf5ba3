import polars as pl
import pytest

from defemb_core.definitions import WAYS, coverage, describe_matches, hide_word, match_definitions
from defemb_core.dictionaries import Dictionary, combined
from defemb_core.errors import SettingsError
from defemb_core.vocabulary import CASES, KINDS

SENSES = [  # word, gloss
    ("bank", "land beside a river"),
    ("Bank", "a family name"),
    ("bank", "a company that lends money"),
    ("bank", "tip sideways"),
    ("Turkey", "a country"),
    ("turkey", "a bird"),
    ("ice cream", "frozen milk"),
    ("US", "a country"),
    ("the", "the article"),
]


def dictionary(senses=SENSES, **more):
    seen, numbers = {}, []
    for word, _ in senses:
        seen[word.lower()] = seen.get(word.lower(), -1) + 1
        numbers.append(seen[word.lower()])
    frame = pl.DataFrame(
        {
            "word": [word for word, _ in senses],
            "pos": ["noun"] * len(senses),
            "definition": [gloss for _, gloss in senses],
            "sense": pl.Series(numbers, dtype=pl.Int32),
            "source": ["test"] * len(senses),
            "form_of": pl.Series([None] * len(senses), dtype=pl.String),
            **more,
        }
    )
    return Dictionary(frame, "test", "0" * 64, "here")


def vocabulary(*texts, kinds=None, groups=None):
    cases = ["lower" if t.islower() else "upper" if t.isupper() else "title" for t in texts]
    return pl.DataFrame(
        {
            "token_id": range(len(texts)),
            "text": texts,
            "kind": pl.Series(kinds or ["word"] * len(texts), dtype=KINDS),
            "case": pl.Series(cases, dtype=CASES),
            "group": groups or ["rare"] * len(texts),
        }
    )


def glosses(frame, **options):
    """What each token is matched with, in order: {text: [(gloss, how)]}."""
    matches = match_definitions(frame, dictionary(), **options)
    found = {}
    for token, line, _, how in matches.iter_rows():
        found.setdefault(frame["text"][token], []).append((SENSES[line][1], how))
    return found


def test_the_token_definition_frame():
    matches = match_definitions(vocabulary("the", "bank"), dictionary())
    assert matches.columns == ["token_id", "definition", "weight", "how"]
    assert matches.schema["token_id"] == pl.Int64
    assert matches.schema["definition"] == pl.UInt32
    assert matches.schema["weight"] == pl.Float32
    assert matches["token_id"].to_list() == [0, 1, 1, 1, 1]


def test_a_vocabulary_without_case_takes_every_sense():
    found = glosses(vocabulary("bank", "turkey", "us", "cat"))
    assert found == {
        "bank": [(SENSES[i][1], "case-folded" if i == 1 else "exact") for i in (0, 1, 2, 3)],
        "turkey": [("a country", "case-folded"), ("a bird", "exact")],
        "us": [("a country", "case-folded")],
    }


def test_a_capital_that_cannot_be_folded_is_no_sign_of_case():
    assert glosses(vocabulary("turkey", "ℝ")) == glosses(vocabulary("turkey"))


def test_a_vocabulary_with_case_takes_the_words_own_senses_if_it_has_any():
    found = glosses(vocabulary("bank", "Bank", "BANK", "turkey", "Turkey", "US", "us", "The"))
    assert found["bank"] == [(SENSES[i][1], "exact") for i in (0, 2, 3)]
    assert found["Bank"] == [("a family name", "exact")]
    assert [how for _, how in found["BANK"]] == ["case-folded"] * 4
    assert found["turkey"] == [("a bird", "exact")]
    assert found["Turkey"] == [("a country", "exact")]
    assert found["US"] == [("a country", "exact")]
    assert found["us"] == [("a country", "case-folded")]
    assert found["The"] == [("the article", "case-folded")]


def test_only_whole_words_are_looked_up():
    kinds = ["word", "subword", "special", "unused", "symbol", "number", "byte"]
    matches = match_definitions(vocabulary(*["bank"] * 7, kinds=kinds), dictionary())
    assert matches["token_id"].unique().to_list() == [0]


def found_in(frame, senses, **columns):
    """Which word, and how, each text is found by."""
    source = dictionary(senses, **columns)
    described = describe_matches(frame, match_definitions(frame, source), source)
    return {text: (word, how) for text, word, how in described.select("text", "word", "how").iter_rows()}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("café", "cafe"),
        ("Cafe", "café"),  # a tokenizer that drops accents, a dictionary that has them
        ("cafe\u0301", "café"),  # the accent as a character of its own
        ("ice-cream", "ice cream"),
        ("ice_cream", "ice-cream"),
        ("o’clock", "o'clock"),
        ("crème-brûlée", "creme brulee"),
    ],
)
def test_another_spelling_counts_where_a_source_has_no_other(text, word):
    frame = vocabulary("cat", text)
    assert found_in(frame, [(word, "right"), ("other", "wrong")]) == {text: (word, "respelled")}
    assert found_in(frame, [(word, "less"), (text.upper(), "right")]) == {text: (text.upper(), "case-folded")}


def test_what_is_another_word_is_no_other_spelling():
    assert found_in(vocabulary("icecream", "cafes", "oclock"), [("ice cream", ""), ("café", ""), ("o'clock", "")]) == {}


def test_a_form_is_found_by_its_lemma():
    forms = pl.Series([None, "dog", "cafe"], dtype=pl.String)
    found = found_in(vocabulary("dog", "DOGS", "cafés"), [("dog", ""), ("dogs", ""), ("cafés", "")], form_of=forms)
    assert found == {"dog": ("dog", "exact"), "DOGS": ("dogs", "lemma"), "cafés": ("cafés", "lemma")}


def test_underscores_read_as_blanks():
    assert glosses(vocabulary("ice_cream")) == {"ice_cream": [("frozen milk", "case-folded")]}


@pytest.mark.parametrize("most", [1, 2, 3, 4, 99])
def test_weights_fall_with_the_sense_and_sum_to_one(most):
    matches = match_definitions(vocabulary("bank", "turkey", "the"), dictionary(), max_senses=most)
    for token, senses in ((0, 4), (1, 2), (2, 1)):
        weights = matches.filter(pl.col("token_id") == token)["weight"].to_list()
        raw = [(1 + rank) ** -0.5 for rank in range(min(most, senses))]
        assert weights == pytest.approx([value / sum(raw) for value in raw])
        assert sum(weights) == pytest.approx(1)


def test_the_first_senses_are_kept():
    assert glosses(vocabulary("bank"), max_senses=2) == {
        "bank": [("land beside a river", "exact"), ("a family name", "case-folded")]
    }
    # Ranks count the senses that were found: the second "bank" proper is the third line.
    cased = glosses(vocabulary("bank", "Turkey"), max_senses=2)
    assert cased["bank"] == [("land beside a river", "exact"), ("a company that lends money", "exact")]


@pytest.mark.parametrize("most", [0, -1])
def test_max_senses_below_one(most):
    with pytest.raises(SettingsError, match=f"max_senses must be 1 or more, is {most}"):
        match_definitions(vocabulary("bank"), dictionary(), most)


def test_nothing_matches():
    matches = match_definitions(vocabulary("xyzzy"), dictionary())
    assert matches.height == 0
    assert describe_matches(vocabulary("xyzzy"), matches, dictionary()).height == 0


def test_matches_in_words():
    frame, source = vocabulary("turkey", "bank"), dictionary()
    described = describe_matches(frame, match_definitions(frame, source), source)
    assert set(described.columns) == {
        "token_id", "text", "definition", "weight", "how", "word", "pos", "gloss", "related", "sense", "source",
        "form_of",
    }  # fmt: skip
    assert described["text"].to_list() == ["turkey"] * 2 + ["bank"] * 4
    assert described["gloss"].to_list() == [SENSES[i][1] for i in (4, 5, 0, 1, 2, 3)]
    assert described["word"].to_list() == [SENSES[i][0] for i in (4, 5, 0, 1, 2, 3)]
    assert described["related"].is_null().all()
    related = dictionary(related=[f"r{i}" for i in range(len(SENSES))])
    described = describe_matches(frame, match_definitions(frame, related), related)
    assert described["related"].to_list() == ["r4", "r5", "r0", "r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("text", "word", "hidden"),
    [
        ("a bank by a river", "bank", "a * by a river"),
        ("Bank, BANK; bank's (bank)", "bank", "*, *; *'s (*)"),
        ("banks of an embankment", "bank", "banks of an embankment"),
        ("bank", "bank", "*"),
        ("the café and a cafe", "café", "the * and a cafe"),
        ("naïvebank banknaïve", "bank", "naïvebank banknaïve"),
        ("used in c++ code; C++", "c++", "used in * code; *"),
        ("a.b is not acb", "a.b", "* is not acb"),
        ("costs $5 (or 5)", "$5", "costs * (or 5)"),
        ("no such word", "bank", "no such word"),
        ("", "bank", ""),
        ("ice cream is iced cream", "ice cream", "* is iced cream"),
    ],
)
def test_the_word_itself_is_hidden(text, word, hidden):
    assert hide_word(text, word, "*") == hidden


@pytest.mark.parametrize("by", ["", r"\1", r"\g<0>", "[MASK]", "bank"])
def test_what_stands_in_its_place_is_taken_literally(by):
    assert hide_word("a bank here", "bank", by) == f"a {by} here"


@pytest.mark.parametrize("by", ["how", "source"])
def test_coverage_counts_a_row_by_its_first_definition(by):
    frame = vocabulary("bank", "us", "cat", "dogs", "Turkey", "turkey")
    source = dictionary(
        [*SENSES, ("dogs", "plural of dog: a pet")],
        form_of=pl.Series([None] * len(SENSES) + ["dog"], dtype=pl.String),
        source=["wiki" if word in ("US", "dogs") else "test" for word, _ in [*SENSES, ("dogs", "")]],
    )
    senses = describe_matches(frame, match_definitions(frame, source), source)
    firsts = senses.group_by("token_id", maintain_order=True).first()[by].to_list()
    found = coverage(frame, senses, by)
    assert {str(value): covered for value, _, covered, _ in found.iter_rows()} == {
        "how": {"exact": 3, "case-folded": 1, "lemma": 1}, "source": {"test": 3, "wiki": 2}
    }[by]  # fmt: skip
    assert len(firsts) == found["covered"].sum() == 5
    assert found["rows"].to_list() == [6] * found.height
    assert found["share"].to_list() == [covered / 6 for covered in found["covered"]]
    assert coverage(frame.filter(pl.col("text") == "cat"), senses, by).is_empty()


@pytest.mark.parametrize("by", ["group", "kind"])
def test_coverage_counts_rows(by):
    frame = vocabulary(
        "bank", "cat", "the", "us", "turkey", "bank",
        kinds=["word", "word", "word", "word", "word", "subword"],
        groups=["frequent", "frequent", "frequent", "medium", "medium", "rare"],
    )  # fmt: skip
    matches = match_definitions(frame, dictionary())
    has = {"bank", "the", "us", "turkey"}
    expected = {}
    for key, text, kind in zip(frame[by], frame["text"], frame["kind"], strict=True):
        rows, covered = expected.get(key, (0, 0))
        expected[key] = (rows + 1, covered + (text in has and kind == "word"))
    found = coverage(frame, matches, by)
    assert {row[0]: row[1:3] for row in found.iter_rows()} == expected
    assert found["share"].to_list() == [expected[key][1] / expected[key][0] for key in found[by]]


def test_ways_of_matching_that_are_left_out_leave_the_row_to_the_next_source():
    first = dictionary([("Dog", "an animal"), ("dogs", "plural of dog: an animal")], form_of=[None, "dog"])
    second = dictionary([("dogs", "more than one dog"), ("dog", "a pet")])
    frame, both = vocabulary("dog", "dogs"), combined([first, second])

    def said(*without):
        matches = match_definitions(frame, both, without=without)
        return both.definitions["definition"][matches["definition"].to_numpy()].to_list()

    assert said() == ["an animal", "plural of dog: an animal"]
    assert said("lemma") == ["an animal", "more than one dog"]
    assert said("lemma", "case-folded") == ["a pet", "more than one dog"]
    assert said(*WAYS) == []
