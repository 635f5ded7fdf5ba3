import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_plm import save_bert, save_bin_bert, save_sharded_bert, save_sharded_bin_bert

from defemb_core.cache import file_sha256
from defemb_core.errors import PLMError
from defemb_core.weights import list_tensors, read_tensor, verify_hub_blob, weight_files

TABLE = "embeddings.word_embeddings.weight"
VALUES = {"table": torch.arange(12, dtype=torch.float32).reshape(4, 3) / 8, "bias": torch.ones(3)}
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class RunsCode:
    """Unpickling it makes the folder `marker`."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_every_precision_is_read_exactly(tmp_path, dtype, name):
    state = {key: value.to(dtype) for key, value in VALUES.items()}
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    tensors = list_tensors(tmp_path)
    assert {key: (t.shape, t.size) for key, t in tensors.items()} == {"table": ((4, 3), 12), "bias": ((3,), 3)}
    values = read_tensor(tensors["table"])
    assert values.dtype == np.float32
    assert values.tolist() == VALUES["table"].tolist()  # eighths are exact in all of them


@pytest.mark.parametrize("save", [save_sharded_bert, save_bin_bert, save_sharded_bin_bert])
def test_shards_and_pickles_hold_the_same_tensors(tmp_path, tiny_bert, save):
    expected = load_file(tiny_bert / "model.safetensors")
    tensors = list_tensors(save(tmp_path))
    assert {t.file for t in tensors.values()} == set(weight_files(tmp_path))
    assert len(weight_files(tmp_path)) > 1 or save is save_bin_bert
    for name, values in expected.items():
        np.testing.assert_array_equal(read_tensor(tensors[name]), values.numpy())


def test_pickles_of_old_torch_are_read(tmp_path):
    torch.save(VALUES, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert read_tensor(list_tensors(tmp_path)["table"]).tolist() == VALUES["table"].tolist()


def test_safetensors_come_before_pickles(tmp_path):
    save_file(VALUES, tmp_path / "model.safetensors")
    torch.save({"other": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert set(list_tensors(tmp_path)) == {"table", "bias"}


def test_no_weights(tmp_path):
    with pytest.raises(PLMError, match=r"no weights in .*save_pretrained"):
        list_tensors(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, 2000, -1])
def test_truncated_safetensors(tmp_path, tiny_bert, keep):
    content = (tiny_bert / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:keep])
    with pytest.raises(PLMError, match="damaged or no checkpoint"):
        list_tensors(tmp_path)


def test_a_flipped_bit_in_the_header_is_noticed_or_harmless(tmp_path):
    save_file(VALUES, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    refused = 0
    for position in range(8 + length):
        for bit in (0, 4, 7):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            (tmp_path / "model.safetensors").write_bytes(flipped)
            try:
                for tensor in list_tensors(tmp_path).values():  # a name may have changed, or the precision
                    read_tensor(tensor)
            except PLMError:
                refused += 1
    assert refused > (8 + length)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive", b"\x80\x02}q\x00."])
def test_damaged_pickles(tmp_path, content):
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(PLMError, match="damaged or no checkpoint"):
        list_tensors(tmp_path)


def test_a_truncated_pickle(tmp_path):
    torch.save(VALUES, tmp_path / "pytorch_model.bin")
    content = (tmp_path / "pytorch_model.bin").read_bytes()
    (tmp_path / "pytorch_model.bin").write_bytes(content[: len(content) // 2])
    with pytest.raises(PLMError, match="damaged or no checkpoint"):
        list_tensors(tmp_path)


def test_a_pickle_of_something_else(tmp_path):
    torch.save([1, 2], tmp_path / "pytorch_model.bin")
    with pytest.raises(PLMError, match="holds a list"):
        list_tensors(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_does_not(tmp_path, zipped):
    marker = tmp_path / "marker"
    state = {**VALUES, "evil": RunsCode(marker)}
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(PLMError, match="damaged or no checkpoint"):
        list_tensors(tmp_path)
    assert not marker.exists()
    torch.load(tmp_path / "pytorch_model.bin", weights_only=False)
    assert marker.exists()  # the file was dangerous indeed


def test_a_missing_shard_is_named(tmp_path):
    files = weight_files(save_sharded_bert(tmp_path))
    files[1].unlink()
    with pytest.raises(PLMError, match=f"1 of {len(files)} shards are missing .*{files[1].name}"):
        list_tensors(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": ["b"]}}', "\udcff"])
def test_an_unreadable_index(tmp_path, content):
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PLMError, match="no index of a sharded checkpoint"):
        list_tensors(tmp_path)


def test_an_index_cannot_leave_its_folder(tmp_path):
    outside, inside = tmp_path / "outside.safetensors", tmp_path / "model"
    save_file(VALUES, outside)
    inside.mkdir()
    (inside / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"table": "../outside.safetensors"}})
    )
    with pytest.raises(PLMError, match="1 of 1 shards are missing"):
        list_tensors(inside)


def test_sha256_of_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty") == EMPTY_SHA256


def test_hub_blobs_are_what_their_name_says(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / EMPTY_SHA256).touch()
    link = snapshot / "model.safetensors"
    link.symlink_to(Path("../../blobs") / EMPTY_SHA256)
    verify_hub_blob(link)
    (blobs / EMPTY_SHA256).write_text("damaged")
    with pytest.raises(PLMError, match=f"model.safetensors in the hub's cache is damaged.*{EMPTY_SHA256}"):
        verify_hub_blob(link)


def test_files_from_elsewhere_pass_unchecked(tmp_path):
    file = save_bert(tmp_path / "blobs") / "model.safetensors"
    verify_hub_blob(file)
