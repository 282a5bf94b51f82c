"""What an offline recogniser understands: open dictation, and one of a closed set; knows no voices.

pocketsphinx 5.1.1 carries its English acoustic and language model. It is a weak listener by today's measure, so a
figure means something only beside that of real recordings.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.data import SAMPLE_RATE
from evaluation.measures import edit_distance

PACKAGE = "pocketsphinx"
DECOYS = 70
SWAPPED = 2
"""Words that a decoy does not share with the sentence it is made from."""
# Hardly any pruning: with the beams of dictation most paths of a small grammar die before their sentence ends. Of 16
# real recordings 11 were identified so, 14 with these beams, and 15 with still wider ones and lw 1, in 2.5 times the
# time. Chosen on real recordings of the script alone, so that their own share is a little flattered.
CHOICE = {"beam": 1e-120, "pbeam": 1e-120, "wbeam": 1e-100, "maxhmmpf": -1, "lw": 1.0}


def plain(text: str) -> str:
    """As the recogniser writes: lower case without marks."""
    return " ".join("".join(c for c in text.lower() if c.isalpha() or c in "' ").split())


def known_sentences(texts: Sequence[str]) -> list[str]:
    """Those of different plain texts whose words are all in the recogniser's dictionary."""
    decoder = _dictation()
    plains = dict.fromkeys(plain(text) for text in texts)
    return [text for text in plains if text and all(decoder.lookup_word(word) for word in text.split())]


def near_misses(sentences: Sequence[str], count: int = DECOYS, seed: int = 0) -> list[str]:
    """Sentences that differ from one of these by ``SWAPPED`` words, taken from the others."""
    rng = random.Random(seed)
    vocabulary = sorted({word for text in sentences for word in text.split() if len(word) > 2})
    made: dict[str, None] = {}
    for number in range(20 * count):
        words = sentences[number % len(sentences)].split()
        for place in rng.sample(range(len(words)), min(SWAPPED, len(words))):
            words[place] = rng.choice(vocabulary)
        if " ".join(words) not in sentences:
            made.setdefault(" ".join(words))
        if len(made) == count:
            break
    return list(made)


def recognise(wav: npt.NDArray[np.float32], said: str, candidates: Sequence[str]) -> dict[str, Any]:
    """What is heard in wav (S,), 16 kHz, and how far it is from ``said`` (plain): errors in words and letters, and
    whether that sentence is picked from the candidates."""
    heard, closed = _decode(_dictation(), wav), _decode(_choice(tuple(candidates)), wav)
    return {
        "heard": heard,
        "words": len(said.split()),
        "word_errors": edit_distance(said.split(), heard.split()),
        "letter_errors": edit_distance(said, heard),
        "identified": closed == said,
    }


def _decode(decoder: Any, wav: npt.NDArray[np.float32]) -> str:
    decoder.start_utt()
    decoder.process_raw((np.clip(wav, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


@lru_cache(maxsize=1)
def _dictation() -> Any:
    """One a process, as loading its models takes a second."""
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", cmn="batch")


@lru_cache(maxsize=1)
def _choice(candidates: tuple[str, ...]) -> Any:
    """Hears one of the candidates, whatever is said."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", cmn="batch", lm=None, bestpath=False, **CHOICE)
    decoder.add_jsgf_string("choice", "#JSGF V1.0;\ngrammar choice;\npublic <s> = " + " | ".join(candidates) + ";")
    decoder.activate_search("choice")
    return decoder
