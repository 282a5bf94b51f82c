"""Keeps on disk what a crash must not take: text, voices, clips and generated sound; knows no window and no model.

    store = SessionStore(user_data_dir() / "sessions")
    crashed = store.recover()          # None, or what an earlier run left
    report = store.save(session)       # in a worker, after each change that matters
    store.discard_recovered()          # once the user has it back, or does not want it
    store.close()                      # a clean exit leaves nothing behind
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audio.errors import ToolboxError
from models.environment import program_data_dir
from toolbox.voices import Voice, VoiceError, voice_from_dict, voice_to_dict

log = logging.getLogger(__name__)

DATA_VARIABLE = "VOICE_TOOLBOX_DATA"
_STATE = "session.json"
_LOCK = "lock"
FORMAT = 1
MAX_BYTES = 256 << 20
"""Sound on disk per session: two hours at 16 kHz."""
MAX_TEXT = 1_000_000
KEPT_SESSIONS = 3
"""Crashed sessions that wait to be recovered; older ones go."""
_LOCK_OFFSET = 1 << 20
"""Windows keeps others from reading a locked byte, and the process id at the start is there to be read."""


class SessionError(ToolboxError):
    """The session cannot be kept; the work itself goes on."""


@dataclass(frozen=True)
class SavedSound:
    """A clip or a result."""

    name: str
    speaker: str = ""
    path: str = ""
    """The user's own file, which is not copied; "" for what was recorded or generated."""
    wav: np.ndarray | None = field(default=None, compare=False, repr=False)
    """(S,) of what has no file of its own."""
    sample_rate: int = 16000
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Provenance of generated sound; it is written into the kept wav too."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that JSON holds, such as a score."""


