"""Sentences of 1 to 60 words made up by rule, to try a synthesizer on; knows nothing of how they are spoken."""

from __future__ import annotations

import random

LONGEST = 60
_SHORT = {
    1: ("Yes.", "Tomorrow.", "Why?", "Listen!", "Seven.", "Perhaps."),
    2: ("Come in.", "Not yet.", "Who knows?", "Good evening.", "Quite so."),
    3: ("See you soon.", "It is late.", "What a day!", "Turn it off.", "Are you ready?"),
}
_SUBJECTS = (
    "the old captain", "my sister", "a young doctor", "the neighbours", "her brother", "our teacher", "the night train",
    "nobody", "the woman next door", "a stranger", "the baker", "one of the children", "the whole village",
)  # fmt: skip
_VERBS = (
    "found", "remembered", "carried", "sold", "painted", "was looking for", "could not find", "had forgotten",
    "showed us", "watched", "brought home", "wanted to see", "never talked about",
)  # fmt: skip
_OBJECTS = (
    "the letter", "a box of oranges", "three hundred photographs", "the garden gate", "an empty boat",
    "the yellow house", "his father's watch", "a bowl of soup", "the judge", "two rather noisy dogs",
    "the measure of things",
)  # fmt: skip
_PLACES = (
    "in the kitchen", "near the river", "at the end of the street", "behind the church", "on the way to school",
    "under the bridge", "by the window", "far from the sea",
)  # fmt: skip
_TIMES = (
    "on Thursday", "every morning", "before breakfast", "last winter", "after the rain", "at half past nine",
    "all day long", "for a while",
)  # fmt: skip
_LINKS = (", and", ", but", " because", " while", "; then", " although", ", so", " when", ": in fact,")
_ENDS = (".", ".", ".", "!", "?")


def make_sentences(count: int = 200, seed: int = 0) -> list[str]:
    """``count`` different sentences whose lengths go from 1 to ``LONGEST`` words evenly."""
    rng = random.Random(seed)
    made: dict[str, None] = {}
    number = 0
    while len(made) < count:
        length = 1 + round((LONGEST - 1) * (number % count) / max(count - 1, 1))
        made.setdefault(_sentence(length, rng))
        number += 1
    return list(made)


def _sentence(length: int, rng: random.Random) -> str:
    """Clauses until there are about ``length`` words: exactly so many if a few tries hit it."""
    if length in _SHORT:
        return rng.choice(_SHORT[length])
    tries = []
    for _ in range(30):
        text = _clause(rng)
        while len(text.split()) < length - 2:
            text += f"{rng.choice(_LINKS)} {_clause(rng)}"
        tries.append(text)
    text = min(tries, key=lambda text: abs(len(text.split()) - length))
    return text[0].upper() + text[1:] + rng.choice(_ENDS)


def _clause(rng: random.Random) -> str:
    words = [rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS)]
    words += [rng.choice(extra) for extra in (_PLACES, _TIMES) if rng.random() < 0.5]
    return " ".join(words)
