"""How long a job will still take and how fast sound is made, from its progress; knows no Qt and no job."""

from __future__ import annotations

import time
from collections.abc import Callable

MIN_SECONDS = 0.5
"""Before that, a guess would jump about."""
MIN_SHARE = 0.02


class Estimate:
    """Tell it ``start``, the ``enter`` of a stage, and each ``report`` of progress; then read the figures.

    Args:
        clock: seconds, growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.start()

    def start(self) -> None:
        """A new job begins."""
        self._started = self._stage_started = self._clock()
        self._share = self._stage_share = 0.0
        self._sound_seconds = 0.0

    def enter(self, sound_seconds: float = 0.0) -> None:
        """A new stage begins, which makes so many seconds of sound (0: it makes none)."""
        self._stage_started = self._clock()
        self._stage_share = self._share
        self._sound_seconds = sound_seconds

    def report(self, done: int, total: int) -> None:
        """The job as a whole has come so far."""
        self._share = min(1.0, done / total) if total > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None while that cannot be told."""
        # The stage's own speed, once it has one: stages differ tenfold.
        for started, share in ((self._stage_started, self._stage_share), (self._started, 0.0)):
            elapsed, gained = self._clock() - started, self._share - share
            if elapsed >= MIN_SECONDS and gained >= MIN_SHARE:
                return elapsed / gained * (1.0 - self._share)
        return None

    @property
    def rate(self) -> float | None:
        """Seconds of sound made in a second; None outside of such stages and at their beginning."""
        elapsed, gained = self._clock() - self._stage_started, self._share - self._stage_share
        if not self._sound_seconds or elapsed < MIN_SECONDS or gained < MIN_SHARE:
            return None
        return self._sound_seconds * gained / (VOCODER_END - self._stage_share) / elapsed


VOCODER_END = 0.95
"""Share of a job at which its sound is made; the rest is the comparison with the reference."""
