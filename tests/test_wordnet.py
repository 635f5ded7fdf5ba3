import hashlib
import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import polars as pl
import pytest
from installed import missing
from tiny_wordnet import SYNSETS, offsets_of, write_tiny_wordnet

from defemb_core import cache
from defemb_core.dictionaries import DEFINITION_SCHEMA, Dictionary, load_dictionary, wordnet, wordnet_files
from defemb_core.errors import DictionaryError

REAL = Path("/usr/share/wordnet")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No test sees this machine's WordNet, cache, package manager or network unless it says so."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setattr(wordnet_files, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(wordnet_files.shutil, "which", lambda name: None)

    def refuse(address, timeout):
        raise OSError("no network in tests")

    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", refuse)


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_wordnet(tmp_path / "tiny")


def senses(frame, word):
    """(pos, definition) of a word's senses, in the order of their numbers."""
    mine = frame.filter(pl.col("word").str.to_lowercase() == word).sort("sense")
    assert mine["sense"].to_list() == list(range(mine.height))
    return list(mine.select("pos", "definition").iter_rows())


def definition(frame, word):
    [(_, text)] = senses(frame, word)
    return text


# Reading


def test_frame_follows_the_definition_schema(tiny):
    frame = wordnet.read_wordnet(tiny)
    assert dict(frame.schema) == {**DEFINITION_SCHEMA, "synset": pl.String(), "related": pl.String()}
    assert set(frame["source"]) == {"wordnet"}
    assert frame["form_of"].is_null().all()


def test_one_line_for_each_folded_word_and_synset(tiny):
    frame = wordnet.read_wordnet(tiny)
    pairs = [
        (synset.name, word)
        for synset in SYNSETS
        for word in {w.partition(":")[0].lower() for w in synset.words.split()}
    ]
    assert frame.height == len(pairs)
    assert frame["synset"].n_unique() == len(SYNSETS)


def test_synset_is_part_of_speech_and_byte_offset(tiny):
    frame = wordnet.read_wordnet(tiny)
    offset = offsets_of("noun")["shore"]
    assert set(frame.filter(pl.col("synset") == f"noun-{offset}")["word"]) == {"bank", "river bank"}
    assert (tiny / "data.noun").read_bytes()[int(offset) :].startswith(offset.encode())


def test_words_keep_their_case_and_lose_underscores_and_markers(tiny):
    words = wordnet.read_wordnet(tiny)["word"].to_list()
    assert "B" in words
    assert "b" not in words  # the same word in the same synset: the first spelling stands
    assert {"river bank", "on the job", "dark", "run down"} <= set(words)
    assert not [word for word in words if "_" in word or "(" in word]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("river bank", "sloping land beside a river"),  # one example
        ("dimly", "in a dim manner"),  # no blank before the example
        ("on the job", 'a workplace; as in the expression "on the job"'),  # a quotation, no example
        ("stride", 'progress (in the phrase; "make strides") of a kind'),  # a quotation in parentheses
        ("dusky", "somewhat lit"),  # none
    ],
)
def test_examples_are_cut_and_quotations_stay(tiny, word, expected):
    assert definition(wordnet.read_wordnet(tiny), word) == expected


def test_examples_after_comma_or_colon_are_cut(tiny):
    frame = wordnet.read_wordnet(tiny)
    assert ("verb", "bring to a lender") in senses(frame, "bank")
    assert senses(frame, "run") == [("verb", "move fast"), ("adverb", "in a row"), ("noun", "a score in a game")]


def test_senses_merge_by_tag_count_inside_the_order_of_each_part_of_speech(tiny):
    # noun 9, 5 and verb 7, 8: always the larger of the two next ones, so 8 comes after 7 and before 5.
    assert [text for _, text in senses(wordnet.read_wordnet(tiny), "bank")] == [
        "a company that lends money",
        "tip sideways",
        "bring to a lender",
        "sloping land beside a river",
    ]


