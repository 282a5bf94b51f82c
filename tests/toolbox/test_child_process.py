"""The other process answers, is kept, dies with a sentence, and never outlives a call that was given up."""

import math
import multiprocessing
import os
import signal
import threading
import time

import pytest

from audio.errors import Cancelled
from toolbox.child_process import ChildFailure, ChildProcess


@pytest.fixture
def child():
    child = ChildProcess("The trial")
    yield child
    child.close()
    assert child.pid is None and not multiprocessing.active_children()


def test_it_answers_raises_and_is_kept(child):
    assert child.pid is None
    assert child.call(math.hypot, 3.0, 4.0) == 5.0
    first = child.call(os.getpid)
    assert first == child.pid != os.getpid()
    with pytest.raises(ValueError, match="math domain"):
        child.call(math.sqrt, -1.0)
    with pytest.raises(RuntimeError, match="pickle"):
        child.call(threading.Lock)
    assert child.call(os.getenv, "NUMBA_NUM_THREADS") == "1"
    if hasattr(os, "nice"):
        assert child.call(os.nice, 0) >= min(19, os.nice(0) + 10)
    assert child.call(os.getpid) == first


def test_its_death_is_a_sentence_and_the_next_call_starts_another(child):
    with pytest.raises(ChildFailure, match="The trial: its process was ended by signal 9"):
        child.call(time.sleep, 60, check=lambda: os.kill(child.pid, signal.SIGKILL))
    assert child.call(math.sqrt, 4.0) == 2.0


def test_giving_up_and_closing_end_it_at_once(child):
    def cancel():
        raise Cancelled

    started = time.monotonic()
    with pytest.raises(Cancelled):
        child.call(time.sleep, 60, check=cancel)
    assert time.monotonic() - started < 5 and child.pid is None
    closer = threading.Timer(0.2, child.close)
    closer.start()
    with pytest.raises(Cancelled):
        child.call(time.sleep, 60)
    closer.join()
    with pytest.raises(Cancelled):
        child.call(math.sqrt, 4.0)
