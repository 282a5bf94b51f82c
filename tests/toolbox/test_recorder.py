"""Recording with a stand-in sound library."""

import threading

import numpy as np
import pytest

from audio.signal import resample
from tests.fake_sounddevice import Hardware, wait_until
from toolbox.audio_devices import AudioDeviceError, PortAudio
from toolbox.recorder import Recorder


class Ends:
    """Records what the recorder calls, and from which thread."""

    def __init__(self):
        self.ends, self.errors, self.threads = [], [], []

    def on_end(self, recording):
        self.ends.append(recording)
        self.threads.append(threading.current_thread().name)

    def on_error(self, error, recording):
        self.errors.append((str(error), recording))
        self.threads.append(threading.current_thread().name)


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
def make(ends):
    made = []

    def recorder(**options):
        made.append(Recorder(on_end=ends.on_end, on_error=ends.on_error, audio=PortAudio(), **options))
        return made[-1]

    yield recorder
    for each in made:
        each.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("audio-")]


@pytest.fixture
def hardware(monkeypatch, speechlike):
    hardware = Hardware(rate=16000).install(monkeypatch)
    hardware.heard = speechlike(3.0)
    return hardware


def test_every_sample_is_recorded(hardware, make, ends):
    recorder = make()
    recorder.start()
    wait_until(lambda: recorder.seconds > 0.5)
    assert recorder.recording
    wav = recorder.stop()
    recorder.close()
    assert wav.dtype == np.float32 and len(wav) > 8000
    np.testing.assert_array_equal(wav, hardware.heard[: len(wav)])
    [recording] = ends.ends
    assert ends.threads == ["audio-recorder"] and not ends.errors
    assert (recording.ended, recording.device, recording.device_rate) == ("stopped", "Microphone", 16000)
    assert recording.notice == "" and recording.seconds == pytest.approx(recorder.seconds)
    assert not recorder.recording and not any(stream.open for stream in hardware.streams)


def test_another_rate_is_resampled_as_if_whole(monkeypatch, make, speechlike):
    hardware = Hardware(rate=44100).install(monkeypatch)
    hardware.heard = speechlike(2.0, sample_rate=44100)
    recorder = make(max_seconds=1.0)
    recorder.start()
    recording = recorder.wait(10)
    expected = resample(hardware.heard[:44100], 44100, 16000)
    assert recording.device_rate == 44100 and len(recording.wav) == 16000
    np.testing.assert_allclose(recording.wav, expected, atol=1e-4)


def test_a_stereo_microphone_gives_one_channel(monkeypatch, hardware, make):
    hardware.channels = 2
    monkeypatch.setattr("toolbox.audio_devices._attempts", lambda device, rate: [(16000, 2)])
    recorder = make(max_seconds=0.3)
    recorder.start()
    np.testing.assert_allclose(recorder.wait(5).wav, hardware.heard[:4800], atol=1e-6)


def test_it_ends_at_its_limit(hardware, make, ends):
    recorder = make(max_seconds=0.305)  # Not a whole number of blocks
    recorder.start()
    recording = recorder.wait(5)
    recorder.close()
    assert recording.ended == "limit" and len(recording.wav) == 4880
    np.testing.assert_array_equal(recording.wav, hardware.heard[:4880])
    assert ends.ends == [recording]


def test_level_is_of_the_last_50_ms(hardware, make):
    hardware.heard = np.concatenate([np.full(8000, 0.8), np.full(160000, -0.25)]).astype(np.float32)
    recorder = make()
    assert recorder.level().peak == 0.0
    recorder.start()
    wait_until(lambda: recorder.seconds > 0.1)
    loud = recorder.level()
    assert loud.peak == pytest.approx(0.8) and loud.rms == pytest.approx(0.8)
    wait_until(lambda: recorder.seconds > 0.6)
    quiet = recorder.level()
    assert quiet.peak == pytest.approx(0.25) and quiet.rms == pytest.approx(0.25)
    recorder.stop()
    assert recorder.level().peak == 0.0


@pytest.mark.parametrize("how", ["unplugged", "frozen"])
def test_a_lost_device_is_an_error_and_nothing_recorded_is_lost(monkeypatch, hardware, make, ends, how):
    monkeypatch.setattr("toolbox.audio_devices.STALL_SECONDS", 0.2)
    recorder = make()
    recorder.start()
    wait_until(lambda: recorder.seconds > 0.5)
    if how == "unplugged":
        hardware.unplug("Microphone")
    else:
        hardware.frozen = True
    recording = recorder.wait(5)
    recorder.close()
    assert not ends.ends
    [(message, lost)] = ends.errors
    assert "'Microphone' was disconnected or stopped answering" in message and lost is recording
    assert recording.ended == "lost" and len(recording.wav) > 8000
    np.testing.assert_array_equal(recording.wav, hardware.heard[: len(recording.wav)])
    np.testing.assert_array_equal(recorder.stop(), recording.wav)


def test_no_microphone_is_an_error_with_an_empty_recording(monkeypatch, make, ends):
    Hardware(inputs=()).install(monkeypatch)
    recorder = make()
    recorder.start()
    assert recorder.wait(5).wav.size == 0
    recorder.close()
    assert "No microphone was found" in ends.errors[0][0]
    with pytest.raises(AudioDeviceError, match="No microphone was found"):
        recorder.stop()


def test_two_recordings_at_once_are_refused_and_the_first_goes_on(hardware, make):
    recorder = make()
    recorder.start()
    with pytest.raises(AudioDeviceError, match="is going on"):
        recorder.start()
    wait_until(lambda: recorder.seconds > 0.1)
    first = recorder.stop()
    recorder.start()
    wait_until(lambda: recorder.seconds > 0.1)
    second = recorder.stop()
    np.testing.assert_array_equal(first[:1600], second[:1600])


def test_silence_and_dropped_blocks_are_told(hardware, make):
    hardware.overflow = True
    recorder = make(max_seconds=0.1)
    recorder.start()
    recording = recorder.wait(5)
    assert recording.overflows > 0 and "record again" in recording.notice
    hardware.heard = np.zeros(0, dtype=np.float32)
    recorder.start()
    assert "only silence" in recorder.wait(5).notice


def test_stop_without_start_says_so(hardware, make):
    with pytest.raises(AudioDeviceError, match="Nothing is being recorded"):
        make().stop()
