"""Tiny tokenizers of the three conventions, trained in memory on tests/data/corpus.txt; the same ones in every run.

The library's WordPiece and Unigram trainers break ties differently from process to process, its BPE trainer does not.
So BPE learns the pieces of all three; WordPiece and Unigram tokenizers are then built from them.
"""

import math
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

MARK = "\u2581"  # SentencePiece's blank
CORPUS = Path(__file__).parent / "data" / "corpus.txt"

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
T5_SPECIAL = ["<pad>", "</s>", "<unk>"]


def sentences() -> list[str]:
    """The corpus, a sentence a line."""
    return CORPUS.read_text(encoding="utf-8").splitlines()


def wordpiece(size: int = 400, unused: int = 6) -> Tokenizer:
    """A BERT-like lower-casing WordPiece tokenizer; rows: 5 special, then [unused0] and following, then what it learnt.

    As in BERT's own files the [unusedN] rows are ordinary entries, not added tokens. Accents are dropped.
    """
    normalizer, pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    pieces = [piece for piece, _ in _learn_pieces(normalizer, pre_tokenizer, size)]
    characters = sorted({character for piece in pieces for character in piece if character != MARK})
    learnt = [*characters, *("##" + character for character in characters)]
    learnt += [piece[1:] if piece[0] == MARK else "##" + piece for piece in pieces]
    rows = [*BERT_SPECIAL, *(f"[unused{i}]" for i in range(unused)), *dict.fromkeys(p for p in learnt if p)][:size]
    tokenizer = Tokenizer(models.WordPiece({token: row for row, token in enumerate(rows)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.add_special_tokens(BERT_SPECIAL)
    tokenizer.decoder = decoders.WordPiece()
    special = [(token, rows.index(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    return tokenizer


def byte_level_bpe(size: int = 500) -> Tokenizer:
    """A RoBERTa-like byte-level BPE tokenizer; rows: 5 special, the 256 bytes, then the merges."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*ROBERTA_SPECIAL[:4], AddedToken("<mask>", lstrip=True, special=True)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def sentencepiece(size: int = 300, extra_ids: int = 10) -> Tokenizer:
    """A T5-like Unigram tokenizer; rows: <pad>, </s>, <unk>, pieces by probability, <extra_id_9> to <extra_id_0>."""
    counts = _learn_pieces(normalizers.NFC(), pre_tokenizers.WhitespaceSplit(), size - len(T5_SPECIAL) - extra_ids)
    total = sum(count + 1 for _, count in counts)
    scored = sorted(((piece, math.log((count + 1) / total)) for piece, count in counts), key=lambda item: -item[1])
    tokenizer = Tokenizer(models.Unigram([*((token, 0.0) for token in T5_SPECIAL), *scored], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*T5_SPECIAL, *(f"<extra_id_{i}>" for i in reversed(range(extra_ids)))])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


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
