"""Masked words on a tiny BERT with its head: figures are those of transformers itself."""

import numpy as np
import polars as pl
import pytest
from tiny_plm import save_bert_mlm

from defemb_core.comparison import Comparison
from defemb_core.dictionaries import load_dictionary
from defemb_core.errors import EvaluationError, PLMError
from defemb_core.evaluate import evaluate_probing
from defemb_core.evaluation.probing import (
    definition_probes,
    probe_masks,
    sentence_probes,
    summarise_probes,
)
from defemb_core.frequency import plm_vocabulary
from defemb_core.plm import load_plm
from defemb_core.reconstruction import Settings, reconstruct


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def plm(request, tmp_path_factory):
    return load_plm(str(save_bert_mlm(tmp_path_factory.mktemp("mlm") / "bert", tied=request.param)))


@pytest.fixture(scope="module")
def comparison(plm, tiny_lexicon):
    vocabulary = plm_vocabulary(plm)
    made = reconstruct(plm, vocabulary, load_dictionary(f"wordnet:{tiny_lexicon}", vocabulary), Settings("instant"))
    return Comparison(plm, made)


def a_word(plm):
    words = plm_vocabulary(plm).filter((pl.col("kind") == "word") & (pl.col("text").str.len_chars() > 2))
    return words.row(-1, named=True)


def by_transformers(plm, prompt, token, table=None):
    import torch
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(plm.folder).eval()
    if table is not None:
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(torch.from_numpy(table.copy()))
    ids = plm.tokenizer.encode(prompt).ids
    logits = model(torch.tensor([ids])).logits[0, ids.index(plm.mask_id)].detach().double()
    return float(logits.softmax(0)[token]), int((logits > logits[token]).sum()) + 1


def test_figures_are_those_of_the_model_with_each_table(plm, comparison):
    word = a_word(plm)
    sentences = ["the [MASK] of the river", "a " + "[MASK] and so on " * 5]
    probes = pl.DataFrame({"token_id": [word["token_id"]] * 2, "prompt": sentences})
    found = probe_masks(plm, probes, {"original": plm.matrix, "rebuilt": comparison.rebuilt})
    assert found["table"].to_list() == ["original"] * 2 + ["rebuilt"] * 2
    for line in found.iter_rows(named=True):
        table = None if line["table"] == "original" else comparison.rebuilt
        probability, rank = by_transformers(plm, line["prompt"], line["token_id"], table)
        assert line["probability"] == pytest.approx(probability, rel=1e-4)
        assert line["rank"] == rank


def test_untied_output_rows_stay_and_tied_ones_follow(plm):
    """A token whose output row grows in the direction of the state is likelier; an untied one does not change."""
    token = a_word(plm)["token_id"]
    probes = pl.DataFrame({"token_id": [token], "prompt": ["we saw a [MASK] today"]})
    table = plm.matrix.copy()
    table[token] *= -30  # in the prompt the token does not occur
    before, after = probe_masks(plm, probes, {"a": plm.matrix, "b": table})["probability"]
    assert (before == pytest.approx(after, rel=1e-6)) == (plm.output_rows == "untied")


def test_batches_change_nothing(plm, monkeypatch):
    token = a_word(plm)["token_id"]
    prompts = [f"{'the ' * length}[MASK] is here" for length in range(7)]
    probes = pl.DataFrame({"token_id": [token] * 7, "prompt": prompts})
    whole = probe_masks(plm, probes, {"a": plm.matrix})
    monkeypatch.setattr("defemb_core.evaluation.probing.BATCH", 2)
    parts = probe_masks(plm, probes, {"a": plm.matrix})
    assert parts["probability"].to_list() == pytest.approx(whole["probability"].to_list(), rel=1e-4)


def test_prompts_of_definitions_hide_the_word():
    class Masked:
        mask_token = "<m>"

    senses = pl.DataFrame(
        {"token_id": [7, 7, 3], "gloss": ["a Dog that dogs", "second", "no more"], "pos": ["noun", "verb", None],
         "text": ["dog", "dog", "x"]},
    )  # fmt: skip
    found = definition_probes(senses, Masked(), np.array([3, 7, 9]))
    assert found.rows() == [(3, "<m> means no more"), (7, "<m> ( noun ) means a <m> that dogs")]


def test_sentences_of_the_user(plm):
    word = a_word(plm)
    vocabulary = plm_vocabulary(plm)
    found = sentence_probes(plm, vocabulary, word["text"], [f"Say {word['text'].upper()}, [MASK] or {word['text']}!"])
    assert found.rows() == [(word["token_id"], "Say [MASK],  or [MASK]!")]
    with pytest.raises(EvaluationError, match="does not contain"):
        sentence_probes(plm, vocabulary, word["text"], ["nothing here"])
    with pytest.raises(EvaluationError, match="is no token of"):
        sentence_probes(plm, vocabulary, "qqqqqq", ["qqqqqq"])
    with pytest.raises(EvaluationError, match="is no token of"):
        sentence_probes(plm, vocabulary, "[CLS]", ["[CLS]"])


def test_a_run_is_probed_in_its_definitions_and_in_sentences(plm, comparison):
    probed, notes = evaluate_probing(comparison, tokens=5)
    rare = comparison.vocabulary.filter(pl.col("group") == "rare")["token_id"]
    assert probed.height == 10
    assert set(probed["token_id"]) <= set(rare.to_list())
    assert probed["prompt"].str.contains("[MASK]", literal=True).all()
    assert ("untied" in notes[0]) == (plm.output_rows == "untied")
    assert "5 of " in notes[1]
    word = a_word(plm)["text"]
    probed, _ = evaluate_probing(comparison, word, [f"the {word} ."])
    assert probed["prompt"].to_list() == ["the [MASK] ."] * 2


def test_a_plm_without_a_head_gets_one_sentence(tiny_plm, tiny_reconstruction):
    with pytest.raises(PLMError, match="has no head that fills masks; name one that was saved with its head"):
        evaluate_probing(Comparison(tiny_plm, tiny_reconstruction))


def test_an_encoder_decoder_gets_the_same(tmp_path):
    from tiny_plm import save_t5

    with pytest.raises(PLMError, match="has no head that fills masks"):
        load_plm(str(save_t5(tmp_path / "t5"))).masked_lm()


def test_a_summary_of_many_prompts():
    ranks = [1, 2, 4] * 5
    frame = pl.DataFrame(
        {"table": ["a"] * 15 + ["b"] * 15, "token_id": [0] * 30, "prompt": ["x"] * 30,
         "probability": [0.1] * 10 + [0.001] * 5 + [0.5] * 15, "rank": [*map(float, ranks), *[1.0] * 15]},
    )  # fmt: skip
    first, second = summarise_probes(frame).rows(named=True)
    assert first["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert (first["median_rank"], first["prompts"]) == (2, 15)
    assert first["probability"] == pytest.approx(10 ** ((-1 * 10 - 3 * 5) / 15))
    assert second["mrr"] == second["low"] == second["high"] == pytest.approx(1)
    assert second["difference"] == pytest.approx(1 - first["mrr"])
    few = summarise_probes(frame.group_by("table", maintain_order=True).head(3))
    assert few["mrr"].to_list() == [None, None]
    assert few["median_rank"].to_list() == [2, 1]
