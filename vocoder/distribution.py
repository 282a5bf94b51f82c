"""What the network's outputs mean: likelihoods of samples and draws from them; knows no network and no loop."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vocoder.config import MOL_BITS, SampleForm

# A scale of exp(-14) is a fortieth of a 16-bit step: narrower components only make gradients explode.
MIN_LOG_SCALE = -14.0
HALF_STEP = 1.0 / (2**MOL_BITS - 1)


def negative_log_likelihood(outputs: Tensor, targets: Tensor, cfg: SampleForm) -> Tensor:
    """Mean over samples, in nats: outputs (B, S, n_classes), targets (B, S) labels (RAW) or values (MOL) -> scalar."""
    outputs = outputs.float()
    if cfg.mode == "MOL":
        return -mol_log_prob(outputs, targets).mean()
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def mol_log_prob(params: Tensor, y: Tensor) -> Tensor:
    """Log probability of 16-bit samples y (...) in [-1, 1] under params (..., 3 * mixtures) -> (...).

    Discretised mixture of logistics: Salimans et al. 2017, "PixelCNN++" (arXiv 1701.05517), equation 2. The first
    third of the parameters are logits of the weights, then means, then log scales. The lowest and the highest level
    take what lies beyond them.
    """
    logits, means, log_scales = params.float().chunk(3, dim=-1)
    log_scales = log_scales.clamp(min=MIN_LOG_SCALE)
    inverse = torch.exp(-log_scales)
    y = y.float().unsqueeze(-1)
    centred = y - means
    above = inverse * (centred + HALF_STEP)
    below = inverse * (centred - HALF_STEP)
    # log(sigmoid(above) - sigmoid(below)), factored so that nothing cancels far from the mean.
    inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    log_prob = torch.where(y <= HALF_STEP - 1.0, F.logsigmoid(above), inside)
    log_prob = torch.where(y >= 1.0 - HALF_STEP, F.logsigmoid(-below), log_prob)
    return torch.logsumexp(log_prob + F.log_softmax(logits, dim=-1), dim=-1)


def noise_per_sample(cfg: SampleForm) -> int:
    """How many uniform numbers `draw` consumes for each sample."""
    return 2 if cfg.mode == "MOL" else 1


def draw(outputs: Tensor, noise: Tensor, cfg: SampleForm) -> Tensor:
    """Samples (B,) in [-1, 1] from outputs (B, n_classes) by inversion of uniform noise (noise_per_sample, B)."""
    if cfg.mode == "MOL":
        return draw_mol(outputs, noise[0], noise[1])
    return draw_class(outputs, noise[0]).float() * (2.0 / (2**cfg.bits - 1)) - 1.0


def draw_class(logits: Tensor, noise: Tensor) -> Tensor:
    """Class (B,) with the probabilities softmax(logits (B, C)), by inversion of noise (B,) in [0, 1)."""
    cumulative = torch.softmax(logits, dim=-1).cumsum_(-1)
    # Scaled by the sum as it was rounded, so that no draw falls beyond the last class.
    threshold = (noise * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1).clamp_(max=logits.shape[-1] - 1)


def draw_mol(params: Tensor, noise_component: Tensor, noise_value: Tensor) -> Tensor:
    """Value (B,) in [-1, 1] of the mixture of logistics params (B, 3 * mixtures)."""
    logits, means, log_scales = params.chunk(3, dim=-1)
    chosen = draw_class(logits, noise_component).unsqueeze(-1)
    mean = means.gather(-1, chosen).squeeze(-1)
    scale = torch.exp(log_scales.gather(-1, chosen).squeeze(-1).clamp(min=MIN_LOG_SCALE))
    uniform = noise_value.clamp(1e-5, 1.0 - 1e-5)
    return (mean + scale * (torch.log(uniform) - torch.log1p(-uniform))).clamp_(-1.0, 1.0)


def uniform_nats(cfg: SampleForm) -> float:
    """Negative log likelihood of knowing nothing: what a loss is to be compared with."""
    return cfg.label_bits * math.log(2.0)
