"""What the window's workers do with texts: mels, sound, one sentence again, files; knows no Qt and keeps no history."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import AudioError
from toolbox.model_choice import Models, Selection
from toolbox.pipeline import Speech, joined_alignment, say
from toolbox.provenance import voice_id
from toolbox.records import Result, SegmentInfo, Take, VoiceChoice
from toolbox.reporter import Reporter
from toolbox.vocoding import Piece, Voiced, segments_of, vocode_again, vocode_segments

log = logging.getLogger(__name__)


def draw_seed() -> int:
    """A seed for those who name none."""
    return secrets.randbelow(2**31)


def clone(
    job: Reporter, models: Models, selection: Selection, text: str, voice: VoiceChoice, seed: int, *,
    speed: float = 1.0, trim_silences: bool = False, on_take: Callable[[Take], None],
) -> Generator[Piece, None, Voiced]:
    """Text to sound, for a ``Stream``; ``on_take`` gets the mels when all are there."""
    assert voice.embed is not None
    _, voiced = yield from say(
        models.cloner("synthesizer", selection).synthesizer, models.cloner("vocoder", selection).vocoder,
        text, voice.embed, seed=seed, speed=speed, trim_silences=trim_silences, progress=job.progress,
        on_spoken=lambda spoken: on_take(_take(text, voice, seed, speed, spoken)),
    )
    return voiced


def speak(
    job: Reporter, models: Models, selection: Selection, text: str, voice: VoiceChoice, seed: int,
    speed: float = 1.0,
) -> Take:
    """Text to mels."""
    assert voice.embed is not None
    synthesizer = models.cloner("synthesizer", selection).synthesizer
    spoken = synthesizer.stream(text, voice.embed, seed=seed, speed=speed, progress=job.progress)
    return _take(text, voice, seed, speed, list(spoken))


def _take(text: str, voice: VoiceChoice, seed: int, speed: float, spoken: Sequence[Any]) -> Take:
    segments = [part.segment for part in spoken]
    return Take(
        text, voice, seed, tuple(part.mel for part in spoken), tuple(part.alignment for part in spoken),
        tuple(SegmentInfo(str(s.text), bool(s.ok), tuple(s.warnings)) for s in segments),
        tuple(part.pause for part in spoken), speed=speed,
    )


def sound(
    job: Reporter, models: Models, selection: Selection, take: Take, *, trim_silences: bool = False
) -> Generator[Piece, None, Voiced]:
    """Mels to sound, for a ``Stream``."""
    return vocode_segments(
        models.cloner("vocoder", selection).vocoder, segments_of(take.mels, take.pauses), seed=take.seed,
        trim_silences=trim_silences, progress=job.progress,
    )


def say_again(
    job: Reporter, models: Models, selection: Selection, take: Take, index: int, seed: int
) -> Take:
    """The same take with one segment spoken anew."""
    text = take.segments[index].text
    new = speak(job, models, selection, text, take.voice, seed, take.speed)
    warnings = tuple(dict.fromkeys(warning for segment in new.segments for warning in segment.warnings))
    segment = SegmentInfo(text, all(part.ok for part in new.segments), warnings)
    return replace(
        take,
        mels=_swapped(take.mels, index, new.mel),
        alignments=_swapped(take.alignments, index, joined_alignment(new.alignments)),
        segments=_swapped(take.segments, index, segment),
        retakes=tuple(sorted({**dict(take.retakes), index: seed}.items())),
    )


def sound_again(
    job: Reporter, models: Models, selection: Selection, take: Take, index: int, old: Voiced, trim_silences: bool
) -> Voiced:
    """The old sound with one segment made anew, from the seed of its retake."""
    return vocode_again(
        models.cloner("vocoder", selection).vocoder, old, index, take.mels[index],
        seed=dict(take.retakes)[index], trim_silences=trim_silences, progress=job.progress,
    )


def embed_sound(models: Models, selection: Selection, wav: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Embedding (256,) of generated sound; None when there is no speech in it."""
    encoder = models.cloner("encoder", selection).encoder
    try:
        return np.asarray(encoder.embed_utterance(encoder.preprocess(wav, sample_rate)), dtype=np.float32)
    except AudioError as error:
        log.info("the result has no voice to compare: %s", error)
        return None


def reference_id(reference: Sequence[Any]) -> str:
    """Start of the SHA-256 of the clips that a voice was taken from."""
    try:
        return voice_id(list(reference))
    except OSError:  # The file has gone since it was loaded.
        return ""


def export(result: Result, path: Path) -> Path:
    """Write a result to a file with its mark; a name without a suffix becomes a wav.

    Raises AudioError: unknown suffix, disk full, no such folder.
    """
    take = result.take
    embed = take.voice.embed if take.voice.embed is not None else np.zeros(0, dtype=np.float32)
    speech = Speech(
        wav=result.wav,
        sample_rate=result.sample_rate,
        mel=take.mel,
        alignments=list(take.alignments),
        embed=embed,
        segments=list(take.segments),
        text=take.text,
        seed=take.seed,
        models=result.models,
        voice=result.voice_id,
        trim_silences=result.trim_silences,
        retakes=take.retakes,
        speed=take.speed,
    )
    return speech.save(path if path.suffix else path.with_suffix(".wav"))


def _swapped(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])
