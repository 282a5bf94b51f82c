"""Random recording channels on mel power frames, so that voices are learnt, not microphones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio.errors import TrainingError


@dataclass(frozen=True)
class AugmentConfig:
    """Off by default. Each utterance of a batch draws its own channel."""

    probability: float = 0.0
    """Share of utterances that pass through a random channel."""
    gain_db: float = 10.0
    """Loudness changes by up to this much either way."""
    filter_db: float = 12.0
    """Standard deviation of the frequency response at ``filter_points`` places, interpolated in between."""
    filter_points: int = 5
    min_snr_db: float = 5.0
    max_snr_db: float = 40.0
    """Stationary noise of a random colour is added at a signal-to-noise ratio between these."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0 or self.filter_points < 2 or self.min_snr_db > self.max_snr_db:
            raise TrainingError(
                "Augmentation settings that cannot be used: probability lies in [0, 1], filter_points is at least 2, "
                "and min_snr_db is not above max_snr_db."
            )


def augment(mels: np.ndarray, cfg: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Mel power frames (B, T, mel_n) as if recorded over other microphones, in other rooms' noise.

    A filter acts on mel power as a factor per band, up to the response's change within a band; noise powers
    add up, up to the phases, whose mean effect is none. Neither needs the wav.
    """
    if cfg.probability == 0.0:
        return mels
    batch, frames, bands = mels.shape
    gain = rng.uniform(-cfg.gain_db, cfg.gain_db, size=(batch, 1, 1))
    response = _decibel_curves(rng, batch, bands, cfg)
    heard = mels * 10.0 ** ((gain + response) / 10.0)
    snr = rng.uniform(cfg.min_snr_db, cfg.max_snr_db, size=(batch, 1, 1))
    colour = 10.0 ** (_decibel_curves(rng, batch, bands, cfg) / 10.0)
    # The power of Gaussian noise is exponential in one bin; a mel band averages about two (Gamma of shape 2).
    noise = colour * rng.gamma(2.0, 0.5, size=(batch, frames, bands))
    level = heard.mean(axis=(1, 2), keepdims=True) / np.maximum(noise.mean(axis=(1, 2), keepdims=True), 1e-12)
    heard = heard + noise * level * 10.0 ** (-snr / 10.0)
    chosen = rng.random((batch, 1, 1)) < cfg.probability
    return np.where(chosen, heard, mels).astype(np.float32)


def _decibel_curves(rng: np.random.Generator, batch: int, bands: int, cfg: AugmentConfig) -> np.ndarray:
    points = rng.normal(0.0, cfg.filter_db, size=(batch, cfg.filter_points))
    at = np.linspace(0, cfg.filter_points - 1, bands)
    low = np.minimum(at.astype(int), cfg.filter_points - 2)
    return (points[:, low] * (1.0 - (at - low)) + points[:, low + 1] * (at - low))[:, None, :]
