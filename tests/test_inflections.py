import re

import polars as pl
import pytest
from installed import missing
from test_wordnet import REAL
from tiny_wordnet import write_tiny_wordnet

from defemb_core.definitions import describe_matches, match_definitions
from defemb_core.dictionaries import load_dictionary, wordnet
from defemb_core.dictionaries.inflections import SHOWN_BY, inflected_senses, read_exceptions, regular_forms
from defemb_core.errors import DictionaryError
from defemb_core.vocabulary import CASES, KINDS

WORDS = [  # word, part of speech, definition
    ("dog", "noun", "a pet"),
    ("dog", "noun", "a scoundrel"),
    ("dog", "verb", "go after"),
    ("bus", "noun", "a long car"),
    ("box", "noun", "a case"),
    ("boxful", "noun", "what a case holds"),
    ("quiz", "noun", "a test"),
    ("church", "noun", "a house of prayer"),
    ("dish", "noun", "a plate"),
    ("fireman", "noun", "who puts fires out"),
    ("lady", "noun", "a woman"),
    ("try", "verb", "make an attempt"),
    ("try", "noun", "an attempt"),
    ("go", "verb", "move"),
    ("bake", "verb", "heat in an oven"),
    ("walk", "verb", "move on foot"),
    ("do", "verb", "carry out"),
    ("doe", "noun", "a female deer"),
    ("give up", "verb", "stop"),
    ("great", "adjective", "large"),
    ("wide", "adjective", "not narrow"),
    ("well", "adverb", "in a good way"),
    ("good", "adjective", "as it should be"),
    ("ax", "noun", "a tool"),
    ("axis", "noun", "a line"),
    ("axe", "noun", "the same tool"),
    ("Turkey", "noun", "a country"),
    ("turkey", "noun", "a bird"),
    ("IT", "noun", "technology"),
    ("CD", "noun", "a disc"),
    ("80", "noun", "a number"),
    ("mother-in-law", "noun", "a spouse's mother"),
    ("ice cream", "noun", "a sweet"),
    ("cafe", "noun", "a small restaurant"),
    ("glass", "noun", "a material"),
    ("glas", "noun", "no word"),
    ("will", "verb", "decree"),
    ("sing", "verb", "make music"),
]
LISTED = [("went", "go", "verb"), ("axes", "ax", "noun"), ("axes", "axis", "noun"), ("better", "good", "adjective")]
LISTED += [("better", "well", "adverb"), ("best", "well", "adverb"), ("singing", "sing", "verb"), ("is", "be", "verb")]
LISTED += [("am", "go", "verb"), ("does", "do", "verb")]


@pytest.fixture
def senses():
    frame = pl.DataFrame(WORDS, schema=["word", "pos", "definition"], orient="row")
    return frame.with_columns(
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over(pl.col("word").str.to_lowercase()),
        source=pl.lit("wordnet"),
        form_of=pl.lit(None, dtype=pl.String),
        synset=pl.col("definition"),
        related=pl.lit("kin of ") + pl.col("word"),
    )


@pytest.fixture
def forms(senses):
    exceptions = pl.DataFrame(LISTED, schema=["form", "base", "pos"], orient="row")
    return lambda *texts: inflected_senses(senses, pl.Series(texts, dtype=pl.String), exceptions)


def said(frame):
    """What a frame's lines say, in order."""
    return frame["definition"].to_list()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("buses", ["plural of bus: a long car"]),
        ("boxes", ["plural of box: a case"]),
        ("quizes", ["plural of quiz: a test"]),
        ("churches", ["plural of church: a house of prayer"]),
        ("dishes", ["plural of dish: a plate"]),
        ("firemen", ["plural of fireman: who puts fires out"]),
        ("ladies", ["plural of lady: a woman"]),
        ("boxesful", ["plural of boxful: what a case holds"]),
        ("baked", ["past of bake: heat in an oven"]),
        ("walked", ["past of walk: move on foot"]),
        ("baking", ["present participle of bake: heat in an oven"]),
        ("walking", ["present participle of walk: move on foot"]),
        ("bakes", ["third person of bake: heat in an oven"]),
        ("greater", ["comparative of great: large"]),
        ("widest", ["superlative of wide: not narrow"]),
        ("wider", ["comparative of wide: not narrow"]),
    ],
)
def test_rules_of_detachment(forms, form, expected):
    assert said(forms(form)) == expected


