"""Rows for words that a table never had: which words, how they are spelled, predicted, compared and written."""

import json
import math
import re
import shutil
from functools import cache

import numpy as np
import polars as pl
import pytest
import tiny_plm
import torch
import transformers
from families import FAMILIES, save_family
from safetensors.torch import load_file
from tiny import byte_level_bpe, gemma, sentencepiece, wordpiece
from transformers import AutoModel, AutoTokenizer

from defemb_core.cache import file_sha256
from defemb_core.definitionemb import fit_map
from defemb_core.dictionaries import load_dictionary
from defemb_core.errors import DictionaryError, ExportError, SettingsError
from defemb_core.evaluation.held_out import word_families
from defemb_core.export_place import MANIFEST
from defemb_core.new_tokens.checkpoint import add_tokens
from defemb_core.new_tokens.compare import COMPARED, MEASURES, compare_starts, hidden_words, side_by_side
from defemb_core.new_tokens.cuts import can_be_hidden, cut_without, without_tokens
from defemb_core.new_tokens.findings import Findings, nearest_tokens, read_findings, write_findings
from defemb_core.new_tokens.plan import BEYOND_LIMIT, NO_DEFINITION, new_rows, notes_on, plan_tokens, words_of
from defemb_core.new_tokens.rows import STARTS, drawn_rows
from defemb_core.new_tokens.spelling import pieces_of, spelled, token_style, with_tokens
from defemb_core.new_tokens.terms import corpus_terms, glossary_terms, typed_terms
from defemb_core.pieces import matched_senses
from defemb_core.plm import load_plm
from defemb_core.reconstruction import Settings

START = "definition-and-pieces"
SETTINGS = Settings(method="instant")
OTHERS = ("The cat sat by the river, and 12 dogs ran.", "zorblats and prezorblat", "a dog", "")
GLOSSARY = {
    "zorblat": "a small dog that runs by the river",
    "the zub": "a cat in the house",
    "cat": "a pet",
    "Qivit": "a big house",
}


@pytest.fixture(scope="module")
def glossary(tmp_path_factory):
    return write_glossary(tmp_path_factory.mktemp("glossary") / "terms.csv", GLOSSARY)


def write_glossary(file, entries):
    pl.DataFrame({"word": list(entries), "definition": list(entries.values())}).write_csv(file)
    return file


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of a family's tiny PLM with its head; tests must not write to it."""
    return cache(lambda name, **more: save_family(name, tmp_path_factory.mktemp(name), FAMILIES[name].head, **more))


@pytest.fixture(scope="module")
def load(glossary, tiny_lexicon):
    return lambda vocabulary: load_dictionary(f"glossary:{glossary},wordnet:{tiny_lexicon}", vocabulary)


@pytest.fixture(scope="module")
def made_of(folder_of, glossary, load, tmp_path_factory):
    """A family's plan and the folder that was written by it."""

    @cache
    def make(name):
        plan = plan_tokens(load_plm(str(folder_of(name))), glossary_terms(glossary), load, START, SETTINGS)
        return plan, add_tokens(plan, START, SETTINGS, tmp_path_factory.mktemp("made") / name)

    return make


@pytest.fixture(params=FAMILIES)
def made(request, made_of):
    return request.param, *made_of(request.param)


def planned(plm, entries, load, tmp_path, start=START, **more):
    file = write_glossary(tmp_path / "own.csv", entries)
    return plan_tokens(plm, glossary_terms(file), load, start, SETTINGS, **more)


def reasons(plan):
    return dict(plan.terms.select("term", "left_out").iter_rows())


# Every family


def test_the_plan_says_what_becomes_of_every_term(made):
    _, plan, _ = made
    assert plan.terms["term"].to_list() == list(GLOSSARY)
    assert reasons(plan)["cat"] == "it is one token already"
    assert plan.added["term"].to_list() == ["zorblat", "the zub", "Qivit"]
    first = plan.plm.tokenizer.get_vocab_size()
    assert plan.new.tolist() == [first, first + 1, first + 2]
    assert plan.terms["definition"].to_list()[0] == GLOSSARY["zorblat"]


