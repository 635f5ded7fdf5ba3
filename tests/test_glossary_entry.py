import csv
import os
import subprocess
import sys

import polars as pl
import pytest

from defemb_core.dictionaries.glossary import LONGEST, load_glossary
from defemb_core.dictionaries.glossary_entry import HEADER, add_entry
from defemb_core.errors import DictionaryError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "glossary.csv"


def entries(path):
    return load_glossary(str(path)).definitions.select("word", "definition", "pos").rows()


def kept(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return content


def test_the_first_entry_makes_the_file(path):
    assert add_entry(path, "krill", "small animals", "noun")
    assert path.read_text() == HEADER + "krill,noun,small animals\n"
    assert add_entry(path, "##ing", "the act of")
    assert entries(path) == [("krill", "small animals", "noun"), ("##ing", "the act of", None)]
    assert os.listdir(path.parent) == ["glossary.csv"]


@pytest.mark.parametrize(
    "cell", ["=1+1", "+", "-x", "@", "= ", "'=", "''-", '"', 'a "b" c', ",", ";", "|", "'em", "é–中😀", "#"]
)
def test_any_text_comes_back(path, cell):
    for word, definition in ((cell, "first"), ("other", cell), (cell, cell)):
        assert add_entry(path, word, definition)
    cell = cell.strip()
    assert [row[:2] for row in entries(path)] == [(cell, "first"), ("other", cell), (cell, cell)]
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]


def test_blanks_and_line_breaks_are_joined(path):
    add_entry(path, " sea\tice ", "frozen\r\nwater\n")
    assert entries(path) == [("sea ice", "frozen water", None)]
    assert len(path.read_text().splitlines()) == 2


def test_an_entry_that_is_there_is_not_added_again(path):
    assert add_entry(path, "Sea_ice", "frozen water", "noun")
    before = path.read_bytes()
    assert not add_entry(path, "sea ice", "frozen  water")
    assert path.read_bytes() == before
    assert add_entry(path, "sea ice", "another sense")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("last", [True, False])
def test_what_stands_in_the_file_stays_to_the_byte(path, end, encoding, delimiter, last):
    lines = [["id", "Meaning", "Term"], ["1", "Ort für Kaffee", "café"], ["2", '"two', 'lines"', "b"]]
    text = end.join([delimiter.join(lines[0]), delimiter.join(lines[1]), f'2{delimiter}"two{end}lines"{delimiter}b'])
    before = kept(path, (text + end * last).encode(encoding))
    assert add_entry(path, "naïve", f"without{delimiter} experience", "adjective")
    after = path.read_bytes()
    assert after.startswith(before)
    assert entries(path)[-1] == ("naïve", f"without{delimiter} experience".replace("\t ", " "), None)
    assert len(entries(path)) == 3
    assert after.decode(encoding).endswith("naïve" + end)


def test_the_files_mode_and_a_link_to_it_stay(path, tmp_path):
    kept(path, HEADER)
    path.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    add_entry(link, "a", "b")
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert entries(path) == [("a", "b", None)]


def test_an_empty_file_gets_its_header(path):
    kept(path, "")
    add_entry(path, "a", "b")
    assert path.read_text() == HEADER + "a,,b\n"


def test_of_processes_that_add_at_once_none_loses_anothers(path):
    code = (
        "import sys; from pathlib import Path; from defemb_core.dictionaries.glossary_entry import add_entry\n"
        "for i in range(8): add_entry(Path(sys.argv[1]), f'w{i}', sys.argv[2])"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert sorted(row[:2] for row in entries(path)) == sorted((f"w{i}", name) for i in range(8) for name in "abc")


# What is refused


def refused(path, word="a", definition="b", pos=None):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DictionaryError) as caught:
        add_entry(path, word, definition, pos)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "definition", "said"),
    [
        ("", "b", "the word is blank"),
        ("a", " \n", "the definition is blank"),
        ("a", "x" * (LONGEST + 1), "10,001 characters"),
        ("a" * 201, "b", "the most is 200"),
        ("ring\x07", "b", "control character"),
        ("\ud800", "b", "save it as UTF-8"),
    ],
)
def test_no_entry(path, word, definition, said):
    assert said in refused(path, word, definition)
    assert not path.exists()


def test_other_formats(path):
    path.parent.mkdir()
    pl.DataFrame({"word": ["a"], "definition": ["b"]}).write_parquet(path)
    assert "no delimited text" in refused(path)
    kept(path, '{"word": "a", "definition": "b"}\n')
    assert "no delimited text" in refused(path)
    kept(path, "a,b\nc,d\n")
    assert "its columns are 'a', 'b'" in refused(path)
    kept(path, bytes(range(256)))
    assert "neither text" in refused(path)


def test_characters_that_the_encoding_lacks(path):
    kept(path, "word;definition\ncafé;Ort für Kaffee\n".encode("cp1252"))
    said = refused(path, "中", "middle")
    assert "cp1252" in said
    assert "中" in said


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in (tmp_path, tmp_path / "file" / "under" / "x.csv", tmp_path / ("x" * 300), tmp_path / "loop"):
        with pytest.raises(DictionaryError, match="glossary"):
            add_entry(place, "a", "b")
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]
