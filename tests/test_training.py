import dataclasses
import errno
import math
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest
import torch
from tiny import sentences

from defemb_core import training, training_loop
from defemb_core.definitionemb import RidgeMap
from defemb_core.errors import RunError, TrainingError
from defemb_core.features import read_prompts
from defemb_core.presets import Recipe
from defemb_core.prompts import tokenize_prompts
from defemb_core.student import Examples, Student
from defemb_core.training import train
from defemb_core.training_files import TRAINING, TrainingCheckpoint
from defemb_core.training_loop import AT_ONCE, Plan, rate_at

QUICK = Recipe(rate=1e-3, updates=12, batch_tokens=150, patience=99)
SETTINGS = {"rate": 1e-3, "seed": 0}


@pytest.fixture(scope="module")
def prompts(tiny_plm):
    return tokenize_prompts(tiny_plm, [f"{tiny_plm.mask_token} means {text}" for text in sentences()[:40]])


@pytest.fixture(scope="module")
def examples(prompts):
    """Sentences that ask for rows, of unequal lengths and weights; half of them ask for two."""
    prompt = np.concatenate([prompts.lines, prompts.lines[:20]])
    weight = np.random.default_rng(0).uniform(0.2, 1, len(prompt)).astype(np.float32)
    return Examples(prompts, prompt, np.arange(40, 40 + len(prompt)), weight)


@pytest.fixture(scope="module")
def lesson(examples):
    """What is trained on, and what it is judged by."""
    judged = np.arange(len(examples)) % 5 == 0
    return examples.of(~judged), examples.of(judged)


