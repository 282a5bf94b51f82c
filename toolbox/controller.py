"""From intents to tasks, and from results into the state: clips, cloning, export; knows no widget and no model."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject, pyqtSignal

from audio.errors import ToolboxError
from toolbox import jobs, model_choice, speech_jobs
from toolbox.browsing import Browsing
from toolbox.comparison import Comparison
from toolbox.estimate import Estimate
from toolbox.model_choice import Models, Selection
from toolbox.settings import Settings
from toolbox.sound_desk import Audio, SoundDesk
from toolbox.speech_desk import SpeechDesk
from toolbox.state import KINDS, Activity, Clip, Result, ToolboxState
from toolbox.tasks import Job, Task, TaskRunner
from toolbox.voice_desk import VoiceDesk

log = logging.getLogger(__name__)


class Controller(QObject):
    """What the window's intents call. Every method returns at once."""

    error_raised = pyqtSignal(str, str)
    """A sentence for a dialog, and details."""
    model_problem = pyqtSignal(str)
    """Models are missing: a sentence that says how to get them."""
    results_exported = pyqtSignal(bool)
    """``export_all`` is over: whether everything was written."""

    def __init__(
        self,
        state: ToolboxState,
        settings: Settings,
        models: Models,
        data_dir: Path,
        *,
        device: str | None = None,
        audio: Audio | None = None,
        seed: int | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.state = state
        self.settings = settings
        self.models = models
        chosen = {kind: settings.text(f"model/{kind}", "default") for kind in KINDS}
        self.selection = Selection(device=device or settings.text("device") or None, **chosen)
        self._runner = TaskRunner("models", parent=self)
        self._pool = TaskRunner("files", 2, parent=self)
        self._estimate = Estimate()
        self._stage = ""
        self._task: Task | None = None
        self.comparison = Comparison(state, self._failed, self)
        self.sound = SoundDesk(state, settings, self._failed, audio, self)
        self.voices = VoiceDesk(
            state, self._pool, self.model_job, models, lambda: self.selection, data_dir / "voices", self._failed, self
        )
        self.speech = SpeechDesk(state, self.sound, self.model_job, models, lambda: self.selection, self._enter, self)
        self.corpus = Browsing(state, settings, self._load_utterance, seed, self)
        self.sound.recorded.connect(self._recorded)

    # --- tasks

    def start(self) -> Task:
        """Read and load what is needed, once the window shows; returns the task that loads the models."""
        self.voices.reload()
        self.sound.refresh_devices()
        return self.load_models()

    def cancel(self) -> None:
        """Stop the model job at work and drop those that wait."""
        if self._runner.tasks:
            self._runner.cancel_all()
            self.sound.end_stream()
            self.state.set_status("Cancelled.")
            self.state.add_log("info", "Cancelled.")

    def shutdown(self) -> bool:
        """Stop everything; False when a thread did not end in time."""
        return all([
            self.sound.shutdown(), self.corpus.shutdown(), self._runner.shutdown(5.0), self._pool.shutdown(5.0),
            self.comparison.shutdown(),
        ])

    def submit(self, title: str, function: Callable[[Job], Any]) -> Task:
        """Queue disk work."""
        return self._pool.submit(title, function)

    def model_job(self, title: str, function: Callable[[Job], Any]) -> Task:
        """Queue work with models: one runs at a time, and the window shows it."""
        task = self._runner.submit(title, function)
        task.started.connect(lambda: self._begin(task))
        task.progressed.connect(self._progressed)
        task.failed.connect(lambda error, details: self._failed(f"{title} failed", error, details))
        task.finished.connect(lambda: self._end(task))
        if self._task is None:
            self.state.set_activity(Activity(title))
        return task

    def _begin(self, task: Task) -> None:
        self._task = task
        self._estimate.start()
        self._stage = ""
        self._progressed(0, 0)

    def _enter(self, stage: str, sound_seconds: float) -> None:
        self._stage = stage
        self._estimate.enter(sound_seconds)

    def _progressed(self, done: int, total: int) -> None:
        if self._task is None:
            return
        self._estimate.report(done, total)
        title = f"{self._task.title}: {self._stage}" if self._stage else self._task.title
        left, rate = self._estimate.seconds_left, self._estimate.rate
        waiting = max(0, len(self._runner.tasks) - 1)
        self.state.set_activity(Activity(title, done, total, left, rate, False, waiting))

    def _end(self, task: Task) -> None:
        if self._task is task:
            self._task = None
        rest = [other for other in self._runner.tasks if other is not task]
        self.state.set_activity(Activity(rest[0].title, waiting=len(rest) - 1) if rest else None)

    def _failed(self, what: str, error: Exception, details: str) -> None:
        """Say what went wrong: a known error in its own sentence, any other with its name."""
        known = isinstance(error, ToolboxError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        text = f"{what}. {reason}"
        self.state.add_log("error", text, details)
        self.state.set_status(what + ".")
        self.error_raised.emit(text, details)

    # --- models

    def load_models(self) -> Task:
        """Find the models and load the selected ones, so that the first clone does not wait for them."""
        selection = self.selection

        def work(job: Job) -> str:
            model_choice.warm_up(job)
            job.send(model_choice.compute_devices())
            for kind in KINDS:
                job.send((kind, self.models.names(kind)))
            return model_choice.load_selected(job, self.models, selection)

        task = self.model_job("Loading the models", work)
        task.partial.connect(self._show_models)
        task.succeeded.connect(self._models_loaded)
        return task

    def refresh_models(self) -> None:
        """Look for installed models again."""

        def work(job: Job) -> None:
            for kind in KINDS:
                job.send((kind, self.models.names(kind)))

        self._pool.submit("Looking for models", work).partial.connect(self._show_models)

    def choose_model(self, kind: str, name: str) -> None:
        """Use another model from now on; another encoder embeds all clips again."""
        if name == self.selection.name(kind):
            return
        self.selection = replace(self.selection, **{kind: name})
        self.settings.set(f"model/{kind}", name)
        self.state.set_models(replace(self.state.models(kind), current=name))
        if kind == "encoder":
            self._embed_anew()
        self._load(f"Loading {name}", self.selection, (kind,))

    def choose_device(self, name: str) -> None:
        """Run the networks on another device from now on."""
        self.selection = replace(self.selection, device=name or None)
        self.settings.set("device", name)
        self.state.set_compute_devices(replace(self.state.compute_devices, current=name))
        self._load(f"Moving to {name}", self.selection)

    def _load(self, title: str, selection: Selection, kinds: Sequence[str] = KINDS) -> None:
        task = self.model_job(title, lambda job: model_choice.load_selected(job, self.models, selection, kinds))
        task.succeeded.connect(self._models_loaded)

    def fetch_models(self, name: str) -> None:
        """Download a set of models."""
        task = self.model_job(
            f"Downloading {name}", lambda job: self.models.registry().fetch(name, progress=job.progress)
        )
        task.succeeded.connect(self._fetched)

    def _fetched(self, _: Any) -> None:
        self.load_models()

    def _show_models(self, found: Any) -> None:
        if isinstance(found, model_choice.ComputeDevices):
            current = self.selection.device or found.best
            self.state.set_compute_devices(replace(self.state.compute_devices, names=found.names, current=current))
            return
        kind, entries = found
        names = tuple(name for name, _ in entries)
        current = self.selection.name(kind)
        if names and current not in names:
            current = names[0]
            self.selection = replace(self.selection, **{kind: current})
        details = tuple(text for _, text in entries)
        self.state.set_models(replace(self.state.models(kind), names=names, details=details, current=current))

    def _models_loaded(self, problem: str) -> None:
        if problem:
            self.state.add_log("warning", problem)
            self.state.set_status("A model is missing.")
            self.model_problem.emit(problem)
        elif not self._runner.tasks[1:]:
            self.state.set_status("Ready.")

    # --- clips

    def load_files(self, paths: Sequence[str | Path], speaker: str = "", source: str = "file") -> None:
        """Read sound files and folders into the clip list."""
        chosen = [Path(path) for path in paths]
        if not chosen:
            return
        title = f"Reading {chosen[0].name}" if len(chosen) == 1 else f"Reading {len(chosen)} files"
        task = self._pool.submit(title, lambda job: jobs.load_clips(job, chosen, speaker))
        problems: list[jobs.FailedFile] = []

        def show(part: jobs.LoadedClip | jobs.FailedFile) -> None:
            if isinstance(part, jobs.FailedFile):
                problems.append(part)
            else:
                self._loaded(part, source)

        def report() -> None:
            if problems:
                lines = "\n".join(f"{problem.path}: {problem.reason}" for problem in problems)
                one = problems[0].reason
                text = one if len(problems) == 1 else f"{len(problems)} files could not be read. The first: {one}"
                self._failed("Not loaded", ToolboxError(text), lines)

        task.partial.connect(show)
        task.failed.connect(lambda error, details: self._failed("Nothing was loaded", error, details))
        task.finished.connect(report)
        self.state.set_status(title + "…")

    def _load_utterance(self, path: Path, speaker: str) -> None:
        self.load_files([path], speaker, "corpus")

    def _loaded(self, loaded: jobs.LoadedClip, source: str) -> None:
        if loaded.truncated:
            minutes = jobs.MAX_SECONDS / 60
            self.state.add_log("warning", f"{loaded.name} is long: its first {minutes:.0f} minutes are used.")
        self.add_clip(loaded.wav, jobs.SAMPLE_RATE, loaded.speaker, loaded.name, path=loaded.path, source=source)

    def _recorded(self, wav: np.ndarray, sample_rate: int) -> None:
        number = 1 + sum(clip.source == "recording" for clip in self.state.clips)
        speaker = self.settings.text("recorded_speaker", "Me")
        clip = self.add_clip(wav, sample_rate, speaker, f"Recording {number}", source="recording")
        self.state.add_log("info", f"Recorded {clip.seconds:.1f} s.")

    def add_clip(
        self,
        wav: np.ndarray,
        sample_rate: int,
        speaker: str,
        name: str,
        *,
        path: Path | None = None,
        source: str = "file",
    ) -> Clip:
        """Put a clip into the list, make it the voice, and have it embedded."""
        clip = Clip(self.state.new_id(), speaker, name, wav, sample_rate, path, source)
        fallen = self.state.add_clips([clip])
        if fallen:
            self.state.add_log("warning", f"The list is full: {_names(fallen)} left it.")
        self.select_clip(clip.id)
        self._describe(clip)
        self.state.set_status(f"{name} ({clip.seconds:.1f} s)")
        return clip

    def select_clip(self, clip_id: int) -> None:
        """Show a clip and speak in its voice."""
        self.state.set_current_clip(clip_id)
        self.voices.choose_clip(clip_id)

    def _describe(self, clip: Clip) -> None:
        """Mel, voice and coaching of a clip."""
        mel = self._pool.submit("Drawing", lambda job: jobs.make_mel(clip.wav, clip.sample_rate))
        mel.succeeded.connect(lambda value: self._update_if_same(clip, mel=value))
        mel.failed.connect(lambda error, details: log.warning("no mel of %s: %s", clip.name, error))
        self._embed(clip)

    def _embed(self, clip: Clip) -> None:
        selection = self.selection

        def work(job: Job) -> jobs.EmbeddedClip:
            return jobs.embed_clip(job, self.models, selection, clip.wav, clip.sample_rate)

        def show(found: jobs.EmbeddedClip) -> None:
            if selection.encoder == self.selection.encoder:
                self._update_if_same(
                    clip, embed=found.embed, partials=found.partials, coaching=found.coaching, problem=found.problem
                )

        task = self.model_job("Hearing the voice", work)
        task.succeeded.connect(show)
        task.failed.connect(lambda *_: self._update_if_same(clip, problem="No voice could be taken from this clip."))
        task.cancelled.connect(lambda: self._update_if_same(clip, problem="Cancelled: load the clip again to use it."))

    def _update_if_same(self, clip: Clip, **changes: Any) -> None:
        """Update a clip unless its sound was changed in the meantime."""
        now = self.state.clip(clip.id)
        if now is not None and now.wav is clip.wav:
            self.state.update_clip(clip.id, **changes)

    def _embed_anew(self) -> None:
        self.comparison.clear()
        for clip in self.state.clips:
            changed = self.state.update_clip(clip.id, embed=None, partials=None, problem="")
            if changed is not None:
                self._embed(changed)
        for result in self.state.results:
            self.state.update_result(result.id, embed=None, score=None)
            self._embed_result(result)

    def _embed_result(self, result: Result) -> None:
        selection = self.selection
        task = self.model_job(
            "Comparing", lambda job: speech_jobs.embed_sound(self.models, selection, result.wav, result.sample_rate)
        )
        task.succeeded.connect(lambda embed: self._show_embed(result.id, embed))

    def _show_embed(self, result_id: int, embed: np.ndarray | None) -> None:
        self.state.update_result(result_id, embed=embed)

    def trim_clip(self, clip_id: int, start: float, end: float) -> None:
        """Keep only a stretch of a clip, in seconds."""
        clip = self.state.clip(clip_id)
        if clip is None or end <= start:
            return
        wav = clip.wav[int(start * clip.sample_rate) : int(end * clip.sample_rate)].copy()
        trimmed = self.state.update_clip(
            clip_id, wav=wav, mel=None, embed=None, partials=None, coaching=None, problem="", path=None
        )
        if trimmed is not None:
            self._describe(trimmed)

    def rename_clip(self, clip_id: int, speaker: str) -> None:
        """Say whose voice a clip holds."""
        if speaker.strip():
            clip = self.state.update_clip(clip_id, speaker=speaker.strip())
            if clip is not None and clip.source == "recording":
                self.settings.set("recorded_speaker", speaker.strip())

    def rename_speaker(self, old: str, new: str) -> None:
        """Rename a speaker in all clips."""
        for clip in self.state.clips_of(old):
            self.rename_clip(clip.id, new)
        voice = self.state.voice
        if voice is not None and voice.kind == "speaker" and voice.name == old:
            self.voices.choose_speaker(new.strip())

    # --- results

    def play_clip(self, clip_id: int, span: tuple[float, float] | None = None) -> None:
        """Play a clip or a stretch of it, in seconds."""
        clip = self.state.clip(clip_id)
        if clip is not None:
            start, end = span or (0.0, clip.seconds)
            wav = clip.wav[int(start * clip.sample_rate) : int(end * clip.sample_rate)]
            self.sound.play("clip", clip.id, wav, clip.sample_rate, offset=start)

    def play_result(self, result_id: int) -> None:
        """Play a result."""
        result = self.state.result(result_id)
        if result is not None:
            self.sound.play("result", result.id, result.wav, result.sample_rate)

    def play_reference(self, result_id: int) -> None:
        """Play the clip that a result was made from."""
        result = self.state.result(result_id)
        if result is None:
            return
        if result.reference_wav is None:
            self.state.set_status("This voice has no recording to compare with.")
            return
        self.sound.play("reference", result.id, result.reference_wav, jobs.SAMPLE_RATE)

    def play_point(self, kind: str, item_id: int) -> None:
        """Select and play what a point of the map stands for."""
        if kind == "clip" and self.state.clip(item_id) is not None:
            self.select_clip(item_id)
            self.play_clip(item_id)
        elif kind == "result":
            self.state.set_current_result(item_id)
            self.play_result(item_id)

    @property
    def unsaved(self) -> tuple[Result, ...]:
        """Results that were not exported."""
        return tuple(result for result in self.state.results if result.saved_to is None)

    def export(self, result_id: int, path: Path) -> None:
        """Write a result to a file with its mark."""
        result = self.state.result(result_id)
        if result is not None:
            self._export([(result, path)])

    def export_all(self, results: Sequence[Result], folder: Path) -> None:
        """Write results to files named after them; ``results_exported`` tells when that is over."""
        self._export([(result, folder / f"{file_name(result.name)}-{result.id}.wav") for result in results])

    def _export(self, files: Sequence[tuple[Result, Path]]) -> None:
        def work(job: Job) -> None:
            for number, (result, path) in enumerate(files):
                job.progress(number, len(files))
                path.parent.mkdir(parents=True, exist_ok=True)
                job.send((result, speech_jobs.export(result, path)))

        def saved(part: Any) -> None:
            result, path = part
            now = self.state.result(result.id)
            if now is not None and now.wav is result.wav:
                self.state.update_result(result.id, saved_to=path)
            self.state.add_log("info", f"Wrote {path}.")
            self.state.set_status(f"Wrote {path}.")

        task = self._pool.submit("Writing", work)
        task.partial.connect(saved)
        task.succeeded.connect(lambda _: self.results_exported.emit(True))
        task.failed.connect(lambda error, details: self._failed("Not exported", error, details))
        task.failed.connect(lambda *_: self.results_exported.emit(False))


def _names(clips: Sequence[Clip]) -> str:
    names = ", ".join(clip.name for clip in clips[:3])
    return names if len(clips) <= 3 else f"{names} and {len(clips) - 3} more"


def file_name(name: str) -> str:
    """A result's name as every file system takes it."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:60] or "speech"
