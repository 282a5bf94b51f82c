"""Trimming gives RTVC's result; silence, noise and other rates are handled."""

import numpy as np
import pytest

from audio.errors import EmptyAudioError, NonFiniteAudioError, ShortAudioError, SilentAudioError
from audio.signal import normalize_volume, resample
from audio.vad import require_sound, require_speech, speech_seconds, speech_windows, trim_edges, trim_long_silences

QUIET = np.zeros(16000, np.float32)


def test_reference_values(reference):
    values = reference("encoder.npz")
    trimmed = trim_long_silences(normalize_volume(values["wav"], -30.0, increase_only=True))
    np.testing.assert_array_equal(trimmed, values["preprocessed"])


def test_long_silences_go_and_speech_stays(speechlike):
    speech = speechlike(3.0)
    padded = np.concatenate([QUIET, speech, QUIET, QUIET, speech, QUIET])
    trimmed = trim_long_silences(padded)
    assert trimmed.dtype == np.float32
    assert 0.8 * 2 * speech_seconds(speech) < len(trimmed) / 16000 < 7.0
    assert speech_seconds(padded) == pytest.approx(len(trimmed) / 16000)


@pytest.mark.parametrize("sample_rate", [8000, 22050, 48000])
def test_other_rates_agree_with_16_khz(speechlike, sample_rate):
    wav = np.concatenate([QUIET, speechlike(3.0), QUIET])
    other = resample(wav, 16000, sample_rate)
    assert speech_seconds(other, sample_rate) == pytest.approx(speech_seconds(wav), abs=0.4)
    kept = len(trim_long_silences(other, sample_rate)) / sample_rate
    assert kept == pytest.approx(speech_seconds(other, sample_rate))


def test_edges_are_trimmed_and_pauses_kept(speechlike):
    speech = speechlike(2.0)
    wav = np.concatenate([QUIET, speech, QUIET, speech, QUIET])
    trimmed = trim_edges(wav, 16000, margin_seconds=0.1)
    assert 4.5 < len(trimmed) / 16000 < 6.0
    assert trim_edges(QUIET).size == 0


@pytest.mark.parametrize("samples", [0, 1, 479, 480, 481])
def test_sounds_shorter_than_the_smoothing(samples):
    assert trim_long_silences(np.zeros(samples, np.float32)).size == 0
    assert speech_seconds(np.zeros(samples, np.float32), 16000) == 0


def test_samples_beyond_full_scale_do_not_wrap(speechlike):
    wav = speechlike(2.0) * 5
    assert wav.max() > 2
    np.testing.assert_array_equal(speech_windows(wav), speech_windows(np.clip(wav, -1, 1)))


def test_require_sound_names_what_is_wrong(speechlike):
    wav = speechlike(2.0)
    require_sound(wav, 16000, 1.6)
    with pytest.raises(EmptyAudioError):
        require_sound(wav[:0], 16000)
    with pytest.raises(NonFiniteAudioError):
        require_sound(np.append(wav, np.inf), 16000)
    with pytest.raises(ShortAudioError, match="at least 1.60 s"):
        require_sound(wav[:16000], 16000, 1.6)
    for silence in (QUIET, QUIET + 0.5, 1e-5 * np.random.default_rng(0).standard_normal(16000)):
        with pytest.raises(SilentAudioError, match="silent"):
            require_sound(silence, 16000)


def test_require_speech_wants_speech(speechlike):
    wav = speechlike(3.0)
    require_speech(wav, 16000, 1.0)
    with pytest.raises(SilentAudioError, match="speech"):
        require_speech(np.where(np.arange(32000) % 16000 == 0, 0.5, 0.0).astype(np.float32), 16000, 1.0)
    with pytest.raises(ShortAudioError, match="of speech"):
        require_speech(np.concatenate([wav, *[QUIET] * 8]), 16000, 8.0)
