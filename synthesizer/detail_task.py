"""The training of a detailer: windows of drafts and recordings, and what is drawn of it; knows no loop."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audio.errors import TrainingError
from audio.mel import griffin_lim
from models.checkpoint import write_checkpoint
from synthesizer.dataset import SynthesizerDataset, Utterance, symbols_of_frames
from synthesizer.device_clips import padded_rows
from synthesizer.drafts import DRAFTS
from synthesizer.network import Tacotron
from synthesizer.text import TextFrontEnd, get_front_end
from training.corpus import ManifestEntry
from training.plots import mel_figure
from training.trainer import Adversary, step_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DetailTaskConfig:
    """What a batch is made of."""

    batch_size: int = 16
    window_frames: int = 128
    split_weights: dict[str, float] = field(default_factory=dict)
    """Shares of the windows by split of the corpus; empty: every frame alike."""
    unknown: float = 0.1
    """Share of the windows whose text and voice are withheld, see ``DetailConfig.guidance``."""
    validation_fraction: float = 0.03
    validation_batches: int = 8
    all_speakers: bool = False
    """Train on the speakers that evaluation keeps for itself, too (training.holdout)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.batch_size, self.window_frames, self.validation_batches) < 1:
            raise TrainingError("batch_size, window_frames and validation_batches must be at least 1.")
        if not 0 <= self.unknown < 1:
            raise TrainingError("unknown must be at least 0 and less than 1.")


@dataclass
class DetailBatch:
    """Windows of drafts and of the recordings they are of, (B, n_mels, T) each."""

    drafts: Tensor
    ids: Tensor
    """(B, T), the symbol of each frame."""
    mels: Tensor
    embeds: Tensor
    """(B, 256)"""


@dataclass(frozen=True)
class DrawnWindows:
    """A batch that is put together on its way to the device."""

    data: DraftDataset
    clips: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def to(self, device: torch.device) -> DetailBatch:
        """The batch."""
        return self.data.gather(self, device)


@dataclass(frozen=True)
class DraftedClip:
    """A clip of T frames."""

    draft: npt.NDArray[np.float16]
    """(T, n_mels)"""
    ids: npt.NDArray[np.int16]
    """(T,), the symbol of each frame."""
    mel: npt.NDArray[np.float16]
    """(T, n_mels)"""
    embed: npt.NDArray[np.float32]
    split: str


class DraftDataset:
    """Windows of drafts, every batch a pure function of (seed, step, rank).

    All in memory as float16, and moved to the device when a batch first goes there: a GPU trains faster on windows than
    a CPU cuts them out.

    Raises:
        TrainingError: no alignment, drafts that do not fit their recordings, or a split that there is not.
    """

    def __init__(
        self,
        root: Path,
        entries: Sequence[ManifestEntry],
        cfg: DetailTaskConfig,
        front_end: TextFrontEnd,
        silence: float = -4.0,
    ) -> None:
        self._cfg, self._silence = cfg, silence
        utterances = SynthesizerDataset(root, sorted(entries, key=lambda entry: entry.id), front_end)
        if not utterances.aligned:
            raise TrainingError(f"{root} does not say when each symbol is spoken: run synthesizer.align first.")
        clips = [_drafted(root, item) for item in utterances.items]
        self._cumulative = np.cumsum(_shares(clips, cfg.split_weights))
        self._frames = np.array([len(clip.mel) for clip in clips])
        self._first_frame = np.cumsum(self._frames) - self._frames
        self._joined = [np.concatenate([getattr(clip, name) for clip in clips]) for name in ("draft", "mel", "ids")]
        self._stacked = np.stack([clip.embed for clip in clips])
        # Parts of the joined arrays, so that all is in memory once.
        parts = zip(clips, *(np.split(array, self._first_frame[1:]) for array in self._joined), strict=True)
        self.clips = [replace(clip, draft=draft, mel=mel, ids=ids) for clip, draft, mel, ids in parts]
        self._device: torch.device | None = None

    def batch(self, rng: np.random.Generator) -> DrawnWindows:
        """Windows drawn with ``rng``; shorter clips are followed by silence."""
        clips = np.searchsorted(self._cumulative[:-1], rng.random(self._cfg.batch_size), side="right")
        return DrawnWindows(self, clips, rng.integers(np.maximum(1, self._frames[clips] - self._cfg.window_frames + 1)))

    def gather(self, drawn: DrawnWindows, device: torch.device) -> DetailBatch:
        """The batch on ``device``."""
        if device != self._device:
            self._move(device)
        first, left, clips = (
            torch.from_numpy(array).to(device)
            for array in (
                self._first_frame[drawn.clips] + drawn.starts,
                self._frames[drawn.clips] - drawn.starts,
                drawn.clips,
            )
        )
        drafts, mels, ids = (
            padded_rows(frames, first, left, self._cfg.window_frames, filling)
            for frames, filling in ((self._drafts, self._silence), (self._mels, self._silence), (self._ids, 0))
        )
        return DetailBatch(
            drafts=drafts.float().transpose(1, 2).contiguous(),
            ids=ids.long(),
            mels=mels.float().transpose(1, 2).contiguous(),
            embeds=self._embeds[clips],
        )

    def _move(self, device: torch.device) -> None:
        self._device = device
        self._drafts, self._mels, self._ids = (torch.from_numpy(array).to(device) for array in self._joined)
        self._embeds = torch.from_numpy(self._stacked).to(device)


