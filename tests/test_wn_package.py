import builtins

import polars as pl
import pytest
import wn

from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import DEFINITION_SCHEMA, load_dictionary, wn_package
from defemb_core.errors import DictionaryError
from defemb_core.vocabulary import CASES, KINDS

ENTRIES = [  # part of speech, forms, (synset, count, sense relations)
    ("n", ["dog"], [("animal", 3, ""), ("hinge", 0, "")]),
    ("v", ["dog"], [("chase", 2, "derivation:s-animal-0")]),
    ("n", ["wolf", "wolves"], [("wild", 0, "")]),
    ("n", ["hound"], [("animal", 0, "")]),
    ("n", ["beast"], [("creature", 0, "")]),
    ("s", ["dusky"], [("dim", 0, "antonym:s-bright-10")]),
    ("a", ["dark"], [("dark", 0, "")]),
    ("x", ["Dog"], [("name", 0, "")]),
    ("n", ["nothing"], [("bare", 0, "")]),
    ("n", ["pooch"], [("animal", 0, "")]),
    ("a", ["bright"], [("bright", 0, "")]),
]
SYNSETS = [  # name, part of speech, definition, relations
    ("animal", "n", "a kept animal", "hypernym:creature"),
    ("hinge", "n", "a catch that fits a notch", ""),
    ("chase", "v", "run after", ""),
    ("wild", "n", "an animal of the woods", "hypernym:creature hyponym:animal"),
    ("creature", "n", "what lives", "hyponym:animal"),
    ("dim", "s", "of little light", "similar:dark"),
    ("dark", "a", "without light", "similar:dim"),
    ("name", "x", "what many are called", ""),
    ("bare", "n", "", ""),
    ("bright", "a", "full of light", ""),
]
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "{dtd}">
<LexicalResource xmlns:dc="{dc}">"""
DTD, DC = "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd", "https://globalwordnet.github.io/schemas/dc/"


def relations(tag, text, prefix):
    pairs = [pair.split(":") for pair in text.split()]
    return "".join(f'<{tag} relType="{name}" target="{prefix}{to}"/>' for name, to in pairs)


def lexicon(name, version, entries=ENTRIES, synsets=SYNSETS, requires=""):
    """A lexicon in LMF; ids are names with the lexicon's in front, senses are numbered by entry."""
    lines = [
        f'<Lexicon id="{name}" label="{name}" language="en" email="a@b" license="ours" version="{version}">',
        requires,
    ]
    for number, (pos, forms, senses) in enumerate(entries):
        lines.append(f'<LexicalEntry id="{name}-e{number}"><Lemma writtenForm="{forms[0]}" partOfSpeech="{pos}"/>')
        lines += [f'<Form writtenForm="{form}"/>' for form in forms[1:]]
        for synset, count, links in senses:
            links = relations("SenseRelation", links, f"{name}-")
            counted = f"<Count>{count}</Count>" * bool(count)
            lines.append(f'<Sense id="{name}-s-{synset}-{number}" synset="{name}-{synset}">{links}{counted}</Sense>')
        lines.append("</LexicalEntry>")
    for number, (synset, pos, definition, links) in enumerate(synsets):
        told = f"<Definition>{definition}</Definition>" * bool(definition)
        links = relations("SynsetRelation", links, f"{name}-")
        lines.append(f'<Synset id="{name}-{synset}" ili="i{number}" partOfSpeech="{pos}">{told}{links}</Synset>')
    return "\n".join([*lines, "</Lexicon>"])


def add(folder, *lexicons):
    path = folder / "added.xml"
    path.write_text("\n".join([HEAD.format(dtd=DTD, dc=DC), *lexicons, "</LexicalResource>"]), encoding="utf-8")
    wn.add(path, progress_handler=None)


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A database and a cache of each test's own."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    before = wn.config.data_directory
    wn.config.data_directory = tmp_path / "wn"
    yield
    wn.config.data_directory = before


@pytest.fixture
def ours(tmp_path):
    add(tmp_path, lexicon("ours", "1"))
    return load_dictionary("wn:ours:1").definitions


def senses(frame, word):
    found = frame.filter(pl.col("word") == word)
    return list(found.select("pos", "definition", "sense").iter_rows())


# Reading


def test_frame_follows_the_definition_schema(ours):
    assert dict(ours.schema) == {**DEFINITION_SCHEMA, "synset": pl.String(), "related": pl.String()}
    assert set(ours["source"]) == {"wn"}


def test_senses_come_by_count_across_parts_of_speech_and_are_numbered_by_folded_word(ours):
    assert senses(ours, "dog") == [
        ("noun", "a kept animal", 0),
        ("verb", "run after", 1),
        ("noun", "a catch that fits a notch", 2),
    ]
    assert senses(ours, "Dog") == [(None, "what many are called", 3)]


def test_other_forms_name_their_lemma(ours):
    assert ours.filter(pl.col("word") == "wolves").select("definition", "form_of", "related").rows() == [
        ("an animal of the woods", "wolf", "beast")
    ]
    assert ours.filter(pl.col("word") != "wolves")["form_of"].is_null().all()


def test_parts_of_speech_are_wordnets(ours):
    assert senses(ours, "dusky") == [("adjective", "of little light", 0)]


