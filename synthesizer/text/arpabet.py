"""The phoneme front end: English text to ARPAbet symbol ids; knows no model and no sound."""

import re
from collections.abc import Sequence

from audio.errors import TextError

from .letters import sound_out, spell
from .lexicon import Lexicon, Phonemes, is_vowel
from .normalize import normalize_text
from .symbols import ARPABET_SYMBOLS, END, PHONEMES, PUNCTUATION, SPACE, VOWELS

_BRACED = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(r"[A-Za-z']*[A-Za-z][A-Za-z']*|[!,.:;?-]")
_IDS = {symbol: i for i, symbol in enumerate(ARPABET_SYMBOLS)}
_MAX_ACRONYM = 5


def parse_phonemes(braced: str) -> Phonemes:
    """The phonemes written between braces: "HH AH0 L OW1". Case is free; a vowel without a stress digit gets
    primary stress if it is the first of them, none otherwise.

    Raises TextError naming the first thing that is not a phoneme.
    """
    phonemes: list[str] = []
    for raw in braced.split():
        phoneme = raw.upper()
        if phoneme in VOWELS:
            phoneme += "0" if any(is_vowel(p) for p in phonemes) else "1"
        if phoneme not in PHONEMES:
            raise TextError(
                f'"{raw}" in {{{braced.strip()}}} is not an ARPAbet phoneme. Write phonemes between braces as in '
                "{HH AH0 L OW1}: vowels with a stress digit 0, 1 or 2, separated by spaces."
            )
        phonemes.append(phoneme)
    if not phonemes:
        raise TextError("There are no phonemes between { and }. Write them as in {HH AH0 L OW1}, or remove the braces.")
    return tuple(phonemes)


class ArpabetFrontEnd:
    """English text to the ids of ``ARPABET_SYMBOLS``: one symbol a phoneme, words separated by the space."""

    name = "arpabet"
    symbols = ARPABET_SYMBOLS
    pad_id = 0

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        self._lexicon = lexicon or Lexicon()

    def encode(self, text: str) -> list[int]:
        """Ids of the symbols of ``text``, ending in the end id.

        Raises TextError when there is nothing to say, or for phonemes in braces that do not exist.
        """
        return [_IDS[symbol] for symbol in (*self.phonemize(text), END)]

    def phonemize(self, text: str) -> list[str]:
        """The symbols of ``text`` without the end symbol. Raises TextError like ``encode``."""
        symbols: list[str] = []
        spoken = False
        for token in self._tokens(text):
            if isinstance(token, str):
                if spoken and symbols[-1] not in PUNCTUATION:
                    symbols.append(token)
                continue
            if symbols:
                symbols.append(SPACE)
            symbols.extend(token)
            spoken = True
        if not spoken:
            raise TextError("There is nothing to say in this text: it has no words. Type at least one word.")
        return symbols

    def _tokens(self, text: str) -> list[str | Phonemes]:
        """Punctuation marks as strings, words as tuples of phonemes, in order."""
        raw: list[str | Phonemes] = []
        parts = _BRACED.split(text)
        for i, part in enumerate(parts):
            if i % 2:
                raw.append(parse_phonemes(part))
            elif "{" in part or "}" in part:
                raise TextError("A brace has no partner. Phonemes are written between { and }, as in {HH AH0 L OW1}.")
            else:
                raw.extend(_TOKEN.findall(normalize_text(part)))
        shouted = not any(c.islower() for t in raw if isinstance(t, str) for c in t)
        tokens: list[str | Phonemes] = []
        for i, token in enumerate(raw):
            if isinstance(token, str) and token not in PUNCTUATION:
                tokens.append(self._word(raw, i, shouted))
            else:
                tokens.append(token)
        return self._linked(raw, tokens)

    def _word(self, raw: Sequence[str | Phonemes], i: int, shouted: bool) -> Phonemes:
        written = raw[i]
        assert isinstance(written, str)
        word = written.lower()
        if word.startswith("'") and word not in self._lexicon:
            word = word.lstrip("'")
        if written == "A" and not shouted and i and raw[i - 1] not in (".", "!", "?"):
            return spell("a")
        found = self._lexicon.find(word)
        if found:
            return found
        letters = word.replace("'", "")
        if written.isupper() and not shouted and len(letters) <= _MAX_ACRONYM:
            return spell(letters)
        return sound_out(letters)

    @staticmethod
    def _linked(raw: Sequence[str | Phonemes], tokens: list[str | Phonemes]) -> list[str | Phonemes]:
        """"the" before a vowel is DH IY0."""
        for i, token in enumerate(raw[:-1]):
            following = tokens[i + 1]
            if isinstance(token, str) and token.lower() == "the" and not isinstance(following, str) and is_vowel(following[0]):
                tokens[i] = ("DH", "IY0")
        return tokens
