import math

import pytest
import torch

from audio.mel import SYNTHESIZER_MEL
from vocoder.phase import integrate, refine, slopes

CFG = SYNTHESIZER_MEL


def _stft(wav: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(CFG.win_length)
    return torch.stft(
        wav, CFG.n_fft, CFG.hop_length, CFG.win_length, window, pad_mode="constant", return_complex=True
    )


@pytest.fixture
def spectrum(speechlike) -> torch.Tensor:
    return _stft(torch.from_numpy(speechlike(0.5))[None])


def _whole(spectrum: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The slopes with a first frame and a first bin of ones."""
    over_time, over_bins = slopes(spectrum, CFG)
    ones = torch.ones_like(spectrum)
    return torch.cat([ones[..., :1], over_time], -1), torch.cat([ones[:, :1], over_bins], 1)


def test_a_tone_in_the_middle_of_a_bin_has_no_slope():
    bin_hz = CFG.sample_rate / CFG.n_fft
    wav = torch.sin(2 * math.pi * 40 * bin_hz / CFG.sample_rate * torch.arange(16000))
    over_time, over_bins = slopes(_stft(wav[None]), CFG)
    assert torch.allclose(over_time[0, 40, 5:-5], torch.ones(1, dtype=torch.complex64), atol=1e-3)
    assert torch.allclose(over_bins[0, 39:41, 5:-5], torch.ones(1, dtype=torch.complex64), atol=1e-3)


def test_true_slopes_give_the_phases_back(spectrum):
    unit = spectrum / spectrum.abs().clamp(min=1e-12)
    magnitude, over_time, over_bins = (part[..., 1:] for part in (spectrum.abs(), *_whole(spectrum)))
    phases = integrate(magnitude, over_time, over_bins, CFG, before=unit[..., 0])
    assert float((phases - unit[..., 1:]).abs()[magnitude > 1e-2].max()) < 1e-2


def test_the_phases_go_on_from_a_block_to_the_next(spectrum):
    magnitude, (over_time, over_bins) = spectrum.abs(), _whole(spectrum)
    whole = integrate(magnitude, over_time, over_bins, CFG)
    first = integrate(magnitude[..., :17], over_time[..., :17], over_bins[..., :17], CFG)
    rest = integrate(
        magnitude[..., 17:], over_time[..., 17:], over_bins[..., 17:], CFG, before=first[..., -1]
    )
    assert torch.equal(torch.cat([first, rest], -1), whole)


def test_rounds_bring_the_spectrogram_nearer_to_what_was_asked(spectrum):
    magnitude = spectrum.abs()
    start = torch.ones_like(spectrum)
    errors = [float((_stft(refine(magnitude, start, CFG, rounds)).abs() - magnitude).norm()) for rounds in (0, 4, 16)]
    assert errors[2] < errors[1] < errors[0]


def test_no_round_is_the_inverse_of_the_stft(spectrum, speechlike):
    wav = torch.from_numpy(speechlike(0.5))[: CFG.hop_length * (spectrum.shape[-1] - 1)]
    made = refine(spectrum.abs(), spectrum / spectrum.abs().clamp(min=1e-12), CFG, 0)
    assert torch.allclose(made[0], wav, atol=1e-4)
