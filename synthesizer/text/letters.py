"""Letter-to-sound for words that no dictionary explains; knows nothing of the dictionary or of sentences."""

from .lexicon import Phonemes

LETTER_NAMES: dict[str, str] = {
    "a": "EY1", "b": "B IY1", "c": "S IY1", "d": "D IY1", "e": "IY1", "f": "EH1 F", "g": "JH IY1",
    "h": "EY1 CH", "i": "AY1", "j": "JH EY1", "k": "K EY1", "l": "EH1 L", "m": "EH1 M", "n": "EH1 N",
    "o": "OW1", "p": "P IY1", "q": "K Y UW1", "r": "AA1 R", "s": "EH1 S", "t": "T IY1", "u": "Y UW1",
    "v": "V IY1", "w": "D AH1 B AH0 L Y UW2", "x": "EH1 K S", "y": "W AY1", "z": "Z IY1",
}  # fmt: skip

_GRAPHEMES: tuple[tuple[str, str], ...] = tuple(
    line.split(" ", 1)  # type: ignore[misc]
    for line in ["tch CH", "igh AY", "tion SH AH N", "sch SH", "ch CH", "sh SH", "th TH", "ph F", "wh W", "ck K", "ng NG", "qu K W", "kn N", "wr R", "ee IY", "ea IY", "oo UW", "ou AW", "ow OW", "oi OY", "oy OY", "ai EY", "ay EY", "au AO", "aw AO", "er ER", "ir ER", "ur ER", "ar AA R", "or AO R", "bb B", "cc K", "dd D", "ff F", "gg G", "ll L", "mm M", "nn N", "pp P", "rr R", "ss S", "tt T", "zz Z", "ce S", "ci S IH", "cy S IY", "ge JH EH", "a AE", "b B", "c K", "d D", "e EH", "f F", "g G", "h HH", "i IH", "j JH", "k K", "l L", "m M", "n N", "o AA", "p P", "q K", "r R", "s S", "t T", "u AH", "v V", "w W", "x K S", "y IY", "z Z"]
)


def spell(letters: str) -> Phonemes:
    """The names of the letters, one after the other; anything but a to z is skipped."""
    return tuple(p for c in letters.lower() if c in LETTER_NAMES for p in LETTER_NAMES[c].split())


def sound_out(word: str) -> Phonemes:
    """A guess at the pronunciation of a lower-case word; the letters' names when it has no vowel at all."""
    sounds: list[str] = []
    rest = "".join(c for c in word if c in LETTER_NAMES)
    if not any(c in "aeiouy" for c in rest):
        return spell(rest)
    if len(rest) > 3 and rest.endswith("e"):
        rest = rest[:-1]
    stressed = False
    while rest:
        for letters, sound in _GRAPHEMES:
            if rest.startswith(letters):
                for p in sound.split():
                    vowel = p[0] in "AEIOU"
                    sounds.append(p + ("0" if stressed else "1") if vowel else p)
                    stressed = stressed or vowel
                rest = rest[len(letters) :]
                break
    return tuple(sounds)
