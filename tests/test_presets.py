import dataclasses
import math

import pytest

from defemb_core.errors import SettingsError
from defemb_core.presets import PRESET_NAMES, PRESETS, Recipe
from defemb_core.reconstruction import Settings
from defemb_core.trained import recipe_of

ROBERTA, BART = PRESETS["paper-roberta"], PRESETS["paper-bart"]


def trained(**settings):
    return Settings(method="trained", **settings)


# How long, and how the rate rises


@pytest.mark.parametrize(
    ("passes", "tokens", "updates"), [(1, 1000, 10), (2, 1000, 20), (0.5, 1000, 5), (3, 149, 4), (3, 151, 5)]
)
def test_passes_and_tokens_a_batch_give_the_number_of_updates(passes, tokens, updates):
    assert Recipe(passes=passes, batch_tokens=100).updates_for(tokens) == updates


@pytest.mark.parametrize("recipe", [Recipe(passes=1e-6), Recipe(passes=0, updates=0)])
def test_there_is_an_update_at_least(recipe):
    assert recipe.updates_for(10) == 1


@pytest.mark.parametrize("tokens", [1, 10**9])
def test_a_number_of_updates_holds_however_much_there_is_to_read(tokens):
    assert Recipe(passes=3, updates=17).updates_for(tokens) == 17


@pytest.mark.parametrize(
    ("warm_up", "updates", "expected"),
    [
        (0.05, 100, 5),
        (0.05, 9, 0),
        (0.5, 9, 4),
        (0.999, 1000, 999),
        (0, 100, 0),
        (1, 100, 1),
        (24_000, 400_000, 24_000),
    ],
)
def test_a_warm_up_below_one_is_a_share_of_the_updates_and_a_number_of_them_otherwise(warm_up, updates, expected):
    assert Recipe(warm_up=warm_up).warm_up_of(updates) == expected


# What was published


def test_the_published_settings_of_roberta():
    assert (ROBERTA.updates, ROBERTA.optimiser, ROBERTA.rate) == (400_000, "adam", 1e-4)
    assert (ROBERTA.clip, ROBERTA.weight_decay, ROBERTA.batch_tokens) == (0.1, 0.01, 4096)
    assert (ROBERTA.schedule, ROBERTA.warm_up_of(ROBERTA.updates)) == ("inverse_sqrt", 24_000)
    assert ROBERTA.train_table


def test_barts_published_settings_are_robertas_but_for_four():
    assert (BART.updates, BART.warm_up_of(BART.updates), BART.longest) == (250_000, 20_000, 1024)
    assert not BART.train_table
    own = {name: getattr(BART, name) for name in ("updates", "warm_up", "longest", "train_table")}
    assert dataclasses.replace(ROBERTA, **own) == BART


@pytest.mark.parametrize("name", ["paper-t5", "paper-t5gemma"])
def test_the_published_settings_of_t5_and_t5gemma(name):
    recipe = PRESETS[name]
    assert (recipe.updates, recipe.optimiser, recipe.rate) == (125_000, "adafactor", 1e-3)
    assert (recipe.schedule, recipe.warm_up_of(recipe.updates), recipe.batch_tokens) == ("constant", 0, 8192)


def test_published_trainings_keep_the_dropout_of_the_plm_and_have_no_contrastive_term():
    for name in PRESET_NAMES:
        assert PRESETS[name].dropout == (None if name.startswith("paper") else 0.0)
        assert PRESETS[name].contrastive == 0


def test_every_preset_has_a_recipe_that_says_how_long():
    assert set(PRESETS) == set(PRESET_NAMES)
    for recipe in PRESETS.values():
        assert (recipe.passes > 0) != (recipe.updates > 0)


def test_the_quick_preset_is_the_default_with_fewer_passes():
    quick, default = PRESETS["quick"], PRESETS["default"]
    assert dataclasses.replace(quick, passes=default.passes) == default
    assert quick.passes < 1 <= default.passes


# What the settings replace


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_settings_that_say_nothing_leave_the_recipe_as_it_is(preset):
    assert recipe_of(trained(preset=preset)) == PRESETS[preset]


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_passes_replace_the_presets_length_whichever_way_it_is_given(preset):
    found = recipe_of(trained(preset=preset, passes=2.5))
    recipe = PRESETS[preset]
    share = recipe.warm_up / recipe.updates if recipe.updates else recipe.warm_up
    assert found == dataclasses.replace(recipe, passes=2.5, updates=0, warm_up=share)
    assert found.updates_for(1000 * found.batch_tokens) == 2500
    assert found.warm_up_of(2500) <= 0.1 * 2500


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_a_rate_replaces_the_presets(preset):
    assert recipe_of(trained(preset=preset, rate=3e-5)) == dataclasses.replace(PRESETS[preset], rate=3e-5)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_the_table_is_trained_if_preset_or_settings_say_so(preset):
    assert recipe_of(trained(preset=preset, train_table=True)) == dataclasses.replace(PRESETS[preset], train_table=True)
    assert recipe_of(trained(preset=preset)).train_table == (preset == "paper-roberta")


# What the settings refuse


def refusal(**settings):
    with pytest.raises(SettingsError) as caught:
        Settings(**settings)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_an_unknown_preset_is_refused_with_those_there_are():
    assert refusal(preset="slow") == f"unknown preset 'slow'; choose one of {', '.join(PRESET_NAMES)}"


@pytest.mark.parametrize("name", ["passes", "rate"])
@pytest.mark.parametrize("value", [-1e-9, -1.0, math.nan, math.inf, -math.inf])
def test_passes_and_rate_are_finite_and_not_negative(name, value):
    assert refusal(**{name: value}) == f"{name} must be 0 (the preset's) or more, is {value}"


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf, -math.inf])
def test_a_weight_of_rare_rows_is_a_share(value):
    assert refusal(rare_weight=value) == f"rare_weight must lie between 0 and 1, is {value}"


@pytest.mark.parametrize("settings", [{"rare_weight": 0.0}, {"rare_weight": 1}, {"passes": 0}, {"rate": 5e-324}])
def test_the_ends_of_the_ranges_are_allowed(settings):
    [(name, value)] = settings.items()
    assert getattr(Settings(**settings), name) == value
