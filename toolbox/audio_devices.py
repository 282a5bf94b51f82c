"""Sound inputs and outputs by name and the streams opened on them; knows no sounds, no models and no window.

PortAudio numbers the devices once, when it starts: a device plugged in later is seen only after it was shut down and
started again, which kills every open stream. So everything that opens, closes or lists goes through one object.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from audio.errors import AudioError

log = logging.getLogger(__name__)

Kind = Literal["input", "output"]

COMMON_RATES = (48000, 44100, 32000, 22050, 16000, 8000)
# Python's callback shares one interpreter lock with the networks: 0.15 s rides out what they hold it for.
LATENCY_SECONDS = 0.15
# A frozen sound server neither reports an error nor calls back; healthy ones call at least ten times a second.
STALL_SECONDS = 3.0
POLL_SECONDS = 0.02
# Closing a stream of a frozen server was seen to take minutes; nobody waits longer than this for it.
CLOSE_SECONDS = 2.0
LOCK_SECONDS = 10.0

WORDS = {"input": "microphone", "output": "loudspeaker"}


class AudioDeviceError(AudioError):
    """A sound device that is missing, refuses, or was lost; no sound that exists is lost by that."""


class AudioBusyError(AudioDeviceError):
    """The devices cannot be looked up again while one of them is in use."""


@dataclass(frozen=True)
class AudioDevice:
    """One input or output; `name` is unique among those of its kind."""

    name: str
    host_api: str
    sample_rate: int  # Hz, what the device itself prefers
    channels: int
    is_default: bool


@dataclass(frozen=True)
class DeviceList:
    """What can be recorded from and played on; `notice` is a sentence for the user, empty when all is well."""

    inputs: tuple[AudioDevice, ...]
    outputs: tuple[AudioDevice, ...]
    notice: str = ""


@dataclass(eq=False)
class OpenStream:
    """A running stream of PortAudio on a device; close it with `PortAudio.close`."""

    stream: Any
    device: AudioDevice
    sample_rate: int
    channels: int
    latency: float  # seconds
    error_type: type[Exception]

    def active(self) -> bool:
        """Whether PortAudio still calls back; False after an error of the device."""
        try:
            return bool(self.stream.active)
        except self.error_type:
            return False


class LossWatch:
    """Notices that the device of a stream is gone; `check` is called every POLL_SECONDS or so."""

    def __init__(self, opened: OpenStream, kind: Kind) -> None:
        self._opened, self._kind = opened, kind
        self._blocks, self._stalled, self._looked = -1, 0.0, time.monotonic()

    def check(self, blocks: int) -> None:
        """blocks: how often the callback has run. Raises AudioDeviceError when the device does not go on."""
        now = time.monotonic()
        # A step is counted as two polls at most: this thread may have waited for the same lock as the callback.
        step, self._looked = min(now - self._looked, 2 * POLL_SECONDS), now
        self._stalled = 0.0 if blocks != self._blocks else self._stalled + step
        self._blocks = blocks
        if self._stalled > STALL_SECONDS or not self._opened.active():
            raise AudioDeviceError(
                f"The {WORDS[self._kind]} '{self._opened.device.name}' was disconnected or stopped answering. "
                f"Connect it again, or refresh the devices and choose another {WORDS[self._kind]}."
            )


class PortAudio:
    """The sound library of this process: imported when first used, refreshed only while no stream is open.

    Every method may wait for a device, so none is for the thread of a window.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # PortAudio's own functions are not safe to call from two threads.
        self._open: set[OpenStream] = set()

    def list_devices(self, refresh: bool = False) -> DeviceList:
        """Raises AudioDeviceError without PortAudio, AudioBusyError to refresh while a stream is open."""
        with self._locked():
            library = self._library()
            if refresh:
                self._refresh(library)
            inputs = tuple(device for _, device in _enumerate(library, "input"))
            outputs = tuple(device for _, device in _enumerate(library, "output"))
        missing = [WORDS[kind] for kind, found in (("input", inputs), ("output", outputs)) if not found]
        notice = ""
        if missing:
            notice = (
                f"No {' and no '.join(missing)} was found. Connect one and refresh the devices; files can be loaded, "
                "cloned and saved without."
            )
        return DeviceList(inputs, outputs, notice)

    def open(
        self, kind: Kind, name: str | None, sample_rate: int, callback: Callable[..., None],
        prepare: Callable[[int, int], None],
    ) -> OpenStream:
        """A running float32 stream on the device called `name`, None for the system's choice.

        The device's own rate comes first: ALSA converts other rates by linear interpolation, which is audible; soxr is
        not. Then sample_rate (Hz), then the common rates; each with one channel, then with two.
        `prepare(rate, channels)` is called before the callback can run at that rate.

        Raises:
            AudioDeviceError: no PortAudio, no such device, or it refuses every rate.
        """
        with self._locked():
            library = self._library()
            index, device = self._find(library, kind, name)
            refusals = []
            for rate, channels in _attempts(device, sample_rate):
                prepare(rate, channels)
                try:
                    stream = _started(library, kind, index, rate, channels, callback)
                except (library.PortAudioError, ValueError, OSError) as error:
                    refusals.append(f"{rate} Hz x {channels}: {error}")
                    continue
                opened = OpenStream(stream, device, rate, channels, _seconds(stream.latency), library.PortAudioError)
                self._open.add(opened)
                log.info("%s %s opened at %d Hz x %d", WORDS[kind], device.name, rate, channels)
                return opened
        log.warning("%s refuses: %s", device.name, "; ".join(refusals))
        raise AudioDeviceError(
            f"The {WORDS[kind]} '{device.name}' cannot be opened; another program may be using it. Close that program "
            f"or choose another {WORDS[kind]}. ({refusals[0]})"
        )

    def close(self, opened: OpenStream) -> bool:
        """Drop what has not sounded and let the device go; False when the system still holds it after 2 s."""
        closer = threading.Thread(target=self._shut, args=(opened,), name="audio-close", daemon=True)
        closer.start()
        closer.join(CLOSE_SECONDS)
        if closer.is_alive():
            log.warning("%s does not let itself be closed", opened.device.name)
        return not closer.is_alive()

    def _shut(self, opened: OpenStream) -> None:
        try:
            opened.stream.abort()  # What hangs with a frozen server; so not under the lock.
            with self._lock:
                opened.stream.close()
        except opened.error_type:
            log.exception("closing %s", opened.device.name)
        self._open.discard(opened)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=LOCK_SECONDS):
            raise AudioDeviceError("The sound system does not answer. Save your work and start the program again.")
        try:
            yield
        finally:
            self._lock.release()

    def _library(self) -> Any:
        try:
            import sounddevice
        except ImportError as error:
            raise AudioDeviceError(
                f"Sound needs the Python package sounddevice: pip install sounddevice. ({error})"
            ) from error
        except OSError as error:
            raise AudioDeviceError(
                "The PortAudio library is missing, so nothing can be played or recorded "
                f"(Debian: apt install libportaudio2). ({error})"
            ) from error
        except Exception as error:  # PortAudio's own error type cannot be named when its start has failed.
            raise AudioDeviceError(f"The sound system did not start: {error}. Check it and refresh.") from error
        return sounddevice

    def _refresh(self, library: Any) -> None:
        if self._open:
            raise AudioBusyError("Stop playing and recording first: the devices cannot be refreshed while in use.")
        try:
            while library._initialized:
                library._terminate()
            library._initialize()
        except library.PortAudioError as error:
            raise AudioDeviceError(f"The sound system did not start again: {error}. Check it and refresh.") from error

    def _find(self, library: Any, kind: Kind, name: str | None) -> tuple[int, AudioDevice]:
        found = _choose(_enumerate(library, kind), name)
        if found is None and not self._open:
            self._refresh(library)  # It may have been plugged in since the last look.
            found = _choose(_enumerate(library, kind), name)
        if found is not None:
            return found
        if name is None or not _enumerate(library, kind):
            raise AudioDeviceError(f"No {WORDS[kind]} was found. Connect one and refresh the devices.")
        raise AudioDeviceError(f"The {WORDS[kind]} '{name}' is not connected. Connect it, or choose another one.")


