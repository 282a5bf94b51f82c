"""Folds of one mel, shared out to threads that each speak theirs by a compiled kernel; knows no network.

No sum in a kernel mixes two folds, so that neither the folds beside it nor the number of threads change a fold's
samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from vocoder.config import SampleForm

FloatArray = npt.NDArray[np.float32]

# Frames that are projected at once: 400 x 8,000 floats are 12 MB.
CHUNK_FRAMES = 400
NO_OUTPUTS = np.empty((0, 0, 0), dtype=np.float32)


class Share(Protocol):
    """A kernel's state of B folds."""

    @property
    def place(self) -> npt.NDArray[np.int64]:
        """(B,): the sample that comes next."""


ShareT = TypeVar("ShareT", bound=Share)
FramesT = TypeVar("FramesT")


class SharedFolds(ABC, Generic[ShareT, FramesT]):
    """A network unrolled in time, with its state for a batch of B folds.

    Args:
        cfg: of the network.
        frames: of the mel that is spoken; beyond it is silence.
        threads: at most so many work side by side.
    """

    def __init__(self, cfg: SampleForm, frames: int, threads: int) -> None:
        self._cfg = cfg
        self._n_frames = frames
        self._threads = max(1, threads)
        self.begin(np.zeros(1, dtype=np.int64))

    @abstractmethod
    def _share(self, starts: npt.NDArray[np.int64]) -> ShareT:
        """Folds that begin at samples `starts` (B,), at rest."""

    @abstractmethod
    def _project(self, first: int, stop: int) -> FramesT:
        """What the frames [first, stop) add to the layers; beyond the mel those of its end."""

    @abstractmethod
    def _speak(
        self, share: ShareT, frames: FramesT, noise: FloatArray, samples: FloatArray, outputs: FloatArray
    ) -> None:
        """Write the next samples (B, N) of a share, drawn by noise (B, N, noise_per_sample).

        With outputs (B, N, n_classes), not of length 0, the samples are given as those before, and the outputs go
        there.
        """

    def begin(self, starts: npt.NDArray[np.int64]) -> None:
        """Folds that begin at samples `starts` (B,), at rest."""
        self._shares = [self._share(part) for part in np.array_split(starts, min(self._threads, len(starts)))]
        self._known: tuple[int, int, FramesT] | None = None

    def run(self, noise: FloatArray) -> FloatArray:
        """The next samples (B, N) of the folds, drawn by noise (B, N, noise_per_sample) in [0, 1)."""
        samples = np.empty(noise.shape[:2], dtype=np.float32)
        frames = self._frames(noise.shape[1])
        ends = np.cumsum([len(share.place) for share in self._shares])[:-1]
        parts: Any = zip(self._shares, np.split(noise, ends), np.split(samples, ends), strict=True)
        with ThreadPoolExecutor(len(self._shares)) as pool:
            jobs = [pool.submit(self._speak, share, frames, given, made, NO_OUTPUTS) for share, given, made in parts]
            for job in jobs:
                job.result()
        return samples

    def outputs(self, before: FloatArray) -> FloatArray:
        """The network's outputs (B, N, n_classes) where the samples before, (B, N), are given."""
        outputs = np.empty((*before.shape, self._cfg.n_classes), dtype=np.float32)
        frames, start = self._frames(before.shape[1]), 0
        for share in self._shares:
            part = slice(start, start := start + len(share.place))
            self._speak(share, frames, NO_OUTPUTS, before[part], outputs[part])
        return outputs

    @torch.inference_mode()
    def _frames(self, steps: int) -> FramesT:
        """The frames that the next steps need, and those after them."""
        places, hop = np.concatenate([share.place for share in self._shares]), self._cfg.hop_length
        first, stop = int(places.min()) // hop, (int(places.max()) + steps - 1) // hop + 1
        if self._known is None or first < self._known[0] or stop > self._known[1]:
            ahead = max(stop, min(stop + CHUNK_FRAMES, self._n_frames))
            self._known = (first, ahead, self._project(first, ahead))
        return self._known[2]
