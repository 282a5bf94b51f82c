"""Tasks: signals on the Qt thread, cancel at once, no late results, threads that end."""

import threading
import time

import pytest

from audio.errors import Cancelled
from toolbox.tasks import TaskRunner


@pytest.fixture
def runner(qapp):
    runner = TaskRunner("test")
    yield runner
    assert runner.shutdown(5)


def test_result_and_progress_arrive_on_the_qt_thread(runner, qtbot):
    here, seen = threading.current_thread(), []

    def work(job):
        job.progress(1, 2)
        job.send("part")
        return threading.current_thread()

    task = runner.submit("work", work)
    task.progressed.connect(lambda done, total: seen.append((done, total, threading.current_thread())))
    task.partial.connect(lambda part: seen.append((part, threading.current_thread())))
    with qtbot.waitSignal(task.succeeded) as blocker:
        pass
    assert blocker.args[0] is not here
    assert seen == [(1, 2, here), ("part", here)]
    assert task.is_done and runner.tasks == ()


def test_cancel_is_felt_at_once_and_nothing_comes_after_it(runner, qtbot):
    stopped = threading.Event()
    seen = []

    def work(job):
        try:
            while True:
                job.progress(1, 100)
                time.sleep(0.005)
        except Cancelled:
            stopped.set()
            raise

    task = runner.submit("long", work)
    task.succeeded.connect(seen.append)
    task.failed.connect(lambda *args: seen.append(args))
    with qtbot.waitSignal(task.progressed):
        pass
    started = time.monotonic()
    with qtbot.waitSignal(task.cancelled):
        task.cancel()
    assert stopped.wait(0.5) and time.monotonic() - started < 0.5
    task.progressed.connect(lambda *args: seen.append(args))
    following = runner.submit("next", lambda job: "usable")
    with qtbot.waitSignal(following.succeeded) as blocker:
        pass
    assert blocker.args == ["usable"] and seen == []


def test_a_result_that_ignores_the_cancel_is_dropped(runner, qtbot):
    release, seen = threading.Event(), []
    task = runner.submit("deaf", lambda job: release.wait(5))
    task.succeeded.connect(seen.append)
    with qtbot.waitSignal(task.started):
        pass
    task.cancel()
    release.set()
    with qtbot.waitSignal(runner.submit("next", lambda job: 1).succeeded):
        pass
    assert seen == []


def test_a_waiting_task_can_be_cancelled_before_it_starts(runner, qtbot):
    release, ran = threading.Event(), []
    first = runner.submit("first", lambda job: release.wait(5))
    second = runner.submit("second", lambda job: ran.append(1))
    second.cancel()
    release.set()
    with qtbot.waitSignal(first.succeeded):
        pass
    with qtbot.waitSignal(runner.submit("third", lambda job: 1).succeeded):
        pass
    assert ran == []


def test_an_error_comes_with_its_traceback_and_the_thread_lives_on(runner, qtbot):
    def broken(job):
        raise ValueError("no such luck")

    with qtbot.waitSignal(runner.submit("broken", broken).failed) as blocker:
        pass
    error, details = blocker.args
    assert isinstance(error, ValueError) and "broken" in details
    with qtbot.waitSignal(runner.submit("next", lambda job: 1).succeeded):
        pass


def test_progress_is_thinned_out(runner, qtbot):
    seen = []

    def chatty(job):
        for done in range(20000):
            job.progress(done, 20000)

    task = runner.submit("chatty", chatty)
    task.progressed.connect(lambda done, total: seen.append(done))
    with qtbot.waitSignal(task.succeeded, timeout=20000):
        pass
    assert 1 <= len(seen) < 200


def test_shutdown_ends_the_threads_and_cancels_what_waits(qapp):
    runner = TaskRunner("closing", threads=2)
    cancelled = []
    for _ in range(4):
        task = runner.submit("spin", lambda job: [job.progress(0, 1) or time.sleep(0.01) for _ in range(10000)])
        task.cancelled.connect(lambda: cancelled.append(1))
    assert runner.shutdown(5)
    assert len(cancelled) == 4
    assert not [t for t in threading.enumerate() if t.name.startswith("toolbox-closing")]
    with pytest.raises(RuntimeError):
        runner.submit("late", lambda job: 1)


def test_finished_tasks_are_freed_though_their_slots_hold_them(runner, qtbot):
    import gc
    import weakref

    task = runner.submit("work", lambda job: 1)
    task.succeeded.connect(lambda value, held=task: held.title)
    gone = weakref.ref(task)
    with qtbot.waitSignal(task.finished):
        pass
    del task  # What is left is the slot that holds its sender.

    def collected():
        gc.collect()
        assert gone() is None

    qtbot.waitUntil(collected, timeout=3000)
