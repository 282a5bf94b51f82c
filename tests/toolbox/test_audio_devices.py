"""Devices by name, looked up again only while nothing is open, with a stand-in sound library."""

import sys

import pytest

from tests.fake_sounddevice import Hardware
from toolbox.audio_devices import AudioBusyError, AudioDeviceError, PortAudio, list_devices


def nothing(*_):
    pass


@pytest.fixture
def audio():
    return PortAudio()


def test_devices_have_names_rates_and_a_default(monkeypatch, audio):
    Hardware(inputs=("Built-in", "Headset"), outputs=("Speakers",), rate=44100).install(monkeypatch)
    devices = audio.list_devices()
    assert [(d.name, d.host_api, d.sample_rate, d.is_default) for d in devices.inputs] == [
        ("Built-in", "ALSA", 44100, False), ("Headset", "ALSA", 44100, True)
    ]
    assert [d.name for d in devices.outputs] == ["Speakers"]
    assert devices.notice == ""


def test_equal_names_are_told_apart_and_both_can_be_opened(monkeypatch, audio):
    hardware = Hardware(inputs=("USB", "USB")).install(monkeypatch)
    names = [device.name for device in audio.list_devices().inputs]
    assert names == ["USB (ALSA)", "USB (ALSA) #2"]
    for name in names:
        audio.close(audio.open("input", name, 16000, nothing, nothing))
    assert len(hardware.streams) == 2


def test_a_new_device_is_seen_after_a_refresh(monkeypatch, audio):
    hardware = Hardware(outputs=()).install(monkeypatch)
    audio.list_devices()
    hardware.plugged.append(("Headphones", "out"))
    assert audio.list_devices().outputs == ()
    assert [d.name for d in audio.list_devices(refresh=True).outputs] == ["Headphones"]
    hardware.unplug("Headphones")
    assert audio.list_devices(refresh=True).outputs == ()


def test_opening_by_name_looks_again_for_a_new_device(monkeypatch, audio):
    hardware = Hardware(outputs=("A",)).install(monkeypatch)
    audio.list_devices()
    hardware.plugged.append(("B", "out"))
    opened = audio.open("output", "B", 16000, nothing, nothing)
    assert opened.device.name == "B" and opened.active()
    assert audio.close(opened) and not opened.active()


def test_no_refresh_while_a_stream_is_open(monkeypatch, audio):
    hardware = Hardware().install(monkeypatch)
    opened = audio.open("input", None, 16000, nothing, nothing)
    with pytest.raises(AudioBusyError, match="Stop playing and recording first"):
        audio.list_devices(refresh=True)
    with pytest.raises(AudioDeviceError, match="'C' is not connected"):
        audio.open("output", "C", 16000, nothing, nothing)
    assert hardware.starts == 1 and [d.name for d in audio.list_devices().inputs] == ["Microphone"]
    audio.close(opened)
    audio.list_devices(refresh=True)
    assert hardware.starts == 2


@pytest.mark.parametrize(("rates", "expected"), [(None, 48000), ((16000, 8000), 16000), ((22050,), 22050)])
def test_rates_are_tried_in_order(monkeypatch, audio, rates, expected):
    hardware = Hardware(rate=48000, rates=rates).install(monkeypatch)
    prepared = []
    opened = audio.open("output", None, 16000, nothing, lambda rate, channels: prepared.append((rate, channels)))
    audio.close(opened)
    assert (opened.sample_rate, opened.channels) == (expected, 1)
    assert prepared == hardware.tried and prepared[0] == (48000, 1) and prepared[-1] == (expected, 1)


def test_two_channels_are_tried_after_one(monkeypatch, audio):
    hardware = Hardware(rates=()).install(monkeypatch)
    hardware.channels = 2
    with pytest.raises(AudioDeviceError, match="'Loudspeaker' cannot be opened"):
        audio.open("output", None, 16000, nothing, nothing)
    assert hardware.tried[:4] == [(48000, 1), (48000, 2), (16000, 1), (16000, 2)]


def test_a_device_that_does_not_start_is_closed_again(monkeypatch, audio):
    hardware = Hardware().install(monkeypatch)
    hardware.start_fails = True
    with pytest.raises(AudioDeviceError, match="another program may be using it"):
        audio.open("input", None, 16000, nothing, nothing)
    assert hardware.streams and not any(stream.open for stream in hardware.streams)
    audio.list_devices(refresh=True)


def test_no_devices_are_a_notice_and_an_error_only_when_opened(monkeypatch, audio):
    Hardware(inputs=(), outputs=()).install(monkeypatch)
    devices = audio.list_devices()
    assert devices.inputs == devices.outputs == ()
    assert devices.notice.startswith("No microphone and no loudspeaker was found. Connect one")
    with pytest.raises(AudioDeviceError, match="No microphone was found.*Connect one"):
        audio.open("input", None, 16000, nothing, nothing)


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioDeviceError, match="pip install sounddevice"):
        list_devices()


def test_a_failed_refresh_is_an_error_and_can_be_repeated(monkeypatch, audio):
    Hardware().install(monkeypatch)
    library = sys.modules["sounddevice"]
    start = library._initialize

    def fail():
        raise library.PortAudioError("no server")

    library._initialize = fail
    with pytest.raises(AudioDeviceError, match="did not start again: no server"):
        audio.list_devices(refresh=True)
    assert audio.list_devices().inputs == ()
    library._initialize = start
    assert len(audio.list_devices(refresh=True).inputs) == 1


def test_a_stream_that_does_not_close_is_left_behind_and_bars_a_refresh(monkeypatch, audio):
    import threading

    Hardware().install(monkeypatch)
    monkeypatch.setattr("toolbox.audio_devices.CLOSE_SECONDS", 0.05)
    opened = audio.open("output", None, 16000, nothing, nothing)
    release, abort = threading.Event(), opened.stream.abort
    opened.stream.abort = release.wait
    assert audio.close(opened) is False
    with pytest.raises(AudioBusyError):
        audio.list_devices(refresh=True)
    opened.stream.abort = abort
    release.set()
    for thread in threading.enumerate():
        if thread.name == "audio-close":
            thread.join()
    audio.list_devices(refresh=True)
