"""The training of a post-net against a judge: windows of drafts and recordings, losses; knows no loop.

Trained on distances alone, a post-net gives the mean of what may be: mels without harmonics, which sound dull and
buzzing. Here it keeps the envelope of the recording, for which distances do, and learns the detail from a discriminator
that tells its mels from real ones (as in Kaneko et al. 2017, "Generative adversarial network-based postfilter for
STFT spectrograms").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from audio.errors import TrainingError
from audio.mel import griffin_lim
from models.checkpoint import write_checkpoint
from synthesizer.drafts import DRAFTS
from synthesizer.network import Tacotron
from training.adversarial import Judgement, discriminator_loss, feature_loss, generator_loss, judge
from training.corpus import ManifestEntry
from training.plots import mel_figure
from training.trainer import Adversary, step_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RefineConfig:
    """What a batch is made of and what its loss consists of."""

    batch_size: int = 16
    window_frames: int = 128
    envelope: tuple[int, int] = (4, 4)
    """Bands and frames of a cell of the envelope."""
    envelope_weight: float = 2.0
    distance_weight: float = 0.2
    """Of the plain L1 distance, which asks for the mean of what may be."""
    adversarial_weight: float = 0.25
    feature_weight: float = 1.0
    judge_channels: int = 32
    adversarial_from: int = 200
    """The judge must not learn from a post-net that knows nothing yet."""
    validation_fraction: float = 0.05
    validation_batches: int = 8
    all_speakers: bool = False
    """Train on the speakers that evaluation keeps for itself, too (training.holdout)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.batch_size, self.window_frames, self.validation_batches, *self.envelope) < 1:
            raise TrainingError("batch_size, window_frames, validation_batches and envelope must be at least 1.")


@dataclass
class RefineBatch:
    """Windows of drafts and of the recordings they are of, (B, n_mels, T) each."""

    drafts: Tensor
    mels: Tensor

    def to(self, device: torch.device) -> RefineBatch:
        """The same batch on another device."""
        return RefineBatch(self.drafts.to(device), self.mels.to(device))


