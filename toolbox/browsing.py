"""The corpus browser's work: a folder's datasets, speakers and utterances, listed in a worker; knows no widget."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QObject

from audio.errors import ToolboxError
from toolbox.library import Clip, CorpusIndex
from toolbox.settings import Settings
from toolbox.state import Corpus, ToolboxState
from toolbox.tasks import Job, Task, TaskRunner


class Browsing(QObject):
    """Writes ``state.corpus``.

    Args:
        load: loads a file of a speaker into the clip list.
    """

    def __init__(
        self,
        state: ToolboxState,
        settings: Settings,
        load: Callable[[Path, str], None],
        seed: int | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._settings = settings
        self._load = load
        self._random = random.Random(seed)
        self._runner = TaskRunner("corpus", parent=self)
        self._task: Task | None = None
        self._index: CorpusIndex | None = None
        self._clips: tuple[Clip, ...] = ()

    def shutdown(self) -> bool:
        """Stop the worker; False when it did not stop in time."""
        return self._runner.shutdown(5.0)

    def open(self, root: str | Path) -> None:
        """Browse another folder."""
        index = self._index = CorpusIndex(root)
        self._settings.set("corpus", str(root))
        self._clips = ()
        self._state.set_corpus(Corpus(root=str(root), busy=True))

        def show(datasets: list[str]) -> None:
            self._state.set_corpus(replace(self._state.corpus, datasets=tuple(datasets), busy=False))
            if datasets:
                self.choose_dataset(datasets[0])

        self._ask(index.datasets, show)

    def choose_dataset(self, dataset: str) -> None:
        """List a dataset's speakers."""
        index = self._index
        if index is None:
            return
        self._clips = ()
        corpus = replace(self._state.corpus, dataset=dataset, speakers=(), speaker="", utterances=(), utterance=-1)
        self._state.set_corpus(replace(corpus, busy=True, problem=""))

        def show(speakers: list[str]) -> None:
            self._state.set_corpus(replace(self._state.corpus, speakers=tuple(speakers), busy=False))
            if speakers:
                self.choose_speaker(speakers[0])

        self._ask(lambda progress: index.speakers(dataset, progress), show)

    def choose_speaker(self, speaker: str, utterance: str = "") -> None:
        """List a speaker's utterances, and choose one of them or the first."""
        index, dataset = self._index, self._state.corpus.dataset
        if index is None:
            return
        self._clips = ()
        corpus = replace(self._state.corpus, speaker=speaker, utterances=(), utterance=-1, busy=True, problem="")
        self._state.set_corpus(corpus)

        def show(clips: list[Clip]) -> None:
            self._clips = tuple(clips)
            names = tuple(clip.name for clip in clips)
            at = names.index(utterance) if utterance in names else 0 if names else -1
            self._state.set_corpus(replace(self._state.corpus, utterances=names, utterance=at, busy=False))

        self._ask(lambda progress: index.utterances(dataset, speaker, progress), show)

    def choose_utterance(self, number: int) -> None:
        """Point at an utterance without loading it."""
        if 0 <= number < len(self._clips) and number != self._state.corpus.utterance:
            self._state.set_corpus(replace(self._state.corpus, utterance=number))

    def load_utterance(self, number: int) -> None:
        """Load an utterance, and move on to the next when the user wants that."""
        if not 0 <= number < len(self._clips):
            return
        clip = self._clips[number]
        self._load(clip.path, clip.speaker)
        if self._state.auto_next:
            number = (number + 1) % len(self._clips)
        self._state.set_corpus(replace(self._state.corpus, utterance=number))

    def choose_random(self, level: str) -> None:
        """Draw a "dataset", a "speaker" of the chosen one, or an "utterance" of the chosen speaker."""
        index, corpus = self._index, self._state.corpus
        if index is None or not corpus.datasets:
            return
        dataset = corpus.dataset if level in ("speaker", "utterance") and corpus.dataset else None
        speaker = corpus.speaker if level == "utterance" and corpus.speaker else None
        self._state.set_corpus(replace(corpus, busy=True, problem=""))

        def draw(progress: Callable[[int, int], None]) -> tuple[Clip, list[str]]:
            clip = index.random_clip(self._random, dataset, speaker, progress)
            return clip, index.speakers(clip.dataset, progress)

        def show(drawn: tuple[Clip, list[str]]) -> None:
            clip, speakers = drawn
            self._state.set_corpus(replace(self._state.corpus, dataset=clip.dataset, speakers=tuple(speakers)))
            self.choose_speaker(clip.speaker, clip.name)

        self._ask(draw, show)

    def _ask(self, question: Callable[[Callable[[int, int], None]], Any], show: Callable[[Any], None]) -> None:
        """Ask the index in the worker; an older question that is still open is dropped."""
        if self._task is not None:
            self._task.cancel()

        def work(job: Job) -> Any:
            return question(job.progress)

        self._task = self._runner.submit("Reading the folder", work)
        self._task.succeeded.connect(show)
        self._task.failed.connect(self._failed)

    def _failed(self, error: Exception, details: str) -> None:
        known = isinstance(error, ToolboxError | OSError)
        text = str(error) if known else f"The folder could not be read ({type(error).__name__}: {error})."
        self._state.set_corpus(replace(self._state.corpus, busy=False, problem=text))
        self._state.add_log("warning", text, "" if known else details)
