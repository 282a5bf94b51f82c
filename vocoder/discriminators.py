"""Networks that tell made sound from recorded sound, and what both sides of that game lose; knows no generator.

HiFi-GAN's multi-period discriminator (Kong et al. 2020, arXiv 2010.05646) and a multi-resolution one on spectrograms
(Jang et al. 2021, arXiv 2106.07889), as in Vocos, with channels to choose: the published widths are made for GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

_SLOPE = 0.1

Judgement = tuple[Tensor, list[Tensor]]
"""Scores of any shape and the features of each layer before."""


class PeriodDiscriminator(nn.Module):
    """Looks at every `period`-th sample: wav (B, S) folded to (B, 1, S / period, period)."""

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, channels * 2, channels * 4, channels * 8]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3, 1), padding=(2, 0)))
            for before, after in zip(widths, widths[1:], strict=False)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wav: Tensor) -> Judgement:
        folded = F.pad(wav, (0, -wav.shape[-1] % self.period), mode="reflect").view(len(wav), 1, -1, self.period)
        return _judge(self.convs, self.last, folded)


class ResolutionDiscriminator(nn.Module):
    """Looks at the magnitudes of an STFT, (B, 1, T, n_fft / 2 + 1)."""

    window: Tensor

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, channels, (3, taps), (1, stride), padding=(1, taps // 2)))
            for before, taps, stride in ((1, 9, 2), (channels, 9, 2), (channels, 9, 2), (channels, 3, 1))
        )
        self.last = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, wav: Tensor) -> Judgement:
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = torch.stft(wav.float(), self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
            # The square root: quiet bins count without the steep slope of a logarithm at zero.
            image = (spectrum.real.square() + spectrum.imag.square() + 1e-8).pow(0.25)
        return _judge(self.convs, self.last, image.transpose(1, 2).unsqueeze(1))


class Discriminators(nn.Module):
    """All judges of a wav (B, S)."""

    def __init__(self, periods: Sequence[int], resolutions: Sequence[int], channels: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [PeriodDiscriminator(period, channels) for period in periods]
            + [ResolutionDiscriminator(n_fft, channels) for n_fft in resolutions]
        )

    def forward(self, wav: Tensor) -> list[Judgement]:
        return [judge(wav) for judge in self.judges]


def discriminator_loss(real: Sequence[Judgement], made: Sequence[Judgement]) -> Tensor:
    """Hinge loss: what is real should score above 1, what is made below -1."""
    terms = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for (r, _), (m, _) in zip(real, made, strict=True)]
    return torch.stack(terms).mean()


def generator_loss(made: Sequence[Judgement]) -> Tensor:
    """What is made should score high."""
    return torch.stack([F.relu(1 - scores).mean() for scores, _ in made]).mean()


def feature_loss(real: Sequence[Judgement], made: Sequence[Judgement]) -> Tensor:
    """Mean L1 distance of the features, relative to the real ones' size."""
    pairs = [pair for (_, r), (_, m) in zip(real, made, strict=True) for pair in zip(r, m, strict=True)]
    terms = [(m - r.detach()).abs().mean() / r.detach().abs().mean().clamp(min=1e-4) for r, m in pairs]
    return torch.stack(terms).mean()


def _judge(convs: nn.ModuleList, last: nn.Module, x: Tensor) -> Judgement:
    features = []
    for conv in convs:
        x = F.leaky_relu(conv(x), _SLOPE)
        features.append(x)
    return last(x), features
