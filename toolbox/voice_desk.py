"""The voice that speaks, and the saved ones: a clip, a speaker's centroid, a blend, a random one; knows no widget."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject

from toolbox.model_choice import Models, Selection
from toolbox.speech_jobs import draw_seed
from toolbox.state import ToolboxState, VoiceChoice
from toolbox.tasks import Job, Task, TaskRunner

log = logging.getLogger(__name__)

Fail = Callable[[str, Exception, str], None]
"""What failed in a few words, the exception, its traceback."""
Submit = Callable[[str, Callable[[Job], Any]], Task]


class VoiceDesk(QObject):
    """Keeps ``state.voice`` and ``state.saved_voices``.

    Args:
        submit: queues a model job.
        selection: the models in use.
        folder: where voices are saved.
    """

    def __init__(
        self,
        state: ToolboxState,
        pool: TaskRunner,
        submit: Submit,
        models: Models,
        selection: Callable[[], Selection],
        folder: Path,
        fail: Fail,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._pool = pool
        self._submit = submit
        self._models = models
        self._selection = selection
        self._folder = folder
        self._fail = fail
        self._source: tuple[Any, ...] = ()
        state.clips_changed.connect(self.refresh)
        state.clip_updated.connect(self._clip_updated)
        state.saved_voices_changed.connect(self.refresh)

    # --- which voice speaks

    def choose_clip(self, clip_id: int) -> None:
        """Speak in the voice of one clip."""
        self._choose("clip", clip_id)

    def choose_speaker(self, speaker: str) -> None:
        """Speak in the centroid of a speaker's clips."""
        self._choose("speaker", speaker)

    def choose_saved(self, name: str) -> None:
        """Speak in a saved voice."""
        self._choose("saved", name)
        voice = self._saved(name)
        if voice is None:
            return
        selection = self._selection()

        def check(job: Job) -> bool:
            return bool(voice.fits(str(self._models.info(selection)[0])))

        def warn(fits: bool) -> None:
            if not fits:
                self._state.add_log(
                    "warning", f"{name} was made with another encoder: with this one it will not sound like its owner."
                )

        self._pool.submit("Checking the voice", check).succeeded.connect(warn)

    def choose_blend(self, key_a: str, key_b: str, share: float) -> None:
        """Speak in a voice between two ("speaker:NAME" or "saved:NAME"); share 0 is the first, 1 the second."""
        self._choose("blend", key_a, key_b, share)

    def choose_random(self) -> None:
        """Speak in the voice of a person who does not exist."""
        seed, selection = draw_seed(), self._selection()

        def draw(job: Job) -> np.ndarray:
            return self._models.cloner("encoder", selection).random_voice(seed)

        task = self._submit("Drawing a voice", draw)
        task.succeeded.connect(lambda embed: self.choose_embed(f"Random {seed % 10000:04d}", embed))

    def choose_embed(self, name: str, embed: np.ndarray) -> None:
        """Speak in the voice of an embedding (256,) that belongs to no clip."""
        self._choose("random", name, embed)

    def refresh(self) -> None:
        """Work out the voice anew after clips or voices came, went or changed."""
        if not self._source:
            return
        voice = self._resolve()
        old = self._state.voice
        if voice is None or old is None or not _same(voice, old):
            self._state.set_voice(voice)

    def _choose(self, *source: Any) -> None:
        self._source = source
        self.refresh()

    def _clip_updated(self, clip: Any) -> None:
        del clip
        self.refresh()

    def _resolve(self) -> VoiceChoice | None:
        kind = self._source[0]
        if kind == "clip":
            clip = self._state.clip(self._source[1])
            return None if clip is None else VoiceChoice("clip", clip.speaker, clip.embed, (clip.id,))
        if kind == "speaker":
            return self._speaker(self._source[1])
        if kind == "saved":
            voice = self._saved(self._source[1])
            return None if voice is None else VoiceChoice("saved", voice.name, voice.embed)
        if kind == "random":
            return VoiceChoice("random", self._source[1], self._source[2])
        return self._blend(*self._source[1:])

    def _speaker(self, name: str) -> VoiceChoice | None:
        clips = self._state.clips_of(name)
        if not clips:
            return None
        ready = [clip for clip in clips if clip.embed is not None]
        embed = _centroid([clip.embed for clip in ready if clip.embed is not None])
        return VoiceChoice("speaker", name, embed, tuple(clip.id for clip in (ready or clips)))

    def _saved(self, name: str) -> Any:
        return next((voice for voice in self._state.saved_voices if voice.name == name), None)

    def _part(self, key: str) -> VoiceChoice | None:
        kind, _, name = key.partition(":")
        if kind == "speaker":
            return self._speaker(name)
        voice = self._saved(name)
        return None if voice is None else VoiceChoice("saved", voice.name, voice.embed)

    def _blend(self, key_a: str, key_b: str, share: float) -> VoiceChoice | None:
        from toolbox.voices import VoiceError, blend

        a, b = self._part(key_a), self._part(key_b)
        if a is None or b is None:
            return None
        if a.embed is None or b.embed is None:
            embed = None
        else:
            try:
                embed = blend(a.embed, b.embed, share)
            except VoiceError as error:
                self._source = ()
                self._fail("The voices were not blended", error, "")
                return None
        return VoiceChoice("blend", f"{a.name} + {b.name} ({share:.0%})", embed)

    # --- saved voices

    def reload(self) -> None:
        """Read the saved voices again."""
        self._library_job("The saved voices were not read", lambda library: None)

    def save(self, name: str, notes: str, source: str, agreed: bool, overwrite: bool = False) -> None:
        """Keep the current voice under a name."""
        voice, selection = self._state.voice, self._selection()
        if voice is None or voice.embed is None:
            return
        clips = [clip.name for clip in map(self._state.clip, voice.clip_ids) if clip is not None]
        embed = voice.embed

        def store(library: Any) -> None:
            from toolbox.voices import Consent, make_voice

            consent = Consent.given_now() if agreed else Consent()
            encoder = str(self._models.info(selection)[0])
            library.save(
                make_voice(name, embed, notes=notes, source=source, consent=consent, clips=clips, encoder=encoder),
                overwrite=overwrite,
            )

        self._library_job("The voice was not saved", store, f"Saved the voice {name}.")

    def rename(self, name: str, new_name: str) -> None:
        if self._source == ("saved", name):
            self._source = ("saved", new_name)
        self._library_job("The voice was not renamed", lambda library: library.rename(name, new_name))

    def delete(self, name: str) -> None:
        self._library_job("The voice was not deleted", lambda library: library.delete(name), f"Deleted {name}.")

    def import_file(self, path: Path) -> None:
        self._library_job("The voice was not imported", lambda library: library.import_file(path), "Voice imported.")

    def export(self, name: str, path: Path) -> None:
        self._library_job(
            "The voice was not exported", lambda library: library.export(name, path), f"Wrote {name} to {path}."
        )

    def _library_job(self, failure: str, change: Callable[[Any], Any], success: str = "") -> None:
        def work(job: Job) -> Any:
            from toolbox.voices import VoiceLibrary

            library = VoiceLibrary(self._folder)
            change(library)
            return library.scan()

        def show(found: Any) -> None:
            voices, damaged = found
            self._state.set_saved_voices(voices)
            for error in damaged.values():
                self._state.add_log("warning", str(error))
            if success:
                self._state.add_log("info", success)
                self._state.set_status(success)

        task = self._pool.submit("Voices", work)
        task.succeeded.connect(show)
        task.failed.connect(lambda error, details: self._fail(failure, error, details))


def _centroid(embeds: list[np.ndarray]) -> np.ndarray | None:
    if not embeds:
        return None
    mean = np.mean(embeds, axis=0)
    return (mean / max(float(np.linalg.norm(mean)), 1e-8)).astype(np.float32)


def _same(a: VoiceChoice, b: VoiceChoice) -> bool:
    if (a.kind, a.name, a.clip_ids) != (b.kind, b.name, b.clip_ids):
        return False
    if a.embed is None or b.embed is None:
        return a.embed is b.embed
    return a.embed.shape == b.embed.shape and bool(np.array_equal(a.embed, b.embed))
