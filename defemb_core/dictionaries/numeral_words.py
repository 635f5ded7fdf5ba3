"""Numbers in words, by num2words."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Literal

from defemb_core.errors import DictionaryError

MOST_DIGITS = 66
"""Longer numbers are told by their length: num2words names numbers up to about that, and a prompt holds no more."""


class Speller:
    """Says numbers in one language, and keeps count of what the language has no words for.

    Attributes:
        language: as num2words names it.

    Raises:
        DictionaryError: num2words lacks the language.
    """

    def __init__(self, language: str) -> None:
        from num2words import CONVERTER_CLASSES

        known = {name.lower().replace("_", "-"): name for name in CONVERTER_CLASSES}
        named = known.get(language.strip().lower().replace("_", "-"))
        if named is None:
            raise DictionaryError(
                f"num2words has no language {language!r}; take one of {', '.join(sorted(CONVERTER_CLASSES))}"
            )
        self.language: str = named
        self._failed: Counter[str] = Counter()

    @property
    def is_english(self) -> bool:
        """Whether definitions may say more in English."""
        return self.language.startswith("en")

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each form of number that some had no words for."""
        return tuple(
            f"{count:,} numbers have no words as {form}: num2words has none for them in {self.language}"
            for form, count in sorted(self._failed.items())
        )

    def say(self, number: str, form: Literal["cardinal", "ordinal", "year"] = "cardinal") -> str | None:
        """Return a number in words, without commas; None where num2words has none.

        Args:
            number: ASCII digits, perhaps with a sign and a decimal point.
            form: what kind of words.
        """
        from num2words import num2words

        if len(number) > MOST_DIGITS:
            return None
        try:
            said = num2words(Decimal(number) if "." in number else int(number), lang=self.language, to=form)
        # What a language lacks shows as any of these, in one as an empty text; none of them is ours to mend.
        except (NotImplementedError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError):
            said = ""
        if not said:
            self._failed[form] += 1
        return " ".join(said.replace(",", "").split()) or None

    def spell(self, digits: str) -> str:
        """Return the digits one by one ("zero zero seven"), at most the first 12 of them."""
        return " ".join(self.say(digit) or digit for digit in digits[:12])
