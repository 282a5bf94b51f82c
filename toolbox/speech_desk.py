"""Texts to speech: clone, synthesize, vocode, and one sentence again; knows no widget and no model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject

from toolbox import speech_jobs
from toolbox.model_choice import Models, Selection
from toolbox.provenance import ModelInfo
from toolbox.reporter import Part
from toolbox.sound_desk import SoundDesk
from toolbox.state import Result, Take, ToolboxState, VoiceChoice
from toolbox.tasks import Job, Task
from toolbox.vocoding import Piece, Stream, Voiced

NAME_WORDS = 5
FRAME_SECONDS = 0.0125
"""Of a mel frame, which is the hop of every synthesizer here."""


@dataclass(frozen=True, eq=False)
class _Order:
    """Everything that a clone needs, fixed when the button was pressed."""

    text: str
    voice: VoiceChoice
    seed: int
    speed: float
    selection: Selection
    trim_silences: bool
    reference: tuple[Any, ...]
    """Path or wav of each clip, for the mark in exported files."""
    reference_wav: np.ndarray | None
    streaming: bool


@dataclass(frozen=True)
class _Stage:
    """The worker has come to another part of the job."""

    name: str
    sound_seconds: float = 0.0
    """Of sound that the part makes, to tell how fast it is; 0 when that says nothing."""


@dataclass(frozen=True, eq=False)
class _Made:
    """The worker has all of the sound."""

    voiced: Voiced
    models: tuple[ModelInfo, ...]
    voice_id: str


class SpeechDesk(QObject):
    """Writes ``state.take`` and adds results.

    Args:
        submit: queues a model job that the window shows.
        selection: the models in use.
        enter: told the name of each stage of a job, and how many seconds of sound it makes.
    """

    def __init__(
        self,
        state: ToolboxState,
        sound: SoundDesk,
        submit: Callable[[str, Callable[[Job], Any]], Task],
        models: Models,
        selection: Callable[[], Selection],
        enter: Callable[[str, float], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._sound = sound
        self._submit = submit
        self._models = models
        self._selection = selection
        self._enter = enter

    def _order(self, text: str, seed: int | None = None) -> _Order | None:
        voice = self._state.voice
        if voice is None or voice.embed is None:
            self._state.set_status("Choose a voice first: record, load or drop a clip.")
            return None
        clips = [clip for clip in map(self._state.clip, voice.clip_ids) if clip is not None]
        if seed is None:
            seed = self._state.seed if self._state.use_seed else speech_jobs.draw_seed()
        return _Order(
            text, voice, seed, self._state.speed, self._selection(), self._state.trim_silences,
            tuple(clip.path or clip.wav for clip in clips) or (voice.embed,),
            np.concatenate([clip.wav for clip in clips[:1]]) if clips else None,
            self._state.auto_play and self._sound.can_play,
        )

    def clone(self) -> None:
        """Text to sound in the current voice."""
        order = self._order(self._state.text)
        if order is None:
            return
        if not order.text.strip():
            self._state.set_status("Type a text first.")
            return

        def work(job: Job) -> np.ndarray | None:
            job.send(_Stage("synthesizing"))
            sounded = 0.0

            def on_take(take: Take) -> None:
                job.send(take)
                job.send(_Stage("vocoding", take.mel.shape[1] * FRAME_SECONDS - sounded))

            stream = Stream(speech_jobs.clone(
                Part(job, 0, 95), self._models, order.selection, order.text, order.voice, order.seed,
                speed=order.speed, trim_silences=order.trim_silences, on_take=on_take,
            ))
            for piece in stream:
                job.send(piece)
                sounded += len(piece.wav) / piece.sample_rate
            return self._made(job, order, stream.result)

        self._speech_job("Cloning", work, order)

    def synthesize(self) -> None:
        """Text to mels only."""
        order = self._order(self._state.text)
        if order is None or not order.text.strip():
            return

        def work(job: Job) -> None:
            job.send(speech_jobs.speak(
                job, self._models, order.selection, order.text, order.voice, order.seed, order.speed
            ))

        self._speech_job("Synthesizing", work, order)

    def vocode(self) -> None:
        """The last mels to sound, once more or for the first time."""
        take = self._state.take
        if take is None:
            self._state.set_status("Synthesize a text first.")
            return
        seed = self._state.seed if self._state.use_seed else take.seed
        order = self._order(take.text, seed)
        if order is None:
            return
        order = replace(order, voice=take.voice)
        if seed != take.seed:
            take = replace(take, seed=seed)
            self._state.set_take(take)
        spoken = take

        def work(job: Job) -> np.ndarray | None:
            job.send(_Stage("vocoding", spoken.mel.shape[1] * FRAME_SECONDS))
            stream = Stream(speech_jobs.sound(
                Part(job, 0, 95), self._models, order.selection, spoken, trim_silences=order.trim_silences
            ))
            for piece in stream:
                job.send(piece)
            return self._made(job, order, stream.result)

        self._speech_job("Vocoding", work, order, spoken)

    def _made(self, job: Job, order: _Order, voiced: Voiced) -> np.ndarray | None:
        """In the worker: mark and voice of a sound."""
        job.send(_Made(voiced, self._models.info(order.selection), speech_jobs.reference_id(order.reference)))
        job.send(_Stage("comparing"))
        job.check()
        return speech_jobs.embed_sound(self._models, order.selection, voiced.wav, voiced.sample_rate)

    def _speech_job(self, title: str, work: Callable[[Job], Any], order: _Order, take: Take | None = None) -> None:
        started = time.monotonic()
        made: dict[str, Any] = {"take": take, "result": None}
        playing_id = self._state.new_id()

        def show(part: Any) -> None:
            if isinstance(part, _Stage):
                self._enter(part.name, part.sound_seconds)
            elif isinstance(part, Take):
                made["take"] = part
                self._state.set_take(part)
                self._warn(part)
            elif isinstance(part, Piece):
                if order.streaming:
                    self._sound.stream(playing_id, part.wav, part.sample_rate)
            else:
                self._sound.end_stream()
                taken = time.monotonic() - started
                made["result"] = self._add_result(playing_id, order, made["take"], part, taken)

        def finish(embed: np.ndarray | None) -> None:
            if made["result"] is not None and embed is not None:
                self._state.update_result(made["result"].id, embed=embed)

        task = self._submit(title, work)
        self._state.set_status(f"{title} in the voice of {order.voice.name}…")
        task.partial.connect(show)
        task.succeeded.connect(finish)
        task.failed.connect(lambda *_: self._sound.end_stream())

    def _warn(self, take: Take) -> None:
        for segment in take.segments:
            if not segment.ok:
                words, problems = _first_words(segment.text), ", ".join(segment.warnings)
                self._state.add_log("warning", f"“{words}”: {problems}. Say it again alone.")

    def _add_result(self, result_id: int, order: _Order, take: Take, made: _Made, taken: float) -> Result:
        voiced = made.voiced
        result = Result(
            result_id, f"{order.voice.name}: {_first_words(take.text)}", order.voice.name, take, voiced.wav,
            voiced.sample_rate, spans=voiced.spans, gain=voiced.gain, models=made.models, voice_id=made.voice_id,
            trim_silences=order.trim_silences, reference_wav=order.reference_wav, seconds_taken=taken,
        )
        for gone in self._state.add_result(result):
            saved = f"it is in {gone.saved_to}" if gone.saved_to else "it had not been exported"
            self._state.add_log("warning", f"The history is full: {gone.name} left it ({saved}).")
        self._state.set_current_result(result_id)
        text = f"{result.seconds:.1f} s of speech in {taken:.1f} s, seed {take.seed}."
        self._state.add_log("info", text)
        self._state.set_status(text)
        return result

    def say_again(self, index: int, result_id: int | None = None) -> None:
        """Speak one segment of the current take, or of a result, with another seed."""
        result = self._state.result(result_id)
        if result is None and self._state.current_result and self._state.current_result.take is self._state.take:
            result = self._state.current_result
        take = result.take if result is not None else self._state.take
        if take is None or not 0 <= index < len(take.segments) or take.voice.embed is None:
            return
        selection, seed = self._selection(), speech_jobs.draw_seed()

        def work(job: Job) -> tuple[Take, Voiced | None, np.ndarray | None]:
            new = speech_jobs.say_again(Part(job, 0, 40), self._models, selection, take, index, seed)
            if result is None:
                return new, None, None
            old = Voiced(result.wav, result.sample_rate, result.spans, result.gain)
            voiced = speech_jobs.sound_again(
                Part(job, 40, 95), self._models, selection, new, index, old, result.trim_silences
            )
            return new, voiced, speech_jobs.embed_sound(self._models, selection, voiced.wav, voiced.sample_rate)

        def show(made: tuple[Take, Voiced | None, np.ndarray | None]) -> None:
            new, voiced, heard = made
            if self._state.take is take:
                self._state.set_take(new)
            self._warn(new)
            if result is not None and voiced is not None:
                self._state.update_result(
                    result.id, take=new, wav=voiced.wav, spans=voiced.spans, embed=heard, saved_to=None
                )
                if self._state.auto_play:
                    self._sound.play("result", result.id, voiced.wav, voiced.sample_rate)

        self._submit("Saying it again", work).succeeded.connect(show)


def _first_words(text: str) -> str:
    words = text.split()
    return " ".join(words[:NAME_WORDS]) + ("…" if len(words) > NAME_WORDS else "")
