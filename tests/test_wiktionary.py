import errno
import gzip
import hashlib
import json
import os
import sys
from pathlib import Path

import polars as pl
import pytest
import zstandard

from defemb_core.cli import main
from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import DEFINITION_SCHEMA, load_dictionary, wiktionary_dump, wiktionary_store
from defemb_core.dictionaries.wiktionary import LEFT_OUT_TAGS, load_wiktionary
from defemb_core.dictionaries.wiktionary_dump import LONGEST_LINE
from defemb_core.dictionaries.wiktionary_entries import LONGEST_GLOSS, MOST_RELATED, SENSE_SCHEMA, part_of_speech
from defemb_core.dictionaries.wiktionary_forms import LEMMA_SENSES
from defemb_core.dictionaries.wiktionary_store import build_store, open_store
from defemb_core.errors import DictionaryError

GZIP, ZSTD = gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress


def sense(gloss, *tags, form_of=None, alt_of=None, **more):
    links = {name: [{"word": to}] for name, to in (("form_of", form_of), ("alt_of", alt_of)) if to}
    return {"glosses": [gloss], "tags": list(tags), **links, **more}


def entry(word, *senses, pos="noun", code="en", **more):
    return {"word": word, "pos": pos, "lang": "Any", "lang_code": code, "senses": list(senses), **more}


PAW = entry("paw", sense("A soft foot."), sense("A hand.", "slang"))
PAWS = entry("paws", sense("plural of paw", "form-of", "plural", form_of="paw"))
LEXICON = [
    PAWS,  # before its lemma
    PAW,
    entry("paw", sense("To touch with a foot.", "transitive"), pos="verb"),
    entry("paws", sense("third-person singular of paw.", "form-of", form_of="paw"), pos="verb"),
    entry("hue", sense("A colour.")),
    entry("Patte", sense("Ein Fuß."), code="de"),
    entry("grey", sense("Of the colour of ash."), pos="adj"),
    entry("Grey", sense("A surname."), pos="name"),
    entry("7", sense("A digit.")),
]


@pytest.fixture
def write(tmp_path):
    """Writes entries (or bytes) to a file and returns it."""

    def write_file(entries, name="dump.jsonl", pack=bytes):
        lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in entries]
        path = tmp_path / name
        path.write_bytes(pack(b"".join(line + b"\n" for line in lines)))
        return path

    return write_file


@pytest.fixture
def dump(write):
    return write(LEXICON)


def vocabulary(*texts, kind="word"):
    rows = [
        {"token_id": number, "token": text, "text": text, "kind": kind, "starts_word": True, "case": "lower"}
        for number, text in enumerate(texts)
    ]
    return pl.DataFrame(rows)


def load(path, *texts, **options):
    return load_wiktionary(str(path), vocabulary(*texts) if texts else None, **options)


def definitions(found, word):
    """A word's definitions in the order of their numbers."""
    mine = found.definitions.filter(pl.col("word") == word).sort("sense")
    return mine["definition"].to_list()


def column(found, word, name):
    return found.definitions.filter(pl.col("word") == word).sort("sense")[name].to_list()


def refused(path, *texts):
    with pytest.raises(DictionaryError) as caught:
        load(path, *texts)
    said = str(caught.value)
    assert "\n" not in said
    assert said[-1] != "."
    return said


# What an entry says


def test_the_frame_is_a_definition_frame(dump):
    found = load(dump)
    assert dict(found.definitions.schema) == {**DEFINITION_SCHEMA, "tags": pl.String(), "related": pl.String()}
    assert set(found.definitions["source"]) == {"wiktionary"}
    assert (found.name, found.origin, found.kinds) == ("wiktionary", str(dump), ("word", "number", "symbol"))
    assert found.notes == ()
    folded = found.definitions.with_columns(folded=pl.col("word").str.to_lowercase())
    numbers = folded.group_by("folded").agg("sense")["sense"].to_list()
    assert all(numbers_of_word == list(range(len(numbers_of_word))) for numbers_of_word in numbers)


def test_senses_keep_the_dumps_order_lower_case_first(dump):
    found = load(dump)
    assert definitions(found, "paw") == ["A soft foot.", "A hand.", "To touch with a foot."]
    assert column(found, "paw", "tags") == [None, "slang", "transitive"]
    capital_first = load(dump.with_name("dump.jsonl"), "grey")
    assert definitions(capital_first, "grey") == ["Of the colour of ash."]
    assert column(capital_first, "Grey", "sense") == [1]