def test_a_tagged_sense_never_overtakes_an_earlier_one_of_its_part_of_speech(tmp_path):
    folder = write_tiny_wordnet(tmp_path / "late", tag_counts=("bank%2:04:01:: 2 99", "bank%2:04:00:: 1 1"))
    assert [pos for pos, _ in senses(wordnet.read_wordnet(folder), "bank")] == ["verb", "verb", "noun", "noun"]
    assert senses(wordnet.read_wordnet(folder), "bank")[0] == ("verb", "tip sideways")


def test_ties_and_missing_tag_counts_go_noun_verb_adjective_adverb(tmp_path, tiny):
    assert [pos for pos, _ in senses(wordnet.read_wordnet(tiny), "run")] == ["verb", "adverb", "noun"]  # 6, 6, 0
    bare = wordnet.read_wordnet(write_tiny_wordnet(tmp_path / "bare", tag_counts=None))
    assert [pos for pos, _ in senses(bare, "run")] == ["noun", "verb", "adverb"]
    assert [pos for pos, _ in senses(bare, "bank")] == ["noun", "noun", "verb", "verb"]


@pytest.mark.parametrize("key", ["dim%5:04:00:dark:00", "dim%5:04:00:dark(a):00"])
def test_satellites_are_counted_by_their_head_word(tmp_path, key):
    # "dim" in two satellites differs by nothing but the head, so the adjective's count must meet the right one.
    folder = write_tiny_wordnet(tmp_path / "satellites", tag_counts=(f"{key} 1 2",))
    synsets = wordnet.read_synsets(folder, "adj")
    counts = wordnet.read_tag_counts(folder)["dim"]
    found = {s.definition: wordnet._tag_count(counts, s, "dim", synsets) for s in synsets.values() if "dim" in s.lemmas}
    assert found == {"somewhat lit": 2, "without strength": 0}


# Related words


def related(frame, name):
    """Word to related words, of a synset of the tiny lexicon."""
    [synset] = [synset for synset in SYNSETS if synset.name == name]
    identity = f"{wordnet.PARTS_OF_SPEECH[synset.part]}-{offsets_of(synset.part)[name]}"
    return dict(frame.filter(pl.col("synset") == identity).select("word", "related").iter_rows())


ANIMALS = "canine, canid, domestic animal"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "dog",  # synonyms; two hypernyms; the verb "dog, tail", of which a line never repeats its own word
            {
                "dog": f"domestic dog, Canis familiaris; {ANIMALS}; tail",
                "domestic dog": f"dog, Canis familiaris; {ANIMALS}; dog, tail",
                "Canis familiaris": f"dog, domestic dog; {ANIMALS}; dog, tail",
            },
        ),
        ("canine", {"canine": "canid", "canid": "canine"}),  # hyponyms (~) do not count
        ("rex", {"Rex": "dog, domestic dog, Canis familiaris"}),  # an instance; no word has a synonym here
        ("chase", {"dog": "tail; domestic dog, Canis familiaris", "tail": "dog; dog, domestic dog, Canis familiaris"}),
        ("dusky", {"dusky": "dim; dark", "dim": "dusky; dark"}),  # head without its marker
        ("dark", {"dark": "B"}),  # = & ! in the file: attribute, no satellite, no antonym
        ("drained", {"dim": "run down; tired", "run down": "dim; tired"}),
        ("dimly", {"dimly": "dusky, dim"}),  # pertainym
        ("letter", {"B": None}),  # in two cases: one word
        ("lender", {"bank": "B"}),  # two pointers to one word, once in the group
        ("tilt", {"bank": None}),  # verb frames are no pointers
        ("running", {"run": None}),
    ],
)
def test_related_words(tiny, name, expected):
    assert related(wordnet.read_wordnet(tiny), name) == expected


def test_reading_twice_gives_the_same_frame(tiny):
    assert wordnet.read_wordnet(tiny).equals(wordnet.read_wordnet(tiny))


