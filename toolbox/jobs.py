"""What the window's workers do: sound into clips, texts into mels and sound; knows no Qt and keeps no history."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audio.errors import AudioError, ToolboxError
from toolbox.pipeline import DEFAULT_MODEL, Speech, VoiceCloner, is_griffin_lim
from toolbox.provenance import ModelInfo, voice_id

log = logging.getLogger(__name__)

SAMPLE_RATE = 16000
MAX_SECONDS = 300.0
"""Of a file, its first five minutes: an embedding needs seconds, and a film would fill the memory."""
MAX_FILES = 200
"""Files taken from one drop of folders."""
GRIFFIN_LIM = "griffin-lim"


class Reporter(Protocol):
    """What a function reports to: ``toolbox.tasks.Job``, or a stand-in."""

    def progress(self, done: int, total: int) -> None: ...

    def send(self, partial: Any) -> None: ...

    def check(self) -> None: ...


class Part:
    """Reports a part of a job as a share, from ``start`` to ``end`` per cent, of the whole."""

    def __init__(self, job: Reporter, start: float, end: float) -> None:
        self._job = job
        self._start = start
        self._end = end

    def progress(self, done: int, total: int) -> None:
        share = self._start + (self._end - self._start) * done / max(total, 1)
        self._job.progress(int(10 * share), 1000)

    def send(self, partial: Any) -> None:
        self._job.send(partial)

    def check(self) -> None:
        self._job.check()


@dataclass(frozen=True)
class Selection:
    """Models and device that the user chose."""

    encoder: str = DEFAULT_MODEL
    synthesizer: str = DEFAULT_MODEL
    vocoder: str = DEFAULT_MODEL
    device: str | None = None
    """None: the best there is."""

    def name(self, kind: str) -> str:
        return str(getattr(self, kind))


class Models:
    """Loaded models, one of a kind, for the selections that jobs bring; may be used from several threads.

    Args:
        roots: further folders with models.
        cloner: use this one whatever is selected.
    """

    def __init__(self, roots: Sequence[Path] = (), cloner: VoiceCloner | None = None) -> None:
        self._roots = tuple(roots)
        self._fixed = cloner
        self._cloners: dict[str, tuple[tuple[str, str | None], VoiceCloner]] = {}
        self._info: dict[Selection, tuple[ModelInfo, ...]] = {}
        self._lock = threading.Lock()

    def registry(self) -> Any:
        """The ``ModelRegistry`` of these folders."""
        from models.registry import ModelRegistry

        return ModelRegistry(self._roots)

    def cloner(self, kind: str, selection: Selection) -> VoiceCloner:
        """A VoiceCloner whose model of ``kind`` is the selected one. A model that is not selected any more is freed."""
        if self._fixed is not None:
            return self._fixed
        preload_torch()
        wanted = (selection.name(kind), selection.device)
        with self._lock:
            if kind not in self._cloners or self._cloners[kind][0] != wanted:
                chosen: dict[str, Any] = {kind: selection.name(kind)}
                self._cloners[kind] = (wanted, VoiceCloner(self.registry(), device=selection.device, **chosen))
            return self._cloners[kind][1]

    def info(self, selection: Selection) -> tuple[ModelInfo, ...]:
        """Names and hashes of the selected models."""
        if self._fixed is not None:
            return self._fixed.model_info()
        if selection not in self._info:
            described = VoiceCloner(
                self.registry(), selection.encoder, selection.synthesizer, selection.vocoder, selection.device
            )
            self._info[selection] = described.model_info()
        return self._info[selection]

    def has(self, kind: str, selection: Selection) -> bool:
        """Whether the selected model of a kind is installed."""
        from audio.errors import ModelError

        if self._fixed is not None:
            return True
        try:
            return Path(self.registry().find(selection.name(kind), kind).path).is_file()
        except ModelError:
            return False

    def offered(self) -> tuple[tuple[str, str], ...]:
        """(name, description) of the sets that can be downloaded and are not here."""
        found: dict[str, list[str]] = {}
        for entry in self.registry().list():
            if not entry.installed:
                found.setdefault(entry.name, []).append(f"{entry.kind} {entry.size / 1e6:.0f} MB")
        return tuple((name, ", ".join(parts)) for name, parts in found.items())

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """(name, description) of the installed models of a kind; for vocoders also Griffin-Lim."""
        found = [
            (entry.name, f"{entry.title or entry.architecture} · {entry.path}")
            for entry in self.registry().list(kind)
            if entry.installed
        ]
        if kind == "vocoder":
            found.append((GRIFFIN_LIM, "No model: fast, sounds like a robot"))
        return tuple(dict(reversed(found)).items())[::-1]


# --- getting ready


@dataclass(frozen=True)
class ComputeDevices:
    """Where networks can run here."""

    names: tuple[str, ...]
    best: str


def warm_up(job: Reporter) -> None:
    """Import what the first clone needs."""
    preload_torch()
    job.check()
    from models.device import configure_threads

    configure_threads()
    job.check()
    import encoder.inference  # noqa: F401
    import synthesizer.inference  # noqa: F401
    import vocoder.inference  # noqa: F401


def preload_torch() -> None:
    """Load torch's libraries while other threads go on.

    Python holds its lock while it imports an extension module, and reading 400 MB of libraries takes up to seconds,
    in which a window would not answer. A foreign call gives the lock away; the import then finds them loaded.
    """
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype = ctypes.c_void_p
    dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    for name in ("libc10.so", "libtorch_cpu.so", "libtorch.so"):
        library = Path(found.origin).parent / "lib" / name
        if library.is_file():
            dlopen(str(library).encode(), os.RTLD_NOW | os.RTLD_GLOBAL)


def compute_devices() -> ComputeDevices:
    """The devices that torch can use."""
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ComputeDevices(tuple(names), names[1] if names[1:2] and names[1].startswith("cuda") else "cpu")


def load_selected(
    job: Reporter, models: Models, selection: Selection, kinds: Sequence[str] = ("encoder", "synthesizer", "vocoder")
) -> str:
    """Load models; returns a sentence when some are not there, "" otherwise. A broken one raises ModelError."""
    missing = []
    for number, kind in enumerate(kinds):
        job.progress(number, len(kinds))
        if needs_model(kind, selection.name(kind)) and not models.has(kind, selection):
            missing.append(kind)
        else:
            getattr(models.cloner(kind, selection), kind)
    job.progress(len(kinds), len(kinds))
    if not missing:
        return ""
    return (
        f"There is no {' and no '.join(missing)} on this machine: choose Tools > Download models, "
        "or run: python -m toolbox models fetch default"
    )


# --- clips


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


# --- speech


@dataclass(frozen=True, eq=False)
class Spoken:
    """Mels of a text. Lists have one entry a segment."""

    text: str
    seed: int
    mels: tuple[np.ndarray, ...]
    alignments: tuple[np.ndarray, ...]
    segments: tuple[tuple[str, bool, tuple[str, ...], int], ...]
    """(text, ok, warnings, seed)."""
    pauses: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class SoundPiece:
    """Sound of some segments, ready to be played."""

    wav: np.ndarray
    sample_rate: int
    segments_done: int


@dataclass(frozen=True, eq=False)
class Sound:
    """Sound of a text."""

    wav: np.ndarray
    """float32 (S,)."""
    sample_rate: int
    spans: tuple[tuple[int, int], ...]
    """Samples of each segment, without the pause after it."""
    models: tuple[ModelInfo, ...]


def draw_seed() -> int:
    """A seed for those who name none."""
    return secrets.randbelow(2**31)


def speak(
    job: Reporter, models: Models, selection: Selection, text: str, embed: np.ndarray, seed: int
) -> Spoken:
    """Text and voice (256,) to mels."""
    result = models.cloner("synthesizer", selection).synthesize(text, embed, seed=seed, progress=job.progress)
    segments = tuple(
        (str(s.text), bool(s.ok), tuple(s.warnings), int(getattr(s, "seed", seed))) for s in result.segments
    )
    return Spoken(text, seed, tuple(result.mels), tuple(result.alignments), segments, tuple(result.pauses))


def groups(count: int, streaming: bool) -> Iterator[range]:
    """Numbers of the segments that are vocoded together.

    One run for all is the fastest; to hear the first sentence early, runs of 1, 2, 4 ... segments cost little more.
    """
    if not streaming:
        yield range(count)
        return
    start, size = 0, 1
    while start < count:
        yield range(start, min(start + size, count))
        start, size = start + size, size * 2


def sound(
    job: Reporter,
    models: Models,
    selection: Selection,
    spoken: Spoken,
    *,
    trim_silences: bool = False,
    streaming: bool = False,
) -> Sound:
    """Mels to sound; sends a ``SoundPiece`` as soon as segments are ready. Progress is in frames."""
    cloner = models.cloner("vocoder", selection)
    sample_rate = cloner.sample_rate
    frames = [mel.shape[1] for mel in spoken.mels]
    total = sum(frames)
    pieces: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    position = done = 0
    for group in groups(len(frames), streaming and len(frames) > 1):
        share = sum(frames[i] for i in group)

        def report(part: int, whole: int, done: int = done, share: int = share) -> None:
            job.progress(done + int(share * part / max(whole, 1)), total)

        wav = cloner.vocode([spoken.mels[i] for i in group], seed=spoken.seed, progress=report)
        parts = _cut(wav, [frames[i] for i in group])
        ready: list[np.ndarray] = []
        for part, index in zip(parts, group, strict=True):
            kept = _trimmed(part, sample_rate) if trim_silences else part
            gap = np.zeros(int(round(spoken.pauses[index] * sample_rate)), dtype=np.float32)
            spans.append((position, position + len(kept)))
            position += len(kept) + len(gap)
            ready += [kept, gap]
        done += share
        piece = np.concatenate(ready)
        pieces.append(piece)
        job.send(SoundPiece(piece, sample_rate, group[-1] + 1))
    return Sound(np.concatenate(pieces), sample_rate, tuple(spans), models.info(selection))


def say_again(
    job: Reporter, models: Models, selection: Selection, spoken: Spoken, index: int, embed: np.ndarray, seed: int
) -> Spoken:
    """The same text with one segment spoken anew."""
    text = spoken.segments[index][0]
    new = speak(job, models, selection, text, embed, seed)
    ok = all(segment[1] for segment in new.segments)
    warnings = tuple(dict.fromkeys(warning for segment in new.segments for warning in segment[2]))

    def swap(values: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
        return (*values[:index], value, *values[index + 1 :])

    return replace(
        spoken,
        mels=swap(spoken.mels, np.concatenate(new.mels, axis=1)),
        alignments=swap(spoken.alignments, _diagonal(new.alignments)),
        segments=swap(spoken.segments, (text, ok, warnings, seed)),
    )


def sound_again(
    job: Reporter, models: Models, selection: Selection, spoken: Spoken, index: int, old: Sound, trim: bool
) -> Sound:
    """The old sound with one segment made anew."""
    cloner = models.cloner("vocoder", selection)
    wav = cloner.vocode([spoken.mels[index]], seed=spoken.segments[index][3], progress=job.progress)
    wav = _trimmed(wav, old.sample_rate) if trim else wav
    start, stop = old.spans[index]
    shift = len(wav) - (stop - start)
    spans = tuple(
        (a, b) if i < index else (a, b + shift) if i == index else (a + shift, b + shift)
        for i, (a, b) in enumerate(old.spans)
    )
    return replace(old, wav=np.concatenate([old.wav[:start], wav, old.wav[stop:]]), spans=spans)


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


def export(result: Any, path: Path) -> Path:
    """Write a ``toolbox.state.Result`` to a file with its mark; a name without a suffix becomes a wav.

    Raises AudioError: unknown suffix, disk full, no such folder.
    """
    take = result.take
    speech = Speech(
        wav=result.wav,
        sample_rate=result.sample_rate,
        mel=take.mel,
        alignments=list(take.alignments),
        embed=take.voice.embed,
        segments=list(take.segments),
        text=take.text,
        seed=take.seed,
        models=result.models,
        voice=result.voice_id,
        trim_silences=result.trim_silences,
    )
    return speech.save(path if path.suffix else path.with_suffix(".wav"))


def needs_model(kind: str, name: str) -> bool:
    """Whether a choice stands for a file."""
    return not (kind == "vocoder" and is_griffin_lim(name))


def _cut(wav: np.ndarray, frames: Sequence[int]) -> list[np.ndarray]:
    """A wav (S,) where its segments of ``frames`` mel frames meet."""
    ends = np.round(np.cumsum(frames) * len(wav) / max(sum(frames), 1)).astype(int)
    return np.split(wav, ends[:-1])


def _trimmed(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    from audio.vad import trim_long_silences

    trimmed = np.asarray(trim_long_silences(wav, sample_rate), dtype=np.float32)
    return trimmed if len(trimmed) else wav


def _diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices one after the other along the diagonal of one."""
    joined = np.zeros((sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)), dtype=np.float32)
    row = column = 0
    for block in blocks:
        joined[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return joined
