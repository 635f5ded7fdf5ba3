"""Tiny tokenizers of every convention, trained in memory on tests/data/corpus.txt; the same ones in every run.

The library's WordPiece and Unigram trainers break ties differently from process to process, its BPE trainer does not.
So BPE learns the pieces of all three; WordPiece and Unigram tokenizers are then built from them.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

MARK = "\u2581"  # SentencePiece's blank
CORPUS = Path(__file__).parent / "data" / "corpus.txt"

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5_SPECIAL = ["<pad>", "</s>", "<unk>"]
GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]


def sentences() -> list[str]:
    """The corpus, a sentence a line."""
    return CORPUS.read_text(encoding="utf-8").splitlines()


def wordpiece(
    size: int = 400, unused: int = 6, special: Sequence[str] = BERT_SPECIAL, single: str = "[CLS] $A [SEP]"
) -> Tokenizer:
    """A BERT-like lower-casing WordPiece tokenizer; rows: 5 special, then [unused0] and following, then what it learnt.

    `special` names the unknown token "[UNK]"; `single` is the frame of one text. As in BERT's own files the [unusedN]
    rows are ordinary entries, not added tokens. Accents are dropped.
    """
    normalizer, pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    pieces = [piece for piece, _ in _learn_pieces(normalizer, pre_tokenizer, size)]
    characters = sorted({character for piece in pieces for character in piece if character != MARK})
    learnt = [*characters, *("##" + character for character in characters)]
    learnt += [piece[1:] if piece[0] == MARK else "##" + piece for piece in pieces]
    rows = [*special, *(f"[unused{i}]" for i in range(unused)), *dict.fromkeys(p for p in learnt if p)][:size]
    tokenizer = Tokenizer(models.WordPiece({token: row for row, token in enumerate(rows)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.add_special_tokens(list(special))
    tokenizer.decoder = decoders.WordPiece()
    return _framed(tokenizer, single)


def byte_level_bpe(size: int = 500, special: Sequence[str] = ROBERTA_SPECIAL, single: str = "<s> $A </s>") -> Tokenizer:
    """A RoBERTa-like byte-level BPE tokenizer; rows: 5 special (the mask last), the 256 bytes, then the merges."""
    tokenizer = Tokenizer(models.BPE(unk_token=next(token for token in special if "unk" in token.lower())))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*special[:-1], AddedToken(special[-1], lstrip=True, special=True)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    return _framed(tokenizer, single)


def sentencepiece(size: int = 300, extra_ids: int = 10) -> Tokenizer:
    """A T5-like Unigram tokenizer; rows: <pad>, </s>, <unk>, pieces by probability, <extra_id_9> to <extra_id_0>."""
    return unigram(T5_SPECIAL, [f"<extra_id_{i}>" for i in reversed(range(extra_ids))], "$A </s>", size)


def unigram(first: Sequence[str], last: Sequence[str], single: str, size: int = 300) -> Tokenizer:
    """A Unigram tokenizer; rows: the special tokens `first`, pieces by probability, the special tokens `last`.

    `first` names an unknown token; `single` is the frame of one text.
    """
    counts = _learn_pieces(normalizers.NFC(), pre_tokenizers.WhitespaceSplit(), size - len(first) - len(last))
    total = sum(count + 1 for _, count in counts)
    scored = sorted(((piece, math.log((count + 1) / total)) for piece, count in counts), key=lambda item: -item[1])
    unknown = next(row for row, token in enumerate(first) if "unk" in token.lower())
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in first), *scored], unk_id=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*first, *(_mask_or_token(token) for token in last)])
    return _framed(tokenizer, single)


def gemma(size: int = 560) -> Tokenizer:
    """A Gemma-like BPE tokenizer over "▁" with byte fallback; rows: 5 special, <unused0> to <unused3>, bytes, pieces.

    It writes no "▁" before the first word of a text.
    """
    pieces = Tokenizer(models.BPE())
    pieces.normalizer = normalizers.Replace(" ", MARK)
    pieces.pre_tokenizer = pre_tokenizers.Split(MARK, "merged_with_next")
    reserved = [*GEMMA_SPECIAL, *(f"<unused{i}>" for i in range(4)), *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size - len(reserved), show_progress=False)
    pieces.train_from_iterator(sentences(), trainer)
    learnt = json.loads(pieces.to_str())["model"]
    rows = [*reserved, *sorted(learnt["vocab"], key=learnt["vocab"].get)]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: row for row, token in enumerate(rows)},
            merges=[tuple(merge) for merge in learnt["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = pieces.normalizer, pieces.pre_tokenizer
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(GEMMA_SPECIAL)
    return _framed(tokenizer, "<bos> $A")


def _framed(tokenizer: Tokenizer, single: str) -> Tokenizer:
    """Put special tokens around each text, as `single` has them; the second of two texts ends as the first does."""
    end = single.partition("$A")[2]
    special = [(name, tokenizer.token_to_id(name)) for name in single.split() if name != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=f"{single} $B:1{''.join(f' {name}:1' for name in end.split())}",
        special_tokens=special,
    )
    return tokenizer


def _mask_or_token(token: str) -> AddedToken:
    return AddedToken(token, lstrip="mask" in token.lower(), normalized=False, special=True)


def _learn_pieces(
    normalizer: normalizers.Normalizer, pre_tokenizer: pre_tokenizers.PreTokenizer, size: int
) -> list[tuple[str, int]]:
    """Pieces that BPE learns, in the order it learns them, word starts marked; with their counts in the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizer, pre_tokenizers.Metaspace()])
    tokenizer.train_from_iterator(sentences(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    counts = Counter(token for sentence in sentences() for token in tokenizer.encode(sentence).tokens)
    return [(token, counts[token]) for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
