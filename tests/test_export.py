import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tiny_plm
from huggingface_hub.utils import filter_repo_objects
from safetensors import safe_open
from tiny_export import HELD_OUT, rebuild

from defemb_core import export_checkpoint
from defemb_core.cache import file_sha256
from defemb_core.cli import main
from defemb_core.errors import ExportError
from defemb_core.export import TARGETS, card, card_path, export, export_notes, planned_files
from defemb_core.export_check import check_checkpoint
from defemb_core.export_formats import FORMATS
from defemb_core.export_place import MANIFEST
from defemb_core.export_tensors import tensor_places
from defemb_core.hub_upload import upload, uploadable
from defemb_core.plm import PLM, read_plm
from defemb_core.reconstruction import Reconstruction, Settings
from defemb_core.weights import list_tensors

TABLE = "embeddings.word_embeddings.weight"
OUTPUT = "cls.predictions.decoder.weight"
ALONE = [to for to, of in FORMATS.items() if not of.is_folder and not of.needs_maps]
WITHOUT_MAPS = [to for to in TARGETS if to not in FORMATS or not FORMATS[to].needs_maps]


def raw(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Every tensor of a safetensors checkpoint as (type, bytes), read without defemb."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        length = int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8 : 8 + length]).items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                found[name] = (entry["dtype"], data[begin:end])
    return found


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> PLM:
    return read_plm(tiny_plm.save_bert(tmp_path_factory.mktemp("plm") / "tiny-bert"))


@pytest.fixture(scope="module")
def rebuilt(bert) -> Reconstruction:
    return rebuild(bert)


# --- checkpoint


def test_transformers_loads_the_rebuilt_rows_and_every_other_tensor_to_the_bit(bert, rebuilt, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    model = AutoModel.from_pretrained(out)
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), rebuilt.matrix)
    before, after = raw(bert.folder), raw(out)
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {TABLE}
    ids = AutoTokenizer.from_pretrained(out)("the cat sat")["input_ids"]
    assert ids == bert.tokenizer.encode("the cat sat").ids


def test_a_checkpoint_whose_rows_are_the_original_ones_gives_the_same_hidden_states(bert, rebuilt, tmp_path):
    import torch
    from transformers import AutoModel

    same = replace(rebuilt, matrix=bert.matrix.copy(), rebuilt=np.zeros(bert.rows, dtype=bool))
    out = export(same, bert, "checkpoint", tmp_path / "out")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        states = [AutoModel.from_pretrained(f).eval()(ids).last_hidden_state for f in (bert.folder, out)]
    assert torch.equal(*states)
    assert (out / "model.safetensors").read_bytes() == (bert.folder / "model.safetensors").read_bytes()
    assert json.loads((out / MANIFEST).read_text())["tensors"]["changed"] == []


@pytest.mark.parametrize("save", [tiny_plm.save_roberta, tiny_plm.save_t5, tiny_plm.save_bert_mlm])
def test_every_family_reads_back_as_a_plm_with_the_new_table(save, tmp_path):
    plm = read_plm(save(tmp_path / "plm"))
    made = rebuild(plm)
    again = read_plm(export(made, plm, "checkpoint", tmp_path / "out"))
    assert np.array_equal(again.matrix, made.matrix)
    assert (again.special_ids, again.mask_token, again.config) == (plm.special_ids, plm.mask_token, plm.config)
    before, after = raw(plm.folder), raw(again.folder)
    assert {name for name in before if before[name] != after[name]} == {plm.table.name}


def test_output_rows_that_the_model_ties_follow(tmp_path):
    from transformers import AutoModelForMaskedLM

    plm = read_plm(tiny_plm.save_bert_mlm(tmp_path / "plm"))
    made = rebuild(plm)
    out = export(made, plm, "checkpoint", tmp_path / "out")
    before, after = (AutoModelForMaskedLM.from_pretrained(folder) for folder in (plm.folder, out))
    assert np.array_equal(after.get_output_embeddings().weight.detach().numpy(), made.matrix)
    assert np.array_equal(before.cls.predictions.bias.detach(), after.cls.predictions.bias.detach())


