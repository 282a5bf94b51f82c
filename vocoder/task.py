"""The WaveRNN's training as the trainer sees it: network, batches, loss, pictures and sounds; knows no loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from audio.errors import TrainingError
from audio.mel import MelTransform
from training.corpus import ManifestEntry
from training.trainer import TrainerConfig
from vocoder.config import WaveRNNConfig
from vocoder.dataset import WindowBatch, WindowConfig, WindowDataset
from vocoder.distribution import negative_log_likelihood
from vocoder.wavernn import WaveRNN

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TaskConfig:
    """How the training is measured and shown."""

    validation_fraction: float = 0.05
    """Share of the speakers held out; 0 trains without measuring."""
    validation_batches: int = 4
    sample_seconds: float = 1.5
    """Length of the held-out clip that is generated for the pictures; 0 generates none."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_fraction < 1.0 or self.validation_batches < 1 or self.sample_seconds < 0:
            raise TrainingError(
                "validation_fraction must lie in [0, 1), validation_batches be at least 1, sample_seconds at least 0."
            )


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


@dataclass(frozen=True)
class VocoderTraining:
    """All settings of a vocoder training."""

    model: WaveRNNConfig = field(default_factory=WaveRNNConfig)
    data: WindowConfig = field(default_factory=WindowConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    trainer: TrainerConfig = field(default_factory=default_trainer)


class VocoderTask:
    """Training of a ``WaveRNN``; see ``training.trainer.TrainTask`` for what the methods owe.

    Args:
        root: folder that vocoder.preprocess or synthesizer.preprocess wrote.
        train, validation: its manifest entries, no speaker in both; no validation entries = no validation.
    """

    kind = "vocoder"
    loss_module: nn.Module | None = None

    def __init__(
        self,
        cfg: VocoderTraining,
        root: Path,
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        self.cfg = cfg
        seed = cfg.trainer.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._wavernn = WaveRNN(cfg.model)
        self.network: nn.Module = self._wavernn
        self.dataset = WindowDataset(root, train, cfg.model, cfg.data, seed=seed)
        self._held_out = WindowDataset(root, validation, cfg.model, cfg.data, seed=seed) if validation else None
        self._validation: list[WindowBatch] = []
        self._sounds: tuple[int, dict[str, np.ndarray]] = (-1, {})

    def prepare_step(self, step: int) -> None:
        """Keep the step that the public checkpoints carry among their weights."""
        self._wavernn.step.fill_(step)

    def train_batch(self, step: int, rank: int, world_size: int) -> WindowBatch:
        """See ``WindowDataset.batch``."""
        return self.dataset.batch(step, rank)

    def validation_batches(self) -> Iterable[WindowBatch]:
        """Windows of held-out speakers, always the same."""
        if self._held_out is not None and not self._validation:
            self._validation = self._held_out.fixed_batches(self.cfg.task.validation_batches)
        return self._validation

    def loss(
        self, network: nn.Module, batch: WindowBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Negative log likelihood of a sample in nats; for classes also how often the likeliest one is right."""
        outputs = network(batch.x, batch.mels)
        metrics: dict[str, Tensor | float] = {}
        if self.cfg.model.mode == "RAW":
            metrics["accuracy"] = (outputs.detach().argmax(-1) == batch.y).float().mean()
        return negative_log_likelihood(outputs, batch.y, self.cfg.model), metrics

    def figures(self, step: int) -> dict[str, Figure]:
        """Spectrogram of a held-out clip, and of the sound generated from it."""
        from training.plots import mel_figure

        sounds = self._generate(step)
        if not sounds:
            return {}
        transform = MelTransform(self.cfg.model.mel)
        mels = {name: transform(wav) for name, wav in sounds.items()}
        return {"generated": mel_figure(mels, f"held-out clip, step {step}")}

    def samples(self, step: int) -> dict[str, tuple[np.ndarray, int]]:
        """The two sounds of ``figures``."""
        rate = self.cfg.model.mel.sample_rate
        return {name: (wav, rate) for name, wav in self._generate(step).items()}

    def _generate(self, step: int) -> dict[str, np.ndarray]:
        """Sounds by name; kept, as the trainer asks for the picture and for the sound of a step."""
        from vocoder.inference import WaveRNNVocoder

        if self._held_out is None or self.cfg.task.sample_seconds == 0:
            return {}
        if self._sounds[0] != step:
            cfg = self.cfg.model
            frames = max(2, round(self.cfg.task.sample_seconds * cfg.mel.sample_rate / cfg.hop_length))
            entry = self._held_out.entries[len(self._held_out.entries) // 2]
            first = max(0, (entry.frames - frames) // 2)
            mel = self._held_out.mel(self._held_out.entries.index(entry))[:, first : first + frames]
            wav = np.load(self._held_out.root / "wavs" / f"{entry.id}.npy").astype(np.float32)
            target = wav[first * cfg.hop_length :][: (mel.shape[1] - 1) * cfg.hop_length]
            vocoder = WaveRNNVocoder(self._wavernn)
            generated = vocoder.vocode(mel, seed=self.cfg.trainer.seed)
            self._sounds = (step, {"target": target, "generated": generated})
        return self._sounds[1]

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the model for inference."""
        from models.checkpoint import write_checkpoint

        state = {**state, "step": torch.tensor([int(card.get("step", 0))])}
        write_checkpoint(
            path, kind="vocoder", architecture="wavernn", config=self.cfg.model.to_dict(), state=state, card=card
        )
