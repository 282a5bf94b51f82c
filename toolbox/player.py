"""Sound to a loudspeaker, whole or as its pieces come; knows no models and no window.

A thread of its own opens the device, converts the rate and watches over it: no method here waits for a device except
`wait` and `close`.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from audio.errors import UnsupportedAudioError
from audio.signal import check_sample_rate
from toolbox.audio_devices import (
    LOCK_SECONDS,
    POLL_SECONDS,
    AudioDeviceError,
    LossWatch,
    OpenStream,
    PortAudio,
    port_audio,
)

log = logging.getLogger(__name__)


class Player:
    """Plays one sound at a time on the output called `device` (None: the system's choice).

    For each start exactly one of the two is called, from a thread of the player: ``on_end(completed)``, completed being
    False after `stop`, or ``on_error(error)``. A sound that a newer `start` replaces reports nothing.
    """

    def __init__(
        self, device: str | None = None, *, on_end: Callable[[bool], None] | None = None,
        on_error: Callable[[AudioDeviceError], None] | None = None, audio: PortAudio | None = None,
    ) -> None:
        self.device = device  # Taken up by the next start.
        self._on_end, self._on_error, self._audio = on_end, on_error, audio
        self._run: _Playback | None = None

    def start(self, sample_rate: int) -> None:
        """Begin a sound at sample_rate (Hz) whose pieces come by `append`; what plays is replaced. Returns at once."""
        check_sample_rate(sample_rate)
        previous = self._run
        if previous is not None:
            previous.replaced = True
            previous.stop()
        self._run = _Playback(
            self._audio or port_audio(), self.device, sample_rate, previous, self._on_end, self._on_error
        )
        self._run.thread.start()

    def append(self, chunk: np.ndarray) -> None:
        """Add samples (S,) to the end of the sound; silence plays while they are late."""
        chunk = np.asarray(chunk, dtype=np.float32)
        if chunk.ndim != 1:
            raise UnsupportedAudioError(f"The player takes one channel of samples (S,), not {chunk.shape}.")
        self._started().put(chunk)

    def finish(self) -> None:
        """Nothing more will be appended: on_end is called when the last sample has sounded."""
        self._started().put(None)

    def play(self, wav: np.ndarray, sample_rate: int) -> None:
        """start, append and finish in one: a wav (S,) at sample_rate (Hz)."""
        self.start(sample_rate)
        self.append(wav)
        self.finish()

    def stop(self) -> None:
        """Silence within a block of the device (some 10 ms). Returns at once; does nothing when nothing plays."""
        if self._run is not None:
            self._run.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the sound, `timeout` seconds at most -> whether it has ended."""
        return self._run is None or self._run.done.wait(timeout)

    def close(self) -> None:
        """Stop, and return when the device is let go and the thread has ended."""
        self.stop()
        if self._run is not None and self._run.thread is not threading.current_thread():
            self._run.thread.join()

    @property
    def playing(self) -> bool:
        """Whether a started sound has not come to its end."""
        return self._run is not None and not self._run.done.is_set()

    @property
    def position(self) -> float:
        """Seconds of the sound that have been heard; stays where it was after the end."""
        return 0.0 if self._run is None else self._run.position()

    @property
    def underruns(self) -> int:
        """How often silence had to be put in because samples came too late."""
        return 0 if self._run is None else self._run.underruns

    @property
    def error(self) -> AudioDeviceError | None:
        """What ended the last sound, if not its end or `stop`."""
        return None if self._run is None else self._run.error

    def _started(self) -> "_Playback":
        if self._run is None:
            raise RuntimeError("append and finish come after start")
        return self._run


class _Playback:
    """One sound from its start to its end: chunks -> (thread) device rate -> (callback) device."""

    def __init__(
        self, audio: PortAudio, device: str | None, sample_rate: int, previous: "_Playback | None",
        on_end: Callable[[bool], None] | None, on_error: Callable[[AudioDeviceError], None] | None,
    ) -> None:
        self.thread = threading.Thread(target=self._work, name="audio-player", daemon=True)
        self.done = threading.Event()
        self.replaced = False
        self.underruns = 0
        self.error: AudioDeviceError | None = None
        self._audio, self._device, self._sample_rate, self._previous = audio, device, sample_rate, previous
        self._on_end, self._on_error = on_end, on_error
        self._chunks: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = self._complete = self._drained = self._waiting = False
        self._ready: deque[np.ndarray] = deque()  # At the device's rate; the callback takes from the left.
        self._head, self._offset = np.zeros(0, dtype=np.float32), 0
        self._rate, self._blocks, self._written, self._block_time = sample_rate, 0, 0, 0.0
        self._latency, self._heard = 0.0, 0.0
        self._resampler: Any = None

    def put(self, chunk: np.ndarray | None) -> None:
        self._chunks.put(chunk)
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def position(self) -> float:
        written = self._written / self._rate
        if not self.done.is_set() and written:
            # At the last block, what the device still held was `latency` behind; it has gone on sounding since.
            since = time.monotonic() - self._block_time
            self._heard = max(self._heard, min(written - self._latency + since, written))
        return self._heard

    def _prepare(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._resampler = None
        if rate != self._sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(self._sample_rate, rate, 1, dtype="float32", quality="HQ")

    def _callback(self, out: np.ndarray, frames: int, timing: Any, status: Any) -> None:
        """Runs in PortAudio's thread: copies samples to out (frames, channels) and returns."""
        filled = 0
        while filled < frames and not self._stopping:
            if self._offset == len(self._head):
                if not self._ready:
                    break
                self._head, self._offset = self._ready.popleft(), 0
            count = min(frames - filled, len(self._head) - self._offset)
            out[filled : filled + count] = self._head[self._offset : self._offset + count, None]
            self._offset += count
            filled += count
        out[filled:] = 0
        if filled < frames:
            # `_complete` is set after the last sample was made ready, so this order cannot cut the end off.
            self._drained = self._complete and not self._ready and self._offset == len(self._head)
            if self._written and not self._waiting and not self._complete:
                self.underruns += 1
        self._waiting = filled < frames
        self._written += filled
        self._block_time = time.monotonic()
        self._blocks += 1

    def _work(self) -> None:
        try:
            if self._previous is not None:
                self._previous.thread.join(LOCK_SECONDS)  # One that hangs keeps `open` from working, which says so.
                self._previous = None
            if not self._stopping:
                opened = self._audio.open("output", self._device, self._sample_rate, self._callback, self._prepare)
                try:
                    self._feed(opened)
                finally:
                    self._audio.close(opened)
        except AudioDeviceError as error:
            self.error = error
        except Exception as error:  # The edge of the thread.
            log.exception("playback failed")
            self.error = AudioDeviceError(f"The sound could not be played: {error}")
        self._report()

    def _feed(self, opened: OpenStream) -> None:
        """Until the last sample has sounded or stop was called; AudioDeviceError when the device is lost."""
        self._latency = opened.latency
        watch = LossWatch(opened, "output")
        silent_at: float | None = None
        while not self._stopping and (silent_at is None or time.monotonic() < silent_at):
            self._convert()
            if self._drained and silent_at is None:
                silent_at = time.monotonic() + opened.latency + 2 * POLL_SECONDS
            watch.check(self._blocks)
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()

    def _convert(self) -> None:
        while not self._complete and not self._stopping:
            try:
                chunk = self._chunks.get_nowait()
            except queue.Empty:
                return
            wav = np.zeros(0, dtype=np.float32) if chunk is None else chunk
            if self._resampler is not None:
                wav = self._resampler.resample_chunk(wav, last=chunk is None)
            if wav.size:
                # Beyond full scale drivers wrap around or fall silent, and a NaN can be a loud crack.
                self._ready.append(np.clip(np.nan_to_num(wav), -1.0, 1.0))
            if chunk is None:
                self._complete = True

    def _report(self) -> None:
        completed = self.error is None and self._drained and not self._stopping
        heard = self.position()
        self._heard = self._written / self._rate if completed else heard
        self.done.set()
        try:
            if self.replaced:
                return
            if self.error is not None:
                log.warning("playback: %s", self.error)
                if self._on_error is not None:
                    self._on_error(self.error)
            elif self._on_end is not None:
                self._on_end(completed)
        except Exception:  # The edge of the thread; the caller's code.
            log.exception("a callback of the player failed")
