import copy
import dataclasses
import itertools
import shutil
import time

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from tiny_plm import save_roberta, save_t5
from tokenizers import Tokenizer, models, pre_tokenizers

from defemb_core import features
from defemb_core.errors import PLMError
from defemb_core.features import bag_of_embeddings, encode_prompts
from defemb_core.plm import load_plm
from defemb_core.prompts import encode_ids
from defemb_core.states import even_batches, token_batches

TEXTS = ["the old bank", "a dog and a cat ran by the river", "bank", "money", "happy children in the garden , running"]


@pytest.fixture(scope="module", params=["bert", "roberta", "t5"])
def plm(request, tmp_path_factory, tiny_plm):
    if request.param == "bert":
        return tiny_plm
    save = {"roberta": save_roberta, "t5": save_t5}[request.param]
    return load_plm(str(save(tmp_path_factory.mktemp(request.param))))


def copy_of(plm, folder):
    shutil.copytree(plm.folder, folder)
    return load_plm(str(folder))


def prompts_for(plm, texts=TEXTS):
    return [f"{plm.mask_token} means {text}" for text in texts]


def one_by_one(plm, prompts):
    """States at the mask and their mean, each prompt alone and without padding."""
    encoder, mask, mean = plm.encoder(), [], []
    mask_id = plm.tokenizer.token_to_id(plm.mask_token)
    for prompt in prompts:
        ids = plm.tokenizer.encode(prompt).ids
        with torch.inference_mode():
            states = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        mask.append(states[ids.index(mask_id)])
        mean.append(states.mean(axis=0))
    return np.array(mask), np.array(mean)


# Bags of input embeddings


def tokens_inside(plm, text):
    """The tokens of a text that stands inside a sentence: a byte-level tokenizer has other ones for the very start."""
    return plm.tokenizer.encode(f" {text}", add_special_tokens=False).ids


def weights(plm, texts):
    """Squared smoothed inverse document frequency by token id, from scikit-learn's."""
    ids = [tokens_inside(plm, text) for text in texts]
    counts = np.array([np.bincount(i, minlength=plm.rows) for i in ids])
    return dict(enumerate(TfidfTransformer().fit(counts).idf_ ** 2))


def test_a_bag_is_the_weighted_mean_of_the_tokens_rows(plm):
    found, weight = bag_of_embeddings(plm, TEXTS), weights(plm, TEXTS)
    for bag, text in zip(found, TEXTS, strict=True):
        ids = tokens_inside(plm, text)
        expected = np.average(plm.matrix[ids], axis=0, weights=[weight[i] for i in ids])
        np.testing.assert_allclose(bag, expected, atol=1e-5)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), plm.width)


def test_what_every_definition_says_weighs_less(tiny_plm):
    texts = ["the dog", "the cat", "the river", "the old bank"]
    weight = weights(tiny_plm, texts)
    the, dog = (tiny_plm.tokenizer.token_to_id(word) for word in ("the", "dog"))
    assert weight[the] == pytest.approx(1)
    assert weight[dog] == pytest.approx((1 + np.log(5 / 2)) ** 2)
    expected = np.average(tiny_plm.matrix[[the, dog]], axis=0, weights=[weight[the], weight[dog]])
    np.testing.assert_allclose(bag_of_embeddings(tiny_plm, texts)[0], expected, atol=1e-6)


def test_words_asked_at_once_are_cut_as_each_alone(plm):
    words = [f"{a}{b}{c}" for a in "abdogé(" for b in ("", "-", "kennel") for c in ("", "s,", "'s", "ß")]
    ids, lengths = features._cut(plm.tokenizer, words)
    alone = [plm.tokenizer.encode(f" {word}", add_special_tokens=False).ids for word in words]
    assert [cut.tolist() for cut in np.split(ids, np.cumsum(lengths)[:-1])] == alone


def test_a_word_that_is_a_special_token_is_cut_too(plm):
    special = [token.content for token in plm.tokenizer.get_added_tokens_decoder().values()]
    words = ["dog", *special, "cat"]
    ids, lengths = features._cut(plm.tokenizer, words)
    alone = [plm.tokenizer.encode(f" {word}", add_special_tokens=False).ids for word in words]
    assert [cut.tolist() for cut in np.split(ids, np.cumsum(lengths)[:-1])] == alone