@pytest.mark.parametrize(
    ("code", "pos"),
    [("noun", "noun"), ("adj", "adjective"), ("name", "proper noun"), ("intj", "interjection"), ("ADV", "adverb"),
     ("prep_phrase", "prepositional phrase"), ("a_new_one", "a new one"), ("unknown", None), ("", None), (None, None)],
)  # fmt: skip
def test_parts_of_speech_in_full(write, code, pos):
    assert part_of_speech(code) == pos
    assert column(load(write([entry("x", sense("y"), pos=code)])), "x", "pos") == [pos]


def test_of_nested_glosses_the_last_is_the_sense(write):
    nested = {"glosses": ["Heading.", "A  narrower\n sense."], "raw_glosses": ["(rare) Heading.", "(rare) A narrower."]}
    raw = {"raw_glosses": ["(rare) Only raw."]}
    assert definitions(load(write([entry("x", nested, raw)])), "x") == ["A narrower sense.", "(rare) Only raw."]


def test_senses_without_a_gloss_are_dropped_and_counted(write):
    found = load(write([entry("x", {"tags": ["no-gloss"]}, sense("  "), {"glosses": []}, sense("One."))]))
    assert definitions(found, "x") == ["One."]
    assert found.notes == ("left out 3 senses without a definition",)


def test_a_definition_of_ten_megabytes_is_cut(write):
    found = load(write([entry("x", sense("word " * 2_000_000), sense("Short."))]))
    long, short = definitions(found, "x")
    assert len(long) <= LONGEST_GLOSS + 2
    assert long.endswith("word …")
    assert short == "Short."
    assert found.notes == (f"cut 1 definitions of more than {LONGEST_GLOSS:,} characters",)


def words(*names):
    return [{"word": name} for name in names]


def test_related_words_in_wordnets_groups_without_antonyms(write):
    own = {"synonyms": words("foot", "Hand", "Thesaurus:foot"), "antonyms": words("head"), "derived": words("pawed")}
    entries = [
        entry("paw", sense("A.", **own, hypernyms=words("limb", "foot")), hyponyms=words("claw", "PAW"), related=None),
        entry("two", sense("A.", hypernyms=words("number")), sense("B."), synonyms=words("pair")),
        entry("many", sense("A.", derived=words(*(f"w{number}" for number in range(500))))),
    ]
    found = load(write(entries))
    assert column(found, "paw", "related") == ["foot, Hand; limb; pawed, claw"]
    assert column(found, "two", "related") == ["number", None]  # of which sense it is a synonym, nobody says
    assert column(found, "many", "related") == [", ".join(f"w{number}" for number in range(MOST_RELATED))]


# Tags


def test_unusual_senses_are_left_out_where_there_are_others(write):
    entries = [
        entry("x", sense("Old.", "obsolete"), sense("Now."), sense("Also.", "slang")),
        entry("thou", sense("You.", "archaic")),
    ]
    found = load(write(entries))
    assert definitions(found, "x") == ["Now.", "Also."]
    assert (definitions(found, "thou"), column(found, "thou", "tags")) == (["You."], ["archaic"])
    assert found.notes == ("left out 1 senses that are obsolete, misspelled and the like",)
    assert {"archaic", "misspelling", "obsolete"} <= LEFT_OUT_TAGS


def test_other_tags_may_be_left_out_instead(write):
    path = write([entry("x", sense("Old.", "obsolete"), sense("Rude.", "slang", "plural"))])
    assert definitions(load(path, left_out=["slang"]), "x") == ["Old."]
    assert definitions(load(path, left_out=[]), "x") == ["Old.", "Rude."]
    assert load(path, left_out=[]).digest != load(path).digest


# Forms


def test_a_form_has_its_lemmas_definitions_with_the_relation(dump):
    found = load(dump)
    assert definitions(found, "paws") == [
        "plural of paw: A soft foot.",
        "plural of paw: A hand.",
        "third-person singular of paw: To touch with a foot.",
    ]
    assert set(column(found, "paws", "form_of")) == {"paw"}
    assert set(column(found, "paw", "form_of")) == {None}