@pytest.fixture(scope="module")
def student(tiny_plm, examples):
    """Build a student, each time the same; it begins with a map that is not quite the one that makes the rows."""
    random, width = np.random.default_rng(0), tiny_plm.width
    slots = read_prompts(tiny_plm, Student(tiny_plm, QUICK).reader, examples.prompts).mask[examples.prompt]
    true = RidgeMap(slots.mean(axis=0), np.ones(width), random.normal(size=(width, width)), np.zeros(width), 1.0)
    matrix = tiny_plm.matrix.copy()
    matrix[examples.row] = true.predict(slots)
    plm = dataclasses.replace(tiny_plm, matrix=matrix)
    start = dataclasses.replace(true, weights=0.5 * true.weights, intercept=np.full(width, 1.0))

    def build(recipe=QUICK):
        made = Student(plm, recipe)
        made.begin(start, np.unique(examples.row))
        return made

    return build


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint that is written after every update."""
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", -1)
    monkeypatch.setattr(training, "CHECKPOINT_TIMES", -1)
    return TrainingCheckpoint(tmp_path / "checkpoint", SETTINGS)


@pytest.fixture(autouse=True)
def evaluations(monkeypatch):
    """However often users are told, here it is twenty times a training."""
    monkeypatch.setattr(training, "EVALUATIONS", 20)


def bits(student):
    return {name: value.detach().numpy().tobytes() for name, value in student.parameters().items()}


def validation_loss(student, validation):
    with torch.no_grad():
        total = student.loss(validation, np.arange(len(validation))).item()
    return total / validation.weight.sum()


class Stopped(Exception):
    pass


def stop_at(update):
    def stop(done, of, **figures):
        if done == update:
            raise Stopped

    return stop


def fail_at(monkeypatch, lesson, update, fail):
    """Let `fail` change the training's loss at an update, counted from 1; each has two parts."""
    real, calls = Student.loss, []

    def loss(self, examples, batch):
        found = real(self, examples, batch)
        calls.extend([1] if examples is lesson[0] else [])
        return fail(found) if examples is lesson[0] and -(-len(calls) // 2) == update else found

    monkeypatch.setattr(Student, "loss", loss)


# Which examples each update has

LENGTHS = np.random.default_rng(1).integers(5, 41, 300)
RECIPE = Recipe(passes=3, batch_tokens=200)


@pytest.mark.parametrize("turn", [0, 1, 2, 7])
def test_each_pass_has_every_example_once(turn):
    plan = Plan(LENGTHS, RECIPE, 0)
    found = [plan[turn * plan.per_pass + part] for part in range(plan.per_pass)]
    assert sorted(np.concatenate(found)) == list(range(len(LENGTHS)))


def test_every_pass_has_an_order_of_its_own():
    plan = Plan(LENGTHS, RECIPE, 0)
    assert len({plan[turn * plan.per_pass].tobytes() for turn in range(10)}) == 10


@pytest.mark.parametrize("recipe", [RECIPE, Recipe(passes=0.5, batch_tokens=77), Recipe(updates=9)])
def test_a_plan_has_as_many_updates_as_the_recipe_says(recipe):
    assert Plan(LENGTHS, recipe, 0).updates == recipe.updates_for(LENGTHS.sum())


@pytest.mark.parametrize("budget", [100, 200, 1000])
def test_updates_have_about_as_many_tokens_as_the_recipe_says(budget):
    plan = Plan(LENGTHS, Recipe(batch_tokens=budget), 0)
    tokens = np.array([LENGTHS[plan[update]].sum() for update in range(3 * plan.per_pass)])
    assert tokens.mean() == pytest.approx(budget, rel=0.1)
    assert (abs(tokens - tokens.mean()) < LENGTHS.max()).all()


def test_less_than_a_batch_is_one_update_a_pass():
    plan = Plan(LENGTHS[:3], Recipe(passes=4, batch_tokens=10_000), 0)
    assert all(sorted(plan[update]) == [0, 1, 2] for update in range(5))


def test_an_update_depends_on_seed_and_number_alone():
    plan = Plan(LENGTHS, RECIPE, 5)
    first = [plan[update].tobytes() for update in range(50)]
    again = Plan(LENGTHS, RECIPE, 5)
    assert [again[update].tobytes() for update in reversed(range(50))] == first[::-1]
    other = Plan(LENGTHS, RECIPE, 6)
    assert all(other[update].tobytes() != first[update] for update in range(50))


# The learning rate


@pytest.mark.parametrize("warm_up", [0.1, 100])
@pytest.mark.parametrize(
    ("schedule", "last"),
    [("linear", 1 / 900), ("inverse_sqrt", math.sqrt(100 / 1000)), ("constant", 1)],
)
def test_the_rate_rises_to_its_peak_and_then_follows_the_schedule(schedule, last, warm_up):
    recipe = Recipe(rate=0.5, schedule=schedule, warm_up=warm_up)
    rates = [rate_at(update, 1000, recipe) for update in range(1000)]
    assert rates[0] == pytest.approx(0.5 / 100)
    assert rates[49] == pytest.approx(0.5 * 50 / 100)
    assert rates[99] == 0.5 == max(rates)
    assert rates[-1] == pytest.approx(0.5 * last)
    assert (np.diff(rates[:100]) > 0).all()
    assert (np.diff(rates[99:]) <= 0).all()


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("inverse_sqrt", math.sqrt(1 / 51)), ("constant", 1)])
def test_without_warm_up_it_begins_at_the_peak(schedule, half):
    recipe = Recipe(rate=0.5, schedule=schedule, warm_up=0)
    assert rate_at(0, 100, recipe) == 0.5
    assert rate_at(50, 100, recipe) == pytest.approx(0.5 * half)


@pytest.mark.parametrize("schedule", ["linear", "inverse_sqrt", "constant"])
def test_a_warm_up_of_the_whole_training(schedule):
    recipe = Recipe(rate=0.5, schedule=schedule, warm_up=10)
    assert [rate_at(update, 10, recipe) for update in range(10)] == pytest.approx(np.arange(1, 11) / 20)


# What an update does


def by_hand(student, examples, optimiser, recipe, seed=0):
    """Train as the recipe says, an update after the other."""
    plan, parameters = Plan(examples.lengths, recipe, seed), list(student.parameters().values())
    student.model.train()
    for update in range(plan.updates):
        batch = plan[update]
        (student.loss(examples, batch) / examples.weight[batch].sum()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.param_groups[0]["lr"] = rate_at(update, plan.updates, recipe)
        optimiser.step()
        optimiser.zero_grad()
    return student


def adam(parameters, recipe):
    return torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)


def adafactor(parameters, recipe):
    return torch.optim.Adafactor(parameters, weight_decay=0.0)


