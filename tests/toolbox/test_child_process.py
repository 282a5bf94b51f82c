"""The other process answers, is kept, dies with a sentence, and never outlives a call that was given up."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audio.errors import Cancelled
from toolbox.child_process import ChildFailure, ChildProcess

REPOSITORY = Path(__file__).resolve().parents[2]


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


STARTED = """
import runpy, sys
from toolbox import window
from toolbox.child_process import ChildProcess

def look(*_):
    child = ChildProcess("The trial")
    heavy = "[name for name in ('PyQt5', 'torch', 'librosa', 'umap') if name in __import__('sys').modules]"
    print(child.call(eval, heavy), child.call(eval, "__import__('toolbox.projection').projection._umap.__name__"))
    child.close()
    return 0

window.main = look
sys.argv = {argv!r}
{start}
"""


@pytest.mark.parametrize(
    ("argv", "start"),
    [
        (["demo_toolbox.py"], "runpy.run_path('demo_toolbox.py', run_name='__main__')"),
        (["toolbox", "run"], "runpy.run_module('toolbox', run_name='__main__', alter_sys=True)"),
    ],
)
def test_it_starts_however_the_program_was_started_and_loads_nothing_heavy(argv, start):
    code = STARTED.format(argv=argv, start=start)
    environment = {**os.environ, "DISPLAY": ":none"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[] _umap", "")


LEAVING = """
import multiprocessing, signal
from toolbox.child_process import _serve

ours, theirs = multiprocessing.Pipe()
ours.close()
_serve(theirs)
signal.raise_signal(signal.SIGTERM)
print("ended by itself")
"""


def test_a_process_that_is_already_ending_is_not_disturbed_when_it_is_asked_to_end():
    done = subprocess.run([sys.executable, "-c", LEAVING], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ended by itself\n", "")