def test_empty_bags(tiny_plm):
    assert not bag_of_embeddings(tiny_plm, ["", "  "]).any()
    assert bag_of_embeddings(tiny_plm, []).shape == (0, tiny_plm.width)


def test_a_bag_counts_repeated_tokens(tiny_plm):
    once, more = bag_of_embeddings(tiny_plm, ["dog cat", "dog dog dog cat"])
    dog, cat = (tiny_plm.matrix[tiny_plm.tokenizer.token_to_id(word)] for word in ("dog", "cat"))
    np.testing.assert_allclose(once, (dog + cat) / 2, atol=1e-6)
    np.testing.assert_allclose(more, (3 * dog + cat) / 4, atol=1e-6)


def test_a_bag_is_not_cut(tiny_plm):
    long = "dog " * 500 + "cat " * 500
    dog, cat = (tiny_plm.matrix[tiny_plm.tokenizer.token_to_id(word)] for word in ("dog", "cat"))
    np.testing.assert_allclose(bag_of_embeddings(tiny_plm, [long])[0], (dog + cat) / 2, atol=1e-5)


# States of prompts


@pytest.mark.parametrize("budget", [1, 25, 2048])
def test_batches_give_what_single_prompts_give(plm, budget):
    prompts = prompts_for(plm)
    mask, mean = one_by_one(plm, prompts)
    found = encode_prompts(plm, prompts, budget=budget)
    np.testing.assert_allclose(found.mask, mask, atol=1e-5)
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    assert found.mask.dtype == found.mean.dtype == np.float32
    assert np.abs(np.diff(mask, axis=0)).max() > 1e-3  # the order could have been lost


def test_equal_prompts_are_encoded_once(tiny_plm):
    prompts = prompts_for(tiny_plm)
    once = encode_prompts(tiny_plm, prompts, budget=1)
    often = encode_prompts(tiny_plm, [*prompts, *prompts[::-1], prompts[2]], budget=1)
    assert often.tokens == once.tokens == sum(len(ids) for ids in encode_ids(tiny_plm, prompts))
    np.testing.assert_array_equal(often.mask[: len(prompts)], once.mask)
    np.testing.assert_array_equal(often.mask[len(prompts) : -1], once.mask[::-1])
    np.testing.assert_array_equal(often.mean[-1], once.mean[2])


def test_batches_keep_to_the_budget(tiny_plm):
    seen = []

    class Watched:
        def __init__(self, model):
            self.model, self.config = model, model.config

        def __call__(self, input_ids, **more):
            seen.append(input_ids.numel())
            return self.model(input_ids=input_ids, **more)

    found = encode_prompts(tiny_plm, prompts_for(tiny_plm), Watched(tiny_plm.encoder()), budget=32)
    assert max(seen) <= 32
    assert 1 < len(seen) < len(TEXTS)
    assert found.tokens == sum(seen)


def test_progress_ends_at_the_number_of_distinct_prompts(tiny_plm):
    told = []
    prompts = prompts_for(tiny_plm)
    encode_prompts(tiny_plm, prompts * 2, budget=1, progress=lambda done, of: told.append((done, of)))
    assert told == [(i, len(TEXTS)) for i in range(1, len(TEXTS) + 1)]


def test_whoever_stops_listening_stops_the_work(tiny_plm):
    seen, threads, encoder = [], torch.get_num_threads(), tiny_plm.encoder()

    class Slow:
        config = encoder.config

        def __call__(self, input_ids, **more):
            seen.append(len(input_ids))
            time.sleep(0.02)
            return encoder(input_ids=input_ids, **more)

    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_prompts(tiny_plm, [f"[MASK] means {i}" for i in range(200)], Slow(), budget=1, progress=stop)
    at_the_end = len(seen)
    time.sleep(0.1)
    assert len(seen) == at_the_end < 100
    assert torch.get_num_threads() == threads


