"""Sentences, decoys, and what the recogniser makes of speech."""

import importlib.util

import numpy as np
import pytest

from audio.io import load_wav
from evaluation.sentences import make_sentences
from evaluation.words import known_sentences, near_misses, plain, recognise
from toolbox.doctor import REFERENCE_CLIP

SAID = "good morning and welcome i grew up in a small town near the sea and every summer we watched the boats come home"
recogniser = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="pocketsphinx is not installed"
)


def test_made_up_sentences():
    made = make_sentences()
    lengths = [len(text.split()) for text in made]
    assert len(set(made)) == 200 and made == make_sentences() and made != make_sentences(seed=1)
    assert min(lengths) == 1 and 58 <= max(lengths) <= 63
    assert all(text[0].isupper() and text[-1] in ".!?" for text in made)


def test_decoys_differ_by_two_words():
    sentences = ["the cat sat on the mat", "every dog has its day", "no"]
    decoys = near_misses(sentences, 20)
    assert len(set(decoys)) == len(decoys) == 20 and not set(decoys) & set(sentences)
    assert decoys == near_misses(sentences, 20)
    for decoy in decoys:
        words = decoy.split()
        differences = [
            sum(a != b for a, b in zip(words, text.split(), strict=True))
            for text in sentences
            if len(text.split()) == len(words)
        ]
        assert min(differences) <= 2


def test_plain_text():
    assert plain("It's 'late', HE said -- twice.") == "it's 'late' he said twice"


@recogniser
def test_the_recogniser_knows_its_words():
    assert known_sentences(["The cat.", "the CAT", "a qzxv"]) == ["the cat"]


@recogniser
def test_clear_speech_is_understood_and_silence_is_not():
    wav = load_wav(REFERENCE_CLIP, 16000)
    candidates = [SAID, *near_misses([SAID, "the weather is nice today and they watched a train"], 5)]
    found = recognise(wav, SAID, candidates)
    assert found["identified"] and found["words"] == 23 and found["word_errors"] < 11
    nothing = recognise(np.zeros(16000, np.float32), SAID, candidates)
    assert not nothing["identified"] and nothing["word_errors"] >= 20
