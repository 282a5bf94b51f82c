"""How work beside the window tells of itself; knows no Qt and no work."""

from __future__ import annotations

from typing import Any, Protocol


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
