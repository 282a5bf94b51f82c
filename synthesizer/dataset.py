"""Batches of utterances for training a Tacotron, each a pure function of seed and step; knows no network."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio.errors import TextError, TrainingError
from synthesizer.text import TextFrontEnd
from training.corpus import ManifestEntry

DURATIONS = "durations"
"""Folder that synthesizer.align writes."""
PAUSE_FRAMES = 10
"""Silence between words from here on (125 ms) is a pause."""
PAUSES, PAUSE_SHARES = (",", ";", ":", "-"), (0.7, 0.1, 0.1, 0.1)
ENDS, END_SHARES = (".", "?", "!"), (0.8, 0.1, 0.1)
TAIL = 4
"""Frames of silence that count after each utterance."""


@dataclass
class SynthesizerBatch:
    """B utterances, L symbols, T frames (a multiple of r)."""

    ids: Tensor
    """(B, L) int64, padded with 0."""
    lengths: Tensor
    """(B,)"""
    mels: Tensor
    """(B, n_mels, T), padded with silence."""
    frame_lengths: Tensor
    """(B,), the frames that count: the utterance and a little silence after it."""
    stop: Tensor
    """(B, T / r), 1 from the step after the utterance's last frame."""
    embeds: Tensor
    """(B, 256)"""
    alignment: Tensor | None = None
    """(B, T / r, L): the share of a step's frames that belongs to each symbol; None without durations."""

    def to(self, device: torch.device) -> SynthesizerBatch:
        tensors: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        return SynthesizerBatch(**{name: tensor.to(device) for name, tensor in tensors.items()})


@dataclass(frozen=True)
class Utterance:
    """What a clip is trained with."""

    id: str
    ids: np.ndarray
    mel: np.ndarray
    embed: np.ndarray
    speaker: str
    split: str
    durations: np.ndarray | None
    """(L,) frames of each symbol."""

    @property
    def frames(self) -> int:
        return len(self.mel)


