"""The generalised end-to-end loss and the equal error rate (Wan et al. 2018, arXiv 1710.10467); knows no data."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Variant = Literal["softmax", "contrast"]

SCALE_GRADIENT = 0.01
"""Share of the gradient that reaches the similarity's scale and bias (section 3 of the paper)."""
SMALLEST_SCALE = 1e-6


class Ge2eLoss(nn.Module):
    """GE2E of several speakers with several utterances each (equations 5 to 9), averaged over utterances.

    Args:
        variant: "softmax" (equation 6, for text-independent verification) or "contrast" (equation 7).
        weight, bias: (1,) scale and bias of the similarity, usually those that the network's state dict
            carries; None makes parameters of its own (10 and -5).
    """

    def __init__(
        self, variant: Variant = "softmax", weight: nn.Parameter | None = None, bias: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        if variant not in ("softmax", "contrast"):
            raise ValueError(f"variant must be softmax or contrast, not {variant!r}")
        self.variant = variant
        self.weight = nn.Parameter(torch.tensor([10.0])) if weight is None else weight
        self.bias = nn.Parameter(torch.tensor([-5.0])) if bias is None else bias

    def similarity(self, embeds: Tensor) -> Tensor:
        """Scaled similarities of unit-norm embeddings (N, M, embed) to each speaker's centroid: (N, M, N).

        The scale stays above 0 (section 2.1) by a clamp that lets the gradient through: it can come back.
        """
        weight = self.weight + (self.weight.clamp_min(SMALLEST_SCALE) - self.weight).detach()
        # Cosines in bf16 would have steps of 0.004, which the scale of 10 or more makes steps of the loss.
        with torch.autocast(embeds.device.type, enabled=False):
            cosines = centroid_cosines(embeds.float())
            return _slowed(weight) * cosines + _slowed(self.bias)

    def of_similarity(self, similarity: Tensor) -> Tensor:
        """Scalar loss of ``similarity(embeds)`` (N, M, N)."""
        speakers, utterances, _ = similarity.shape
        if self.variant == "softmax":
            target = torch.arange(speakers, device=similarity.device).repeat_interleave(utterances)
            return F.cross_entropy(similarity.reshape(speakers * utterances, speakers), target)
        probability = torch.sigmoid(similarity)
        own = torch.eye(speakers, dtype=torch.bool, device=similarity.device)[:, None, :]
        positive = probability.diagonal(dim1=0, dim2=2)
        hardest = probability.masked_fill(own, 0.0).amax(dim=2)
        return 1.0 - positive.mean() + hardest.mean()

    def forward(self, embeds: Tensor) -> Tensor:
        """Unit-norm embeddings (speakers, utterances, embed), at least two of each -> scalar."""
        return self.of_similarity(self.similarity(embeds))


def centroid_cosines(embeds: Tensor) -> Tensor:
    """Cosines of unit-norm embeddings (N, M, embed) to the centroids of N speakers: (N, M, N).

    A speaker's own centroid leaves the utterance itself out (equations 8 and 9), without which the trivial
    solution of equal embeddings would look good.
    """
    speakers, utterances, _ = embeds.shape
    if speakers < 2 or utterances < 2:
        raise ValueError(f"GE2E compares at least 2 speakers of 2 utterances each, not {speakers} of {utterances}")
    total = embeds.sum(dim=1)
    inclusive = F.normalize(total, dim=1)
    exclusive = F.normalize(total[:, None, :] - embeds, dim=2)
    cosines = torch.einsum("nme,ke->nmk", embeds, inclusive)
    own = (embeds * exclusive).sum(dim=2, keepdim=True)
    diagonal = torch.eye(speakers, dtype=torch.bool, device=embeds.device)[:, None, :]
    return torch.where(diagonal, own, cosines)


def _slowed(parameter: Tensor) -> Tensor:
    """The same value with ``SCALE_GRADIENT`` times the gradient."""
    return SCALE_GRADIENT * parameter + (1.0 - SCALE_GRADIENT) * parameter.detach()


def equal_error_rate(scores: np.ndarray, same: np.ndarray) -> float:
    """Where false acceptances and false rejections are equally frequent, in [0, 1]; linear between points.

    Args:
        scores: similarity of each trial, any shape.
        same: whether the trial is of one speaker, same shape.

    Raises:
        ValueError: no trial of one of the two sorts, or scores that are not finite.
    """
    scores = np.asarray(scores, dtype=np.float64).ravel()
    same = np.asarray(same, dtype=bool).ravel()
    if scores.shape != same.shape or not same.any() or same.all():
        raise ValueError("the equal error rate needs trials of the same and of different speakers")
    if not np.isfinite(scores).all():
        raise ValueError("the equal error rate needs finite scores")
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    # One ROC point for each distinct threshold: equal scores are accepted together.
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    accepted = np.append(0.0, np.cumsum(same)[last] / same.sum())
    false_accepts = np.append(0.0, np.cumsum(~same)[last] / (~same).sum())
    excess = 1.0 - accepted - false_accepts
    after = int(np.argmax(excess <= 0.0))
    before = after - 1
    share = excess[before] / (excess[before] - excess[after])
    return float(false_accepts[before] + share * (false_accepts[after] - false_accepts[before]))


def ge2e_equal_error_rate(similarity: Tensor) -> float:
    """Equal error rate of a similarity matrix (N, M, N): utterances tried against centroids."""
    speakers, utterances, _ = similarity.shape
    same = np.broadcast_to(np.eye(speakers, dtype=bool)[:, None, :], (speakers, utterances, speakers))
    return equal_error_rate(similarity.detach().float().cpu().numpy(), same)
