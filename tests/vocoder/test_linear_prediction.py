import numpy as np
import pytest
from scipy.linalg import solve_toeplitz

from audio.mel import SYNTHESIZER_MEL, MelTransform
from audio.signal import de_emphasis, pre_emphasis
from vocoder import linear_prediction
from vocoder.linear_prediction import levinson_durbin, predictors


@pytest.fixture
def spoken(speechlike):
    """Pre-emphasised sound (S,), and its predictors of order 32."""
    wav = speechlike(1.0)
    return pre_emphasis(wav), predictors(MelTransform()(wav), SYNTHESIZER_MEL, 32)


def test_levinson_durbin_solves_the_normal_equations():
    power = np.random.default_rng(0).uniform(0.1, 10, (3, 129))
    correlation = np.fft.irfft(power, axis=1)[:, :13]
    coefficients, errors = levinson_durbin(correlation)
    for row, found, error in zip(correlation, coefficients, errors, strict=True):
        expected = solve_toeplitz(row[:-1], -row[1:])
        np.testing.assert_allclose(found, [1.0, *expected], atol=1e-9)
        np.testing.assert_allclose(error, row[0] + expected @ row[1:], rtol=1e-9)


def test_colour_is_the_inverse_of_whiten(spoken):
    signal, found = spoken
    excitation = found.whiten(signal)
    np.testing.assert_allclose(found.colour(excitation), signal, atol=1e-9)
    begin = found.colour(excitation[:777])
    end = found.colour(excitation[777:], 777, begin[-32:])
    np.testing.assert_allclose(np.concatenate([begin, end]), signal, atol=1e-9)


def test_the_excitation_is_as_large_as_promised_and_whiter_than_the_sound(spoken):
    def flatness(wav):
        power = np.abs(np.fft.rfft(wav.reshape(-1, 800), axis=1)).mean(axis=0)[8:370] ** 2
        return np.exp(np.log(power).mean()) / power.mean()

    signal, found = spoken
    excitation = found.whiten(signal)
    assert 0.02 < excitation[1600:-1600].std() < 0.2
    assert flatness(excitation) > 0.3 > flatness(signal)


def test_white_noise_takes_the_spectrum_of_the_mel(speechlike):
    mel = MelTransform()(speechlike(1.0))
    noise = np.random.default_rng(0).normal(0, 0.06, 200 * (mel.shape[1] - 1))
    spoken = de_emphasis(predictors(mel, SYNTHESIZER_MEL, 32).colour(noise))
    # 4 / 50 of the mel's scale are a decibel.
    assert np.abs(MelTransform()(spoken) - mel)[:, 4:-4].mean() < 0.75
    assert np.abs(MelTransform()(de_emphasis(noise)) - mel)[:, 4:-4].mean() > 1.5


def test_levels_of_the_mel_hardly_change_the_excitation(speechlike):
    wav = speechlike(0.5)
    levels = [
        predictors(MelTransform()(gain * wav), SYNTHESIZER_MEL, 16).whiten(gain * pre_emphasis(wav)).std()
        for gain in (1.0, 0.1)
    ]
    assert 0.8 < levels[0] / levels[1] < 1.25


def test_long_mels_are_done_in_blocks(monkeypatch, random_mel):
    mel = random_mel(23)
    whole = predictors(mel, SYNTHESIZER_MEL, 16)
    monkeypatch.setattr(linear_prediction, "_FRAMES", 5)
    blocks = predictors(mel, SYNTHESIZER_MEL, 16)
    np.testing.assert_allclose(blocks.coefficients, whole.coefficients, atol=1e-9)
    np.testing.assert_allclose(blocks.gains, whole.gains, rtol=1e-9)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_and_silent_mels_have_predictors(frames):
    found = predictors(np.full((80, frames), -4.0), SYNTHESIZER_MEL, 32)
    assert found.coefficients.shape == (4 * frames, 33) and found.step == 50
    assert np.abs(found.colour(np.random.default_rng(0).normal(0, 0.06, 300))).max() < 1e-3
