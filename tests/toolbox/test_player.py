"""Playback with a stand-in sound library."""

import sys
import threading

import numpy as np
import pytest

from audio.errors import UnsupportedAudioError
from audio.signal import resample
from tests.fake_sounddevice import Hardware, wait_until
from toolbox.audio_devices import PortAudio
from toolbox.player import Player


@pytest.fixture
def hardware(monkeypatch):
    return Hardware(rate=16000).install(monkeypatch)


class Ends:
    """Records what the player calls, and from which thread."""

    def __init__(self):
        self.ends, self.errors, self.threads = [], [], []

    def on_end(self, completed):
        self.ends.append(completed)
        self.threads.append(threading.current_thread().name)

    def on_error(self, error):
        self.errors.append(str(error))
        self.threads.append(threading.current_thread().name)


@pytest.fixture
def ends():
    return Ends()


@pytest.fixture
def player(ends):
    player = Player(on_end=ends.on_end, on_error=ends.on_error, audio=PortAudio())
    yield player
    player.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("audio-")]


def noise(seconds, rate=16000):
    return np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


def without_silence(played):
    sounding = np.flatnonzero(played)
    return played[sounding[0] : sounding[-1] + 1]


def test_every_sample_is_played_in_order(hardware, player, ends):
    wav = noise(0.513)
    player.play(wav, 16000)
    assert player.playing and player.wait(5)
    player.close()
    np.testing.assert_array_equal(without_silence(hardware.played), wav)
    assert ends.ends == [True] and not ends.errors and ends.threads == ["audio-player"]
    assert player.position == pytest.approx(0.513) and not player.playing and player.underruns == 0
    assert not any(stream.open for stream in hardware.streams)


def test_another_rate_is_resampled_piece_by_piece_as_if_whole(monkeypatch, player):
    hardware = Hardware(rate=44100).install(monkeypatch)
    t = np.arange(8000) / 16000
    wav = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    player.start(16000)
    for chunk in np.split(wav, (1000, 1001, 5000)):
        player.append(chunk)
    player.finish()
    assert player.wait(5)
    expected = resample(wav, 16000, 44100)
    start = np.flatnonzero(hardware.played)[0]
    first = np.flatnonzero(expected)[0]
    played = hardware.played[start : start + len(expected) - first]
    np.testing.assert_allclose(played, expected[first:], atol=1e-4)
    assert player.position == pytest.approx(0.5, abs=1e-3)


def test_a_stereo_device_gets_both_channels(monkeypatch, player):
    hardware = Hardware(rate=16000).install(monkeypatch)
    hardware.channels = 2
    monkeypatch.setattr("toolbox.audio_devices._attempts", lambda device, rate: [(16000, 2)])
    player.play(noise(0.1), 16000)
    assert player.wait(5)
    played = np.concatenate(hardware.sounded)
    assert played.shape[1] == 2 and played.any()
    np.testing.assert_array_equal(played[:, 0], played[:, 1])


def test_late_pieces_leave_silence_and_no_sample_is_lost(hardware, player):
    first, second = noise(0.1), noise(0.2)
    player.start(16000)
    player.append(first)
    wait_until(lambda: player.underruns == 1)
    before = len(hardware.sounded)
    wait_until(lambda: len(hardware.sounded) > before + 5)
    assert player.playing
    player.append(second)
    player.finish()
    assert player.wait(5)
    played = without_silence(hardware.played)
    np.testing.assert_array_equal(played[: len(first)], first)
    np.testing.assert_array_equal(played[-len(second) :], second)
    gap = played[len(first) : -len(second)]
    assert len(gap) > 0 and not gap.any() and player.underruns == 1
    assert player.position == pytest.approx(0.3)


def test_position_grows_and_never_runs_ahead(hardware, player):
    player.start(16000)
    assert player.position == 0.0
    player.append(noise(0.4))
    positions = []
    wait_until(lambda: positions.append(player.position) or positions[-1] > 0.3)
    assert positions == sorted(positions) and max(positions) <= 0.4


def test_stop_silences_and_says_that_the_sound_was_not_complete(hardware, player, ends):
    player.play(noise(60), 16000)
    wait_until(lambda: player.position > 0.05)
    player.stop()
    assert player.wait(5)
    player.close()
    assert ends.ends == [False] and 0 < player.position < 60
    player.stop()
    assert ends.ends == [False]


def test_a_new_sound_replaces_the_old_one_which_reports_nothing(hardware, player, ends):
    player.play(noise(60), 16000)
    wait_until(lambda: hardware.played.any())
    last = np.full(1600, 0.25, dtype=np.float32)
    player.play(last, 16000)
    assert player.wait(5)
    player.close()
    assert ends.ends == [True]
    np.testing.assert_array_equal(without_silence(hardware.played)[-1600:], last)
    assert len(hardware.streams) == 2


@pytest.mark.parametrize("how", ["unplugged", "frozen"])
def test_a_lost_device_is_an_error_and_the_next_sound_plays(monkeypatch, hardware, player, ends, how):
    monkeypatch.setattr("toolbox.audio_devices.STALL_SECONDS", 0.2)
    player.play(noise(60), 16000)
    wait_until(lambda: hardware.played.any())
    if how == "unplugged":
        hardware.unplug("Loudspeaker")
    else:
        hardware.frozen = True
    assert player.wait(5)
    player.close()
    assert not ends.ends and len(ends.errors) == 1
    assert "'Loudspeaker' was disconnected or stopped answering. Connect it again" in ends.errors[0]
    hardware.frozen = False
    hardware.plugged.append(("Spare", "out"))
    player.device = "Spare"
    player.play(noise(0.1), 16000)
    assert player.wait(5)
    player.close()
    assert ends.ends == [True]


def test_an_error_of_the_callers_code_does_not_hang_the_player(hardware):
    def fail(completed):
        raise RuntimeError("in the window")

    player = Player(on_end=fail, audio=PortAudio())
    player.play(noise(0.05), 16000)
    assert player.wait(5)
    player.close()


def test_no_sound_at_all_ends_at_once(hardware, player, ends):
    player.play(np.zeros(0, dtype=np.float32), 16000)
    assert player.wait(5)
    player.close()
    assert ends.ends == [True] and player.position == 0.0


def test_wild_samples_are_tamed(hardware, player):
    player.play(np.array([0.5, np.nan, 7.0, -np.inf, 0.5], dtype=np.float32), 16000)
    assert player.wait(5)
    np.testing.assert_array_equal(without_silence(hardware.played), [0.5, 0.0, 1.0, -1.0, 0.5])


def test_two_channels_are_refused(hardware, player):
    player.start(16000)
    with pytest.raises(UnsupportedAudioError, match="one channel"):
        player.append(np.zeros((10, 2)))


def reason(player):
    player.play(np.zeros(1600, dtype=np.float32), 16000)
    assert player.wait(5)
    return str(player.error)


def test_no_device_and_no_library_are_named(monkeypatch, player):
    Hardware(outputs=()).install(monkeypatch)
    assert "No loudspeaker was found. Connect one" in reason(player)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "pip install sounddevice" in reason(player)


def test_a_missing_portaudio_says_what_to_install(monkeypatch, tmp_path, player):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert "libportaudio2" in reason(player)
