"""What the window's workers do with clips: files into sound, sound into voices; knows no Qt and keeps no history."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import AudioError, ToolboxError
from toolbox.model_choice import Models, Selection
from toolbox.reporter import Reporter

SAMPLE_RATE = 16000
MAX_SECONDS = 300.0
"""Of a file, its first five minutes: an embedding needs seconds, and a film would fill the memory."""
MAX_FILES = 200
"""Files taken from one drop of folders."""


@dataclass(frozen=True, eq=False)
class LoadedClip:
    """A sound file as read."""

    path: Path
    speaker: str
    name: str
    wav: np.ndarray
    """float32 (S,) at 16 kHz."""
    truncated: bool = False


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be used, with the reason in a sentence."""

    path: Path
    reason: str


@dataclass(frozen=True, eq=False)
class EmbeddedClip:
    """The voice of a clip."""

    embed: np.ndarray | None
    """(256,) or None."""
    partials: np.ndarray | None
    """(P, 256)."""
    coaching: Any
    problem: str = ""


def find_sound_files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders walked in order of their names; at most ``MAX_FILES`` from folders."""
    from audio.io import AUDIO_SUFFIXES

    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            found += [Path(folder) / n for n in sorted(names) if n.lower().endswith(tuple(AUDIO_SUFFIXES))]
            if len(found) >= MAX_FILES:
                return found[:MAX_FILES]
    return found


def guess_speaker(path: Path, from_folder: bool = False) -> str:
    """Whose voice a file holds: by the names of known corpora, else its folder or its name without a last number."""
    known = re.match(r"^(?:(\d+)[-_]\d+[-_]\d+(?:[-_]\d+)?|([ps]\d{3,})_\d+.*)$", path.stem)
    if known:
        return known[1] or known[2]
    if from_folder:
        return path.parent.name or path.stem
    stem = re.sub(r"[\s._-]*\(?\d*\)?$", "", path.stem)
    return stem or path.parent.name or path.stem


def load_clips(job: Reporter, paths: Sequence[Path], speaker: str = "") -> int:
    """Read files and folders; sends a ``LoadedClip`` or a ``FailedFile`` for each. Returns how many were read."""
    from audio.io import load_wav

    folders = {path for path in paths if path.is_dir()}
    files = find_sound_files(paths)
    if not files:
        raise AudioError("There is no sound file in that folder: wav, flac, mp3, ogg, opus and m4a can be read.")
    read = 0
    for number, path in enumerate(files):
        job.progress(number, len(files))
        try:
            wav = load_wav(path, SAMPLE_RATE, max_seconds=MAX_SECONDS)
        except ToolboxError as error:
            job.send(FailedFile(path, str(error)))
            continue
        whose = speaker or guess_speaker(path, from_folder=any(path.is_relative_to(f) for f in folders))
        job.send(LoadedClip(path, whose, path.stem, wav, len(wav) >= int(MAX_SECONDS * SAMPLE_RATE)))
        read += 1
    job.progress(len(files), len(files))
    return read


def make_mel(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mel (80, T) of a clip as the synthesizer sees it."""
    from audio.mel import SYNTHESIZER_MEL, MelTransform
    from audio.signal import normalize_peak, resample

    at_rate = resample(wav, sample_rate, SYNTHESIZER_MEL.sample_rate) if sample_rate != SAMPLE_RATE else wav
    loud = normalize_peak(at_rate, 0.9) if np.any(at_rate) else at_rate
    return np.asarray(MelTransform(SYNTHESIZER_MEL)(np.asarray(loud, dtype=np.float32)), dtype=np.float32)


def coach_clip(wav: np.ndarray, sample_rate: int, agreement: float | None) -> Any:
    """See ``toolbox.coaching.coach``."""
    from toolbox.coaching import coach

    return coach(wav, sample_rate, agreement)


def embed_clip(
    job: Reporter, models: Models, selection: Selection, wav: np.ndarray, sample_rate: int
) -> EmbeddedClip:
    """Voice and coaching of a clip; one that no voice can be taken from is a result with a problem, not an error."""
    encoder = models.cloner("encoder", selection).encoder
    job.check()
    try:
        prepared = encoder.preprocess(wav, sample_rate)
        partials = encoder.embed_partials([prepared], progress=job.progress)[0]
    except AudioError as error:
        return EmbeddedClip(None, None, coach_clip(wav, sample_rate, None), str(error))
    coaching = coach_clip(wav, sample_rate, float(partials.agreement))
    return EmbeddedClip(np.asarray(partials.utterance), np.asarray(partials.embeds), coaching)
