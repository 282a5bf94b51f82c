"""Mels of a text's segments to one sound, the same whether it is heard while it is made or later; knows no models."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

PEAK = 0.97
EDGE_SECONDS = 0.005
"""Fade at the cuts between segments: a vocoder does not end a segment at zero, and a step is heard as a click."""
TRIMMED_PAUSE = 0.2
"""Seconds between segments at most, when silences are trimmed: what ``audio.vad`` leaves of a long one."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Segment:
    """What is vocoded of a text in one go; ``synthesizer.inference.Spoken`` has these, too."""

    mel: np.ndarray
    """(80, T)"""
    pause: float
    """Seconds of silence after it."""
    done: float
    """Share of the text that has been said when it ends: 1 for the last only."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Sound of some segments with the pauses after them, ready to be played."""

    wav: np.ndarray
    sample_rate: int


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


class Stream(Iterator[Piece], Generic[T]):
    """The pieces of a sound, each as soon as it is made, and after the last the ``result``.

    Asking for a piece makes it, in the thread that asks: to stop the work, ask no more.
    """

    result: T

    def __init__(self, pieces: Generator[Piece, None, T]) -> None:
        self._pieces = pieces

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except StopIteration as end:
            if end.value is not None:
                self.result = end.value
            raise

    def finish(self) -> T:
        """Make the rest; returns the result."""
        for _ in self:
            pass
        return self.result


def segments_of(mels: Sequence[np.ndarray], pauses: Sequence[float] = ()) -> list[Segment]:
    """Mels (80, T) of segments in order, and the seconds of silence after each; missing ones are 0."""
    ends = np.cumsum([mel.shape[1] for mel in mels])
    return [
        Segment(mel, pauses[index] if index < len(pauses) else 0.0, float(ends[index] / ends[-1]))
        for index, mel in enumerate(mels)
    ]


def groups(segments: Iterable[T]) -> Iterator[list[T]]:
    """The segments that are vocoded together: 1, 2, 4 ... of them; none is asked for before its group's turn.

    Short runs waste most of a folded batch, and one run for all is heard late: growing ones cost little of either.
    """
    rest, size = iter(segments), 1
    while group := list(islice(rest, size)):
        yield group
        size *= 2


def vocode_segments(
    vocoder: Any,
    segments: Iterable[Any],
    *,
    seed: int | None = None,
    trim_silences: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[Piece, None, Voiced]:
    """Segments in order -> a piece of sound for each group of them, as soon as it is made; for a ``Stream``.

    The level is that of the first group, and lower from where a later one would be clipped. It is known when the
    first group, which is one segment, is whole: so no piece is shorter than a segment, and no vocoder's ``stream`` is
    used here. From a fast vocoder the first segment is a small part of what one waits for its sound.

    Args:
        vocoder: a ``vocoder.inference.Vocoder``.
        segments: each a ``Segment`` or ``synthesizer.inference.Spoken``.
        trim_silences: shorten long silences in the segments and between them.
        progress: called with (done, total) in thousandths; raise ``Cancelled`` from it to stop.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    rate = int(vocoder.sample_rate)
    pieces: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    gain, position, done = math.inf, 0, 0.0
    for group in groups(segments):
        report = _share(progress, done, group[-1].done)
        mel = np.concatenate([segment.mel for segment in group], axis=1)
        wav, gain = _levelled(vocoder.vocode(mel, seed=_group_seed(seed, len(spans)), progress=report), gain)
        ready: list[np.ndarray] = []
        for segment, part in zip(group, _cut(wav, [segment.mel.shape[1] for segment in group]), strict=True):
            kept = _finished(part, rate, trim_silences, bool(spans), segment.done < 1.0)
            pause = min(segment.pause, TRIMMED_PAUSE) if trim_silences else segment.pause
            ready += [kept, np.zeros(int(round(pause * rate)), dtype=np.float32)]
            spans.append((position, position + len(kept)))
            position += len(kept) + len(ready[-1])
        pieces.append(np.concatenate(ready))
        done = group[-1].done
        yield Piece(pieces[-1], rate)
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
    progress: Callable[[int, int], None] | None, start: float, end: float
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda part, whole: progress(int(1000 * (start + (end - start) * part / max(whole, 1))), 1000)


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
