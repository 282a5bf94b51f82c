"""Functions that worker processes run in the tests; importing it is quick."""

import os
import signal


class PickyError(Exception):
    """Cannot be rebuilt from its arguments, so it does not survive the way between processes."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def square(number):
    if number == 3:
        raise ValueError("three is bad")
    if number == 5:
        raise PickyError("five", "is worse")
    return number * number


def fragile(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def thread_setting(_item):
    return os.environ["OMP_NUM_THREADS"], signal.getsignal(signal.SIGINT) == signal.SIG_IGN
