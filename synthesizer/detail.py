"""Gives a mel back the detail that training on distances blurs: a small flow from noise to what is missing.

Owns the network, its training loss and its sampler; knows no text, no files and no sound. A Tacotron that minimises
distances makes the mean of what may be said: formants are there, harmonics and breath are not. What is missing,
recording minus draft, has a distribution that can be learned by regression alone: flow matching (Lipman et al. 2022,
arXiv 2210.02747) on residuals (Chen et al. 2022, "ResGrad", arXiv 2212.14518).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio.errors import ModelError

TIME_FREQUENCIES, FASTEST = 16, 32.0
"""How the network sees the time: sines and cosines of 1 to 32 rad over the way."""
_MEL_SCALE = 0.5
"""Brings mels in [-4, 4] to about the size of the noise."""


@dataclass(frozen=True)
class DetailConfig:
    """Sizes of a detailer and how it is run."""

    dims: int = 256
    hidden: int = 512
    layers: int = 8
    kernel: int = 7
    residual_deviation: float = 0.72
    """Standard deviation of recording minus draft, in units of the mel."""
    steps: int = 8
    """Steps from noise to detail at inference."""
    temperature: float = 1.0
    """Deviation of the noise at inference: below 1 the detail is nearer to its mean, safer and duller."""
    contrast: float = 1.0
    """Power to which the amplitudes of a mel with detail are raised, see ``TacotronConfig.contrast``."""
    guidance: float = 0.0
    """How far beyond the plain velocity, away from that of an unknown text and voice (Ho and Salimans 2022, arXiv
    2207.12598, equation 6): both are rendered more clearly, in twice the time."""
    envelope_bands: float = 4.0
    """What is wider than so many mel bands is left as the Tacotron made it; 0: nothing is."""

    def __post_init__(self) -> None:
        if min(self.dims, self.hidden, self.layers, self.steps) < 1 or self.kernel % 2 == 0:
            raise ModelError("A detailer's sizes must be at least 1 and its kernel odd.")
        not_below = (self.temperature, self.guidance, self.envelope_bands)
        if min(self.residual_deviation, self.contrast) <= 0 or min(not_below) < 0:
            raise ModelError(
                "A detailer's residual_deviation and contrast must be above 0, temperature, guidance and "
                "envelope_bands not less."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DetailConfig:
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ModelError(f"Unknown settings of a detailer: {', '.join(sorted(unknown))}.")
        return cls(**values)


class _Block(nn.Module):
    """ConvNeXt (Liu et al. 2022) over time, scaled and shifted by the condition (Peebles and Xie 2023, section 3.2)."""

    def __init__(self, cfg: DetailConfig) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(cfg.dims, cfg.dims, cfg.kernel, padding=cfg.kernel // 2, groups=cfg.dims)
        self.norm = nn.LayerNorm(cfg.dims, eps=1e-6)
        self.pwconv1 = nn.Linear(cfg.dims, cfg.hidden)
        self.pwconv2 = nn.Linear(cfg.hidden, cfg.dims)
        self.modulation = nn.Linear(cfg.dims, 3 * cfg.dims)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, C, T), condition (B, C)"""
        scale, shift, gate = self.modulation(condition).unsqueeze(1).chunk(3, dim=-1)
        hidden = self.norm(self.dwconv(x).transpose(1, 2)) * (1 + scale) + shift
        hidden = self.pwconv2(F.gelu(self.pwconv1(hidden)))
        return x + ((1 + gate) * hidden).transpose(1, 2)


