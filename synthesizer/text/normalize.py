"""Written English to speakable words and punctuation; knows nothing of phonemes, symbols or ids."""

import re
import unicodedata

from . import numbers
from .abbreviations import expand_abbreviations
from .quantities import expand_quantities
from .tables import CHARACTERS, SIGNS
from .transliterate import to_ascii
from .web import expand_web

_GREEK = re.compile(r"(?<![^\W\d_])([Α-Ωα-ω])(?![^\W\d_])")
_VULGAR = re.compile(r"(\d?)([¼½¾⅐-⅞])")
_SUPERSCRIPTS = {"²": " squared", "³": " cubed"}
# Apostrophes that begin a word.
_ELIDED = re.compile(r"(?<![A-Za-z'])'(?=(?:em|til|cause|tis|twas|bout|n)\b)", re.IGNORECASE)
_KEEP = "\x00"
_PREFIX_HYPHEN = re.compile(r"\b(re|pre|non|un|anti|co(?=-(?:op|or))|wi(?=-fi\b))-(?=[a-z]{2})", re.IGNORECASE)
_STRENGTH = "-,;:.!?"


def normalize_text(text: str) -> str:
    """``text`` as a person would read it out: words (letters and apostrophes), spaces, the marks ``!,.:;?-``.

    Never raises; the result is empty when there is nothing to say. Capitals are kept, since they tell "US" from
    "us". Lines are joined; see ``split`` for pauses between them.
    """
    text = _shorten_runs(fold_characters(text))
    for step in (expand_web, expand_abbreviations, expand_quantities, _expand_signs, _settle_apostrophes):
        text = step(text)
    return _settle_punctuation(text)


def _shorten_runs(text: str) -> str:
    """Runs that are read the same when shorter, so that the patterns' time does not grow with their square."""
    text = re.sub(rf"\d{{{numbers.MAX_DIGITS + 1},}}", lambda m: f" {numbers.spell_digits(m[0])} ", text)
    text = re.sub(r"\s{2,}", lambda m: "\n" if "\n" in m[0] else " ", text)
    return re.sub(r"([^\w\s])\1{3,}", r"\1\1\1", text)


def fold_characters(text: str) -> str:
    """Compatibility forms, quotes, dashes, brackets and other scripts as plain characters; pictures dropped."""
    text = _VULGAR.sub(lambda m: f"{m[1]} {unicodedata.normalize('NFKC', m[2])}", text)
    text = re.sub(r"(?<=[a-z])[²³]", lambda m: _SUPERSCRIPTS[m[0]], text)
    text = unicodedata.normalize("NFKC", text)
    text = _GREEK.sub(_greek_letter, text)
    text = to_ascii(text, _SPECIAL)
    # Brackets have become commas above where they are not ASCII; the ASCII ones follow.
    return "".join(CHARACTERS.get(c, c) for c in text)


# Characters that later steps look for although they are not ASCII.
_SPECIAL = {**CHARACTERS, **{c: c for c in "°£€¥¢₹₩₽₺μ–"}}


def _greek_letter(match: re.Match[str]) -> str:
    # "GREEK SMALL LETTER ALPHA" -> "alpha"; micro in front of a unit stays.
    name = unicodedata.name(match[1], "").lower().split()
    following = match.string[match.end() : match.end() + 1]
    return f" {name[3]} " if len(name) == 4 and not (match[1] == "μ" and following.isalpha()) else match[1]


def _expand_signs(text: str) -> str:
    text = re.sub(r"(?<=[a-z]) *\* *(?=[a-z]+ *=)|(?<= )\*(?= +[A-Za-z])", " times ", text)
    text = re.sub(r"(?<=\s)<(?=\s)", " less than ", text)
    text = re.sub(r"(?<=\s)>(?=\s)", " greater than ", text)
    text = re.sub(r"\b(w/o|w/)(?!\S)", lambda m: " without " if m[1] == "w/o" else " with ", text)
    text = re.sub(r"\band/or\b", "and or", text)
    text = re.sub(r"\b([CF])#(?!\w)", r"\1 sharp ", text)
    text = re.sub(r"([%=@#/\\])\1+|\+{3,}", " ", text)
    text = "".join(SIGNS.get(c, c) for c in text)
    # Whatever digits are left stand in no pattern at all.
    return re.sub(r"\d+", lambda m: f" {numbers.cardinal(m[0])} ", text)


def _settle_apostrophes(text: str) -> str:
    """Apostrophes stay inside words, after a final -in or -s, and before "em" and its like; quotes go."""
    text = re.sub(r"(?<=\w) ?'n' ?(?=\w)", " and ", text)
    text = re.sub(r"(?<=[A-Za-z])'(?=[A-Za-z])", _KEEP, text)
    text = _ELIDED.sub(_KEEP, text)
    text = re.sub(r"(?<=[a-z]in)'(?![A-Za-z])", _KEEP, text)
    return text.replace("'", " ").replace('"', " ").replace(_KEEP, "'")


def _settle_punctuation(text: str) -> str:
    """One mark at a time, the strongest of a run, directly after a word; nothing but the promised characters."""
    text = re.sub(r"\.{2,}(?=\s*[a-z])", ", ", text)
    text = _PREFIX_HYPHEN.sub(r"\1", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z]{2})", " ", text)  # "ChatGPT"
    text = re.sub(r"(?<=\s)-+(?=\s)|--+", " \x01 ", text)
    text = re.sub(r"[^A-Za-z' !,.:;?\x01]+", " ", text).replace("\x01", "-")
    text = re.sub(r"(?:\s*[!,.:;?-])+", lambda m: max(m[0], key=_STRENGTH.find) + " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    # A mark before the first word is read as nothing; a dash stands apart.
    return re.sub(r"(?<=\w)-", " -", text.lstrip("!,.:;?- "))