def test_forms_that_words_may_have(senses, forms):
    exceptions = pl.DataFrame(LISTED, schema=["form", "base", "pos"], orient="row")
    made = regular_forms(senses, exceptions)
    assert made.to_list() == sorted(set(made))
    assert {form for form, _, _ in LISTED} <= set(made)
    regular = {"dogs", "buses", "boxes", "quizes", "ladies", "tries", "churches", "dishes", "turkeys", "walks"}
    regular |= {"baked", "baking", "bakes", "walked", "walking", "doing", "going"}
    assert regular <= set(made)
    wrong = {"goed", "axs", "axes's", "bakeing", "bakeed", "ladys", "trys", "boxs", "churchs", "greats", "singinging"}
    assert not wrong & set(made)
    assert set(forms(*regular)["word"].str.to_lowercase()) == regular - {"doing", "going"}  # too short for the rules


@pytest.mark.parametrize("name", ["walkes", "dogges", "doges", "bakees"])
def test_es_is_no_ending_of_any_verb(forms, name):
    """Names are spelled so: "Gaines", "Mendes"."""
    assert forms(name).is_empty()


def test_a_form_has_the_senses_of_each_part_of_speech_that_it_may_be_of(forms):
    assert said(forms("dogs")) == [
        "plural of dog: a pet",
        "plural of dog: a scoundrel",
        "third person of dog: go after",
    ]
    assert said(forms("tries")) == ["third person of try: make an attempt", "plural of try: an attempt"]
    assert said(forms("dogged")) == []  # nor would a rule double a letter
    assert said(forms("wells", "greats", "wided")) == []  # adverbs have no rules, adjectives and nouns their own


def test_lists_of_exceptions_come_before_rules(forms):
    assert said(forms("went")) == ["past of go: move"]
    assert said(forms("singing")) == ["present participle of sing: make music"]
    assert said(forms("am")) == ["inflected form of go: move"]
    assert said(forms("axes")) == ["plural of ax: a tool", "plural of axis: a line"]  # and not by a rule of "axe"
    better = ["comparative of good: as it should be", "comparative of well: in a good way"]
    assert said(forms("better", "best")) == ["superlative of well: in a good way", *better]
    assert said(forms("is")) == []  # the lemma has no senses here
    assert said(forms("does")) == ["third person of do: carry out", "plural of doe: a female deer"]


def test_lines_are_those_of_the_lemma(forms, senses):
    found = forms("Dogs")
    lemma = senses.filter(pl.col("word") == "dog")
    assert found.schema == senses.schema
    assert found["word"].to_list() == ["dogs"] * 3
    assert found["form_of"].to_list() == ["dog"] * 3
    assert found["sense"].to_list() == [0, 1, 2]
    for column in ("pos", "source", "synset"):
        assert found[column].to_list() == lemma[column].to_list()
    assert found["related"].to_list() == [SHOWN_BY["plural"]] * 2 + [SHOWN_BY["third person"]]
    assert forms("am")["related"].to_list() == [None]  # what kind of form is not known


def test_a_word_is_no_form_of_itself_and_each_text_counts_once(forms):
    assert forms("dog", "Dog", "CAFE", "ice_cream", "xyzzy", "", "s", "'s", "ing").is_empty()
    assert forms().is_empty()
    assert forms("dogs", "DOGS", "dogs").equals(forms("dogs"))


def test_forms_that_are_words_have_the_lemmas_senses_after_their_own(forms, senses):
    own = senses.filter(pl.col("word").str.to_lowercase() == "axe").height
    exceptions = pl.DataFrame(
        [("axe", "ax", "noun"), ("turkey", "dog", "noun")], schema=["form", "base", "pos"], orient="row"
    )
    found = inflected_senses(senses, pl.Series(["axe", "turkey"]), exceptions)
    assert found.select("word", "form_of", "sense").rows() == [
        ("axe", "ax", own), ("turkey", "dog", 2), ("turkey", "dog", 3)
    ]  # fmt: skip


def test_short_words_and_double_s_are_no_forms(forms):
    assert forms("its", "cds", "ited", "glasss").is_empty()
    assert said(forms("80s")) == ["plural of 80: a number"]
    assert said(forms("glasses")) == ["plural of glass: a material"]


def test_forms_have_the_capitals_of_their_lemmas(forms):
    found = forms("turkeys", "axes")
    assert found.select("word", "form_of").rows() == [
        ("axes", "ax"), ("axes", "axis"), ("Turkeys", "Turkey"), ("turkeys", "turkey")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("mothers-in-law", "plural of mother-in-law: a spouse's mother"),
        ("ice creams", "plural of ice cream: a sweet"),
        ("ice_creams", "plural of ice cream: a sweet"),
        ("ice-creams", "plural of ice cream: a sweet"),
        ("giving up", None),
        ("gives up", "third person of give up: stop"),
        ("cafés", "plural of cafe: a small restaurant"),
        ("CAFÉS", "plural of cafe: a small restaurant"),
        ("bus's", "possessive of bus: a long car"),
        ("bus’s", "possessive of bus: a long car"),
        ("buses'", "inflected form of bus: a long car"),
        ("boxes'", "inflected form of box: a case"),
        ("don't", None),  # too short a verb for what an apostrophe leaves
        ("walkn't", "negated form of walk: move on foot"),
        ("won't", "negated form of will: decree"),
        ("it's", None),
        ("walk's", None),  # a verb possesses nothing
    ],
)
def test_hyphens_blanks_accents_and_apostrophes(forms, form, expected):
    found = said(forms(form))
    if form == "giving up":
        expected = "present participle of give up: stop"
    assert found == ([expected] if expected else [])


