"""Whose voice it is: held-out voices, their embeddings, and figures of likeness and pitch; knows no synthesizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from encoder.loss import equal_error_rate
from evaluation.cache import Value
from evaluation.channel import CHANNEL, change_channel
from evaluation.data import SAMPLE_RATE, HeldOut, load
from evaluation.installed import Model, load_model
from evaluation.measures import mfcc_statistics
from evaluation.pitch import median_pitch
from training.corpus import Utterance

Array = npt.NDArray[np.float64]

REFERENCES = 2
"""Excerpts of a voice that are given to the cloner; the rest is what its clones are compared with."""
MAX_EXCERPTS = 10
MIN_EXCERPTS = 4
PIECE_SECONDS = 3.0
MIN_PIECE_SECONDS = 2.0
DIGITS = 5


@dataclass(frozen=True)
class Excerpt:
    """A recording, or ``seconds`` of it from ``start`` on."""

    clip: Utterance
    start: float = 0.0
    seconds: float = 0.0

    def load(self) -> npt.NDArray[np.float32]:
        """float32 (S,)."""
        wav = load(self.clip)[round(self.start * SAMPLE_RATE) :]
        return wav[: round(self.seconds * SAMPLE_RATE)] if self.seconds else wav


@dataclass(frozen=True)
class Voice:
    """A held-out speaker."""

    speaker: str
    sex: str | None
    split: str
    excerpts: tuple[Excerpt, ...]

    @property
    def reference(self) -> tuple[Excerpt, ...]:
        return self.excerpts[:REFERENCES]

    @property
    def others(self) -> tuple[Excerpt, ...]:
        return self.excerpts[REFERENCES:]


def choose_voices(data: HeldOut, count: int) -> list[Voice]:
    """Up to ``count`` voices, the splits and sexes in turn; single recordings are cut into pieces."""
    groups: dict[tuple[str, str | None], list[Voice]] = {}
    for speaker, clips in data.speakers.items():
        group = groups.setdefault((clips[0].split, clips[0].sex), [])
        # More would not be asked for, and finding out costs a decoded recording.
        if len(group) < count and len(excerpts := _excerpts(clips)) >= MIN_EXCERPTS:
            group.append(Voice(speaker, clips[0].sex, clips[0].split, excerpts))
    in_turn = sorted(
        (
            (number, split, sex or "", voice)
            for (split, sex), group in groups.items()
            for number, voice in enumerate(group)
        ),
        key=lambda item: item[:3],
    )
    return [voice for *_, voice in in_turn[:count]]


def _excerpts(clips: Sequence[Utterance]) -> tuple[Excerpt, ...]:
    if len(clips) >= MIN_EXCERPTS:
        return tuple(Excerpt(clip) for clip in clips[:MAX_EXCERPTS])
    pieces = []
    for clip in clips:
        seconds = len(load(clip)) / SAMPLE_RATE
        starts = np.arange(0.0, seconds - MIN_PIECE_SECONDS, PIECE_SECONDS)
        pieces += [Excerpt(clip, float(start), PIECE_SECONDS) for start in starts]
    return tuple(pieces[:MAX_EXCERPTS])


def voiceprint(wav: npt.NDArray[np.float32], encoder: Model) -> list[float]:
    """The encoder's embedding of a wav, rounded for the cache."""
    model = load_model(encoder)
    return _rounded(model.embed_utterance(model.preprocess(wav, SAMPLE_RATE)))


def measure_excerpt(excerpt: Excerpt, encoder: Model | None, filter_db: float = 0.0) -> Value:
    """Embedding (of the plain MFCC kind without an encoder) and median pitch of a recording.

    filter_db: not 0: over another channel, one of its own for every excerpt, with filters of this deviation.
    """
    wav = excerpt.load()
    if filter_db:
        name = f"{excerpt.clip.id}:{excerpt.start}"
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        wav = change_channel(wav, seed, replace(CHANNEL, filter_db=filter_db))
    embed = voiceprint(wav, encoder) if encoder else _rounded(mfcc_statistics(wav, SAMPLE_RATE))
    return {"embed": embed, "f0": median_pitch(wav, SAMPLE_RATE)}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


@dataclass(frozen=True)
class Gallery:
    """Recordings of V voices to compare with: for each voice embeddings (n, embed), and its group.

    Voices are only told apart within their group, a split of the corpus: between two splits the channel would do it.
    """

    embeds: Sequence[Array]
    groups: Sequence[str]


def scores(items: Array, owners: Sequence[int], gallery: Gallery, inside: bool = False) -> Array:
    """Mean cosine (N, V) of each item (N, embed) to each voice's recordings; nan between groups.

    inside: the items are the gallery's own recordings, each left out of its own voice; nan where nothing is left.
    """
    sums = np.stack([embeds.sum(axis=0) for embeds in gallery.embeds])
    counts = np.array([len(embeds) for embeds in gallery.embeds], float)
    totals = items @ sums.T
    numbers = np.tile(counts, (len(items), 1))
    if inside:
        rows = np.arange(len(items))
        totals[rows, owners] -= np.square(items).sum(axis=1)
        numbers[rows, owners] -= 1
    groups = np.array(gallery.groups)
    comparable = (groups[np.asarray(owners)][:, None] == groups[None, :]) & (numbers > 0)
    return np.where(comparable, totals / np.maximum(numbers, 1), np.nan)


def likeness(matrix: Array, owners: Sequence[int]) -> Value:
    """Figures of a matrix of ``scores``: cosine to the own voice and to others, share of items whose own voice is
    the nearest, the number of voices it is picked from, and the equal error rate."""
    rows = np.arange(len(matrix))
    known = ~np.isnan(matrix[rows, owners])
    matrix, owner = matrix[known], np.asarray(owners)[known]
    if not len(matrix):
        return {"own": None, "others": None, "nearest": None, "candidates": None, "eer": None, "items": 0}
    same = np.arange(matrix.shape[1])[None, :] == owner[:, None]
    valid = ~np.isnan(matrix)
    others = matrix[valid & ~same]
    nearest = np.nanargmax(matrix, axis=1) == owner
    return {
        "own": float(matrix[same].mean()),
        "others": float(others.mean()) if len(others) else None,
        "nearest": float(nearest.mean()),
        "candidates": float(valid.sum(axis=1).mean()),
        "eer": equal_error_rate(matrix[valid], same[valid]) if len(others) else None,
        "items": len(matrix),
    }


def pitch_figures(references: Sequence[float], made: Sequence[float], sexes: Sequence[str | None]) -> Value:
    """Correlation of log median pitch of reference and result, over all and by sex, and how many cross over.

    A result crosses over when its pitch is on the other sex's side of the middle between the references' means, and the
    reference is not.
    """
    before, after = np.asarray(references, float), np.asarray(made, float)
    sex = np.array([s or "" for s in sexes])
    voiced = (before > 0) & (after > 0)
    before, after, sex = np.log(before[voiced]), np.log(after[voiced]), sex[voiced]
    result: Value = {"all": _correlation(before, after), "confused": None, "items": int(voiced.sum())}
    for name in ("F", "M"):
        result[name] = _correlation(before[sex == name], after[sex == name])
    if {"F", "M"} <= set(sex):
        middle = (before[sex == "F"].mean() + before[sex == "M"].mean()) / 2
        high = before > middle
        crossed = (sex != "") & (high == (sex == "F")) & (high != (after > middle))
        result["confused"] = int(crossed.sum())
    return result


def _correlation(x: Array, y: Array) -> float | None:
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