def test_a_new_token_is_one_token_in_a_text_and_reads_as_the_word(made):
    _, plan, out = made
    tokenizer, old = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(plan.plm.folder)
    assert len(tokenizer) == len(old) + 3

    def ids(text, by=tokenizer):
        return by(text, add_special_tokens=False)["input_ids"]

    for term, token, row in plan.added.select("term", "token", "token_id").iter_rows():
        assert ids(f"a {term} sat") == [*ids("a", old), row, *ids(" sat", old)]
        assert ids(term) == [row]
        assert ids(f"({term})").count(row) == 1
        assert tokenizer.decode([row]).strip() == token
    for text in OTHERS:
        assert tokenizer(text)["input_ids"] == old(text)["input_ids"]


def test_case_counts_where_the_tokenizer_keeps_it(made):
    _, plan, out = made
    tokenizer = AutoTokenizer.from_pretrained(out)
    row = plan.added.filter(term="Qivit")["token_id"][0]
    folds = plan.added.filter(term="Qivit")["token"][0] == "qivit"
    assert (row in tokenizer("a QIVIT sat")["input_ids"]) == folds
    assert folds == (plan.plm.tokenizer.encode("Cat").ids == plan.plm.tokenizer.encode("cat").ids)


def test_only_tensors_with_a_line_for_every_token_have_grown_and_their_old_lines_are_the_same(made):
    name, plan, out = made
    before, after = (load_file(folder / "model.safetensors") for folder in (plan.plm.folder, out))
    assert before.keys() == after.keys()
    grown = {key for key in before if not torch.equal(before[key], after[key][..., : before[key].shape[-1]])
             or before[key].shape != after[key].shape}  # fmt: skip
    old, new = plan.plm.rows, plan.rows
    wanted = {key for key, value in before.items() if old in value.shape}
    assert grown == wanted
    manifest = json.loads((out / MANIFEST).read_text())
    assert set(manifest["tensors"]["changed"]) == wanted
    for key in wanted:
        assert list(after[key].shape) == [new if edge == old else edge for edge in before[key].shape]
        lines = after[key] if after[key].shape[0] == new else after[key].T
        assert torch.equal(lines[:old], before[key] if before[key].shape[0] == old else before[key].T)
    assert {file.name: file_sha256(file) for file in out.iterdir() if file.name != MANIFEST} == manifest["files"]
    assert name != "t5gemma" or len(wanted) == 2


def test_transformers_loads_it_with_the_rows_that_were_predicted(made):
    name, plan, out = made
    family = FAMILIES[name]
    model = getattr(transformers, family.prefix + family.head).from_pretrained(out).eval()
    table = model.get_input_embeddings().weight.detach().numpy()
    assert len(table) == plan.rows == load_plm(str(out)).rows
    np.testing.assert_array_equal(table[plan.new], new_rows(plan, [START], SETTINGS)[START])
    if name == "t5gemma":
        side = model.get_decoder().embed_tokens.weight
        rows = new_rows(plan, [START], SETTINGS, plm=plan.plm.decoder_side())[START]
        np.testing.assert_array_equal(side.detach().numpy()[plan.new], rows)
        assert model.config.encoder.vocab_size == model.config.decoder.vocab_size == plan.rows
    else:
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        assert model.config.vocab_size == plan.rows
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = tokenizer("a zorblat sat", return_tensors="pt")["input_ids"]
    given = {"input_ids": ids} | ({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})
    with torch.inference_mode():
        logits = model(**given).logits
    assert logits.shape[-1] == plan.rows
    assert logits.isfinite().all()
    assert AutoModel.from_pretrained(out).get_input_embeddings().weight.shape == table.shape


