"""Tables come back from every format, and from files that others wrote."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import tiny_plm
from tiny_export import rebuild, with_odd_tokens

from defemb_core.cli import main
from defemb_core.comparison import open_comparison, work_folder
from defemb_core.errors import SettingsError, TableError
from defemb_core.export import export
from defemb_core.export_formats import FORMATS
from defemb_core.import_table import is_table, read_table
from defemb_core.plm import read_plm
from defemb_core.reconstruction_files import save_reconstruction

WHOLE = [name for name, of in FORMATS.items() if not of.needs_maps]


@pytest.fixture(scope="module")
def plm(tmp_path_factory):
    return read_plm(tiny_plm.save_bert(tmp_path_factory.mktemp("plm") / "tiny-bert"))


@pytest.fixture(scope="module")
def made(plm):
    return rebuild(plm)


@pytest.fixture
def words(plm, made):
    """Tokens and rows of some of the PLM's words."""
    rows = np.arange(100, 140)
    return made.vocabulary["token"][100:140].to_list(), rows


@pytest.mark.parametrize("to", WHOLE)
def test_every_format_comes_back_to_the_bit(plm, made, to, tmp_path):
    made = dataclasses.replace(made, matrix=made.matrix.copy())
    made.matrix[300, :5] = [1e-45, -0.0, 3.4028235e38, 16777217, -1 / 3]
    out = export(made, plm, to, tmp_path / f"odd [1]*{FORMATS[to].suffix}")
    assert is_table(str(out))
    found = read_table(out, plm)
    rows = plm.tokenizer.get_vocab_size() if to == "static" else plm.rows
    assert found.matrix[:rows].tobytes() == made.matrix[:rows].tobytes()
    assert (found.matched, found.missing, found.unknown) == (rows, plm.rows - rows, 0)
    np.testing.assert_array_equal(found.matrix[rows:], plm.matrix[rows:])


@pytest.mark.parametrize("to", [name for name in WHOLE if name not in {"static", "npy", "safetensors"}])
def test_odd_tokens_find_their_rows(plm, made, to, tmp_path, monkeypatch):
    odd = with_odd_tokens(made)
    out = export(odd, plm, to, tmp_path / "odd")
    monkeypatch.setattr("defemb_core.import_table.read_vocabulary", lambda *_: odd.vocabulary)
    found = read_table(out, plm)
    assert found.matrix.tobytes() == odd.matrix.tobytes()
    assert (found.missing, found.unknown) == (0, 0)


def test_rows_in_another_order_and_some_missing(plm, made, words, tmp_path):
    tokens, rows = words
    values = np.random.default_rng(0).standard_normal((len(rows) + 1, plm.width)).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = [*(tokens[i] for i in order), "no such token"]
    for name, frame in {
        "a.parquet": pl.DataFrame({"word": shuffled, "vector": values.tolist()}),
        "b.parquet": pl.DataFrame({"vector": pl.Series(values), "token": shuffled}),
    }.items():
        frame.write_parquet(tmp_path / name)
        found = read_table(tmp_path / name, plm)
        assert (found.matched, found.missing, found.unknown) == (len(rows), plm.rows - len(rows), 1)
        np.testing.assert_array_equal(found.matrix[rows[order]], values[:-1])
        others = np.setdiff1d(np.arange(plm.rows), rows)
        np.testing.assert_array_equal(found.matrix[others], plm.matrix[others])
    said = f"{len(rows)} rows are matched, {plm.rows - len(rows)} that it lacks are the PLM's own, 1 of its lines stand"
    assert said in str(found)


def test_word_vectors_of_other_programs(plm, words, tmp_path):
    tokens, rows = words
    values = np.round(np.random.default_rng(0).standard_normal((len(rows), plm.width)), 4).astype(np.float32)
    written = [f"{token} {' '.join(map(str, row))}" for token, row in zip(tokens, values, strict=True)]
    size = f"{len(rows)} {plm.width}\n"
    (tmp_path / "glove").write_text("\n".join(written) + "\n", encoding="utf-8")
    # word2vec's own program ends each line with a blank, and writes no line feed after binary rows in some versions.
    (tmp_path / "text").write_text(size + " \n".join(written) + " \n", encoding="utf-8")
    parts = [token.encode() + b" " + row.tobytes() for token, row in zip(tokens, values, strict=True)]
    (tmp_path / "binary").write_bytes(size.encode() + b"".join(parts))
    for name in ("glove", "text", "binary"):
        found = read_table(tmp_path / name, plm)
        assert (found.matched, found.unknown) == (len(rows), 0), name
        np.testing.assert_array_equal(found.matrix[rows], values)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: path.write_bytes(b""), "is damaged or no table"),
        (lambda path: path.write_bytes(b"\x93NUMPY broken"), "is damaged or no table"),
        (lambda path: path.write_bytes(b"PAR1 broken"), "is damaged or no table"),
        (lambda path: path.write_bytes(b"\x10\0\0\0\0\0\0\0{broken"), "is damaged or no table"),
        (lambda path: path.write_bytes(b"5 16\nword \1\2"), "is damaged or no table"),
        (lambda path: path.write_text("some words that are no numbers\n" * 3), "is damaged or no table"),
        (lambda path: path.write_text("a,b\n1,2\n"), "has no column named token"),
        (lambda path: path.mkdir(), "is a folder without a table"),
        (lambda path: None, "there is no file"),
    ],
)
def test_what_is_no_table_is_one_sentence(plm, write, says, tmp_path):
    write(tmp_path / "file")
    with pytest.raises(TableError, match=says) as caught:
        read_table(tmp_path / "file", plm)
    assert "\n" not in str(caught.value)