def test_untied_output_rows_stay(tmp_path):
    plm = read_plm(tiny_plm.save_bert_mlm(tmp_path / "plm", tied=False))
    out = export(rebuild(plm), plm, "checkpoint", tmp_path / "out")
    before, after = raw(plm.folder), raw(out)
    assert {name for name in before if before[name] != after[name]} == {f"bert.{TABLE}"}
    assert OUTPUT in before


@pytest.mark.parametrize(("tied", "copies"), [(True, {f"bert.{TABLE}", OUTPUT}), (False, {f"bert.{TABLE}"})])
def test_a_stored_copy_of_the_table_follows_only_where_the_model_ties_it(tmp_path, tied, copies):
    folder = tiny_plm.save_bin_bert(tmp_path / "plm", tied_copy=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": tied}))
    plm = read_plm(folder)
    made = rebuild(plm)
    out = export(made, plm, "checkpoint", tmp_path / "out")
    manifest = json.loads((out / MANIFEST).read_text())
    assert set(manifest["tensors"]["changed"]) == copies
    assert {name for name, (_, data) in raw(out).items() if data == made.matrix.tobytes()} == copies
    assert raw(out)[OUTPUT][1] == (made.matrix if tied else plm.matrix).tobytes()


def test_stored_output_rows_that_are_not_the_table_stay_even_if_the_settings_tie_them(tmp_path):
    folder = tiny_plm.save_bert_mlm(tmp_path / "plm", tied=False)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    plm = read_plm(folder)
    out = export(rebuild(plm), plm, "checkpoint", tmp_path / "out")
    assert raw(out)[OUTPUT] == raw(folder)[OUTPUT]


def test_shards_stay_shards(bert, rebuilt, tmp_path):
    from transformers import AutoModel

    plm = read_plm(tiny_plm.save_sharded_bert(tmp_path / "plm"))
    out = export(rebuilt, plm, "checkpoint", tmp_path / "out")
    names = [{file.name for file in folder.glob("*.safetensors*")} for folder in (plm.folder, out)]
    assert names[0] == names[1]
    assert len(names[0]) > 2
    before, after = raw(plm.folder), raw(out)
    assert {name for name in before if before[name] != after[name]} == {TABLE}
    model = AutoModel.from_pretrained(out)
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), rebuilt.matrix)


@pytest.mark.parametrize("save", [tiny_plm.save_bin_bert, tiny_plm.save_sharded_bin_bert])
def test_pickled_weights_become_safetensors(bert, rebuilt, save, tmp_path):
    from transformers import AutoModel

    plm = read_plm(save(tmp_path / "plm"))
    out = export(rebuilt, plm, "checkpoint", tmp_path / "out")
    assert not list(out.rglob("*.bin*"))
    before, after = raw(bert.folder), raw(out)  # the same weights, saved as safetensors
    assert {name for name in after if before.get(name) != after[name]} == {TABLE}
    assert before.keys() == after.keys()
    with safe_open(next(out.glob("*.safetensors")), "numpy") as checkpoint:
        assert checkpoint.metadata() == {"format": "pt"}
    model = AutoModel.from_pretrained(out)
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), rebuilt.matrix)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_rows_are_rounded_to_the_type_of_the_table_and_the_others_keep_their_bits(dtype, tmp_path):
    import torch

    plm = read_plm(tiny_plm.save_bert(tmp_path / "plm", dtype=dtype))
    made = rebuild(plm)
    # Halfway between two bfloat16 numbers, the even one once below and once above.
    made.matrix[np.flatnonzero(made.rebuilt)[0], :4] = [1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, -1 - 3 * 2**-8]
    out = export(made, plm, "checkpoint", tmp_path / "out")
    rows = []
    for folder in (plm.folder, out):
        with safe_open(folder / "model.safetensors", "pt") as checkpoint:
            rows.append(checkpoint.get_tensor(TABLE))
    assert rows[1].dtype == getattr(torch, dtype)
    new = torch.from_numpy(made.rebuilt)
    assert torch.equal(rows[1][~new], rows[0][~new])
    assert torch.equal(rows[1][new], torch.from_numpy(made.matrix)[new].to(rows[1].dtype))
    before, after = raw(plm.folder), raw(out)
    assert {name for name in before if before[name] != after[name]} == {TABLE}