def test_a_form_takes_the_first_senses_and_the_relations_of_its_lemma(write):
    many = [sense(f"Sense {number}.", synonyms=words(f"s{number}")) for number in range(9)]
    found = load(write([entry("x", *many), entry("xs", sense("Plural of x.", form_of="x"))]))
    assert definitions(found, "xs") == [f"Plural of x: Sense {number}." for number in range(LEMMA_SENSES)]
    assert column(found, "xs", "related") == ["s0", "s1", "s2"]


def test_a_lemma_that_is_a_spelling_is_followed_in_turn(write):
    entries = [
        entry("colours", sense("plural of colour", form_of="colour")),
        entry("colour", sense("British spelling of color.", alt_of="color")),
        entry("color", sense("A hue.")),
    ]
    for found in (load(write(entries)), load(write(entries), "colours"), load(write(entries[::-1]), "colours")):
        assert definitions(found, "colours") == ["plural of colour: British spelling of color: A hue."]
        assert column(found, "colours", "form_of") == ["colour"]


def test_a_missing_lemma_leaves_the_gloss(write):
    found = load(write([PAWS]))
    assert (definitions(found, "paws"), column(found, "paws", "form_of")) == (["plural of paw"], ["paw"])
    assert found.notes == ("kept 1 senses of forms as they stand, their lemma has no definition here",)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_loops_end(write, length):
    ring = [
        entry(f"w{i}", sense(f"form of w{(i + 1) % length}", form_of=f"w{(i + 1) % length}")) for i in range(length)
    ]
    for found in (load(write(ring)), load(write(ring), "w0")):
        assert definitions(found, "w0") == [f"form of w{1 % length}"]


def test_a_chain_longer_than_it_is_followed_keeps_its_gloss(write):
    chain = [entry(f"w{i}", sense(f"form of w{i + 1}", form_of=f"w{i + 1}")) for i in range(9)]
    found = load(write([*chain, entry("w9", sense("The end."))]))
    assert definitions(found, "w8") == ["form of w9: The end."]
    assert definitions(found, "w0") == ["form of w1"]


def test_a_form_of_itself_in_another_case(write):
    entries = [entry("polish", sense("To make shine."), pos="verb"), entry("Polish", sense("Of Poland."), pos="adj")]
    entries.append(entry("polish", sense("Obsolete spelling of Polish.", alt_of="Polish"), pos="adj"))
    found = load(write(entries))
    assert definitions(found, "polish") == ["To make shine.", "Obsolete spelling of Polish: Of Poland."]


def test_a_gloss_that_does_not_name_the_lemma(write):
    found = load(write([entry("xs", sense("Plural.", form_of="x")), entry("x", sense("One."))]))
    assert definitions(found, "xs") == ["Plural, form of x: One."]


def test_a_form_that_says_the_same_twice_says_it_once(write):
    twice = sense("past of x", form_of="x")
    found = load(write([entry("xed", twice, twice), entry("x", sense("One."))]))
    assert definitions(found, "xed") == ["past of x: One."]


# The vocabulary's words


def test_only_the_vocabularys_words_are_read(dump):
    found = load(dump, "PAWS", "7", "nothing")
    assert set(found.definitions["word"]) == {"paws", "7"}
    everything = load(dump).definitions.filter(pl.col("word") == "paws")
    assert found.definitions.filter(pl.col("word") == "paws").equals(everything)


def test_a_row_finds_its_definitions(dump):
    rows = vocabulary("paw", "paws", "grey")
    found = load_dictionary(f"wiktionary:{dump}", rows)
    matches = match_definitions(rows, found)
    assert dict(matches.group_by("token_id").len().iter_rows()) == {0: 3, 1: 3, 2: 2}
    assert set(matches.filter(pl.col("token_id") == 1)["how"]) == {"lemma"}


def test_rows_of_other_kinds_are_not_looked_up(dump):
    found = load_wiktionary(str(dump), vocabulary("paw", kind="subword"))
    assert found.definitions.height == 0


