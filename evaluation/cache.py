"""Results that were computed once, kept across runs and kills; knows nothing of what they mean."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from training.parallel import run_parallel

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
Value = dict[str, Any]
Progress = Callable[[int, int], None]

DEFAULT_FOLDER = Path("runs/evaluation")
FILE_NAME = "results.jsonl"


def cache_key(*parts: Any) -> str:
    """A name for what is computed of ``parts``, plain values all of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Cache:
    """Key -> value in ``folder/results.jsonl``, one line each, appended as soon as it is known.

    A line that a kill cut short is left out; its value is computed again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._values: dict[str, Value] = {}
        data = self.path.read_bytes() if self.path.is_file() else b""
        for line in data.split(b"\n"):
            try:
                entry = json.loads(line)
                self._values[entry["key"]] = entry["value"]
            except (ValueError, TypeError, KeyError):
                continue
        self._torn = bool(data) and not data.endswith(b"\n")

    def get(self, key: str) -> Value | None:
        """The value, or None when it is not known."""
        return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        """Keep a value; it is with the system when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "value": value}).encode() + b"\n"
        # One unbuffered write of a whole line, on a line of its own.
        with open(self.path, "ab", buffering=0) as file:
            file.write(b"\n" + line if self._torn else line)
        self._torn = False
        self._values[key] = value


def compute(
    cache: Cache,
    work: Callable[[ItemT], Value],
    items: Sequence[ItemT],
    keys: Sequence[str],
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> list[Value | None]:
    """``work`` of each item, from the cache where it is known; None where it failed, which the log says.

    Args:
        work: a function of a module or a functools.partial of one, for worker processes.
        keys: see ``cache_key``; one an item.
        progress: called with (items done, items that were not known); may raise ``Cancelled``.
    """
    todo = {name: item for name, item in zip(keys, items, strict=True) if cache.get(name) is None}
    names = {id(item): name for name, item in todo.items()}
    for outcome in run_parallel(work, list(todo.values()), processes, progress):
        if outcome.error is not None:
            logger.warning("%s: %s", outcome.item, outcome.error)
        elif outcome.value is not None:
            cache.put(names[id(outcome.item)], outcome.value)
    return [cache.get(name) for name in keys]
