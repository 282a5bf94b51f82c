"""Letter-to-sound for words that no dictionary explains; knows nothing of the dictionary or of sentences."""

from .letter_model import LetterModel
from .lexicon import Phonemes

_LONGEST = 40
_MAX_KEPT = 20000

LETTER_NAMES: dict[str, str] = {
    "a": "EY1", "b": "B IY1", "c": "S IY1", "d": "D IY1", "e": "IY1", "f": "EH1 F", "g": "JH IY1",
    "h": "EY1 CH", "i": "AY1", "j": "JH EY1", "k": "K EY1", "l": "EH1 L", "m": "EH1 M", "n": "EH1 N",
    "o": "OW1", "p": "P IY1", "q": "K Y UW1", "r": "AA1 R", "s": "EH1 S", "t": "T IY1", "u": "Y UW1",
    "v": "V IY1", "w": "D AH1 B AH0 L Y UW2", "x": "EH1 K S", "y": "W AY1", "z": "Z IY1",
}  # fmt: skip


def spell(letters: str) -> Phonemes:
    """The names of the letters, one after the other; anything but a to z is skipped."""
    return tuple(p for c in letters.lower() if c in LETTER_NAMES for p in LETTER_NAMES[c].split())


class LetterToSound:
    """The stored statistical model, loaded at its first word; results are kept, names come again and again."""

    def __init__(self, model: LetterModel | None = None) -> None:
        self._model = model
        self._known: dict[str, Phonemes] = {}

    def pronounce(self, word: str) -> Phonemes:
        """A guess at the phonemes of a lower-case word, never empty for a word with letters a to z; the names
        of its letters when it has no vowel at all."""
        if not any(c in "aeiouy" for c in word):
            return spell(word)
        if len(word) > _LONGEST:
            # Nobody's word: the time for it should not grow without limit.
            return self.pronounce(word[:_LONGEST]) + self.pronounce(word[_LONGEST:])
        if word not in self._known:
            if self._model is None:
                self._model = LetterModel.load()
            if len(self._known) > _MAX_KEPT:
                self._known.clear()
            self._known[word] = self._model.pronounce(word) or spell(word)
        return self._known[word]
