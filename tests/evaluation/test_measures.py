"""Measures against cases whose figure is known."""

import numpy as np
import pytest

from evaluation import measures
from evaluation.pitch import median_pitch, track_pitch

RATE = 16000


def tone(hz, seconds=1.0):
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 9))).astype(np.float32)


@pytest.mark.parametrize("hz", [80.0, 130.5, 220.0, 330.0, 450.0])
def test_the_pitch_of_a_tone(hz):
    assert median_pitch(tone(hz), RATE) == pytest.approx(hz, rel=0.002)


def test_noise_and_silence_have_no_pitch():
    rng = np.random.default_rng(0)
    assert median_pitch(rng.standard_normal(RATE).astype(np.float32), RATE) == 0
    assert not track_pitch(np.zeros(RATE, np.float32), RATE).any()
    half = np.concatenate([tone(200), np.zeros(RATE, np.float32)])
    voiced = track_pitch(half, RATE) > 0
    assert voiced[5:95].all() and not voiced[106:].any()
    assert len(track_pitch(half[:3], RATE)) == 1


def test_pitch_errors():
    low, high = tone(200), tone(200 * 2 ** (1 / 12))
    assert measures.pitch_errors(low, low, RATE) == (0.0, 0.0)
    cents, lost = measures.pitch_errors(low, high, RATE)
    assert cents == pytest.approx(100, abs=2) and lost < 0.05
    assert measures.pitch_errors(low, tone(400), RATE)[1] > 0.9
    cents, lost = measures.pitch_errors(low, np.zeros_like(low), RATE)
    assert cents is None and lost > 0.9


def test_an_identical_sound_is_perfect(speechlike):
    wav = speechlike(2.0)
    assert measures.mel_cepstral_distortion(wav, wav, RATE) == 0
    assert measures.stft_distance(wav, wav) == 0
    if measures.have("pesq"):
        assert measures.pesq_wb(wav, wav, RATE) == pytest.approx(4.64, abs=0.01)
        assert measures.pesq_wb(wav, np.zeros_like(wav), RATE) is None
    if measures.have("pystoi"):
        assert measures.stoi(wav, wav, RATE) == pytest.approx(1.0, abs=1e-6)


def test_mel_cepstral_distortion_is_in_decibels_and_deaf_to_loudness(speechlike):
    wav = speechlike(2.0)
    assert measures.mel_cepstral_distortion(wav, 0.5 * wav, RATE) == pytest.approx(0, abs=1e-3)
    # Pre-emphasis by first differences tilts a spectrum over 8 kHz by tens of dB.
    tilted = np.append(np.diff(wav), 0).astype(np.float32)
    assert 3 < measures.mel_cepstral_distortion(wav, tilted, RATE) < 30
    noise = np.random.default_rng(1).standard_normal(len(wav)).astype(np.float32)
    slight, strong = wav + 0.001 * noise, wav + 0.1 * noise
    assert 0 < measures.mel_cepstral_distortion(wav, slight, RATE) < measures.mel_cepstral_distortion(wav, strong, RATE)
    assert measures.stft_distance(wav, slight) < measures.stft_distance(wav, strong)


def test_without_the_packages_nothing_is_measured(monkeypatch, speechlike):
    monkeypatch.setattr(measures, "have", lambda package: False)
    wav = speechlike(1.0)
    assert measures.pesq_wb(wav, wav, RATE) is None and measures.stoi(wav, wav, RATE) is None


def test_error_rates():
    said = ["the", "cat", "sat", "on", "the", "mat"]
    assert measures.error_rate(said, said) == 0
    assert measures.error_rate(said, ["the", "cat", "on", "the", "mat"]) == pytest.approx(1 / 6)
    assert measures.error_rate(said, ["the", "hat", "sat", "on", "on", "the", "mat"]) == pytest.approx(2 / 6)
    assert measures.error_rate(said, []) == 1
    assert measures.error_rate(["no"], ["oh", "no", "no"]) == 2
    assert measures.error_rate(list("abc"), list("abd")) == pytest.approx(1 / 3)


def test_a_voice_is_nearer_to_itself_by_its_cepstra(speechlike):
    one, again, other = (measures.mfcc_statistics(speechlike(2.0, seed=seed), RATE) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.allclose(one, other)


def test_the_mean_of_what_was_measured():
    assert measures.mean([1.0, None, 3.0]) == 2 and measures.mean([None]) is None and measures.mean([]) is None