def test_a_row_that_half_precision_cannot_hold_is_refused(tmp_path):
    plm = read_plm(tiny_plm.save_bert(tmp_path / "plm", dtype="float16"))
    made = rebuild(plm)
    made.matrix[9] = 1e6
    with pytest.raises(ExportError, match="1 rebuilt rows have values beyond what the checkpoint's type F16 holds"):
        export(made, plm, "checkpoint", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["plm"]


def test_sentence_transformers_loads_it(tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = tiny_plm.save_sentence_transformer(tmp_path / "plm")
    (folder / "2_Normalize" / "pytorch_model.bin").write_bytes(b"a module's own weights")
    plm = read_plm(folder)
    out = export(rebuild(plm), plm, "checkpoint", tmp_path / "out")
    vectors = [SentenceTransformer(str(f), device="cpu").encode(["the cat", "a dog sat"]) for f in (folder, out)]
    assert vectors[0].shape == vectors[1].shape == (2, plm.width)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors[1], axis=1), 1.0, rtol=1e-5)
    assert (out / "2_Normalize" / "pytorch_model.bin").read_bytes() == b"a module's own weights"


def test_only_what_belongs_to_the_plm_is_copied(rebuilt, tmp_path):
    folder = tiny_plm.save_bert(tmp_path / "plm")
    (folder / "LICENSE").write_text("licence")
    for junk in (".gitattributes", "pytorch_model.bin", "tf_model.h5", "optimizer.pt", "onnx/model.onnx", "old/a.json"):
        (folder / junk).parent.mkdir(exist_ok=True)
        (folder / junk).write_bytes(b"junk")
    out = export(rebuilt, read_plm(folder), "checkpoint", tmp_path / "out")
    kept = {"config.json", "tokenizer.json", "tokenizer_config.json", "LICENSE"}
    assert {file.name for file in out.iterdir()} == kept | {"model.safetensors", "README.md", MANIFEST}
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in kept)


def test_modules_that_point_out_of_the_folder_are_not_followed(rebuilt, tmp_path):
    folder = tiny_plm.save_bert(tmp_path / "plm")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "note.txt").write_text("x")
    (folder / "modules.json").write_text(
        json.dumps([{"path": path} for path in ("../private", "..", str(tmp_path / "private"), None)])
    )
    out = export(rebuilt, read_plm(folder), "checkpoint", tmp_path / "out")
    assert len(list(tmp_path.rglob("note.txt"))) == 1
    assert not [path for path in out.iterdir() if path.is_dir()]


