import unicodedata

import polars as pl
import pytest

from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import DEFINITION_SCHEMA, load_dictionary
from defemb_core.dictionaries.unicode_names import (
    CATEGORIES,
    define_text,
    ideograph_names,
    load_unicode,
    radicals,
)
from defemb_core.errors import DictionaryError
from defemb_core.vocabulary import CASES, KINDS


def vocabulary(rows):
    """Rows of these texts and kinds."""
    return pl.DataFrame(
        {
            "token_id": range(len(rows)),
            "token": pl.Series(list(rows), dtype=pl.String),
            "text": pl.Series(list(rows), dtype=pl.String),
            "kind": pl.Series(list(rows.values()), dtype=KINDS),
            "case": pl.Series(["upper" if text.isupper() else "none" for text in rows], dtype=CASES),
        }
    )


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("α", "greek small letter alpha; small letter of the greek script"),
        ("Б", "cyrillic capital letter be; capital letter of the cyrillic script"),
        ("ي", "arabic letter yeh; letter of the arabic script"),
        ("ि", "devanagari vowel sign i; combining vowel sign or mark of the devanagari script"),
        ("า", "thai character sara aa; letter of the thai script"),
        ("か", "hiragana letter ka; letter of the hiragana script"),
        ("한", "hangul syllable han; letter of the hangul script"),
        ("€", "euro sign; currency symbol"),
        ("«", "left-pointing double angle quotation mark; opening quotation mark"),
        ("∞", "infinity; mathematical symbol"),
        ("/", "solidus, slash; punctuation mark"),
        ("ʷ", "modifier letter small w; modifier letter, written raised"),
        ("！", "fullwidth exclamation mark; punctuation mark, in full width"),
        ("\n", "line feed, new line; control character"),
        ("\u0007", "character 0007; control character"),
        (" ", "space; space"),
        ("e\u0301", "latin small letter e with acute; small letter of the latin script"),
        ("😀", "grinning face; symbol"),
        ("👍🏽", "emoji of thumbs up sign with emoji modifier fitzpatrick type-4"),
        ("👨\u200d👩\u200d👧", "emoji of man with woman with girl"),
        ("❤\ufe0f", "emoji of heavy black heart"),
        ("3\ufe0f\u20e3", "emoji of a key with the digit three"),
        ("🇳🇱", "emoji of the flag with the letters n l"),
        ("...", "signs: full stop 3 times"),
        ("),", "signs: right parenthesis, comma"),
        ("人", "man; CJK ideograph"),
        ("左", "left; CJK ideograph written with the part work"),
        ("江", "CJK ideograph written with the part water"),
        ("三", "three, the number 3; CJK ideograph written with the part one"),
        ("㐀", "CJK ideograph 3400"),
    ],
)
def test_definitions(text, definition):
    assert define_text(text) == definition


@pytest.mark.parametrize("text", ["", "ab", "न्", "a.", "1.", "\ue000", "\u0378", "\ufe0f\ufe0f"])
def test_other_texts_have_none(text):
    assert define_text(text) is None


def test_every_character_with_a_name_is_defined_by_it_and_never_by_itself():
    dictionary = load_unicode(None, None)
    frame = dictionary.definitions
    assert dict(frame.schema) == {**DEFINITION_SCHEMA, "related": pl.String()}
    named = [
        chr(code)
        for code in range(0x110000)
        if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) in CATEGORIES
    ]
    assert set(named) == set(frame["word"])
    assert frame["definition"].str.len_chars().min() > 4
    first = frame.group_by(pl.col("word").str.to_lowercase()).agg(pl.col("sense").sort())["sense"]
    assert all(found.to_list() == list(range(len(found))) for found in first)  # 0, 1, ... of each folded character
    assert "CJK ideographs have no name in Unicode" in dictionary.notes[0]


def test_radicals_stand_in_the_order_of_their_code_points():
    ideographs = list(radicals())
    assert len(ideographs) == 214
    assert ideographs == sorted(ideographs)


def test_ideographs_are_filed_under_radicals_they_contain():
    filed = {"江": "water", "林": "tree", "花": "grass", "鈴": "gold", "國": "enclosure", "語": "speech"}
    for ideograph, radical in filed.items():
        assert define_text(ideograph).endswith(f"written with the part {radical}")


def test_meanings_come_from_names_of_characters_made_of_the_ideograph():
    for ideograph, names in ideograph_names().items():
        made = [
            unicodedata.name(chr(c))
            for c in (*range(0x2E80, 0x2FD6), *range(0x3220, 0x32B1))
            if unicodedata.normalize("NFKC", chr(c)).strip("()") == ideograph
        ]
        assert all(any(made_of.endswith(name.upper()) for made_of in made) for name in names)


def test_rows_of_every_kind_match():
    kinds = {"β": "word", "ß": "subword", "²": "number", "€": "symbol", "é": "byte", "<s>": "special", "mp3": "word"}
    rows = vocabulary(kinds)
    dictionary = load_dictionary("unicode", rows)
    matches = match_definitions(rows, dictionary)
    assert matches["token_id"].to_list() == [0, 1, 2, 3, 4]
    assert set(matches["how"]) == {"unicode"}
    assert dictionary.definitions.filter(pl.col("word") == "²")["related"].to_list() == ["2"]
    assert dictionary.definitions.filter(pl.col("word") == "β")["related"].to_list() == [None]


def test_where_case_is_kept_each_letter_has_its_own_name():
    rows = vocabulary({"A": "word", "a": "word"})
    dictionary = load_dictionary("unicode", rows)
    matches = match_definitions(rows, dictionary)
    told = dictionary.definitions["definition"][matches["definition"]].to_list()
    assert [text.partition(";")[0] for text in told] == ["latin capital letter a", "latin small letter a"]


def test_what_is_known_of_ideographs_is_said():
    assert load_unicode(None, vocabulary({"江": "word", "人": "word"})).notes == (
        "1 CJK ideographs have no name in Unicode: of them radical and code point are told, no meaning",
    )
    assert load_unicode(None, vocabulary({"人": "word"})).notes == ()


def test_digest_and_origin_name_the_versions():
    one, other = load_unicode(None, vocabulary({"a": "word"})), load_unicode(None, vocabulary({"b": "word"}))
    assert one.digest == other.digest
    assert unicodedata.unidata_version in one.origin


def test_a_place_is_refused():
    with pytest.raises(DictionaryError, match="write unicode, not unicode:14"):
        load_dictionary("unicode:14")


def test_an_empty_vocabulary_gives_an_empty_frame():
    assert load_dictionary("unicode", vocabulary({})).definitions.is_empty()
