"""The trainings of WaveRNN and WaveNet as the trainer sees them: network, batches, loss; knows no loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.corpus import ManifestEntry
from training.trainer import TrainerConfig
from vocoder.base_task import TaskConfig, VocoderTask
from vocoder.config import WaveNetConfig, WaveRNNConfig
from vocoder.dataset import WindowBatch, WindowConfig, WindowDataset
from vocoder.distribution import negative_log_likelihood
from vocoder.wavenet import WaveNet
from vocoder.wavernn import WaveRNN

if TYPE_CHECKING:
    from vocoder.inference import Vocoder


def default_trainer() -> TrainerConfig:
    """Adam at 1e-3, lowered twice: the original's constant 1e-4 with batches of 100 needs days."""
    return TrainerConfig(
        steps=300_000,
        lr=((0, 1e-3), (40_000, 5e-4), (120_000, 2e-4)),
        warmup_steps=200,
        clip_norm=4.0,
        ema_decay=0.999,
        plot_every=2500,
        validate_every=1000,
        save_every=1000,
        backup_every=25_000,
    )


PREDICTION, MATCHING = 32, 16
"""Of new vocoders; the public WaveRNN has neither."""


@dataclass(frozen=True)
class VocoderTraining:
    """All settings of the training of a WaveRNN."""

    model: WaveRNNConfig = field(default_factory=lambda: WaveRNNConfig(prediction=PREDICTION, matching=MATCHING))
    data: WindowConfig = field(default_factory=WindowConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    trainer: TrainerConfig = field(default_factory=default_trainer)


@dataclass(frozen=True)
class WaveNetTraining:
    """All settings of the training of a WaveNet; its windows are longer than the receptive field."""

    model: WaveNetConfig = field(default_factory=lambda: WaveNetConfig(prediction=PREDICTION, matching=MATCHING))
    data: WindowConfig = field(default_factory=lambda: WindowConfig(batch_size=4, window_frames=30))
    task: TaskConfig = field(default_factory=TaskConfig)
    trainer: TrainerConfig = field(default_factory=default_trainer)


class SampleTask(VocoderTask[WindowBatch]):
    """Training of a network that speaks sample by sample on preprocessed speech in the folder ``root``."""

    def __init__(
        self,
        cfg: VocoderTraining | WaveNetTraining,
        build: Callable[[Any], nn.Module],
        root: Path,
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        data = partial(WindowDataset, root, model=cfg.model, cfg=cfg.data, seed=cfg.trainer.seed)
        super().__init__(cfg, build, data, train, validation)

    @abstractmethod
    def predict(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        """Outputs of the network (B, S, n_classes)."""

    def loss(
        self, network: nn.Module, batch: WindowBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Negative log likelihood of a sample in nats; for classes also how often the likeliest one is right."""
        outputs = self.predict(network, batch)
        metrics: dict[str, Tensor | float] = {}
        if self.cfg.model.mode == "RAW":
            metrics["accuracy"] = (outputs.detach().argmax(-1) == batch.y).float().mean()
        return negative_log_likelihood(outputs, batch.y, self.cfg.model), metrics


class WaveRNNTask(SampleTask):
    """Training of a ``WaveRNN``."""

    architecture = "wavernn"

    def __init__(
        self, cfg: VocoderTraining, root: Path, train: Sequence[ManifestEntry], validation: Sequence[ManifestEntry]
    ) -> None:
        super().__init__(cfg, WaveRNN, root, train, validation)

    def vocoder(self) -> Vocoder:
        """The network as it is now, ready to speak."""
        from vocoder.inference import WaveRNNVocoder

        return WaveRNNVocoder(self._wavernn)

    @property
    def _wavernn(self) -> WaveRNN:
        assert isinstance(self.network, WaveRNN)
        return self.network

    def prepare_step(self, step: int) -> None:
        """Keep the step that the public checkpoints carry among their weights."""
        self._wavernn.step.fill_(step)

    def predict(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        return network(batch.x, batch.mels)

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the model for inference, with the step of the weights."""
        super().export(path, {**state, "step": torch.tensor([int(card.get("step", 0))])}, card)


class WaveNetTask(SampleTask):
    """Training of a ``WaveNet``."""

    architecture = "wavenet"

    def __init__(
        self, cfg: WaveNetTraining, root: Path, train: Sequence[ManifestEntry], validation: Sequence[ManifestEntry]
    ) -> None:
        super().__init__(cfg, WaveNet, root, train, validation)

    def vocoder(self) -> Vocoder:
        """The network as it is now, ready to speak."""
        from vocoder.inference import WaveNetVocoder

        assert isinstance(self.network, WaveNet)
        return WaveNetVocoder(self.network)

    def predict(self, network: nn.Module, batch: WindowBatch) -> Tensor:
        return network(batch.x.unsqueeze(1), batch.mels).transpose(1, 2)
