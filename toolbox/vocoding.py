"""Mels of a text's segments to one sound, the same whether it is heard while it is made or later; knows no models."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

PEAK = 0.97
EDGE_SECONDS = 0.005
"""Fade at the cuts between segments: a vocoder does not end a segment at zero, and a step is heard as a click."""
TRIMMED_PAUSE = 0.2
"""Seconds between segments at most, when silences are trimmed: what ``audio.vad`` leaves of a long one."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Sound of some segments with the pauses after them, ready to be played."""

    wav: np.ndarray
    sample_rate: int
    segments_done: int


@dataclass(frozen=True, eq=False)
class Voiced:
    """Sound of a text."""

    wav: np.ndarray
    """float32 (S,), peak at most 0.97."""
    sample_rate: int
    spans: tuple[tuple[int, int], ...]
    """Samples [start, stop) of each segment, without the pause after it."""
    gain: float = math.inf
    """Factor between the vocoder's level and this one; infinite where it is not known, or all is silence."""


def groups(count: int) -> Iterator[range]:
    """Numbers of the segments that are vocoded together: 1, 2, 4 ... of them.

    Short runs waste most of a folded batch, and one run for all is heard late: growing ones cost little of either.
    """
    start, size = 0, 1
    while start < count:
        yield range(start, min(start + size, count))
        start, size = start + size, size * 2


def vocode_segments(
    vocoder: Any,
    mels: Sequence[np.ndarray],
    pauses: Sequence[float] = (),
    *,
    seed: int | None = None,
    trim_silences: bool = False,
    progress: Callable[[int, int], None] | None = None,
    listen: Callable[[Piece], None] | None = None,
) -> Voiced:
    """Mels (80, T) of the segments, in order, to sound.

    The level is that of the first group, and lower from where a later one would be clipped.

    Args:
        vocoder: a ``vocoder.inference.Vocoder``.
        pauses: seconds of silence after each segment; missing ones are 0.
        trim_silences: shorten long silences in the segments and between them.
        progress: called with (frames done, frames of all); raise ``Cancelled`` from it to stop.
        listen: given each group's sound as soon as it is made.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    rate, count = int(vocoder.sample_rate), len(mels)
    frames = [mel.shape[1] for mel in mels]
    pieces: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    gain, position = math.inf, 0
    for group in groups(count):
        mel = np.concatenate([mels[index] for index in group], axis=1)
        report = _share(progress, sum(frames[: group.start]), mel.shape[1], sum(frames))
        wav, gain = _levelled(vocoder.vocode(mel, seed=_group_seed(seed, group.start), progress=report), gain)
        parts = _cut(wav, [frames[index] for index in group])
        ready: list[np.ndarray] = []
        for index, part in zip(group, parts, strict=True):
            kept = _finished(part, rate, trim_silences, index > 0, index < count - 1)
            pause = pauses[index] if index < len(pauses) else 0.0
            pause = min(pause, TRIMMED_PAUSE) if trim_silences else pause
            ready += [kept, np.zeros(int(round(pause * rate)), dtype=np.float32)]
            spans.append((position, position + len(kept)))
            position += len(kept) + len(ready[-1])
        pieces.append(np.concatenate(ready))
        if listen is not None:
            listen(Piece(pieces[-1], rate, group.stop))
    wav = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    return Voiced(wav, rate, tuple(spans), gain)


def vocode_again(
    vocoder: Any,
    old: Voiced,
    index: int,
    mel: np.ndarray,
    *,
    seed: int,
    trim_silences: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Voiced:
    """The old sound with one segment made from another mel (80, T), alone; the others keep their samples."""
    wav, _ = _levelled(vocoder.vocode(mel, seed=seed, progress=progress), old.gain)
    wav = _finished(wav, old.sample_rate, trim_silences, index > 0, index < len(old.spans) - 1)
    start, stop = old.spans[index]
    shift = len(wav) - (stop - start)
    spans = tuple(
        (a + (shift if i > index else 0), b + (shift if i >= index else 0)) for i, (a, b) in enumerate(old.spans)
    )
    return replace(old, wav=np.concatenate([old.wav[:start], wav, old.wav[stop:]]), spans=spans)


def _group_seed(seed: int, start: int) -> int:
    """The seed itself for the first group, so that a text of one segment is what the vocoder says to the seed."""
    return seed if start == 0 else int(np.random.SeedSequence((seed, start)).generate_state(1, np.uint32)[0] >> 1)


def _share(
    progress: Callable[[int, int], None] | None, done: int, frames: int, total: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda part, whole: progress(done + int(frames * part / max(whole, 1)), total)


def _levelled(wav: Any, gain: float) -> tuple[np.ndarray, float]:
    """The wav at a gain that is lowered if needed to keep the peak, and that gain."""
    wav = np.asarray(wav, dtype=np.float32)
    peak = float(np.abs(wav).max(initial=0.0))
    if peak > 0.0:
        gain = min(gain, PEAK / peak)
    return (wav * np.float32(gain), gain) if math.isfinite(gain) else (wav, gain)


def _finished(wav: np.ndarray, sample_rate: int, trim_silences: bool, fade_in: bool, fade_out: bool) -> np.ndarray:
    if trim_silences:
        from audio.vad import trim_long_silences

        trimmed = np.asarray(trim_long_silences(wav, sample_rate), dtype=np.float32)
        wav = trimmed if len(trimmed) else wav
    edge = min(int(EDGE_SECONDS * sample_rate), len(wav) // 2)
    if edge:
        wav, ramp = wav.copy(), np.linspace(0.0, 1.0, edge, dtype=np.float32)
        if fade_in:
            wav[:edge] *= ramp
        if fade_out:
            wav[-edge:] *= ramp[::-1]
    return wav


def _cut(wav: np.ndarray, frames: Sequence[int]) -> list[np.ndarray]:
    """A wav (S,) where its segments of ``frames`` mel frames meet."""
    ends = np.round(np.cumsum(frames) * len(wav) / max(sum(frames), 1)).astype(int)
    return np.split(wav, ends[:-1])