class MelDiscriminator(nn.Module):
    """Tells real mels (B, n_mels, T) from made ones, both beside the draft: a convolution over bands and frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [2, channels, 2 * channels, 4 * channels, 4 * channels]
        strides = [(2, 1), (2, 2), (2, 2), (2, 1)]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 3), stride, padding=(2, 1)))
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, mels: Tensor, drafts: Tensor) -> Judgement:
        return judge(self.convs, self.last, torch.stack([mels, drafts], dim=1))


class DraftDataset:
    """Windows of drafts, every batch a pure function of (seed, step, rank); all in memory as float16.

    Raises:
        TrainingError: no drafts, or drafts that do not fit their recordings.
    """

    def __init__(self, root: Path, entries: Sequence[ManifestEntry], frames: int, silence: float = -4.0) -> None:
        self.pairs: list[tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]] = []
        """Draft and mel of a clip, (T, n_mels) each."""
        self._frames, self._silence = frames, silence
        for entry in sorted(entries, key=lambda entry: entry.id):
            draft = np.load(root / DRAFTS / f"{entry.id}.npy").astype(np.float16)
            mel = np.load(root / "mels" / f"{entry.id}.npy").astype(np.float16)
            if draft.shape != mel.shape:
                raise TrainingError(
                    f"The draft of {entry.id} does not fit its recording: delete {root / DRAFTS} and run "
                    "synthesizer.drafts again."
                )
            self.pairs.append((draft, mel))
        lengths = np.array([len(mel) for _, mel in self.pairs], dtype=np.float64)
        self._cumulative = np.cumsum(lengths / lengths.sum()) if self.pairs else lengths

    def batch(self, size: int, rng: np.random.Generator) -> RefineBatch:
        """Windows drawn with ``rng``, every frame alike; shorter clips are followed by silence."""
        windows = [self._window(rng) for _ in range(size)]
        drafts, mels = (torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*windows, strict=True))
        return RefineBatch(drafts.transpose(1, 2).contiguous(), mels.transpose(1, 2).contiguous())

    def _window(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.float16], ...]:
        index = min(int(np.searchsorted(self._cumulative, rng.random(), side="right")), len(self.pairs) - 1)
        first = int(rng.integers(max(1, len(self.pairs[index][1]) - self._frames + 1)))
        cut = (part[first : first + self._frames] for part in self.pairs[index])
        pad = ((0, max(0, self._frames - len(self.pairs[index][1]))), (0, 0))
        return tuple(np.pad(part, pad, constant_values=self._silence) for part in cut)


class _Judge:
    """The adversary; ``judged`` is the last batch and what the post-net made of it."""

    def __init__(self, channels: int) -> None:
        self.module: nn.Module = MelDiscriminator(channels)
        self.judged: tuple[RefineBatch, Tensor] | None = None

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor | float]] | None:
        """See ``training.trainer.Adversary``."""
        if self.judged is None:
            return None
        batch, made = self.judged
        real, fake = self.module(batch.mels, batch.drafts), self.module(made.detach(), batch.drafts)
        return discriminator_loss([real], [fake]), {}


class RefineTask:
    """A `training.trainer.TrainTask` that trains the post-net of ``network`` and leaves the rest of it as it is."""

    kind = "synthesizer"
    loss_module: nn.Module | None = None

    def __init__(
        self,
        root: Path,
        cfg: RefineConfig,
        network: Tacotron,
        train: Sequence[ManifestEntry],
        validation: Sequence[ManifestEntry],
    ) -> None:
        self.cfg, self.network = cfg, network
        refined = {id(p) for part in (network.postnet, network.post_proj) for p in part.parameters()}
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in refined)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cfg.seed)
            self._judge = _Judge(cfg.judge_channels)
        self.adversary: Adversary | None = self._judge
        silence = -network.cfg.mel.max_abs_value
        self.train_data = DraftDataset(root, train, cfg.window_frames, silence)
        self.validation_data = DraftDataset(root, validation, cfg.window_frames, silence)
        if not self.train_data.pairs:
            raise TrainingError(f"{root} holds no drafts to train on: run synthesizer.drafts first.")

    def prepare_step(self, step: int) -> None:
        """Nothing changes from step to step but the judge's weight."""

    def train_batch(self, step: int, rank: int, world_size: int) -> RefineBatch:
        """See ``training.trainer.TrainTask``."""
        return self.train_data.batch(self.cfg.batch_size, np.random.default_rng(step_seed(self.cfg.seed, step, rank)))

    def validation_batches(self) -> Iterable[RefineBatch]:
        """Windows of held-out speakers, always the same."""
        for number in range(self.cfg.validation_batches if self.validation_data.pairs else 0):
            yield self.validation_data.batch(self.cfg.batch_size, np.random.default_rng((self.cfg.seed, number)))

    def loss(self, network: nn.Module, batch: RefineBatch, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Weighted sum of all terms; "loss" is how far envelope and roughness are from the recording's."""
        cfg = self.cfg
        made = self.network.refine(batch.drafts)
        envelope = _envelope_distance(made, batch.mels, cfg.envelope)
        distance = (made - batch.mels).abs().mean()
        roughness = _roughness_distance(made.detach(), batch.mels)
        loss = cfg.envelope_weight * envelope + cfg.distance_weight * distance
        metrics: dict[str, Tensor | float] = {
            "envelope": envelope.detach(),
            "distance": distance.detach(),
            "roughness": roughness,
            "loss": envelope.detach() + roughness,
        }
        if network.training:
            self._judge.judged = None
            if step >= cfg.adversarial_from:
                self._judge.judged = (batch, made)
                with torch.no_grad():
                    real = self._judge.module(batch.mels, batch.drafts)
                fake = self._judge.module(made, batch.drafts)
                fooled, features = generator_loss([fake]), feature_loss([real], [fake])
                loss = loss + cfg.adversarial_weight * fooled + cfg.feature_weight * features
                metrics |= {"fooled": fooled.detach(), "features": features.detach()}
        return loss, metrics

    def figures(self, step: int) -> dict[str, Figure]:
        """A held-out draft, what the post-net makes of it and the recording."""
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
        pairs = self.validation_data.pairs or self.train_data.pairs
        draft, mel = (part.astype(np.float32).T for part in pairs[len(pairs) // 2])
        device = next(self.network.parameters()).device
        with torch.no_grad():
            made = self.network.refine(torch.from_numpy(draft)[None].to(device))[0].float().cpu().numpy()
        return {"recording": mel, "draft": draft, "refined": made}


def _envelope_distance(made: Tensor, real: Tensor, cell: tuple[int, int]) -> Tensor:
    """L1 of the means over cells of bands and frames."""
    return (F.avg_pool2d(made, cell) - F.avg_pool2d(real, cell)).abs().mean()


def _roughness_distance(made: Tensor, real: Tensor) -> Tensor:
    """How far the mean steps from band to band and from frame to frame are from the recording's, as |log ratio|."""
    ratios = [made.diff(dim=axis).abs().mean() / real.diff(dim=axis).abs().mean() for axis in (1, 2)]
    return torch.stack(ratios).log().abs().mean()
