"""The phoneme front end: English text to ARPAbet symbol ids; knows no model and no sound."""

import re
from collections.abc import Sequence

from audio.errors import TextError

from .heteronyms import pronounce_heteronym
from .letters import LetterToSound, spell
from .lexicon import Lexicon, Phonemes, is_vowel, plural_sound
from .normalize import normalize_text
from .symbols import ARPABET_SYMBOLS, END, PHONEMES, PUNCTUATION, SPACE, VOWELS

_BRACED = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(r"[A-Za-z']*[A-Za-z][A-Za-z']*|[!,.:;?-]")
_IDS = {symbol: i for i, symbol in enumerate(ARPABET_SYMBOLS)}
_MAX_ACRONYM = 5
# Acronyms that are words in small letters.
_READ_AS_LETTERS = frozenset([
    "US", "AI", "ID", "EU", "UN", "LA", "ER", "IP", "AC", "PE", "CV", "PA", "MA", "AD", "AM", "PM", "TV",
    "PC", "VR", "AR", "OS",
])  # fmt: skip


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
                f'"{raw}" in {{{braced.strip()}}} is not an ARPAbet phoneme. Write phonemes between braces as '
                "in {HH AH0 L OW1}: vowels with a stress digit 0, 1 or 2, separated by spaces."
            )
        phonemes.append(phoneme)
    if not phonemes:
        raise TextError("There are no phonemes between { and }. Write them as in {HH AH0 L OW1}.")
    return tuple(phonemes)


class ArpabetFrontEnd:
    """English text to the ids of ``ARPABET_SYMBOLS``: one symbol a phoneme, words separated by the space."""

    name = "arpabet"
    ends_in_mark = True
    symbols = ARPABET_SYMBOLS
    pad_id = 0

    def __init__(self, lexicon: Lexicon | None = None, letter_to_sound: LetterToSound | None = None) -> None:
        """Dictionary and letter-to-sound model are loaded at first use, 0.2 s each, and kept in the object."""
        self._lexicon = lexicon or Lexicon()
        self._letter_to_sound = letter_to_sound or LetterToSound()

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
                raise TextError("A brace has no partner. Phonemes are written as in {HH AH0 L OW1}.")
            else:
                # A word in front, taken off again, keeps the marks that follow a brace.
                tokens = _TOKEN.findall(normalize_text(f"x {part}" if i else part))
                raw.extend(tokens[1:] if i else tokens)
        # In a text all in capitals they say nothing about acronyms.
        shouted = not any(c.islower() for c in text)
        words = ["" if isinstance(t, tuple) or t in PUNCTUATION else t.lower() for t in raw]
        spoken = [self._word(raw, words, i, shouted) if words[i] else t for i, t in enumerate(raw)]
        return _linked(words, spoken)

    def _word(self, raw: Sequence[str | Phonemes], words: Sequence[str], i: int, shouted: bool) -> Phonemes:
        written, word = str(raw[i]), words[i]
        if written == "A" and not shouted and i and words[i - 1]:
            return spell("a")
        if word.startswith("'") and word not in self._lexicon:
            word = word.lstrip("'")
        letters = word.replace("'", "")
        capitals = written.isupper() and not shouted
        if capitals and written in _READ_AS_LETTERS and not _among_capitals(raw, i):
            return spell(letters)
        found = pronounce_heteronym(words, i) or self._lexicon.find(word) or self._lexicon.find(letters)
        if found:
            return found
        plural_acronym = written.endswith("s") and written[:-1].replace("'", "").isupper() and not shouted
        if plural_acronym and len(letters) <= _MAX_ACRONYM + 1:
            return plural_sound(spell(letters[:-1]))
        if capitals and len(letters) <= _MAX_ACRONYM:
            return spell(letters)
        return self._letter_to_sound.pronounce(letters)


def _among_capitals(raw: Sequence[str | Phonemes], i: int) -> bool:
    """Whether a neighbour is a longer word in capitals too, as in "TELL US NOW"."""
    neighbours = (raw[k] for k in (i - 1, i + 1) if 0 <= k < len(raw))
    return any(isinstance(t, str) and len(t) > 2 and t.isupper() for t in neighbours)


def _linked(words: Sequence[str], tokens: list[str | Phonemes]) -> list[str | Phonemes]:
    """"the" before a vowel is DH IY0."""
    for i, word in enumerate(words[:-1]):
        following = tokens[i + 1]
        if word == "the" and isinstance(following, tuple) and is_vowel(following[0]):
            tokens[i] = ("DH", "IY0")
    return tokens