@functools.cache
def port_audio() -> PortAudio:
    """The one of this process: PortAudio keeps its devices and streams per process, so this has to as well."""
    return PortAudio()


def list_devices(refresh: bool = False) -> DeviceList:
    """Inputs and outputs of this machine, with `refresh` those of this moment; see `PortAudio.list_devices`."""
    return port_audio().list_devices(refresh)


def _enumerate(library: Any, kind: Kind) -> list[tuple[int, AudioDevice]]:
    """PortAudio's index and the device, for every device of the kind, under names that differ."""
    try:
        interfaces = [api["name"] for api in library.query_hostapis()]
        everything = list(library.query_devices())
    except library.PortAudioError as error:  # Not initialised: an earlier refresh failed.
        log.warning("no devices: %s", error)
        return []
    try:
        default = library.query_devices(kind=kind)["name"], library.query_devices(kind=kind)["hostapi"]
    except (library.PortAudioError, ValueError):
        default = None
    found: list[tuple[int, AudioDevice]] = []
    for index, info in enumerate(everything):
        channels = int(info[f"max_{kind}_channels"])
        if channels > 0:
            is_default = (info["name"], info["hostapi"]) == default and not any(d.is_default for _, d in found)
            rate = int(info["default_samplerate"])
            found.append((index, AudioDevice(info["name"], interfaces[info["hostapi"]], rate, channels, is_default)))
    return _with_unique_names(found)


def _with_unique_names(found: list[tuple[int, AudioDevice]]) -> list[tuple[int, AudioDevice]]:
    names = [device.name for _, device in found]
    unique: list[tuple[int, AudioDevice]] = []
    for index, device in found:
        name = device.name
        if names.count(name) > 1:
            # Windows offers the same device through several interfaces; two equal ones need a number too.
            name = f"{name} ({device.host_api})"
            taken = {other.name for _, other in unique}
            name = next(n for n in (name, *(f"{name} #{i}" for i in range(2, len(found) + 2))) if n not in taken)
        unique.append((index, replace(device, name=name)))
    return unique


def _choose(devices: list[tuple[int, AudioDevice]], name: str | None) -> tuple[int, AudioDevice] | None:
    if name is not None:
        return next((found for found in devices if found[1].name == name), None)
    # Without a default of the system the first is better than none.
    return next((found for found in devices if found[1].is_default), devices[0] if devices else None)


def _attempts(device: AudioDevice, sample_rate: int) -> list[tuple[int, int]]:
    rates = dict.fromkeys((device.sample_rate, sample_rate, *COMMON_RATES))
    return [(rate, channels) for rate in rates if rate > 0 for channels in (1, 2) if channels <= device.channels]


def _started(library: Any, kind: Kind, index: int, rate: int, channels: int, callback: Callable[..., None]) -> Any:
    make = library.InputStream if kind == "input" else library.OutputStream
    stream = make(
        device=index, samplerate=rate, channels=channels, dtype="float32", latency=LATENCY_SECONDS, callback=callback
    )
    try:
        stream.start()
    except library.PortAudioError:
        stream.close()
        raise
    return stream


def _seconds(latency: Any) -> float:
    return float(latency) if isinstance(latency, int | float) else LATENCY_SECONDS