def test_output_biases_of_new_tokens_are_the_mean_of_the_old_ones(made_of):
    plan, out = made_of("bert")
    before, after = (load_file(folder / "model.safetensors") for folder in (plan.plm.folder, out))
    bias = "cls.predictions.bias"
    np.testing.assert_allclose(after[bias][plan.plm.rows :], before[bias].mean(), rtol=1e-5)


def test_untied_output_rows_are_made_from_output_rows(folder_of, glossary, load, tmp_path):
    plm = load_plm(str(folder_of("bert", tied=False)))
    plan = plan_tokens(plm, glossary_terms(glossary), load, "mean-of-pieces", SETTINGS)
    out = add_tokens(plan, "mean-of-pieces", SETTINGS, tmp_path / "out")
    after = load_file(out / "model.safetensors")
    output = after["cls.predictions.decoder.weight"].numpy()
    pieces = pieces_of(plm.tokenizer, plan.added["term"].to_list())
    for row, cut in zip(plan.new, pieces, strict=True):
        np.testing.assert_allclose(output[row], output[cut].mean(axis=0), atol=1e-6)
    assert not np.array_equal(output, after["bert.embeddings.word_embeddings.weight"].numpy())


TOKENIZERS = {"t5gemma": "GemmaTokenizer"} | {
    name: f"{family.prefix}Tokenizer" for name, family in FAMILIES.items() if name not in {"t5gemma", "modernbert"}
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_family_s_own_tokenizer_class_reads_new_tokens_too(name, folder_of, glossary, load, tmp_path):
    """Such a class builds its tokenizer anew from the vocabulary in tokenizer.json."""
    folder = shutil.copytree(folder_of(name), tmp_path / "plm")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": TOKENIZERS[name]}))
    plan = plan_tokens(load_plm(str(folder)), glossary_terms(glossary), load, "mean-of-all", SETTINGS)
    out = add_tokens(plan, "mean-of-all", SETTINGS, tmp_path / "out")
    tokenizer, old = AutoTokenizer.from_pretrained(out), AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer) is type(old)
    assert type(old).__name__ not in {"PreTrainedTokenizerFast", "TokenizersBackend"}
    for term, row in plan.added.select("term", "token_id").iter_rows():
        read, before = tokenizer(f"a {term} sat")["input_ids"], old("a sat")["input_ids"]
        assert [one for one in read if one != row] == before
        assert read.count(row) == 1
    for text in OTHERS:
        assert tokenizer(text)["input_ids"] == old(text)["input_ids"]


# Other layouts


def test_rows_beyond_the_tokenizer_are_used_first(glossary, load, tmp_path):
    plm = load_plm(str(tiny_plm.save_bert(tmp_path / "plm", padding=5)))
    plan = plan_tokens(plm, glossary_terms(glossary), load, START, SETTINGS)
    out = add_tokens(plan, START, SETTINGS, tmp_path / "out")
    assert plan.rows == plm.rows
    again = load_plm(str(out))
    kept = np.setdiff1d(np.arange(plm.rows), plan.new)
    np.testing.assert_array_equal(again.matrix[kept], plm.matrix[kept])
    np.testing.assert_array_equal(again.matrix[plan.new], new_rows(plan, [START], SETTINGS)[START])
    assert (out / "config.json").read_bytes() == (plm.folder / "config.json").read_bytes()


def test_where_they_do_not_suffice_the_table_grows_by_what_is_missing(glossary, load, tmp_path):
    plm = load_plm(str(tiny_plm.save_bert(tmp_path / "plm", padding=1)))
    plan = plan_tokens(plm, glossary_terms(glossary), load, START, SETTINGS)
    out = add_tokens(plan, START, SETTINGS, tmp_path / "out")
    assert plan.rows == plm.rows + 2
    np.testing.assert_array_equal(load_plm(str(out)).matrix[: plm.rows - 1], plm.matrix[:-1])
    assert json.loads((out / "config.json").read_text())["vocab_size"] == plan.rows


