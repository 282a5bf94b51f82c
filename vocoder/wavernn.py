"""The WaveRNN network: sizes, layers and the pass over whole windows; knows no files, no sampling loop and no training.

Kalchbrenner et al. 2018, "Efficient Neural Audio Synthesis" (arXiv 1802.08435), in the widespread form of two residual
GRUs conditioned on up-sampled mels and on the features of a residual convolution network. State-dict names and shapes
are those of the public Real-Time-Voice-Cloning checkpoints.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vocoder.config import AUX_SPLITS, WaveRNNConfig
from vocoder.recurrence import run_gru


class ResBlock(nn.Module):
    """Two point-wise convolutions with batch normalisation, added to their input: (B, C, T) -> (B, C, T)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(dims, dims, 1, bias=False)
        self.conv2 = nn.Conv1d(dims, dims, 1, bias=False)
        self.batch_norm1 = nn.BatchNorm1d(dims)
        self.batch_norm2 = nn.BatchNorm1d(dims)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.batch_norm1(self.conv1(x)))
        return x + self.batch_norm2(self.conv2(hidden))


class MelResNet(nn.Module):
    """Features of the mel and its neighbours: (B, n_mels, F) -> (B, res_out_dims, F - 2 * pad)."""

    def __init__(self, cfg: WaveRNNConfig) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(cfg.n_mels, cfg.compute_dims, 2 * cfg.pad + 1, bias=False)
        self.batch_norm = nn.BatchNorm1d(cfg.compute_dims)
        self.layers = nn.ModuleList(ResBlock(cfg.compute_dims) for _ in range(cfg.res_blocks))
        self.conv_out = nn.Conv1d(cfg.compute_dims, cfg.res_out_dims, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.batch_norm(self.conv_in(x)))
        for layer in self.layers:
            x = layer(x)
        return self.conv_out(x)


def stretch_and_smooth(x: Tensor, weight: Tensor, scale: int) -> Tensor:
    """Nearest-neighbour stretch, then a convolution of 2 * scale + 1 taps: x (..., F), weight -> (..., F * scale).

    A stretched sample's window holds three input frames only, each as often as it is repeated: the taps are summed for
    each of the `scale` places within a frame, and a product with 3 x scale numbers does both at once. As a convolution
    with one channel, its gradient was a fifth of the time of a training step on a CPU.
    """
    taps = F.pad(weight.flatten(), (scale - 1, scale - 1)).unfold(0, scale, 1).sum(-1).view(3, scale).flip(1)
    return (F.pad(x, (1, 1)).unfold(-1, 3, 1) @ taps).flatten(-2)


class UpsampleNetwork(nn.Module):
    """Mel frames to the rate of the samples: (B, n_mels, F) -> mels (B, S, n_mels), aux (B, S, res_out_dims).

    S = (F - 2 * pad) * hop_length: the frames of padding on both sides only serve as context.
    """

    def __init__(self, cfg: WaveRNNConfig) -> None:
        super().__init__()
        self.factors = cfg.upsample_factors
        self.scale = prod(cfg.upsample_factors)
        self.indent = cfg.pad * self.scale
        self.resnet = MelResNet(cfg)
        self.up_layers = nn.ModuleList()
        for factor in cfg.upsample_factors:
            conv = nn.Conv2d(1, 1, (1, 2 * factor + 1), padding=(0, factor), bias=False)
            nn.init.constant_(conv.weight, 1.0 / conv.weight.numel())
            # The public checkpoints number the convolutions 1, 3, 5: the stretches stand between them.
            self.up_layers.extend([nn.Identity(), conv])

    def frames(self, mels: Tensor) -> Tensor:
        """The features of `resnet` at the rate of frames, (B, F - 2 * pad, res_out_dims)."""
        return self.resnet(mels).transpose(1, 2)

    def samples(self, mels: Tensor) -> Tensor:
        """The smoothed mels at the rate of samples, (B, S, n_mels)."""
        x = mels
        for conv, factor in zip(self.up_layers[1::2], self.factors, strict=True):
            assert isinstance(conv, nn.Conv2d)
            x = stretch_and_smooth(x, conv.weight, factor)
        return x[:, :, self.indent : x.shape[-1] - self.indent].transpose(1, 2)

    def forward(self, mels: Tensor) -> tuple[Tensor, Tensor]:
        return self.samples(mels), self.frames(mels).repeat_interleave(self.scale, dim=1)


class WaveRNN(nn.Module):
    """Predicts each sample of a wave from the sample before it, a recurrent state and the mel around it."""

    step: Tensor

    def __init__(self, cfg: WaveRNNConfig | None = None) -> None:
        super().__init__()
        self.cfg = cfg = cfg or WaveRNNConfig()
        self.register_buffer("step", torch.zeros(1, dtype=torch.long))
        self.upsample = UpsampleNetwork(cfg)
        self.I = nn.Linear(1 + cfg.n_mels + cfg.aux_dims, cfg.rnn_dims)
        self.rnn1 = nn.GRU(cfg.rnn_dims, cfg.rnn_dims, batch_first=True)
        self.rnn2 = nn.GRU(cfg.rnn_dims + cfg.aux_dims, cfg.rnn_dims, batch_first=True)
        self.fc1 = nn.Linear(cfg.rnn_dims + cfg.aux_dims, cfg.fc_dims)
        self.fc2 = nn.Linear(cfg.fc_dims + cfg.aux_dims, cfg.fc_dims)
        self.fc3 = nn.Linear(cfg.fc_dims, cfg.n_classes)

    def forward(self, x: Tensor, mels: Tensor) -> Tensor:
        """Samples before, x (B, S) in [-1, 1], and mels (B, n_mels, S / hop + 2 * pad) in [-1, 1] -> (B, S, n_classes).

        Entry s of the result describes sample s, of which x[:, s] is the predecessor. Logits in RAW mode, parameters
        of the mixture in MOL mode. The recurrent states start at zero.
        """
        expected = x.shape[1] // self.cfg.hop_length + 2 * self.cfg.pad
        if x.shape[1] % self.cfg.hop_length or mels.shape[-1] != expected:
            raise ValueError(
                f"x {tuple(x.shape)} and mels {tuple(mels.shape)} do not belong together: S must be a multiple of "
                f"{self.cfg.hop_length}, and mels have S / {self.cfg.hop_length} + {2 * self.cfg.pad} frames"
            )
        mels, aux = self.upsample(mels)
        # Time first, (S, B, ...), as the recurrence reads it.
        aux1, aux2, aux3, aux4 = aux.transpose(0, 1).chunk(AUX_SPLITS, dim=-1)
        hidden = self.I(_join(x.t().unsqueeze(-1), mels.transpose(0, 1), aux1))
        hidden = hidden + run_gru(self.rnn1, hidden)
        hidden = hidden + run_gru(self.rnn2, _join(hidden, aux2))
        hidden = F.relu(self.fc1(_join(hidden, aux3)))
        hidden = F.relu(self.fc2(_join(hidden, aux4)))
        return self.fc3(hidden.transpose(0, 1))


def _join(*parts: Tensor) -> Tensor:
    """Concatenation along the last axis, in the lowest precision among the parts (under autocast they differ)."""
    dtype = min((part.dtype for part in parts), key=lambda kind: torch.finfo(kind).bits)
    return torch.cat([part.to(dtype) for part in parts], dim=-1)
