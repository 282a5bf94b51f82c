"""Keeps the map of utterances, the table of speakers and the scores of results, in workers; knows no widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PyQt5.QtCore import QObject, QTimer

from toolbox.child_process import ChildProcess
from toolbox.state import Clip, Point, ProjectionMap, Result, SimilarityTable, ToolboxState
from toolbox.tasks import Job, Task, TaskRunner

PLACE_DELAY_MS = 40
"""Changes that come together, as with a dropped folder, are placed together."""
FIT_DELAY_MS = 1500


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """What a worker needs of the state; arrays are never written to."""

    clips: tuple[Clip, ...]
    results: tuple[Result, ...]
    voice: np.ndarray | None
    saved: tuple[Any, ...]

    @property
    def items(self) -> list[Clip | Result]:
        """Everything that is on the map."""
        return [*self.clips, *self.results]

    @property
    def embeds(self) -> np.ndarray:
        """(N, 256) of the clips, then of the results."""
        rows = [item.embed for item in self.items if item.embed is not None]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Placed:
    coords: np.ndarray
    method: str
    table: SimilarityTable
    scores: dict[int, Any]
    snapshot: _Snapshot


class Comparison(QObject):
    """Writes ``state.projection``, ``state.similarity`` and the results' scores.

    New points are placed at once in the last picture; a new picture is fitted when nothing has changed for a while.
    """

    def __init__(
        self,
        state: ToolboxState,
        fail: Callable[[str, Exception, str], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        from toolbox.projection import Projector

        self._state = state
        self._fail = fail
        self._child = ChildProcess("UMAP")
        self._projector = Projector(run=self._child.call)
        # A first UMAP fit compiles for seconds: it must not hold up the placing of points.
        self._places = TaskRunner("places", parent=self)
        self._fits = TaskRunner("fits", parent=self)
        self._fit: Task | None = None
        self._place_timer = self._timer(PLACE_DELAY_MS, self._place)
        self._fit_timer = self._timer(FIT_DELAY_MS, self._refit_when_idle)
        for signal in (state.clips_changed, state.clip_updated, state.results_changed, state.result_updated,
                       state.saved_voices_changed):
            signal.connect(lambda *_: self._changed())
        state.voice_changed.connect(lambda *_: self._place_timer.start())
        self._known: tuple[Any, ...] = ()

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def clear(self) -> None:
        """Forget the picture: embeddings of another encoder have nothing to do with it."""
        if self._fit is not None:
            self._fit.cancel()
        self._projector.clear()
        self._changed()

    def _refit_when_idle(self) -> None:
        # UMAP compiles itself for seconds: a clone beside it would take longer.
        if self._state.activity is None:
            self.refit()
        else:
            self._fit_timer.start()

    def refit(self) -> None:
        """Fit a new picture in the background."""
        snapshot = self._snapshot()
        embeds = snapshot.embeds
        if len(embeds) < 2 or self._fit is not None:
            return
        known = self._points_of(snapshot)

        def work(job: Job) -> None:
            self._projector.fit(embeds, job.progress)

        self._fit = self._fits.submit("Fitting the map", work)
        self._show(fitting=True)
        self._fit.succeeded.connect(lambda _: self._fitted(known))
        self._fit.failed.connect(self._fit_failed)
        self._fit.finished.connect(self._fit_over)

    def shutdown(self) -> bool:
        """Stop the workers; False when one did not stop in time."""
        self._place_timer.stop()
        self._fit_timer.stop()
        stopped = all([self._places.shutdown(2.0), self._fits.shutdown(5.0)])
        self._child.close()
        return stopped

    def _changed(self) -> None:
        points = self._points_of(self._snapshot())
        if points != self._known:
            self._known = points
            self._fit_timer.start()
        self._place_timer.start()

    @staticmethod
    def _points_of(snapshot: _Snapshot) -> tuple[Any, ...]:
        return tuple((item.id, id(item.embed)) for item in snapshot.items)

    def _fitted(self, known: tuple[Any, ...]) -> None:
        self._place_timer.start()
        if known != self._known:
            self._fit_timer.start()

    def _fit_failed(self, error: Exception, details: str) -> None:
        self._place_timer.start()
        self._fail("The map was not fitted", error, details)

    def _fit_over(self) -> None:
        self._fit = None
        self._show(fitting=False)

    def _snapshot(self) -> _Snapshot:
        voice = self._state.voice
        clips = tuple(clip for clip in self._state.clips if clip.embed is not None)
        size = None if not clips or clips[-1].embed is None else clips[-1].embed.shape
        results = tuple(r for r in self._state.results if r.embed is not None and size in (None, r.embed.shape))
        return _Snapshot(clips, results, None if voice is None else voice.embed, self._state.saved_voices)

    def _place(self) -> None:
        if self._places.tasks:
            self._place_timer.start()
            return
        snapshot = self._snapshot()
        task = self._places.submit("Placing", lambda job: _placed(self._projector, snapshot))
        task.succeeded.connect(self._show_placed)
        task.failed.connect(lambda error, details: self._fail("The comparison was not updated", error, details))

    def _show_placed(self, placed: _Placed) -> None:
        points = tuple(
            Point(
                "clip" if isinstance(item, Clip) else "result", item.id, item.speaker, item.name,
                float(x), float(y), _cosine(item.embed, placed.snapshot.voice),
            )
            for item, (x, y) in zip(placed.snapshot.items, placed.coords, strict=True)
        )
        self._state.set_projection(ProjectionMap(points, placed.method, self._fit is not None))
        self._state.set_similarity(placed.table)
        for result_id, score in placed.scores.items():
            result = self._state.result(result_id)
            if result is not None and result.score != score:
                self._state.update_result(result_id, score=score)

    def _show(self, fitting: bool) -> None:
        now = self._state.projection
        if now.fitting != fitting:
            self._state.set_projection(ProjectionMap(now.points, now.method, fitting))


def _placed(projector: Any, snapshot: _Snapshot) -> _Placed:
    from toolbox.projection import speaker_similarity

    embeds = snapshot.embeds
    coords = projector.add(embeds) if len(embeds) else np.zeros((0, 2), dtype=np.float32)
    speakers = [clip.speaker for clip in snapshot.clips]
    names, matrix = speaker_similarity(embeds[: len(speakers)], speakers)
    table = SimilarityTable(tuple(names), matrix)
    scores = {result.id: _score(result, snapshot) for result in snapshot.results}
    return _Placed(
        coords, projector.method.upper(), table, {key: s for key, s in scores.items() if s is not None}, snapshot
    )


def _score(result: Result, snapshot: _Snapshot) -> Any:
    """CloneScore of a result, or None when its reference is not known any more."""
    from toolbox.projection import judge_clone

    assert result.embed is not None
    size, voice = result.embed.shape, result.take.voice
    own = [clip for clip in snapshot.clips if clip.id in voice.clip_ids]
    if voice.clip_ids and len(own) < len(voice.clip_ids):
        return result.score
    references = [clip.embed for clip in own] if own else [voice.embed]
    others: dict[str, Any] = {}
    for clip in snapshot.clips:
        if clip.speaker != voice.name and clip.id not in voice.clip_ids:
            others.setdefault(clip.speaker, []).append(clip.embed)
    for saved in snapshot.saved:
        if saved.name != voice.name:
            others.setdefault(saved.name, [saved.embed])
    others = {name: embeds for name, embeds in others.items() if all(e.shape == size for e in embeds)}
    if any(embed is None or embed.shape != size for embed in references):
        return None
    partials = own[0].partials if len(own) == 1 else None
    return judge_clone(result.embed, np.stack([e for e in references if e is not None]), others, partials)


def _cosine(a: np.ndarray | None, b: np.ndarray | None) -> float | None:
    if a is None or b is None or a.shape != b.shape:
        return None
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-8))
