"""Bringing a sound nearer to the mel spectrogram that it was spoken from; knows no network.

What is drawn sample by sample is as loud as the mel says only on average. Its own magnitudes, brought to the level that
the mel asks for in each band, are what the STFT frames shall have: they keep the harmonics that were spoken, which the
mel hardly tells apart. Rounds of Griffin-Lim, begun with the phases that were spoken, find a sound with such frames;
they converge faster when each goes on in the direction of the one before (Perraudin, Balazs and Sondergaard 2013, "A
fast Griffin-Lim algorithm"). The last rounds no longer ask for magnitudes, but filter each frame by what its mel lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audio.mel import MelConfig, denormalize_db, mel_filterbank

Array = npt.NDArray[np.float64]

# Nepers; a band that is further away than 17 dB gets there in several rounds, or was silence.
_MOST = 2.0
_LEAST_AMPLITUDE = 1e-5
_MOMENTUM = 0.99
# Power of the magnitudes that were spoken, which scatter more than a voice's. The three were chosen by PESQ and pitch.
_EVENNESS = 0.7
_LEVELLINGS = 5
_LAST_ROUNDS = 3


class MelMatching:
    """Rounds on a pre-emphasised signal that comes in pieces; a sample needs n_fft more of them a round on each side.

    mel (n_mels, T), normalised as on disk, is the whole sound's, which has hop_length * (T - 1) samples. on_round is
    called at least once a round on each piece; what it raises stops the work.
    """

    def __init__(
        self, mel: npt.NDArray[np.floating], cfg: MelConfig, rounds: int, on_round: Callable[[], None] | None = None
    ) -> None:
        self._cfg, self._rounds = cfg, rounds
        self._target = denormalize_db(torch.from_numpy(np.asarray(mel, dtype=np.float64)), cfg)
        self._window = torch.hann_window(cfg.win_length, dtype=torch.float64)
        self._on_round = on_round or (lambda: None)
        self._held = np.zeros(0)
        self._first = self._done = 0

    def of(self, signal: npt.NDArray[Any], last: bool) -> Array:
        """The next samples (S,) -> what is ready after the pieces before, with `last` all that is left."""
        hop, reach = self._cfg.hop_length, self._rounds * self._cfg.n_fft
        self._held = np.concatenate([self._held, signal])
        received = self._first + len(self._held)
        ready = received if last else max(self._done, (received - reach) // hop * hop)
        if ready == self._done:
            return np.zeros(0)
        matched = self._match(torch.from_numpy(self._held), self._first // hop).numpy()
        piece = matched[self._done - self._first : ready - self._first]
        self._done = ready
        keep = max(0, ready - reach) // hop * hop
        self._held, self._first = self._held[keep - self._first :], keep
        return piece

    def _match(self, signal: Tensor, first: int) -> Tensor:
        """Samples (S,) from the middle of frame `first` on, nearer to the mel where no end is near."""
        cfg = self._cfg
        form = (cfg.n_fft, cfg.hop_length, cfg.win_length, self._window)
        spectrum = torch.stft(signal, *form, pad_mode="constant", return_complex=True)
        target = self._target[:, first : first + spectrum.shape[1]].clamp(min=_LEAST_AMPLITUDE)
        magnitudes = spectrum.abs() ** _EVENNESS
        for _ in range(_LEVELLINGS):
            magnitudes = magnitudes * self._missing(magnitudes, target)
        previous: Tensor | None = None
        for left in reversed(range(self._rounds)):
            self._on_round()
            if left >= _LAST_ROUNDS:
                spectrum = magnitudes * torch.sgn(spectrum)
            else:
                spectrum = spectrum * self._missing(spectrum.abs(), target)
            signal = torch.istft(spectrum, *form, length=len(signal))
            if left:
                rebuilt = torch.stft(signal, *form, pad_mode="constant", return_complex=True)
                spectrum = rebuilt if previous is None else rebuilt + _MOMENTUM * (rebuilt - previous)
                previous = rebuilt
        return signal

    def _missing(self, magnitudes: Tensor, target: Tensor) -> Tensor:
        """Factors for magnitudes (n_bins, F) by which their bands come nearer to the mel amplitudes (n_mels, F)."""
        self._on_round()
        filters, bands = _filters(self._cfg)
        power = self._cfg.power
        missing = torch.log(target / (filters @ magnitudes**power).clamp(min=_LEAST_AMPLITUDE))
        return torch.exp(bands @ (missing / power).clamp(-_MOST, _MOST))


@cache
def _filters(cfg: MelConfig) -> tuple[Tensor, Tensor]:
    """The filterbank (n_mels, n_bins), and how bins share the bands' values (n_bins, n_mels); rows add up to 1."""
    filters = torch.from_numpy(mel_filterbank(cfg)).double()
    shares = filters / filters.sum(dim=1, keepdim=True)
    centres = shares @ torch.arange(cfg.n_bins, dtype=torch.float64)
    bands = (shares / shares.sum(dim=0).clamp(min=1e-12)).T.contiguous()
    below, above = torch.arange(cfg.n_bins) <= centres[0], torch.arange(cfg.n_bins) >= centres[-1]
    bands[below], bands[above] = 0.0, 0.0
    bands[below, 0], bands[above, -1] = 1.0, 1.0
    return filters, bands
