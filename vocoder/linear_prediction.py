"""Linear prediction from a mel spectrogram's envelope: what of each sample follows from those before; knows no network.

A network that speaks only the excitation, what the predictor cannot know, need not learn the vocal tract: Song, Byun
and Kang 2019, "ExcitNet vocoder" (arXiv 1811.04769); Valin and Skoglund 2019, "LPCNet" (arXiv 1810.11846), section 2.2,
from where the way from bands to predictors is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from audio.mel import MelConfig, denormalize_db, mel_filterbank

Array = npt.NDArray[np.float64]

PARTS = 4
"""Predictors in the time of a frame; in between the autocorrelation is interpolated."""
# 40 dB below the sound: without, the predictor of a sound that ends at 7.6 kHz would be badly conditioned.
_WHITE_NOISE = 1e-4
_LEAST_POWER = 1e-9
# Spectra that are in memory at once.
_FRAMES = 1000


@dataclass(frozen=True)
class Predictors:
    """Each for `step` samples: coefficients (P, order + 1) of the filter that makes the excitation, the first of them
    1, and gains (P,), which bring the excitation of speech to a deviation of about 0.06."""

    coefficients: Array
    gains: Array
    step: int

    def whiten(self, signal: npt.NDArray[Any]) -> Array:
        """Pre-emphasised signal (S,), before which is silence -> its excitation (S,).

        Beyond the last predictor that one goes on.
        """
        before = np.zeros(self.coefficients.shape[1] - 1)
        padded = np.concatenate([before, signal])
        excitation = np.empty(len(signal))
        for first, stop, coefficients, gain in self._parts(0, len(signal)):
            piece = padded[first : stop + len(before)]
            excitation[first:stop] = np.convolve(piece, coefficients, "valid") / gain
        return excitation

    def colour(self, excitation: npt.NDArray[Any], first: int = 0, before: Array | None = None) -> Array:
        """The inverse of `whiten`: excitation (S,) from sample `first` on -> signal (S,).

        before: the signal's last `order` samples, the latest last; None is silence.
        """
        order = self.coefficients.shape[1] - 1
        signal = np.concatenate([np.zeros(order) if before is None else before, excitation])
        silence = np.zeros(order - 1)
        for begin, stop, coefficients, gain in self._parts(first, len(excitation)):
            at = slice(begin - first + order, stop - first + order)
            # As scipy.signal.lfiltic has it, which takes several times as long as the filter.
            tail = np.concatenate([coefficients[1:], silence])
            state = -np.correlate(tail, signal[at.start - order : at.start][::-1])
            signal[at], _ = lfilter([1.0], coefficients, gain * signal[at], zi=state)
        return signal[order:]

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, int, Array, float]]:
        """(first sample, the one after the last, coefficients, gain) of all that `count` samples from `first` need."""
        last, stop = len(self.gains) - 1, first + count
        while first < stop:
            index = min(first // self.step, last)
            end = stop if index == last else min((index + 1) * self.step, stop)
            yield first, end, self.coefficients[index], float(self.gains[index])
            first = end


def predictors(mel: npt.NDArray[np.floating], cfg: MelConfig, order: int) -> Predictors:
    """Predictors of the sound whose mel is (n_mels, T), normalised as on disk; T * PARTS of them.

    The band's power density stands at its centre, a straight line of decibels in between; the predictors follow from
    the autocorrelation that belongs to this spectrum (Wiener-Khinchin) by Levinson's and Durbin's recursion.
    """
    blocks = (mel[:, first : first + _FRAMES] for first in range(0, mel.shape[1], _FRAMES))
    correlation = np.concatenate([np.fft.irfft(_power(block, cfg), axis=0)[: order + 1].T for block in blocks])
    correlation[:, 0] *= 1.0 + _WHITE_NOISE
    frames = len(correlation)
    place = np.minimum((np.arange(frames * PARTS) + 0.5) / PARTS, frames - 1)
    before = np.minimum(place.astype(np.int64), max(frames - 2, 0))
    share = (place - before)[:, None]
    after = np.minimum(before + 1, frames - 1)
    coefficients, errors = levinson_durbin((1.0 - share) * correlation[before] + share * correlation[after])
    return Predictors(coefficients, np.sqrt(errors), cfg.hop_length // PARTS)


def levinson_durbin(correlation: Array) -> tuple[Array, Array]:
    """Autocorrelations (N, order + 1) -> coefficients (N, order + 1), the first of them 1, and mean squares of what
    remains (N,)."""
    coefficients = np.zeros_like(correlation)
    coefficients[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for i in range(1, correlation.shape[1]):
        reflection = -(coefficients[:, :i] * correlation[:, i:0:-1]).sum(axis=1) / error
        coefficients[:, 1 : i + 1] += reflection[:, None] * coefficients[:, i - 1 :: -1][:, :i]
        error *= 1.0 - reflection**2
    return coefficients, error


def _power(mel: npt.NDArray[np.floating], cfg: MelConfig) -> Array:
    """Power density (n_bins, T) between the centres of the bands; beyond the outermost that of these."""
    import torch

    filters = mel_filterbank(cfg).astype(np.float64)
    area = filters.sum(axis=1)
    centres = filters @ np.arange(cfg.n_bins) / area
    amplitude = denormalize_db(torch.from_numpy(np.asarray(mel, dtype=np.float64)), cfg).numpy()
    density = np.log(amplitude / area[:, None])
    bins = np.arange(cfg.n_bins, dtype=np.float64)
    after = np.clip(np.searchsorted(centres, bins), 1, cfg.n_mels - 1)
    share = np.clip((bins - centres[after - 1]) / (centres[after] - centres[after - 1]), 0.0, 1.0)[:, None]
    smooth = (1.0 - share) * density[after - 1] + share * density[after]
    return np.exp((2.0 / cfg.power) * smooth) + _LEAST_POWER
