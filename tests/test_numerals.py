import re
import sys
import unicodedata
from fractions import Fraction

import polars as pl
import pytest
from num2words import num2words

from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import load_dictionary
from defemb_core.dictionaries.numeral_forms import read_numeral
from defemb_core.dictionaries.numeral_words import MOST_DIGITS, Speller
from defemb_core.dictionaries.numerals import load_numerals
from defemb_core.errors import DictionaryError
from defemb_core.vocabulary import CASES, KINDS


def vocabulary(*texts, kinds=None):
    """Rows of these texts; of kind number where they have no letters, as read_vocabulary decides."""
    told = kinds or ["word" if re.search("[^\\W\\d_]", text) else "number" for text in texts]
    return pl.DataFrame(
        {
            "token_id": range(len(texts)),
            "token": texts,
            "text": texts,
            "kind": pl.Series(told, dtype=KINDS),
            "case": pl.Series(["none"] * len(texts), dtype=CASES),
        }
    )


def told(*texts, language=None):
    """{text: its definitions}"""
    frame = load_numerals(language, vocabulary(*texts)).definitions
    return {text: frame.filter(pl.col("word") == text)["definition"].to_list() for text in texts}


def only(text):
    [definition] = told(text)[text]
    return definition


# What is read


@pytest.mark.parametrize("number", [0, 7, 10, 999, 1099, 2100, 65536])
def test_whole_numbers_stand_between_their_neighbours(number):
    definition = only(str(number))
    assert definition.startswith(num2words(number).replace(",", "") + "; the number ")
    assert definition.endswith(f" between {number - 1} and {number + 1}" if number else " next to 1")


@pytest.mark.parametrize("year", [1100, 1500, 1905, 1984, 2000, 2099])
def test_years_are_read_both_ways(year):
    first, second = told(str(year))[str(year)]
    assert first == f"{num2words(year, to='year')}; the year between {year - 1} and {year + 1}"
    assert second == f"{num2words(year).replace(',', '')}; the number between {year - 1} and {year + 1}"


@pytest.mark.parametrize("text", ["1,984", "$1984", "-1984", "01984", "1984.5", "１９８４"])
def test_what_no_reader_takes_for_a_year_is_none(text):
    assert "the year" not in only(text)


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("3.14", "three point one four; a decimal number between 3 and 4"),
        (".5", "zero point five; a decimal number between 0 and 1"),
        ("1,000", "one thousand; the number between 999 and 1,001"),
        ("007", "zero zero seven; the number seven between 006 and 008"),
        ("000", "zero zero zero; zeros as at the end of one thousand next to 001"),
        ("-7", "minus seven; negative number, the opposite of 7"),
        ("−7", "minus seven; negative number, the opposite of 7"),
        ("£5", "five pound; the amount of money between £4 and £6"),
        ("5%", "five percent; the measure between 4% and 6%"),
        ("1st", "first; the number in order next to 2nd"),
        ("22nd", "twenty-second; the number in order between 21st and 23rd"),
        ("111th", "one hundred and eleventh; the number in order between 110th and 112th"),
        ("1980s", "nineteen eighties; the ten years between 1970s and 1990s"),
        ("1990's", "nineteen nineties; the ten years between 1980s and 2000s"),
        ("2000s", "two thousands; the ten years between 1990s and 2010s"),
        ("90s", "nineties; the ten years between 80s and 00s"),
        ("7s", "sevens; the plural of 7"),
        ("6s", "sixes; the plural of 6"),
        ("½", "one half; a fraction, 1 divided by 2"),
        ("¹⁄₂", "one half; a fraction, 1 divided by 2"),
        ("⅔", "two thirds; a fraction, 2 divided by 3"),
        ("3/4", "three quarters; a fraction, 3 divided by 4"),
        ("1½", "three halves; a fraction, 3 divided by 2"),
        ("⁄₄", "quarters; the end of a fraction, divided by 4"),
        ("₄", "four; the subscript numeral between ₃ and ₅"),
        ("²", "two; the superscript numeral between ¹ and ³"),
        ("⁰", "zero; the superscript numeral next to ¹"),
        ("①", "one; the circled numeral between ⓪ and ②"),
        ("Ⅳ", "four; the Roman numeral between Ⅲ and Ⅴ"),
        ("٣", "three; the Arabic-Indic numeral between ٢ and ٤"),
        ("१२", "twelve; the Devanagari numeral between ११ and १३"),
        ("９", "nine; the full width numeral next to ８"),
        ("፲", "ten; Ethiopic numeral"),
        ("9-11", "numbers and signs: nine hyphen-minus eleven"),
        ("10:30", "numbers and signs: ten colon thirty"),
    ],
)
def test_forms(text, definition):
    assert only(text) == definition