def _drafted(root: Path, item: Utterance) -> DraftedClip:
    draft = np.load(root / DRAFTS / f"{item.id}.npy").astype(np.float16)
    if draft.shape != item.mel.shape:
        raise TrainingError(
            f"The draft of {item.id} does not fit its recording: delete {root / DRAFTS} and run "
            "synthesizer.drafts again."
        )
    ids = item.ids[symbols_of_frames(item, item.frames)].astype(np.int16)
    return DraftedClip(draft, ids, item.mel, item.embed, item.split)


def _shares(clips: Sequence[DraftedClip], split_weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """How often each clip is drawn, sum 1."""
    shares = np.array([len(clip.mel) for clip in clips], dtype=np.float64)
    total = shares.sum()
    for split, share in split_weights.items():
        inside = np.array([clip.split == split for clip in clips])
        if not inside.any():
            known = ", ".join(sorted({clip.split for clip in clips}))
            raise TrainingError(f"No draft is of the split {split!r}; there are: {known}")
        shares[inside] *= share * total / shares[inside].sum()
    return shares / shares.sum()


class DetailTask:
    """A `training.trainer.TrainTask` that trains the detailer of ``network`` and leaves the rest of it as it is."""

    kind = "synthesizer"
    loss_module: nn.Module | None = None
    adversary: Adversary | None = None

    def __init__(
        self,
        root: Path,
        cfg: DetailTaskConfig,
        network: Tacotron,
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        assert network.detailer is not None
        self.cfg, self.network, self._detailer = cfg, network, network.detailer
        network.requires_grad_(False)
        self._detailer.requires_grad_(True)
        if not train:
            raise TrainingError(f"{root} holds no drafts to train on: run synthesizer.drafts first.")
        silence = -network.cfg.mel.max_abs_value
        front_end = get_front_end(network.cfg.front_end)
        self.train_data = DraftDataset(root, train, cfg, front_end, silence)
        shares = {split: share for split, share in cfg.split_weights.items() if split in {e.split for e in validation}}
        held_out = DetailTaskConfig(cfg.batch_size, cfg.window_frames, shares)
        self.validation_data = DraftDataset(root, validation, held_out, front_end, silence) if validation else None

    def prepare_step(self, step: int) -> None:
        """Nothing changes from step to step."""

    def phase(self, step: int) -> Hashable:
        """All steps are alike."""

    def train_batch(self, step: int, rank: int, world_size: int) -> DrawnWindows:
        """See ``training.trainer.TrainTask``."""
        return self.train_data.batch(np.random.default_rng(step_seed(self.cfg.seed, step, rank)))

    def validation_batches(self) -> Iterable[DrawnWindows]:
        """Windows of held-out speakers, always the same."""
        if self.validation_data is not None:
            for number in range(self.cfg.validation_batches):
                yield self.validation_data.batch(np.random.default_rng((self.cfg.seed, number)))

    def loss(self, network: nn.Module, batch: DetailBatch, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """The flow's; in validation the noise is always the same and everything is known."""
        generator = None if network.training else torch.Generator(batch.mels.device).manual_seed(self.cfg.seed)
        unknown = self.cfg.unknown if network.training else 0.0
        loss = self._detailer.loss(batch.drafts, batch.ids, batch.mels, batch.embeds, generator, unknown)
        return loss, {"loss": loss.detach()}

    def figures(self, step: int) -> dict[str, Figure]:
        """A held-out draft, the same with detail and the recording."""
        return {"mel": mel_figure(self._example(), f"step {step}")}

    def samples(self, step: int) -> dict[str, tuple[np.ndarray, int]]:
        """The same through Griffin-Lim."""
        cfg = self.network.cfg.mel
        return {name: (griffin_lim(mel, cfg), cfg.sample_rate) for name, mel in self._example().items()}

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the whole synthesizer."""
        config = self.network.cfg.to_dict() | {"r": self.network.r}
        write_checkpoint(path, kind=self.kind, architecture="tacotron", config=config, state=state, card=card)

    def _example(self) -> dict[str, npt.NDArray[np.float32]]:
        data = self.validation_data or self.train_data
        clip = data.clips[len(data.clips) // 2]
        device = next(self.network.parameters()).device
        recording, draft = clip.mel.T.astype(np.float32), clip.draft.T.astype(np.float32)
        inputs = [torch.from_numpy(array).to(device) for array in (draft, clip.ids.astype(np.int64), clip.embed)]
        with torch.no_grad():
            made = self._detailer.sample(inputs[0], inputs[1], inputs[2], torch.Generator().manual_seed(0))
        return {"recording": recording, "draft": draft, "detailed": made.float().cpu().numpy()}
