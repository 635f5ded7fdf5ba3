"""A lexicon of twenty synsets in the WNDB format, small enough to read: the tests' stand-in for WordNet."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

TYPES = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
LICENCE = "  1 A lexicon made for tests; lines of a licence begin with two blanks.  \n"


class Synset(NamedTuple):
    name: str  # how pointers and `SENSE_ORDER` below refer to it
    part: str  # noun, verb, adj, adv
    words: str  # blank-separated "word:lex_id"
    gloss: str
    head: str = ""  # name of the head synset: makes a satellite adjective
    pointers: str = ""  # blank-separated "symbol:name", as if from first word to first word


SYNSETS = (
    Synset("shore", "noun", "bank:0 river_bank:0", 'sloping land beside a river; "they sat on the bank"'),
    Synset(
        "lender",
        "noun",
        "bank:1 Bank:2",
        'a company that lends money; "the bank said no"; "she owns a bank"',
        pointers="+:letter =:letter",
    ),
    Synset("letter", "noun", "B:0 b:0", "the 2nd letter of the Roman alphabet"),
    Synset("stride", "noun", "stride:0", 'progress (in the phrase; "make strides") of a kind; "what strides"'),
    Synset("expression", "noun", "on_the_job:0", 'a workplace; as in the expression "on the job";'),
    Synset("dog", "noun", "dog:0 domestic_dog:0 Canis_familiaris:0", "a pet", pointers="@:canine +:chase @:pet"),
    Synset("canine", "noun", "canine:0 canid:0", "an animal that hunts", pointers="~:dog"),
    Synset("pet", "noun", "domestic_animal:0 canine:1", "an animal of the house", pointers="~:dog"),
    Synset("rex", "noun", "Rex:0", "a dog in the house next door", pointers="@i:dog"),
    Synset("run-noun", "noun", "run:0", 'a score in a game: "two runs"'),
    Synset("tilt", "verb", "bank:0", "tip sideways"),
    Synset("deposit", "verb", "bank:1", 'bring to a lender, e.g., "bank the money"; "bank it"'),
    Synset("chase", "verb", "dog:0 tail:0", "go after", pointers="+:dog"),
    Synset("run-verb", "verb", "run:0", 'move fast; e.g. "he ran home"'),
    Synset("dark", "adj", "dark(a):0", "with little light", pointers="=:letter &:dusky !:drained"),
    Synset("dusky", "adj", "dusky:0 dim(p):0", "somewhat lit", head="dark"),
    Synset("tired", "adj", "tired:0", "in need of rest"),
    Synset("drained", "adj", "dim:0 run_down(ip):0", "without strength", head="tired", pointers="!:dark"),
    Synset("dimly", "adv", "dimly:0", 'in a dim manner;"dimly lit"', pointers="\\\\:dusky"),
    Synset("running", "adv", "run:0", "in a row"),
)

SENSE_ORDER = {("bank", "noun"): ("lender", "shore")}
"""Where the index has another order than `SYNSETS`."""

TAG_COUNTS = (
    "bank%1:04:00:: 2 5",  # shore
    "bank%1:04:01:: 1 9",  # lender
    "bank%2:04:00:: 1 7",  # tilt
    "bank%2:04:01:: 2 8",  # deposit: more than tilt, yet after it
    "dim%5:04:00:dark(a):00 1 2",  # a head that keeps its marker, as in Princeton's file
    "dim%5:04:00:tired:00 2 3",
    "gone%1:04:00:: 1 4",  # stale: no such sense
    "run%2:04:00:: 1 6",
    "run%4:04:00:: 1 6",
)


def write_tiny_wordnet(folder: Path, tag_counts: tuple[str, ...] | None = TAG_COUNTS) -> Path:
    """Write data.*, index.* and, unless `tag_counts` is None, cntlist.rev; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in TYPES:
        offsets = _write_data(folder, part)
        _write_index(folder, part, offsets)
    if tag_counts is not None:
        (folder / "cntlist.rev").write_text("".join(f"{line}\n" for line in tag_counts))
    return folder


def offsets_of(part: str) -> dict[str, str]:
    """Byte offset of each synset of a data file, by the synset's name."""
    offsets, position = {}, len(LICENCE)
    for synset in SYNSETS:
        if synset.part == part:
            offsets[synset.name] = f"{position:08d}"
            position += len(_data_line(synset, {}))  # offsets have eight digits whatever their values
    return offsets


def _write_data(folder: Path, part: str) -> dict[str, str]:
    offsets = {name: offset for each in TYPES for name, offset in offsets_of(each).items()}
    lines = [_data_line(synset, offsets) for synset in SYNSETS if synset.part == part]
    (folder / f"data.{part}").write_text(LICENCE + "".join(lines))
    return offsets


def _data_line(synset: Synset, offsets: dict[str, str]) -> str:
    words = [word.rpartition(":") for word in synset.words.split()]
    spelled = " ".join(f"{word} {lex_id}" for word, _, lex_id in words)
    kind = "s" if synset.head else TYPES[synset.part]
    own = offsets.get(synset.name, "0" * 8)
    fields = [f"{own} 04 {kind} {len(words):02x} {spelled}", *_pointers(synset, offsets)]
    if synset.part == "verb":
        fields.append("02 + 02 00 + 08 01")  # sentence frames
    return f"{' '.join(fields)} | {synset.gloss}  \n"


def _pointers(synset: Synset, offsets: dict[str, str]) -> list[str]:
    """Their number, then "symbol offset type source/target" each, the head's first."""
    types = {other.name: TYPES[other.part] for other in SYNSETS}
    named = [pointer.split(":") for pointer in synset.pointers.split()]
    fields = [f"{symbol} {offsets.get(name, '0' * 8)} {types[name]} 0101" for symbol, name in named]
    if synset.head:
        fields.insert(0, f"& {offsets.get(synset.head, '0' * 8)} a 0000")
    return [f"{len(fields):03d}", *fields]


def _write_index(folder: Path, part: str, offsets: dict[str, str]) -> None:
    senses: dict[str, list[str]] = defaultdict(list)
    for synset in SYNSETS:
        if synset.part == part:
            for lemma in {word.rpartition(":")[0].partition("(")[0].lower() for word in synset.words.split()}:
                senses[lemma].append(synset.name)
    lines = [LICENCE]
    for lemma in sorted(senses):
        names = SENSE_ORDER.get((lemma, part), senses[lemma])
        listed = " ".join(offsets[name] for name in names)
        lines.append(f"{lemma} {TYPES[part]} {len(names)} 1 @ {len(names)} 0 {listed}  \n")
    (folder / f"index.{part}").write_text("".join(lines))
