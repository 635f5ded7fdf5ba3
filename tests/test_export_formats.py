"""What each matrix format holds, read by the package that it is for."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tiny_plm
from installed import missing
from safetensors import safe_open
from tiny_export import ODD, analysis_of, rebuild, with_odd_tokens

from defemb_core.errors import ExportError
from defemb_core.export import card, card_path, export, planned_files
from defemb_core.export_formats import FORMATS, table, word_labels
from defemb_core.export_formats.target import HashedFile
from defemb_core.export_place import MANIFEST
from defemb_core.plm import PLM, read_plm
from defemb_core.reconstruction import Reconstruction


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> PLM:
    return read_plm(tiny_plm.save_bert(tmp_path_factory.mktemp("plm") / "tiny-bert"))


@pytest.fixture(scope="module")
def rebuilt(bert) -> Reconstruction:
    return rebuild(bert)


@pytest.fixture(scope="module")
def odd(rebuilt) -> Reconstruction:
    return with_odd_tokens(rebuilt)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Tables are written in several blocks, the last of them shorter."""
    monkeypatch.setattr(table, "BLOCK_BYTES", 4 * 16 * 50)


def test_safetensors(bert, rebuilt, tmp_path):
    with safe_open(export(rebuilt, bert, "safetensors", tmp_path / "m.safetensors"), "numpy") as file:
        assert np.array_equal(file.get_tensor("matrix"), rebuilt.matrix)
        assert np.array_equal(file.get_tensor("rebuilt"), rebuilt.rebuilt)
        told = json.loads(file.metadata()["card"])
    assert told.items() >= card(rebuilt).items()


def test_npy_needs_no_pickle_and_keeps_its_name(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "npy", tmp_path / "matrix.array")
    matrix = np.load(out, allow_pickle=False)
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, rebuilt.matrix)


def test_parquet(bert, rebuilt, tmp_path):
    frame = pl.read_parquet(export(rebuilt, bert, "parquet", tmp_path / "m.parquet"))
    assert frame.schema["embedding"] == pl.Array(pl.Float32, bert.width)
    assert np.array_equal(frame["embedding"].to_numpy(), rebuilt.matrix)
    assert np.array_equal(frame["rebuilt"].to_numpy(), rebuilt.rebuilt)
    columns = ["token_id", "token", "text", "kind", "group", "zipf"]
    assert frame.columns == [*columns, "rebuilt", "embedding"]
    expected = rebuilt.vocabulary.select(columns).with_columns(pl.col("kind", "group").cast(pl.String))
    assert frame.select(columns).equals(expected)


def test_word2vec_reads_back_exactly_whatever_the_tokens_and_values(bert, odd, tmp_path):
    text = export(odd, bert, "word2vec", tmp_path / "vectors.txt").read_bytes()
    lines = text.decode("utf-8").splitlines()  # splits at every kind of line end, more than readers do
    assert text.endswith(b"\n")
    assert lines[0] == f"{bert.rows} {bert.width}"
    parts = [line.split(" ") for line in lines[1:]]
    assert len(parts) == bert.rows
    assert {len(part) for part in parts} == {1 + bert.width}
    assert [len(line.split()) for line in lines[1:]] == [1 + bert.width] * bert.rows  # blanks of any kind
    labels = [part[0] for part in parts]
    assert len(set(labels)) == bert.rows
    assert all(labels)
    values = np.array([part[1:] for part in parts], dtype=np.float32)
    assert values.tobytes() == odd.matrix.tobytes()


def test_labels_of_tokens_without_blanks_are_the_tokens():
    assert word_labels(["a", "##b", "\u2581c", "\u0120d"]) == ["a", "##b", "\u2581c", "\u0120d"]
    # The token with a true mark keeps its name although it comes later; the third has the fallback's own name.
    assert word_labels([" ", "\u2581", "\u2581<row\u25810>", ""]) == [
        "\u2581<row\u25810><row\u25810>",
        "\u2581",
        "\u2581<row\u25810>",
        "<row\u25813>",
    ]


# --- read by the packages that they are for


@pytest.fixture
def keyed_vectors():
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        missing("gensim is not installed: pip install -r tests/requirements.txt")
    return KeyedVectors


@pytest.mark.parametrize(
    ("to", "options"), [("word2vec", {}), ("word2vec-binary", {"binary": True}), ("glove", {"no_header": True})]
)
def test_gensim_loads_word_vectors_whatever_the_tokens_and_values(bert, odd, to, options, keyed_vectors, tmp_path):
    out = export(odd, bert, to, tmp_path / "vectors [1]*")
    found = keyed_vectors.load_word2vec_format(str(out), **options)
    assert found.index_to_key == word_labels(odd.vocabulary["token"].to_list())
    assert found.vectors.tobytes() == odd.matrix.tobytes()
    # An ordinary token keeps its name.
    row = len(ODD) + 40
    assert np.array_equal(found[odd.vocabulary["token"][row]], odd.matrix[row])


