"""Every family of encoder-based PLMs: loads, is rebuilt, is exported and loads again, with and without a head."""

import dataclasses
import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from families import DECODERS, FAMILIES, LAYERS, NARROW, WIDTH, save_family
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from defemb_core.errors import PLMError
from defemb_core.export import export
from defemb_core.features import encode_prompts
from defemb_core.frequency import plm_vocabulary
from defemb_core.methods import METHODS
from defemb_core.plm import load_plm
from defemb_core.prompts import make_prompt
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.reconstruction_files import load_reconstruction, save_reconstruction
from defemb_core.stages import stage_shares
from defemb_core.vocabulary import tokenizer_kind

TEXT = "The cat sat by the river, and 12 dogs ran."
NARROW_TABLES = {"albert", "electra"}
SIDES = ("encoder", "decoder")
DECODER_TABLE = "decoder.embed_tokens.weight"
SEQ2SEQ = {"bart", "mbart", "t5", "t5gemma"}
WORDPIECE, BYTES = {"bert", "distilbert", "electra", "mpnet"}, {"roberta", "modernbert", "bart"}
# T5's config knows no untied rows, and T5Gemma's rows are tied to the decoder's table: both are tested apart.
UNTIED = sorted(FAMILIES.keys() - {"t5", "t5gemma"})


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of a family's tiny PLM without a head; tests must not write to it."""
    return cache(lambda name: save_family(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def plm_of(folder_of):
    return cache(lambda name: load_plm(str(folder_of(name))))


@pytest.fixture(scope="module")
def rebuilt_of(plm_of, tiny_dictionary):
    """A family's table, rebuilt."""
    return cache(lambda name, method: rebuild(plm_of(name), tiny_dictionary, method))


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


def rebuild(plm, dictionary, method="instant"):
    return reconstruct(plm, plm_vocabulary(plm), dictionary, Settings(method=method, preset="quick"))


def head_of(name, folder):
    family = FAMILIES[name]
    return getattr(transformers, family.prefix + family.head).from_pretrained(folder).eval()


def share_the_table(folder):
    """Have both sides of an encoder-decoder with untied output rows read one table, as published ones do."""
    state = load_file(folder / "model.safetensors")
    copies = {f"model.{side}.embed_tokens.weight": state["model.shared.weight"].clone() for side in SIDES}
    save_file(state | copies, folder / "model.safetensors", {"format": "pt"})
    return copies.keys()


def values(module):
    return module.weight.detach().numpy()


def given(name, ids):
    """What a model of the family is called with."""
    return {"input_ids": ids, "decoder_input_ids": ids} if name in SEQ2SEQ else {"input_ids": ids}


# Loading


def test_the_table_is_the_models_input_table(name, folder_of, plm_of):
    plm = plm_of(name)
    model = AutoModel.from_pretrained(folder_of(name))
    np.testing.assert_array_equal(plm.matrix, values(model.get_input_embeddings()))
    assert plm.table.name == FAMILIES[name].table
    assert plm.matrix.shape == (plm.tokenizer.get_vocab_size(), NARROW if name in NARROW_TABLES else WIDTH)
    assert plm.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert plm.output_rows == "none"
    assert plm.is_encoder_decoder == (name in SEQ2SEQ)
    assert plm.has_decoder_table == (name == "t5gemma")


def test_prompts_have_a_mask_and_a_length(name, plm_of):
    plm, family = plm_of(name), FAMILIES[name]
    assert (plm.mask_token, plm.max_tokens) == (family.mask, family.max_tokens)
    assert plm.tokenizer.token_to_id(plm.mask_token) in plm.special_ids
    states = encode_prompts(plm, [f"{plm.mask_token} means {'a cat ' * 600}"])  # cut to what the encoder can read
    assert states.tokens == plm.max_tokens
    assert np.isfinite(states.mean).all()


def test_kinds_of_rows(name, plm_of):
    plm = plm_of(name)
    vocabulary = plm_vocabulary(plm)
    kind = tokenizer_kind(plm.tokenizer)
    assert kind == ("wordpiece" if name in WORDPIECE else "byte-level bpe" if name in BYTES else "sentencepiece")
    special = set(vocabulary.filter(kind="special")["token_id"])
    assert special == plm.special_ids
    assert {plm.tokenizer.token_to_id(token) for token in FAMILIES[name].names.values()} <= special
    words = dict(vocabulary.filter(kind="word").select("text", "token").iter_rows())
    mark = {"wordpiece": "", "byte-level bpe": "Ġ", "sentencepiece": "▁"}[kind]
    assert {"cat", "river"} <= words.keys()
    assert words["cat"] == mark + "cat"
    assert (vocabulary.filter(kind="unused").height > 0) == (name in WORDPIECE or name == "t5gemma")
    assert (vocabulary.filter(kind="byte").height > 0) == (name in BYTES or name == "t5gemma")


def test_states_are_the_encoders_own_whatever_the_batch(name, folder_of, plm_of):
    plm = plm_of(name)
    glosses = ["a small animal", "water that runs to the sea", "a dog", "to go"]
    prompts = [make_prompt(gloss, ["noun"], plm.mask_token) for gloss in glosses]
    states = encode_prompts(plm, prompts)
    assert states.mask.shape == states.mean.shape == (len(prompts), WIDTH)
    model = AutoModel.from_pretrained(folder_of(name)).eval()
    encoder = model.encoder if name in SEQ2SEQ else model
    for prompt, mask, mean in zip(prompts, states.mask, states.mean, strict=True):
        ids = plm.tokenizer.encode(prompt).ids
        with torch.inference_mode():
            alone = encoder(torch.tensor([ids])).last_hidden_state[0].numpy()
        at = ids.index(plm.tokenizer.token_to_id(plm.mask_token))
        np.testing.assert_allclose(mask, alone[at], atol=1e-5)
        np.testing.assert_allclose(mean, alone.mean(axis=0), atol=1e-5)


# Rebuilding and exporting


@pytest.mark.parametrize("method", METHODS)
def test_rebuilt_rows_differ_and_all_others_stay(name, method, plm_of, rebuilt_of):
    plm, made = plm_of(name), rebuilt_of(name, method)
    assert made.rebuilt.sum() > 30
    assert np.isfinite(made.matrix).all()
    np.testing.assert_array_equal((made.matrix != plm.matrix).any(axis=1), made.rebuilt)
    assert not made.rebuilt[sorted(plm.special_ids)].any()


@pytest.mark.parametrize("method", METHODS)
def test_transformers_loads_the_export(name, method, folder_of, plm_of, rebuilt_of, tmp_path):
    plm, made = plm_of(name), rebuilt_of(name, method)
    out = export(made, plm, "checkpoint", tmp_path / "out")
    model, tokenizer = AutoModel.from_pretrained(out).eval(), AutoTokenizer.from_pretrained(out)
    np.testing.assert_array_equal(values(model.get_input_embeddings()), made.matrix)
    ids = tokenizer(TEXT)["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(folder_of(name))(TEXT)["input_ids"] == plm.tokenizer.encode(TEXT).ids
    with torch.inference_mode():
        assert model(**given(name, torch.tensor([ids]))).last_hidden_state.isfinite().all()
    before, after = (load_file(folder / "model.safetensors") for folder in (plm.folder, out))
    assert before.keys() == after.keys()
    tables = [FAMILIES[name].table] + [DECODER_TABLE] * (name == "t5gemma")
    assert sorted(key for key in before if not torch.equal(before[key], after[key])) == sorted(tables)
    np.testing.assert_array_equal(load_plm(str(out)).matrix, made.matrix)
    if name == "t5gemma":
        np.testing.assert_array_equal(values(model.decoder.embed_tokens), made.decoder_matrix)


# Heads


def test_tied_output_rows_are_the_new_rows_and_biases_stay(name, tiny_dictionary, tmp_path):
    plm = load_plm(str(save_family(name, tmp_path / "plm", FAMILIES[name].head)))
    assert plm.table.name.endswith(f".{FAMILIES[name].table}") or plm.table.name == FAMILIES[name].table
    made = rebuild(plm, tiny_dictionary, "frozen")
    out = export(made, plm, "checkpoint", tmp_path / "out")
    before, after = head_of(name, plm.folder), head_of(name, out)
    assert plm.parameters == sum(parameter.numel() for parameter in before.parameters())
    np.testing.assert_array_equal(values(after.get_input_embeddings()), made.matrix)
    if name == "t5gemma":
        assert plm.output_rows == "untied"  # from the encoder's table; they are tied to the decoder's
        np.testing.assert_array_equal(values(after.get_output_embeddings()), made.decoder_matrix)
    else:
        assert plm.output_rows == "tied"
        assert after.get_output_embeddings().weight is after.get_input_embeddings().weight
    new = dict(after.named_parameters())  # each tied tensor once
    changed = [old for key, old in before.named_parameters() if not torch.equal(old, new[key])]
    tables = [before.get_input_embeddings()]
    if name == "t5gemma":
        tables.append(before.get_decoder().embed_tokens)
    assert {id(old) for old in changed} == {id(table.weight) for table in tables}
    ids = torch.tensor([plm.tokenizer.encode(TEXT).ids])
    with torch.inference_mode():
        assert after(**given(name, ids)).logits.isfinite().all()


def test_a_pickle_holds_the_table_under_every_name(name, tiny_dictionary, tmp_path):
    folder = save_family(name, tmp_path / "plm", FAMILIES[name].head)
    stored = load_plm(str(folder))
    torch.save(head_of(name, folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    plm = load_plm(str(folder))
    assert plm.digest == stored.digest
    # A head's bias may be listed under two names; T5Gemma's output rows repeat the decoder's table.
    more = plm.matrix.size if name == "t5gemma" else plm.rows
    assert plm.output_rows == stored.output_rows
    assert 0 <= plm.parameters - stored.parameters <= more
    made = rebuild(plm, tiny_dictionary)
    before, after = (head_of(name, f) for f in (folder, export(made, plm, "checkpoint", tmp_path / "out")))
    old, new = before.state_dict(), after.state_dict()
    pairs = [(plm.matrix, made.matrix), (plm.decoder_matrix, made.decoder_matrix)]
    copies = {key: rows for table, rows in pairs for key in old if np.array_equal(old[key], table)}
    assert {key for key in old if not torch.equal(old[key], new[key])} == copies.keys()
    assert all(np.array_equal(new[key], rows) for key, rows in copies.items())


@pytest.mark.parametrize("name", UNTIED)
def test_untied_output_rows_stay(name, tiny_dictionary, tmp_path):
    folder = save_family(name, tmp_path / "plm", FAMILIES[name].head, tied=False)
    copies = share_the_table(folder) if name in SEQ2SEQ else set()
    plm = load_plm(str(folder))
    assert plm.output_rows == "untied"
    made = rebuild(plm, tiny_dictionary)
    out = export(made, plm, "checkpoint", tmp_path / "out")
    before, after = head_of(name, plm.folder), head_of(name, out)
    np.testing.assert_array_equal(values(after.get_input_embeddings()), made.matrix)
    np.testing.assert_array_equal(values(after.get_output_embeddings()), values(before.get_output_embeddings()))
    old, new = before.state_dict(), after.state_dict()
    assert {key for key in old if not torch.equal(old[key], new[key])} == {plm.table.name, *copies}


def test_stored_output_rows_of_t5_that_its_settings_tie(tmp_path, tiny_dictionary):
    """T5 1.1 has output rows of its own; transformers writes them, and settings that say they are tied."""
    save_family("t5", tmp_path / "plm", "ForConditionalGeneration")
    state = load_file(tmp_path / "plm" / "model.safetensors")
    state["lm_head.weight"] = state["shared.weight"] + 1
    save_file(state, tmp_path / "plm" / "model.safetensors", {"format": "pt"})
    plm = load_plm(str(tmp_path / "plm"))
    assert plm.output_rows == "untied"
    made = rebuild(plm, tiny_dictionary)
    after = head_of("t5", export(made, plm, "checkpoint", tmp_path / "out"))
    assert torch.equal(after.get_output_embeddings().weight, state["lm_head.weight"])
    for side in (after.encoder, after.decoder):
        np.testing.assert_array_equal(values(side.embed_tokens), made.matrix)


def test_both_sides_of_an_encoder_decoder_read_the_new_rows(tmp_path, plm_of, rebuilt_of):
    for name in sorted(SEQ2SEQ):
        plm, made = plm_of(name), rebuilt_of(name, "instant")
        model = AutoModel.from_pretrained(export(made, plm, "checkpoint", tmp_path / name))
        rows = made.decoder_matrix if name == "t5gemma" else made.matrix
        np.testing.assert_array_equal(values(model.encoder.embed_tokens), made.matrix)
        np.testing.assert_array_equal(values(model.decoder.embed_tokens), rows)


@pytest.mark.parametrize("method", METHODS)
def test_a_decoders_own_table_is_rebuilt_after_the_encoders(method, plm_of, rebuilt_of, tiny_dictionary):
    plm, made = plm_of("t5gemma"), rebuilt_of("t5gemma", method)
    assert not np.array_equal(plm.matrix, plm.decoder_matrix)
    np.testing.assert_array_equal((made.decoder_matrix != plm.decoder_matrix).any(axis=1), made.rebuilt)
    alone = rebuild(plm.decoder_side(), tiny_dictionary, method)
    np.testing.assert_array_equal(made.decoder_matrix, alone.matrix)
    assert made.evidence["decoder"]["held_out"] == alone.evidence["held_out"]
    assert made.evidence["decoder"]["isotropy"] == alone.evidence["isotropy"]
    assert alone.decoder_matrix is None


def test_stages_of_two_tables_follow_each_other(plm_of, tiny_dictionary):
    told = []
    plm = plm_of("t5gemma")
    settings = Settings("frozen", folds=3)
    reconstruct(plm, plm_vocabulary(plm), tiny_dictionary, settings, lambda stage, *more, **figures: told.append(stage))
    shares = stage_shares("frozen", has_decoder_table=True)
    assert list(dict.fromkeys(told)) == list(shares)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["encoder"] == shares["decoder's encoder"] > 0.4


def test_tables_that_are_equal_are_rebuilt_each_by_itself(tmp_path, tiny_dictionary):
    file = save_family("t5gemma", tmp_path / "plm") / "model.safetensors"
    state = load_file(file)
    state[DECODER_TABLE] = state["encoder.embed_tokens.weight"].clone()
    save_file(state, file, {"format": "pt"})
    plm = load_plm(str(tmp_path / "plm"))
    made = rebuild(plm, tiny_dictionary)
    np.testing.assert_array_equal(made.decoder_matrix, made.matrix)  # instant sees nothing but the table
    made = dataclasses.replace(made, decoder_matrix=plm.decoder_matrix)
    out = export(made, plm, "checkpoint", tmp_path / "out")
    after = load_file(out / "model.safetensors")
    assert torch.equal(after[DECODER_TABLE], state[DECODER_TABLE])
    assert not torch.equal(after["encoder.embed_tokens.weight"], state["encoder.embed_tokens.weight"])


def test_a_run_keeps_both_tables(tmp_path, rebuilt_of, plm_of):
    made = rebuilt_of("t5gemma", "instant")
    save_reconstruction(made, tmp_path)
    np.testing.assert_array_equal(load_reconstruction(tmp_path).decoder_matrix, made.decoder_matrix)
    out = export(made, plm_of("t5gemma"), "checkpoint", tmp_path / "out")
    assert "The decoder has a table of its own; the same rows are new there." in (out / "README.md").read_text()


def test_electras_discriminator_has_no_output_rows(tmp_path, tiny_dictionary):
    plm = load_plm(str(save_family("electra", tmp_path / "plm", "ForPreTraining")))
    assert (plm.output_rows, plm.width) == ("none", NARROW)
    assert rebuild(plm, tiny_dictionary, "frozen").rebuilt.any()


def test_debertas_newer_head_reads_the_table_itself(tmp_path, tiny_dictionary):
    folder = save_family("deberta-v2", tmp_path / "plm", "ForMaskedLM", legacy=False)
    plm = load_plm(str(folder))
    made = rebuild(plm, tiny_dictionary)
    before, after = (head_of("deberta-v2", f) for f in (folder, export(made, plm, "checkpoint", tmp_path / "out")))
    old, new = before.state_dict(), after.state_dict()
    assert [key for key in old if not torch.equal(old[key], new[key])] == [plm.table.name]


@pytest.mark.parametrize("name", ["t5", "t5gemma"])
def test_an_encoder_saved_without_its_decoder(name, tmp_path, tiny_dictionary):
    changes = {"is_encoder_decoder": False} if name == "t5gemma" else {}
    plm = load_plm(str(save_family(name, tmp_path / "plm", "EncoderModel", **changes)))
    made = rebuild(plm, tiny_dictionary, "frozen")
    out = export(made, plm, "checkpoint", tmp_path / "out")
    model = getattr(transformers, f"{FAMILIES[name].prefix}EncoderModel").from_pretrained(out)
    np.testing.assert_array_equal(values(model.get_input_embeddings()), made.matrix)
    assert not plm.has_decoder_table


# What is refused


@pytest.mark.parametrize("headed", [True, False])
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_are_refused_in_a_sentence(name, headed, tmp_path):
    folder = save_family(name, tmp_path, DECODERS[name].head if headed else "Model")
    with pytest.raises(PLMError, match=f"^model type '{name}' is decoder-only, which is out of scope: [^.]*$"):
        load_plm(str(folder))


def test_an_encoder_with_missing_weights_is_refused(tmp_path):
    file = save_family("roberta", tmp_path) / "model.safetensors"
    state = {key: tensor for key, tensor in load_file(file).items() if f".{LAYERS - 1}." not in key}
    save_file(state, file, {"format": "pt"})
    plm = load_plm(str(tmp_path))
    with pytest.raises(PLMError, match=r"lacks 16 weights of its encoder, first 'encoder\.layer\.1\."):
        plm.encoder()


@pytest.mark.parametrize("kind", ["Model", "ForConditionalGeneration"])
@pytest.mark.parametrize("name", ["bart", "mbart"])
def test_one_table_that_the_settings_do_not_tie_is_refused_with_advice_that_helps(
    name, kind, tmp_path, tiny_dictionary
):
    """Earlier transformers shared the input table even so, and wrote it once."""
    folder = save_family(name, tmp_path / "plm", kind, tied=False)
    state = load_file(folder / "model.safetensors")
    state = {key: tensor for key, tensor in state.items() if not key.endswith("embed_tokens.weight")}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    plm = load_plm(str(folder))
    said = r"holds one input table, '(model\.)?shared\.weight', .* set tie_word_embeddings to true in the config\.json"
    for build in (plm.encoder, plm.whole):
        with pytest.raises(PLMError, match=said):
            build()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    plm = load_plm(str(folder))
    assert plm.output_rows == ("none" if kind == "Model" else "untied")
    made = rebuild(plm, tiny_dictionary, "frozen")
    out = export(made, plm, "checkpoint", tmp_path / "out")
    after = getattr(transformers, FAMILIES[name].prefix + kind).from_pretrained(out)
    for side in (after.get_encoder(), after.get_decoder()):
        np.testing.assert_array_equal(values(side.embed_tokens), made.matrix)
    if kind != "Model":
        assert torch.equal(after.get_output_embeddings().weight, state["lm_head.weight"])


def test_weights_under_the_names_of_the_first_bert_are_not_missing(folder_of, plm_of, tmp_path):
    shutil.copytree(folder_of("bert"), tmp_path, dirs_exist_ok=True)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = load_file(tmp_path / "model.safetensors")
    for now, then in old.items():
        state = {key.replace(now, then): tensor for key, tensor in state.items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    states = [encode_prompts(plm, ["[MASK] means a cat"]).mean for plm in (plm_of("bert"), load_plm(str(tmp_path)))]
    np.testing.assert_array_equal(*states)


def test_building_the_encoder_of_a_head_says_nothing(tmp_path, capfd):
    plm = load_plm(str(save_family("bert", tmp_path, "ForMaskedLM")))
    capfd.readouterr()
    plm.encoder()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("pad", "tokens"), [(0, 62), (1, 62), (3, 60)])
def test_positions_start_after_the_padding_id(folder_of, tmp_path, pad, tokens):
    config = json.loads((folder_of("roberta") / "config.json").read_text())
    shutil.copytree(folder_of("roberta"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps({**config, "pad_token_id": pad}))
    plm = load_plm(str(tmp_path))
    assert plm.max_tokens == tokens
    assert encode_prompts(plm, [f"<mask> means {'cat ' * 99}"]).tokens == tokens
