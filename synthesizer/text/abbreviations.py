"""Abbreviations, initials, acronyms with full stops and Roman numerals to words; knows nothing of numbers."""

import re

from .numbers import cardinal, ordinal, roman_value
from .tables import ABBREVIATIONS, COUNTED, DOTTED, NUMBERED, REGNAL, TITLES

# Capitalised words before "St." or "Dr." that are no street's name.
_NOT_STREETS = frozenset([
    "The", "A", "An", "In", "At", "On", "To", "Of", "By", "For", "And", "But", "Or", "From", "With",
    "Near", "Is", "Was", "Saint", "Meet", "Ask", "See", "Dear",
])  # fmt: skip
_ENDS = r"(?=\s*$|\s*\n|\s+[\"']?(?-i:[A-Z]))"
# "So did I. The" is a sentence end; "J. Smith" is not.
_SENTENCE_STARTS = r"(?!(?:The|It|He|She|They|We|You|I|But|And|A|An|This|That|There|In|If|So|What|No|Yes|Then)\b)"

_DOTTED = re.compile(rf"\b({'|'.join(re.escape(d) for d in DOTTED)})\.({_ENDS})?", re.IGNORECASE)
_STREET = re.compile(
    r"(?P<before>(?:\b[\w'-]{1,30})?\s)?\b(?P<word>[Ss]t|[Dd]r|ST|DR)\b(?P<dot>\.?)(?=(?P<after>\s*\S?))"
)
_TITLE = re.compile(rf"\b({'|'.join(TITLES)})(?:\.|(?=\s+(?-i:[A-Z])))(?=\s*\S)", re.IGNORECASE)
_ABBREVIATION = re.compile(rf"(?<!\d\s)\b({'|'.join(ABBREVIATIONS)})\.({_ENDS})?", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?<![\w°.])({'|'.join(NUMBERED)})\.\s*(?=\d|(?-i:[IVX]{{2,}}\b))", re.IGNORECASE)
_NO_NUMBER = re.compile(r"\bN[oO]\s*(?=\d)")
_MONTH_DOT = re.compile(r"\b(Jan|Mar|Apr|Jun|Jul)\.(?=\s*\d)|(?<=\d\s)(Jan|Mar|Apr|Jun|Jul)\.")
_MONTHS = {"jan": "January", "mar": "March", "apr": "April", "jun": "June", "jul": "July"}
_ACRONYM = re.compile(r"\b(?:[A-Za-z]\.){2,8}(?:[A-Za-z]\b)?(\s*$|\s*\n)?")
_INITIAL = re.compile(rf"\b([A-HJ-Z])\.\s*(?=[A-Z][\w.]){_SENTENCE_STARTS}")
_ROMAN = re.compile(r"\b([A-Z][a-z]+)\s+([IVXL]{1,7})\b")
_LONE_I = re.compile(r"\s*[,.;:)?!]|\s*$|\s+(?:of|was|had|died|ruled|reigned)\b")


def expand_abbreviations(text: str) -> str:
    """Abbreviations as the words they stand for; a full stop that also ends the sentence stays."""
    text = _DOTTED.sub(_dotted, text)
    text = _NUMBERED.sub(lambda m: f"{NUMBERED[m[1].lower()]} ", text)
    text = _NO_NUMBER.sub("number ", text)
    text = _STREET.sub(_street, text)
    text = _TITLE.sub(lambda m: TITLES[m[1].lower()] if m[1][0].isupper() or "." in m[0] else m[0], text)
    text = _MONTH_DOT.sub(lambda m: _MONTHS[(m[1] or m[2]).lower()], text)
    text = _ABBREVIATION.sub(_abbreviation, text)
    text = re.sub(r"\bvs\b", "versus", text)
    text = _ACRONYM.sub(_acronym, text)
    text = _INITIAL.sub(lambda m: letter_name(m[1]) + " ", text)
    return _ROMAN.sub(_roman, text)


def letter_name(letter: str) -> str:
    """A letter as a word that can only be that letter: "A" alone is the article."""
    return "ay" if letter in "Aa" else letter.upper()


def _kept_stop(at_end: str | None) -> str:
    return "." if at_end is not None else ""


def _dotted(match: re.Match[str]) -> str:
    short = match[1].lower()
    return DOTTED[short] + (_kept_stop(match[2]) if short in ("a.m", "p.m", "ph.d", "a.k.a") else "")


def _abbreviation(match: re.Match[str]) -> str:
    short = match[1].lower()
    # "He sat." and "the sun." are words; as days and titles they are written with a capital.
    if short in (
        "sat", "sun", "wed", "mon", "art", "al", "est", "max", "min", "dec", "oct", "co", "mt",
    ) and not (  # fmt: skip
        match[1][0].isupper() or short in ("al", "min", "max", "est")
    ):
        return match[0]
    tail = match.string[match.end() :]
    ends = match[2] is not None and (not tail.strip() or short in (
        "etc", "al", "inc", "ltd", "jr", "sr", "hrs",
    ))  # fmt: skip
    ends = ends and not re.match(r"\s+[A-Z][a-z]*\.", tail)
    if short in ("max", "min", "est") and match[2] is not None and not match[1][0].isupper() and tail.strip():
        return match[0]
    return ABBREVIATIONS[short] + _kept_stop("" if ends else None)


def _street(match: re.Match[str]) -> str:
    """ "Elm St." is a street, "St. John" a saint; likewise Drive and Doctor."""
    before, dot, after = (match["before"] or "").strip(), match["dot"], match["after"]
    named = before[:1].isupper() and before not in _NOT_STREETS or bool(re.fullmatch(r"\d+(st|nd|rd|th)", before))
    followed_by_name = after.strip()[:1].isupper()
    street, person = ("Street", "Saint") if match["word"].lower() == "st" else ("Drive", "Doctor")
    lead = match["before"] or ""
    if named and not (followed_by_name and person == "Doctor"):
        ends = dot and (not after.strip() or followed_by_name)
        return f"{lead}{street}{'.' if ends else ''}"
    if followed_by_name or (dot and after.strip()):
        return f"{lead}{person}"
    return match[0]


def _acronym(match: re.Match[str]) -> str:
    letters = [c for c in match[0] if c.isalpha()]
    end = match[1] is not None and "." or ""
    return " ".join(letter_name(c) for c in letters) + end + (match[1] or "")


def _roman(match: re.Match[str]) -> str:
    name, letters = match[1], match[2]
    value = roman_value(letters)
    if value is None or (letters == "I" and not _LONE_I.match(match.string, match.end())):
        return match[0]
    if name in REGNAL:
        return f"{name} the {ordinal(str(value))}"
    if name in COUNTED or (len(letters) > 1 and letters not in ("XL", "XX", "LI")):
        return f"{name} {cardinal(str(value))}"
    return match[0]