@pytest.mark.parametrize(
    "save",
    [tiny_plm.save_sharded_bert, tiny_plm.save_bin_bert, tiny_plm.save_sharded_bin_bert],
    ids=lambda f: f.__name__,
)
def test_shards_and_pickles(save, glossary, load, tmp_path):
    plm = load_plm(str(save(tmp_path / "plm")))
    plan = plan_tokens(plm, glossary_terms(glossary), load, "mean-of-all", SETTINGS)
    out = add_tokens(plan, "mean-of-all", SETTINGS, tmp_path / "out")
    model = AutoModel.from_pretrained(out)
    table = model.get_input_embeddings().weight.detach().numpy()
    kept = np.setdiff1d(np.arange(plm.rows), plan.new)
    np.testing.assert_array_equal(table[kept], plm.matrix[kept])
    np.testing.assert_array_equal(table[plan.new], new_rows(plan, ["mean-of-all"], SETTINGS)["mean-of-all"])
    assert not list(out.glob("*.bin*"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays(dtype, glossary, load, tmp_path):
    plm = load_plm(str(tiny_plm.save_bert(tmp_path / "plm", dtype=dtype, padding=0)))
    plan = plan_tokens(plm, glossary_terms(glossary), load, START, SETTINGS)
    out = add_tokens(plan, START, SETTINGS, tmp_path / "out")
    table = load_file(out / "model.safetensors")[plm.table.name]
    assert table.dtype == getattr(torch, dtype)
    rows = torch.from_numpy(new_rows(plan, [START], SETTINGS)[START]).to(table.dtype)
    assert torch.equal(table[plan.new[0] :], rows)


def test_sentence_transformers_loads_its_folder(glossary, load, tmp_path):
    from sentence_transformers import SentenceTransformer

    plm = load_plm(str(tiny_plm.save_sentence_transformer(tmp_path / "plm")))
    plan = plan_tokens(plm, glossary_terms(glossary), load, START, SETTINGS)
    out = add_tokens(plan, START, SETTINGS, tmp_path / "out")
    model = SentenceTransformer(str(out), device="cpu")
    assert plan.new[0] in model.tokenize(["a zorblat sat"])["input_ids"]
    vector = model.encode("a zorblat sat")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(
        model.encode(OTHERS[0]), SentenceTransformer(str(plm.folder), device="cpu").encode(OTHERS[0])
    )
    assert (out / "1_Pooling" / "config.json").is_file()


# What cannot be added


def test_terms_that_cannot_be_tokens_say_why(tiny_plm, load, tmp_path):
    entries = {
        "zorblat": "a dog",
        "ZORBLAT": "a cat",
        "[MASK]": "a sign",
        "the [MASK] zub": "a sign",
        "zub\u200bzub": "a",
    }
    plan = planned(tiny_plm, entries, load, tmp_path)
    told = reasons(plan)
    assert told["zorblat"] is None
    assert "the same as" in told["ZORBLAT"]
    assert "added before" in told["[MASK]"]
    assert "added before" in told["the [MASK] zub"]
    assert "show nothing" in told["zub\u200bzub"]


def test_a_piece_of_that_name_keeps_its_row(folder_of, load, tmp_path):
    plm = load_plm(str(folder_of("roberta")))
    inner = next(token for token in plm.tokenizer.get_vocab()
                 if token.isalpha() and token.isascii() and len(token) > 2
                 and len(pieces_of(plm.tokenizer, [token])[0]) > 1)  # fmt: skip
    plan = planned(plm, {inner: "a dog", "zorblat": "a dog"}, load, tmp_path)
    assert reasons(plan)[inner] == "the tokenizer has a piece of this very name"


def test_a_term_without_a_definition_is_left_out_unless_the_start_needs_none(tiny_plm, load, tmp_path):
    terms = pl.DataFrame(
        {"term": ["zorblat", "zubzub"], "count": [None, None]}, schema={"term": pl.String, "count": pl.Int64}
    )
    plan = plan_tokens(tiny_plm, terms, load, START, SETTINGS)
    assert reasons(plan) == {"zorblat": None, "zubzub": NO_DEFINITION}
    assert plan_tokens(tiny_plm, terms, load, "random", SETTINGS).terms["left_out"].is_null().all()


def test_the_limit_leaves_the_last_out(tiny_plm, glossary, load):
    plan = plan_tokens(tiny_plm, glossary_terms(glossary), load, START, SETTINGS, limit=1)
    assert reasons(plan) == {
        "zorblat": None, "the zub": BEYOND_LIMIT, "cat": "it is one token already", "Qivit": BEYOND_LIMIT,
    }  # fmt: skip


def test_nothing_to_add_is_an_error(tiny_plm, load, tmp_path):
    with pytest.raises(SettingsError, match="none of 1 terms can be added; the first, 'cat': it is one token already"):
        planned(tiny_plm, {"cat": "a pet"}, load, tmp_path)
    with pytest.raises(DictionaryError, match="there are no terms"):
        plan_tokens(
            tiny_plm, glossary_terms(write_glossary(tmp_path / "x.csv", {"a": "b"})).clear(), load, START, SETTINGS
        )


def test_a_method_without_a_map_for_new_words_is_refused(tiny_plm, glossary, load):
    plan = plan_tokens(tiny_plm, glossary_terms(glossary), load, START, SETTINGS)
    with pytest.raises(SettingsError, match="method 'trained' makes no rows for new words"):
        new_rows(plan, [START], Settings(method="trained"))


def test_odd_characters(tiny_plm, load, tmp_path):
    entries = {"C++": "a dog", "$x$<b>": "a cat", "心房": "a house", "naïve-zub": "a pet", "=1+1z": "a house"}
    plan = planned(tiny_plm, entries, load, tmp_path, "mean-of-pieces")
    assert plan.terms["left_out"].is_null().all()
    out = add_tokens(plan, "mean-of-pieces", SETTINGS, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(out)
    for term, row in plan.added.select("term", "token_id").iter_rows():
        assert tokenizer(f"a {term} b")["input_ids"].count(row) == 1
    assert plan.added.filter(term="心房")["token_id"][0] in tokenizer("的心房的")["input_ids"]


def test_an_existing_target_is_refused_and_an_earlier_one_replaced_by_force(made_of, tmp_path):
    plan, _ = made_of("bert")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(ExportError, match="exists"):
        add_tokens(plan, START, SETTINGS, out)
    with pytest.raises(ExportError, match="no checkpoint export of defemb"):
        add_tokens(plan, START, SETTINGS, out, force=True)
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "mine.txt"]
    other = add_tokens(plan, "mean-of-all", SETTINGS, tmp_path / "other")
    add_tokens(plan, START, SETTINGS, other, force=True)
    assert json.loads((other / MANIFEST).read_text())["start"] == START


def test_work_that_is_stopped_leaves_nothing_behind(made_of, tmp_path):
    plan, _ = made_of("bert")

    def stop(stage, done, total, /, **figures):
        if stage == "writing the checkpoint":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_tokens(plan, START, SETTINGS, tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_notes_tell_of_what_a_user_should_know(made_of):
    assert notes_on(made_of("bert")[0]) == ["1 term of several words is found where one blank stands between the words"]
    assert "no blank before a new token" in notes_on(made_of("bart")[0])[0]


# Rows


def test_the_usual_starts_are_what_they_say(made_of):
    plan, _ = made_of("roberta")
    plm = plan.plm
    rows = new_rows(plan, ["mean-of-pieces", "mean-of-all", "random"], SETTINGS)
    old = (plan.vocabulary["group"] != "none").to_numpy()[: plm.rows]
    for row, cut in zip(rows["mean-of-pieces"], pieces_of(plm.tokenizer, plan.added["term"].to_list()), strict=True):
        np.testing.assert_allclose(row, plm.matrix[cut].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(rows["mean-of-all"], np.tile(plm.matrix[old].mean(axis=0), (3, 1)), atol=1e-6)
    assert len(np.unique(rows["random"], axis=0)) == 3
    np.testing.assert_array_equal(rows["random"], new_rows(plan, ["random"], SETTINGS)["random"])


def test_drawn_rows_have_the_table_s_mean_and_covariance():
    rows = np.random.default_rng(0).standard_normal((500, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0.1]]) + 5
    drawn = drawn_rows(rows, 40_000, 1)
    np.testing.assert_allclose(drawn.mean(axis=0), rows.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), np.cov(rows, rowvar=False), atol=0.1)


def test_a_predicted_row_is_the_map_s_answer_as_far_from_the_mean_as_usual(made_of):
    from defemb_core.methods import Inputs, token_features
    from defemb_core.progress import Clock

    plan, _ = made_of("bert")
    words = words_of(plan, plan.plm)
    ids, first = np.unique(plan.senses["token_id"].to_numpy(), return_index=True)
    inputs = Inputs(words.plm, plan.vocabulary, plan.senses, plan.dictionary.definitions)
    [blocks] = token_features(inputs, first, np.ones(len(ids)), SETTINGS, Clock(), None).views
    new = np.isin(ids, plan.new)
    rows, families = plan.plm.matrix[ids[~new]], word_families(plan.senses, plan.vocabulary, ids)[~new]
    mapping = fit_map([block[~new] for block in blocks], rows, groups=families)
    away = mapping.predict(np.concatenate([block[new] for block in blocks], axis=1)) - rows.mean(axis=0)
    made = new_rows(plan, ["definition"], SETTINGS)["definition"] - rows.mean(axis=0)
    usual = np.median(np.linalg.norm(rows - rows.mean(axis=0), axis=1))
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), usual, rtol=1e-4)
    np.testing.assert_allclose(made / usual, away / np.linalg.norm(away, axis=1, keepdims=True), atol=1e-4)