@pytest.mark.parametrize(
    ("make", "recipe"),
    [
        (adam, QUICK),
        (adam, dataclasses.replace(QUICK, clip=0.01, weight_decay=0.5, schedule="inverse_sqrt", train_table=True)),
        (adafactor, dataclasses.replace(QUICK, optimiser="adafactor", schedule="constant", weight_decay=0.5)),
    ],
)
def test_updates_are_those_of_the_recipe(student, lesson, make, recipe):
    expected = student(recipe)
    by_hand(expected, lesson[0], make(expected.parameters().values(), recipe), recipe)
    found = student(recipe)
    train(found, lesson[0], lesson[1].of(np.array([], dtype=int)))
    begun = student(recipe).parameters()
    for name, value in found.parameters().items():
        if "key.bias" not in name:  # softmax does not see it: its gradient is rounding alone
            torch.testing.assert_close(value, expected.parameters()[name], rtol=1e-3, atol=1e-5)
        assert torch.equal(value, begun[name]) == name.startswith("pooler")


def test_an_updates_gradient_is_clipped_and_multiplied_by_the_rate(student, lesson, monkeypatch):
    monkeypatch.setattr(training_loop, "_optimiser", lambda parameters, recipe: torch.optim.SGD(parameters, lr=1e9))
    recipe = dataclasses.replace(QUICK, updates=1, warm_up=0, clip=1e-3, rate=0.25)
    made, begun = student(recipe), student(recipe).parameters()
    train(made, *lesson)
    away = torch.cat([(value - begun[name]).flatten() for name, value in made.parameters().items()])
    assert away.norm().item() == pytest.approx(1e-3 * 0.25, rel=1e-2)


def test_parts_of_an_update_add_up_to_the_same(student, lesson, monkeypatch):
    made, whole = [], []
    for tokens in (10_000, 40, 1):
        monkeypatch.setitem(AT_ONCE, "cpu", tokens)
        whole.append(student())
        made.append(train(whole[-1], *lesson))
    for other, cut in zip(whole[1:], made[1:], strict=True):
        assert [line["loss"] for line in cut.history[1:]] == pytest.approx(
            [line["loss"] for line in made[0].history[1:]], rel=1e-4
        )
        for name, value in whole[0].parameters().items():
            if "key.bias" not in name:
                torch.testing.assert_close(other.parameters()[name], value, rtol=1e-3, atol=1e-5)
    assert made[0].tokens > made[1].tokens > made[2].tokens  # less padding
    plan = Plan(lesson[0].lengths, QUICK, 0)
    assert made[2].tokens == sum(lesson[0].lengths[plan[update]].sum() for update in range(made[2].updates))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("recipe", [QUICK, dataclasses.replace(QUICK, dropout=0.1, train_table=True)])
def test_the_number_of_threads_does_not_change_a_bit(student, lesson, monkeypatch, threads, recipe):
    monkeypatch.setitem(AT_ONCE, "cpu", 30)
    expected, found, before = student(recipe), student(recipe), torch.get_num_threads()
    train(expected, *lesson)
    torch.set_num_threads(threads)
    try:
        train(found, *lesson)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert bits(found) == bits(expected)


def test_another_seed_is_another_order(student, lesson):
    first, second = student(), student()
    train(first, *lesson, seed=0)
    train(second, *lesson, seed=1)
    assert bits(first) != bits(second)


def test_dropout_draws_anew_for_each_part_of_each_update(student, lesson, monkeypatch):
    monkeypatch.setitem(AT_ONCE, "cpu", 60)
    real, seeds = Student.loss, []
    monkeypatch.setattr(Student, "loss", lambda self, *given: seeds.append(torch.initial_seed()) or real(self, *given))
    train(student(dataclasses.replace(QUICK, dropout=0.1)), lesson[0], lesson[1].of(np.array([], dtype=int)))
    assert len(set(seeds)) == len(seeds) > 12


def test_dropout_draws_by_the_seed_alone(student, lesson):
    recipe = dataclasses.replace(QUICK, dropout=0.1)
    found = []
    for seed in (0, 0, 1):
        made = student(recipe)
        torch.manual_seed(len(found))  # whatever was drawn before
        train(made, *lesson, seed=seed)
        found.append(bits(made))
    assert found[0] == found[1] != found[2]


# How it goes


def test_training_lowers_the_loss(student, lesson):
    made = train(student(dataclasses.replace(QUICK, updates=100)), *lesson)
    losses = [line["loss"] for line in made.history[1:]]
    assert losses[-1] < 0.8 * losses[0]
    assert losses[-1] == min(losses)