def test_what_goes_wrong_in_a_batch_is_raised(tiny_plm):
    class Broken:
        config = tiny_plm.encoder().config

        def __call__(self, **more):
            raise MemoryError("no more")

    with pytest.raises(MemoryError, match="no more"):
        encode_prompts(tiny_plm, prompts_for(tiny_plm), Broken(), budget=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_does_not_change_a_bit(tiny_plm, threads):
    prompts, before = prompts_for(tiny_plm), torch.get_num_threads()
    expected = encode_prompts(tiny_plm, prompts, budget=25)
    torch.set_num_threads(threads)
    try:
        found = encode_prompts(tiny_plm, prompts, budget=25)
    finally:
        torch.set_num_threads(before)
    assert (found.mask.tobytes(), found.mean.tobytes()) == (expected.mask.tobytes(), expected.mean.tobytes())


class Counting:
    """An encoder that counts the prompts that it is given."""

    def __init__(self, plm):
        self.model, self.config, self.prompts = plm.encoder(), plm.encoder().config, 0

    def __call__(self, input_ids, **more):
        self.prompts += len(input_ids)
        return self.model(input_ids=input_ids, **more)


def interrupted(plm, prompts, folder, after=2):
    """Encode a prompt a batch and stop after some of them."""

    def stop(done, of):
        if done >= after:
            raise KeyboardInterrupt

    encoder = Counting(plm)
    with pytest.raises(KeyboardInterrupt):
        encode_prompts(plm, prompts, encoder, budget=1, progress=stop, checkpoint=folder)
    return encoder.prompts


def test_what_was_encoded_before_an_interruption_is_not_encoded_again(tiny_plm, tmp_path):
    prompts, told, encoder = prompts_for(tiny_plm), [], Counting(tiny_plm)
    whole = encode_prompts(tiny_plm, prompts, budget=1)
    assert interrupted(tiny_plm, prompts, tmp_path) >= 2
    found = encode_prompts(
        tiny_plm, prompts, encoder, 1, progress=lambda done, of: told.append(done), checkpoint=tmp_path
    )
    assert encoder.prompts <= len(prompts) - 2
    assert told[-1] == len(prompts)
    assert min(told) > 2  # goes on from where it was
    assert (found.mask.tobytes(), found.mean.tobytes()) == (whole.mask.tobytes(), whole.mean.tobytes())
    assert found.tokens == whole.tokens


@pytest.mark.parametrize("change", ["prompts", "budget", "table", "files", "damaged", "cut short", "no zip"])
def test_states_of_something_else_are_made_again(tiny_plm, tmp_path, change):
    plm, prompts, budget = copy_of(tiny_plm, tmp_path / "plm"), prompts_for(tiny_plm), 1
    folder = tmp_path / "checkpoint"
    interrupted(plm, prompts, folder)
    file = folder / "prompt-states.npz"
    if change == "prompts":
        prompts = prompts[::-1][:-1]
    elif change == "budget":
        budget = 25
    elif change == "table":
        plm = dataclasses.replace(plm, matrix=plm.matrix + 1)
    elif change == "files":
        (plm.folder / "new.txt").touch()
    elif change == "damaged":
        np.savez(file, key=np.array("x"))
    else:
        file.write_bytes(file.read_bytes()[:500] if change == "cut short" else b"mine")
    encoder = Counting(plm)
    found = encode_prompts(plm, prompts, encoder, budget, checkpoint=folder)
    assert encoder.prompts == len(prompts)
    assert found.mask.tobytes() == encode_prompts(plm, prompts, budget=budget).mask.tobytes()


def test_a_checkpoint_that_cannot_be_written_costs_nothing(tiny_plm, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setattr("defemb_core.features_files.WRITE_EVERY", 0)
    prompts = prompts_for(tiny_plm)
    found = encode_prompts(tiny_plm, prompts, checkpoint=tmp_path / "file")
    assert found.mask.tobytes() == encode_prompts(tiny_plm, prompts).mask.tobytes()
    assert "cannot keep the encoder's states" in caplog.text


def test_states_are_written_while_the_work_goes_on(tiny_plm, tmp_path, monkeypatch):
    monkeypatch.setattr("defemb_core.features_files.WRITE_EVERY", 0)
    prompts = prompts_for(tiny_plm)
    encode_prompts(tiny_plm, prompts, budget=1, checkpoint=tmp_path)
    encoder = Counting(tiny_plm)
    encode_prompts(tiny_plm, prompts, encoder, budget=1, checkpoint=tmp_path)
    assert encoder.prompts == 0


def test_no_prompts(tiny_plm):
    found = encode_prompts(tiny_plm, [])
    assert found.mask.shape == found.mean.shape == (0, tiny_plm.width)
    assert found.tokens == 0


def test_long_prompts_are_cut(plm):
    longest = plm.max_tokens
    prompt = prompts_for(plm, ["dog " * 600])[0]
    [ids] = encode_ids(plm, [prompt])
    assert len(ids) == longest
    assert ids[-1] == plm.tokenizer.encode("dog").ids[-1]  # the closing special token stays
    assert np.isfinite(encode_prompts(plm, [prompt]).mean).all()


def test_padding_and_truncation_of_the_checkpoint_do_not_matter(tiny_plm):
    tokenizer = copy.deepcopy(tiny_plm.tokenizer)
    tokenizer.enable_padding(length=60)
    tokenizer.enable_truncation(4)
    other = dataclasses.replace(tiny_plm, tokenizer=tokenizer)
    np.testing.assert_array_equal(bag_of_embeddings(other, TEXTS), bag_of_embeddings(tiny_plm, TEXTS))
    prompts = prompts_for(tiny_plm)
    assert encode_ids(other, prompts) == encode_ids(tiny_plm, prompts)
    assert tokenizer.padding["length"] == 60  # a copy was changed, not the PLM's own


def test_no_mask_token(tiny_plm):
    with pytest.raises(PLMError, match="no mask token; method 'instant' works"):
        encode_prompts(dataclasses.replace(tiny_plm, mask_token=None), ["a dog"])


def test_a_prompt_without_the_mask(tiny_plm):
    with pytest.raises(PLMError, match=r"lacks the mask token '\[MASK\]'"):
        encode_prompts(tiny_plm, ["[MASK] means dog", "a dog"])


def test_bags_need_no_mask_token(tiny_plm):
    tokenizer = Tokenizer(models.WordLevel({"dog": 0, "cat": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    plm = dataclasses.replace(tiny_plm, tokenizer=tokenizer, mask_token=None)
    np.testing.assert_allclose(bag_of_embeddings(plm, ["dog cat"])[0], tiny_plm.matrix[:2].mean(axis=0), atol=1e-6)


# Batches


@pytest.mark.parametrize("budget", [1, 10, 64, 10_000])
def test_token_batches(budget):
    lengths = np.random.default_rng(0).integers(1, 40, 200)
    batches = token_batches(lengths, budget)
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert (np.diff(lengths[np.concatenate(batches)]) >= 0).all()
    for batch in batches:
        assert len(batch) * lengths[batch].max() <= budget or len(batch) == 1
    for batch, following in itertools.pairwise(batches):  # no batch could have taken one more
        assert (len(batch) + 1) * lengths[following[0]] > budget


def test_no_token_batches():
    assert token_batches(np.array([], dtype=int), 100) == []


@pytest.mark.parametrize("budget", [5, 40, 1000])
def test_even_batches_have_every_sequence_once_and_about_the_same_tokens(budget):
    lengths = np.random.default_rng(0).integers(3, 30, size=200)
    batches = even_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert len(batches) % 2 == 0 or len(batches) > 100
    tokens = [int(lengths[batch].sum()) for batch in batches]
    assert max(tokens) - min(tokens) <= 2 * lengths.max()
    assert max(tokens) <= 2 * budget + lengths.max()
    assert all(np.all(np.diff(lengths[batch]) >= 0) for batch in batches)


def test_even_batches_of_few_sequences():
    assert [batch.tolist() for batch in even_batches(np.array([7]), 100)] == [[0]]
    assert [batch.tolist() for batch in even_batches(np.array([9, 7]), 100)] == [[1], [0]]