def test_binary_word_vectors_as_the_format_is_described(bert, odd, tmp_path):
    data = export(odd, bert, "word2vec-binary", tmp_path / "vectors.bin").read_bytes()
    head, _, rest = data.partition(b"\n")
    assert head == b"%d %d" % (bert.rows, bert.width)
    for row, label in enumerate(word_labels(odd.vocabulary["token"].to_list())):
        name, _, rest = rest.partition(b" ")
        assert name.decode() == label
        assert rest[: 4 * bert.width] == odd.matrix[row].tobytes()
        assert rest[4 * bert.width : 4 * bert.width + 1] == b"\n"
        rest = rest[4 * bert.width + 1 :]
    assert rest == b""


def test_labels_that_differ_from_their_tokens_are_counted(bert, rebuilt, odd, tmp_path):
    for name, made in (("plain", rebuilt), ("odd", odd)):
        told = json.loads(card_path(export(made, bert, "glove", tmp_path / name)).read_text())["labels_changed"]
        tokens = made.vocabulary["token"].to_list()
        assert told == sum(label != token for label, token in zip(word_labels(tokens), tokens, strict=True))
    assert told > 5


def test_csv_is_read_by_pandas_and_the_standard_library(bert, odd, tmp_path):
    import pandas as pd

    out = export(odd, bert, "csv", tmp_path / "table.csv")
    frame = pd.read_csv(out, dtype={"token": str, "text": str}, keep_default_na=False)
    assert frame["token_id"].tolist() == list(range(bert.rows))
    values = frame[[str(column) for column in range(bert.width)]].to_numpy().astype(np.float32)
    assert values.tobytes() == odd.matrix.tobytes()
    assert frame["rebuilt"].tolist() == odd.rebuilt.tolist()
    with out.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert len(lines) == bert.rows + 1
    tokens = [line[1] for line in lines[1:]]
    assert [token for token in tokens if token.lstrip()[:1] in {"=", "+", "-", "@"}] == []
    changed = [(was, now) for was, now in zip(odd.vocabulary["token"], tokens, strict=True) if was != now]
    assert changed
    assert all(now == "'" + was for was, now in changed)


