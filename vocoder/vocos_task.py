"""The training of a Vocos as the trainer sees it: network, judges, batches, losses, pictures and sounds; knows no loop.

Three things are learnt: the magnitudes (L1 of their logarithm, spectral convergence, and the mel they must have), the
slopes of the phases, and, from ``sound_from`` on, that the sound made of both has the right spectrogram at other
resolutions, too; from ``adversarial_from`` on, discriminators judge that sound.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from audio.mel import mel_filterbank, normalize_db
from training.corpus import ManifestEntry
from training.trainer import TrainerConfig
from vocoder.base_task import TaskConfig, VocoderTask
from vocoder.config import VocosConfig
from vocoder.dataset import SpectrumBatch, SpectrumDataset, WindowConfig
from vocoder.discriminators import Discriminators, discriminator_loss, feature_loss, generator_loss
from vocoder.phase import integrate, refine, slopes
from vocoder.vocos import Vocos

if TYPE_CHECKING:
    from vocoder.inference import Vocoder

# Below this a bin is inaudible beside its neighbours; it also bounds the logarithm's slope.
_FLOOR = 1e-3


@dataclass(frozen=True)
class VocosTaskConfig(TaskConfig):
    """How the training is measured and what its loss consists of."""

    validation_batches: int = 8
    sample_seconds: float = 3.0
    magnitude_weight: float = 1.0
    convergence_weight: float = 1.0
    mel_weight: float = 1.0
    slope_weight: float = 1.0
    sound_from: int = 4000
    sound_weight: float = 1.0
    sound_resolutions: tuple[int, ...] = (400, 800, 1600)
    adversarial_from: int = 1_000_000_000
    """Judging costs more than all else on a CPU, so it is asked for."""
    adversarial_weight: float = 0.1
    feature_weight: float = 0.2
    judge_periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    judge_resolutions: tuple[int, ...] = (512, 1024, 2048)
    judge_channels: int = 16
    """The published discriminators have 32, and up to 1,024 in their last layers."""


def default_windows() -> WindowConfig:
    """Windows long enough for the widest STFT of the loss and for phases to drift."""
    return WindowConfig(batch_size=16, window_frames=64)


def default_trainer() -> TrainerConfig:
    """For a CPU of two cores: a day; the sound is good after 5,000 steps."""
    return TrainerConfig(
        steps=100_000,
        lr=((0, 1e-3), (20_000, 5e-4), (60_000, 2e-4)),
        warmup_steps=100,
        clip_norm=5.0,
        ema_decay=0.999,
        plot_every=2500,
        validate_every=500,
        save_every=500,
        backup_every=25_000,
    )


@dataclass(frozen=True)
class VocosTraining:
    """All settings of the training of a Vocos."""

    model: VocosConfig = field(default_factory=VocosConfig)
    data: WindowConfig = field(default_factory=default_windows)
    task: VocosTaskConfig = field(default_factory=VocosTaskConfig)
    trainer: TrainerConfig = field(default_factory=default_trainer)


class _Judges:
    """The adversary; `pair` is what was recorded and what the network made last of it, (B, S) each."""

    def __init__(self, cfg: VocosTaskConfig) -> None:
        self.module: nn.Module = Discriminators(cfg.judge_periods, cfg.judge_resolutions, cfg.judge_channels)
        self.pair: tuple[Tensor, Tensor] | None = None

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor | float]] | None:
        """See ``training.trainer.Adversary``."""
        if self.pair is None:
            return None
        real, made = self.pair
        return discriminator_loss(self.module(real), self.module(made.detach())), {}


class VocosTask(VocoderTask[SpectrumBatch]):
    """Training of a ``Vocos`` on preprocessed speech in the folder ``root``."""

    architecture = "vocos"

    def __init__(
        self, cfg: VocosTraining, root: Path, train: Sequence[ManifestEntry], validation: Sequence[ManifestEntry]
    ) -> None:
        data = partial(SpectrumDataset, root, model=cfg.model, cfg=cfg.data, seed=cfg.trainer.seed)
        super().__init__(cfg, Vocos, data, train, validation)
        self._filters = torch.from_numpy(mel_filterbank(cfg.model.mel))
        self._judges: _Judges | None = None
        if cfg.task.adversarial_from < cfg.trainer.steps:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(cfg.trainer.seed)
                self._judges = _Judges(cfg.task)
        self.adversary = self._judges

    def vocoder(self) -> Vocoder:
        """The network as it is now, ready to speak."""
        from vocoder.inference import VocosVocoder

        assert isinstance(self.network, Vocos)
        return VocosVocoder(self.network)

    def phase(self, step: int) -> Hashable:
        """Whether the sound counts."""
        return step >= self.cfg.task.sound_from

    def loss(
        self, network: nn.Module, batch: SpectrumBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """The weighted sum of all terms that count at this step; "loss" is what needs no judge."""
        cfg, mel = self.cfg.task, self.cfg.model.mel
        target = _stft(batch.signal, mel.n_fft, mel.hop_length)
        magnitude, over_time, over_bins = network(batch.mels)
        terms = {
            **_magnitude_terms(magnitude, target.abs()),
            "mel": (self._mel(magnitude) - self._mel(target.abs())).abs().mean(),
            "slope": _slope_distance(target, over_time, over_bins, self.cfg.model),
        }
        loss = (
            cfg.magnitude_weight * terms["magnitude"]
            + cfg.convergence_weight * terms["convergence"]
            + cfg.mel_weight * terms["mel"]
            + cfg.slope_weight * terms["slope"]
        )
        if step >= cfg.sound_from:
            made = self._sound(magnitude, over_time, over_bins)
            real = batch.signal[:, mel.n_fft // 2 : mel.n_fft // 2 + made.shape[1]]
            terms["sound"] = _sound_distance(made, real, cfg.sound_resolutions)
            loss = loss + cfg.sound_weight * terms["sound"]
        metrics: dict[str, Tensor | float] = {name: value.detach() for name, value in terms.items()}
        metrics["loss"] = loss.detach()
        if self._judges is not None and network.training:
            self._judges.pair = (real, made) if step >= cfg.adversarial_from else None
            if self._judges.pair is not None:
                judged_real, judged = self._judges.module(real), self._judges.module(made)
                fooled, features = generator_loss(judged), feature_loss(judged_real, judged)
                loss = loss + cfg.adversarial_weight * fooled + cfg.feature_weight * features
                metrics.update(fooled=fooled.detach(), features=features.detach())
        return loss, metrics

    def _sound(self, magnitude: Tensor, over_time: Tensor, over_bins: Tensor) -> Tensor:
        """Signal (B, S) as the vocoder makes it; the gradient goes through the magnitudes."""
        cfg = self.cfg.model
        with torch.no_grad():
            phases = integrate(magnitude, over_time, over_bins, cfg.mel)
        return refine(magnitude, phases, cfg.mel, cfg.rounds)

    def _mel(self, magnitude: Tensor) -> Tensor:
        """Not the mel that the network was given: that of a synthesizer is smoother than the sound should be."""
        cfg = self.cfg.model
        return normalize_db(self._filters.to(magnitude.device) @ magnitude, cfg.mel) / cfg.mel_scale


def _stft(signal: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """(B, S) -> complex (B, n_fft / 2 + 1, T) without padding."""
    window = torch.hann_window(n_fft, device=signal.device)
    return torch.stft(signal, n_fft, hop_length, window=window, center=False, return_complex=True)


def _magnitude_terms(made: Tensor, target: Tensor) -> dict[str, Tensor]:
    """L1 of the logarithms, and spectral convergence (Arik et al. 2018, arXiv 1808.06719): the loud bins'."""
    log = (torch.log(made + _FLOOR) - torch.log(target + _FLOOR)).abs().mean()
    sizes = torch.linalg.vector_norm(target, dim=(1, 2)).clamp(min=0.1)
    return {
        "magnitude": log,
        "convergence": (torch.linalg.vector_norm(made - target, dim=(1, 2)) / sizes).mean(),
    }


def _slope_distance(target: Tensor, over_time: Tensor, over_bins: Tensor, cfg: VocosConfig) -> Tensor:
    """Mean square distance of the slopes, weighted with the square root of the magnitude."""
    weight = target.abs().sqrt()
    weight = weight / weight.mean(dim=(1, 2), keepdim=True).clamp(min=1e-3)
    by_time, by_bin = slopes(target, cfg.mel)
    time = (weight[..., 1:] * (over_time[..., 1:] - by_time).abs().square()).mean()
    return time + (weight[:, 1:] * (over_bins[:, 1:] - by_bin).abs().square()).mean()


def _sound_distance(made: Tensor, real: Tensor, resolutions: Sequence[int]) -> Tensor:
    """Distance of the spectrograms at several resolutions (Yamamoto et al. 2020, arXiv 1910.11480)."""
    terms = []
    for n_fft in resolutions:
        pair = [_stft(signal, n_fft, n_fft // 4) for signal in (made, real)]
        # Not abs, whose slope at zero is not a number.
        sizes = [(x.real.square() + x.imag.square() + 1e-9).sqrt() for x in pair]
        terms += list(_magnitude_terms(*sizes).values())
    return torch.stack(terms).mean()
