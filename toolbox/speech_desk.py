"""Texts to speech: clone, synthesize, vocode, and one sentence again; knows no widget and no model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject

from toolbox import jobs
from toolbox.jobs import Models, Selection
from toolbox.sound_desk import SoundDesk
from toolbox.state import Result, SegmentInfo, Take, ToolboxState, VoiceChoice
from toolbox.tasks import Job, Task

NAME_WORDS = 5


@dataclass(frozen=True, eq=False)
class _Order:
    """Everything that a clone needs, fixed when the button was pressed."""

    text: str
    voice: VoiceChoice
    seed: int
    selection: Selection
    trim_silences: bool
    reference: tuple[Any, ...]
    """Path or wav of each clip, for the mark in exported files."""
    reference_wav: np.ndarray | None
    streaming: bool

    @property
    def embed(self) -> np.ndarray:
        assert self.voice.embed is not None
        return self.voice.embed


@dataclass(frozen=True)
class _Stage:
    """The worker has come to another part of the job."""

    name: str
    rate_of: int = 0
    """Frames that the part makes, to tell how fast it is; 0 when that says nothing."""


class SpeechDesk(QObject):
    """Writes ``state.take`` and adds results.

    Args:
        submit: queues a model job that the window shows.
        selection: the models in use.
        enter: told the name of each stage of a job, and how many frames it makes.
    """

    def __init__(
        self,
        state: ToolboxState,
        sound: SoundDesk,
        submit: Callable[[str, Callable[[Job], Any]], Task],
        models: Models,
        selection: Callable[[], Selection],
        enter: Callable[[str, int], None],
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
            seed = self._state.seed if self._state.use_seed else jobs.draw_seed()
        return _Order(
            text, voice, seed, self._selection(), self._state.trim_silences,
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
            part = jobs.Part(job, 0, 30)
            spoken = jobs.speak(part, self._models, order.selection, order.text, order.embed, order.seed)
            job.send(spoken)
            return self._sound_out(jobs.Part(job, 30, 95), job, order, spoken)

        self._speech_job("Cloning", work, order)

    def synthesize(self) -> None:
        """Text to mels only."""
        order = self._order(self._state.text)
        if order is None or not order.text.strip():
            return

        def work(job: Job) -> None:
            job.send(jobs.speak(job, self._models, order.selection, order.text, order.embed, order.seed))

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
        spoken = _spoken(replace(take, seed=seed))

        def work(job: Job) -> np.ndarray | None:
            return self._sound_out(jobs.Part(job, 0, 95), job, order, spoken)

        self._speech_job("Vocoding", work, order, take)

    def _sound_out(self, part: jobs.Part, job: Job, order: _Order, spoken: jobs.Spoken) -> np.ndarray | None:
        """In the worker: sound, mark and voice of mels."""
        job.send(_Stage("vocoding", sum(mel.shape[1] for mel in spoken.mels)))
        made = jobs.sound(
            part, self._models, order.selection, spoken,
            trim_silences=order.trim_silences, streaming=order.streaming,
        )
        job.send((made, jobs.reference_id(order.reference)))
        job.send(_Stage("comparing"))
        part.check()
        return jobs.embed_sound(self._models, order.selection, made.wav, made.sample_rate)

    def _speech_job(self, title: str, work: Callable[[Job], Any], order: _Order, take: Take | None = None) -> None:
        started = time.monotonic()
        made: dict[str, Any] = {"take": take, "result": None}
        playing_id = self._state.new_id()

        def show(part: Any) -> None:
            if isinstance(part, _Stage):
                self._enter(part.name, part.rate_of)
            elif isinstance(part, jobs.Spoken):
                made["take"] = _take(part, order.voice)
                self._state.set_take(made["take"])
                self._warn(part)
            elif isinstance(part, jobs.SoundPiece):
                if order.streaming:
                    self._sound.stream(playing_id, part.wav, part.sample_rate)
            else:
                sound, voice_id = part
                self._sound.end_stream()
                taken = time.monotonic() - started
                made["result"] = self._add_result(playing_id, order, made["take"], sound, voice_id, taken)

        def finish(embed: np.ndarray | None) -> None:
            if made["result"] is not None and embed is not None:
                self._state.update_result(made["result"].id, embed=embed)

        task = self._submit(title, work)
        self._state.set_status(f"{title} in the voice of {order.voice.name}…")
        task.partial.connect(show)
        task.succeeded.connect(finish)
        task.failed.connect(lambda *_: self._sound.end_stream())

    def _warn(self, spoken: jobs.Spoken) -> None:
        for text, ok, warnings, _ in spoken.segments:
            if not ok:
                self._state.add_log("warning", f"“{_first_words(text)}”: {', '.join(warnings)}. Say it again alone.")

    def _add_result(
        self, result_id: int, order: _Order, take: Take, sound: jobs.Sound, voice_id: str, taken: float
    ) -> Result:
        result = Result(
            result_id, f"{order.voice.name}: {_first_words(take.text)}", order.voice.name, take, sound.wav,
            sound.sample_rate, sound.spans, sound.models, voice_id, order.trim_silences, order.reference_wav,
            seconds_taken=taken,
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
        spoken, voice, selection, seed = _spoken(take), take.voice, self._selection(), jobs.draw_seed()
        embed = take.voice.embed
        trim = result.trim_silences if result is not None else False

        def work(job: Job) -> Any:
            new = jobs.say_again(jobs.Part(job, 0, 40), self._models, selection, spoken, index, embed, seed)
            if result is None:
                return new, None, None
            old = jobs.Sound(result.wav, result.sample_rate, result.spans, result.models)
            sound = jobs.sound_again(jobs.Part(job, 40, 95), self._models, selection, new, index, old, trim)
            return new, sound, jobs.embed_sound(self._models, selection, sound.wav, sound.sample_rate)

        def show(made: Any) -> None:
            new, sound, heard = made
            fresh = _take(new, voice)
            if self._state.take is take:
                self._state.set_take(fresh)
            self._warn(new)
            if result is not None and sound is not None:
                self._state.update_result(
                    result.id, take=fresh, wav=sound.wav, spans=sound.spans, embed=heard, saved_to=None
                )
                if self._state.auto_play:
                    self._sound.play("result", result.id, sound.wav, sound.sample_rate)

        self._submit("Saying it again", work).succeeded.connect(show)


def _take(spoken: jobs.Spoken, voice: VoiceChoice) -> Take:
    segments = tuple(SegmentInfo(*segment) for segment in spoken.segments)
    return Take(spoken.text, voice, spoken.seed, spoken.mels, spoken.alignments, segments, spoken.pauses)


def _spoken(take: Take) -> jobs.Spoken:
    segments = tuple((s.text, s.ok, s.warnings, s.seed) for s in take.segments)
    return jobs.Spoken(take.text, take.seed, take.mels, take.alignments, segments, take.pauses)


def _first_words(text: str) -> str:
    words = text.split()
    return " ".join(words[:NAME_WORDS]) + ("…" if len(words) > NAME_WORDS else "")
