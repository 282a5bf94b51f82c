"""A sound library without hardware: devices that come, go, freeze and refuse; its clock runs faster than ours."""

import threading
import time
from types import SimpleNamespace

import numpy as np

SPEED = 4.0


class PortAudioError(Exception):
    pass


class Hardware:
    """What is plugged in now. `install(monkeypatch)` puts the library in place of sounddevice."""

    def __init__(self, inputs=("Microphone",), outputs=("Loudspeaker",), rate=48000, rates=None):
        self.plugged = [(name, "in") for name in inputs] + [(name, "out") for name in outputs]
        self.rate, self.rates = rate, rates  # The device's own rate, and those that it takes (None: every one)
        self.channels = 1
        self.heard = np.zeros(0, dtype=np.float32)  # At the microphone, at the rate of the stream
        self.sounded = []  # Blocks at the loudspeaker
        self.overflow = self.frozen = self.start_fails = False
        self.tried = []
        self.streams = []
        self.starts = 1

    def install(self, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "sounddevice", Library(self))
        return self

    def unplug(self, name):
        self.plugged = [device for device in self.plugged if device[0] != name]

    @property
    def played(self):
        return np.concatenate([np.zeros(0, dtype=np.float32), *(block[:, 0] for block in self.sounded)])


class Library:
    """The names of sounddevice that the program uses; sees the hardware as it was at the last start, as PortAudio."""

    PortAudioError = PortAudioError

    def __init__(self, hardware):
        self.hardware = hardware
        self._initialized = 0
        self._initialize()
        self.InputStream = lambda **options: Stream(self, "in", **options)
        self.OutputStream = lambda **options: Stream(self, "out", **options)

    def _initialize(self):
        self._initialized = 1
        self.known = list(self.hardware.plugged)

    def _terminate(self):
        assert not any(stream.open for stream in self.hardware.streams), "PortAudio shut down under an open stream"
        self._initialized = 0
        self.hardware.starts += 1

    def query_hostapis(self):
        return ({"name": "ALSA"}, {"name": "JACK"})

    def query_devices(self, kind=None):
        if not self._initialized:
            raise PortAudioError("PortAudio not initialized")
        channels = self.hardware.channels
        devices = [
            {
                "name": name, "hostapi": 0, "default_samplerate": float(self.hardware.rate),
                "max_input_channels": channels * (way == "in"), "max_output_channels": channels * (way == "out"),
            }
            for name, way in self.known
        ]
        if kind is None:
            return devices
        found = [device for device in devices if device[f"max_{kind}_channels"]]
        if not found:
            raise PortAudioError("Error querying device -1")
        return found[-1]


class Stream:
    """Calls back from a thread of its own, in blocks of 10 ms."""

    def __init__(self, library, way, device, samplerate, channels, dtype, latency, callback):
        self.hardware = library.hardware
        self.name = library.known[device][0]
        self.way, self.rate, self.channels, self.callback = way, samplerate, channels, callback
        assert dtype == "float32"
        self.hardware.tried.append((samplerate, channels))
        if self.hardware.rates is not None and samplerate not in self.hardware.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.latency = 0.03
        self.open = True
        self.hardware.streams.append(self)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name="fake-portaudio", daemon=True)

    @property
    def active(self):
        return self.thread.is_alive()

    def start(self):
        if self.hardware.start_fails:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.thread.start()

    def abort(self):
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join()

    def close(self):
        self.abort()
        self.open = False

    def _run(self):
        frames, at = self.rate // 100, 0
        while not self.ending.wait(0.01 / SPEED):
            if (self.name, self.way) not in self.hardware.plugged:
                return
            if self.hardware.frozen:
                continue
            status = SimpleNamespace(input_overflow=self.hardware.overflow)
            if self.way == "in":
                block = np.zeros((frames, self.channels), dtype=np.float32)
                heard = self.hardware.heard[at : at + frames]
                block[: len(heard)] = heard[:, None]
            else:
                block = np.full((frames, self.channels), np.nan, dtype=np.float32)
            self.callback(block, frames, None, status)
            if self.way == "out":
                self.hardware.sounded.append(block)
            at += frames


def wait_until(condition, seconds=5.0):
    """Poll for what another thread does; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
