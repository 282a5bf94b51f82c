"""A synthesizer's training data on the device that trains: batches are gathered there; knows no files, no sampling.

Padding and stacking a batch on a CPU takes longer than a GPU takes to train on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthesizer.dataset import TAIL, SynthesizerBatch, SynthesizerDataset, symbols_of_frames

DECODER_STEPS, SYMBOLS = 16, 8
"""Batches are multiples of so many decoder steps and symbols long: few shapes, for ``training.cuda_graphs``."""


@dataclass(frozen=True)
class DrawnClips:
    """A batch that is put together on its way to the device, as ``SynthesizerDataset.collate`` would."""

    data: DeviceClips
    clips: Sequence[int]
    voices: Sequence[int]
    """The clips whose embeddings are used."""
    r: int

    def to(self, device: torch.device) -> SynthesizerBatch:
        """The batch."""
        return self.data.collate(self, device)


class DeviceClips:
    """All utterances of ``dataset``, moved to the device when a batch first goes there (46 MB an hour of speech)."""

    def __init__(self, dataset: SynthesizerDataset) -> None:
        self._dataset = dataset
        self._device: torch.device | None = None

    def draw(self, clips: Sequence[int], r: int, rng: np.random.Generator) -> DrawnClips:
        """See ``SynthesizerDataset.collate``."""
        return DrawnClips(self, clips, [self._dataset.voice(clip, rng) for clip in clips], r)

    def collate(self, drawn: DrawnClips, device: torch.device) -> SynthesizerBatch:
        """The batch on ``device``."""
        self._move(device)
        items, r = [self._dataset.items[clip] for clip in drawn.clips], drawn.r
        frames = _ceil(max(item.frames for item in items) + TAIL, DECODER_STEPS * r)
        symbols = _ceil(max(len(item.ids) for item in items), SYMBOLS)
        clips, voices = (torch.tensor(chosen, device=device) for chosen in (drawn.clips, drawn.voices))
        lengths, counts = self._lengths[clips], self._frames[clips]
        mels = padded_rows(self._mels, self._first_frame[clips], counts, frames, -4.0)
        alignment = None
        if self._places is not None:
            places = padded_rows(self._places, self._first_frame[clips], counts, frames, -1).long()
            places = torch.where(places < 0, lengths[:, None] - 1, places)
            one_hot = torch.nn.functional.one_hot(places, symbols).float()
            alignment = one_hot.view(len(items), frames // r, r, symbols).mean(dim=2)
        steps = torch.arange(frames // r, device=device)
        return SynthesizerBatch(
            ids=padded_rows(self._ids, self._first_id[clips], lengths, symbols, 0),
            lengths=lengths,
            mels=mels.float().transpose(1, 2).contiguous(),
            frame_lengths=counts + TAIL,
            stop=(steps >= torch.div(counts, r, rounding_mode="floor")[:, None]).float(),
            embeds=self._embeds[voices],
            alignment=alignment,
        )

    def _move(self, device: torch.device) -> None:
        if device == self._device:
            return
        self._device, items = device, self._dataset.items
        self._mels = self._put(np.concatenate([item.mel for item in items]))
        self._ids = self._put(np.concatenate([item.ids for item in items]))
        self._embeds = self._put(np.stack([item.embed for item in items]))
        self._frames = self._put(np.array([item.frames for item in items]))
        self._lengths = self._put(np.array([len(item.ids) for item in items]))
        self._first_frame = self._frames.cumsum(0) - self._frames
        self._first_id = self._lengths.cumsum(0) - self._lengths
        self._places: Tensor | None = None
        if self._dataset.aligned:
            places = [symbols_of_frames(item, item.frames).astype(np.int16) for item in items]
            self._places = self._put(np.concatenate(places))

    def _put(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def padded_rows(values: Tensor, first: Tensor, counts: Tensor, size: int, filling: float) -> Tensor:
    """(B, size, ...): up to ``counts`` (B,) rows of ``values`` (N, ...) from ``first`` (B,) on, then ``filling``."""
    steps = torch.arange(size, device=values.device)
    rows = values[(first[:, None] + steps).clamp(max=len(values) - 1)]
    outside = steps >= counts[:, None]
    return rows.masked_fill(outside.view(*outside.shape, *[1] * (rows.dim() - 2)), filling)


def _ceil(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
