"""Helpers around a training loop: stopping on signals, loading a batch ahead; knows no task and no files."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

logger = logging.getLogger(__name__)


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into ``requested``; a second Ctrl-C interrupts at once.

    Outside of the main thread, where Python allows no handlers, ``requested`` stays False.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, _frame: object) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        logger.info("%s: finishing the step and saving.", signal.Signals(number).name)

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class Prefetcher:
    """Computes ``load(step + 1)`` in one background thread while step ``step`` is in use."""

    def __init__(self, load: Callable[[int], Any], first: int, last: int) -> None:
        self._load = load
        self._last = last
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._future: Future = self._pool.submit(load, first)

    def get(self, step: int) -> Any:
        """The batch of ``step``, which must be the one after the last; raises what loading it raised."""
        batch = self._future.result()
        if step + 1 < self._last:
            self._future = self._pool.submit(self._load, step + 1)
        return batch

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
