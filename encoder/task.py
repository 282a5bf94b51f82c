"""The encoder's training as the trainer sees it: network, batches, loss, pictures; knows no loop."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from audio.errors import TrainingError
from encoder.augment import AugmentConfig
from encoder.config import EncoderConfig
from encoder.dataset import BatchConfig, SpeakerBatch, SpeakerDataset
from encoder.figures import Projection, projection_figure, similarity_figure
from encoder.loss import Ge2eLoss, Variant, ge2e_equal_error_rate
from encoder.network import SpeakerEncoder
from training.corpus import ManifestEntry
from training.trainer import Adversary, TrainerConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TaskConfig:
    """What is minimised, and how it is measured and shown."""

    loss: Variant = "softmax"
    validation_fraction: float = 0.05
    """Share of the speakers held out to measure loss and equal error rate; 0 trains without measuring."""
    all_speakers: bool = False
    """Train on the speakers that evaluation keeps for itself, too (training.holdout)."""
    validation_rounds: int = 2
    """How many different crops of the held-out utterances are measured."""
    projection: Projection = "umap"
    projected_speakers: int = 10

    def __post_init__(self) -> None:
        if self.loss not in ("softmax", "contrast") or self.projection not in ("umap", "pca"):
            raise TrainingError("loss must be softmax or contrast, and projection umap or pca.")
        if not 0.0 <= self.validation_fraction < 1.0:
            raise TrainingError("validation_fraction must lie in [0, 1).")
        if self.validation_rounds < 1 or self.projected_speakers < 2:
            raise TrainingError("validation_rounds must be at least 1, and projected_speakers at least 2.")


def default_trainer() -> TrainerConfig:
    """The original program's: Adam at a constant 1e-4, gradients clipped to a norm of 3."""
    return TrainerConfig(steps=1_000_000, lr=((0, 1e-4),), clip_norm=3.0, backup_every=7500)


@dataclass(frozen=True)
class EncoderTraining:
    """All settings of an encoder training."""

    model: EncoderConfig = field(default_factory=EncoderConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    trainer: TrainerConfig = field(default_factory=default_trainer)


class EncoderTask:
    """GE2E training of a ``SpeakerEncoder``; see ``training.trainer.TrainTask`` for what the methods owe.

    Args:
        root: folder of the preprocessed mels.
        train, validation: their manifest entries, no speaker in both; no validation entries = no validation.
    """

    kind = "encoder"
    loss_module: nn.Module | None = None
    adversary: Adversary | None = None

    def __init__(
        self,
        cfg: EncoderTraining,
        root: Path,
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        self.cfg = cfg
        seed = cfg.trainer.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = SpeakerEncoder(cfg.model)
        self.network: nn.Module = network
        self.criterion = Ge2eLoss(cfg.task.loss, network.similarity_weight, network.similarity_bias)
        frames = cfg.model.partial_frames
        self.dataset = SpeakerDataset(root, train, cfg.batch, frames=frames, seed=seed, augmentation=cfg.augment)
        self._validation: list[SpeakerBatch] = []
        self._projected: SpeakerBatch | None = None
        if validation:
            held_out = SpeakerDataset(root, validation, cfg.batch, frames=frames, seed=seed)
            self._validation = held_out.fixed_batches(cfg.task.validation_rounds)
            self._projected = held_out.sample(cfg.task.projected_speakers)

    def prepare_step(self, step: int) -> None:
        """Nothing in this training depends on the step."""

    def phase(self, step: int) -> Hashable:
        """All steps are alike."""

    def train_batch(self, step: int, rank: int, world_size: int) -> SpeakerBatch:
        """See ``SpeakerDataset.batch``."""
        return self.dataset.batch(step, rank, world_size)

    def validation_batches(self) -> Iterable[SpeakerBatch]:
        """Held-out speakers, always the same crops."""
        return self._validation

    def loss(self, network: nn.Module, batch: SpeakerBatch, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """GE2E loss, with the batch's equal error rate and the similarity's scale and bias as metrics."""
        embeds = network(batch.mels).reshape(batch.speakers, batch.utterances, -1)
        similarity = self.criterion.similarity(embeds)
        loss = self.criterion.of_similarity(similarity)
        finite = bool(torch.isfinite(loss.detach()))
        return loss, {
            "eer": ge2e_equal_error_rate(similarity) if finite else float("nan"),
            "scale": self.criterion.weight.detach().mean(),
            "bias": self.criterion.bias.detach().mean(),
        }

    def figures(self, step: int) -> dict[str, Figure]:
        """Some held-out speakers on the plane, and how their similarities are distributed."""
        batch = self._projected
        if batch is None:
            return {}
        device = self.criterion.weight.device
        with torch.no_grad():
            embeds = self.network(batch.mels.to(device)).reshape(batch.speakers, batch.utterances, -1)
            similarity = self.criterion.similarity(embeds).cpu().numpy()
        title = f"{batch.speakers} held-out speakers, step {step}"
        points = embeds.float().cpu().numpy()
        return {
            "projection": projection_figure(points, self.cfg.task.projection, title, self.cfg.trainer.seed),
            "similarity": similarity_figure(similarity, title),
        }

    def samples(self, step: int) -> dict[str, tuple[np.ndarray, int]]:
        """An encoder makes no sound."""
        return {}

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the model for inference: float32, as it is small and every other model depends on it."""
        from models.checkpoint import write_checkpoint

        write_checkpoint(
            path,
            kind="encoder",
            architecture="speaker_encoder",
            config=self.cfg.model.to_dict(),
            state=state,
            card=card,
        )