def test_memory_does_not_hold_what_is_not_wanted(write, monkeypatch):
    kept = []
    frame = wiktionary_dump._frame
    monkeypatch.setattr(wiktionary_dump, "_frame", lambda rows: kept.append(len(rows)) or frame(rows))
    monkeypatch.setattr(wiktionary_dump, "_SENSES", 50)
    path = write([entry(f"w{number}", sense(f"Number {number}.")) for number in range(1_000)])
    assert load(path, "w5").definitions.height == 1
    assert sum(kept) == 1
    kept.clear()
    assert load(path).definitions.height == 1_000
    assert max(kept) == 50


# Files


@pytest.mark.parametrize("name", ["dump.jsonl", "dump.jsonl.gz", "dump.jsonl.zst", "no-ending", "[odd]*.gz"])
@pytest.mark.parametrize("pack", [bytes, GZIP, ZSTD])
def test_contents_tell_how_a_file_is_packed(write, dump, name, pack):
    expected = load(dump).definitions
    assert load(write(LEXICON, name, pack)).definitions.equals(expected)


@pytest.mark.parametrize("pack", [GZIP, ZSTD])
@pytest.mark.parametrize("padding", [b"", b"\0" * 512, b"\0" * 200_000])
def test_several_streams_make_one_file(write, dump, pack, padding):
    half = [json.dumps(line).encode() + b"\n" for line in LEXICON]
    path = write([], "two", lambda _: pack(b"".join(half[:4])) + padding + pack(b"".join(half[4:])) + padding)
    assert load(path).definitions.equals(load(dump).definitions)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, GZIP, ZSTD])
def test_the_size_of_the_blocks_does_not_matter(write, dump, monkeypatch, size, pack):
    expected = load(dump)
    for name in ("_BLOCK", "_GZIP_BLOCK", "_ZSTD_BLOCK"):
        monkeypatch.setattr(wiktionary_dump, name, size)
    assert load(write(LEXICON, "packed", pack)).definitions.equals(expected.definitions)


def test_other_line_ends_blank_lines_and_a_byte_order_mark(write, dump):
    lines = [b"\xef\xbb\xbf" + json.dumps(LEXICON[0]).encode() + b"\r", b"", b"  \r", *LEXICON[1:]]
    path = write(lines, pack=lambda text: text.rstrip(b"\n"))
    found = load(path)
    assert found.definitions.equals(load(write(LEXICON, "plain")).definitions)
    assert found.notes == ()


def test_the_digest_covers_contents_language_and_nothing_else(write, dump):
    assert load(dump, "paw").digest == load(dump).digest == load(write(LEXICON, "other")).digest
    assert load(write(LEXICON[1:], "less")).digest != load(dump).digest
    assert load(f"{dump}@de").digest != load(dump).digest


def test_a_language_code_behind_the_path(write, dump):
    found = load_dictionary(f"wiktionary:{dump}@de")
    assert found.definitions["word"].to_list() == ["Patte"]
    assert definitions(load(write(LEXICON, "me@de")), "hue") == ["A colour."]  # a file that is called so
    assert load(f"{dump.parent / 'me@de'}@de").definitions.height == 1


# Bad input


def test_broken_lines_are_skipped_counted_and_the_first_three_shown(write):
    broken = [b'{"word": "x", "lang_code"', b"[1, 2]", b"nonsense", b'{"word": 7, "lang_code": "en"}']
    broken += [b'{"word": "x", "lang_code": "en", "senses": [{"glosses": "text"}]}', b"[" * 100_000]
    found = load(write([PAWS, *broken, PAW, b'{"title": "Paw", "redirect": "paw"}']))
    assert definitions(found, "paw") == ["A soft foot.", "A hand."]
    [note] = found.notes
    assert note.startswith("skipped 6 broken of 9 lines: line 2 (")
    assert all(f"line {number} (" in note for number in (2, 3, 4))
    assert "line 5" not in note
    assert note.endswith(", ...")


def test_a_broken_line_is_counted_once_however_often_the_file_is_read(write):
    [skipped] = load(write([b"?", PAWS, PAW]), "paws").notes
    assert skipped.startswith("skipped 1 broken of 3 lines: line 1 (")
    assert not skipped.endswith("...")


def test_invalid_utf8_in_a_word_or_a_gloss(write):
    bad = [b'{"word": "\xff", "lang_code": "en"}', json.dumps(PAW).encode().replace(b"soft", b"s\xe9ft")]
    found = load(write([*bad, entry("hue", sense("A colour."))]))
    assert found.definitions["word"].to_list() == ["hue"]
    assert found.notes[0].startswith("skipped 2 broken of 3 lines: line 1 (")