def test_the_values_at_new_rows_count_for_nothing(glossary, load, tmp_path):
    import dataclasses

    plm = load_plm(str(tiny_plm.save_bert(tmp_path / "plm", padding=5)))
    plan = plan_tokens(plm, glossary_terms(glossary), load, START, SETTINGS)
    table = plm.matrix.copy()
    table[plan.new] = 1000
    other = dataclasses.replace(plan, plm=dataclasses.replace(plm, matrix=table))
    mine, its = (new_rows(one, STARTS, SETTINGS) for one in (plan, other))
    for start in STARTS:
        np.testing.assert_array_equal(mine[start], its[start])


def test_method_frozen_reads_prompts(made_of):
    plan, _ = made_of("bert")
    frozen, instant = (new_rows(plan, ["definition"], Settings(method=m))["definition"] for m in ("frozen", "instant"))
    assert frozen.shape == instant.shape
    assert not np.allclose(frozen, instant)


# Cuts and hidden words


@pytest.mark.parametrize("make", [wordpiece, byte_level_bpe, sentencepiece, gemma])
def test_a_cut_without_a_token_is_what_the_tokenizer_makes_without_it(make):
    tokenizer = make()
    rows = [row for token, row in tokenizer.get_vocab().items() if len(token) > 3 and token.strip("▁Ġ").isalpha()]
    rows = [row for row in rows if can_be_hidden(tokenizer, np.array([row]))[0]]
    cuts = cut_without(tokenizer, rows)
    assert len(cuts) > 20
    checked = 0
    for row, pieces in list(cuts.items())[:60]:
        word = tokenizer.id_to_token(row)
        if not ((make is wordpiece and not word.startswith("##")) or word[0] in "▁Ġ"):
            continue
        blind = without_tokens(tokenizer, [row])
        assert blind.encode(f" {word.strip('▁Ġ')}", add_special_tokens=False).ids == pieces
        checked += 1
    assert checked > 5


