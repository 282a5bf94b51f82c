"""A process beside this one that computes what would hold up the window; knows nothing of what it computes.

    child = ChildProcess("The map")
    value = child.call(function, argument, check=job.check)      # on a worker's thread
    child.close()

Python code that computes for seconds holds the interpreter's lock for up to hundreds of milliseconds at a time, as
numba does when it compiles; a window in the same process stands still meanwhile.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from audio.errors import Cancelled, ToolboxError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
POLITE_SECONDS = 2.0
STOP_SECONDS = 2.0
NICENESS = 10
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class ChildFailure(ToolboxError):
    """The other process ended before it had answered, or could not be started."""


class ChildProcess:
    """One spawned process, started by the first ``call`` and kept for the next ones.

    It ends with ``close``, when a call is given up, and with this process, however that ends. ``call`` and
    ``close`` may come from any thread; one call runs at a time.

    Args:
        name: of the work, to begin a sentence with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: Any = None
        self._pipe: Any = None
        self._calls = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    def call(self, function: Callable[..., Any], *args: Any, check: Callable[[], object] = lambda: None) -> Any:
        """``function(*args)`` of a module's top level in the other process; what it raises is raised here.

        Args:
            check: called 20 times a second; what it raises (``Cancelled``) ends the other process.

        Raises:
            ChildFailure: the process was killed or could not be started; the next call starts another.
            Cancelled: ``close`` was called.
        """
        with self._calls:
            answered = False
            try:
                pipe = self._started()
                pipe.send((function, args))
                while not pipe.poll(POLL_SECONDS):
                    check()
                    if self._closed:
                        raise Cancelled
                error, value = pipe.recv()
                answered = True
            except (EOFError, OSError) as broken:
                if self._closed:
                    raise Cancelled from broken
                raise ChildFailure(f"{self._name}: {self._end()}; try it again.") from broken
            finally:
                if not answered:
                    self._stop()
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the process for good; a call that waits raises Cancelled."""
        self._closed = True
        with self._calls:
            self._stop()

    def _started(self) -> Connection:
        if self._closed:
            raise Cancelled
        if self._process is not None and not self._process.is_alive():
            self._stop()
        if self._process is None:
            # Not forked: torch's and Qt's threads and locks do not survive that.
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), name=self._name, daemon=True)
            try:
                process.start()
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._process, self._pipe = process, ours
            log.debug("%s runs in the process %s", self._name, process.pid)
        pipe: Connection = self._pipe
        return pipe

    def _end(self) -> str:
        """Why there was no answer."""
        if self._process is None:
            return "its process could not be started"
        self._process.join(STOP_SECONDS)
        code = self._process.exitcode
        return f"its process was ended by signal {-code}" if code is not None and code < 0 else "its process ended"

    def _stop(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is None:
            return
        # Asked first: what it has named in the system, such as tqdm's lock, would outlive a process that is killed.
        pipe.close()
        if process.is_alive():
            process.terminate()
            process.join(POLITE_SECONDS)
        process.kill()
        process.join(STOP_SECONDS)
        if process.exitcode is not None:
            process.close()


def _serve(pipe: Connection) -> None:
    """The other process: answer calls until the pipe is closed."""
    for name in THREADS:
        os.environ[name] = "1"
    # Ctrl-C in a terminal reaches every process there; ours is ended by the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serving = True

    def terminated(*_: Any) -> None:
        # Once the process is ending by itself, an exit would be raised in the middle of Python's own shutdown.
        if serving:
            sys.exit(0)

    signal.signal(signal.SIGTERM, terminated)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        _answer_calls(pipe)
    finally:
        serving = False


def _answer_calls(pipe: Connection) -> None:
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        answer: tuple[Exception | None, Any] = (None, None)
        try:
            answer = (None, function(*args))
        except Exception as error:  # The edge of a process: whatever broke is reported.
            error.add_note(traceback.format_exc())
            answer = (error, None)
        try:
            pipe.send(answer)
        except OSError:
            return
        except Exception as error:  # Not every exception or value can be pickled.
            pipe.send((RuntimeError(f"{type(answer[0] or error).__name__}: {answer[0] or error}"), None))
