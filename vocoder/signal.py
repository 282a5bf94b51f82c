"""Between plain sound and the signal that a WaveRNN speaks: pre-emphasis, companding, labels; knows no tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from audio.signal import de_emphasis, mu_law_decode, pre_emphasis
from vocoder.config import SampleForm

Array = npt.NDArray[Any]


def to_network_signal(wav: Array, cfg: SampleForm) -> Array:
    """wav (S,) -> float32 (S,) in [-1, 1]: pre-emphasised, clipped and, for RAW with mu_law, companded."""
    signal = np.clip(pre_emphasis(np.asarray(wav, dtype=np.float32), cfg.mel.preemphasis), -1.0, 1.0)
    if cfg.mode == "RAW" and cfg.mu_law:
        mu = 2**cfg.bits - 1
        signal = np.sign(signal) * np.log1p(mu * np.abs(signal)) / np.log1p(mu)
    return signal.astype(np.float32)


def from_network_signal(signal: Array, cfg: SampleForm, last: float = 0.0) -> npt.NDArray[np.float32]:
    """The inverse of `to_network_signal`: (S,) in [-1, 1] -> wav (S,) float32, which goes on from the sample `last`."""
    signal = np.asarray(signal, dtype=np.float64)
    if cfg.mode == "RAW" and cfg.mu_law:
        signal = mu_law_decode(signal, 2**cfg.bits, from_labels=False)
    return de_emphasis(signal, cfg.mel.preemphasis, last).astype(np.float32)


def to_labels(signal: Array, cfg: SampleForm) -> npt.NDArray[np.int64]:
    """Network signal in [-1, 1] -> nearest of 2**label_bits whole levels, 0 the lowest."""
    top = 2**cfg.label_bits - 1
    return np.floor((np.asarray(signal, dtype=np.float64) + 1.0) * (top / 2.0) + 0.5).astype(np.int64)
