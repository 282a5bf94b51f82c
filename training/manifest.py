"""The list of what a preprocessing made and dropped, safe against kills; knows no sound and no corpus."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from audio.errors import TrainingError
from training.files import write_text

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.jsonl"
DROPPED_NAME = "dropped.jsonl"


@dataclass(frozen=True)
class ManifestEntry:
    """A preprocessed utterance; its arrays lie beside the manifest under its ``id``."""

    id: str
    speaker: str
    text: str | None = None
    samples: int = 0
    """Length of the wav at the preprocessing's sample rate."""
    frames: int = 0
    """Length of the mel spectrogram."""
    sex: str | None = None
    split: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As one line of the manifest."""
        return asdict(self)


def _parse_lines(data: bytes) -> tuple[list[ManifestEntry], int]:
    """The readable entries, the last one of each id, and the number of lines that are damaged."""
    known = {field.name for field in fields(ManifestEntry)}
    entries: dict[str, ManifestEntry] = {}
    damaged = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            entry = ManifestEntry(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError):
            damaged += 1
            continue
        entries[entry.id] = entry
    return list(entries.values()), damaged


def read_manifest(out: Path | str) -> list[ManifestEntry]:
    """Entries of ``<out>/manifest.jsonl`` sorted by id, whatever the order in which parallel workers finished
    them.

    Lines that a kill cut short are left out with a warning.

    Raises:
        TrainingError: no manifest, or none of its lines is readable.
    """
    path = Path(out) / MANIFEST_NAME
    try:
        entries, damaged = _parse_lines(path.read_bytes())
    except FileNotFoundError:
        raise TrainingError(f"{path} does not exist: run the preprocessing on this folder first.") from None
    if damaged:
        logger.warning("%d damaged lines of %s are left out.", damaged, path)
    if not entries:
        raise TrainingError(f"{path} lists no utterances: run the preprocessing again and read what it dropped.")
    return sorted(entries, key=lambda entry: entry.id)


class ManifestWriter:
    """Appends entries to ``<out>/manifest.jsonl``, going on after those that are there; a context manager.

    What an earlier run left damaged at the end is cut off. Each entry is handed to the system before
    ``write`` returns: write an entry after its arrays, and a killed process loses at most the clip it was at.
    """

    def __init__(self, out: Path | str) -> None:
        self.path = Path(out) / MANIFEST_NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = self.path.read_bytes() if self.path.is_file() else b""
        entries, damaged = _parse_lines(data)
        if damaged or (data and not data.endswith(b"\n")):
            logger.warning("%s was cut short; its %d whole entries are kept.", self.path, len(entries))
            write_text(self.path, "".join(_line(entry) for entry in entries))
        self.done: set[str] = {entry.id for entry in entries}
        self._file: BinaryIO | None = None

    def write(self, entry: ManifestEntry) -> None:
        """Add one entry."""
        if self._file is None:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        # One unbuffered write of a whole line: a kill before or after it leaves no half line.
        self._file.write(_line(entry).encode())
        self.done.add(entry.id)

    def __contains__(self, id: str) -> bool:
        return id in self.done

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _line(entry: ManifestEntry) -> str:
    return json.dumps(entry.to_dict(), ensure_ascii=False) + "\n"


class DropReport:
    """Which utterances a preprocessing left out and why."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []

    def add(self, id: str, reason: str, detail: str = "") -> None:
        """reason: a few words, the same for all such cases; detail: what is particular to this one."""
        self.records.append({"id": id, "reason": reason, "detail": detail})

    @property
    def counts(self) -> Counter[str]:
        """Number of utterances by reason."""
        return Counter(record["reason"] for record in self.records)

    def summary(self, total: int | None = None) -> str:
        """One line a reason, the most frequent first."""
        of = f" of {total}" if total is not None else ""
        if not self.records:
            return f"Nothing{of} was dropped."
        lines = [f"{len(self.records)}{of} dropped:"]
        lines += [f"  {count:6d}  {reason}" for reason, count in self.counts.most_common()]
        return "\n".join(lines)

    def write(self, out: Path | str) -> Path:
        """Write ``<out>/dropped.jsonl``, one record a line, in place of an older one."""
        path = Path(out) / DROPPED_NAME
        write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in self.records))
        return path