class SynthesizerDataset:
    """All utterances in memory, mels as float16 (80 values a frame: 0.37 GB for 8 hours)."""

    def __init__(self, root: Path, entries: Sequence[ManifestEntry], front_end: TextFrontEnd) -> None:
        self.aligned = (root / DURATIONS).is_dir()
        """Whether synthesizer.align was run; clips that it could not align are then left out."""
        self.items: list[Utterance] = []
        self.unspeakable: list[str] = []
        """Ids of utterances whose text the front end refuses, or could not be aligned with the sound."""
        for entry in entries:
            try:
                ids = np.array(front_end.encode(entry.text or ""), dtype=np.int64)
                durations = self._durations(root, entry.id, len(ids)) if self.aligned else None
                ids, durations = punctuate(ids, durations, front_end.symbols, zlib.crc32(entry.id.encode()))
            except (TextError, FileNotFoundError):
                self.unspeakable.append(entry.id)
                continue
            mel = np.load(root / "mels" / f"{entry.id}.npy").astype(np.float16)
            embed = np.load(root / "embeds" / f"{entry.id}.npy").astype(np.float32)
            self.items.append(Utterance(entry.id, ids, mel, embed, entry.speaker, entry.split, durations))
        if not self.items:
            raise TrainingError(f"{root} holds no utterance that can be trained on. Run synthesizer.preprocess first.")
        by_speaker: dict[str, list[int]] = {}
        for index, item in enumerate(self.items):
            by_speaker.setdefault(item.speaker, []).append(index)
        self._of_speaker = by_speaker

    def weights(self, split_weights: Mapping[str, float]) -> np.ndarray:
        """How often each item is drawn (N,), sum 1; split_weights are shares of splits, others have their own size."""
        weights = np.ones(len(self.items))
        for split, share in split_weights.items():
            inside = np.array([item.split == split for item in self.items])
            if not inside.any():
                known = ", ".join(sorted({item.split for item in self.items}))
                raise TrainingError(f"No utterance is of the split {split!r}; there are: {known}")
            weights[inside] = share * len(self.items) / inside.sum()
        return weights / weights.sum()

    def collate(self, indices: Sequence[int], r: int, rng: np.random.Generator | None) -> SynthesizerBatch:
        """Pad to a multiple of r frames, with ``TAIL`` frames of silence that count after each utterance.

        With ``rng`` the embeddings are those of ``voice``.
        """
        items = [self.items[i] for i in indices]
        voices = [self.items[i if rng is None else self.voice(i, rng)] for i in indices]
        frames = max(item.frames for item in items) + TAIL
        frames += -frames % r
        length = max(len(item.ids) for item in items)
        batch = SynthesizerBatch(
            ids=torch.zeros(len(items), length, dtype=torch.long),
            lengths=torch.tensor([len(item.ids) for item in items]),
            mels=torch.full((len(items), items[0].mel.shape[1], frames), -4.0),
            frame_lengths=torch.tensor([item.frames + TAIL for item in items]),
            stop=torch.zeros(len(items), frames // r),
            embeds=torch.from_numpy(np.stack([item.embed for item in voices])),
        )
        for row, item in enumerate(items):
            batch.ids[row, : len(item.ids)] = torch.from_numpy(item.ids)
            batch.mels[row, :, : item.frames] = torch.from_numpy(item.mel.T.astype(np.float32))
            batch.stop[row, item.frames // r :] = 1.0
        if self.aligned:
            batch.alignment = torch.zeros(len(items), frames // r, length)
            for row, item in enumerate(items):
                batch.alignment[row] = _alignment(item, frames, length, r)
        return batch

    def voice(self, index: int, rng: np.random.Generator) -> int:
        """The utterance whose embedding an utterance is trained with: half of the time another one of its speaker.

        At inference the embedding never comes from the sentence that is spoken.
        """
        if rng.random() < 0.5:
            return index
        same = self._of_speaker[self.items[index].speaker]
        return same[rng.integers(len(same))]

    @staticmethod
    def _durations(root: Path, id: str, symbols: int) -> np.ndarray:
        durations = np.load(root / DURATIONS / f"{id}.npy").astype(np.int64)
        if len(durations) != symbols:
            raise TrainingError(
                f"{id} has {symbols} symbols but {len(durations)} durations: they were made for another text front end "
                f"or version. Delete {root / DURATIONS} and run synthesizer.align again."
            )
        return durations



def punctuate(
    ids: np.ndarray, durations: np.ndarray | None, symbols: Sequence[str], seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Give a transcript without marks the marks that its pauses ask for: a comma at each, a full stop at the end.

    Corpora often have none, and a mark that was never trained on is noise to the network when a user types it. So that
    all marks are known, some are drawn in place of comma and full stop. ids (L,) and durations (L,) grow alike.
    """
    marks = [symbols.index(mark) for mark in PAUSES + ENDS]
    if np.isin(ids, marks).any():
        return ids, durations
    rng = np.random.default_rng(seed)
    space, end = symbols.index(" "), len(ids) - 1
    places = [] if durations is None else np.flatnonzero((ids == space) & (durations >= PAUSE_FRAMES)).tolist()
    drawn = [symbols.index(PAUSES[rng.choice(len(PAUSES), p=PAUSE_SHARES)]) for _ in places]
    drawn.append(symbols.index(ENDS[rng.choice(len(ENDS), p=END_SHARES)]))
    places.append(end)
    ids = np.insert(ids, places, drawn)
    if durations is not None:
        # The silence goes from the space or the end id to the mark before it.
        silence = durations[places]
        durations = durations.copy()
        durations[places] = 0
        durations = np.insert(durations, places, silence)
    return ids, durations


def symbols_of_frames(item: Utterance, frames: int) -> np.ndarray:
    """(frames,) places in ``item.ids`` of the symbol that is said in each frame; after the end, the end id's."""
    assert item.durations is not None
    symbols = np.full(frames, len(item.ids) - 1)
    spoken = np.repeat(np.arange(len(item.ids)), item.durations)[:frames]
    symbols[: len(spoken)] = spoken
    return symbols


def _alignment(item: Utterance, frames: int, length: int, r: int) -> Tensor:
    """(frames / r, length): what each decoder step should look at."""
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(symbols_of_frames(item, frames)), length).float()
    return one_hot.view(frames // r, r, length).mean(dim=1)


class BucketSampler:
    """Batches of like length: the items of an epoch are drawn, sorted by length in chunks, and the batches shuffled.

    ``indices(step, ...)`` depends on the seed and the step alone, so that a resumed run sees what a straight run sees.
    """

    def __init__(
        self, lengths: Sequence[int], weights: np.ndarray, batch_size: int, seed: int, chunk: int = 16
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._weights = weights
        self._batch_size = batch_size
        self._seed = seed
        self._chunk = chunk
        self._epoch: tuple[int, np.ndarray] | None = None

    def indices(self, step: int, rank: int = 0, world_size: int = 1) -> list[int]:
        """The items of this rank's batch at ``step``."""
        size = self._batch_size * world_size
        per_epoch = max(1, len(self._lengths) // size)
        epoch, place = divmod(step, per_epoch)
        if self._epoch is None or self._epoch[0] != epoch or self._epoch[1].shape[1] != size:
            self._epoch = (epoch, self._draw(epoch, per_epoch, size))
        return self._epoch[1][place, rank::world_size].tolist()

    def _draw(self, epoch: int, batches: int, size: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        drawn = rng.choice(len(self._lengths), size=batches * size, p=self._weights)
        span = self._chunk * size
        for start in range(0, len(drawn), span):
            part = drawn[start : start + span]
            drawn[start : start + span] = part[np.argsort(self._lengths[part], kind="stable")]
        return rng.permutation(drawn.reshape(batches, size))