def test_the_manifest_names_every_file_and_tensor(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    manifest = json.loads((out / MANIFEST).read_text())
    files = {file.name for file in out.iterdir()} - {MANIFEST}
    assert manifest["files"] == {name: file_sha256(out / name) for name in files}
    assert manifest["tensors"]["changed"] == [TABLE]
    assert sorted([TABLE, *manifest["tensors"]["unchanged"]]) == sorted(list_tensors(out))
    assert manifest["plm"]["table_sha256"] == bert.digest


def test_the_card_says_in_words_what_was_done(tmp_path):
    plm = read_plm(tiny_plm.save_sentence_transformer(tmp_path / "plm"), name="owner/tiny", revision="abc123")
    made = rebuild(plm)
    text = (export(made, plm, "checkpoint", tmp_path / "out") / "README.md").read_text()
    header = text.split("---\n")[1].splitlines()
    assert 'license: "apache-2.0"' in header
    assert 'base_model: "owner/tiny"' in header
    assert "library_name: sentence-transformers" in header
    for said in ("revision `abc123`", "tiny dictionary", "| alpha | 1.0 |", "0.250", "arxiv.org/abs/2408.01308"):
        assert said in text
    assert f"{made.rebuilt.sum():,} of {plm.rows:,} rows" in text
    # The expected reciprocal rank by chance among three: (1 + 1/2 + 1/3) / 3.
    assert "| 0.500 | 0.611 | 1 |" in text


def test_a_local_folder_is_named_without_its_path(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    assert card(rebuilt)["plm"]["name"] == "tiny-bert"
    for text in ((out / "README.md").read_text(), (out / MANIFEST).read_text()):
        assert str(bert.folder.parent) not in text
    assert "base_model" not in (out / "README.md").read_text()


# --- every format


@pytest.mark.parametrize("to", ALONE)
def test_every_file_has_its_card_beside_it(bert, rebuilt, to, tmp_path):
    out = export(rebuilt, bert, to, tmp_path / "file")
    described = json.loads(card_path(out).read_text())
    assert described["sha256"] == file_sha256(out)
    assert (described["format"], described["file"]) == (to, "file")
    assert described["evidence"]["held_out"] == HELD_OUT
    assert described["date"] == "2024-08-02T00:00:00Z"
    assert sorted(tmp_path.iterdir()) == [out, card_path(out)]


# --- bad input


@pytest.mark.parametrize("to", WITHOUT_MAPS)
@pytest.mark.parametrize("name", ["a [b] *?.x", "ü 'q' \"d\" %20#;$(x)", "-rf", "line\nbreak", "new/sub/folder"])
def test_odd_names_work(bert, rebuilt, to, name, tmp_path):
    out = export(rebuilt, bert, to, tmp_path / name)
    assert out == tmp_path / name
    assert out.is_file() == (to in ALONE)
    assert not list(tmp_path.rglob(".*"))


def test_an_unknown_format_lists_those_there_are(bert, rebuilt, tmp_path):
    with pytest.raises(ExportError, match="unknown format 'gguf'; choose one of checkpoint, safetensors, npy, parquet"):
        export(rebuilt, bert, "gguf", tmp_path / "out")


@pytest.mark.parametrize("to", WITHOUT_MAPS)
def test_a_reconstruction_of_another_plm_is_refused(rebuilt, to, tmp_path):
    other = read_plm(tiny_plm.save_bert(tmp_path / "other", seed=1))
    with pytest.raises(ExportError, match="was made from another table"):
        export(rebuilt, other, to, tmp_path / "out")


def test_nan_is_refused(bert, rebuilt, tmp_path):
    made = replace(rebuilt, matrix=rebuilt.matrix.copy())
    made.matrix[7, 0] = np.nan
    with pytest.raises(ExportError, match="1 rows hold NaN or infinity, first row 7"):
        export(made, bert, "npy", tmp_path / "out")


def test_weights_that_changed_since_they_were_read_are_refused(rebuilt, tmp_path):
    folder = tiny_plm.save_bert(tmp_path / "plm")
    plm = read_plm(folder)
    tiny_plm.save_bert(folder, seed=1)
    with pytest.raises(ExportError, match="changed after they were read"):
        export(rebuilt, plm, "checkpoint", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["plm"]


@pytest.mark.parametrize("to", WITHOUT_MAPS)
def test_an_earlier_export_is_replaced_only_when_forced(bert, rebuilt, to, tmp_path):
    out = export(rebuilt, bert, to, tmp_path / "out")
    listing = {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}
    with pytest.raises(ExportError, match="out' exists; name another place, or force"):
        export(rebuilt, bert, to, out)
    assert listing == {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}
    other = replace(rebuilt, matrix=bert.matrix.copy())
    export(other, bert, to, out, force=True)
    assert listing.keys() == set(tmp_path.rglob("*"))
    data = out if to in ALONE else out / ("tensors.tsv" if to == "projector" else "model.safetensors")
    assert file_sha256(data) != listing[data]


@pytest.mark.parametrize("to", WITHOUT_MAPS)
@pytest.mark.parametrize("kind", ["file", "empty folder", "folder", "link", "false manifest"])
def test_nothing_but_an_export_of_ours_is_ever_replaced(bert, rebuilt, to, kind, tmp_path):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("precious")
    elif kind == "link":
        out.symlink_to(export(rebuilt, bert, to, tmp_path / "aim"))
    else:
        out.mkdir()
        if kind == "folder":
            (out / "precious.txt").write_text("precious")
        elif kind == "false manifest":
            (out / MANIFEST).write_text('{"made_by": "another program"}')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExportError, match="so it stays"):
        export(rebuilt, bert, to, out, force=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert kind != "file" or out.read_text() == "precious"


def test_a_folder_beside_the_card_of_a_file_that_is_gone_is_not_replaced(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "npy", tmp_path / "out")
    out.unlink()
    out.mkdir()
    with pytest.raises(ExportError, match="so it stays"):
        export(rebuilt, bert, "npy", out, force=True)
    assert out.is_dir()


def test_files_that_a_user_put_into_an_export_are_not_deleted(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    (out / "notes.txt").write_text("precious")
    with pytest.raises(ExportError, match=r"holds 1 files that the export did not write, first .notes\.txt"):
        export(rebuilt, bert, "checkpoint", out, force=True)
    assert (out / "notes.txt").read_text() == "precious"


def test_an_export_never_replaces_the_plm_it_is_made_from(bert, rebuilt, tmp_path):
    plm = read_plm(export(rebuilt, bert, "checkpoint", tmp_path / "out"))
    with pytest.raises(ExportError, match="holds the PLM that is to be exported"):
        export(rebuild(plm), plm, "checkpoint", plm.folder, force=True)


@pytest.mark.parametrize("to", WITHOUT_MAPS)
def test_a_disk_without_room_is_refused_before_writing(bert, rebuilt, to, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ExportError, match=r"is full: the export takes about 1\.\d MB and 1\.0 MB are free"):
        export(rebuilt, bert, to, tmp_path / "new" / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", WITHOUT_MAPS)
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_the_last_moment_leaves_everything_as_it_was(
    bert, rebuilt, to, forced, failure, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    if forced:
        export(rebuilt, bert, to, out)
    before = {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}

    def fail(*_):
        raise failure

    for call in ("fsync", "rename", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            if call == ("rename" if to in ALONE else "replace"):
                continue
            with pytest.raises((ExportError, KeyboardInterrupt)) as caught:
                export(rebuilt, bert, to, out, force=forced)
        assert isinstance(failure, KeyboardInterrupt) or "is full: the export takes about" in str(caught.value)
        assert before == {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}


def test_a_folder_comes_back_if_its_successor_cannot_take_its_place(bert, rebuilt, tmp_path, monkeypatch):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    before = {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}
    rename, calls = os.rename, []

    def second_fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(ExportError, match=r"cannot write .*Input/output error"):
        export(rebuilt, bert, "checkpoint", out, force=True)
    assert before == {file: file.is_file() and file_sha256(file) for file in tmp_path.rglob("*")}


def test_a_disk_that_fills_up_while_a_shard_is_copied(rebuilt, tmp_path, monkeypatch):
    plm = read_plm(tiny_plm.save_sharded_bert(tmp_path / "plm"))

    def stops_at_the_second_shard(source, target, steps):
        if "00002" in source.name:
            target.write_bytes(source.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        shutil.copyfile(source, target)

    monkeypatch.setattr(export_checkpoint, "_copy", stops_at_the_second_shard)
    with pytest.raises(ExportError, match="is full"):
        export(rebuilt, plm, "checkpoint", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["plm"]


def test_a_place_without_permission_is_refused(bert, rebuilt, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ExportError, match="no permission to write in"):
        export(rebuilt, bert, "npy", tmp_path / "new" / "out.npy")
    assert not list(tmp_path.iterdir())


def test_a_place_below_a_file_is_refused(bert, rebuilt, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ExportError, match="file' is no folder"):
        export(rebuilt, bert, "npy", tmp_path / "file" / "out.npy")


def test_a_name_that_is_too_long_is_refused(bert, rebuilt, tmp_path):
    with pytest.raises(ExportError, match=r"no place to write to \(File name too long\)"):
        export(rebuilt, bert, "npy", tmp_path / ("n" * 300))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("method", "says", "paper"),
    [
        ("frozen", "are rebuilt from the definitions of", "2408.01308"),
        ("mean-of-definition", "are the mean of the embeddings in their definitions", "2408.01308"),
        ("random", "dealt out at random", "2408.01308"),
        ("all-but-the-top", "without any definition", "1702.01417"),
        ("whitening", "without any definition", "1512.00809"),
    ],
)
def test_a_card_says_what_the_method_does(bert, tmp_path, method, says, paper):
    made = rebuild(bert)
    made = replace(made, settings=Settings(method), evidence={**made.evidence, "held_out": None})
    export(made, bert, "checkpoint", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert says in text
    assert paper in text
    assert "None was recorded." in text
    assert card(made)["method"] == method


# --- checked, announced, uploaded


def test_what_was_kept_is_checked_from_the_files_and_said(bert, rebuilt, tmp_path):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    check = json.loads((out / MANIFEST).read_text())["check"]
    kept = int((~rebuilt.rebuilt).sum())
    tensors = len(list_tensors(bert.folder))
    assert check == {
        "tensors": tensors, "identical": tensors - 1, "rows": bert.rows, "rows_identical": kept, "kept": kept,
    }  # fmt: skip
    (said,) = export_notes(out)
    assert said == (
        f"{tensors - 1} of {tensors} tensors are the original's to the bit, "
        f"and so are all {kept} rows of the others that were not to be rebuilt"
    )


@pytest.mark.parametrize("save", [tiny_plm.save_bert, tiny_plm.save_sharded_bert, tiny_plm.save_bin_bert])
@pytest.mark.parametrize("spoil", ["another tensor", "a kept row", "nothing"])
def test_the_check_finds_a_single_bit(rebuilt, save, spoil, tmp_path):
    plm = read_plm(save(tmp_path / "plm"))
    out = export(rebuilt, plm, "checkpoint", tmp_path / "out")
    places = tensor_places(out.glob("*.safetensors"))
    place, row = places[TABLE], int(np.flatnonzero(~rebuilt.rebuilt)[-1])
    if spoil == "another tensor":
        place, row = next(of for name, of in sorted(places.items()) if name != TABLE), 0
    data = bytearray(place.file.read_bytes())
    data[place.start + row * plm.width * 4] ^= 0 if spoil == "nothing" else 1
    place.file.write_bytes(data)
    if spoil == "nothing":
        assert check_checkpoint(plm.folder, out, [TABLE], rebuilt.rebuilt).identical == len(places) - 1
        return
    said = f"row {row} of '{TABLE}' differs" if spoil == "a kept row" else "tensor '.+' differs from the original"
    with pytest.raises(ExportError, match=f"{said} and was not to be rebuilt; export again"):
        check_checkpoint(plm.folder, out, [TABLE], rebuilt.rebuilt)


@pytest.mark.parametrize("to", WITHOUT_MAPS)
def test_what_is_announced_is_what_is_written(bert, rebuilt, to, tmp_path):
    planned = planned_files(rebuilt, bert, to, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    out = export(rebuilt, bert, to, tmp_path / "out")
    if to == "checkpoint":
        assert planned.keys() == {file.name for file in out.iterdir()}
        exact = planned.keys() - {"README.md", MANIFEST}
        assert {name: planned[name] for name in exact} == {name: (out / name).stat().st_size for name in exact}
    elif to in ALONE:
        assert planned.keys() == {file.name for file in tmp_path.iterdir()}


def test_a_checkpoint_tells_how_far_it_is_and_can_be_cancelled(bert, rebuilt, tmp_path, monkeypatch):
    monkeypatch.setattr(export_checkpoint, "BLOCK_BYTES", 4096)
    shares, most = [], [-1]

    def progress(stage, done, total):
        assert stage == "writing checkpoint"
        shares.append(done / total)
        if len(shares) == most[0]:
            raise Stop

    export(rebuilt, bert, "checkpoint", tmp_path / "out", progress=progress)
    assert shares == sorted(shares)
    assert (shares[0] < 0.2, shares[-1], len(shares) > 10) == (True, 1.0, True)
    for most[0] in (1, len(shares) // 2, len(shares) - 1):
        shares.clear()
        with pytest.raises(Stop):
            export(rebuilt, bert, "checkpoint", tmp_path / "other", progress=progress)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


class Stop(Exception):
    """The user has had enough."""


class Hub:
    """Stands for the hub's interface, and keeps what it was asked for."""

    asked: ClassVar[list] = []
    fails: ClassVar[Exception | None] = None

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, name, private, exist_ok):
        if self.fails:
            raise self.fails
        self.asked.append((self.token, name, private, exist_ok))
        return f"https://hub.example/{name}"

    def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
        paths = [file.relative_to(folder_path).as_posix() for file in folder_path.rglob("*") if file.is_file()]
        self.asked.append((repo_id, sorted(filter_repo_objects(paths, allow_patterns=allow_patterns))))


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr(Hub, "asked", [])
    return Hub


@pytest.mark.parametrize("to", [to for to in WITHOUT_MAPS if to not in ALONE])
def test_an_upload_sends_what_the_manifest_lists_and_nothing_else(bert, rebuilt, to, hub, tmp_path):
    out = export(rebuilt, bert, to, tmp_path / "out")
    files = sorted(file.name for file in out.iterdir())
    (out / "notes.txt").write_text("private")
    assert sorted(uploadable(out)) == files
    assert upload(out, "me/rebuilt", "hf_secret") == "https://hub.example/me/rebuilt"
    assert hub.asked == [("hf_secret", "me/rebuilt", True, True), ("me/rebuilt", files)]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"hf_secret" in file.read_bytes()]


def test_what_cannot_be_uploaded_is_one_sentence_without_the_token(bert, rebuilt, hub, tmp_path, monkeypatch):
    out = export(rebuilt, bert, "checkpoint", tmp_path / "out")
    with pytest.raises(ExportError, match="'rebuilt' is no hub name; write 'owner/name'"):
        upload(out, "rebuilt")
    monkeypatch.setattr(hub, "fails", RuntimeError("401: hf_secret may not write\nmore"))
    with pytest.raises(ExportError, match=r"'me/x' cannot be uploaded \(401: \.\.\. may not write\); check") as caught:
        upload(out, "me/x", "hf_secret")
    assert "hf_secret" not in str(caught.value)
    (out / "config.json").write_text("{}")
    with pytest.raises(ExportError, match=r"'config\.json' in .* changed after the export; export again"):
        upload(out, "me/x")
    (out / "config.json").unlink()
    with pytest.raises(ExportError, match="is no complete export"):
        upload(out, "me/x")
    with pytest.raises(ExportError, match="is no folder that export wrote"):
        upload(export(rebuilt, bert, "npy", tmp_path / "table.npy"), "me/x")
    assert hub.asked == []


def test_the_command_line_says_what_it_would_write_and_what_it_wrote(tiny_run, hub, tmp_path, capsys, monkeypatch):
    words = ["export", str(tiny_run), "--to", "checkpoint", "--out", str(tmp_path / "out")]
    assert main([*words, "--dry-run", "--push", "me/x"]) == 0
    told = capsys.readouterr().out
    assert "MB  model.safetensors" in told
    assert f"would be written to {tmp_path / 'out'} and to the hub as me/x; nothing was" in told
    assert list(tmp_path.iterdir()) == []
    assert hub.asked == []
    assert main([*words, "--push", "me/x"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {tmp_path / 'out'}"
    assert "tensors are the original's to the bit" in lines[1]
    assert lines[2] == "uploaded to https://hub.example/me/x"
    assert hub.asked[0] == (None, "me/x", True, True)
    assert main(["export", str(tiny_run), "--to", "npy", "--out", str(tmp_path / "x.npy"), "--push", "me/x"]) == 2
    assert "--push uploads folders, format 'npy' is a file" in capsys.readouterr().err
    monkeypatch.setenv("DEFEMB_CACHE", str(tmp_path / "nothing known"))
    assert main(["export", str(tiny_run), "--to", "atlas", "--out", str(tmp_path / "x"), "--dry-run"]) == 0
    assert main(["export", str(tiny_run), "--to", "atlas", "--out", str(tmp_path / "x")]) == 2
    assert "run 'analyse' first" in capsys.readouterr().err
