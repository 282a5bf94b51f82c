"""Companding and emphasis give RTVC's numbers; loudness, rates and fades do what they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio import signal
from audio.errors import UnsupportedAudioError


def test_reference_values(reference):
    values = reference("vocoder.npz")
    np.testing.assert_array_equal(signal.mu_law_encode(values["mu_in"], 512), values["mu_encoded"])
    results = {
        "mu_decoded": signal.mu_law_decode(values["mu_encoded"], 512),
        "pre_emphasis": signal.pre_emphasis(values["mu_in"], 0.97),
        "de_emphasis": signal.de_emphasis(values["mu_in"], 0.97),
    }
    for name, result in results.items():
        np.testing.assert_allclose(result, values[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_classes", [256, 512, 1024])
def test_every_mu_law_label_survives(n_classes):
    labels = np.arange(n_classes, dtype=float)
    decoded = signal.mu_law_decode(labels, n_classes)
    np.testing.assert_array_equal(signal.mu_law_encode(decoded, n_classes), labels)
    companded = signal.label_to_float(labels, int(math.log2(n_classes)))
    np.testing.assert_allclose(signal.mu_law_decode(companded, n_classes, from_labels=False), decoded, atol=1e-12)


@given(st.floats(-5, 5), st.integers(4, 16))
def test_labels_stay_in_range(value, bits):
    sample = np.array([value])
    for label in (signal.float_to_label(sample, bits), signal.mu_law_encode(sample, 2**bits)):
        assert 0 <= label[0] <= 2**bits - 1
    back = signal.label_to_float(signal.float_to_label(sample, bits), bits)
    assert back[0] == pytest.approx(np.clip(value, -1, 1), abs=1e-9)


def test_de_emphasis_goes_on_from_the_sample_before(speechlike):
    wav = speechlike(0.5)
    whole = signal.de_emphasis(wav)
    for cut in (1, 4000):
        rest = signal.de_emphasis(wav[cut:], last=float(whole[cut - 1]))
        np.testing.assert_allclose(rest, whole[cut:], atol=1e-6)


def test_de_emphasis_undoes_pre_emphasis(speechlike):
    wav = speechlike(1.0)
    back = signal.de_emphasis(signal.pre_emphasis(wav))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, wav, atol=1e-5)
    batch = np.stack([wav, wav[::-1]])
    np.testing.assert_allclose(signal.pre_emphasis(batch)[1], signal.pre_emphasis(batch[1]))
    assert signal.pre_emphasis(np.zeros(0, np.float32)).size == 0


def test_volume_moves_to_the_target_in_the_allowed_direction(speechlike):
    wav = speechlike(1.0)
    assert signal.dbfs(signal.normalize_volume(wav, -30.0)) == pytest.approx(-30, abs=1e-3)
    assert signal.normalize_volume(wav, -60.0, increase_only=True) is wav
    assert signal.normalize_volume(wav, -3.0, decrease_only=True) is wav
    assert signal.normalize_volume(wav, -30.0).dtype == np.float32
    with pytest.raises(ValueError):
        signal.normalize_volume(wav, -30.0, increase_only=True, decrease_only=True)


def test_peak(speechlike):
    assert np.abs(signal.normalize_peak(speechlike(1.0))).max() == pytest.approx(0.9)


@pytest.mark.parametrize("silence", [np.zeros(100, np.float32), np.zeros(0, np.float32)])
def test_silence_stays_silence(silence):
    assert signal.dbfs(silence) == -math.inf
    for quiet in (signal.normalize_volume(silence, -30.0), signal.normalize_peak(silence)):
        np.testing.assert_array_equal(quiet, silence)


@pytest.mark.parametrize("rates", [(48000, 16000), (44100, 16000), (8000, 16000), (16000, 16000)])
def test_resampling_keeps_a_tone(rates):
    source, target = rates
    tone = np.sin(2 * np.pi * 440 * np.arange(source) / source).astype(np.float32)
    there = signal.resample(tone, source, target)
    assert there.dtype == np.float32 and abs(len(there) - target) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(len(there)) / target)
    np.testing.assert_allclose(there[2000:-2000], expected[2000:-2000], atol=1e-3)


@pytest.mark.parametrize("rate", [0, -16000, 100, 10**9])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(UnsupportedAudioError, match="sample rate"):
        signal.resample(np.zeros(10, np.float32), rate, 16000)


def test_fades_and_cross_fade():
    ones = np.ones(100, np.float32)
    faded = signal.fade_out(ones, 10)
    assert faded[89] == 1 and faded[-1] == 0 and (np.diff(faded[90:]) < 0).all() and ones[-1] == 1
    np.testing.assert_array_equal(signal.fade_in(ones, 10), faded[::-1])
    assert signal.fade_out(ones, 1000)[0] == 1
    joined = signal.cross_fade(ones, -ones, 20)
    assert joined.shape == (180,) and joined.dtype == np.float32
    assert joined[79] == 1 and joined[100] == -1 and abs(joined[89:91].sum()) < 1e-6
    assert signal.cross_fade(ones, ones, 0).shape == (200,)
    assert signal.cross_fade(ones, ones[:5], 50).shape == (100,)
