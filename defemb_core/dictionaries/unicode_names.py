"""Single characters, emoji and runs of signs by their Unicode names, with what kind of character each is."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import unicodedata
from functools import cache
from itertools import groupby
from typing import Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, UNICODE, Dictionary
from defemb_core.errors import DictionaryError

LONGEST_RUN: Final = 32
"""Characters of the longest run of signs that gets a definition."""
_WORDING: Final = 1  # part of the digest: raise it when the same character gets another definition

CATEGORIES: Final = {
    "Lu": "capital letter", "Ll": "small letter", "Lt": "title-case letter", "Lm": "modifier letter", "Lo": "letter",
    "Mn": "combining mark", "Mc": "combining vowel sign or mark", "Me": "enclosing mark",
    "Nd": "digit", "Nl": "number letter", "No": "number",
    "Pc": "connecting punctuation mark", "Pd": "dash", "Ps": "opening bracket", "Pe": "closing bracket",
    "Pi": "opening quotation mark", "Pf": "closing quotation mark", "Po": "punctuation mark",
    "Sm": "mathematical symbol", "Sc": "currency symbol", "Sk": "modifier symbol", "So": "symbol",
    "Zs": "space", "Zl": "line separator", "Zp": "paragraph separator", "Cc": "control character",
    "Cf": "invisible format character",
}  # fmt: skip
"""General categories in words; code points of other categories stand for no character."""
# Other names that readers know these by; Unicode's are those of the standards that it was made from.
_ALSO: Final = {
    "!": "exclamation point", "#": "hash, pound", "&": "and", "'": "single quote", "(": "opening parenthesis",
    ")": "closing parenthesis", "*": "star", "-": "dash, minus", ".": "period, dot, point", "/": "slash",
    "<": "smaller than", "=": "equals", ">": "larger than", "@": "at", "[": "opening bracket", "]": "closing bracket",
    "^": "caret", "_": "underscore", "`": "backtick", "{": "opening brace", "|": "pipe, bar", "}": "closing brace",
    "\t": "tab", "\n": "line feed, new line", "\r": "carriage return", "\"": "double quote", "\\": "backslash",
    "\u200d": "joiner", "\ufe0f": "shown as an emoji",
}  # fmt: skip
# The start of a letter's name, up to what the name says after the script.
_SCRIPT: Final = re.compile(
    r"(?!MODIFIER)(.+?) (?:LETTER|CAPITAL|SMALL|SYLLABLE|VOWEL|SIGN|DIGIT|MODIFIER|SUBJOINED|CHOSEONG|JUNGSEONG"
    r"|JONGSEONG|IDEOGRAPH|CONSONANT|NUMERAL|LIGATURE|SUBSCRIPT|CHARACTER) "
)
_TAGS: Final = {
    "<super>": "written raised", "<sub>": "written lowered", "<wide>": "in full width", "<narrow>": "in half width",
    "<circle>": "in a circle", "<square>": "in a square", "<font>": "in another type face",
}  # fmt: skip
_URO: Final = ("\u4e00", "\u9fa5")  # the ideographs that stand in the order of their radicals
_SKIN_TONES: Final = tuple(map(chr, range(0x1F3FB, 0x1F400)))
_PARTS: Final = {0x200D, 0x20E3, *range(0xFE00, 0xFE10)}  # what holds an emoji together


def load_unicode(place: str | None, vocabulary: pl.DataFrame | None) -> Dictionary:
    """Define single characters by their names, and what consists of signs alone (emoji sequences, "...", "--").

    CJK ideographs have no names of their own in Unicode. What is known of them is what other characters' names tell
    (a Kangxi radical, "circled ideograph left"), the radical that an ideograph is filed under, and its number; a
    note counts those of which only radical or code point is known. Hangul syllables tell their sound.

    Args:
        place: there is none.
        vocabulary: the vocabulary frame; None for every character that has a name.

    Returns:
        A dictionary named "unicode" with the column `related`: the common characters that one is made of. Its digest
        covers Python's version and that of its Unicode data.

    Raises:
        DictionaryError: a place was given.
    """
    if place is not None:
        raise DictionaryError(f"the names of characters come with Python; write {UNICODE}, not {UNICODE}:{place}")
    texts = (
        pl.Series([chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000])
        if vocabulary is None
        else _short(vocabulary)
    )
    lines, unnamed = [], 0
    for text in texts:
        if definition := define_text(text):
            lines.append((text, None, definition, UNICODE, None, _made_of(text)))
            unnamed += _is_ideograph(text) and text not in ideograph_names()
    schema = {name: pl.String() for name in (*DEFINITION_SCHEMA, "related") if name != "sense"}
    frame = pl.DataFrame(lines, schema=schema, orient="row").with_columns(
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over(pl.col("word").str.to_lowercase())
    )
    made_by = f"Unicode {unicodedata.unidata_version} of Python {platform.python_version()}"
    digest = hashlib.sha256(f"{made_by}, wording {_WORDING}".encode()).hexdigest()
    told = f"{unnamed:,} CJK ideographs have no name in Unicode: of them radical and code point are told, no meaning"
    kinds = ("word", "subword", "number", "symbol", "byte")
    return Dictionary(
        frame.select(*DEFINITION_SCHEMA, "related"), UNICODE, digest, made_by, (told,) if unnamed else (), kinds
    )


def _short(vocabulary: pl.DataFrame) -> pl.Series:
    """The distinct texts that may be characters or runs of signs."""
    named = vocabulary.filter(~pl.col("kind").cast(pl.String).is_in(["special", "unused"]))["text"]
    return named.filter(named.str.len_chars().is_between(1, LONGEST_RUN)).unique(maintain_order=True)


def define_text(text: str) -> str | None:
    """Return the definition of a character, an emoji sequence or a run of signs; None for any other text."""
    whole = unicodedata.normalize("NFC", text) if len(text) > 1 else text
    if len(whole) < 2:
        return define_character(whole) if whole else None
    if not all(ord(c) in _PARTS or unicodedata.category(c)[0] in "PSZ" for c in whole):
        keycap = whole[-1] == "\u20e3" and len(whole.replace("\ufe0f", "")) == 2
        return f"emoji of a key with the {_name(whole[0])}" if keycap else None
    if all("\U0001f1e6" <= c <= "\U0001f1ff" for c in whole):
        return f"emoji of the flag with the letters {' '.join(_name(c)[-1] for c in whole)}"
    named = [c for c in whole if ord(c) not in _PARTS]
    if not named:
        return None
    runs = [(_name(c), len(list(same))) for c, same in groupby(named)]
    parts = [name if many == 1 else f"{name} {many} times" for name, many in runs]
    if any(ord(c) in _PARTS or c in _SKIN_TONES for c in whole):
        return f"emoji of {' with '.join(parts)}"
    return f"signs: {', '.join(parts)}"


def define_character(character: str) -> str | None:
    """Return what a character is called and what kind it is, None where Unicode has none.

    "greek small letter alpha; small letter of the greek script"; an ideograph by its meaning where a name tells it,
    and by its radical: "sun; CJK ideograph".
    """
    kind = CATEGORIES.get(unicodedata.category(character))
    if kind is None:
        return None
    if _is_ideograph(character):
        return _define_ideograph(unicodedata.normalize("NFC", character))
    name, script, other = _name(character), _script(character), _ALSO.get(character, "")
    also = f", {other}" if other not in ("", name) else ""
    of = f" of the {script} script" if script else ""
    way = _TAGS.get(unicodedata.decomposition(character).partition(" ")[0])
    return f"{name}{also}; {kind}{of}{f', {way}' if way else ''}"


def _define_ideograph(character: str) -> str:
    names = ideograph_names().get(character, ())
    number = unicodedata.numeric(character, None)
    told = [*names, *([f"the number {number:g}"] if number is not None and number >= 0 else [])]
    radical = _radical(character)
    filed = f" written with the part {' '.join(radicals()[radical])}" if radical and radical != character else ""
    if told or filed:
        return f"{', '.join(told)}{'; ' if told else ''}CJK ideograph{filed}"
    return f"CJK ideograph {ord(character):X}"


def _is_ideograph(text: str) -> bool:
    return len(text) == 1 and unicodedata.name(text, "").startswith("CJK ") and "IDEOGRAPH-" in unicodedata.name(text)


@cache
def radicals() -> dict[str, tuple[str, ...]]:
    """Return the 214 ideographs that Kangxi radicals stand for, in their order, with the radicals' names."""
    return {
        unicodedata.normalize("NFKC", chr(code)): (unicodedata.name(chr(code)).lower().removeprefix("kangxi radical "),)
        for code in range(0x2F00, 0x2FD6)
    }


