"""Work beside the Qt thread: queues of tasks with progress and cancel; knows no model, no audio and no widget.

    task = runner.submit("Loading", lambda job: load(path, progress=job.progress))
    task.succeeded.connect(show)

Every signal of a task is sent on the thread that the runner lives on (the Qt thread). After ``cancel`` a task sends
``cancelled`` and nothing else, whatever its function still does.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from PyQt5.QtCore import QObject, pyqtSignal

from audio.errors import Cancelled

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.05
"""Progress reports reach the Qt thread at most this often: a vocoder makes thousands a second."""
YIELD_SECONDS = 0.0005
"""A sleep in each report of progress lets the Qt thread take the interpreter's lock."""


class Job:
    """What the function of a task receives. Its methods are called on the worker's thread."""

    def __init__(self, deliver: Callable[[str, Any], None]) -> None:
        self.deliver = deliver
        self._cancel = threading.Event()
        self._last = 0.0

    @property
    def is_cancelled(self) -> bool:
        return self._cancel.is_set()

    def check(self) -> None:
        """Raises Cancelled when the task has been cancelled."""
        if self._cancel.is_set():
            raise Cancelled

    def progress(self, done: int, total: int) -> None:
        """Tell how far the work is. Raises Cancelled when the task has been cancelled."""
        self.check()
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS or done >= total:
            self._last = now
            self.deliver("progress", (done, total))
            time.sleep(YIELD_SECONDS)

    def send(self, partial: Any) -> None:
        """Hand over a part of the result before the rest is ready. Raises Cancelled as ``progress`` does."""
        self.check()
        self.deliver("partial", partial)

    def cancel(self) -> None:
        """Make the next report raise Cancelled."""
        self._cancel.set()


class Task(QObject):
    """A piece of work in a runner's queue. Used on the Qt thread only; the worker sees its job and its function."""

    started = pyqtSignal()
    progressed = pyqtSignal(int, int)
    partial = pyqtSignal(object)
    succeeded = pyqtSignal(object)
    failed = pyqtSignal(object, str)
    """Exception and traceback."""
    cancelled = pyqtSignal()
    finished = pyqtSignal()
    """After succeeded, failed or cancelled."""

    def __init__(self, title: str, job: Job, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self.is_done = False
        self._job = job

    def cancel(self) -> None:
        """Stop the work: ``cancelled`` is sent now, the function ends at its next report."""
        if not self.is_done:
            self._job.cancel()
            self.receive("cancelled", None)

    def receive(self, kind: str, value: Any) -> None:
        """Turn what the worker said into a signal; nothing after the end."""
        if self.is_done:
            return
        if kind == "started":
            self.started.emit()
        elif kind == "progress":
            self.progressed.emit(*value)
        elif kind == "partial":
            self.partial.emit(value)
        else:
            self.is_done = True
            if kind == "result":
                self.succeeded.emit(value)
            elif kind == "error":
                self.failed.emit(*value)
            else:
                self.cancelled.emit()
            self.finished.emit()
            # Frees what is connected: a slot that holds its sender is a cycle that Python cannot see.
            self.deleteLater()


class TaskRunner(QObject):
    """A queue of tasks and the threads that work on it; with one thread, tasks run one after the other.

    The threads start with the first task and stop at ``shutdown``.
    """

    _delivered = pyqtSignal(int, str, object)

    def __init__(self, name: str, threads: int = 1, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._size = threads
        self._queue: queue.SimpleQueue[tuple[str, Job, Callable[[Job], Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._tasks: dict[int, Task] = {}
        self._count = 0
        self._closed = False
        # Emitted by the workers, received here: Qt carries it over to this object's thread.
        self._delivered.connect(self._receive)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that are not done, the oldest first."""
        return tuple(self._tasks.values())

    def submit(self, title: str, function: Callable[[Job], Any]) -> Task:
        """Queue ``function(job)``; connect to the task's signals at once, before the event loop runs again."""
        if self._closed:
            raise RuntimeError(f"the runner {self._name} has been shut down")
        self._count += 1
        number = self._count
        job = Job(lambda kind, value: self._deliver(number, kind, value))
        task = Task(title, job, self)
        self._tasks[number] = task
        task.finished.connect(lambda: self._forget(number))
        if len(self._threads) < self._size:
            # Daemons: a thread stuck in an import or a driver must not keep the process from ending.
            thread = threading.Thread(
                target=self._work, name=f"toolbox-{self._name}-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._queue.put((title, job, function))
        return task

    def cancel_all(self) -> None:
        """Cancel every task that waits or runs."""
        for task in self.tasks:
            task.cancel()

    def shutdown(self, seconds: float = 10.0) -> bool:
        """Cancel everything and end the threads; False when one did not stop in time."""
        self._closed = True
        self.cancel_all()
        for _ in self._threads:
            self._queue.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        for name in stuck:
            log.warning("%s did not stop within %.0f s", name, seconds)
        return not stuck

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            _run(*item)
            del item  # A waiting thread must not keep the last task's arrays.

    def _forget(self, number: int) -> None:
        self._tasks.pop(number, None)

    def _deliver(self, number: int, kind: str, value: Any) -> None:
        try:
            self._delivered.emit(number, kind, value)
        except RuntimeError:  # The window, and with it this object, is gone.
            log.debug("%s: %s came after the end", self._name, kind)

    def _receive(self, number: int, kind: str, value: Any) -> None:
        if number in self._tasks:
            self._tasks[number].receive(kind, value)


def _run(title: str, job: Job, function: Callable[[Job], Any]) -> None:
    if job.is_cancelled:
        return
    job.deliver("started", None)
    try:
        job.deliver("result", function(job))
    except Cancelled:
        job.deliver("cancelled", None)
    except Exception as error:
        # The edge of a thread: whatever broke is reported, and the thread lives on for the next task.
        log.debug("%s failed", title, exc_info=True)
        job.deliver("error", (error, traceback.format_exc()))
