"""Any script to ASCII, character by character; knows nothing of how words are read."""

import unicodedata
from collections.abc import Mapping


def to_ascii(text: str, special: Mapping[str, str]) -> str:
    """``text`` in ASCII: accents removed, other scripts transliterated, pictures dropped.

    ``special`` says what certain characters become instead.
    """
    if text.isascii():
        return text
    from anyascii import anyascii

    known = {c: special.get(c, c if c.isascii() else None) for c in set(text)}
    return "".join(a if (a := known[c]) is not None else _transliterate(c, anyascii(c)) for c in text)


def _transliterate(char: str, found: str) -> str:
    if len(found) > 2 and found[0] == found[-1] == ":":
        return ""  # a picture's name, as ":grinning:", would be read out as a word
    if unicodedata.name(char, "").startswith("CJK UNIFIED"):
        return found + " "  # one syllable each: without a space they run together
    return found