def test_the_projector_folder(bert, odd, tmp_path):
    out = export(odd, bert, "projector", tmp_path / "projector")
    assert {file.name for file in out.iterdir()} == {
        "tensors.tsv", "metadata.tsv", "projector_config.pbtxt", "projector_config.json", MANIFEST,
    }  # fmt: skip
    values = np.array([line.split("\t") for line in (out / "tensors.tsv").read_text().splitlines()], np.float32)
    assert values.tobytes() == odd.matrix.tobytes()
    lines = (out / "metadata.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert lines[0] == "label\ttoken_id\tkind\tgroup\tzipf\trebuilt"
    cells = [line.split("\t") for line in lines[1:]]
    assert {len(line) for line in cells} == {6}
    assert [line[0] for line in cells] == word_labels(odd.vocabulary["token"].to_list())
    assert [line[1] for line in cells] == [str(row) for row in range(bert.rows)]
    (listed,) = json.loads((out / "projector_config.json").read_text())["embeddings"]
    assert listed["tensorShape"] == [bert.rows, bert.width]
    for name in (listed["tensorPath"], listed["metadataPath"]):
        assert (out / name).is_file()
        assert f'_path: "{name}"' in (out / "projector_config.pbtxt").read_text()


def test_embedding_atlas_finds_places_and_neighbours(bert, odd, tmp_path):
    import pandas as pd

    analysis = analysis_of(odd, bert)
    out = export(odd, bert, "atlas", tmp_path / "atlas.parquet", analysis=analysis)
    frame = pd.read_parquet(out)
    for side, found in (("", analysis.maps[1]), ("_original", analysis.maps[0])):
        assert np.array_equal(frame[[f"x{side}", f"y{side}"]].to_numpy(), found.coordinates)
    assert frame["text"].tolist() == odd.vocabulary["text"].to_list()
    near = analysis.neighbours[1]
    for row in (0, 7, bert.rows - 1):
        told = frame["neighbors"][row]
        assert list(told) == ["ids", "distances"]
        assert told["ids"].tolist() == near.indices[row].tolist()
        assert told["distances"] == pytest.approx(1 - near.similarities[row], abs=1e-6)
    assert min(distances["distances"].min() for distances in frame["neighbors"]) >= 0
    some = replace(
        analysis, rows=np.arange(2, 9), maps=tuple(replace(of, coordinates=of.coordinates[2:9]) for of in analysis.maps)
    )
    part = pl.read_parquet(export(odd, bert, "atlas", tmp_path / "part.parquet", analysis=some))
    assert part["x"].is_not_null().arg_true().to_list() == list(range(2, 9))
    assert part["y"][2:9].to_list() == frame["y"][2:9].tolist()
    with pytest.raises(ExportError, match="holds the UMAP maps, and there are none of this run; run 'analyse' first"):
        export(odd, bert, "atlas", tmp_path / "without")


@pytest.mark.parametrize("save", [tiny_plm.save_bert, tiny_plm.save_roberta, tiny_plm.save_t5])
def test_sentence_transformers_embeds_by_the_mean_of_rows(save, tmp_path):
    from sentence_transformers import SentenceTransformer

    plm = read_plm(save(tmp_path / "plm"))
    made = rebuild(plm)
    out = export(made, plm, "static", tmp_path / "static")
    texts = ["the cat sat on the mat", "a dog"]
    found = SentenceTransformer(str(out), device="cpu").encode(texts)
    for text, vector in zip(texts, found, strict=True):
        ids = plm.tokenizer.encode(text, add_special_tokens=False).ids
        assert len(ids) > 1
        np.testing.assert_allclose(vector, made.matrix[ids].mean(axis=0), atol=1e-6)


def test_model2vec_loads_the_same_folder_and_padding_rows_are_counted(bert, rebuilt, tmp_path):
    try:
        from model2vec import StaticModel
    except ImportError:
        missing("model2vec is not installed: pip install -r tests/requirements.txt")
    out = export(rebuilt, bert, "static", tmp_path / "static")
    model = StaticModel.from_pretrained(str(out))
    tokens = bert.tokenizer.get_vocab_size()
    assert model.embedding.tobytes() == rebuilt.matrix[:tokens].tobytes()
    ids = bert.tokenizer.encode("the cat sat", add_special_tokens=False).ids
    np.testing.assert_allclose(model.encode("the cat sat"), rebuilt.matrix[ids].mean(axis=0), atol=1e-6)
    assert json.loads((out / MANIFEST).read_text())["rows_left_out"] == bert.rows - tokens > 0


# --- of all of them


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_tells_its_sums_and_how_far_it_is(bert, odd, to, tmp_path):
    told = []
    out = export(
        odd, bert, to, tmp_path / "out", analysis=analysis_of(odd, bert), progress=lambda *step: told.append(step)
    )
    if out.is_dir():
        sums = json.loads((out / MANIFEST).read_text())["files"]
        assert sums.keys() == {file.name for file in out.iterdir()} - {MANIFEST}
    else:
        sums = {"": json.loads(card_path(out).read_text())["sha256"]}
    assert {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in sums} == sums
    assert {stage for stage, _, _ in told} == {f"writing {to}"}
    shares = [done / total for _, done, total in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert to == "atlas" or len(shares) > 5


class Stop(Exception):
    """The user has had enough."""


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_an_export_that_is_cancelled_leaves_nothing(bert, odd, to, steps, tmp_path):
    told = []

    def progress(*step):
        told.append(step)
        if len(told) > steps or step[1] == step[2]:
            raise Stop

    with pytest.raises(Stop):
        export(odd, bert, to, tmp_path / "out", analysis=analysis_of(odd, bert), progress=progress)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", FORMATS)
def test_the_size_that_is_announced_is_about_right(bert, rebuilt, to, tmp_path):
    planned = planned_files(rebuilt, bert, to, tmp_path / "out")
    analysis = analysis_of(rebuilt, bert)
    out = export(rebuilt, bert, to, tmp_path / "out", analysis=analysis)
    size = sum(file.stat().st_size for file in out.iterdir()) if out.is_dir() else out.stat().st_size
    assert 0.2 * size < sum(planned.values()) < 5 * size + 50_000


def test_every_format_says_what_reads_it():
    for name, known in FORMATS.items():
        assert known.reads.endswith("."), name
        assert len(known.reads) < 120
        assert "{path}" in known.opens
    suffixes = {known.suffix for known in FORMATS.values()}
    assert suffixes >= {"", ".csv", ".npy", ".parquet", ".safetensors"}


def test_a_file_is_summed_up_part_by_part_while_it_is_written(tmp_path):
    parts = [b"small", np.arange(600_000, dtype=np.float32), b"", b"x" * 3_000_000, np.ones((3, 5), np.float32)]
    whole = b"".join(bytes(memoryview(part).cast("B")) for part in parts)
    with HashedFile((tmp_path / "file").open("xb")) as stream:
        for part in parts:
            assert stream.write(part) == memoryview(part).nbytes
        assert stream.tell() == len(whole)
    assert (tmp_path / "file").read_bytes() == whole
    assert stream.sha256 == hashlib.sha256(whole).hexdigest()