class Detailer(nn.Module):
    """The velocity from noise to residual, for a draft, what it says and a voice.

    A draft alone is ambiguous, and detail would settle for one sound or another: the symbols say which it is.
    """

    def __init__(self, cfg: DetailConfig, n_mels: int, n_symbols: int, speaker_embedding_size: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Conv1d(2 * n_mels, cfg.dims, cfg.kernel, padding=cfg.kernel // 2)
        self.symbols = nn.Embedding(n_symbols, cfg.dims)
        self.time = nn.Sequential(
            nn.Linear(2 * TIME_FREQUENCIES, cfg.dims), nn.SiLU(), nn.Linear(cfg.dims, cfg.dims)
        )
        self.voice = nn.Linear(speaker_embedding_size, cfg.dims)
        self.blocks = nn.ModuleList(_Block(cfg) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.dims, eps=1e-6)
        self.head = nn.Linear(cfg.dims, n_mels)
        nn.init.zeros_(self.symbols.weight)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def context(self) -> int:
        """Frames on each side that a frame's result of one step depends on."""
        return (self.cfg.layers + 1) * (self.cfg.kernel // 2)

    def forward(self, x: Tensor, time: Tensor, drafts: Tensor, ids: Tensor, embeds: Tensor) -> Tensor:
        """x (B, n_mels, T) on the way from noise (time 0) to residual / deviation (time 1), time (B,), drafts
        (B, n_mels, T), ids (B, T) of each frame's symbol, embeds (B, 256) -> velocity (B, n_mels, T).
        """
        angles = time[:, None] * torch.exp(torch.linspace(0, math.log(FASTEST), TIME_FREQUENCIES, device=x.device))
        condition = self.time(torch.cat([angles.sin(), angles.cos()], dim=1)) + self.voice(embeds * 8)
        condition = F.silu(condition)
        hidden = self.embed(torch.cat([x, drafts * _MEL_SCALE], dim=1)) + self.symbols(ids).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.head(self.norm(hidden.transpose(1, 2))).transpose(1, 2)

    def loss(
        self,
        drafts: Tensor,
        ids: Tensor,
        mels: Tensor,
        embeds: Tensor,
        generator: torch.Generator | None = None,
        unknown: float = 0.0,
    ) -> Tensor:
        """Squared error of the velocity (equation 14 of Lipman et al.), at times drawn from a logit-normal
        distribution (Esser et al. 2024, arXiv 2403.03206, section 3.1).

        drafts, mels (B, n_mels, T), ids (B, T), embeds (B, 256); unknown: share of the batch whose text and voice are
        withheld, which guidance at inference needs.
        """
        if unknown:
            known = torch.rand(len(ids), 1, generator=generator, device=ids.device) >= unknown
            ids, embeds = ids * known, embeds * known
        target = (mels - drafts) / self.cfg.residual_deviation
        noise = torch.randn(target.shape, generator=generator, device=target.device)
        time = torch.sigmoid(torch.randn(len(target), generator=generator, device=target.device))
        x = torch.lerp(noise, target, time[:, None, None])
        return (self(x, time, drafts, ids, embeds) - (target - noise)).square().mean()

    def sample(self, draft: Tensor, ids: Tensor, embed: Tensor, generator: torch.Generator) -> Tensor:
        """draft (n_mels, T), ids (T,), embed (256,) -> mel (n_mels, T), by Euler's method."""
        drafts, embeds = draft[None], embed[None]
        x = torch.randn(drafts.shape, generator=generator).to(drafts.device) * self.cfg.temperature
        guidance, frame_ids = self.cfg.guidance, ids[None]
        if guidance:
            # The second of the two knows neither text nor voice.
            drafts = drafts.expand(2, -1, -1)
            frame_ids = torch.cat([frame_ids, torch.zeros_like(frame_ids)])
            embeds = torch.cat([embeds, torch.zeros_like(embeds)])
        for step in range(self.cfg.steps):
            time = x.new_full((len(drafts),), step / self.cfg.steps)
            velocity = self(x.expand_as(drafts), time, drafts, frame_ids, embeds)
            if guidance:
                velocity = velocity[:1] + guidance * (velocity[:1] - velocity[1:])
            x = x + velocity / self.cfg.steps
        return draft + x[0] * self.cfg.residual_deviation
