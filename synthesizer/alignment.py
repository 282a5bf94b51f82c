"""Judges by its attention whether a line was spoken whole and once; knows no text and no sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_SKIP = 6
"""Symbols that attention may jump over at once: short words in fast speech take two or three."""
MAX_BACK = 4
"""Symbols it may fall back: neighbouring symbols often share their weight."""
MAX_HOLD_SECONDS = 1.0
"""The longest that one symbol may be held; pauses at commas stay well under it."""
MAX_MISSING_END = 4
"""Symbols at the end that may go unattended: the end id, the full stop and what the last sound covers."""
MIN_FOCUS = 0.25
"""Mean largest weight of a step; attention that knows where it is has 0.6 or more."""


@dataclass(frozen=True)
class Alignment:
    """What was found in the attention of one line."""

    problems: tuple[str, ...]
    """In words; empty when the line is sound."""
    cost: float
    """0 for a perfect line; of several tries at a line the one with the least is the best."""

    @property
    def ok(self) -> bool:
        return not self.problems


def judge(attention: np.ndarray, stopped: bool, step_seconds: float) -> Alignment:
    """attention (N, L) of N decoder steps of ``step_seconds`` each over L symbols; stopped: by its stop token."""
    steps, length = attention.shape
    focus = float(attention.max(axis=1).mean())
    position = (attention @ np.arange(length)) if steps else np.zeros(1)
    peaks = attention.argmax(axis=1)
    # A single step that looks elsewhere is heard by nobody: what counts is where attention stays.
    path = np.array([int(np.median(peaks[max(0, i - 1) : i + 2])) for i in range(steps)])
    moves = np.diff(path, prepend=0)
    holds = np.bincount(path, minlength=length) * step_seconds
    # Silence after the last word is attention resting at the end, not a symbol held too long.
    held = float(holds[: max(1, length - MAX_MISSING_END)].max())
    missing = length - 1 - int(path.max())
    checks = {
        "words were skipped": (moves.max() - MAX_SKIP) / MAX_SKIP,
        "words were repeated": (-moves.min() - MAX_BACK) / MAX_BACK,
        "a sound was held too long": (held - MAX_HOLD_SECONDS) / MAX_HOLD_SECONDS,
        "the end is missing": (missing - MAX_MISSING_END) / MAX_MISSING_END,
        "it did not come to an end": 0.0 if stopped else 2.0,
        "the alignment is blurred": (MIN_FOCUS - focus) / MIN_FOCUS,
    }
    problems = tuple(name for name, excess in checks.items() if excess > 0)
    backtracking = float(np.clip(-np.diff(position), 0.0, None).sum()) / length
    cost = sum(1.0 + max(0.0, checks[name]) for name in problems) + backtracking + 0.1 * (1.0 - focus)
    return Alignment(problems, cost)
