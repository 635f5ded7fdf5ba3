"""A WordNet of the words that tests speak of, written in its own format."""

import re

from tiny import sentences

LICENCE = "  1 A lexicon made for tests; lines of a licence begin with two blanks.  \n"
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_lexicon(folder):
    """WNDB files that define each word of the corpus by the sentences it occurs in, the parts of speech in turn."""
    uses = {}
    for sentence in sentences():
        for word in re.findall(r"[a-z]+", sentence.lower()):
            uses.setdefault(word, {}).setdefault(sentence.replace('"', ""))
    folder.mkdir(parents=True, exist_ok=True)
    for turn, (part, letter) in enumerate(PARTS.items()):
        data, index = LICENCE, LICENCE
        for word in sorted(uses)[turn :: len(PARTS)]:
            offsets = []
            for sentence in list(uses[word])[:3]:
                offsets.append(f"{len(data.encode()):08d}")
                data += f"{offsets[-1]} 04 {letter} 01 {word} 0 000 | {sentence}  \n"
            index += f"{word} {letter} {len(offsets)} 0 {len(offsets)} 0 {' '.join(offsets)}  \n"
        (folder / f"data.{part}").write_text(data, encoding="utf-8")
        (folder / f"index.{part}").write_text(index, encoding="utf-8")
    return folder
