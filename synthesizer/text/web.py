"""Addresses, handles and tags to words; knows nothing of other text."""

import re

from .numbers import cardinal, spell_digits
from .tables import TOP_LEVEL_DOMAINS, URL_SIGNS

_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,12}")
_URL = re.compile(
    rf"(?:https?://|www\.)[^\s,;\"'<>]+|(?<![\w.@])(?:[A-Za-z][\w-]{{0,62}}\.){{1,4}}(?:{TOP_LEVEL_DOMAINS})\b(?:/[^\s,;\"'<>]*)?"
)
_HANDLE = re.compile(r"(?<![\w@])@(?=[A-Za-z])([\w]{1,64})")
_HASHTAG = re.compile(r"(?<![\w#])#(?=\w*[A-Za-z])(\w{1,100})")
_NUMBER_SIGN = re.compile(r"(?<![\w#])#\s?(?=\d)")
_PIECES = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W_]+|.", re.DOTALL)


def expand_web(text: str) -> str:
    """E-mail and web addresses, @handles, #hashtags and "#5" as they are said."""
    text = _EMAIL.sub(lambda m: _address(m[0]), text)
    text = _URL.sub(lambda m: _url(m[0]), text)
    text = _HANDLE.sub(lambda m: f" at {_words(m[1])} ", text)
    text = _HASHTAG.sub(lambda m: f" hashtag {_words(m[1])} ", text)
    return _NUMBER_SIGN.sub(" number ", text)


def _url(url: str) -> str:
    ending = re.search(r"[.!?:)\]/]*$", url)
    assert ending is not None
    url = url[: ending.start()]
    url = re.sub(r"^https?://", "", url)
    url = re.sub(r"^www\.", "", url)
    return f" {_address(url)}{ending[0].strip('/')} "


def _address(text: str) -> str:
    return " ".join(URL_SIGNS.get(p, _piece(p)) for p in _PIECES.findall(text))


def _words(name: str) -> str:
    """ "helloWorld_7" -> "hello World seven": how a name made of words is read."""
    return " ".join(_piece(p) for p in _PIECES.findall(name) if p != "_")


def _piece(piece: str) -> str:
    if piece.isdecimal() and piece.isascii():
        return cardinal(piece) if len(piece) < 4 and piece[0] != "0" else spell_digits(piece)
    return piece if piece.isalnum() else " "
