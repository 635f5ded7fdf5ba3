import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from families import FAMILIES, WIDTH, save_family
from scipy.special import log_softmax

from defemb_core import student as module
from defemb_core.definitionemb import RidgeMap
from defemb_core.features import read_prompts
from defemb_core.plm import load_plm
from defemb_core.presets import Recipe
from defemb_core.prompts import tokenize_prompts
from defemb_core.student import TEMPERATURE, Examples, Student, set_dropout

TEXTS = ["the old bank by the river", "a dog", "money", "a dog and a cat ran in the garden , running", "warm"]
ROWS = np.array([40, 61, 40, 57, 90, 61])  # the last two of TEXTS' lines ask for other rows than their own
SPREAD = 0.05  # of the tiny PLMs' rows
# Dropout by the names of those families whose settings have none unless told.
DROPOUT = {
    "albert": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3},
    "modernbert": {"attention_dropout": 0.3, "mlp_dropout": 0.3, "embedding_dropout": 0.3},
    "t5gemma": {"attention_dropout": 0.3, "dropout_rate": 0.3},
    "bart": {"encoder_layerdrop": 0.3, "decoder_layerdrop": 0.3, "activation_dropout": 0.3},
}
CANNOT_RECOMPUTE = {"albert", "mpnet"}
SEQ2SEQ = ("bart", "mbart", "t5", "t5gemma")


@pytest.fixture(scope="module")
def plm_of(tmp_path_factory):
    def load(name):
        return load_plm(str(save_family(name, tmp_path_factory.mktemp(name), **DROPOUT.get(name, {}))))

    return cache(load)


@pytest.fixture(params=FAMILIES)
def plm(request, plm_of):
    return plm_of(request.param)


def examples_of(plm, rows=ROWS, cuts=None):
    """An example a row: the texts in turn, of unequal weights; the first prompt comes twice."""
    texts = [f"{plm.mask_token} means {text}" for text in TEXTS]
    prompts = tokenize_prompts(plm, texts, cuts)
    prompt = prompts.lines[np.arange(len(rows)) % len(TEXTS)]
    return Examples(prompts, prompt, rows, np.linspace(0.2, 1, len(rows), dtype=np.float32))


def start_for(student, seed=0):
    """A map with a centre, a scale and an intercept; answers are about as large as rows."""
    random = np.random.default_rng(seed)
    features, width = student.reader.widths[0], student.plm.width
    return RidgeMap(
        random.normal(size=features),
        random.uniform(0.5, 2, features),
        SPREAD * random.normal(size=(features, width)) / np.sqrt(features),
        SPREAD * random.normal(size=width),
        1.0,
    )


def begun(plm, known=ROWS, **recipe):
    student = Student(plm, Recipe(**recipe))
    student.begin(start_for(student), np.unique(known))
    return student


def slots_of(student, examples):
    with torch.inference_mode():
        return student.reader(examples.prompts, examples.prompt)[0].numpy().astype(np.float64)


def everything(examples):
    return np.arange(len(examples))


def gradients(student, examples):
    student.model.train()
    loss = student.loss(examples, everything(examples))
    found = torch.autograd.grad(loss, list(student.parameters().values()), allow_unused=True)
    return loss.item(), dict(zip(student.parameters(), found, strict=True))


# The loss


def test_the_loss_is_the_published_one(plm):
    student, examples = begun(plm), examples_of(plm)
    answers = start_for(student).predict(slots_of(student, examples)).astype(np.float64)
    error = ((answers - plm.matrix[ROWS]) ** 2).sum(axis=1) / plm.width * 100
    found = student.loss(examples, everything(examples))
    assert found.shape == ()
    assert found.item() == pytest.approx((error * examples.weight).sum(), rel=1e-4)
    assert error.min() > 1e-3


def test_a_loss_is_the_sum_of_its_examples_losses(plm):
    cuts = [None, ((50, 60, 70), 2), None, ((50, 60), 0), None]  # a decoder's inputs differ in length
    student, examples = begun(plm, contrastive=0.5), examples_of(plm, cuts=cuts)
    one_by_one = [student.loss(examples, np.array([i])).item() for i in range(len(examples))]
    assert student.loss(examples, everything(examples)).item() == pytest.approx(sum(one_by_one), rel=1e-4)
    assert student.loss(examples, np.array([3, 1])).item() == pytest.approx(one_by_one[3] + one_by_one[1], rel=1e-4)


