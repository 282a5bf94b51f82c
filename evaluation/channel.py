"""Another microphone, another distance, another room's noise, drawn at random; knows sound only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from encoder.augment import AugmentConfig

CHANNEL = AugmentConfig(probability=1.0)
PEAK = 0.95


def change_channel(wav: npt.NDArray[np.float32], seed: int, cfg: AugmentConfig = CHANNEL) -> npt.NDArray[np.float32]:
    """wav (S,) filtered, with another gain and with coloured noise: the same change for the same seed, float32 (S,).

    The wav's version of what ``encoder.augment`` does to mels.
    """
    rng = np.random.default_rng(seed)
    gain = rng.uniform(-cfg.gain_db, cfg.gain_db)
    heard = _filtered(wav, _response(rng, len(wav), cfg) + gain)
    noise = _filtered(rng.standard_normal(len(wav)), _response(rng, len(wav), cfg))
    level = np.sqrt(np.mean(heard**2) / max(float(np.mean(noise**2)), 1e-12))
    snr = rng.uniform(cfg.min_snr_db, cfg.max_snr_db)
    heard += noise * level * 10 ** (-snr / 20)
    # A recording has no samples beyond full scale.
    return (heard * min(1.0, PEAK / max(float(np.abs(heard).max()), 1e-9))).astype(np.float32)


def _filtered(wav: npt.NDArray[np.floating], decibels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.fft.irfft(np.fft.rfft(wav) * 10 ** (decibels / 20), len(wav))


def _response(rng: np.random.Generator, samples: int, cfg: AugmentConfig) -> npt.NDArray[np.float64]:
    """dB of each bin of the spectrum, random at ``filter_points`` frequencies and interpolated in between."""
    # Evenly spaced on a scale that is linear below and logarithmic above 700 Hz, as hearing is.
    bins = np.log1p(np.linspace(0.0, 8000.0, samples // 2 + 1) / 700.0)
    points = np.linspace(0.0, bins[-1], cfg.filter_points)
    return np.interp(bins, points, rng.normal(0.0, cfg.filter_db, cfg.filter_points))
