"""What the window shows, as one QObject with typed properties and a signal each; knows no widget, no model and no file.

Only the controller writes here, on the Qt thread. Views read properties, listen to signals and send intents.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject, pyqtSignal

MAX_CLIPS = 200
MAX_RESULTS = 100
MAX_SECONDS = 3600.0
"""Sound that the clips, and the results, may hold together: 230 MB each."""
MAX_LOG_LINES = 1000
KINDS = ("encoder", "synthesizer", "vocoder")


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
    seed: int = 0


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


def _excess(items: list[Any], most: int) -> tuple[Any, ...]:
    """The first items that must go so that the rest keeps to its number and seconds; the last one stays."""
    kept, seconds = 0, 0.0
    for item in reversed(items):
        seconds += item.seconds
        if kept and (kept >= most or seconds > MAX_SECONDS):
            break
        kept += 1
    return tuple(items[: len(items) - kept])


class ToolboxState(QObject):
    """Everything that the window shows."""

    clips_changed = pyqtSignal()
    """Clips came, went or were re-ordered: read ``clips`` again."""
    clip_updated = pyqtSignal(object)
    """Clip with the same id as one already listed (renamed, embedded, trimmed)."""
    current_clip_changed = pyqtSignal(object)
    """Clip | None; also sent when the current clip was updated."""
    voice_changed = pyqtSignal(object)
    """VoiceChoice | None."""
    saved_voices_changed = pyqtSignal()
    text_changed = pyqtSignal(str)
    take_changed = pyqtSignal(object)
    """Take | None."""
    results_changed = pyqtSignal()
    result_updated = pyqtSignal(object)
    current_result_changed = pyqtSignal(object)
    """Result | None; also sent when the current result was updated."""
    models_changed = pyqtSignal(str)
    """Kind."""
    compute_devices_changed = pyqtSignal(object)
    """DeviceChoice: "cpu", "cuda", ..."""
    inputs_changed = pyqtSignal(object)
    outputs_changed = pyqtSignal(object)
    corpus_changed = pyqtSignal(object)
    activity_changed = pyqtSignal(object)
    """Activity | None."""
    playback_changed = pyqtSignal(object)
    """Playback | None."""
    recording_changed = pyqtSignal(object)
    """Recording | None."""
    projection_changed = pyqtSignal(object)
    similarity_changed = pyqtSignal(object)
    log_added = pyqtSignal(object)
    status_changed = pyqtSignal(str)
    options_changed = pyqtSignal()
    """seed, use_seed, trim_silences, auto_next or auto_play."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clips: dict[int, Clip] = {}
        self._results: dict[int, Result] = {}
        self._current_clip: int | None = None
        self._current_result: int | None = None
        self._voice: VoiceChoice | None = None
        self._saved_voices: tuple[Any, ...] = ()
        self._text = ""
        self._take: Take | None = None
        self._models = {kind: ModelChoice(kind) for kind in KINDS}
        self._compute = DeviceChoice()
        self._inputs = DeviceChoice()
        self._outputs = DeviceChoice()
        self._corpus = Corpus()
        self._activity: Activity | None = None
        self._playback: Playback | None = None
        self._recording: Recording | None = None
        self._projection = ProjectionMap()
        self._similarity = SimilarityTable()
        self._log: list[LogLine] = []
        self._status = ""
        self._next_id = 0
        self._options: dict[str, Any] = {
            "seed": 0, "use_seed": False, "trim_silences": False, "auto_next": True, "auto_play": True,
        }

    def new_id(self) -> int:
        """A number that no clip and no result has had in this run."""
        self._next_id += 1
        return self._next_id

    # --- clips

    @property
    def clips(self) -> tuple[Clip, ...]:
        """Oldest first."""
        return tuple(self._clips.values())

    def clip(self, clip_id: int | None) -> Clip | None:
        return None if clip_id is None else self._clips.get(clip_id)

    @property
    def current_clip(self) -> Clip | None:
        return self.clip(self._current_clip)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the clips' speakers, in order of appearance."""
        return tuple(dict.fromkeys(clip.speaker for clip in self._clips.values()))

    def clips_of(self, speaker: str) -> tuple[Clip, ...]:
        return tuple(clip for clip in self._clips.values() if clip.speaker == speaker)

    def add_clips(self, clips: Iterable[Clip]) -> tuple[Clip, ...]:
        """Append clips; returns the oldest that fell out: beyond ``MAX_CLIPS``, or beyond ``MAX_SECONDS`` together."""
        for clip in clips:
            self._clips[clip.id] = clip
        fallen = _excess(list(self._clips.values()), MAX_CLIPS)
        for clip in fallen:
            del self._clips[clip.id]
        if self._current_clip not in self._clips:
            self._current_clip = None
            self.current_clip_changed.emit(None)
        self.clips_changed.emit()
        return fallen

    def update_clip(self, clip_id: int, **changes: Any) -> Clip | None:
        """Change fields of a clip; None when it is gone."""
        if clip_id not in self._clips:
            return None
        clip = self._clips[clip_id] = replace(self._clips[clip_id], **changes)
        self.clip_updated.emit(clip)
        if clip_id == self._current_clip:
            self.current_clip_changed.emit(clip)
        return clip

    def remove_clips(self, clip_ids: Iterable[int]) -> None:
        ids = set(clip_ids)
        self._clips = {key: clip for key, clip in self._clips.items() if key not in ids}
        self.clips_changed.emit()
        if self._current_clip in ids:
            self.set_current_clip(next(reversed(self._clips), None))

    def set_current_clip(self, clip_id: int | None) -> None:
        self._current_clip = clip_id if clip_id in self._clips else None
        self.current_clip_changed.emit(self.current_clip)

    # --- voices

    @property
    def voice(self) -> VoiceChoice | None:
        return self._voice

    def set_voice(self, voice: VoiceChoice | None) -> None:
        self._voice = voice
        self.voice_changed.emit(voice)

    @property
    def saved_voices(self) -> tuple[Any, ...]:
        """toolbox.voices.Voice, by name."""
        return self._saved_voices

    def set_saved_voices(self, voices: Iterable[Any]) -> None:
        self._saved_voices = tuple(voices)
        self.saved_voices_changed.emit()

    # --- text and synthesis

    @property
    def text(self) -> str:
        return self._text

    def set_text(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.text_changed.emit(text)

    @property
    def take(self) -> Take | None:
        """The last synthesis: what "vocode only" uses."""
        return self._take

    def set_take(self, take: Take | None) -> None:
        self._take = take
        self.take_changed.emit(take)

    @property
    def seed(self) -> int:
        return int(self._options["seed"])

    @property
    def use_seed(self) -> bool:
        """Whether ``seed`` is used rather than a new one each time."""
        return bool(self._options["use_seed"])

    @property
    def trim_silences(self) -> bool:
        return bool(self._options["trim_silences"])

    @property
    def auto_next(self) -> bool:
        """Whether the corpus browser moves on after loading an utterance."""
        return bool(self._options["auto_next"])

    @property
    def auto_play(self) -> bool:
        """Whether what has been generated is played at once."""
        return bool(self._options["auto_play"])

    def set_option(self, name: str, value: Any) -> None:
        """Set seed, use_seed, trim_silences, auto_next or auto_play."""
        if name not in self._options:
            raise KeyError(name)
        if self._options[name] != value:
            self._options[name] = value
            self.options_changed.emit()

    # --- results

    @property
    def results(self) -> tuple[Result, ...]:
        """Oldest first."""
        return tuple(self._results.values())

    def result(self, result_id: int | None) -> Result | None:
        return None if result_id is None else self._results.get(result_id)

    @property
    def current_result(self) -> Result | None:
        return self.result(self._current_result)

    def add_result(self, result: Result) -> tuple[Result, ...]:
        """Append a result; returns those that fell out as clips do, but exported ones first."""
        self._results[result.id] = result
        fallen = _excess(sorted(self._results.values(), key=lambda r: r.saved_to is None), MAX_RESULTS)
        for gone in fallen:
            del self._results[gone.id]
        if self._current_result is not None and self._current_result not in self._results:
            self.set_current_result(None)
        self.results_changed.emit()
        return fallen

    def update_result(self, result_id: int, **changes: Any) -> Result | None:
        """Change fields of a result; None when it is gone."""
        if result_id not in self._results:
            return None
        result = self._results[result_id] = replace(self._results[result_id], **changes)
        self.result_updated.emit(result)
        if result_id == self._current_result:
            self.current_result_changed.emit(result)
        return result

    def remove_results(self, result_ids: Iterable[int]) -> None:
        ids = set(result_ids)
        self._results = {key: result for key, result in self._results.items() if key not in ids}
        self.results_changed.emit()
        if self._current_result in ids:
            self.set_current_result(next(reversed(self._results), None))

    def set_current_result(self, result_id: int | None) -> None:
        self._current_result = result_id if result_id in self._results else None
        self.current_result_changed.emit(self.current_result)

    # --- models and devices

    def models(self, kind: str) -> ModelChoice:
        return self._models[kind]

    def set_models(self, choice: ModelChoice) -> None:
        self._models[choice.kind] = choice
        self.models_changed.emit(choice.kind)

    @property
    def compute_devices(self) -> DeviceChoice:
        return self._compute

    def set_compute_devices(self, choice: DeviceChoice) -> None:
        self._compute = choice
        self.compute_devices_changed.emit(choice)

    @property
    def inputs(self) -> DeviceChoice:
        return self._inputs

    def set_inputs(self, choice: DeviceChoice) -> None:
        self._inputs = choice
        self.inputs_changed.emit(choice)

    @property
    def outputs(self) -> DeviceChoice:
        return self._outputs

    def set_outputs(self, choice: DeviceChoice) -> None:
        self._outputs = choice
        self.outputs_changed.emit(choice)

    @property
    def corpus(self) -> Corpus:
        return self._corpus

    def set_corpus(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.corpus_changed.emit(corpus)

    # --- what happens now

    @property
    def activity(self) -> Activity | None:
        return self._activity

    def set_activity(self, activity: Activity | None) -> None:
        if activity != self._activity:
            self._activity = activity
            self.activity_changed.emit(activity)

    @property
    def playback(self) -> Playback | None:
        return self._playback

    def set_playback(self, playback: Playback | None) -> None:
        if playback != self._playback:
            self._playback = playback
            self.playback_changed.emit(playback)

    @property
    def recording(self) -> Recording | None:
        return self._recording

    def set_recording(self, recording: Recording | None) -> None:
        if recording != self._recording:
            self._recording = recording
            self.recording_changed.emit(recording)

    @property
    def projection(self) -> ProjectionMap:
        return self._projection

    def set_projection(self, projection: ProjectionMap) -> None:
        self._projection = projection
        self.projection_changed.emit(projection)

    @property
    def similarity(self) -> SimilarityTable:
        return self._similarity

    def set_similarity(self, table: SimilarityTable) -> None:
        self._similarity = table
        self.similarity_changed.emit(table)

    # --- words

    @property
    def log(self) -> tuple[LogLine, ...]:
        return tuple(self._log)

    def add_log(self, level: str, text: str, details: str = "") -> LogLine:
        """Append a line ("info", "warning", "error"); the oldest go when there are more than ``MAX_LOG_LINES``."""
        line = LogLine(level, text, details)
        self._log.append(line)
        del self._log[:-MAX_LOG_LINES]
        self.log_added.emit(line)
        return line

    @property
    def status(self) -> str:
        return self._status

    def set_status(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self.status_changed.emit(status)