def test_a_weight_of_two_counts_twice(tiny_plm):
    student, examples = begun(tiny_plm), examples_of(tiny_plm)
    doubled = dataclasses.replace(examples, weight=2 * examples.weight)
    batch = everything(examples)
    assert student.loss(doubled, batch).item() == pytest.approx(2 * student.loss(examples, batch).item())


@pytest.mark.parametrize("share", [0.3, 2.0])
def test_the_contrastive_term_is_the_cross_entropy_among_the_known_rows(tiny_plm, share):
    known = np.unique([*ROWS, 30, 33, 200])
    student, examples = begun(tiny_plm, known, contrastive=share), examples_of(tiny_plm)
    start = start_for(student)
    answers = start.predict(slots_of(student, examples)) - start.intercept
    rows = tiny_plm.matrix[known] - start.intercept
    cosines = (answers @ rows.T) / np.linalg.norm(answers, axis=1, keepdims=True) / np.linalg.norm(rows, axis=1)
    wrong = -log_softmax(cosines / TEMPERATURE, axis=1)[np.arange(len(ROWS)), np.searchsorted(known, ROWS)]
    batch = everything(examples)
    added = student.loss(examples, batch).item() - begun(tiny_plm, known).loss(examples, batch).item()
    assert added == pytest.approx(share * (wrong * examples.weight).sum(), rel=1e-3)


def test_rows_that_the_student_may_not_know_have_no_part_in_the_contrastive_term(tiny_plm):
    examples, matrix = examples_of(tiny_plm), tiny_plm.matrix.copy()
    known = np.unique([*ROWS, 30])
    matrix[np.setdiff1d(np.arange(len(matrix)), known)] *= -7
    other = dataclasses.replace(tiny_plm, matrix=matrix)
    matrix = matrix.copy()
    matrix[30] *= -7
    third = dataclasses.replace(tiny_plm, matrix=matrix)
    losses = [
        begun(p, known, contrastive=1.0).loss(examples, everything(examples)).item() for p in (tiny_plm, other, third)
    ]
    assert losses[0] == losses[1] != losses[2]


# How it begins


def test_the_head_begins_as_the_closed_form_map(plm):
    student, examples = begun(plm), examples_of(plm)
    slots = read_prompts(plm, student.reader, examples.prompts).mask
    with torch.inference_mode():
        found = student.head(torch.from_numpy(slots)).numpy()
    np.testing.assert_allclose(found, start_for(student).predict(slots), atol=1e-5)
    assert np.abs(np.diff(found, axis=0)).max() > 1e-3


def test_examples_are_chosen_by_number_or_mask(tiny_plm):
    examples = examples_of(tiny_plm)
    chosen = np.array([4, 0])
    found = examples.of(chosen)
    assert found.row.tolist() == ROWS[chosen].tolist()
    assert found.lengths.tolist() == [len(examples.prompts.ids[examples.prompt[i]]) for i in chosen]
    assert found.weight.tolist() == examples.weight[chosen].tolist()
    assert examples.of(ROWS == 40).prompt.tolist() == examples.prompt[[0, 2]].tolist()
    assert (len(found), len(examples.of(ROWS < 0))) == (2, 0)


# What is trained


def test_the_table_is_trained_only_if_the_recipe_says_so(plm):
    frozen, trained = (begun(plm, train_table=train).parameters() for train in (False, True))
    tables = {name for name, value in trained.items() if plm.rows in value.shape}
    assert tables
    assert set(trained) - set(frozen) == tables
    assert {"head.weight", "head.bias"} < set(frozen)
    assert frozen["head.weight"].shape == (plm.width, Student(plm, Recipe()).reader.widths[0])