@pytest.mark.parametrize("text", ["mp3", "v8", "1e5", "a1", "4x4", "b2b", "1stly", "h₂o", "二"])
def test_words_with_digits_are_no_numerals(text):
    assert load_numerals(None, vocabulary(text, "1")).definitions["word"].to_list() == ["1"]


def test_every_number_character_of_unicode_is_defined_by_its_value():
    numbers = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000 and pl_number(chr(c))]
    assert len(numbers) > 1_000
    for character in numbers:
        numeral = read_numeral(character)
        assert numeral is not None, character
        over = int(numeral.digits) * (-1 if numeral.sign == "-" else 1)
        value = Fraction(over, int(numeral.part)) if numeral.form == "fraction" else over
        assert float(value) == pytest.approx(unicodedata.numeric(character))


def pl_number(character):
    return unicodedata.category(character)[0] == "N" and unicodedata.numeric(character, None) is not None


# Frames and matches


def test_rows_of_every_kind_find_their_numeral():
    kinds = ["number", "number", "word", "subword", "word", "symbol"]
    rows = vocabulary("19", "19", "21st", "1980s", "mp3", "!", kinds=kinds)
    dictionary = load_dictionary("numerals", rows)
    matches = match_definitions(rows, dictionary)
    assert matches["token_id"].unique().to_list() == [0, 1, 2, 3]
    assert set(matches["how"]) == {"numeral"}
    assert dictionary.definitions["word"].to_list() == ["19", "21st", "1980s"]
    assert dictionary.definitions["source"].unique().to_list() == ["numerals"]


def test_texts_that_differ_in_case_alone_are_one_word():
    assert load_numerals(None, vocabulary("1ST", "1st")).definitions["word"].to_list() == ["1ST"]


def test_digest_tells_languages_apart_but_not_vocabularies():
    one, other = load_numerals(None, vocabulary("1")), load_numerals(None, vocabulary("2"))
    assert one.digest == other.digest != load_numerals("de", vocabulary("1")).digest


def test_without_a_vocabulary_there_is_no_end():
    with pytest.raises(DictionaryError, match="numerals have no end"):
        load_dictionary("numerals")


# Large numbers


@pytest.mark.parametrize("text", ["9" * 60, "9" * MOST_DIGITS])
def test_sixty_digits_are_spelled_out(text):
    assert only(text).startswith("nine hundred and ninety-nine ")


HUGE = ["7" * 10_000_000, "9" * 5_000, *(f.format("9" * 150) for f in ("-{}", "{}th", "{}s", "1.{}", "1/{}"))]


@pytest.mark.parametrize("text", HUGE, ids=lambda text: f"{len(text)} {text[:2]}{text[-2:]}")
def test_huge_numbers_are_told_by_their_length(text):
    dictionary = load_numerals(None, vocabulary(text))
    [definition] = dictionary.definitions["definition"]
    digits = sum(map(text.count, "0123456789"))
    assert definition.startswith(f"a number of {digits:,} digits that begins with ")
    assert len(definition) < 150
    assert dictionary.notes == (f"1 numbers of more than {MOST_DIGITS} digits are told by their length",)


# Languages


def test_another_language_spells_and_keeps_neighbours_apart():
    frame = load_dictionary("numerals:de", vocabulary("21", "1984", "2nd", "½")).definitions
    assert frame.select("word", "definition", "related").rows() == [
        ("21", "einundzwanzig", "20, 22"),
        ("1984", num2words(1984, lang="de", to="year"), "1983, 1985"),
        ("1984", num2words(1984, lang="de"), "1983, 1985"),
        ("2nd", "zweite", "1st, 3rd"),
        ("½", "eins / zwei", None),
    ]


@pytest.mark.parametrize("name", ["pt_BR", "pt-br", "PT_br"])
def test_languages_are_named_in_any_way(name):
    assert Speller(name).language == "pt_BR"


@pytest.mark.parametrize("name", ["xx", "german", ""])
def test_unknown_languages_are_named_with_those_known(name):
    with pytest.raises(DictionaryError, match=rf"no language '{name}'; take one of .*de, .*en, "):
        load_numerals(name, vocabulary("1"))


def test_what_a_language_lacks_falls_back_and_is_noted():
    texts = ("42", "1984", "22nd", "3.14", "1" + "0" * 40, "½", "9" * 150, "$5", "1-2")
    from num2words import CONVERTER_CLASSES

    lacking = 0
    for language in CONVERTER_CLASSES:
        dictionary = load_numerals(language, vocabulary(*texts))
        assert set(dictionary.definitions["word"]) == set(texts), language
        assert dictionary.definitions["definition"].str.len_chars().min() > 0
        lacking += any("num2words has none" in note for note in dictionary.notes)
    assert 5 < lacking < len(CONVERTER_CLASSES)