def test_tables_that_do_not_fit_are_refused_with_the_numbers(plm, tmp_path):
    np.save(tmp_path / "narrow.npy", np.zeros((plm.rows, 8), np.float32))
    with pytest.raises(TableError, match=rf"holds {plm.rows} x 8 values, rows of 'tiny-bert' have {plm.width}"):
        read_table(tmp_path / "narrow.npy", plm)
    np.save(tmp_path / "long.npy", np.zeros((plm.rows + 1, plm.width), np.float32))
    with pytest.raises(TableError, match=f"has {plm.rows + 1} rows, 'tiny-bert' has {plm.rows}"):
        read_table(tmp_path / "long.npy", plm)
    values = np.zeros((plm.rows, plm.width), np.float32)
    values[7, 3] = np.nan
    np.save(tmp_path / "nan.npy", values)
    with pytest.raises(TableError, match=r"1 rows of 'nan\.npy' hold NaN or infinity, first row 7"):
        read_table(tmp_path / "nan.npy", plm)
    (tmp_path / "foreign.txt").write_text("zzzz " + " ".join(["0.5"] * plm.width) + "\n")
    with pytest.raises(TableError, match=r"no line of 'foreign\.txt' stands for a token of 'tiny-bert', first 'zzzz'"):
        read_table(tmp_path / "foreign.txt", plm)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(TableError, match="is damaged or no table"):
        read_table(tmp_path / "objects.npy", plm)


@pytest.mark.parametrize("to", WHOLE)
def test_a_file_in_many_parts_is_read_as_one_in_a_few(plm, made, to, tmp_path, monkeypatch):
    """As a table is that is larger than one part; a damaged row is counted from the file's beginning."""
    out = export(made, plm, to, tmp_path / "table")
    known = read_table(out, plm)
    monkeypatch.setattr("defemb_core.export_formats.table.BLOCK_BYTES", 7 * 4 * plm.width)
    monkeypatch.setattr("defemb_core.table_files.BLOCK_BYTES", 7 * 4 * plm.width)
    found = read_table(out, plm)
    assert found.matrix.tobytes() == known.matrix.tobytes()
    assert (found.matched, found.missing, found.unknown) == (known.matched, known.missing, known.unknown)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_other_types_and_orders(plm, kind, order, tmp_path):
    values = np.arange(plm.rows * plm.width).reshape(plm.rows, plm.width) % 100
    np.save(tmp_path / "table.npy", np.asarray(values, dtype=kind, order=order))
    np.testing.assert_array_equal(read_table(tmp_path / "table.npy", plm).matrix, values)


def test_a_table_in_bfloat16(plm, tmp_path):
    import torch
    from safetensors.torch import save_file

    values = torch.arange(plm.rows * plm.width).reshape(plm.rows, plm.width).remainder(100).to(torch.bfloat16)
    save_file({"embedding.weight": values}, tmp_path / "table.safetensors")
    np.testing.assert_array_equal(read_table(tmp_path / "table.safetensors", plm).matrix, values.float().numpy())


def test_a_file_that_ends_too_soon_says_so(plm, made, tmp_path):
    for to in ("word2vec-binary", "npy", "safetensors", "parquet"):
        out = export(made, plm, to, tmp_path / to)
        out.write_bytes(out.read_bytes()[:-1000])
        with pytest.raises(TableError, match="is damaged or no table"):
            read_table(out, plm)


# --- compared


@pytest.fixture
def run(tmp_path, monkeypatch, made):
    """The directory of a run whose table is `made`, and an empty cache."""
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "cache"))
    save_reconstruction(
        dataclasses.replace(made, definitions=pl.DataFrame({"token_id": [0], "pos": ["n"]})), tmp_path / "run"
    )
    (tmp_path / "run" / "status.json").write_text("{}")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    return tmp_path / "run"


def test_a_file_against_the_plm_shows_what_the_run_does(plm, made, tmp_path):
    out = export(made, plm, "parquet", tmp_path / "table.parquet")
    found = open_comparison(str(out), against=str(plm.folder))
    assert found.names == ("tiny-bert", "table.parquet")
    assert not found.is_usual
    np.testing.assert_array_equal(found.changed, made.rebuilt)
    np.testing.assert_array_equal(found.rebuilt, made.matrix)
    assert found.original is found.plm.matrix
    turned = open_comparison(str(plm.folder), against=str(out))
    assert turned.names == ("table.parquet", "tiny-bert")
    np.testing.assert_array_equal(turned.original, made.matrix)


def test_a_file_against_a_run(plm, made, run, tmp_path):
    out = export(made, plm, "glove", tmp_path / "table.txt")
    found = open_comparison(run, against=str(out))
    assert found.names == ("table.txt", "run")
    assert not found.changed.any()
    again = open_comparison(work_folder(found, str(run), str(out)))
    assert (again.key, again.names) == (found.key, found.names)


def test_two_files_need_a_plm(plm, made, tmp_path):
    out = export(made, plm, "npy", tmp_path / "table.npy")
    for against in (str(out), ""):
        with pytest.raises(SettingsError, match=r"'table\.npy' is a file; compare it with a run or a PLM"):
            open_comparison(str(out), against=against)


def test_the_command_line_compares_a_run_with_a_file(plm, made, run, tmp_path, capsys):
    out = export(made, plm, "npy", tmp_path / "table.npy")
    assert main(["compare", str(run), "--against", str(out)]) == 0
    told = capsys.readouterr().out
    assert "table.npy 0." in told
    assert f"table.npy: {plm.rows} rows are matched" in told
    assert main(["compare", str(run), "--against", str(tmp_path / "none.npy")]) == 2
