"""Sound from a microphone into one wav; knows no models and no window.

A thread of its own opens the device, converts the rate and watches over it; the audio callback only copies.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from toolbox.audio_devices import POLL_SECONDS, AudioDeviceError, LossWatch, OpenStream, PortAudio, port_audio

log = logging.getLogger(__name__)

SAMPLE_RATE = 16000
MAX_SECONDS = 60.0
LEVEL_SECONDS = 0.05
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Level:
    """Loudness of the last 50 ms, 1.0 being full scale."""

    peak: float
    rms: float


@dataclass(frozen=True)
class Recording:
    """What was recorded, however it ended."""

    wav: np.ndarray  # float32 (S,)
    sample_rate: int
    device: str
    device_rate: int
    ended: Literal["stopped", "limit", "lost"]
    overflows: int  # Blocks before which the device had to drop samples
    notice: str = ""  # A sentence for the user, empty when all is well

    @property
    def seconds(self) -> float:
        return len(self.wav) / self.sample_rate


class Recorder:
    """Records from the input called `device` (None: the system's choice), max_seconds at most.

    For each start exactly one of the two is called, from a thread of the recorder: ``on_end(recording)``, or
    ``on_error(error, recording)`` with what was recorded before the device was lost (maybe nothing).
    """

    def __init__(
        self, device: str | None = None, *, sample_rate: int = SAMPLE_RATE, max_seconds: float = MAX_SECONDS,
        on_end: Callable[[Recording], None] | None = None,
        on_error: Callable[[AudioDeviceError, Recording], None] | None = None, audio: PortAudio | None = None,
    ) -> None:
        self.device = device  # Taken up by the next start.
        self.sample_rate, self.max_seconds = sample_rate, max_seconds
        self._on_end, self._on_error, self._audio = on_end, on_error, audio
        self._take: _Take | None = None

    def start(self) -> None:
        """Begin to record. Returns at once: `seconds` grows when the device delivers.

        Raises:
            AudioDeviceError: a recording is going on.
        """
        if self.recording:
            raise AudioDeviceError("A recording is going on. Stop it before starting another.")
        self._take = _Take(
            self._audio or port_audio(), self.device, self.sample_rate, self.max_seconds, self._on_end, self._on_error
        )
        self._take.thread.start()

    def finish(self) -> None:
        """End the recording: on_end follows. Returns at once; does nothing when nothing is recorded."""
        if self._take is not None:
            self._take.stop()

    def stop(self) -> np.ndarray:
        """finish, wait for it (some 0.1 s), and return the wav (S,) at sample_rate.

        Raises:
            AudioDeviceError: nothing was recorded because of the device, or it does not answer.
        """
        self.finish()
        result = self.wait(STOP_SECONDS)
        if result is None:
            raise AudioDeviceError("Nothing is being recorded, or the sound system does not answer.")
        if self.error is not None and not result.wav.size:
            raise self.error
        return result.wav

    def wait(self, timeout: float | None = None) -> Recording | None:
        """The recording once it has ended; None if that takes longer than `timeout` seconds or none was started."""
        if self._take is None or not self._take.done.wait(timeout):
            return None
        return self._take.result

    def close(self) -> None:
        """End the recording, and return when the device is let go and the thread has ended."""
        self.finish()
        if self._take is not None and self._take.thread is not threading.current_thread():
            self._take.thread.join()

    def level(self) -> Level:
        """Loudness now; for a meter that asks some twenty times a second."""
        return Level(0.0, 0.0) if self._take is None else self._take.level()

    @property
    def recording(self) -> bool:
        """Whether a started recording has not ended."""
        return self._take is not None and not self._take.done.is_set()

    @property
    def seconds(self) -> float:
        """Seconds recorded so far."""
        return 0.0 if self._take is None else self._take.seconds

    @property
    def error(self) -> AudioDeviceError | None:
        """What ended the last recording, if not `stop` or its limit."""
        return None if self._take is None else self._take.error


class _Take:
    """One recording: device -> (callback) buffer at the device's rate -> (thread) wav at ours."""

    def __init__(
        self, audio: PortAudio, device: str | None, sample_rate: int, max_seconds: float,
        on_end: Callable[[Recording], None] | None, on_error: Callable[[AudioDeviceError, Recording], None] | None,
    ) -> None:
        self.thread = threading.Thread(target=self._work, name="audio-recorder", daemon=True)
        self.done = threading.Event()
        self.error: AudioDeviceError | None = None
        self.result: Recording | None = None
        self._audio, self._device, self._sample_rate, self._max_seconds = audio, device, sample_rate, max_seconds
        self._on_end, self._on_error = on_end, on_error
        self._stop = threading.Event()
        self._rate = sample_rate
        self._buffer = np.zeros((0, 1), dtype=np.float32)  # (frames, channels) for the longest recording
        self._frames = self._blocks = self._overflows = self._converted = 0
        self._pieces: list[np.ndarray] = []
        self._resampler: Any = None

    @property
    def seconds(self) -> float:
        return self._frames / self._rate

    def stop(self) -> None:
        self._stop.set()

    def level(self) -> Level:
        end, buffer = self._frames, self._buffer
        recent = buffer[max(0, end - int(LEVEL_SECONDS * self._rate)) : end]
        if self.done.is_set() or not recent.size:
            return Level(0.0, 0.0)
        return Level(float(np.abs(recent).max()), float(np.sqrt(np.mean(np.square(recent.mean(axis=1))))))

    def _prepare(self, rate: int, channels: int) -> None:
        # Not touched, so not taken from memory, before samples come.
        self._buffer = np.empty((int(self._max_seconds * rate), channels), dtype=np.float32)
        self._rate, self._frames = rate, 0
        self._resampler = None
        if rate != self._sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(rate, self._sample_rate, 1, dtype="float32", quality="HQ")

    def _callback(self, samples: np.ndarray, frames: int, timing: Any, status: Any) -> None:
        """Runs in PortAudio's thread: copies samples (frames, channels) and returns."""
        count = max(0, min(frames, len(self._buffer) - self._frames))
        self._buffer[self._frames : self._frames + count] = samples[:count]
        self._frames += count
        self._blocks += 1
        if status and status.input_overflow:
            self._overflows += 1

    def _work(self) -> None:
        name = self._device or ""
        try:
            opened = self._audio.open("input", self._device, self._sample_rate, self._callback, self._prepare)
            name = opened.device.name
            try:
                self._watch(opened)
            finally:
                self._audio.close(opened)
        except AudioDeviceError as error:
            self.error = error
        except Exception as error:  # The edge of the thread.
            log.exception("recording failed")
            self.error = AudioDeviceError(f"The recording failed: {error}")
        self._report(name)

    def _watch(self, opened: OpenStream) -> None:
        watch = LossWatch(opened, "input")
        while not self._stop.wait(POLL_SECONDS) and self._frames < len(self._buffer):
            self._convert()
            watch.check(self._blocks)

    def _convert(self, last: bool = False) -> None:
        end = self._frames
        # The mean of two channels: a microphone on one of them only loses 6 dB, none is lost.
        wav = self._buffer[self._converted : end].mean(axis=1)
        self._converted = end
        if self._resampler is not None and (wav.size or last):
            wav = self._resampler.resample_chunk(wav, last=last)
        if wav.size:
            self._pieces.append(wav)

    def _report(self, name: str) -> None:
        self._convert(last=True)
        wav = np.concatenate(self._pieces) if self._pieces else np.zeros(0, dtype=np.float32)
        full = self._frames >= len(self._buffer) > 0
        ended: Literal["stopped", "limit", "lost"] = "lost" if self.error else "limit" if full else "stopped"
        self.result = Recording(
            wav, self._sample_rate, name, self._rate, ended, self._overflows, self._notice(name, wav, ended)
        )
        # The sound lives on in the result; a minute of the device's samples need not.
        self._buffer, self._pieces = self._buffer[:0], []
        self.done.set()
        try:
            if self.error is not None:
                log.warning("recording: %s", self.error)
                if self._on_error is not None:
                    self._on_error(self.error, self.result)
            elif self._on_end is not None:
                self._on_end(self.result)
        except Exception:  # The edge of the thread; the caller's code.
            log.exception("a callback of the recorder failed")

    def _notice(self, name: str, wav: np.ndarray, ended: str) -> str:
        if wav.size and not wav.any():
            return f"'{name}' delivered only silence: is it muted, or is this program not allowed to use it?"
        if self._overflows:
            return "The computer was too busy and parts of the recording are missing: record again."
        return f"The recording ended at its limit of {self._max_seconds:.0f} s." if ended == "limit" else ""
