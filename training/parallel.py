"""Runs a function over many items in worker processes, outliving failed items and dead workers."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from audio.errors import Cancelled, TrainingError

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_MAX_DEATHS = 4
WORKER_DIED = "the worker process died"


@dataclass(frozen=True)
class Outcome(Generic[ItemT, ValueT]):
    """What became of an item: ``value`` when ``error`` is None, else the exception that it raised."""

    item: ItemT
    value: ValueT | None = None
    error: Exception | None = None


def run_parallel(
    fn: Callable[[ItemT], ValueT],
    items: Iterable[ItemT],
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome[ItemT, ValueT]]:
    """Outcomes of ``fn(item)`` for each item, in the order in which they are done.

    fn: a function of a module (or a functools.partial of one), so that it can be sent to another process.
    processes: 0 for one a core; 1 stays in this process. Workers use one thread each and leave Ctrl-C to this
    process. An item that raises is reported, not fatal; so is one that kills its worker, after the others
    that were under way then.

    Raises:
        Cancelled: from ``progress(done, total)``, after stopping the workers.
        TrainingError: the workers die whatever they are given.
    """
    todo = list(items)
    processes = processes or os.cpu_count() or 1
    outcomes = _in_this_process(fn, todo) if min(processes, len(todo)) <= 1 else _in_pool(fn, todo, processes)
    # Closed even when the consumer stops early, so that no worker is left behind.
    with contextlib.closing(outcomes):
        for done, outcome in enumerate(outcomes, 1):
            yield outcome
            if progress is not None:
                progress(done, len(todo))


def _attempt(fn: Callable[[ItemT], ValueT], item: ItemT) -> Outcome[ItemT, ValueT]:
    try:
        return Outcome(item, value=fn(item))
    except Cancelled:
        raise
    except Exception as error:  # the edge of the work on one item: a bad file must not end the others' work
        logger.debug("Item failed", exc_info=True)
        return Outcome(item, error=error)


def _in_this_process(
    fn: Callable[[ItemT], ValueT], items: list[ItemT]
) -> Generator[Outcome[ItemT, ValueT], None, None]:
    for item in items:
        yield _attempt(fn, item)


def _in_worker(fn: Callable[[ItemT], ValueT], item: ItemT) -> ValueT:
    try:
        return fn(item)
    except Exception as error:  # the edge of a process
        # An exception that cannot be rebuilt on the other side would be taken for the death of the worker.
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    # Read when a child loads its numerical libraries: too late for this process, early enough for the
    # workers.
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _in_pool(
    fn: Callable[[ItemT], ValueT], items: list[ItemT], processes: int
) -> Generator[Outcome[ItemT, ValueT], None, None]:
    todo = deque(items)
    deaths = 0
    with _single_threaded_children():
        while todo:
            suspects = yield from _until_broken(fn, todo, processes)
            # One of those under way killed its worker. Each goes alone now, so that only the culprit is
            # reported.
            for item in suspects:
                deaths = deaths + 1 if (yield from _until_broken(fn, deque([item]), 1)) else 0
                if deaths:
                    yield Outcome(item, error=RuntimeError(WORKER_DIED))
                if deaths == _MAX_DEATHS:
                    raise TrainingError(
                        f"{deaths} worker processes died one after the other: free some memory, or work "
                        "with one process, which shows what is wrong."
                    )


def _until_broken(
    fn: Callable[[ItemT], ValueT], todo: deque[ItemT], processes: int
) -> Generator[Outcome[ItemT, ValueT], None, list[ItemT]]:
    """Work ``todo`` off in one pool; returns the items that were under way when a worker died."""
    # spawn: forking a process that has OpenMP or audio threads can hang the child.
    pool = ProcessPoolExecutor(
        min(processes, len(todo)), multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    running: dict[Future, ItemT] = {}
    suspects: list[ItemT] = []
    try:
        while (todo and not suspects) or running:
            # A few ahead keep the workers busy; all at once would hold every item's pickle in memory.
            while todo and not suspects and len(running) < 2 * processes:
                try:
                    future = pool.submit(_in_worker, fn, todo[0])
                except BrokenProcessPool:
                    if not running:
                        suspects.append(todo.popleft())
                    break
                running[future] = todo.popleft()
            for future in wait(list(running), return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    suspects.append(item)
                elif error is None:
                    yield Outcome(item, value=future.result())
                elif isinstance(error, Exception):
                    yield Outcome(item, error=error)
                else:
                    raise error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return suspects