def test_synsets_without_definition_are_left_out(ours):
    assert "nothing" not in ours["word"].to_list()


@pytest.mark.parametrize(
    ("word", "sense", "related"),
    [
        ("dog", 0, "hound, pooch; beast"),  # no hyponyms
        ("dog", 1, "hound, pooch"),  # derived, less the word itself
        ("hound", 0, "dog, pooch; beast"),
        ("dusky", 0, "dark"),  # a satellite's head; its antonym is left out
        ("dark", 0, None),  # not the satellites of a head
        ("beast", 0, None),
    ],
)
def test_related_words(ours, word, sense, related):
    [found] = ours.filter((pl.col("word") == word) & (pl.col("sense") == sense))["related"]
    assert found == related


def test_rows_match_by_word_and_by_form(ours, tmp_path):
    texts = ["dog", "wolves", "cat"]
    rows = pl.DataFrame(
        {
            "token_id": range(3),
            "token": texts,
            "text": texts,
            "kind": pl.Series(["word"] * 3, dtype=KINDS),
            "case": pl.Series(["lower"] * 3, dtype=CASES),
        }
    )
    matches = match_definitions(rows, load_dictionary("wn:ours"))
    assert matches["token_id"].to_list() == [0, 0, 0, 0, 1]
    assert matches["how"].to_list()[-1] == "lemma"


def test_a_lexicon_without_definitions_borrows_those_it_was_built_on(tmp_path):
    chien = [("n", ["chien"], [("animal", 0, "")]), ("n", ["rien"], [("bare", 0, "")])]
    synsets = [(name, pos, "", "") for name, pos, *_ in SYNSETS]
    requires = '<Requires id="ours" version="1"/>'
    add(tmp_path, lexicon("ours", "1"))
    add(tmp_path, lexicon("theirs", "1", chien, synsets, requires))
    dictionary = load_dictionary("wn:theirs")
    assert dictionary.definitions.select("word", "definition").rows() == [("chien", "a kept animal")]
    assert dictionary.notes[0].startswith("1 definitions are those of the lexicons that theirs:1 builds on")


# Cache and digest


def test_the_second_load_comes_from_the_cache_and_a_changed_database_does_not(tmp_path, monkeypatch):
    reads, read = [], wn_package.read_lexicon
    monkeypatch.setattr(wn_package, "read_lexicon", lambda name: reads.append(name) or read(name))
    add(tmp_path, lexicon("ours", "1"))
    first, second = load_dictionary("wn"), load_dictionary("wn")
    assert reads == ["ours:1"]
    assert first.definitions.equals(second.definitions)
    assert first.digest == second.digest
    add(tmp_path, lexicon("more", "1", ENTRIES[:1]))
    third = load_dictionary("wn:ours")
    assert reads == ["ours:1", "ours:1"]
    assert third.digest == first.digest  # of what was read, whatever else the database holds
    assert load_dictionary("wn:more").digest != first.digest


# Names


def test_one_lexicon_needs_no_name_and_a_name_no_version(tmp_path):
    add(tmp_path, lexicon("ours", "1"))
    assert {load_dictionary(spec).origin for spec in ("wn", "wn:ours", "wn:ours:1")} == {"wn package, ours:1"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("wn", "several wordnets fit; write wn: and one of ours:1, ours:2, theirs:1"),
        ("wn:ours", "several wordnets fit; write wn: and one of ours:1, ours:2"),
        ("wn:ours:3", "the wn package has no wordnet 'ours:3'; installed: ours:1, ours:2, theirs:1"),
        ("wn:*", "the wn package has no wordnet '*'; installed: ours:1, ours:2, theirs:1"),
    ],
)
def test_names_that_do_not_fit_one_lexicon_are_answered_with_those_that_are_there(tmp_path, spec, message):
    for name, version in (("ours", "1"), ("ours", "2"), ("theirs", "1")):
        add(tmp_path, lexicon(name, version))
    with pytest.raises(DictionaryError) as caught:
        load_dictionary(spec)
    assert str(caught.value) == message


def test_without_a_database_the_message_says_how_to_get_a_wordnet(tmp_path):
    with pytest.raises(DictionaryError, match="no wordnet yet; get one first: python -m wn download oewn:2024"):
        load_dictionary("wn")
    assert not (tmp_path / "wn").exists()  # asking makes none


def test_an_empty_lexicon_is_refused(tmp_path):
    add(tmp_path, lexicon("ours", "1", [], []))
    with pytest.raises(DictionaryError, match="ours:1 of the wn package has no definitions"):
        load_dictionary("wn")


def test_a_spoilt_database_is_named(tmp_path):
    (tmp_path / "wn").mkdir()
    (tmp_path / "wn" / "wn.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DictionaryError, match=r"cannot read the wn package's database .*wn\.db"):
        load_dictionary("wn")


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    imports = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "wn":
            raise ImportError(name)
        return imports(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DictionaryError, match="pip install wn, then python -m wn download oewn:2024"):
        load_dictionary("wn")


def test_it_loads_in_any_thread(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    add(tmp_path, lexicon("ours", "1"))
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(load_dictionary, "wn").result()
        assert other.submit(load_dictionary, "wn").result().definitions.height