def test_what_is_told_of_a_training(student, lesson):
    told = []
    recipe = dataclasses.replace(QUICK, updates=50)
    made = train(student(recipe), *lesson, progress=lambda done, of, **figures: told.append((done, of, figures)))
    assert [(done, of) for done, of, _ in told] == [(update, 50) for update in range(51)]
    assert told[0][2] == {"validation": made.history[0]["validation"]}
    assert all(math.isfinite(figures["loss"]) for *_, figures in told[1:])
    assert (made.updates, made.planned) == (50, 50)
    assert (made.examples, made.validation) == (len(lesson[0]), len(lesson[1]))
    judged = [done for done, _, figures in told if "validation" in figures]
    assert judged == [*range(0, 50, 3), 50]  # a twentieth, rounded up, and the end
    assert [{"update": done, **figures} for done, _, figures in told if "validation" in figures] == made.history


def test_the_first_line_of_the_history_is_of_the_student_as_it_began(student, lesson):
    made = train(student(), *lesson)
    assert made.history[0]["validation"] == pytest.approx(validation_loss(student(), lesson[1]), rel=1e-5)


def test_lines_of_the_history_have_the_mean_loss_since_the_line_before(student, lesson):
    recipe = dataclasses.replace(QUICK, updates=45, rate=1e-12)
    made, begun = train(student(recipe), *lesson), student(recipe)
    plan, examples = Plan(lesson[0].lengths, recipe, 0), lesson[0]
    with torch.no_grad():
        losses = [(begun.loss(examples, plan[u]) / examples.weight[plan[u]].sum()).item() for u in range(45)]
    expected = [np.mean(losses[start : start + 3]) for start in range(0, 45, 3)]
    assert [line["loss"] for line in made.history[1:]] == pytest.approx(expected, rel=1e-4)


def test_the_student_ends_with_the_weights_of_the_best_evaluation(student, lesson):
    made = student(dataclasses.replace(QUICK, updates=60, rate=3e-2, schedule="constant"))
    found = train(made, *lesson)
    judged = {line["update"]: line["validation"] for line in found.history}
    assert 0 < found.best < found.updates == 60
    assert judged[found.best] == min(judged.values())
    assert validation_loss(made, lesson[1]) == pytest.approx(min(judged.values()), rel=1e-5)


@pytest.mark.parametrize("patience", [1, 3])
def test_an_absurd_rate_ends_early_with_the_weights_it_began_with(student, lesson, patience):
    recipe = dataclasses.replace(QUICK, updates=100, rate=5.0, patience=patience)
    made, told = student(recipe), []
    found = train(made, *lesson, progress=lambda done, of, **_: told.append(done))
    assert (found.updates, found.planned, found.best) == (5 * patience, 100, 0)
    assert told == list(range(5 * patience + 1))
    assert len(found.history) == 1 + patience
    assert bits(made) == bits(student(recipe))


def test_without_validation_all_updates_are_made_and_kept(student, lesson):
    made = student()
    found = train(made, lesson[0], lesson[1].of(np.array([], dtype=int)))
    assert (found.updates, found.best, found.validation) == (12, 12, 0)
    assert bits(made) != bits(student())


def test_no_more_examples_are_judged_than_the_limit(student, lesson, monkeypatch):
    monkeypatch.setattr(training, "JUDGED", 4)
    assert train(student(), *lesson).validation == 4


# Stopping and going on


def stopped_and_resumed(student, lesson, recipe, checkpoint, update):
    """Train, stop, build everything anew and go on; return the student and the updates that were told then."""
    with pytest.raises(Stopped):
        train(student(recipe), *lesson, progress=stop_at(update), checkpoint=checkpoint)
    made, told = student(recipe), []
    torch.manual_seed(99)
    again = TrainingCheckpoint(checkpoint.file.parent, dict(checkpoint.settings))
    found = train(made, *lesson, progress=lambda done, of, **_: told.append(done), checkpoint=again)
    return made, found, told


@pytest.mark.parametrize("update", [1, 5, 11])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"dropout": 0.1},
        {"optimiser": "adafactor", "schedule": "constant"},
        {"train_table": True, "contrastive": 0.5, "schedule": "inverse_sqrt", "warm_up": 4},
        {"dropout": 0.1, "updates": 30, "batch_tokens": 600, "rate": 3e-2},  # several parts
    ],
)
def test_a_stopped_training_goes_on_to_the_same_bits(student, lesson, checkpoint, update, change):
    recipe = dataclasses.replace(QUICK, **change)
    whole = student(recipe)
    expected = train(whole, *lesson)
    made, found, told = stopped_and_resumed(student, lesson, recipe, checkpoint, update)
    assert told == list(range(update + 1, expected.updates + 1))
    assert bits(made) == bits(whole) != bits(student(recipe))
    assert dataclasses.replace(found, seconds=0) == dataclasses.replace(expected, seconds=0)


