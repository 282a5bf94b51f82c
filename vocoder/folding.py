"""Cutting a long signal into overlapping folds and joining them again; knows no network.

Kalchbrenner et al. 2018 generate sample after sample; the folds, made side by side as one batch, are what makes that
bearable on ordinary hardware. Successive folds share `overlap` samples: in the first half of it the new fold's state
warms up unheard, in the second half the two are cross-faded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class FoldPlan:
    """Folds of `width` samples that begin every `step` samples; the last may reach beyond the signal's `length`."""

    length: int
    count: int
    step: int
    overlap: int

    @property
    def width(self) -> int:
        return self.step + self.overlap

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """First sample of each fold, (count,)."""
        return np.arange(self.count, dtype=np.int64) * self.step


def fixed_plan(length: int, target: int, overlap: int) -> FoldPlan:
    """Folds of target + 2 * overlap samples, as many as `length` samples need: the original program's."""
    _check(length, target, overlap)
    step = target + overlap
    return FoldPlan(length, max(1, -(-(length - overlap) // step)), step, overlap)


def even_plan(length: int, target: int, overlap: int) -> FoldPlan:
    """As many folds as `fixed_plan`, but no longer than needed: all equally long, a single one without overlap.

    The time that a batch takes follows the length of its folds: 19,200 samples with target 8,000 and overlap 800 are
    three folds of 6,934 samples instead of 9,600.
    """
    fixed = fixed_plan(length, target, overlap)
    if fixed.count == 1:
        return FoldPlan(length, 1, length, 0)
    # Folds shorter than twice the overlap would put three of them in one place.
    step = max(overlap, -(-(length - overlap) // fixed.count))
    return FoldPlan(length, max(1, -(-(length - overlap) // step)), step, overlap)


def shared_plan(length: int, target: int, overlap: int) -> FoldPlan:
    """`even_plan` with as many folds as threads can share evenly, where they stay longer than four overlaps.

    The weights are read once for four folds of a thread, so that five take as long as eight. The plan must not follow
    the machine's threads: the samples would.
    """
    plan = even_plan(length, target, overlap)
    for multiple in (8, 4):
        count = -(-plan.count // multiple) * multiple
        step = -(-(length - overlap) // count)
        if plan.count > 1 and step >= max(1, 4 * overlap):
            return FoldPlan(length, -(-(length - overlap) // step), step, overlap)
    return plan


def fold(x: Tensor, target: int, overlap: int) -> Tensor:
    """x (1, S, C) -> (folds, target + 2 * overlap, C); what reaches beyond S is zero.

    Raises ValueError for a target below 1 or a negative overlap.
    """
    plan = fixed_plan(x.shape[1], target, overlap)
    end = plan.count * plan.step + plan.overlap
    padded = F.pad(x, (0, 0, 0, max(0, end - x.shape[1])))
    return torch.cat([padded[:, start : start + plan.width] for start in plan.starts.tolist()])


def fade_curves(overlap: int, *, gapless: bool = True) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gains (overlap,) of the fold that begins and of the one that ends, in the samples they share.

    The new fold is silent for half of the overlap and rises in the other half, equal in power, as the two are
    different draws. gapless: the old fold stays until then. The original program instead lets it fade in the first
    half, so that between two folds the sound drops to nothing, which is heard as a periodic flutter.
    """
    warm_up = overlap // 2
    t = np.linspace(-1.0, 1.0, overlap - warm_up)
    rising, falling = np.sqrt(0.5 * (1.0 + t)), np.sqrt(0.5 * (1.0 - t))
    fade_in = np.concatenate([np.zeros(warm_up), rising])
    outgoing = (np.ones(warm_up), falling) if gapless else (falling, np.zeros(warm_up))
    return fade_in, np.concatenate(outgoing)


def unfold(folds: FloatArray, overlap: int, *, gapless: bool = True) -> npt.NDArray[np.float64]:
    """folds (n, width) -> (n * (width - overlap) + overlap,): each fold faded into the next.

    gapless=False gives the original program's samples: other fades (see `fade_curves`), which there also fall on the
    very start and end.
    """
    count, width = folds.shape
    if overlap < 0 or overlap > width or (count > 1 and 2 * overlap > width):
        raise ValueError(f"folds of {width} samples cannot share {overlap} with each neighbour")
    step = width - overlap
    joined = np.zeros(count * step + overlap)
    fade_in, fade_out = fade_curves(overlap, gapless=gapless)
    for index, values in enumerate(folds):
        faded = values.astype(np.float64)
        if overlap and not (gapless and index == 0):
            faded[:overlap] *= fade_in
        if overlap and not (gapless and index == count - 1):
            faded[-overlap:] *= fade_out
        joined[index * step : index * step + width] += faded
    return joined


def _check(length: int, target: int, overlap: int) -> None:
    if length < 1 or target < 1 or overlap < 0:
        raise ValueError(f"folding needs a length and a target of at least 1 and no negative overlap: "
                         f"{length}, {target}, {overlap}")  # fmt: skip