def test_a_line_without_an_end_is_not_held(write, monkeypatch):
    monkeypatch.setattr(wiktionary_dump, "LONGEST_LINE", 5_000)
    monkeypatch.setattr(wiktionary_dump, "_BLOCK", 1_000)
    long = entry("long", sense("x" * 20_000))
    for entries in ([long, PAW], [PAW, long], [PAW, long, long, PAWS]):
        found = load(write(entries))
        assert set(found.definitions["word"]) <= {"paw", "paws"}
        assert "longer than" in found.notes[0]
    assert LONGEST_LINE > 10_000_000


@pytest.mark.parametrize("pack", [GZIP, ZSTD])
@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_compressed_file_that_is_cut_short(write, pack, cut):
    path = write(LEXICON, "cut", lambda text: pack(text)[:-cut])
    assert "is cut short, its compressed stream has no end; download it again" in refused(path, "paw")


@pytest.mark.parametrize("pack", [GZIP, ZSTD])
def test_a_compressed_file_that_is_damaged(write, pack):
    def damage(text):
        packed = pack(text * 50)
        return packed[: len(packed) // 2] + b"\xff" * 20 + packed[len(packed) // 2 + 20 :]

    assert "is damaged (" in refused(write(LEXICON, "bad", damage))
    assert "is damaged (" in refused(write(LEXICON, "more", lambda text: pack(text) + b"<html>"))


def test_a_plain_file_that_is_cut_short_loses_its_last_line(write):
    found = load(write([PAW, PAWS], pack=lambda text: text[:-20]))
    assert definitions(found, "paws") == []
    assert "skipped 1 broken of 2 lines: line 2 (" in found.notes[0]


def test_a_language_that_is_not_there_names_those_that_are(dump):
    said = refused(f"{dump}@xx")
    assert "has no entry of language 'xx'; it has en (8 entries), de (1 entries)" in said
    assert f"wiktionary:{dump}@en" in said


def test_of_many_languages_the_most_common_are_named(write):
    path = write([entry("x", sense("y"), code=f"c{number}") for number in range(30)])
    assert "and 20 more" in refused(path)


@pytest.mark.parametrize(
    "start", [b"<mediawiki xmlns=", b'\xef\xbb\xbf<?xml version="1.0"?>', b"\n <mediawiki>", b"<!DOCTYPE html>"]
)
@pytest.mark.parametrize("pack", [bytes, GZIP])
def test_the_raw_dump_says_what_to_run(write, start, pack):
    said = refused(write([start], "pages.xml", pack))
    assert "is XML" in said
    assert "run wiktextract on it, or download" in said
    assert "kaikki.org" in said


@pytest.mark.parametrize(
    ("start", "message"),
    [(b"BZh91AY", "run wiktextract"), (b"PK\x03\x04..", "unpack it"), (b"PAR1..", "name the folder")],
)
def test_other_kinds_of_files(write, start, message):
    assert message in refused(write([start]))


@pytest.mark.parametrize("content", [b"", b"\n\n", GZIP(b""), ZSTD(b"")])
def test_an_empty_file(write, content):
    path = write([], pack=lambda _: content)
    assert ("is empty" in (said := refused(path))) or "no line has a lang_code" in said


@pytest.mark.parametrize(
    ("entries", "message"),
    [([b"word,definition", b"paw,A foot."], "line 1 ("), ([{"a": 1}], "no line has a lang_code")],
)
def test_files_of_something_else(write, entries, message):
    said = refused(write(entries))
    assert "is no JSONL as wiktextract writes it" in said
    assert message in said
    text = "".join(json.dumps(line) + "\n" for line in LEXICON)
    assert "is no JSONL" in refused(write([], "utf16", lambda _: text.encode("utf-16")))


def test_places_that_are_not_there(tmp_path, dump):
    assert "no file or folder" in refused(tmp_path / "nothing")
    assert "is no Wiktionary store, it has no readable store.json" in refused(tmp_path)
    with pytest.raises(DictionaryError, match="wiktionary needs a file or a store"):
        load_dictionary("wiktionary")
    with pytest.raises(DictionaryError, match="names no place after the colon"):
        load_dictionary("wiktionary:")


def test_a_file_that_may_not_be_read(dump, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # file modes do not bind root
    assert "cannot read" in refused(dump)


# The store


@pytest.fixture
def store(dump, tmp_path):
    return build_store(dump, "en", tmp_path / "store").folder


def test_a_store_gives_what_its_dump_gives(dump, store):
    for texts in ((), ("paws",), ("grey", "7", "absent")):
        from_dump, from_store = load(dump, *texts), load(store, *texts)
        assert from_store.definitions.equals(from_dump.definitions)
        assert from_store.digest == from_dump.digest
        assert from_store.notes == from_dump.notes
        assert from_store.origin == str(store)


def test_a_store_of_many_parts_is_sorted_over_all(write, tmp_path, monkeypatch):
    monkeypatch.setattr(wiktionary_store, "_PART_SENSES", 60)
    monkeypatch.setattr(wiktionary_dump, "_SENSES", 45)
    names = [f"w{number * 7919 % 1000}" for number in range(500)]
    path = write([entry(name, sense("First."), sense(f"Of {name}."), sense("Of Paw.", form_of="w0")) for name in names])
    told = []
    made = build_store(path, "en", tmp_path / "store", lambda stage, done, total: told.append((stage, done, total)))
    assert (made.senses, made.words) == (1_500, len(set(names)))
    assert len(made.parts) > 10
    lines = pl.concat(pl.read_parquet(tmp_path / "store" / name) for name in made.parts)
    assert dict(lines.schema) == dict(SENSE_SCHEMA)
    assert lines.equals(lines.sort("folded", "order"))
    assert all(pl.scan_parquet(tmp_path / "store" / name).collect().height < 120 for name in made.parts)
    assert load(made.folder).definitions.equals(load(path).definitions)
    assert load(made.folder, *names[:5]).definitions.equals(load(path, *names[:5]).definitions)
    assert [stage for stage, _, _ in told] == sorted(stage for stage, _, _ in told)
    assert {stage for stage, _, _ in told} == {"reading", "sorting"}
    assert sorted(os.listdir(made.folder)) == sorted(["store.json", *made.parts])


def test_a_store_keeps_the_notes_of_its_dump(write, tmp_path):
    path = write([b"?", PAW, entry("x", sense(""))])
    made = build_store(path, "en", tmp_path / "store")
    assert load(made.folder).notes == load(path).notes == made.notes
    assert len(made.notes) == 2


def test_a_store_knows_its_language(dump, tmp_path):
    folder = build_store(dump, "de", tmp_path / "store").folder
    assert load(folder).definitions["word"].to_list() == load(f"{folder}@de").definitions["word"].to_list() == ["Patte"]
    assert "holds language 'de', not 'en'" in refused(f"{folder}@en")


def test_what_is_there_is_not_replaced(dump, store, tmp_path):
    before = {path: path.read_bytes() for path in store.iterdir()}
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in (store, tmp_path / "file", tmp_path / "empty", tmp_path / "link"):
        with pytest.raises(DictionaryError, match="exists; name a new folder"):
            build_store(dump, "en", out)
    assert {path: path.read_bytes() for path in store.iterdir()} == before


@pytest.mark.parametrize("entries", [[], [b"<mediawiki>"], [entry("x", sense("y"), code="fr")]])
def test_a_build_that_fails_leaves_nothing(write, tmp_path, entries):
    path = write(entries)
    with pytest.raises(DictionaryError):
        build_store(path, "en", tmp_path / "store")
    with pytest.raises(DictionaryError, match=r"cannot read .*absent"):
        build_store(tmp_path / "absent", "en", tmp_path / "store")
    assert os.listdir(tmp_path) == ["dump.jsonl"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), pl.exceptions.ComputeError("No space left")])