def test_a_training_that_has_ended_is_not_made_again(student, lesson, checkpoint, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 1e9)  # only the end is kept
    made, again, told = student(), student(), []
    expected = train(made, *lesson, checkpoint=checkpoint)
    found = train(again, *lesson, progress=lambda done, of, **_: told.append(done), checkpoint=checkpoint)
    assert (told, found) == ([], expected)
    assert bits(again) == bits(made)


def test_a_training_that_ended_early_is_not_continued(student, lesson, checkpoint):
    recipe = dataclasses.replace(QUICK, updates=100, rate=5.0, patience=3)
    expected = train(student(recipe), *lesson, checkpoint=checkpoint)
    found = train(student(recipe), *lesson, progress=stop_at(expected.updates + 1), checkpoint=checkpoint)
    assert found == expected


@pytest.mark.parametrize(("takes", "pause"), [(0, 60), (1, 60), (5, 100), (1000, 20_000)])
def test_checkpoints_are_as_rare_as_their_writing_is_slow(student, lesson, tmp_path, monkeypatch, takes, pause):
    """An update takes ten seconds by this clock, a checkpoint `takes`."""
    now, written = [0.0], []
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
    checkpoint = TrainingCheckpoint(tmp_path, SETTINGS)

    def write(state):
        written.append([now[0], now[0] + takes])
        now[0] += takes

    def tell(done, of, **figures):
        now[0] += 10

    monkeypatch.setattr(checkpoint, "write", write)
    train(student(dataclasses.replace(QUICK, updates=40)), *lesson, progress=tell, checkpoint=checkpoint)
    begun, ended = np.array(written).T
    assert begun[0] == 70  # the first update after a minute
    pauses = begun[1:] - ended[:-1]
    assert ((pauses > pause) & (pauses <= pause + 10))[:-1].all()  # the last is the end's, whenever that is
    assert len(written) > 3 or pause == 20_000


def test_what_was_restored_is_let_go(student, lesson, kept, monkeypatch):
    read, weights, told = kept.read, [], []
    monkeypatch.setattr(kept, "read", lambda: (found := read(), weights.extend(map(ref, found["weights"].values())))[0])
    train(student(), *lesson, progress=lambda *_, **__: told.append([each() for each in weights]), checkpoint=kept)
    assert len(told) == 10
    assert all(each is None for line in told for each in line)
    assert weights


def test_nothing_is_kept_before_it_is_time(student, lesson, tmp_path):
    checkpoint = TrainingCheckpoint(tmp_path, SETTINGS)
    with pytest.raises(Stopped):
        train(student(), *lesson, progress=stop_at(11), checkpoint=checkpoint)
    assert not list(tmp_path.iterdir())


# What goes wrong


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_with_its_update_and_the_state_before_it_kept(
    student, lesson, tmp_path, monkeypatch, value
):
    checkpoint = TrainingCheckpoint(tmp_path, SETTINGS)  # not due for a minute
    expected = student()
    with pytest.raises(Stopped):
        train(expected, *lesson, progress=stop_at(4))
    fail_at(monkeypatch, lesson, 5, lambda loss: loss * value)
    with pytest.raises(TrainingError, match=rf"^the loss became {value} at update 5; .* lower --rate$") as caught:
        train(student(), *lesson, checkpoint=checkpoint)
    assert "\n" not in str(caught.value)
    kept = checkpoint.read()
    assert kept["state"]["update"] == 4
    assert kept["weights"].keys() == bits(expected).keys()
    assert all(torch.isfinite(value).all() for value in kept["weights"].values())
    assert {name: value.numpy().tobytes() for name, value in kept["weights"].items()} == bits(expected)


def test_a_gradient_that_is_no_number_is_told_too(student, lesson, monkeypatch):
    made = student()
    fail_at(monkeypatch, lesson, 2, lambda loss: loss + (0 * made.head.bias).sqrt().sum())
    with pytest.raises(TrainingError, match="the loss became the gradient's norm nan at update 2"):
        train(made, *lesson)
    assert all(torch.isfinite(value).all() for value in made.parameters().values())


def raising(error):
    def fail(loss):
        raise error

    return fail