def test_hiding_a_token_leaves_all_others(tiny_plm):
    tokenizer = tiny_plm.tokenizer
    row = tokenizer.token_to_id("river")
    blind = without_tokens(tokenizer, [row])
    assert blind.get_vocab_size() == tokenizer.get_vocab_size()
    assert blind.token_to_id("river") is None
    assert row not in blind.encode("by the river").ids
    assert blind.encode("the cat").ids == tokenizer.encode("the cat").ids


def test_a_token_that_longer_ones_are_made_from_cannot_be_hidden():
    tokenizer = byte_level_bpe()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    part, whole = tokenizer.token_to_id(merges[-1][0]), tokenizer.token_to_id("".join(merges[-1]))
    assert can_be_hidden(tokenizer, np.array([part, whole])).tolist() == [False, True]


def test_hidden_words_are_gone_from_tokenizer_and_table(tiny_plm, tiny_vocabulary, tiny_dictionary):
    senses = matched_senses(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS)
    blind, held, judged = hidden_words(tiny_plm, tiny_vocabulary, senses, 0)
    assert set(judged) <= set(held) < set(senses["token_id"])
    assert not blind.matrix[held].any()
    for row in held:
        assert row not in blind.tokenizer.encode(tiny_vocabulary["text"][int(row)]).ids
    kept = np.setdiff1d(np.arange(tiny_plm.rows), held)
    np.testing.assert_array_equal(blind.matrix[kept], tiny_plm.matrix[kept])


