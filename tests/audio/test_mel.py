"""Mel spectrograms give RTVC's numbers, keep gradients, and come back as sound."""

import numpy as np
import pytest
import torch

from audio.errors import Cancelled, EmptyAudioError, NonFiniteAudioError, ShortAudioError, SignalSettingsError
from audio.mel import (
    ENCODER_MEL,
    SYNTHESIZER_MEL,
    MelConfig,
    MelTransform,
    denormalize_db,
    griffin_lim,
    mel_filterbank,
    mel_to_linear,
    normalize_db,
)

CONFIGS = [
    ENCODER_MEL,
    SYNTHESIZER_MEL,
    MelConfig(sample_rate=22050, n_fft=1024, hop_length=256, win_length=900, n_mels=20, fmin=0.0, fmax=11025.0),
]


def assert_near(actual, expected):
    """Within 1e-4 relative; what is that small beside the largest value is rounding of the transform."""
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_reference_values(reference):
    encoder, synthesizer = reference("encoder.npz"), reference("synthesizer.npz")
    assert_near(MelTransform(ENCODER_MEL)(encoder["preprocessed"]).T, encoder["mel"])
    assert_near(MelTransform(SYNTHESIZER_MEL)(synthesizer["wav"]), synthesizer["mel"])
    assert_near(mel_to_linear(synthesizer["mel"], SYNTHESIZER_MEL), synthesizer["inverse_linear"])


@pytest.mark.parametrize("cfg", CONFIGS)
def test_filterbank_and_transform_equal_librosa(cfg, speechlike):
    import librosa

    bands = {"sr": cfg.sample_rate, "n_fft": cfg.n_fft, "n_mels": cfg.n_mels, "fmin": cfg.fmin, "fmax": cfg.fmax}
    filters = librosa.filters.mel(**bands)
    np.testing.assert_allclose(mel_filterbank(cfg), filters, atol=1e-6 * filters.max())

    wav = speechlike(1.0)
    plain = MelConfig(**(cfg.to_dict() | {"scale": "power", "preemphasis": 0.0}))
    expected = librosa.feature.melspectrogram(
        y=wav,
        hop_length=cfg.hop_length,
        win_length=cfg.win_length,
        power=cfg.power,
        pad_mode="constant",
        **bands,
    )
    assert_near(MelTransform(plain)(wav), expected)


@pytest.mark.parametrize("cfg", CONFIGS)
@pytest.mark.parametrize("samples", [1, 199, 200, 1601])
def test_shapes_kinds_and_batches(cfg, samples):
    wavs = np.random.default_rng(0).uniform(-0.5, 0.5, (3, samples)).astype(np.float32)
    transform = MelTransform(cfg)
    batch = transform(wavs)
    assert batch.shape == (3, cfg.n_mels, 1 + samples // cfg.hop_length) and batch.dtype == np.float32
    tensor = transform(torch.from_numpy(wavs))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(batch, tensor.numpy())
    for row, wav in zip(batch, wavs, strict=True):
        assert_near(transform(wav), row)


def test_long_sound_in_blocks_equals_one_block(monkeypatch, speechlike):
    wav = speechlike(3.0)
    whole = MelTransform()(wav)
    monkeypatch.setattr("audio.mel.BLOCK_FRAMES", 1)
    np.testing.assert_allclose(MelTransform()(wav), whole, atol=1e-5)


@pytest.mark.parametrize("cfg", [ENCODER_MEL, SYNTHESIZER_MEL])
def test_gradient_reaches_the_sound_even_from_silence(cfg):
    wav = torch.cat([torch.zeros(2000), torch.sin(torch.arange(2000) / 5)]).requires_grad_()
    MelTransform(cfg)(wav).sum().backward()
    assert torch.isfinite(wav.grad).all() and wav.grad[2500:].abs().sum() > 0


def test_autocast_does_not_change_the_numbers():
    wav = torch.rand(2, 4000) - 0.5
    plain = MelTransform()(wav)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(MelTransform()(wav), plain)


def test_decibels_come_back():
    amplitudes = torch.logspace(-3.9, 0.9, 50)
    torch.testing.assert_close(denormalize_db(normalize_db(amplitudes, MelConfig()), MelConfig()), amplitudes)
    assert normalize_db(torch.tensor([0.0, 1e9]), MelConfig()).tolist() == [-4.0, 4.0]


def test_griffin_lim_gives_a_sound_of_the_same_spectrogram(speechlike):
    wav = speechlike(1.5)
    mel = MelTransform()(wav)
    calls = []
    back = griffin_lim(mel, n_iter=30, seed=3, progress=lambda *at: calls.append(at), sharpening=1.0)
    assert back.dtype == np.float32 and back.shape == (200 * (mel.shape[1] - 1),)
    distance = np.abs(MelTransform()(back) - mel).mean()  # 1 is 12.5 dB
    random_phases = griffin_lim(mel, n_iter=0, seed=3, sharpening=1.0)
    assert distance < 0.2 and distance < 0.6 * np.abs(MelTransform()(random_phases) - mel).mean()
    assert calls == [(done, 30) for done in range(1, 31)]


def test_griffin_lim_keeps_loudness_and_is_set_by_its_seed(speechlike):
    wav = speechlike(1.0)
    mel = MelTransform()(wav)
    first = griffin_lim(mel, n_iter=5, seed=1)
    assert 0.5 < first.std() / wav.std() < 2
    np.testing.assert_array_equal(first, griffin_lim(torch.from_numpy(mel), n_iter=5, seed=1))
    assert not np.array_equal(first, griffin_lim(mel, n_iter=5, seed=2))


def test_griffin_lim_can_be_stopped():
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        griffin_lim(np.zeros((80, 10), np.float32), progress=stop)


def test_bad_input_is_named():
    with pytest.raises(EmptyAudioError, match="no samples"):
        MelTransform()(np.zeros(0, np.float32))
    with pytest.raises(ShortAudioError):
        griffin_lim(np.zeros((80, 1), np.float32))
    with pytest.raises(NonFiniteAudioError):
        griffin_lim(np.full((80, 5), np.nan, np.float32))
    with pytest.raises(ValueError, match="80"):
        mel_to_linear(np.zeros((40, 5), np.float32))


@pytest.mark.parametrize(
    "change",
    [{"n_fft": 801}, {"win_length": 900}, {"hop_length": 0}, {"fmax": 9000.0}, {"fmin": -1.0}, {"scale": "mel"}],
)
def test_contradictory_settings_are_refused(change):
    with pytest.raises(SignalSettingsError):
        MelConfig(**change)


def test_config_survives_a_dictionary():
    assert MelConfig.from_dict(ENCODER_MEL.to_dict()) == ENCODER_MEL
    assert MelConfig.from_dict({"n_mels": 40}) == MelConfig(n_mels=40)
    with pytest.raises(SignalSettingsError, match="n_mel"):
        MelConfig.from_dict({"n_mel": 40})
    with pytest.raises(SignalSettingsError, match="type"):
        MelConfig.from_dict({"fmin": "low"})
