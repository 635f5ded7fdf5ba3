import errno
import hashlib
import json
import re
import zipfile
from pathlib import Path

import polars as pl
import pytest
import tiny
from test_definitions import vocabulary

from defemb_core.definitions import match_definitions
from defemb_core.dictionaries import DEFINITION_SCHEMA, glossary_files, load_dictionary
from defemb_core.dictionaries.glossary import LONGEST, load_glossary
from defemb_core.errors import DictionaryError
from defemb_core.vocabulary import read_vocabulary

EXAMPLE = Path(__file__).parents[1] / "assets" / "example-glossary.csv"
ROWS = [("bank", "land beside a river", "noun"), ("run", "move fast", "verb"), ("##ing", "the act of", "suffix")]
NAMES = ("word", "definition", "pos")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFEMB_DATA", str(tmp_path / "data"))


@pytest.fixture
def load(tmp_path):
    """Loads what a file of this name and content is read into."""

    def load(content, name="terms.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_dictionary(f"glossary:{path}")

    return load


def entries(dictionary):
    return dictionary.definitions.select(*NAMES).rows()


def delimited(rows=ROWS, delimiter=",", names=NAMES, end="\n"):
    return "".join(delimiter.join(cells) + end for cells in (names, *rows))


def workbook(path, *sheets):
    """An XLSX file; each sheet is a list of rows."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"S{number}")
        for row, cells in enumerate(rows, 1):
            for column, cell in enumerate(cells, 1):
                sheet.cell(row, column, cell)
    book.save(path)
    return path


# What a glossary is


def test_frame_and_provenance(load):
    made = load(delimited())
    assert dict(made.definitions.schema) == DEFINITION_SCHEMA
    assert entries(made) == ROWS
    assert made.definitions["sense"].to_list() == [0, 0, 0]
    assert set(made.definitions["source"]) == {made.name} == {"glossary"}
    assert made.digest == hashlib.sha256(delimited().encode()).hexdigest()
    assert Path(made.origin).name == "terms.csv"
    assert made.notes == ()


def test_senses_are_in_the_order_of_the_file(load):
    made = load(delimited([("b", "3", ""), ("a", "1", ""), ("B", "2", ""), ("b", "1", "")]))
    senses = made.definitions.select("word", "definition", "sense").rows()
    assert senses == [("b", "3", 0), ("a", "1", 0), ("B", "2", 1), ("b", "1", 2)]


def test_it_stands_for_words_numbers_symbols_and_rows_by_their_names(load):
    rows = vocabulary("bank", "42", "=", "ing", kinds=["word", "number", "symbol", "subword"])
    rows = rows.with_columns(
        token=pl.Series(["bank", "42", "=", "##ing"]), starts_word=pl.Series([True, True, True, False])
    )
    made = load(delimited([("Bank", "a", ""), ("42", "b", ""), ("=", "c", ""), ("##ing", "d", ""), ("ing", "e", "")]))
    matches = match_definitions(rows, made)
    glosses = made.definitions["definition"][matches["definition"].to_list()].to_list()
    assert list(zip(matches["token_id"], glosses, strict=True)) == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert set(matches["how"]) == {"glossary"}


@pytest.mark.parametrize("make", [tiny.wordpiece, tiny.byte_level_bpe, tiny.sentencepiece])
def test_a_piece_has_the_same_name_whatever_the_tokenizer(load, make):
    """Byte-level BPE and SentencePiece mark words that begin, not what is inside them."""
    tokenizer = make()
    rows = read_vocabulary(tokenizer, tokenizer.get_vocab_size())
    inside = rows.filter(~pl.col("starts_word") & (pl.col("kind") == "subword") & (pl.col("text") != ""))
    words = rows.filter(pl.col("starts_word"))["text"]
    row = inside.filter(pl.col("text").is_in(words.implode())).row(0, named=True)  # there is a word of this text, too
    matches = match_definitions(rows, load(delimited([("##" + row["text"], "a piece", "")])))
    assert matches["token_id"].to_list() == [row["token_id"]]


@pytest.mark.parametrize(
    ("written", "read"),
    [("n", "noun"), ("N.", "noun"), ("adj.", "adjective"), ("Verb", "verb"), ("phrase", "phrase"), (" ", None)],
)
def test_parts_of_speech_are_written_out(load, written, read):
    assert entries(load(delimited([("a", "b", written)])))[0][2] == read


# Formats


def test_delimiters_are_found_by_the_header(load):
    rows = [("a", "one, two; three | four", "noun")]
    for delimiter in ",;\t|":
        kept = [tuple(cell.replace(delimiter, "/") for cell in row) for row in rows]
        assert entries(load(delimited(kept, delimiter))) == kept


def test_a_line_for_spreadsheets_may_name_the_delimiter(load):
    assert entries(load("sep=;\n" + delimited(ROWS, ";"))) == ROWS


@pytest.mark.parametrize(
    "names",
    [
        ("Term", "Gloss", "Part of Speech"),
        (" HEADWORD ", "MEANING", "part_of_speech"),
        ("token", "Description:", "Word-Class"),
        ("lemma", "definitions", "UPOS"),
    ],
)
def test_columns_are_found_by_name(load, names):
    assert entries(load(delimited(names=names))) == ROWS


def test_columns_stand_in_any_order_among_others(load):
    made = load("id,definition,notes,word\n1,land,x,bank\n")
    assert entries(made) == [("bank", "land", None)]


def test_the_likelier_of_two_columns_counts(load):
    assert entries(load("term,word,definition\nx,bank,land\n")) == [("bank", "land", None)]


ACCENTS = [("café", "Ort für Kaffee – süß", "noun"), ("naïve", "ohne Erfahrung", "adjective")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_and_line_ends(load, encoding, end):
    made = load(delimited(ACCENTS, ";", end=end).encode(encoding))
    assert entries(made) == ACCENTS
    assert [("cp1252" in note) for note in made.notes] == [True] * (encoding == "cp1252")


def test_latin_1(load):
    text = delimited([("café", "a place for coffee", "noun")] + [(f"w{i}", "plain", "") for i in range(300)])
    assert entries(load(text.encode("latin-1")))[0][0] == "café"


def test_other_alphabets(load):
    rows = [("банк", "учреждение для хранения денег", ""), ("река", "поток воды", "")]
    assert [row[:2] for row in entries(load(delimited(rows).encode("cp1251")))] == [row[:2] for row in rows]


def test_json_lines(load):
    lines = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS]
    several = '{"Word": 7, "glosses": ["a number", "a lucky one"]}'
    made = load("\n".join([*lines, "", several]), "terms.jsonl")
    assert entries(made) == [*ROWS, ("7", "a number", None), ("7", "a lucky one", None)]
    assert made.notes == ()


def test_parquet(tmp_path):
    frame = pl.DataFrame(ROWS, ["Term", "Meaning", "pos"], orient="row").with_columns(
        pl.col("pos").cast(pl.Categorical)
    )
    frame.write_parquet(tmp_path / "terms.csv")  # the name says something else
    assert entries(load_dictionary(f"glossary:{tmp_path / 'terms.csv'}")) == ROWS
    several = pl.DataFrame({"word": [1, 2], "glosses": [["a", "b"], None]})
    several.write_parquet(tmp_path / "lists")
    made = load_glossary(str(tmp_path / "lists"))
    assert entries(made) == [("1", "a", None), ("1", "b", None)]
    assert made.notes == ("1 row without a definition left out: 2",)


def test_a_workbook_is_read_from_the_sheet_with_the_columns(tmp_path):
    path = workbook(
        tmp_path / "terms.txt", [["hello"]], [[], ["a title"], [None, *NAMES], *[[None, *row] for row in ROWS]]
    )
    made = load_glossary(str(path))
    assert entries(made) == ROWS
    assert made.notes == ("only its sheet 'S1' was read, not 1 more",)


def test_cells_of_a_workbook_are_text(tmp_path):
    rows = [["word", "definition"], [42, "a number"], [True, "a truth"], ["NA", "not there"], ["half", 0.5]]
    assert entries(load_glossary(str(workbook(tmp_path / "t.xlsx", rows)))) == [
        ("42", "a number", None), ("true", "a truth", None), ("NA", "not there", None), ("half", "0.5", None),
    ]  # fmt: skip


# Cells


def test_formulas_are_text(load):
    rows = [("=1+1", '=HYPERLINK("x")', ""), ("+", "-2", ""), ("@", "@SUM(A1)", ""), ("-", "'quoted'", "")]
    quoted = [tuple(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows]
    assert [row[:2] for row in entries(load(delimited(quoted)))] == [row[:2] for row in rows]


def test_the_mark_that_keeps_formulas_from_running_is_taken_off(load):
    made = load(delimited([("'=", "'-x", ""), ("'em", "'tis a word", ""), ("''=", "b", "")]))
    assert [row[:2] for row in entries(made)] == [("=", "-x"), ("'em", "'tis a word"), ("'=", "b")]


def test_formulas_of_a_workbook_give_their_saved_value_or_none(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["word", "definition"], ["a", "=1+1"], ["b", "=2+2"], ["c", "x"]])
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    parts["xl/worksheets/sheet1.xml"] = (
        re.sub(r"(<f>2\+2</f>)<v ?/>", r"\1<v>four</v>", sheet).replace('<c r="B3">', '<c r="B3" t="str">').encode()
    )
    with zipfile.ZipFile(path, "w") as new:
        for name, part in parts.items():
            new.writestr(name, part)
    made = load_glossary(str(path))
    assert entries(made) == [("b", "four", None), ("c", "x", None)]
    assert made.notes == ("1 row without a definition left out: 2",)


def test_line_breaks_inside_quotes_become_blanks_and_count(load):
    made = load('word,definition\na,"one\ntwo, \r\n three"\n\nb,\n"c\nd",x\n')
    assert [row[:2] for row in entries(made)] == [("a", "one two, three"), ("c d", "x")]
    assert made.notes == ("1 line without a definition left out: 6",)


def test_duplicates_and_empty_cells_are_counted_by_line(load):
    blank = ("", "", "")
    first = [("a", "x", "noun"), ("b", "", ""), ("", "x", "")]
    made = load(delimited([*first, ("A ", "x", "verb"), ("a", "y", ""), blank, ("a", "x", "")]))
    assert entries(made) == [("a", "x", "noun"), ("a", "y", None)]
    assert made.notes == (
        "1 line without a word left out: 4",
        "1 line without a definition left out: 3",
        "2 lines that repeat others left out: 5, 8",
    )


def test_of_many_lines_the_first_three_are_named(load):
    made = load(delimited([("a", "b", "")] * 1234))
    assert made.notes == ("1,233 lines that repeat others left out: 3, 4, 5 and 1,230 more",)


def test_ragged_lines(load):
    made = load("word,definition,pos\na,b\nc,d,e,f\ng,h,noun,,\ni\n")
    assert entries(made) == [("a", "b", None), ("g", "h", "noun")]
    assert len(made.notes) == 2
    assert made.notes[0].startswith("1 line with more cells")
    assert made.notes[0].endswith(": 3")
    assert made.notes[1] == "1 line without a definition left out: 5"


@pytest.mark.parametrize("after", [1, 99, 100, 5000])
def test_a_quote_that_nothing_closes_costs_no_other_line(load, after):
    others = [(f"w{i}", "x", "") for i in range(after)]
    made = load(delimited([("a", '"b', ""), *others]))
    assert [row[:2] for row in entries(made)] == [("a", '"b'), *((word, "x") for word, _, _ in others)]
    assert made.notes == ("1 line with a double quote that nothing closes read as they stand: 2",)


def test_quotes_that_close_each_other_by_chance_are_noticed(load):
    made = load(delimited([(f"w{i}", '"x', "") for i in range(4)]))
    assert [row[1] for row in entries(made)] == ['"x'] * 4


@pytest.mark.parametrize("lines", [98, 99, 150])
def test_what_follows_an_entry_of_many_lines_is_read(load, lines):
    made = load('word,definition\na,"' + "b\n" * lines + '"\nc,d\n')
    assert ("c", "d", None) in entries(made)
    assert (entries(made)[0] == ("a", " ".join("b" * lines), None)) == (lines < 100)


def test_long_definitions_are_cut_and_longer_cells_left_out(load):
    made = load(
        delimited([("a", "x" * (LONGEST + 1), ""), ("b", "y" * 10_000_000, ""), ("c" * 300, "z", ""), ("d", "e", "")])
    )
    assert [(word, len(text)) for word, text, _ in entries(made)] == [("a", LONGEST), ("d", 1)]
    assert [note.rsplit(": ")[-1] for note in made.notes] == ["3", "4", "2"]


def test_a_long_definition_in_json_is_cut(load):
    made = load(json.dumps({"word": "a", "definition": "x" * 10_000_000}), "x.jsonl")
    assert [len(text) for _, text, _ in entries(made)] == [LONGEST]
    assert made.notes == (f"1 line whose definitions were cut to {LONGEST:,} characters: 1",)


def test_broken_json_lines_are_left_out_and_counted(load):
    good = '{"word": "a", "definition": "b"}'
    made = load("\n".join([good, "{", "[1]", "", "null", '{"word": "c"', '{"word": null, "definition": "x"}', good]))
    assert entries(made) == [("a", "b", None)]
    assert made.notes == (
        "4 lines that are no whole JSON object left out: 2, 3, 5 and 1 more",
        "1 line without a word left out: 7",
        "1 line that repeat others left out: 8",
    )


def test_half_a_surrogate_pair_is_no_obstacle(load):
    assert entries(load('{"word": "a", "definition": "\\ud800 b"}')) == [("a", "? b", None)]


def test_many_rows(load):
    rows = "".join(f'term{i % 60_000},"the definition, number {i}",noun\n' for i in range(100_000))
    made = load("word,definition,pos\n" + rows)
    assert made.definitions.height == 100_000
    assert made.definitions["sense"].max() == 1
    assert made.definitions.row(99_999)[2] == "the definition, number 99999"


# Files that are not as they should be


def refused(place):
    with pytest.raises(DictionaryError) as caught:
        load_dictionary(f"glossary:{place}")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def kept(tmp_path, content, name="terms.csv"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("id;wort;bedeutung\n1;a;b\n", "'id', 'wort', 'bedeutung'"),
        ("bank,land beside a river\n", "'bank', 'land beside a river'"),
        ("word,pos\na,b\n", "'word', 'pos'"),
        ('{"wort": "a", "pos": 1}\n', "'wort', 'pos'"),
        ("word,<b>\u202e</b>\na,b\n", "'<b><U+202E></b>'"),
    ],
)
def test_without_columns_those_seen_and_those_expected_are_named(tmp_path, content, seen):
    said = refused(kept(tmp_path, content))
    assert seen in said
    assert "words word, term, token" in said
    assert "definitions definition, gloss, meaning" in said


def test_columns_of_parquet_and_workbooks_are_named_too(tmp_path):
    pl.DataFrame({"wort": ["a"], "definition": ["b"]}).write_parquet(tmp_path / "t.parquet")
    assert "'wort', 'definition'" in refused(tmp_path / "t.parquet")
    assert "'wort', 'pos'" in refused(workbook(tmp_path / "t.xlsx", [["wort", "pos"], ["a", "b"]]))
    assert "its columns are none" in refused(workbook(tmp_path / "empty.xlsx", []))


@pytest.mark.parametrize("content", ["", "\n \n", b"\xef\xbb\xbf", b"\xff\xfe \x00"])
def test_empty(tmp_path, content):
    assert "is empty" in refused(kept(tmp_path, content))


@pytest.mark.parametrize("content", ["word,definition\n", "word,definition\na,\n,b\n", '{"word":"a","definition":""}'])
def test_without_one_entry(tmp_path, content):
    said = refused(kept(tmp_path, content))
    assert "no entry with a word and a definition" in said
    assert ("without a definition left out: " in said) == (content != "word,definition\n")


def test_missing_folder_and_impossible_paths(tmp_path):
    assert "is not there" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)
    for place in ("a\0b", "x" * 5000, "~nobody-here/x.csv"):
        refused(place)


def test_unreadable(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = kept(tmp_path, delimited())
    monkeypatch.setattr(Path, "open", refuse)  # file modes do not bind root
    assert "cannot read" in refused(path)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(glossary_files, "LARGEST", 10)
    assert "the most is 10" in refused(kept(tmp_path, delimited()))


@pytest.mark.parametrize(
    "content",
    [bytes(range(256)) * 9, b"\x1f\x8b\x08\x00" + b"\x05\xf1" * 50, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"%PDF\x00\x01"],
)
def test_binary(tmp_path, content):
    assert "neither text nor Parquet nor XLSX" in refused(kept(tmp_path, content))


def test_a_json_array(tmp_path):
    for content in ('[{"word": "a", "definition": "b"}]', '[\n  {"word": "a"}\n]'):
        assert "one JSON array" in refused(kept(tmp_path, content, "t.json"))


def test_parquet_of_wrong_types(tmp_path):
    wrong = [
        {"word": ["a"], "definition": [1.5]},
        {"word": [1.5], "definition": ["a"]},
        {"word": [["a"]], "definition": ["a"]},
    ]
    for columns in wrong:
        pl.DataFrame(columns).write_parquet(tmp_path / "t")
        assert "not text" in refused(tmp_path / "t")
    pl.DataFrame({"word": ["a"], "definition": [None]}).write_parquet(tmp_path / "t")
    assert "no entry" in refused(tmp_path / "t")


@pytest.mark.parametrize("keep", [8, 60, 200])
def test_broken_parquet(tmp_path, keep):
    pl.DataFrame({"word": ["a"], "definition": ["b"]}).write_parquet(tmp_path / "t")
    assert "damaged Parquet" in refused(kept(tmp_path, (tmp_path / "t").read_bytes()[:keep]))


def test_broken_workbooks_and_other_archives(tmp_path):
    whole = workbook(tmp_path / "t.xlsx", [["word", "definition"], ["a", "b"]]).read_bytes()
    for cut in (10, 500, len(whole) - 30):
        assert "no workbook" in refused(kept(tmp_path, whole[:cut], "t.xlsx"))
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("x.txt", "hello")
    assert "no workbook" in refused(tmp_path / "t.zip")


def test_a_workbook_with_a_password(tmp_path):
    container = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le")
    assert "has a password" in refused(kept(tmp_path, container, "t.xlsx"))


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "t.xlsx", [["word", "definition"], ["a", "b" * 30_000]])
    monkeypatch.setattr(glossary_files, "LARGEST", 20_000)
    assert path.stat().st_size < 20_000
    assert "unpacks to" in refused(path)


# The user's own, and ours


def test_without_a_place_it_is_the_users_own(tmp_path):
    with pytest.raises(DictionaryError, match=r"no glossary of your own at .*data/glossary\.csv yet"):
        load_dictionary("glossary")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "glossary.csv").write_text(delimited())
    assert entries(load_dictionary("glossary")) == ROWS


def test_the_place_of_the_users_own(tmp_path, monkeypatch):
    assert glossary_files.user_glossary() == tmp_path / "data" / "glossary.csv"
    monkeypatch.delenv("DEFEMB_DATA")
    own = glossary_files.user_glossary()
    assert own.is_absolute()
    assert (own.parent.name, own.name) == ("defemb", "glossary.csv")


def test_it_outranks_what_is_named_before_it(load, tmp_path, tiny_lexicon):
    load(delimited([("cat", "ours", "")]))
    both = load_dictionary(f"wordnet:{tiny_lexicon},glossary:{tmp_path / 'terms.csv'}")
    assert [source.name for source in both.sources] == ["glossary", "wordnet"]


def test_the_example_defines_rows_of_the_bundled_plm():
    from defemb_core.frequency import plm_vocabulary
    from defemb_core.plm import load_plm

    made = load_dictionary(f"glossary:{EXAMPLE}")
    assert made.notes == ()
    assert made.definitions.height >= 40
    assert made.definitions["pos"].is_not_null().all()
    matches = match_definitions(plm_vocabulary(load_plm("bundled")), made)
    assert matches["definition"].n_unique() > 0.7 * made.definitions.height