def test_the_comparison_never_looks_at_hidden_rows_but_to_judge(
    tiny_plm, tiny_vocabulary, tiny_dictionary, monkeypatch
):
    """Whatever the hidden rows are, the same rows are made."""
    import dataclasses

    from defemb_core.new_tokens import compare

    seen = []
    real = compare.start_rows
    old = []
    monkeypatch.setattr(
        compare, "start_rows", lambda words, *a: old.append(words.old) or seen.append(real(words, *a)) or seen[-1]
    )
    senses = matched_senses(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS)
    held = hidden_words(tiny_plm, tiny_vocabulary, senses, 0)[1]
    table = tiny_plm.matrix.copy()
    table[held] += 100
    for plm in (tiny_plm, dataclasses.replace(tiny_plm, matrix=table)):
        compare_starts(plm, tiny_vocabulary, tiny_dictionary, SETTINGS)
    for start in STARTS:
        np.testing.assert_array_equal(seen[0][start], seen[1][start])
    assert not set(held) & set(old[0])


def test_the_comparison_has_a_line_a_start_and_measure(tiny_plm, tiny_vocabulary, tiny_dictionary):
    compared = compare_starts(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS, seeds=2)
    assert compared.schema == COMPARED
    assert compared.height == len(STARTS) * len(MEASURES)
    assert compared["seeds"].unique().to_list() == [2]
    assert (compared["low"] <= compared["mean"]).all()
    assert (compared["mean"] <= compared["high"]).all()
    assert compared.filter(start=STARTS[0])["p"].is_null().all()
    again = compare_starts(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS, seeds=2)
    assert again.equals(compared)
    shown = side_by_side(compared)
    assert shown["start"].to_list() == list(STARTS)
    first = compared.row(0, named=True)
    assert shown["cosine"][0] == "{mean:z.3f} ({low:z.3f} to {high:z.3f})".format(**first)
    with pytest.raises(SettingsError, match="--seeds must be 1 or more"):
        compare_starts(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS, seeds=0)


def test_true_rows_would_earn_all(tiny_plm, tiny_vocabulary, tiny_dictionary, monkeypatch):
    from defemb_core.new_tokens import compare

    monkeypatch.setattr(
        compare, "start_rows", lambda words, starts, *_: dict.fromkeys(starts, tiny_plm.matrix[words.new])
    )
    compared = compare_starts(tiny_plm, tiny_vocabulary, tiny_dictionary, SETTINGS)
    np.testing.assert_allclose(compared["mean"], 1, atol=1e-6)


# Terms


