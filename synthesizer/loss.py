"""What a Tacotron is trained to make small; knows no data and no optimizer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from synthesizer.network import TacotronOutput


@dataclass
class TacotronLosses:
    mel: Tensor
    post: Tensor
    stop: Tensor
    guide: Tensor
    """Of the attention: distance to the known alignment, or without one to the diagonal."""

    def total(self, guide_weight: float) -> Tensor:
        return self.mel + self.post + self.stop + guide_weight * self.guide


def tacotron_losses(
    out: TacotronOutput,
    mels: Tensor,
    frame_lengths: Tensor,
    stop: Tensor,
    lengths: Tensor,
    alignment: Tensor | None = None,
    sigma: float = 0.2,
) -> TacotronLosses:
    """L1 + L2 of both mels over frames that count, stop-token cross-entropy, attention.

    mels (B, n_mels, T), frame_lengths (B,), stop (B, T/r), lengths (B,) of the texts, alignment (B, T/r, L) or None.
    """
    inside = torch.arange(mels.shape[-1], device=mels.device)[None, :] < frame_lengths[:, None]
    weight = inside.unsqueeze(1) / (inside.sum() * mels.shape[1])

    def distance(predicted: Tensor) -> Tensor:
        error = predicted.float() - mels
        return ((error.abs() + error.square()) * weight).sum()

    # One frame in a hundred is an end: without the weight the token is learned late (RTVC's users: cut endings).
    stop_loss = F.binary_cross_entropy_with_logits(out.stop_logits.float(), stop, pos_weight=stop.new_full((), 5.0))
    steps = (frame_lengths.to(torch.float32) * stop.shape[1] / mels.shape[-1]).ceil()
    if alignment is None:
        guide = guided_attention_loss(out.attention, lengths, steps, sigma)
    else:
        guide = alignment_loss(out.attention, alignment, steps)
    return TacotronLosses(distance(out.mels), distance(out.mels_post), stop_loss, guide)


def alignment_loss(attention: Tensor, alignment: Tensor, steps: Tensor) -> Tensor:
    """Cross-entropy of the attention (B, N, L) with a known alignment of the same shape, over ``steps`` (B,)."""
    inside = torch.arange(attention.shape[1], device=attention.device)[None, :] < steps[:, None]
    entropy = -(alignment * attention.clamp(min=1e-6).log()).sum(-1)
    return (entropy * inside).sum() / inside.sum()


def guided_attention_loss(attention: Tensor, lengths: Tensor, steps: Tensor, sigma: float = 0.2) -> Tensor:
    """Penalty 1 - exp(-(n/N - t/T)^2 / (2 sigma^2)) on attention off the diagonal (Tachibana et al. 2018, section 4.1).

    attention (B, N, L), lengths (B,) symbols, steps (B,) decoder steps. Returns a scalar.
    """
    n = torch.arange(attention.shape[1], device=attention.device)
    position = torch.arange(attention.shape[2], device=attention.device)[None, None, :] / lengths[:, None, None]
    time = n[None, :, None] / steps[:, None, None]
    penalty = 1.0 - torch.exp(-((position - time) ** 2) / (2 * sigma**2))
    inside = (n[None, :] < steps[:, None]).unsqueeze(-1)
    return (attention * penalty * inside).sum() / inside.sum()
