"""The letter front end of the public Real-Time-Voice-Cloning models; knows no phoneme and no network.

Weights trained with RTVC expect its English cleaners to the letter, odd readings included ("mrs." is "misess"
and "£5" is "psfive"), so this module reproduces them and is not the place for better English.
"""

import re
from typing import Any

from audio.errors import TextError

from .symbols import END, PAD, RTVC_SYMBOLS
from .transliterate import to_ascii

_KEPT = {s: i for i, s in enumerate(RTVC_SYMBOLS) if s not in (PAD, END)}

# Applied one after the other, each wherever a word begins with it and a full stop follows.
_ABBREVIATIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b{short}\."), full)
    for short, full in (
        ("mrs", "misess"), ("mr", "mister"), ("dr", "doctor"), ("st", "saint"), ("co", "company"),
        ("jr", "junior"), ("maj", "major"), ("gen", "general"), ("drs", "doctors"), ("rev", "reverend"),
        ("lt", "lieutenant"), ("hon", "honorable"), ("sgt", "sergeant"), ("capt", "captain"),
        ("esq", "esquire"), ("ltd", "limited"), ("col", "colonel"), ("ft", "fort"),
    )
)  # fmt: skip

# inflect has no names for longer numbers and fails on them.
_MAX_NAMED_DIGITS = 36

# Where the transliteration that the public models were trained with differs from anyascii's on characters
# that occur in English text.
_ASCII = {
    "£": "PS", "·": "", "×": "x", "¼": " 1/4", "½": " 1/2", "¾": " 3/4", "—": "--", "―": "--",
    "\u2043": "--", "\u201a": ",", "\u201e": ",,", "\u200b": " ", "№": "No. ", "™": "(tm)",
    "、": ", ", "。": ". ",
}  # fmt: skip


class RtvcFrontEnd:
    """English text to ids of the 66 ``RTVC_SYMBOLS`` by the English cleaners of RTVC."""

    name = "rtvc"
    ends_in_mark = False
    symbols = RTVC_SYMBOLS
    pad_id = 0

    def __init__(self) -> None:
        # inflect takes a second to import: only a text with digits needs it.
        self._inflect: Any = None

    def encode(self, text: str) -> list[int]:
        """Ids of the symbols of ``text``, ending in the end id; characters without a symbol are dropped.

        Raises TextError when nothing to say remains, and for phonemes in braces: these models read letters.
        """
        if "{" in text or "}" in text:
            raise TextError(
                "This model reads letters and knows no phonemes in braces { }. Spell the word as it sounds, "
                "or choose a synthesizer that reads phonemes."
            )
        ids = [_KEPT[c] for c in self.clean(text) if c in _KEPT]
        if not any(RTVC_SYMBOLS[i].isalpha() for i in ids):
            raise TextError("There is nothing to say in this text: it has no words. Type at least one word.")
        return [*ids, RTVC_SYMBOLS.index(END)]

    def clean(self, text: str) -> str:
        """The English cleaners: ASCII, lower case, numbers and abbreviations expanded, spaces collapsed."""
        text = to_ascii(text, _ASCII).lower()
        if any(c.isdigit() for c in text):
            text = self._expand_numbers(text)
        for pattern, full in _ABBREVIATIONS:
            text = pattern.sub(full, text)
        return re.sub(r"\s+", " ", text)

    def _expand_numbers(self, text: str) -> str:
        text = re.sub(r"[0-9][0-9,]+[0-9]", lambda m: m[0].replace(",", ""), text)
        text = re.sub(r"\$([0-9.,]*[0-9]+)", lambda m: _dollars(m[1]), text)
        text = re.sub(r"[0-9]+\.[0-9]+", lambda m: m[0].replace(".", " point "), text)
        text = re.sub(r"[0-9]+(st|nd|rd|th)", lambda m: self._words(m[0]), text)
        return re.sub(r"[0-9]+", lambda m: self._cardinal(m[0]), text)

    def _cardinal(self, digits: str) -> str:
        number = int(digits) if len(digits) < 20 else 0
        if not 1000 < number < 3000:
            return self._words(digits, andword="")
        if number == 2000:
            return "two thousand"
        if 2000 < number < 2010:
            return "two thousand " + self._words(str(number % 100))
        if number % 100 == 0:
            return self._words(str(number // 100)) + " hundred"
        return self._words(digits, andword="", zero="oh", group=2).replace(", ", " ")

    def _words(self, number: str, **options: Any) -> str:
        if self._inflect is None:
            import inflect

            self._inflect = inflect.engine()
        digits = "".join(c for c in number if c.isdigit())
        if len(digits) > _MAX_NAMED_DIGITS:
            return " ".join(str(self._inflect.number_to_words(c)) for c in digits)
        return str(self._inflect.number_to_words(number, **options))


def _dollars(amount: str) -> str:
    parts = amount.split(".")
    if len(parts) > 2:
        return amount + " dollars"
    named = []
    for part, unit in zip(parts, ("dollar", "cent"), strict=False):
        # Text, not int: Python refuses to convert more than 4300 digits.
        number = part.replace(",", "").lstrip("0")
        if number:
            named.append(f"{number} {unit}{'' if number == '1' else 's'}")
    return ", ".join(named) or "zero dollars"