def test_a_corpus_gives_the_words_that_cost_most(tiny_plm, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("Zorblat zorblat, the cat the cat.\nonce\n", encoding="utf-8")
    (tmp_path / "deep" / "b.txt").write_text("zorblat zubzub zubzub 12345 12345", encoding="utf-8")
    (tmp_path / "c.md").write_text("markdown markdown", encoding="utf-8")
    told = []
    found = corpus_terms(tiny_plm.tokenizer, tmp_path, 5, lambda stage, done, total: told.append((done, total)))
    assert dict(found.iter_rows()) == {"zorblat": 3, "zubzub": 2}
    pieces = [len(ids) for ids in pieces_of(tiny_plm.tokenizer, ["zorblat", "zubzub"])]
    costs = [3 * (pieces[0] - 1), 2 * (pieces[1] - 1)]
    assert found["term"][0] == ["zorblat", "zubzub"][int(np.argmax(costs))]
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.parametrize(
    ("content", "error"), [(None, "there is no corpus at"), ("the cat", "no word of .* comes up twice and is cut")]
)
def test_a_corpus_that_cannot_serve_says_so(tiny_plm, content, error, tmp_path):
    if content:
        (tmp_path / "x.txt").write_text(content)
    with pytest.raises(SettingsError, match=error):
        corpus_terms(tiny_plm.tokenizer, tmp_path / "x.txt", 5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"there is no \.txt file"):
        corpus_terms(tiny_plm.tokenizer, tmp_path / "empty", 5)
    with pytest.raises(SettingsError, match="--limit must be 1 or more"):
        corpus_terms(tiny_plm.tokenizer, tmp_path, 0)


def test_typed_terms_become_a_glossary(tmp_path):
    file = typed_terms("zorblat: a dog: a big one\n\n =zub : a cat ", tmp_path / "new" / "terms.csv")
    assert glossary_terms(file)["term"].to_list() == ["zorblat", "=zub"]
    assert load_dictionary(f"glossary:{file}").definitions["definition"][0] == "a dog: a big one"
    for text, error in (
        ("zorblat", "has no definition"),
        (" \n", "no terms are written"),
        (": x", "has no definition"),
    ):
        with pytest.raises(DictionaryError, match=error):
            typed_terms(text, tmp_path / "terms.csv")


def test_an_empty_glossary_says_so(tmp_path):
    (tmp_path / "empty.csv").write_text("word,definition\n")
    with pytest.raises(DictionaryError, match="no entry with a word and a definition"):
        glossary_terms(tmp_path / "empty.csv")


def test_spelling(tiny_plm):
    assert spelled(tiny_plm.tokenizer, " Ünder  GROUND ") == "under ground"
    assert spelled(byte_level_bpe(), "Under") == "Under"
    style = token_style(tiny_plm.tokenizer)
    new = with_tokens(tiny_plm.tokenizer, ["zorblat"], style)
    assert new.token_to_id("zorblat") == tiny_plm.tokenizer.get_vocab_size()
    assert tiny_plm.tokenizer.token_to_id("zorblat") is None


# Findings


def test_nearest_tokens_are_old_rows(made_of):
    plan, _ = made_of("bert")
    near = nearest_tokens(plan, {"random": plan.plm.matrix[[30, 40, 50]]})
    texts = plan.vocabulary["text"]
    assert [names[0] for names in near["nearest"]] == [texts[30], texts[40], texts[50]]
    np.testing.assert_allclose(near["cosine"], 1, atol=1e-5)


def test_findings_come_back(made_of, tmp_path):
    plan, _ = made_of("bert")
    assert read_findings(tmp_path) is None
    found = Findings(plan.terms, None, None, {"out": None, "share": math.pi})
    write_findings(tmp_path / "new", found)
    again = read_findings(tmp_path / "new")
    assert again is not None
    assert again.terms.equals(plan.terms)
    assert (again.near, again.compared, again.about) == (None, None, found.about)
    (tmp_path / "new" / "about.json").write_text("{")
    assert read_findings(tmp_path / "new") is None


def test_the_model_card_names_the_tokens(made_of):
    _, out = made_of("bert")
    text = (out / "README.md").read_text()
    assert re.search(r"with 3 new tokens", text)
    assert "`zorblat`" in text