@pytest.mark.parametrize("when", [0, 1])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(dump, tmp_path, monkeypatch, error, when):
    write_parquet, calls = pl.DataFrame.write_parquet, []

    def full(frame, *given, **options):
        calls.append(1)
        if len(calls) > when:
            raise error
        write_parquet(frame, *given, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(DictionaryError, match=r"cannot write .*store \(No space left.*\); free some space"):
        build_store(dump, "en", tmp_path / "store")
    assert os.listdir(tmp_path) == ["dump.jsonl"]


def test_an_interrupted_build_leaves_nothing(dump, tmp_path):
    def interrupt(stage, done, total):
        if stage == "sorting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(dump, "en", tmp_path / "store", interrupt)
    assert os.listdir(tmp_path) == ["dump.jsonl"]


def test_a_store_in_a_folder_that_cannot_be_made(dump, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DictionaryError, match="cannot write"):
        build_store(dump, "en", tmp_path / "file" / "store")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: (s / "part-0000.parquet").unlink(), "No such file"),
        (lambda s: ((s / "part-0000.parquet").unlink(), (s / "part-0000.parquet").mkdir()), "Is a directory"),
        (lambda s: (s / "part-0000.parquet").write_bytes(b"PAR1"), "was changed since"),
        (lambda s: (s / "store.json").unlink(), "is no Wiktionary store"),
        (lambda s: (s / "store.json").write_text("{"), "is no Wiktionary store"),
        (lambda s: (s / "store.json").write_text("[]"), "is no Wiktionary store"),
        (lambda s: (s / "store.json").write_text('{"format": "x"}'), "is no Wiktionary store"),
        (lambda s: edit(s, format="defemb wiktionary store 0"), "build it again"),
        (lambda s: edit(s, parts={"part-0000.parquet": "0"}), "was changed since"),
        (lambda s: edit(s, parts=["part-0000.parquet"]), "is no Wiktionary store"),
    ],
)
def test_a_store_that_was_changed(store, damage, message):
    damage(store)
    assert message in refused(store)


