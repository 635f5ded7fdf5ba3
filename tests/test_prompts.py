import pytest

from defemb_core.prompts import make_prompt, make_prompts


def test_a_prompt_names_mask_part_of_speech_and_definition():
    assert make_prompt("sloping land", "noun", "[MASK]") == "[MASK] ( noun ) means sloping land"


@pytest.mark.parametrize("pos", [None, ""])
def test_a_prompt_without_part_of_speech(pos):
    assert make_prompt("sloping land", pos, "<mask>") == "<mask> means sloping land"


@pytest.mark.parametrize("definition", ["a {mask} of {pos} {0}", "100 % %s", "", "tab\tand {", "ünïcode"])
def test_definitions_are_taken_literally(definition):
    assert make_prompt(definition, "verb", "<m>").endswith(definition)
    assert make_prompt(definition, "verb", "<m>").count("<m>") == 1


def test_one_prompt_a_sense_in_order():
    prompts = make_prompts(["a", "b", "a"], ["noun", None, "noun"], "[MASK]")
    assert prompts == [make_prompt("a", "noun", "[MASK]"), make_prompt("b", None, "[MASK]"), prompts[0]]
    assert make_prompts([], [], "[MASK]") == []


def test_definitions_and_parts_of_speech_belong_together():
    with pytest.raises(ValueError, match="shorter"):
        make_prompts(["a", "b"], ["noun"], "[MASK]")
