"""The WaveNet network: dilated causal convolutions over samples, conditioned on mels; knows no files and no sampling.

van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio" (arXiv 1609.03499), in the form that SV2TTS and
Tacotron 2 use as a vocoder (Shen et al. 2018, arXiv 1712.05884, section 2.3): 30 layers in 3 cycles of dilation.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vocoder.config import WaveNetConfig


class WaveNetLayer(nn.Module):
    """Gated dilated convolution with a residual and a skip output."""

    def __init__(self, cfg: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        self.reach = dilation * (cfg.kernel - 1)
        self.residual = cfg.residual
        self.dilated = nn.Conv1d(cfg.residual, 2 * cfg.gate, cfg.kernel, dilation=dilation)
        self.out = nn.Conv1d(cfg.gate, cfg.residual + cfg.skip, 1)

    def forward(self, x: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, residual, S), local (B, 2 * gate, S) -> the next layer's x, and skip (B, skip, S)."""
        filtered, gated = (self.dilated(F.pad(x, (self.reach, 0))) + local).chunk(2, dim=1)
        residual, skip = self.out(torch.tanh(filtered) * torch.sigmoid(gated)).split(
            [self.residual, self.out.out_channels - self.residual], dim=1
        )
        return x + residual, skip


class WaveNet(nn.Module):
    """Predicts each sample of a wave from the `receptive_field` samples before it and the mel around it."""

    def __init__(self, cfg: WaveNetConfig | None = None) -> None:
        super().__init__()
        self.cfg = cfg = cfg or WaveNetConfig()
        self.input = nn.Conv1d(1, cfg.residual, 1)
        self.frame = nn.Conv1d(cfg.n_mels, cfg.local, 2 * cfg.pad - 1)
        self.local = nn.Conv1d(cfg.local, cfg.layers * 2 * cfg.gate, 1)
        self.layers = nn.ModuleList(WaveNetLayer(cfg, dilation) for dilation in cfg.dilations)
        self.head = nn.Conv1d(cfg.skip, cfg.skip, 1)
        self.outputs = nn.Conv1d(cfg.skip, cfg.n_classes, 1)

    @property
    def stack(self) -> list[WaveNetLayer]:
        """The layers, from the samples on."""
        return [layer for layer in self.layers if isinstance(layer, WaveNetLayer)]

    @property
    def receptive_field(self) -> int:
        """Samples before a sample that its prediction depends on."""
        return 1 + (self.cfg.kernel - 1) * sum(self.cfg.dilations)

    @property
    def skip_scale(self) -> float:
        """What keeps the sum of all layers' skip outputs as large as one layer's."""
        return 1.0 / sqrt(self.cfg.layers)

    def frames(self, mels: Tensor) -> Tensor:
        """mels (B, n_mels, F) in [-1, 1] -> what they add to the gates at their frames, (B, layers * 2 * gate, N).

        N = F - 2 * pad + 2: the first frame that is spoken is entry 1, and the last entry follows the last one.
        """
        return self.local(F.relu(self.frame(mels)))

    def forward(self, x: Tensor, mels: Tensor) -> Tensor:
        """Samples before, x (B, 1, S) in [-1, 1], and mels (B, n_mels, S / hop + 2 * pad) in [-1, 1] ->
        (B, n_classes, S).

        Entry s of the result describes sample s, of which x[:, :, s] is the predecessor: logits in RAW mode, parameters
        of the mixture in MOL mode. Before x is silence.
        """
        cfg = self.cfg
        frames = x.shape[-1] // cfg.hop_length
        if x.shape[-1] % cfg.hop_length or mels.shape[-1] != frames + 2 * cfg.pad:
            raise ValueError(
                f"x {tuple(x.shape)} and mels {tuple(mels.shape)} do not belong together: S must be a multiple of "
                f"{cfg.hop_length}, and mels have S / {cfg.hop_length} + {2 * cfg.pad} frames"
            )
        local = self.frames(mels)[:, :, 1:].chunk(cfg.layers, dim=1)
        hidden, total = self.input(x), x.new_zeros(())
        for layer, at_frames in zip(self.stack, local, strict=True):
            hidden, skip = layer(hidden, interpolate(at_frames, cfg.hop_length))
            total = total + skip
        return self.outputs(F.relu(self.head(F.relu(total * self.skip_scale))))


def interpolate(frames: Tensor, hop_length: int) -> Tensor:
    """Linear between frames: (B, C, N + 1) -> (B, C, N * hop_length), a frame's value at its first sample."""
    share = torch.arange(hop_length, device=frames.device, dtype=frames.dtype) / hop_length
    before, after = frames[..., :-1, None], frames[..., 1:, None]
    return torch.lerp(before, after, share).flatten(-2)