ERRORS = [
    torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    MemoryError("Unable to allocate 7 GiB"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["lost", "memory", "main memory", "numpy"])
def test_a_device_that_fails_is_told_and_the_training_can_go_on(student, lesson, checkpoint, monkeypatch, error):
    whole = student()
    train(whole, *lesson)
    with monkeypatch.context() as patch:
        fail_at(patch, lesson, 7, raising(error))
        with pytest.raises(TrainingError) as caught:
            train(student(), *lesson, checkpoint=checkpoint)
    said = str(error).splitlines()[0]
    way = "go on" if error is ERRORS[0] else "end other programs or take a larger machine, then go on"
    assert str(caught.value) == (
        f"the device cpu failed at update 7 ({said}); the last checkpoint is kept, {way} with --resume"
    )
    assert checkpoint.read()["state"]["update"] == 6
    made = student()
    train(made, *lesson, checkpoint=checkpoint)
    assert bits(made) == bits(whole)


def test_an_error_of_another_kind_stays_as_it_is(student, lesson, monkeypatch):
    fail_at(monkeypatch, lesson, 2, raising(RuntimeError("a mistake of ours")))
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        train(student(), *lesson)


def test_a_checkpoint_that_memory_does_not_suffice_for_is_not_called_damaged(kept, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *given, **more: raising(ERRORS[2])(None))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        kept.read()


def test_a_device_that_fails_while_the_student_is_judged_is_told_too(student, lesson, monkeypatch):
    real, evaluations = Student.loss, []

    def loss(self, examples, batch):
        evaluations.extend([1] if not self.model.training else [])
        if len(evaluations) == 3:
            raise ERRORS[0]
        return real(self, examples, batch)

    monkeypatch.setattr(Student, "loss", loss)
    with pytest.raises(TrainingError, match=r"device cpu failed .* \(CUDA error: .*\); .* --resume$"):
        train(student(), *lesson)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write failed")])
def test_a_full_disk_costs_only_the_checkpoint(student, lesson, checkpoint, monkeypatch, caplog, error):
    whole, real, saved = student(), torch.save, []
    train(whole, *lesson)

    def save(content, file):
        real(content, file)
        saved.append(file)
        if len(saved) > 1:
            file.write_bytes(file.read_bytes()[:1000])
            raise error

    monkeypatch.setattr(torch, "save", save)
    made = student()
    train(made, *lesson, checkpoint=checkpoint)
    assert len(saved) == 12
    assert bits(made) == bits(whole)
    assert "cannot keep the training's state" in caplog.text
    assert str(error).splitlines()[0] in caplog.text
    assert checkpoint.read()["state"]["update"] == 1
    assert [path.name for path in checkpoint.file.parent.iterdir()] == [TRAINING]


# Checkpoints of something else


@pytest.fixture
def kept(student, lesson, checkpoint):
    with pytest.raises(Stopped):
        train(student(), *lesson, progress=stop_at(2), checkpoint=checkpoint)
    return checkpoint


def test_there_is_nothing_before_the_first_checkpoint(tmp_path):
    assert TrainingCheckpoint(tmp_path / "none", SETTINGS).read() is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rate": 2e-3, "seed": 0}, "rate 0.001, now 0.002"),
        ({"rate": 1e-3, "seed": 0, "clip": 7}, "clip None, now 7"),
        ({"rate": 1e-3}, "seed 0, now None"),
        ({"rate": 2e-3, "seed": 4}, "rate 0.001, now 0.002, seed 0, now 4"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_with_those_that_differ(student, lesson, kept, settings, told):
    other, made = TrainingCheckpoint(kept.file.parent, settings), student()
    with pytest.raises(RunError) as caught:
        train(made, *lesson, checkpoint=other)
    assert str(caught.value) == (
        f"the training's checkpoint was made with other settings: {told}; name a new run's folder"
    )
    assert bits(made) == bits(student())
    assert kept.read()["state"]["update"] == 2


@pytest.mark.parametrize("damage", ["cut short", "empty", "text", "other content"])
def test_a_damaged_checkpoint_is_named(student, lesson, kept, damage):
    content = kept.file.read_bytes()
    if damage == "other content":
        torch.save([1, 2], kept.file)
    else:
        kept.file.write_bytes({"cut short": content[: len(content) // 2], "empty": b"", "text": b"mine"}[damage])
    with pytest.raises(RunError) as caught:
        train(student(), *lesson, checkpoint=kept)
    said = str(caught.value)
    assert said.startswith(f"the training's checkpoint '{kept.file}' is damaged (")
    assert said.endswith("); delete it to train anew")
    assert "\n" not in said
