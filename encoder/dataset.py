"""Batches of speakers x utterances x frames for GE2E, drawn from preprocessed mels; knows no network."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio.errors import TrainingError
from encoder.augment import AugmentConfig, augment
from training.corpus import ManifestEntry, split_speakers

logger = logging.getLogger(__name__)

# Separates the streams of random numbers that share a training's seed.
SPEAKER_STREAM = 1
CROP_STREAM = 2


@dataclass(frozen=True)
class BatchConfig:
    """What a training batch is made of; defaults as in the original program (GE2E section 3: 64 x 10)."""

    speakers: int = 64
    utterances: int = 10
    piece_frames: int = 320
    """An utterance is cut into disjoint pieces of this length (or of a crop, if that is longer), which count
    as utterances of their own, so that a speaker known by one long recording can be learnt from. 0 leaves
    them whole."""
    min_utterances: int = 2
    """Speakers with fewer utterances (or pieces) are left out."""

    def __post_init__(self) -> None:
        if self.speakers < 2 or self.utterances < 2 or self.min_utterances < 1 or self.piece_frames < 0:
            raise TrainingError("A GE2E batch needs at least 2 speakers with 2 utterances each.")


@dataclass(frozen=True)
class SpeakerBatch:
    """Mel power frames of N speakers with M utterances each, speaker after speaker."""

    mels: Tensor
    """(N * M, frames, mel_n) float32."""
    speakers: int
    utterances: int

    def to(self, device: torch.device | str) -> SpeakerBatch:
        """The same batch on another device."""
        return SpeakerBatch(self.mels.to(device), self.speakers, self.utterances)


@dataclass(frozen=True)
class Piece:
    """Frames [start, stop) of a preprocessed utterance."""

    path: Path
    start: int
    stop: int


def mel_path(root: Path, entry: ManifestEntry) -> Path:
    """Where the mel (T, mel_n) of an entry lies: ``<root>/<speaker>/<id>.npy``."""
    return root / entry.speaker / f"{entry.id}.npy"


def cut_pieces(path: Path, frames: int, crop_frames: int, piece_frames: int) -> list[Piece]:
    """Disjoint pieces of one utterance, of ``piece_frames`` or somewhat more; none if shorter than a crop."""
    if frames < crop_frames:
        return []
    count = max(1, frames // max(piece_frames, crop_frames)) if piece_frames else 1
    edges = [index * frames // count for index in range(count + 1)]
    return [Piece(path, start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def usable_entries(entries: Sequence[ManifestEntry], crop_frames: int, cfg: BatchConfig) -> list[ManifestEntry]:
    """Entries of the speakers who have ``min_utterances`` utterances or pieces of at least a crop."""
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.speaker] += len(cut_pieces(Path(entry.id), entry.frames, crop_frames, cfg.piece_frames))
    left_out = sum(count < cfg.min_utterances for count in counts.values())
    if left_out:
        logger.info("%d speakers with fewer than %d utterances are left out.", left_out, cfg.min_utterances)
    return [entry for entry in entries if counts[entry.speaker] >= cfg.min_utterances]


def hold_out(
    entries: Sequence[ManifestEntry], fraction: float, seed: int
) -> tuple[list[ManifestEntry], list[ManifestEntry]]:
    """(training, validation) entries with no speaker in both.

    At least two speakers are held out, as one alone cannot be mistaken for another; none when ``fraction`` is
    0 or when two would not be left to train on.
    """
    n_speakers = len({entry.speaker for entry in entries})
    if fraction == 0 or n_speakers < 4:
        return list(entries), []
    train, validation = split_speakers(entries, max(fraction, 2 / n_speakers), seed)
    if len({entry.speaker for entry in validation}) < 2 or len({entry.speaker for entry in train}) < 2:
        return list(entries), []
    return train, validation


class SpeakerDataset:
    """The utterances of a set of speakers; every batch is a pure function of (seed, step, rank).

    Args:
        root: folder of the preprocessed mels that ``entries`` describe.
        frames: length of a crop, that of a partial utterance at inference.

    Raises:
        TrainingError: fewer than two speakers have enough utterances.
    """

    def __init__(
        self,
        root: Path,
        entries: Sequence[ManifestEntry],
        cfg: BatchConfig,
        *,
        frames: int,
        seed: int,
        augmentation: AugmentConfig | None = None,
    ) -> None:
        self.cfg = cfg
        self.frames = frames
        self.seed = seed
        self.augmentation = augmentation
        pieces: dict[str, list[Piece]] = {}
        for entry in usable_entries(entries, frames, cfg):
            found = cut_pieces(mel_path(root, entry), entry.frames, frames, cfg.piece_frames)
            pieces.setdefault(entry.speaker, []).extend(found)
        # Sorted: the draw must not depend on the order in which parallel preprocessing finished.
        self.pieces = {
            speaker: sorted(pieces[speaker], key=lambda piece: (str(piece.path), piece.start))
            for speaker in sorted(pieces)
        }
        self.speakers = list(self.pieces)
        if len(self.speakers) < 2:
            raise TrainingError(
                f"{root} has {len(self.speakers)} speakers with at least {cfg.min_utterances} utterances of "
                f"{frames} frames; GE2E needs two or more: preprocess more speakers."
            )

    @property
    def speakers_per_batch(self) -> int:
        """``cfg.speakers``, or all when there are fewer."""
        return min(self.cfg.speakers, len(self.speakers))

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> SpeakerBatch:
        """The batch of a step. Processes get different speakers as long as there are enough of them."""
        order = np.random.default_rng((self.seed, SPEAKER_STREAM, step)).permutation(len(self.speakers))
        count = self.speakers_per_batch
        rng = np.random.default_rng((self.seed, CROP_STREAM, step, rank))
        if count * world_size > len(self.speakers):
            order = rng.permutation(len(self.speakers))
            rank = 0
        chosen = [self.speakers[index] for index in order[rank * count : (rank + 1) * count]]
        return self._draw(chosen, rng)

    def fixed_batches(self, rounds: int) -> list[SpeakerBatch]:
        """All speakers in groups of ``speakers_per_batch`` or fewer, never one alone; other crops each round."""
        groups = -(-len(self.speakers) // self.speakers_per_batch)
        edges = [index * len(self.speakers) // groups for index in range(groups + 1)]
        return [
            self._draw(self.speakers[start:stop], np.random.default_rng((self.seed, CROP_STREAM, round_, start)))
            for round_ in range(rounds)
            for start, stop in zip(edges[:-1], edges[1:], strict=True)
            if stop - start >= 2
        ]

    def sample(self, speakers: int) -> SpeakerBatch:
        """The first ``speakers`` speakers (or all when there are fewer), always the same crops."""
        return self._draw(self.speakers[:speakers], np.random.default_rng((self.seed, CROP_STREAM)))

    def _draw(self, speakers: Sequence[str], rng: np.random.Generator) -> SpeakerBatch:
        crops: list[np.ndarray] = []
        for speaker in speakers:
            pieces = self.pieces[speaker]
            # Every piece once before any comes again, as other crops of it then.
            turns = -(-self.cfg.utterances // len(pieces))
            order = np.concatenate([rng.permutation(len(pieces)) for _ in range(turns)])[: self.cfg.utterances]
            crops.extend(self._crop(pieces[index], rng) for index in order)
        mels = np.stack(crops)
        if self.augmentation is not None:
            mels = augment(mels, self.augmentation, rng)
        return SpeakerBatch(torch.from_numpy(mels), len(speakers), self.cfg.utterances)

    def _crop(self, piece: Piece, rng: np.random.Generator) -> np.ndarray:
        start = int(rng.integers(piece.start, piece.stop - self.frames + 1))
        try:
            # Mapped: of a long recording only the crop is read.
            mel = np.load(piece.path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{piece.path} cannot be read ({error}): run encoder.preprocess again on the same folders."
            ) from error
        crop = np.array(mel[start : start + self.frames], dtype=np.float32)
        if len(crop) != self.frames:
            raise TrainingError(f"{piece.path} is shorter than its manifest says: run encoder.preprocess again.")
        return crop
