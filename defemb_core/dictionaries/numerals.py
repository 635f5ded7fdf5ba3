"""Numbers written in digits: in words, what kind of number it is, and the numbers next to it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import polars as pl

from defemb_core.dictionaries import DEFINITION_SCHEMA, NUMERALS, Dictionary
from defemb_core.dictionaries.numeral_forms import LONGEST, Numeral, read_numeral
from defemb_core.dictionaries.numeral_words import MOST_DIGITS, Speller
from defemb_core.errors import DictionaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORDING: Final = 1  # part of the digest: raise it when the same number gets another definition
_RUN: Final = re.compile(r"\d+|\D")


def load_numerals(language: str | None, vocabulary: pl.DataFrame | None) -> Dictionary:
    """Define every text of a vocabulary that is a number written in digits, one sense each, years two.

    A definition has the number in words and the numbers of the same form next to it: "nineteen eighty-four; the year
    between 1983 and 1985". On held-out rows these neighbours are worth more than anything else that was tried
    (benchmarks/RESULTS.md). In a language other than English it is the words alone, and neighbours are in `related`.

    Args:
        language: a language of num2words ("de", "pt_BR"); None for English.
        vocabulary: the vocabulary frame. Rows of kind number are defined whatever their form; words and word pieces
            where they are ordinals (21st) or plurals (1980s).

    Returns:
        A dictionary named "numerals", its definition frame with the column `related`. Its digest covers the version of
        num2words, the language and our wording.

    Raises:
        DictionaryError: no vocabulary (numbers have no end), or num2words lacks the language.
    """
    speller = Speller("en" if language is None else language)
    if vocabulary is None:
        raise DictionaryError("numerals have no end; load them together with the vocabulary that they are to define")
    texts = vocabulary.filter(pl.col("text").str.contains(r"\p{N}")).select(
        "text", kind=pl.col("kind").cast(pl.String), folded=pl.col("text").str.to_lowercase()
    )
    lines, long = [], 0
    for text, kind, _ in texts.unique("folded", keep="first", maintain_order=True).iter_rows():
        numeral = read_numeral(text)
        if numeral is None and kind != "number":
            continue
        long += numeral is not None and _is_long(numeral)
        told = define_numeral(numeral, speller) if numeral else [(_apart(text, speller), None)]
        lines += [
            (text, "noun", definition, sense, NUMERALS, None, near) for sense, (definition, near) in enumerate(told)
        ]
    frame = pl.DataFrame(lines, schema={**DEFINITION_SCHEMA, "related": pl.String()}, orient="row")
    made_by = f"num2words {version('num2words')}, language {speller.language}"
    digest = hashlib.sha256(f"{made_by}, wording {_WORDING}".encode()).hexdigest()
    notes = (f"{long:,} numbers of more than {MOST_DIGITS} digits are told by their length",) if long else ()
    return Dictionary(frame, NUMERALS, digest, made_by, notes + speller.notes, ("number", "word", "subword"))


def define_numeral(numeral: Numeral, speller: Speller) -> list[tuple[str, str | None]]:
    """Return a number's definitions, and with each its neighbours where these are no part of it (None otherwise).

    What may be a year has two, the year and the number.
    """
    if _is_long(numeral):
        return [(_length(numeral, speller), None)]
    year = speller.say(numeral.digits, "year") if numeral.is_year else None
    if speller.is_english:
        readings = [f"{year}; the year{_between(numeral)}"] if year else []
        return [(said, None) for said in (*readings, _ENGLISH[numeral.form](numeral, speller))]
    near = ", ".join(numeral.neighbours) or None
    return [(said, near) for said in dict.fromkeys((year or _words(numeral, speller), _words(numeral, speller)))]


def _is_long(numeral: Numeral) -> bool:
    return len(numeral.digits) + len(numeral.part) > MOST_DIGITS


def _length(numeral: Numeral, speller: Speller) -> str:
    digits = numeral.digits + numeral.part
    if speller.is_english:
        return f"a number of {len(digits):,} digits that begins with {speller.spell(digits)}"
    return f"{speller.spell(digits)} ... ({len(digits):,})"


def _words(numeral: Numeral, speller: Speller) -> str:
    """The number in words, with its sign and unit; in digits where the language has none."""
    digits, sign = numeral.digits, numeral.sign.strip("+±")
    if numeral.form == "fraction":
        return " / ".join(speller.say(part) or part for part in (digits, numeral.part) if part)
    number = f"{sign}{digits or 0}.{numeral.part}" if numeral.form == "decimal" else sign + digits
    said = speller.say(number, "ordinal") if numeral.form == "ordinal" else None
    said = said or speller.say(number) or number
    return f"{said} {_name(numeral.unit).removesuffix(' sign')}" if numeral.unit else said


def _whole(numeral: Numeral, speller: Speller) -> str:
    digits = numeral.digits
    if digits.startswith("0") and len(digits) > 1:
        zeros = f"zeros as at the end of {speller.say('1' + digits)}"
        told = f"the number {speller.say(digits)}" if digits.strip("0") else zeros
        return f"{speller.spell(digits)}; {told}{_between(numeral)}"
    return f"{_words(numeral, speller)}; {'the ' * bool(numeral.neighbours)}{_kind(numeral)}{_between(numeral)}"


def _kind(numeral: Numeral) -> str:
    if numeral.unit:
        return "amount of money" if unicodedata.category(numeral.unit) == "Sc" else "measure"
    if numeral.sign == "-":
        return f"negative number, the opposite of {numeral.digits}"
    return f"{numeral.style} numeral" if numeral.style else "number"


def _decimal(numeral: Numeral, speller: Speller) -> str:
    low = int(numeral.digits or 0)
    return f"{_words(numeral, speller)}; a decimal number between {low} and {low + 1}"


def _fraction(numeral: Numeral, speller: Speller) -> str:
    """One half, two thirds; quarters where the digits above the line are not a part of the text."""
    over, under = numeral.digits, numeral.part
    part = {"2": "half", "4": "quarter"}.get(under) or speller.say(under, "ordinal") or under
    parts = part if over == "1" else "halves" if part == "half" else f"{part}s"
    if not over:
        return f"{parts}; the end of a fraction, divided by {under}"
    return f"{speller.say(over) or over} {parts}; a fraction, {over} divided by {under}"


def _ordinal(numeral: Numeral, speller: Speller) -> str:
    return f"{_words(numeral, speller)}; the number in order{_between(numeral)}"


def _plural(numeral: Numeral, speller: Speller) -> str:
    """Nineteen eighties: ten years; sevens: several of a number."""
    digits = numeral.digits
    said = (speller.say(digits, "year") if len(digits) == 4 else None) or _words(numeral, speller)
    many = f"{said[:-1]}ies" if said.endswith("y") else f"{said}es" if said.endswith("x") else f"{said}s"
    return f"{many}; the ten years{_between(numeral)}" if numeral.neighbours else f"{many}; the plural of {digits}"


_ENGLISH: Final[Mapping[str, Callable[[Numeral, Speller], str]]] = {
    "whole": _whole, "decimal": _decimal, "fraction": _fraction, "ordinal": _ordinal, "plural": _plural,
}  # fmt: skip


def _between(numeral: Numeral) -> str:
    """The neighbours of a number as the end of its definition."""
    near = numeral.neighbours
    return f" between {near[0]} and {near[1]}" if len(near) == 2 else f" next to {near[0]}" if near else ""


def _apart(text: str, speller: Speller) -> str:
    """A text of several numbers and signs, one after the other."""
    runs = _RUN.findall(text[:LONGEST])
    return (
        f"numbers and signs: {' '.join((speller.say(run) if run.isdecimal() else None) or _name(run) for run in runs)}"
    )


def _name(text: str) -> str:
    return " ".join(unicodedata.name(character, "sign").lower() for character in text[:12])
