"""Playback with a stand-in sound library."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from toolbox.player import PlaybackError, play


class PortAudioError(Exception):
    pass


def library(monkeypatch, rates=(16000,), device=True):
    played = []

    def check(samplerate, channels, dtype):
        if not device or samplerate not in rates:
            raise PortAudioError("invalid sample rate")

    def query(kind):
        if not device:
            raise ValueError("No output device matching")
        return {"default_samplerate": 48000.0}

    fake = SimpleNamespace(
        PortAudioError=PortAudioError,
        check_output_settings=check,
        query_devices=query,
        play=lambda wav, rate: played.append((len(wav), rate)),
        wait=lambda: None,
        stop=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return played


def test_plays_at_the_rate_of_the_sound(monkeypatch):
    played = library(monkeypatch)
    play(np.zeros(1600, dtype=np.float32), 16000)
    assert played == [(1600, 16000)]


def test_resamples_for_a_device_that_refuses(monkeypatch):
    played = library(monkeypatch, rates=(48000,))
    play(np.zeros(1600, dtype=np.float32), 16000)
    assert played == [(4800, 48000)]


def test_no_device_and_no_library_are_named(monkeypatch):
    library(monkeypatch, device=False)
    with pytest.raises(PlaybackError, match="no sound output"):
        play(np.zeros(1600, dtype=np.float32), 16000)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(PlaybackError, match="libportaudio2"):
        play(np.zeros(1600, dtype=np.float32), 16000)
