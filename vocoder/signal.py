"""Between plain sound and the signal that a network speaks: pre-emphasis, prediction, companding, labels; knows no
tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.signal import de_emphasis, mu_law_decode, pre_emphasis
from vocoder.config import SampleForm
from vocoder.linear_prediction import predictors
from vocoder.mel_matching import MelMatching

Array = npt.NDArray[Any]


def to_network_signal(wav: Array, cfg: SampleForm, mel: Array) -> Array:
    """wav (S,) and its mel (n_mels, T) -> float32 (S,) in [-1, 1].

    Pre-emphasised, clipped, with `prediction` whitened and, for RAW with mu_law, companded.
    """
    signal = np.clip(pre_emphasis(np.asarray(wav, dtype=np.float32), cfg.mel.preemphasis), -1.0, 1.0)
    if cfg.prediction:
        signal = np.clip(predictors(mel, cfg.mel, cfg.prediction).whiten(signal), -1.0, 1.0)
    if cfg.mode == "RAW" and cfg.mu_law:
        mu = 2**cfg.bits - 1
        signal = np.sign(signal) * np.log1p(mu * np.abs(signal)) / np.log1p(mu)
    return signal.astype(np.float32)


class PlainSound:
    """The way back from a network signal, piece by piece; mel (n_mels, T) is what the network spoke from.

    on_round is called every few milliseconds of the matching; what it raises stops the work.
    """

    def __init__(self, cfg: SampleForm, mel: Array, on_round: Callable[[], None] | None = None) -> None:
        self._cfg = cfg
        self._predictors = predictors(mel, cfg.mel, cfg.prediction) if cfg.prediction else None
        self._before, self._coloured = np.zeros(cfg.prediction), 0
        self._matching = MelMatching(mel, cfg.mel, cfg.matching, on_round) if cfg.matching else None
        self._last = 0.0

    def of(self, signal: Array, last: bool = True) -> npt.NDArray[np.float32]:
        """The next piece (S,) in [-1, 1] -> wav float32, which goes on from the pieces before.

        With `matching` it lags behind until the `last` piece, which brings all that is left.
        """
        cfg = self._cfg
        signal = np.asarray(signal, dtype=np.float64)
        if cfg.mode == "RAW" and cfg.mu_law:
            signal = mu_law_decode(signal, 2**cfg.bits, from_labels=False)
        if self._predictors is not None:
            signal = self._predictors.colour(signal, self._coloured, self._before)
            self._before = np.concatenate([self._before, signal])[-cfg.prediction :]
            self._coloured += len(signal)
        if self._matching is not None:
            signal = self._matching.of(signal, last)
        wav = de_emphasis(signal, cfg.mel.preemphasis, self._last)
        self._last = float(wav[-1]) if len(wav) else self._last
        return wav.astype(np.float32)


def to_labels(signal: Array, cfg: SampleForm) -> npt.NDArray[np.int64]:
    """Network signal in [-1, 1] -> nearest of 2**label_bits whole levels, 0 the lowest."""
    top = 2**cfg.label_bits - 1
    return np.floor((np.asarray(signal, dtype=np.float64) + 1.0) * (top / 2.0) + 0.5).astype(np.int64)