# Files that are not as they should be


def test_folder_without_files_is_named_with_what_it_lacks(tmp_path, tiny):
    (tiny / "data.adv").unlink()
    for door in (wordnet.read_wordnet, wordnet_files.ensure_wordnet, wordnet.load_wordnet):
        with pytest.raises(DictionaryError, match=r"tiny lacks data\.adv;"):
            door(tiny)


def cut_inside(content, number):
    """The content up to the middle of a line, counted from 1."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: number - 1]) + lines[number - 1][:-9]


@pytest.mark.parametrize(
    ("name", "spoil", "blamed"),
    [
        ("data.noun", lambda content: cut_inside(content, 4), "data.noun line 4"),
        ("index.verb", lambda content: cut_inside(content, 3), "index.verb line 3"),
        ("cntlist.rev", lambda content: cut_inside(content, 2), "cntlist.rev line 2"),
        ("data.noun", lambda content: b"".join(content.splitlines(True)[:-1]), "index.noun line 13"),  # lost "run"
        ("index.noun", lambda content: b"".join(content.splitlines(True)[:-1]), "index.noun line 13"),
        ("data.adv", lambda content: content.replace(b"dimly 0 001", b"dimly 0 007"), "data.adv line 2"),
        ("data.adv", lambda content: content.replace(b" 04 r ", b" 04 q "), "data.adv line 2"),
        ("data.adv", lambda content: content.replace(b"a 0101", b"n 0101"), "data.adv line 2"),  # no such noun
        ("data.adj", lambda content: content.replace(b"rest", b"r\xffst"), "data.adj line 4"),
        ("index.adj", lambda content: content.replace(b"dark a 1", b"dark a 2"), "index.adj line 2"),
        ("cntlist.rev", lambda content: content.replace(b"2 5\n", b"2 five\n"), "cntlist.rev line 1"),
    ],
)
def test_truncated_and_garbled_files_are_blamed_by_line(tiny, name, spoil, blamed):
    content = (tiny / name).read_bytes()
    spoilt = spoil(content)
    assert spoilt != content
    (tiny / name).write_bytes(spoilt)
    with pytest.raises(DictionaryError, match=f"{blamed}:"):
        wordnet.read_wordnet(tiny)


def test_empty_files_are_refused(tiny):
    for kind in ("data", "index"):
        (tiny / f"{kind}.adv").write_bytes(b"")
    with pytest.raises(DictionaryError, match=r"index\.adv"):
        wordnet.read_wordnet(tiny)


# The cache


@pytest.fixture
def reads(monkeypatch):
    """How often WordNet was read from its own files: one entry a time."""
    done, read = [], wordnet.read_wordnet

    def counting(folder):
        done.append(folder)
        return read(folder)

    monkeypatch.setattr(wordnet, "read_wordnet", counting)
    return done


def cached_files():
    return sorted((cache.cache_folder() / "dictionaries").iterdir())


def test_second_load_comes_from_the_cache(tiny, reads):
    first, second = wordnet.load_wordnet(tiny), wordnet.load_wordnet(tiny)
    assert len(reads) == 1
    assert second.definitions.equals(first.definitions)
    assert (second.name, second.digest, second.origin) == ("wordnet", first.digest, str(tiny))


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:99] + b"?" + b[100:]])
@pytest.mark.parametrize("which", [0, 1])
def test_damaged_cache_is_built_again(tiny, reads, damage, which):
    whole = wordnet.load_wordnet(tiny)
    victim = cached_files()[which]  # the Parquet file, the checksum beside it
    victim.write_bytes(damage(victim.read_bytes()))
    assert wordnet.load_wordnet(tiny).definitions.equals(whole.definitions)
    if which == 0:
        assert len(reads) == 2
    wordnet.load_wordnet(tiny)
    assert len(reads) <= 2  # whole again


def test_cache_replaced_by_another_whole_frame_is_built_again(tiny):
    whole = wordnet.load_wordnet(tiny).definitions
    whole.with_columns(definition=pl.lit("tampered")).write_parquet(cached_files()[0])
    assert wordnet.load_wordnet(tiny).definitions.equals(whole)


@pytest.mark.parametrize("name", ["data.adv", "index.verb", "cntlist.rev"])
def test_changed_source_is_read_again(tiny, reads, name):
    before = wordnet.load_wordnet(tiny)
    (tiny / name).write_bytes((tiny / name).read_bytes().replace(b"  1 A ", b"  1 a ").replace(b"2 5\n", b"2 4\n"))
    after = wordnet.load_wordnet(tiny)
    assert after.digest != before.digest
    assert len(reads) == 2


def test_cache_that_cannot_be_written_does_not_stop_the_load(tmp_path, tiny, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "file"))
    assert wordnet.load_wordnet(tiny).definitions.height
    assert "cannot keep" in caplog.text


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "kept"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["kept"]


def test_cache_folder_is_the_named_one_or_the_systems(tmp_path, monkeypatch):
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DEFEMB_CACHE")
    assert cache.cache_folder().is_absolute()
    assert cache.cache_folder().name in ("defemb", "Cache")  # Windows keeps caches one level deeper


# By name


def test_load_dictionary_by_spec(tiny, monkeypatch):
    assert load_dictionary(f"wordnet:{tiny}").origin == str(tiny)
    monkeypatch.setenv("WNSEARCHDIR", str(tiny))
    assert load_dictionary("wordnet").origin == str(tiny)


@pytest.mark.parametrize(
    ("spec", "message"), [("oed", "unknown dictionary 'oed'; known: wordnet,"), ("wordnet:", "no place")]
)
def test_bad_specs_say_what_is_known(spec, message):
    with pytest.raises(DictionaryError, match=message):
        load_dictionary(spec)


def test_dictionary_checks_its_columns(tiny):
    frame = wordnet.read_wordnet(tiny)
    with pytest.raises(DictionaryError, match="sense"):
        Dictionary(frame.with_columns(pl.col("sense").cast(pl.Int64)), "tiny", "0" * 64, "here")
    with pytest.raises(DictionaryError, match="form_of"):
        Dictionary(frame.drop("form_of"), "tiny", "0" * 64, "here")


# Finding and obtaining


def test_order_of_places(tmp_path, monkeypatch):
    places = {
        name: write_tiny_wordnet(tmp_path / name) for name in ("named", "searched", "system", "cache/wordnet-3.0")
    }
    monkeypatch.setattr(wordnet_files, "_SYSTEM_FOLDERS", (str(tmp_path / "absent"), str(places["system"])))
    monkeypatch.setenv("WNSEARCHDIR", str(places["searched"]))
    assert wordnet_files.ensure_wordnet(places["named"]) == places["named"]
    assert wordnet_files.ensure_wordnet() == places["searched"]
    monkeypatch.delenv("WNSEARCHDIR")
    assert wordnet_files.ensure_wordnet() == places["system"]
    (places["system"] / "data.verb").unlink()
    assert wordnet_files.ensure_wordnet() == places["cache/wordnet-3.0"]


def test_bad_search_folder_is_an_error_not_a_fallback(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(wordnet_files, "_SYSTEM_FOLDERS", (str(tiny),))
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "nowhere"))
    with pytest.raises(DictionaryError, match=r"WNSEARCHDIR.*nowhere lacks data\.noun"):
        wordnet_files.ensure_wordnet()


def test_when_nothing_works_the_sentence_names_what_was_tried_and_the_ways_out(tmp_path):
    with pytest.raises(DictionaryError) as caught:
        wordnet_files.ensure_wordnet()
    for part in ("no apt-get", "no network in tests", "wordnet-base", "brew install wordnet", "WNSEARCHDIR"):
        assert part in str(caught.value)
    assert leftovers() == []


def leftovers():
    return os.listdir(cache.cache_folder()) if cache.cache_folder().exists() else []


def archive_of(folder):
    """Bytes of an archive laid out as Princeton's, with a file that must not come out of it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(folder, "dict")
        for name in ("dict/lexnames", "../../escaped"):
            tar.addfile(tarfile.TarInfo(name))
    return packed.getvalue()