# In WordNet


EXCEPTIONS = {"noun": "canes canine\nriver_banks river_bank\n", "verb": "ran run\nbanking bank bank\nrun run\n"}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    folder = write_tiny_wordnet(tmp_path / "tiny")
    for suffix in ("noun", "verb", "adj", "adv"):
        (folder / f"{suffix}.exc").write_text(EXCEPTIONS.get(suffix, ""))
    return folder


def vocabulary(*texts, kind="word"):
    kinds = pl.Series([kind] * len(texts), dtype=KINDS)
    cases = pl.Series(["lower"] * len(texts), dtype=CASES)
    return pl.DataFrame({"token_id": range(len(texts)), "token": texts, "text": texts, "kind": kinds, "case": cases})


def test_exceptions_are_read_with_every_lemma(tiny):
    found = read_exceptions(tiny)
    rows = [("canes", "canine", "noun"), ("river banks", "river bank", "noun"), ("ran", "run", "verb")]
    assert set(rows) | {("banking", "bank", "verb")} <= set(found.rows())
    assert not found.filter(pl.col("form") == pl.col("base")).height


@pytest.mark.parametrize("content", ["went go\nwent", "went go\nwent\n", "went go\n\n"])
def test_garbled_exceptions_are_blamed_by_line(tiny, content):
    (tiny / "verb.exc").write_text(content)
    with pytest.raises(DictionaryError, match=r"verb\.exc line 2"):
        wordnet.load_wordnet(tiny, vocabulary("ran"))


def test_words_of_a_vocabulary_that_are_forms_are_added_after_wordnets_own(tiny):
    own = wordnet.load_wordnet(tiny)
    frame = vocabulary("dogs", "canes", "darker", "river_banks", "bank", "xyzzy")
    found = wordnet.load_wordnet(tiny, frame)
    assert found.definitions[: own.definitions.height].equals(own.definitions)
    added = found.definitions[own.definitions.height :]
    assert set(added.select("word", "form_of").rows()) == {
        ("dogs", "dog"), ("canes", "canine"), ("darker", "dark"), ("river banks", "river bank")
    }  # fmt: skip
    assert found.digest == own.digest
    assert any("4 words of the vocabulary are forms" in note for note in found.notes)
    assert own.notes == ()
    matches = match_definitions(frame, found)
    told = describe_matches(frame, matches, found).select("text", "how").unique()
    assert set(told.rows()) == {
        ("dogs", "lemma"), ("canes", "lemma"), ("darker", "lemma"), ("river_banks", "lemma"), ("bank", "exact"),
    }  # fmt: skip


def test_only_whole_words_are_forms(tiny):
    own = wordnet.load_wordnet(tiny).definitions.height
    assert wordnet.load_wordnet(tiny, vocabulary("dogs", kind="subword")).definitions.height == own


def test_the_digest_covers_the_lists(tiny):
    before = load_dictionary(f"wordnet:{tiny}", vocabulary("ran"))
    (tiny / "verb.exc").write_text("flew run\n")
    after = load_dictionary(f"wordnet:{tiny}", vocabulary("ran"))
    assert before.digest != after.digest
    assert before.definitions["word"].is_in(["ran"]).any()
    assert not after.definitions["word"].is_in(["ran"]).any()


def test_without_lists_the_rules_remain_and_a_note_says_so(tiny):
    for suffix in ("noun", "verb"):
        (tiny / f"{suffix}.exc").unlink()
    found = wordnet.load_wordnet(tiny, vocabulary("dogs", "ran"))
    assert found.definitions.filter(pl.col("form_of").is_not_null())["word"].unique().to_list() == ["dogs"]
    assert re.search(r"no noun\.exc, verb\.exc", " ".join(found.notes))


def test_forms_in_wordnet_3_0():
    if not (REAL / "data.noun").is_file():
        missing(f"wordnet is not installed in {REAL}")
    found = wordnet.load_wordnet(REAL, vocabulary("went", "children", "does", "phenomena", "was", "its", "ran"))
    forms = found.definitions.filter(pl.col("form_of").is_not_null())
    first = dict(forms.filter(pl.col("sense") == 0).select("word", "form_of").iter_rows())
    assert first == {
        "went": "go", "children": "child", "does": "do", "phenomena": "phenomenon", "was": "be", "ran": "run"
    }  # fmt: skip
