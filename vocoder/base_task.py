"""What the trainings of all vocoders share: network, data, pictures and sounds of a held-out clip; knows no loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from audio.errors import TrainingError
from audio.mel import MelConfig, MelTransform
from training.corpus import ManifestEntry
from training.trainer import Adversary
from vocoder.dataset import ClipDataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vocoder.inference import Vocoder

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class TaskConfig:
    """How the training is measured and shown."""

    validation_fraction: float = 0.05
    """Share of the speakers held out; 0 trains without measuring."""
    all_speakers: bool = False
    """Train on the speakers that evaluation keeps for itself, too (training.holdout)."""
    validation_batches: int = 4
    sample_seconds: float = 1.5
    """Length of the held-out clip that is generated for the pictures; 0 generates none."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_fraction < 1.0 or self.validation_batches < 1 or self.sample_seconds < 0:
            raise TrainingError(
                "validation_fraction must lie in [0, 1), validation_batches be at least 1, sample_seconds at least 0."
            )


class VocoderTask(ABC, Generic[Drawn]):
    """Training of a vocoder but for its loss; see ``training.trainer.TrainTask`` for what the methods owe.

    Args:
        cfg: all settings; its parts model, task (see the fields read here) and trainer.
        build: makes the network from cfg.model.
        dataset: makes the windows of some manifest entries.
        train, validation: entries, no speaker in both; no validation entries = no validation.
    """

    kind = "vocoder"
    architecture: str
    loss_module: nn.Module | None = None
    adversary: Adversary | None = None

    def __init__(
        self,
        cfg: Any,
        build: Callable[[Any], nn.Module],
        dataset: Callable[[Sequence[ManifestEntry]], ClipDataset[Any, Drawn]],
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        self.cfg = cfg
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cfg.trainer.seed)
            self.network = build(cfg.model)
        self.dataset = dataset(train)
        self._held_out = dataset(validation) if validation else None
        self._validation: list[Drawn] = []
        self._sounds: tuple[int, dict[str, np.ndarray]] = (-1, {})

    @abstractmethod
    def vocoder(self) -> Vocoder:
        """The network as it is now, ready to speak."""

    def prepare_step(self, step: int) -> None:
        """Nothing changes from step to step."""

    def phase(self, step: int) -> Hashable:
        """All steps are alike."""

    def train_batch(self, step: int, rank: int, world_size: int) -> Drawn:
        """See ``ClipDataset.batch``."""
        return self.dataset.batch(step, rank)

    def validation_batches(self) -> Iterable[Drawn]:
        """Windows of held-out speakers, always the same."""
        if self._held_out is not None and not self._validation:
            self._validation = self._held_out.fixed_batches(self.cfg.task.validation_batches)
        return self._validation

    @abstractmethod
    def loss(self, network: nn.Module, batch: Drawn, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Scalar loss and metrics of a batch."""

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
        return {name: (wav, self.cfg.model.mel.sample_rate) for name, wav in self._generate(step).items()}

    def _generate(self, step: int) -> dict[str, np.ndarray]:
        """Sounds by name; kept, as the trainer asks for the picture and for the sound of a step."""
        if self._held_out is None or self.cfg.task.sample_seconds == 0:
            return {}
        if self._sounds[0] != step:
            mel_cfg: MelConfig = self.cfg.model.mel
            hop = mel_cfg.hop_length
            frames = max(2, round(self.cfg.task.sample_seconds * mel_cfg.sample_rate / hop))
            entry = self._held_out.entries[len(self._held_out.entries) // 2]
            first = max(0, (entry.frames - frames) // 2)
            mel = self._held_out.mel(self._held_out.entries.index(entry))[:, first : first + frames]
            wav = np.load(self._held_out.root / "wavs" / f"{entry.id}.npy").astype(np.float32)
            target = wav[first * hop :][: (mel.shape[1] - 1) * hop]
            generated = self.vocoder().vocode(mel, seed=self.cfg.trainer.seed)
            self._sounds = (step, {"target": target, "generated": generated})
        return self._sounds[1]

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the model for inference."""
        from models.checkpoint import write_checkpoint

        config = self.cfg.model.to_dict()
        write_checkpoint(
            path, kind="vocoder", architecture=self.architecture, config=config, state=state, card=card
        )
