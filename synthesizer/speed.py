"""How fast a text is said and may be said, to be known without loading a network."""

from __future__ import annotations

from audio.errors import TextError

CHARS_PER_SECOND = 14.0
"""Of readers, pauses included; a guess where a voice's own pace is not known."""
SPEEDS = (0.5, 2.0)
"""The slowest and the fastest, as a multiple of the usual speed."""


def check_speed(speed: float) -> None:
    """Raises TextError when the speed is out of ``SPEEDS``."""
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise TextError(f"The speed must be between {SPEEDS[0]} and {SPEEDS[1]}, not {speed}; 1 is as usual.")