def test_the_loss_says_how_to_change_the_table_only_if_it_is_trained(tiny_plm):
    examples = examples_of(tiny_plm)
    _, found = gradients(begun(tiny_plm, train_table=True), examples)
    table = found["embeddings.word_embeddings.weight"]
    read = np.unique(np.concatenate([examples.prompts.ids[i] for i in examples.prompt]))
    changed = np.flatnonzero(table.abs().sum(dim=1).numpy())
    assert set(changed) <= set(read)
    assert len(changed) > 10
    assert "embeddings.word_embeddings.weight" not in gradients(begun(tiny_plm), examples)[1]


def test_the_plm_stays_as_it_is(tiny_plm):
    before = tiny_plm.matrix.tobytes()
    student, examples = begun(tiny_plm), examples_of(tiny_plm)
    with torch.no_grad():
        student.rows.mul_(2)
        for value in student.parameters().values():
            value.add_(1)
    assert tiny_plm.matrix.tobytes() == before
    anew = begun(tiny_plm).loss(examples, everything(examples)).item()
    assert anew != student.loss(examples, everything(examples)).item()


# Dropout


def train_losses(plm, dropout):
    """The same loss by two seeds, in training mode."""
    student, examples = begun(plm, dropout=dropout), examples_of(plm)
    student.model.train()
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(student.loss(examples, everything(examples)).item())
    return found


def test_no_dropout_is_none_at_all_whatever_the_family_calls_it(plm):
    first, second = train_losses(plm, 0.0)
    assert first == second
    student, examples = begun(plm), examples_of(plm)
    assert student.loss(examples, everything(examples)).item() == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("dropout", [None, 0.5])
def test_dropout_of_the_plm_or_of_the_recipe_makes_losses_differ(plm, dropout):
    first, second = train_losses(plm, dropout)
    assert first != second


def rates(model):
    return [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]


def test_the_plms_own_dropout_is_left_alone_if_the_recipe_names_none(tiny_plm):
    own = rates(tiny_plm.whole())
    assert set(own) == {0.1}
    assert rates(begun(tiny_plm, dropout=None).model) == own
    assert rates(begun(tiny_plm, dropout=0.25).model) == [0.25] * len(own)


def test_dropout_changes_nothing_but_dropout(plm):
    model = plm.whole()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    eps = [module.eps for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    set_dropout(model, 0.25)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.eps for module in model.modules() if isinstance(module, torch.nn.LayerNorm)] == eps


# Large PLMs