@pytest.fixture
def served(tiny, monkeypatch):
    """The tiny lexicon as the archive that the network serves, its checksum as the expected one."""
    content = archive_of(tiny)
    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", lambda address, timeout: io.BytesIO(content))
    monkeypatch.setattr(wordnet_files, "_ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    return content


def test_archive_is_unpacked_into_the_cache_once(tmp_path, tiny, served, monkeypatch):
    folder = wordnet_files.ensure_wordnet()
    assert folder == tmp_path / "cache" / "wordnet-3.0"
    assert sorted(os.listdir(folder)) == sorted(os.listdir(tiny))  # neither lexnames nor escaped
    assert leftovers() == ["wordnet-3.0"]
    assert wordnet.read_wordnet(folder).equals(wordnet.read_wordnet(tiny))
    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", None)
    assert wordnet_files.ensure_wordnet() == folder


def test_wrong_checksum_is_refused_and_leaves_nothing(served, monkeypatch):
    monkeypatch.setattr(wordnet_files, "_ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(DictionaryError, match=f"SHA-256 is {hashlib.sha256(served).hexdigest()}, expected 0000"):
        wordnet_files.ensure_wordnet()
    assert leftovers() == []


def test_endless_archive_is_cut_off(served, monkeypatch):
    monkeypatch.setattr(wordnet_files, "_ARCHIVE_LIMIT", len(served) - 1)
    with pytest.raises(DictionaryError, match="larger than"):
        wordnet_files.ensure_wordnet()
    assert leftovers() == []


def test_slow_archive_is_given_up(served, monkeypatch):
    monkeypatch.setattr(wordnet_files, "_FETCH_LIMIT", -1)
    with pytest.raises(DictionaryError, match="not complete after"):
        wordnet_files.ensure_wordnet()
    assert leftovers() == []


def test_archive_without_all_files_is_refused(tiny, monkeypatch):
    (tiny / "index.adj").unlink()
    content = archive_of(tiny)
    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", lambda address, timeout: io.BytesIO(content))
    monkeypatch.setattr(wordnet_files, "_ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(DictionaryError, match=r"lacks index\.adj"):
        wordnet_files.ensure_wordnet()
    assert leftovers() == []


def test_incomplete_cache_folder_is_replaced(served):
    folder = write_tiny_wordnet(cache.cache_folder() / "wordnet-3.0")
    (folder / "data.noun").unlink()
    assert wordnet_files.ensure_wordnet() == folder
    assert (folder / "data.noun").is_file()
    assert leftovers() == ["wordnet-3.0"]


@pytest.fixture
def apt(monkeypatch):
    """A system with apt-get and dpkg-deb that play along; returns the commands they were called with."""
    called = []

    def run(words, cwd, **options):
        called.append(words[:2])
        if words[0] == "apt-get":
            (Path(cwd) / "wordnet-base_1%3a3.0-37_all.deb").write_bytes(b"package")
        else:
            write_tiny_wordnet(Path(cwd) / words[3] / "usr" / "share" / "wordnet")
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(wordnet_files.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(wordnet_files.subprocess, "run", run)
    return called


def test_two_at_once_both_get_a_whole_folder(apt, monkeypatch):
    meeting, publish, downloads, got = threading.Barrier(2, timeout=10), wordnet_files._publish, [], []

    def publish_together(staging, target):
        meeting.wait()
        publish(staging, target)

    monkeypatch.setattr(wordnet_files, "_publish", publish_together)
    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", lambda address, timeout: downloads.append(address))
    threads = [threading.Thread(target=lambda: got.append(wordnet_files.ensure_wordnet())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [cache.cache_folder() / "wordnet-3.0"] * 2
    assert downloads == []  # who comes second takes the first one's folder and tries no other source
    assert leftovers() == ["wordnet-3.0"]
    assert wordnet.read_wordnet(got[0]).height


def test_a_folder_that_another_process_published_meanwhile_counts(monkeypatch):
    def lose(address, timeout):
        write_tiny_wordnet(cache.cache_folder() / "wordnet-3.0")
        raise OSError("connection lost")

    monkeypatch.setattr(wordnet_files.urllib.request, "urlopen", lose)
    assert wordnet_files.ensure_wordnet() == cache.cache_folder() / "wordnet-3.0"


def test_package_comes_before_the_archive(tiny, apt):
    folder = wordnet_files.ensure_wordnet()  # the network refuses in these tests
    assert apt == [("apt-get", "download"), ("dpkg-deb", "-x")]
    assert wordnet.read_wordnet(folder).equals(wordnet.read_wordnet(tiny))
    assert leftovers() == ["wordnet-3.0"]


@pytest.mark.parametrize(
    "outcome",
    [
        subprocess.CompletedProcess((), 100, "", "E: Unable to locate package"),
        subprocess.TimeoutExpired("apt-get", 1),
        OSError(),
    ],
)
def test_archive_stands_in_when_the_package_fails(served, apt, monkeypatch, outcome):
    def run(words, **options):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(wordnet_files.subprocess, "run", run)
    assert (wordnet_files.ensure_wordnet() / "data.noun").is_file()
    assert leftovers() == ["wordnet-3.0"]


# The real one


@pytest.fixture(scope="module")
def real():
    if not (REAL / "data.noun").is_file():
        missing(f"wordnet is not installed in {REAL}")
    return wordnet.read_wordnet(REAL)


def test_wordnet_3_0_as_a_whole(real):
    folded = real["word"].str.to_lowercase()
    assert folded.n_unique() == 147_306
    assert real["synset"].n_unique() == 117_659
    assert not real["definition"].str.contains('; *"').filter(~real["definition"].str.contains(r"\(")).any()
    assert real["definition"].str.len_chars().min() > 0
    first = real.filter((pl.col("sense") == 0) & pl.col("word").is_in(["run", "dog", "use"]))
    assert dict(first.select("word", "pos").iter_rows()) == {"run": "verb", "dog": "noun", "use": "verb"}
    nouns = real.filter(pl.col("pos") == "noun").group_by(pl.col("word").str.to_lowercase(), maintain_order=True)
    offsets = dict(nouns.agg(pl.col("synset").sort_by("sense").str.slice(-8)).iter_rows())
    for line in (REAL / "index.noun").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            assert offsets[fields[0].replace("_", " ")] == fields[-int(fields[2]) :]
    counted = real.group_by(folded.alias("folded")).agg(pl.col("sense").sort())
    assert (counted["sense"].list.max() + 1 == counted["sense"].list.n_unique()).all()


def test_related_words_of_wordnet_3_0(real):
    dog = real.filter((pl.col("word") == "dog") & (pl.col("synset") == "noun-02084071"))
    expected = "domestic dog, Canis familiaris; canine, canid, domestic animal, domesticated animal"
    assert dog["related"].to_list() == [expected]
    assert not real["related"].str.contains(r"_|\((?:a|p|ip)\)|^[,;]|[,;] ?$|, ,|; ;").any()
    parts = real["related"].str.replace_all("; ", ", ", literal=True).str.to_lowercase().str.split(", ")
    names_itself = real.select(own=pl.col("word").str.to_lowercase(), parts=parts).select(
        pl.col("parts").list.contains(pl.col("own"))
    )
    assert not names_itself.to_series().any()
