"""The training of a Tacotron: data, schedules, loss and what is drawn of it; the loop is training.trainer's."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from audio.mel import griffin_lim
from models.checkpoint import write_checkpoint
from synthesizer.config import TacotronConfig
from synthesizer.dataset import BucketSampler, SynthesizerBatch, SynthesizerDataset
from synthesizer.device_clips import DeviceClips, DrawnClips
from synthesizer.loss import tacotron_losses
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end
from training.corpus import read_manifest, split_speakers
from training.holdout import trainable
from training.plots import attention_figure, mel_figure
from training.trainer import Adversary, step_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Schedule = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class SynthesizerTaskConfig:
    batch_size: int = 32
    r: Schedule = ((0, 4),)
    """Frames a decoder step makes, from a step on: high first, since attention is learned faster over few steps."""
    guide_weight: Schedule = ((0, 1.0),)
    """Weight of the attention loss, from a step on: of guided attention, or of alignment where durations are known."""
    guide_sigma: float = 0.2
    voice_noise: float = 0.0
    """Deviation of the noise that training adds to each value of an embedding (they have length 1): neighbours in the
    space of voices are then spoken alike, and no embedding is learned by heart.
    """
    split_weights: dict[str, float] = field(default_factory=dict)
    """Shares of the batches by split of the corpus; empty: every utterance alike."""
    validation_fraction: float = 0.05
    validation_split: str = ""
    """Validate on speakers of this split only; empty: of all."""
    all_speakers: bool = False
    """Train on the speakers that evaluation keeps for itself, too (training.holdout)."""
    validation_batches: int = 8
    seed: int = 0


class SynthesizerTask:
    """A `training.trainer.TrainTask`."""

    kind = "synthesizer"

    def __init__(
        self, data: Path, cfg: SynthesizerTaskConfig, network_cfg: TacotronConfig, on_device: bool = False
    ) -> None:
        """``on_device``: keep the data on the device that trains, a GPU for example."""
        self.cfg = cfg
        self.network = Tacotron(network_cfg)
        self.loss_module: nn.Module | None = None
        self.adversary: Adversary | None = None
        front_end = get_front_end(network_cfg.front_end)
        entries = trainable(read_manifest(data), cfg.all_speakers)
        eligible = [e for e in entries if cfg.validation_split in ("", e.split)]
        held_out = {e.id for e in split_speakers(eligible, cfg.validation_fraction, cfg.seed)[1]}
        self.train_data = SynthesizerDataset(data, [e for e in entries if e.id not in held_out], front_end)
        self.validation_data = SynthesizerDataset(data, [e for e in entries if e.id in held_out], front_end)
        self._device_clips = DeviceClips(self.train_data) if on_device else None
        lengths = [item.frames for item in self.train_data.items]
        weights = self.train_data.weights(cfg.split_weights)
        self._sampler = BucketSampler(lengths, weights, cfg.batch_size, cfg.seed)

    def prepare_step(self, step: int) -> None:
        self.network.r = int(_at(self.cfg.r, step))

    def phase(self, step: int) -> Hashable:
        return int(_at(self.cfg.r, step)), _at(self.cfg.guide_weight, step)

    def train_batch(self, step: int, rank: int, world_size: int) -> SynthesizerBatch | DrawnClips:
        rng = np.random.default_rng(step_seed(self.cfg.seed, step, rank))
        indices = self._sampler.indices(step, rank, world_size)
        r = int(_at(self.cfg.r, step))
        if self._device_clips is not None:
            return self._device_clips.draw(indices, r, rng)
        return self.train_data.collate(indices, r, rng)

    def validation_batches(self) -> Iterable[SynthesizerBatch]:
        data, size = self.validation_data, self.cfg.batch_size
        order = np.argsort([item.frames for item in data.items], kind="stable")
        starts = np.linspace(0, max(0, len(order) - size), min(self.cfg.validation_batches, -(-len(order) // size)))
        for start in starts.astype(int):
            yield data.collate(order[start : start + size].tolist(), self.network.r, None)

    def loss(
        self, network: nn.Module, batch: SynthesizerBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        r = batch.mels.shape[-1] // batch.stop.shape[-1]
        embeds = batch.embeds
        if network.training and self.cfg.voice_noise:
            embeds = embeds + self.cfg.voice_noise * torch.randn_like(embeds)
        out = network(batch.ids, batch.lengths, batch.mels, embeds, batch.frame_lengths, r)
        losses = tacotron_losses(
            out, batch.mels, batch.frame_lengths, batch.stop, batch.lengths, batch.alignment, self.cfg.guide_sigma
        )
        metrics: dict[str, Tensor | float] = {name: value.detach() for name, value in vars(losses).items()}
        # The best model is chosen without the guidance, whose weight changes during training.
        metrics["loss"] = losses.total(0.0).detach()
        return losses.total(_at(self.cfg.guide_weight, step)), metrics

    def figures(self, step: int) -> dict[str, Figure]:
        batch, out = self._example()
        frames, symbols = int(batch.frame_lengths[0]), int(batch.lengths[0])
        steps = -(-frames // self.network.r)
        mels = {"target": batch.mels[0, :, :frames], "predicted": out.mels_post[0, :, :frames]}
        return {
            "attention": attention_figure(out.attention[0, :steps, :symbols].float().cpu().numpy(), f"step {step}"),
            "mel": mel_figure({k: v.float().cpu().numpy() for k, v in mels.items()}, f"step {step}"),
        }

    def samples(self, step: int) -> dict[str, tuple[np.ndarray, int]]:
        batch, out = self._example()
        mel = out.mels_post[0, :, : int(batch.frame_lengths[0])].float().cpu().numpy()
        cfg = self.network.cfg.mel
        return {"teacher_forced": (griffin_lim(mel, cfg), cfg.sample_rate)}

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        write_checkpoint(
            path,
            kind=self.kind,
            architecture="tacotron",
            config=self.network.cfg.to_dict() | {"r": self.network.r},
            state=state,
            card=card,
        )

    def _example(self) -> tuple[SynthesizerBatch, Any]:
        """The first held-out utterance of middling length and what the network makes of it."""
        order = np.argsort([item.frames for item in self.validation_data.items], kind="stable")
        batch = self.validation_data.collate([int(order[len(order) // 2])], self.network.r, None)
        batch = batch.to(next(self.network.parameters()).device)
        with torch.no_grad():
            return batch, self.network(batch.ids, batch.lengths, batch.mels, batch.embeds, batch.frame_lengths)


def _at(schedule: Schedule, step: int) -> float:
    """The value of the last entry that has begun at ``step``."""
    return [value for start, value in schedule if start <= step][-1]
