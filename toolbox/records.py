"""What the window shows, in records that are never changed but replaced; knows no Qt, no model and no file."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording of a real voice."""

    id: int
    speaker: str
    name: str
    wav: np.ndarray
    """float32 (S,)."""
    sample_rate: int = 16000
    path: Path | None = None
    source: str = "file"
    """"file", "recording" or "corpus"."""
    mel: np.ndarray | None = None
    """(n_mels, T) normalised to [-4, 4]; None until it has been computed."""
    embed: np.ndarray | None = None
    """(256,); None until it has been computed, and for a clip with a problem."""
    partials: np.ndarray | None = None
    """(P, 256)."""
    coaching: Any = None
    """toolbox.coaching.Coaching, or None."""
    problem: str = ""
    """A sentence when no voice can be taken from the clip."""

    @property
    def seconds(self) -> float:
        return len(self.wav) / self.sample_rate


@dataclass(frozen=True, eq=False)
class VoiceChoice:
    """The voice that the next text is spoken in."""

    kind: str
    """"clip", "speaker" (centroid of its clips), "saved", "blend" or "random"."""
    name: str
    """The speaker or voice, as shown."""
    embed: np.ndarray | None
    """None while it is being computed."""
    clip_ids: tuple[int, ...] = ()
    """The clips that it was made from: the reference for A/B."""


@dataclass(frozen=True)
class SegmentInfo:
    """One sentence as it was spoken."""

    text: str
    ok: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Take:
    """A synthesis: the mels of a text, not yet (or also already) sound. Lists have one entry a segment."""

    text: str
    voice: VoiceChoice
    seed: int
    mels: tuple[np.ndarray, ...]
    """(80, T) each, normalised to [-4, 4]."""
    alignments: tuple[np.ndarray, ...]
    """(T / r, L) each."""
    segments: tuple[SegmentInfo, ...]
    pauses: tuple[float, ...]
    """Seconds of silence after each."""
    retakes: tuple[tuple[int, int], ...] = ()
    """(index, seed) of each segment that was said again."""
    speed: float = 1.0

    @property
    def mel(self) -> np.ndarray:
        """(80, T) of the whole text."""
        return np.concatenate(self.mels, axis=1)

    @property
    def failed(self) -> tuple[int, ...]:
        """Numbers of the segments whose alignment failed."""
        return tuple(index for index, segment in enumerate(self.segments) if not segment.ok)


@dataclass(frozen=True, eq=False)
class Result:
    """A generated utterance."""

    id: int
    name: str
    """Speaker and first words; the user may change it."""
    speaker: str
    take: Take
    wav: np.ndarray
    """float32 (S,)."""
    sample_rate: int
    spans: tuple[tuple[int, int], ...] = ()
    """Samples [start, stop) of each segment, without the pause after it."""
    gain: float = math.inf
    """Of ``toolbox.vocoding.Voiced``."""
    models: tuple[Any, ...] = ()
    """toolbox.provenance.ModelInfo of the three models."""
    voice_id: str = ""
    """Start of the SHA-256 of the reference, for the mark in exported files."""
    trim_silences: bool = False
    reference_wav: np.ndarray | None = None
    """float32 (S,) at 16 kHz for A/B; None for voices without clips."""
    embed: np.ndarray | None = None
    """(256,) of the generated sound; None until it has been computed."""
    score: Any = None
    """toolbox.projection.CloneScore, or None."""
    saved_to: Path | None = None
    """The last file that it was exported to."""
    seconds_taken: float = 0.0
    created: float = field(default_factory=time.time)

    @property
    def seconds(self) -> float:
        return len(self.wav) / self.sample_rate


@dataclass(frozen=True)
class Activity:
    """The model job at work."""

    title: str
    """"Cloning: vocoder"."""
    done: int = 0
    total: int = 0
    """0: not known."""
    seconds_left: float | None = None
    rate: float | None = None
    """Seconds of sound made in a second, once known."""
    cancelling: bool = False
    waiting: int = 0
    """Jobs in the queue behind it."""


@dataclass(frozen=True)
class Playback:
    """What sounds now."""

    kind: str
    """"clip", "result" or "reference"."""
    id: int
    position: float = 0.0
    """Seconds."""
    duration: float = 0.0


@dataclass(frozen=True)
class Recording:
    """A recording in progress."""

    seconds: float = 0.0
    level_dbfs: float = -120.0
    peak_dbfs: float = -120.0


@dataclass(frozen=True, eq=False)
class Point:
    """An utterance on the projection."""

    kind: str
    """"clip" (dot) or "result" (cross)."""
    id: int
    speaker: str
    name: str
    x: float
    y: float
    similarity: float | None = None
    """Cosine to the current voice."""


@dataclass(frozen=True, eq=False)
class ProjectionMap:
    """The picture of all utterances."""

    points: tuple[Point, ...] = ()
    method: str = ""
    """"UMAP" or "PCA"."""
    fitting: bool = False


@dataclass(frozen=True, eq=False)
class SimilarityTable:
    """Mean cosine between speakers."""

    names: tuple[str, ...] = ()
    matrix: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    """(N, N); the diagonal is a speaker's own spread, NaN where it has one clip."""


@dataclass(frozen=True)
class ModelChoice:
    """The models of one kind that can be chosen."""

    kind: str
    names: tuple[str, ...] = ()
    current: str = ""
    details: tuple[str, ...] = ()
    """One tooltip a name."""


@dataclass(frozen=True)
class DeviceChoice:
    """The audio devices of one direction."""

    names: tuple[str, ...] = ()
    current: str = ""
    problem: str = ""
    """A sentence when there is none."""


@dataclass(frozen=True)
class Corpus:
    """What the corpus browser lists; each level is filled when the one above has been chosen."""

    root: str = ""
    datasets: tuple[str, ...] = ()
    dataset: str = ""
    speakers: tuple[str, ...] = ()
    speaker: str = ""
    utterances: tuple[str, ...] = ()
    """Names to show; the index in this tuple is what ``utterance_chosen`` sends."""
    utterance: int = -1
    busy: bool = False
    problem: str = ""


@dataclass(frozen=True)
class LogLine:
    """A line of the log."""

    level: str
    """"info", "warning" or "error"."""
    text: str
    details: str = ""
    """A traceback, on demand."""
    when: float = field(default_factory=time.time)
