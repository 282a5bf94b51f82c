"""Brings a window through a story of steps, as a user would; knows neither the story nor the window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

Story = Iterator[Any]
"""Does something, yields a function that is true when the next thing can be done, does that."""
STEP_MS = 20


class StoryStopped(Exception):
    """The window did not get to where the story waits."""


def drive(program: Any, story: Story, seconds: float = 900.0) -> None:
    """Run the event loop of a ``toolbox.window.Program`` until the story is over.

    What the story raises is raised here. Raises StoryStopped when one step has taken ``seconds``.
    """
    from PyQt5.QtCore import QTimer

    wanted: list[Callable[[], Any]] = [lambda: True]
    deadline = [time.monotonic() + seconds]
    failure: list[BaseException] = []

    def advance() -> None:
        try:
            if wanted[0]():
                wanted[0] = next(story)
                deadline[0] = time.monotonic() + seconds
            elif time.monotonic() > deadline[0]:
                last = program.state.log[-1].text if program.state.log else "nothing"
                raise StoryStopped(f"the window did not get there in {seconds:.0f} s; it said last: {last}")
        except StopIteration:
            end()
        except BaseException as error:  # An exception in a slot would end the process.
            failure.append(error)
            end()

    def end() -> None:
        timer.stop()
        program.app.quit()

    timer = QTimer(program.window)
    timer.setInterval(STEP_MS)
    timer.timeout.connect(advance)
    timer.start()
    program.app.exec_()
    if failure:
        raise failure[0]


def pause(seconds: float) -> Callable[[], bool]:
    """What a story waits for when it only waits."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
