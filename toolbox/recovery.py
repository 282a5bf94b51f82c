"""Writes the session down while the window is open, and brings back what a crash left; knows no widget."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from toolbox import jobs
from toolbox.provenance import KINDS, ModelInfo, Provenance, parse_metadata
from toolbox.session import SavedSound, Session, SessionError, SessionStore
from toolbox.state import Clip, Result, SegmentInfo, Take, ToolboxState, VoiceChoice
from toolbox.tasks import Job, TaskRunner

if TYPE_CHECKING:
    from toolbox.controller import Controller

log = logging.getLogger(__name__)

DELAY_MS = 2000
"""A crash costs at most these seconds of typing."""


class Recovery(QObject):
    """Saves ``state`` after each change, and restores a session that was found."""

    found = pyqtSignal(object)
    """toolbox.session.Session that an earlier run left: ``restore`` or ``discard`` it."""

    def __init__(self, state: ToolboxState, controller: Controller, folder: Path) -> None:
        super().__init__(controller)
        self._state = state
        self._controller = controller
        self._store = SessionStore(folder)
        self._runner = TaskRunner("session", parent=self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._save)
        for signal in (state.clips_changed, state.clip_updated, state.results_changed, state.result_updated,
                       state.text_changed, state.voice_changed):
            signal.connect(lambda *_: self._changed())
        self._closed = False

    def start(self) -> None:
        """Look for what a crash left; ``found`` tells."""
        task = self._runner.submit("Looking for a session", lambda job: self._store.recover())
        task.succeeded.connect(self._tell)
        task.failed.connect(self._warn)

    def shutdown(self, keep: bool = False) -> bool:
        """The end: a clean exit leaves nothing behind, with ``keep`` all is there to be recovered.

        False when the disk did not answer in time.
        """
        self._closed = True
        self._timer.stop()
        stopped = self._runner.shutdown(5.0)
        if keep:
            try:
                self._store.save(_snapshot(self._state)())
            except SessionError as error:
                log.error("%s", error)
        elif stopped:
            self._store.close()
        return stopped

    def discard(self) -> None:
        """The user does not want it back."""
        self._runner.submit("Forgetting a session", lambda job: self._store.discard_recovered())

    def restore(self, session: Session) -> None:
        """Put a session back on the desk."""
        self._state.set_text(session.text)
        for name in ("seed", "use_seed", "speed_percent"):
            if name in session.settings:
                self._state.set_option(name, session.settings[name])
        for clip in session.clips:
            if clip.wav is not None:
                self._controller.add_clip(
                    clip.wav, clip.sample_rate, clip.speaker, clip.name, source=str(clip.extra.get("source", "file"))
                )
            elif clip.path:
                self._controller.load_files([clip.path], clip.speaker)
        for voice in session.voices:
            self._controller.voices.choose_embed(voice.name, voice.embed)
        for loss in session.lost:
            self._state.add_log("warning", loss)
        kept = [sound for sound in session.results if sound.wav is not None]

        def work(job: Job) -> None:
            for sound in kept:
                job.send((sound, jobs.make_mel(_wav(sound), sound.sample_rate)))

        task = self._runner.submit("Restoring results", work)
        task.partial.connect(lambda part: self._add_result(*part))
        task.succeeded.connect(lambda _: self.discard())

    def _changed(self) -> None:
        if not self._closed:
            self._timer.start()

    def _tell(self, session: Session | None) -> None:
        if session is not None:
            self.found.emit(session)

    def _add_result(self, sound: SavedSound, mel: np.ndarray) -> None:
        mark = parse_metadata(dict(sound.metadata))
        text, seed = (mark.text, mark.seed) if mark is not None else (sound.name, 0)
        models = tuple(ModelInfo(kind, *_split(mark.models[kind])) for kind in KINDS) if mark is not None else ()
        voice = VoiceChoice("recovered", sound.speaker, None)
        retakes, speed = (mark.retakes, mark.speed) if mark is not None else ((), 1.0)
        take = Take(text, voice, seed, (mel,), (), (SegmentInfo(text),), (0.0,), retakes, speed)
        saved = str(sound.extra.get("saved_to") or "")
        wav = _wav(sound)
        self._state.add_result(Result(
            self._state.new_id(), sound.name, sound.speaker, take, wav, sound.sample_rate,
            spans=((0, len(wav)),),
            models=models,
            voice_id=mark.voice if mark is not None else "",
            trim_silences=bool(mark is not None and mark.trim_silences),
            saved_to=Path(saved) if saved else None,
        ))

    def _save(self) -> None:
        if self._runner.tasks:
            self._timer.start()
            return
        snapshot = _snapshot(self._state)
        task = self._runner.submit("Saving the session", lambda job: self._store.save(snapshot()))
        task.succeeded.connect(self._saved)
        task.failed.connect(self._warn)

    def _warn(self, error: Exception, details: str) -> None:
        self._state.add_log("warning", str(error), details)

    def _saved(self, report: Any) -> None:
        if report.message:
            self._state.add_log("warning", report.message)


def _snapshot(state: ToolboxState) -> Callable[[], Session]:
    """What is on the desk now; made into a session on the worker."""
    text, voice, clips, results = state.text, state.voice, state.clips, state.results
    settings = {"seed": state.seed, "use_seed": state.use_seed, "speed_percent": state.speed_percent}

    def make() -> Session:
        from toolbox.voices import Voice, VoiceError, make_voice

        voices: tuple[Voice, ...] = ()
        if voice is not None and voice.kind not in ("clip", "speaker") and voice.embed is not None:
            try:
                voices = (make_voice(voice.name, voice.embed, source=voice.kind),)
            except VoiceError as error:
                log.info("the voice is not kept for recovery: %s", error)
        return Session(
            text, voices, tuple(map(_saved_clip, clips)), tuple(map(_saved_result, results)), settings
        )

    return make


def _saved_clip(clip: Clip) -> SavedSound:
    path = str(clip.path) if clip.path is not None else ""
    return SavedSound(
        clip.name, clip.speaker, path, None if path else clip.wav, clip.sample_rate, extra={"source": clip.source}
    )


def _saved_result(result: Result) -> SavedSound:
    models = {model.kind: str(model) for model in result.models}
    take = result.take
    mark = Provenance(take.text, take.seed, models, result.voice_id, result.trim_silences, take.retakes, take.speed)
    saved = "" if result.saved_to is None else str(result.saved_to)
    return SavedSound(
        result.name, result.speaker, "", result.wav, result.sample_rate, mark.metadata(), {"saved_to": saved}
    )


def _split(model: str) -> tuple[str, str]:
    name, _, sha256 = model.partition("@")
    return name, sha256


def _wav(sound: SavedSound) -> np.ndarray:
    assert sound.wav is not None
    return sound.wav