@dataclass(frozen=True)
class Session:
    """What is on the desk; the latest comes last in each tuple."""

    text: str = ""
    voices: tuple[Voice, ...] = ()
    """Voices in use, saved or not."""
    clips: tuple[SavedSound, ...] = ()
    results: tuple[SavedSound, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that JSON holds: seed, models, the chosen clip."""
    saved: str = ""
    """ISO 8601, set by ``save``."""
    lost: tuple[str, ...] = ()
    """After ``recover``: what could not be read again, a sentence each."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anybody would miss."""
        return not (self.text.strip() or self.voices or self.clips or self.results)


@dataclass(frozen=True)
class SaveReport:
    """What ``save`` left out for lack of room and had kept until then."""

    dropped: tuple[str, ...] = ()
    """Names."""

    @property
    def message(self) -> str:
        """A sentence for the log panel; "" when everything is kept."""
        if not self.dropped:
            return ""
        names = ", ".join(self.dropped[:3]) + (f" and {len(self.dropped) - 3} more" if len(self.dropped) > 3 else "")
        return f"Too much sound to keep for recovery after a crash; no longer kept there: {names}. Export what matters."


def user_data_dir() -> Path:
    """Where the program keeps a user's data: $VOICE_TOOLBOX_DATA, else the system's place for it."""
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return program_data_dir()


class SessionStore:
    """The sessions in a folder: this run's own, and those that crashed runs left.

    Each run has a folder of its own with a lock that the system releases when the process ends, however it
    ends; so a second window neither overwrites nor recovers the session of one that still runs. Nothing is
    written before the first ``save`` of a session that is not empty. Methods may be called from any thread.
    """

    def __init__(self, folder: str | Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._own: _LockedFolder | None = None
        self._recovered: _LockedFolder | None = None
        self._kept: set[str] = set()
        self._closed = False

    def save(self, session: Session) -> SaveReport:
        """Write down the whole session; sound that is on disk already is not written again.

        When there is too much of it, the oldest results fall out first, then the oldest recordings; the last of
        each stays. A kill at any moment leaves the session as it was before or as it is now.

        Raises:
            SessionError: disk full or no permission; what was kept before stays.
        """
        with self._mutex:
            if self._closed or (session.is_empty and self._own is None):
                return SaveReport()
            try:
                if self._own is None:
                    self._own = _new_folder(self.folder)
                return self._write(self._own.path, session)
            except (OSError, ToolboxError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise SessionError(
                    f"The session is not kept for recovery after a crash ({reason}): make room in {self.folder}."
                ) from error

    def _write(self, folder: Path, session: Session) -> SaveReport:
        from audio.io import save_wav

        files = {id(sound): _file_name(sound) for sound in (*session.clips, *session.results) if _has_sound(sound)}
        left_out = self._left_out(session, files)
        dropped = tuple(sound.name for sound in left_out if files[id(sound)] in self._kept)
        for sound in left_out:
            del files[id(sound)]
        for sound in (*session.clips, *session.results):
            name = files.get(id(sound))
            if name and not (folder / name).is_file():
                assert sound.wav is not None
                wav = np.clip(np.nan_to_num(np.asarray(sound.wav, dtype=np.float32)), -1.0, 1.0)
                save_wav(folder / name, wav, sound.sample_rate, metadata=sound.metadata)
        state = {
            "format": FORMAT,
            "saved": datetime.now().astimezone().isoformat(timespec="seconds"),
            "text": session.text[:MAX_TEXT],
            "voices": [voice_to_dict(voice) for voice in session.voices],
            "clips": [_sound_to_dict(sound, files) for sound in session.clips if _is_kept(sound, files)],
            "results": [_sound_to_dict(sound, files) for sound in session.results if _is_kept(sound, files)],
            "settings": dict(session.settings),
        }
        _write_synced(folder / _STATE, json.dumps(state).encode())
        self._kept = set(files.values())
        for path in folder.glob("*.wav"):
            if path.name not in self._kept:
                path.unlink(missing_ok=True)
        return SaveReport(dropped)

    def _left_out(self, session: Session, files: Mapping[int, str]) -> list[SavedSound]:
        """What there is no room for, oldest results first."""
        sounds = [sound for sound in (*session.results, *session.clips) if id(sound) in files]
        total = sum(_bytes_of(sound) for sound in sounds)
        latest = {id(group[-1]) for group in (session.results, session.clips) if group}
        left_out = []
        for sound in sounds:
            if total <= self._max_bytes:
                break
            if id(sound) not in latest:
                total -= _bytes_of(sound)
                left_out.append(sound)
        return left_out

    def recover(self) -> Session | None:
        """The latest session that a crashed run left, or None; it stays on disk until ``discard_recovered``.

        Sessions of running programs are not looked at, damaged ones are passed over and named in the log.
        """
        with self._mutex:
            if self._recovered is not None:
                self._recovered.unlock()
                self._recovered = None
            found: Session | None = None
            waiting = 0
            for path in self._crashed():
                locked = _LockedFolder.take(path)
                if locked is None:
                    continue
                session = _read(path) if found is None else None
                if session is not None and not session.is_empty:
                    self._recovered = locked
                    found = session
                    waiting += 1
                elif (session is not None and session.is_empty) or waiting >= KEPT_SESSIONS:
                    log.info("the old session %s is removed", path)
                    locked.remove()
                else:
                    waiting += 1
                    locked.unlock()
            return found

    def discard_recovered(self) -> None:
        """Remove the session that ``recover`` gave: it is on the desk again, or not wanted."""
        with self._mutex:
            if self._recovered is not None:
                self._recovered.remove()
                self._recovered = None

    def close(self) -> None:
        """A clean exit: this run's session is removed; one that was recovered and not discarded is offered again."""
        with self._mutex:
            self._closed = True
            if self._own is not None:
                self._own.remove()
                self._own = None
            if self._recovered is not None:
                self._recovered.unlock()
                self._recovered = None

    def _crashed(self) -> Iterable[Path]:
        """Folders of other sessions, the latest first."""
        own = self._own.path if self._own is not None else None
        with contextlib.suppress(OSError):
            folders = [path for path in self.folder.iterdir() if path.is_dir() and path != own]
            return sorted(folders, key=_age)
        return []


class _LockedFolder:
    """A session's folder that this process has to itself."""

    def __init__(self, path: Path, lock: BinaryIO) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def take(cls, path: Path) -> _LockedFolder | None:
        """The folder, or None when another process has it or it cannot be used."""
        try:
            lock = (path / _LOCK).open("a+b")
        except OSError:
            return None
        if not _lock_file(lock):
            lock.close()
            return None
        with contextlib.suppress(OSError):
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n".encode())
            lock.flush()
        return cls(path, lock)

    def unlock(self) -> None:
        self._lock.close()

    def remove(self) -> None:
        # The state goes first: what is left of a removal that is interrupted must not be offered for recovery. The
        # lock goes last, as Windows removes no open file.
        with contextlib.suppress(OSError):
            (self.path / _STATE).unlink(missing_ok=True)
        self.unlock()
        shutil.rmtree(self.path, ignore_errors=True)


def _new_folder(parent: Path) -> _LockedFolder:
    parent.mkdir(parents=True, exist_ok=True)
    # Between the two steps another program that starts may take the new folder for a crashed one and remove it.
    for _ in range(3):
        # Only the user may read it: it holds texts and voices.
        path = Path(tempfile.mkdtemp(prefix=datetime.now().strftime("%Y%m%d-%H%M%S-"), dir=parent))
        locked = _LockedFolder.take(path)
        if locked is not None:
            return locked
    raise SessionError(f"{parent} does not let files be locked")


def _lock_file(file: BinaryIO) -> bool:
    """Lock an open file until it is closed or the process ends; False when somebody else has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCK_OFFSET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, BlockingIOError | PermissionError):
            log.warning("%s cannot be locked: %s", file.name, error.strerror)
        return False
    return True


def _age(path: Path) -> tuple[float, str]:
    """Sorts the latest first."""
    try:
        return (-(path / _STATE).stat().st_mtime, path.name)
    except OSError:
        return (0.0, path.name)


def _has_sound(sound: SavedSound) -> bool:
    return not sound.path and sound.wav is not None and len(sound.wav) > 0


def _is_kept(sound: SavedSound, files: Mapping[int, str]) -> bool:
    return bool(sound.path) or id(sound) in files


def _bytes_of(sound: SavedSound) -> int:
    return 2 * len(sound.wav) if sound.wav is not None else 0


def _file_name(sound: SavedSound) -> str:
    """Made from the contents, so that a sound is written once and a changed one anew."""
    assert sound.wav is not None
    digest = hashlib.blake2b(np.ascontiguousarray(sound.wav, dtype=np.float32).tobytes(), digest_size=12)
    digest.update(json.dumps([sound.sample_rate, dict(sound.metadata)], sort_keys=True).encode())
    return f"{digest.hexdigest()}.wav"


def _sound_to_dict(sound: SavedSound, files: Mapping[int, str]) -> dict[str, Any]:
    return {
        "name": sound.name,
        "speaker": sound.speaker,
        "path": sound.path,
        "file": files.get(id(sound), ""),
        "sample_rate": sound.sample_rate,
        "metadata": dict(sound.metadata),
        "extra": dict(sound.extra),
    }


def _write_synced(path: Path, data: bytes) -> None:
    """Replace a file. Synced first: after a power cut a file system may know of the new name and not of its bytes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _read(folder: Path) -> Session | None:
    """The session in a folder; None when there is none or its state cannot be read."""
    try:
        state = json.loads((folder / _STATE).read_bytes())
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}")
        lost: list[str] = []
        voices = []
        for data in state["voices"]:
            try:
                voices.append(voice_from_dict(data, "A voice in use"))
            except VoiceError as error:
                lost.append(str(error))
        clips = tuple(_sounds(folder, state["clips"], lost))
        results = tuple(_sounds(folder, state["results"], lost))
        return Session(
            str(state["text"]), tuple(voices), clips, results, dict(state["settings"]), str(state["saved"]), tuple(lost)
        )
    except FileNotFoundError:
        return Session()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        log.warning("The session in %s cannot be recovered (%s); its sounds are there as wav files.", folder, error)
        return None


def _sounds(folder: Path, entries: list[dict[str, Any]], lost: list[str]) -> Iterable[SavedSound]:
    from audio.io import load_wav

    for entry in entries:
        wav = None
        rate = int(entry["sample_rate"])
        if entry["file"]:
            try:
                # Only a name: a state that somebody edited must not reach other folders.
                wav = load_wav(folder / Path(entry["file"]).name, rate)
            except ToolboxError as error:
                lost.append(f"{entry['name']} could not be recovered: {error}")
                continue
        yield SavedSound(
            name=str(entry["name"]),
            speaker=str(entry["speaker"]),
            path=str(entry["path"]),
            wav=wav,
            sample_rate=rate,
            metadata=dict(entry["metadata"]),
            extra=dict(entry["extra"]),
        )