@cache
def ideograph_names() -> dict[str, tuple[str, ...]]:
    """Return what the names of other characters say that ideographs mean: Kangxi radicals, circled ideographs."""
    found: dict[str, dict[str, None]] = {ideograph: dict.fromkeys(names) for ideograph, names in radicals().items()}
    for code in (*range(0x2E80, 0x2EF4), *range(0x3220, 0x3248), *range(0x3280, 0x32B1)):
        name = unicodedata.name(chr(code), "")
        ideograph = unicodedata.normalize("NFKC", chr(code)).strip("()")
        if "IDEOGRAPH " in name and _is_ideograph(ideograph):
            found.setdefault(ideograph, {})[name.partition("IDEOGRAPH ")[2].lower()] = None
    return {ideograph: tuple(names) for ideograph, names in found.items()}


def _radical(character: str) -> str | None:
    """The radical that an ideograph is filed under: the last one before it, in the block that keeps their order."""
    if not _URO[0] <= character <= _URO[1]:
        return None
    return max((radical for radical in radicals() if radical <= character), default=None)


def _name(character: str) -> str:
    return unicodedata.name(character, "").lower() or _ALSO.get(character) or f"character {ord(character):04X}"


def _script(character: str) -> str:
    """The script that a letter, mark or digit belongs to, from the start of its name; "" where that tells none."""
    if unicodedata.category(character)[0] not in "LMN":
        return ""
    found = _SCRIPT.match(unicodedata.name(character, ""))
    return found[1].lower() if found else ""


def _made_of(text: str) -> str | None:
    """What a character is made of in common characters: "fi" of a ligature, "2" of a raised two."""
    made_of = unicodedata.normalize("NFKD", text).strip()
    return made_of if len(text) == 1 and made_of != text and made_of else None
