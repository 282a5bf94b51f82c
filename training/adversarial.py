"""What both sides of an adversarial training lose, whatever is judged; knows no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.1

Judgement = tuple[Tensor, list[Tensor]]
"""Scores of any shape and the features of each layer before."""


def judge(convs: Iterable[nn.Module], last: nn.Module, x: Tensor) -> Judgement:
    """What a discriminator of these convolutions thinks of ``x``."""
    features = []
    for conv in convs:
        x = F.leaky_relu(conv(x), _SLOPE)
        features.append(x)
    return last(x), features


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
