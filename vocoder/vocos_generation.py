"""From a mel to a signal with a Vocos, block by block; knows no wavs, no files and no training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vocoder.phase import integrate, refine
from vocoder.vocos import Vocos

# Frames of the first block, half a second, and of the largest, four: a small one is heard sooner, but its halo costs.
FIRST_BLOCK, LARGEST_BLOCK = 40, 320


@torch.inference_mode()
def speak(network: Vocos, mels: Tensor) -> Iterator[tuple[int, Tensor]]:
    """mels (B, n_mels, T), T >= 2, in [-1, 1] -> (frames done, signal (B, ...)) of each block.

    Joined, the signals have hop_length * (T - 1) samples, and the joins are exact: a frame is made with all that it
    depends on, and the phases go on from one block to the next. The memory does not grow with T. There is one path, for
    streams and for wholes, because `integrate` enlarges rounding errors: other blocks give other, equally good phases.
    """
    cfg = network.cfg
    hop, frames = cfg.hop_length, mels.shape[-1]
    # A round of Griffin-Lim carries a frame's influence as far as windows overlap, and so does the inverse STFT.
    reach = (-(-cfg.mel.win_length // hop) - 1) * (cfg.rounds + 1)
    magnitude = mels.new_zeros(len(mels), cfg.mel.n_bins, 0)
    phases = magnitude.to(torch.complex64)
    before: Tensor | None = None
    start = done = 0
    for first, last in _blocks(frames - 1):
        ready = min(last + 1 + reach, frames)
        if ready > done:
            new = _spectrum(network, mels, done, ready, before)
            magnitude, phases = (torch.cat(pair, dim=-1) for pair in zip((magnitude, phases), new, strict=True))
            before, done = phases[..., -1], ready
        signal = refine(magnitude, phases, cfg.mel, cfg.rounds)
        yield last, signal[:, (first - start) * hop : (last - start) * hop]
        drop = max(last - reach - start, 0)
        magnitude, phases, start = magnitude[..., drop:], phases[..., drop:], start + drop


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    first, size = 0, FIRST_BLOCK
    while first < count:
        yield first, min(first + size, count)
        first, size = first + size, min(2 * size, LARGEST_BLOCK)


def _spectrum(network: Vocos, mels: Tensor, first: int, last: int, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """Magnitudes and phases (B, n_bins, last - first) of these frames, with the context that the network sees."""
    left = max(0, first - network.context)
    parts = network(mels[..., left : last + network.context])
    magnitude, over_time, over_bins = (part[..., first - left : last - left] for part in parts)
    return magnitude, integrate(magnitude, over_time, over_bins, network.cfg.mel, before)