def edit(folder, **values):
    found = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps({**found, **values}))


def test_a_part_from_outside_the_store_is_not_read(store, tmp_path):
    outside = tmp_path / "outside.parquet"
    outside.write_bytes((store / "part-0000.parquet").read_bytes())
    edit(store, parts={"../outside.parquet": hashlib.sha256(outside.read_bytes()).hexdigest()})
    assert "cannot read" in refused(store)


# The command line


def test_build_and_use_on_the_command_line(capfd, dump, tmp_path):
    out = tmp_path / "store"
    assert main(["dictionary", "build", str(dump), "--out", str(out)]) == 0
    shown = capfd.readouterr()
    assert shown.err.splitlines() == ["reading", "sorting"]
    assert shown.out == (f"wrote {out}: 9 senses of 5 words, language en; use it with --dictionary wiktionary:{out}\n")
    assert main(["dictionary", f"wiktionary:{out}"]) == 0
    assert f"{load(out).definitions.height} senses from {out}" in capfd.readouterr().out
    assert open_store(out).language == "en"


def test_notes_are_shown(capfd, write, tmp_path):
    path = write([b"?", PAW])
    assert main(["dictionary", "build", str(path), "--out", str(tmp_path / "store")]) == 0
    assert "skipped 1 broken of 2 lines" in capfd.readouterr().out
    assert main(["dictionary", f"wiktionary:{path}"]) == 0
    assert "skipped 1 broken of 2 lines" in capfd.readouterr().out


def test_another_language_on_the_command_line(capfd, dump, tmp_path):
    assert main(["dictionary", "build", str(dump), "--language", "de", "--out", str(tmp_path / "store")]) == 0
    assert "1 senses of 1 words, language de" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build"], "needs a dump and --out"),
        (["build", "x.jsonl"], "needs a dump and --out"),
        (["build", "--out", "x"], "needs a dump and --out"),
        (["wordnet", "x.jsonl"], "belong to 'dictionary build"),
        (["wordnet", "--language", "en"], "belong to 'dictionary build"),
        (["build", "/no/such/file", "--out", "OUT"], "cannot read /no/such/file"),
    ],
)
def test_mistakes_on_the_command_line(capfd, tmp_path, arguments, message):
    assert main(["dictionary", *[str(tmp_path / "new") if word == "OUT" else word for word in arguments]]) == 2
    [line] = capfd.readouterr().err.splitlines()[-1:]
    assert message in line
    assert os.listdir(tmp_path) == []


def test_a_bar_on_a_terminal(capfd, dump, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["dictionary", "build", str(dump), "--out", str(tmp_path / "store")]) == 0
    shown = capfd.readouterr().err
    assert "\rreading " in shown
    assert "\rsorting " in shown
