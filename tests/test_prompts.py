import numpy as np
import polars as pl
import pytest
from tiny_plm import save_roberta

from defemb_core.errors import PLMError
from defemb_core.frequency import plm_vocabulary
from defemb_core.plm import load_plm
from defemb_core.prompts import encode_ids, make_prompt, make_prompts, slot_remarks, tokenize_prompts


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    return load_plm(str(save_roberta(tmp_path_factory.mktemp("roberta"))))


def senses(ids, parts_of_speech):
    return pl.DataFrame({"token_id": ids, "pos": parts_of_speech})


def forms(*rows):
    """A vocabulary frame of rows (starts_word, case)."""
    return pl.DataFrame({"starts_word": [start for start, _ in rows], "case": [case for _, case in rows]})


def test_a_prompt_names_mask_part_of_speech_and_definition():
    assert make_prompt("sloping land", ["noun"], "[MASK]") == "[MASK] ( noun ) means sloping land"
    assert make_prompt("sloping land", ["noun", "title case"], "[MASK]") == (
        "[MASK] ( noun , title case ) means sloping land"
    )


@pytest.mark.parametrize("pos", [None, ""])
def test_a_prompt_without_part_of_speech(pos):
    assert make_prompt("sloping land", [pos], "<mask>") == "<mask> means sloping land"
    assert make_prompt("sloping land", [pos, "upper case"], "<mask>") == "<mask> ( upper case ) means sloping land"


@pytest.mark.parametrize("definition", ["a {mask} of {pos} {0}", "100 % %s", "", "tab\tand {", "ünïcode"])
def test_definitions_are_taken_literally(definition):
    assert make_prompt(definition, ["verb"], "<m>").endswith(definition)
    assert make_prompt(definition, ["verb"], "<m>").count("<m>") == 1


def test_one_prompt_a_sense_in_order():
    vocabulary = forms((True, "lower"), (True, "lower"))
    prompts = make_prompts(["a", "b", "a"], senses([0, 1, 1], ["noun", None, "noun"]), vocabulary, "[MASK]")
    assert prompts == ["[MASK] ( noun ) means a", "[MASK] means b", "[MASK] ( noun ) means a"]
    assert make_prompts([], senses([], []).cast({"token_id": pl.Int64}), vocabulary, "[MASK]") == []


def test_definitions_and_parts_of_speech_belong_together():
    with pytest.raises(ValueError, match="shorter"):
        make_prompts(["a", "b"], senses([0], ["noun"]), forms((True, "lower")), "[MASK]")


def test_remarks_say_what_sets_rows_apart():
    vocabulary = forms((True, "lower"), (True, "title"), (False, "lower"), (True, "none"))
    assert slot_remarks(vocabulary, np.array([0, 1, 2, 3])) == [
        "starts a word , lower case",
        "starts a word , title case",
        "inside a word , lower case",
        "starts a word",
    ]
    assert slot_remarks(vocabulary, np.array([1, 0, 1])) == ["title case", "lower case", "title case"]
    assert slot_remarks(vocabulary, np.array([0, 2])) == ["starts a word", "inside a word"]
    assert slot_remarks(vocabulary, np.array([0, 0, 3])) == ["", "", ""]  # nothing to tell apart
    assert slot_remarks(vocabulary, np.array([], dtype=int)) == []


def test_cased_rows_of_one_word_get_prompts_of_their_own(roberta):
    vocabulary = plm_vocabulary(roberta)
    words = vocabulary.filter(pl.col("kind").is_in(["word", "subword"]))
    remarks = slot_remarks(vocabulary, words["token_id"].to_numpy())
    assert {"starts a word , lower case", "inside a word , lower case"} < set(remarks)
    assert len({remark.split()[-2] for remark in remarks if remark.endswith("case")}) > 1


def test_the_slot_is_the_first_mask(tiny_plm):
    texts = ["[MASK] means a [MASK] of dogs", "the [MASK] means cat", "[MASK] means a [MASK] of dogs"]
    prompts = tokenize_prompts(tiny_plm, texts)
    assert prompts.lines.tolist() == [0, 1, 0]
    assert len(prompts.ids) == 2
    for ids, slot in zip(prompts.ids, prompts.slots, strict=True):
        assert ids.index(tiny_plm.mask_id) == slot
    assert prompts.lengths.tolist() == [len(ids) for ids in prompts.ids]


def test_pieces_before_the_one_asked_for_are_shown_and_those_after_it_masked(tiny_plm):
    text, mask = "[MASK] ( noun ) means a [MASK] that runs", tiny_plm.mask_id
    [plain] = encode_ids(tiny_plm, [text])
    pieces = (20, 21, 22)
    prompts = tokenize_prompts(tiny_plm, [text] * 4, [None, (pieces, 0), (pieces, 1), (pieces, 2)])
    start = plain.index(mask)
    shown = [[mask], [mask, mask, mask], [20, mask, mask], [20, 21, mask]]
    assert prompts.ids == [[*plain[:start], *slots, *plain[start + 1 :]] for slots in shown]
    assert prompts.slots.tolist() == [start, start, start + 1, start + 2]


def test_cut_words_leave_room_for_their_pieces(tiny_plm):
    long, pieces = f"[MASK] means {'cat ' * 300}", tuple(range(20, 24))
    prompts = tokenize_prompts(tiny_plm, [long, long], [(pieces, 3), None])
    assert prompts.lengths.max() == tiny_plm.max_tokens
    assert prompts.ids[0][-1] == prompts.ids[1][-1]  # the closing token is not cut off


def test_a_text_without_mask_is_refused(tiny_plm):
    with pytest.raises(PLMError, match="lacks the mask token"):
        tokenize_prompts(tiny_plm, ["a dog"])


def test_the_row_that_is_asked_for_is_masked_wherever_else_it_stands(tiny_plm):
    texts = ["[MASK] means a cat that ran", "[MASK] means a cat that ran", "[MASK] means a dog"]
    [cat] = encode_ids(tiny_plm, ["cat"])[0][1:-1]
    plain = tokenize_prompts(tiny_plm, texts)
    prompts = tokenize_prompts(tiny_plm, texts, asked=[cat, cat + 1, cat])
    own, other, without = (prompts.ids[line] for line in prompts.lines)
    assert [other, without] == [plain.ids[plain.lines[line]] for line in (1, 2)]
    assert own == [tiny_plm.mask_id if token == cat else token for token in other]
    assert cat in other
    assert prompts.slots[prompts.lines].tolist() == plain.slots[plain.lines].tolist()
    assert len(prompts.ids) == len(prompts.slots) == 3


def test_prompts_that_no_line_has_any_more_are_not_read(tiny_plm):
    [cat] = encode_ids(tiny_plm, ["cat"])[0][1:-1]
    prompts = tokenize_prompts(tiny_plm, ["[MASK] means a cat"] * 2, asked=[cat, cat])
    assert len(prompts.ids) == 1
    assert cat not in prompts.ids[0]
    assert prompts.lines.tolist() == [0, 0]
