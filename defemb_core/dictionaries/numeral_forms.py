"""Numbers written in digits, of any script and style, as what they say: value, neighbours, signs."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

LONGEST = 200
"""Characters of the longest text that is read as anything but a plain run of digits."""

Form = Literal["whole", "decimal", "fraction", "ordinal", "plural"]

_CURRENCIES: Final = "$¢£¤¥\u20a0-\u20c0"
_NUMERAL: Final = re.compile(
    rf"(?P<sign>[+\-−±]?)(?P<before>[{_CURRENCIES}]?)"
    r"(?:(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<part>\d+))?|(?P<over>\d*)/(?P<under>\d+))"
    rf"(?P<after>[%‰°{_CURRENCIES}]?|(?i:st|nd|rd|th)|['’]?[sS])"
)
_STYLES: Final = {
    "<super>": "superscript", "<sub>": "subscript", "<circle>": "circled", "<wide>": "full width", "<fraction>": "",
}  # fmt: skip
_SCRIPT: Final = re.compile(r"(.+?) (?:DIGIT|NUMBER|NUMERAL|NUMERIC SIGN)\b")
_NUMBER_WORDS: Final = (
    "ZERO",
    "ONE",
    "TWO",
    "THREE",
    "FOUR",
    "FIVE",
    "SIX",
    "SEVEN",
    "EIGHT",
    "NINE",
    "TEN",
    "ELEVEN",
    "TWELVE",
)


@dataclass(frozen=True)
class Numeral:
    """A number written in digits.

    Attributes:
        form: what kind of number.
        digits: of the whole part, ASCII, leading zeros kept; of a fraction those above the line. May be "".
        part: digits after the decimal point, or below the line.
        sign: "-", "+", "±" or "".
        unit: a currency, percent or degree sign that is attached, or "".
        style: how its digits look where that is not the common way: "superscript", "circled", "Arabic-Indic"; or "".
        grouped: whether the digits are in groups of thousands.
        neighbours: the texts of the next smaller and the next larger number in the same form, as far as they exist.
    """

    form: Form
    digits: str
    part: str = ""
    sign: str = ""
    unit: str = ""
    style: str = ""
    grouped: bool = False
    neighbours: tuple[str, ...] = ()

    @property
    def is_year(self) -> bool:
        """Whether a reader would take it for a year: four digits alone, 1100 to 2099."""
        alone = self.form == "whole" and not (self.sign or self.unit or self.style or self.grouped)
        return alone and len(self.digits) == 4 and "1100" <= self.digits <= "2099"


def read_numeral(text: str) -> Numeral | None:
    """Read a text that is one number and nothing else; None for any other, "mp3" or "9-11".

    Whole numbers may have signs, thousands separators (1,000) and leading zeros; an ordinal ends in st, nd, rd or th, a
    plural (1980s) in s. Digits may be of any script.
    """
    if text.isascii() and text.isdigit():
        return Numeral("whole", text, neighbours=_around(text) if len(text) <= LONGEST else ())
    if len(text) > LONGEST:
        return None
    if len(text) == 1 or (text[-1:].isnumeric() and not text[-1].isdigit() and text[:-1].isascii()):
        return _read_character(text)
    found = _NUMERAL.fullmatch("".join(map(_plain, text)))
    if not found or not (found["whole"] or found["part"] or found["under"]):
        return None
    numeral = _read_match(found, _style(text))
    return replace(numeral, neighbours=_as_written(numeral.neighbours, text)) if numeral else None


def _read_match(found: re.Match[str], style: str) -> Numeral | None:
    sign, after = found["sign"].replace("−", "-"), found["after"]
    ending = after.lower().lstrip("'’") if after[-1:].isalpha() else ""
    unit, digits = found["before"] or ("" if ending else after), (found["whole"] or "").replace(",", "")
    if ending and (sign or unit or found["part"] or found["under"] or not digits):
        return None
    if found["under"]:
        return Numeral("fraction", found["over"], found["under"], sign, unit)
    if found["part"]:
        return Numeral("decimal", digits, found["part"], sign, unit, style)
    if ending == "s":
        return Numeral("plural", digits, neighbours=_decades(digits))
    if ending:
        return Numeral("ordinal", digits, neighbours=tuple(_ordinal(n) for n in _around(digits) if int(n)))
    grouped = "," in (found["whole"] or "")
    near = (f"{int(n):,}" if grouped else n for n in _around(digits) if not sign)
    marked = tuple(f"{found['before']}{n}{found['after']}" for n in near)
    return Numeral("whole", digits, "", sign, unit, style, grouped, marked)


def _read_character(text: str) -> Numeral | None:
    """Read a character that has a value of its own (½, Ⅳ, ⑩, ₄), perhaps after a whole number (1½)."""
    last, before = text[-1], text[:-1]
    value = unicodedata.numeric(last, None)
    if value is None or not unicodedata.category(last).startswith("N") or (before and not before.isdigit()):
        return None
    if value == int(value) >= 0:
        return Numeral("whole", str(int(value)), style=_style(last), neighbours=_alike(last)) if not before else None
    parts = Fraction(value).limit_denominator(1000)
    over = parts + int(before or 0)
    return Numeral("fraction", str(abs(over.numerator)), str(over.denominator), "-" if over < 0 else "")


def _plain(character: str) -> str:
    """A digit of any script as ASCII, a fraction slash as "/", other characters in their common width."""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    return "/" if character in "⁄∕" else unicodedata.normalize("NFKC", character)


def _style(text: str) -> str:
    """How the digits of a text look; "" for the common way, and where they differ."""
    styles = {_digit_style(character) for character in text if character.isnumeric()}
    return styles.pop() if len(styles) == 1 else ""


def _digit_style(character: str) -> str:
    if character.isascii():
        return ""
    tag = unicodedata.decomposition(character).partition(" ")[0]
    if tag in _STYLES:
        return _STYLES[tag]
    found = _SCRIPT.match(unicodedata.name(character, ""))
    return found[1].title() if found else ""


def _around(digits: str) -> tuple[str, ...]:
    """The numbers before and after, with leading zeros where `digits` has them; none is negative."""
    number, width = int(digits), len(digits) if digits.startswith("0") else 0
    return tuple(f"{n:0{width}d}" for n in (number - 1, number + 1) if n >= 0)


def _decades(digits: str) -> tuple[str, ...]:
    """The decades before and after 1980s or 80s; none for other plurals."""
    if not digits.endswith("0") or len(digits) not in (2, 4):
        return ()
    number, width = int(digits), len(digits)
    return tuple(f"{n % 10**width:0{width}d}s" for n in (number - 10, number + 10))


def _ordinal(digits: str) -> str:
    teen = digits[-2:-1] == "1"
    return digits + ("th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th"))


def _as_written(texts: tuple[str, ...], text: str) -> tuple[str, ...]:
    """`texts` in the digits that `text` has; none where those are of no decimal system (superscripts), or of two."""
    zeros = {ord(c) - unicodedata.decimal(c, -1) for c in text if c.isnumeric()}
    zero = chr(zeros.pop())
    if zeros or unicodedata.decimal(zero, None) != 0:
        return ()
    return tuple(near.translate({48 + n: ord(zero) + n for n in range(10)}) for near in texts)


def _alike(character: str) -> tuple[str, ...]:
    """The characters for the numbers before and after in the same style: ₃ and ₅ for ₄."""
    head, _, word = unicodedata.name(character, "").rpartition(" ")
    if word not in _NUMBER_WORDS:
        return ()
    place = _NUMBER_WORDS.index(word)
    found = []
    for near in (place - 1, place + 1):
        if 0 <= near < len(_NUMBER_WORDS):
            try:
                found.append(unicodedata.lookup(f"{head} {_NUMBER_WORDS[near]}"))
            except KeyError:
                continue
    return tuple(found)
