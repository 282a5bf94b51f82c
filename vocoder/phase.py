"""Phases of an STFT from what a network says of their slopes, and rounds that make them consistent; knows no network.

A phase itself cannot be told from a mel spectrogram, but how it moves from frame to frame (the instantaneous frequency)
and from bin to bin (the group delay) can, to a degree. `integrate` sums these up, as in Masuyama et al. 2020 ("Phase
reconstruction based on recurrent phase unwrapping with deep neural networks"); `refine` is fast Griffin-Lim.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from audio.mel import MelConfig

# Bins on each side whose phases vote for a bin's own: the main lobe of the Hann window has two.
REACH = 3
_TINY = 1e-12


def slopes(spectrum: Tensor, cfg: MelConfig) -> tuple[Tensor, Tensor]:
    """Complex STFT (B, K, T) -> its phases' steps as unit vectors: over time (B, K, T - 1), over bins (B, K - 1, T).

    A sinusoid in the middle of bin has step 1 over time; bins of one main lobe have step 1 over bins.
    """
    unit = spectrum / spectrum.abs().clamp(min=_TINY)
    over_time = unit[..., 1:] * unit[..., :-1].conj() * _advance(cfg, unit.device).conj()[:, None]
    # Frames begin n_fft / 2 before their middle, which turns every second bin.
    return over_time, -unit[..., 1:, :] * unit[..., :-1, :].conj()


def integrate(
    magnitude: Tensor, over_time: Tensor, over_bins: Tensor, cfg: MelConfig, before: Tensor | None = None
) -> Tensor:
    """Phases that follow the slopes where the sound is loud: unit vectors (B, K, T), complex.

    Each bin goes on from the frame before by its step over time; it and its neighbours, each turned by the steps over
    bins between them, then vote with their magnitudes. A slope's length, at most about 1, is how sure it is.

    Args:
        magnitude, over_time, over_bins: (B, K, T); the last two complex, the first bin's step over bins unused.
        before: phases of the frame before the first, (B, K); None = all 1.
    """
    advance = _advance(cfg, magnitude.device)
    middle = torch.ones(magnitude.shape[1], device=magnitude.device)
    middle[1::2] = -1.0
    # Time first: each step reads and writes contiguous rows.
    forward = (magnitude * over_time).permute(2, 0, 1) * advance * middle
    step = over_bins.permute(2, 0, 1).contiguous()
    back = step.conj()
    phases = torch.empty_like(forward)
    last = torch.ones_like(forward[0]) if before is None else before
    for t in range(len(forward)):
        own = forward[t] * last
        votes = own.clone()
        up = down = own
        for _ in range(REACH):
            up, down = up[:, :-1] * step[t][:, -up.shape[1] + 1 :], down[:, 1:] * back[t][:, 1 : down.shape[1]]
            votes[:, -up.shape[1] :] += up
            votes[:, : down.shape[1]] += down
        last = votes / votes.abs().clamp(min=_TINY) * middle
        phases[t] = last
    return phases.permute(1, 2, 0)


def refine(magnitude: Tensor, phases: Tensor, cfg: MelConfig, rounds: int, momentum: float = 0.99) -> Tensor:
    """Rounds of fast Griffin-Lim (Perraudin et al. 2013) from given phases -> signal (B, hop_length * (T - 1))."""
    window = torch.hann_window(cfg.win_length, device=magnitude.device)
    length = cfg.hop_length * (magnitude.shape[-1] - 1)
    stft = (cfg.n_fft, cfg.hop_length, cfg.win_length, window)
    spectrum = magnitude * phases
    previous: Tensor | None = None
    for _ in range(rounds):
        wav = torch.istft(spectrum, *stft, length=length)
        rebuilt = torch.stft(wav, *stft, pad_mode="constant", return_complex=True)
        step = rebuilt if previous is None else rebuilt - previous * (momentum / (1.0 + momentum))
        previous = rebuilt
        spectrum = magnitude * step / step.abs().clamp(min=_TINY)
    return torch.istft(spectrum, *stft, length=length)


def _advance(cfg: MelConfig, device: torch.device) -> Tensor:
    """How a sinusoid in the middle of each bin turns from frame to frame, (K,) complex."""
    angle = 2.0 * pi * cfg.hop_length / cfg.n_fft * torch.arange(cfg.n_bins, device=device, dtype=torch.float64)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
