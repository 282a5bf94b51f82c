"""What the window shows, as one QObject with typed properties and a signal each; knows no widget, no model and no file.

Only the controller writes here, on the Qt thread. Views read properties, listen to signals and send intents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from PyQt5.QtCore import QObject, pyqtSignal

from synthesizer.speed import SPEEDS
from toolbox.records import (
    Activity,
    Clip,
    Corpus,
    DeviceChoice,
    LogLine,
    ModelChoice,
    Playback,
    Point,
    ProjectionMap,
    Recording,
    Result,
    SegmentInfo,
    SimilarityTable,
    Take,
    VoiceChoice,
)

__all__ = [
    "Activity",
    "Clip",
    "Corpus",
    "DeviceChoice",
    "LogLine",
    "ModelChoice",
    "Playback",
    "Point",
    "ProjectionMap",
    "Recording",
    "Result",
    "SegmentInfo",
    "SimilarityTable",
    "Take",
    "VoiceChoice",
    "KINDS",
    "MAX_CLIPS",
    "MAX_LOG_LINES",
    "MAX_RESULTS",
    "MAX_SECONDS",
    "ToolboxState",
]

MAX_CLIPS = 200
MAX_RESULTS = 100
MAX_SECONDS = 3600.0
"""Sound that the clips, and the results, may hold together: 230 MB each."""
MAX_LOG_LINES = 1000
KINDS = ("encoder", "synthesizer", "vocoder")


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
    """seed, use_seed, speed_percent, trim_silences, auto_next or auto_play."""

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
            "seed": 0, "use_seed": False, "speed_percent": 100, "trim_silences": False, "auto_next": True,
            "auto_play": True,
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
    def speed_percent(self) -> int:
        """Of the usual speed: 50 to 200."""
        return int(self._options["speed_percent"])

    @property
    def speed(self) -> float:
        """As a multiple of the usual one."""
        return self.speed_percent / 100

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
        """Set seed, use_seed, speed_percent, trim_silences, auto_next or auto_play."""
        if name not in self._options:
            raise KeyError(name)
        if name == "speed_percent":
            value = min(max(int(value), round(100 * SPEEDS[0])), round(100 * SPEEDS[1]))
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