def count_calls(model):
    """A list that grows with every product that the model computes."""
    calls = []
    for each in model.modules():
        if isinstance(each, torch.nn.Linear):
            each.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_large_plms_compute_activations_again_and_come_to_the_same(plm, monkeypatch):
    examples, student = examples_of(plm), begun(plm)
    calls = count_calls(student.model)
    loss, expected = gradients(student, examples)
    monkeypatch.setattr(module, "LARGE", 0)
    student = begun(plm)
    more_calls = count_calls(student.model)
    again, found = gradients(student, examples)
    if plm.config["model_type"] in CANNOT_RECOMPUTE:
        assert len(more_calls) == len(calls)
    else:
        assert len(more_calls) > 1.5 * len(calls) > 0
    assert again == pytest.approx(loss, rel=1e-6)
    for name, gradient in expected.items():
        assert (found[name] is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


# Decoders


class Watched:
    """A model that remembers what it is given."""

    def __init__(self, model):
        self.model, self.config, self.decoder, self.given = model, model.config, model.decoder, []

    def __call__(self, **given):
        self.given.append(given)
        return self.model(**given)


def decoder_inputs(plm, cuts=None):
    """What the decoder reads of each of the texts, without padding."""
    student, examples = Student(plm, Recipe()), examples_of(plm, cuts=cuts)
    student.reader.model = Watched(student.model)
    student.reader(examples.prompts, examples.prompt[: len(TEXTS)])
    [given] = student.reader.model.given
    read = given["decoder_attention_mask"].sum(dim=1)
    assert given["decoder_input_ids"].shape == given["decoder_attention_mask"].shape
    return [ids[:length].tolist() for ids, length in zip(given["decoder_input_ids"], read, strict=True)]


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_the_state_at_the_slot_is_the_decoders(plm_of, name):
    student, examples = Student(plm_of(name), Recipe()), examples_of(plm_of(name))
    read = [student.reader(examples.prompts, examples.prompt)]
    with torch.no_grad():
        for parameter in student.model.decoder.layers.parameters() if name != "t5" else _blocks(student.model.decoder):
            parameter.mul_(1.5)
    read.append(student.reader(examples.prompts, examples.prompt))
    assert ((read[0][0] - read[1][0]).abs().amax(dim=1) > 1e-3).all()
    torch.testing.assert_close(read[0][1], read[1][1])


def _blocks(stack):
    return stack.block.parameters()


def test_an_encoder_saved_alone_answers_by_itself(tmp_path, plm_of):
    alone = load_plm(str(save_family("t5", tmp_path, "EncoderModel")))
    student, examples = Student(alone, Recipe()), examples_of(alone)
    slots, _ = student.reader(examples.prompts, examples.prompt)
    first = examples.prompts.ids[0]
    states = student.model(input_ids=torch.tensor([first])).last_hidden_state[0]
    torch.testing.assert_close(slots[0], states[first.index(alone.mask_id)], rtol=1e-4, atol=1e-5)
    assert not student.reader.decodes
    assert Student(plm_of("t5"), Recipe()).reader.decodes


def test_barts_decoder_begins_as_it_was_trained_to_and_reads_what_stands_before_the_slot(plm_of):
    plm = plm_of("bart")
    start, opening = plm.config["decoder_start_token_id"], plm.tokenizer.token_to_id("<s>")
    assert start != opening
    assert decoder_inputs(plm) == [[start, opening]] * len(TEXTS)
    cut = ((70, 80, 90), 2)
    expected = [start, opening, 70, 80]
    assert decoder_inputs(plm, [None, cut, None, None, None])[:2] == [[start, opening], expected]


def test_t5s_decoder_has_said_the_sentinel_and_is_about_to_fill_it(plm_of):
    plm = plm_of("t5")
    expected = [plm.tokenizer.token_to_id(name) for name in ("<pad>", "<extra_id_0>")]
    assert decoder_inputs(plm) == [expected] * len(TEXTS)


def test_t5gemmas_decoder_begins_with_one_token_for_the_beginning(plm_of):
    plm = plm_of("t5gemma")
    assert decoder_inputs(plm) == [[plm.tokenizer.token_to_id("<bos>")]] * len(TEXTS)


@pytest.mark.parametrize("named", [True, False])
def test_mbarts_decoder_begins_with_the_token_of_its_settings_or_else_with_the_language(plm_of, named):
    plm, start = plm_of("mbart"), 2
    if not named:
        plm = dataclasses.replace(plm, config={**plm.config, "decoder_start_token_id": None})
        start = plm.tokenizer.token_to_id("en_XX")
    assert decoder_inputs(plm) == [[start]] * len(TEXTS)
    assert decoder_inputs(plm, [((70, 80), 1)] + [None] * 4)[:2] == [[start, 70], [start]]


def test_states_have_the_widths_that_the_reader_names(plm):
    student, examples = Student(plm, Recipe()), examples_of(plm)
    slots, means = student.reader(examples.prompts, examples.prompt)
    assert (slots.shape, means.shape) == tuple((len(ROWS), width) for width in student.reader.widths)


def test_a_t5gemmas_sides_may_differ_in_width(tmp_path, monkeypatch):
    family, decoder = FAMILIES["t5gemma"], {"hidden_size": 2 * WIDTH, "cross_attention_hidden_size": WIDTH}
    sizes = {**family.sizes, "decoder": {**family.sizes["decoder"], **decoder}}
    monkeypatch.setitem(FAMILIES, "t5gemma", dataclasses.replace(family, sizes=sizes))
    plm = load_plm(str(save_family("t5gemma", tmp_path)))
    student, examples = begun(plm), examples_of(plm)
    assert student.reader.widths == (2 * WIDTH, WIDTH)
    assert np.isfinite(student.loss(examples, everything(examples)).item())
    assert read_prompts(plm, student.reader, examples.prompts).mask.shape == (len(TEXTS), 2 * WIDTH)
