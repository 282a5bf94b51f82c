"""The Vocos network: a whole spectrogram at once by ConvNeXt blocks; knows no files, no training and no wavs.

Siuzdak 2023, "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders" (arXiv 2306.00814).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio.mel import denormalize_db, mel_filterbank
from vocoder.config import VocosConfig

# Quieter than the quietest mel value by far, so that it only keeps the logarithm finite.
_FLOOR = 1e-5


class ConvNeXtBlock(nn.Module):
    """Depth-wise convolution over time, then two point-wise layers, scaled and added: (B, C, T) -> (B, C, T).

    Liu et al. 2022 (arXiv 2201.03545), in one dimension.
    """

    def __init__(self, dim: int, hidden: int, kernel: int, scale: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, hidden)
        self.pwconv2 = nn.Linear(hidden, dim)
        self.gamma = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).transpose(1, 2))
        hidden = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(hidden)))
        return x + hidden.transpose(1, 2)


class Vocos(nn.Module):
    """Magnitudes and phases of an STFT from a mel spectrogram.

    The magnitude is that of the mel spread over the bins, times what the network adds within each band: it starts at an
    estimate, and training has only the fine structure to learn.
    """

    spread: Tensor

    def __init__(self, cfg: VocosConfig | None = None) -> None:
        super().__init__()
        self.cfg = cfg = cfg or VocosConfig()
        self.embed = nn.Conv1d(cfg.n_mels, cfg.dim, cfg.kernel, padding=cfg.kernel // 2)
        self.norm = nn.LayerNorm(cfg.dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(cfg.dim, cfg.hidden, cfg.kernel, 1.0 / cfg.layers) for _ in range(cfg.layers)
        )
        self.final_norm = nn.LayerNorm(cfg.dim, eps=1e-6)
        self.head = nn.Linear(cfg.dim, cfg.mel.n_bins * 5)
        self.register_buffer("spread", _spread(cfg), persistent=False)
        self.apply(_initialise)

    @property
    def context(self) -> int:
        """Frames on each side that a frame's result depends on."""
        return (self.cfg.layers + 1) * (self.cfg.kernel // 2)

    def forward(self, mels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mels (B, n_mels, T) in [-1, 1] -> magnitudes and the slopes of the phases over time and over bins.

        All (B, n_bins, T), the slopes complex; see ``vocoder.phase``.
        """
        x = self.norm(self.embed(mels).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        out = self.head(self.final_norm(x.transpose(1, 2))).transpose(1, 2).float()
        amplitude = denormalize_db(mels.float() * self.cfg.mel_scale, self.cfg.mel)
        log_prior = (self.spread @ amplitude).clamp(min=_FLOOR).log()
        log_magnitude, *parts = out.split(self.cfg.mel.n_bins, dim=1)
        # An upper limit, as in the paper: what a sound of full scale could have at most.
        magnitude = (log_prior + log_magnitude).exp().clamp(max=float(self.cfg.mel.win_length))
        return magnitude, torch.complex(*parts[:2]), torch.complex(*parts[2:])


def _spread(cfg: VocosConfig) -> Tensor:
    """(n_bins, n_mels): each bin as the mean of the bands over it, a band as its mean per bin."""
    filters = torch.from_numpy(mel_filterbank(cfg.mel))
    bands = filters / filters.sum(dim=1, keepdim=True).square().clamp(min=1e-10)
    return (bands / (filters / filters.sum(dim=1, keepdim=True)).sum(dim=0).clamp(min=1e-10)).t().contiguous()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
