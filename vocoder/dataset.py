"""Windows of mels and samples to train a vocoder on, drawn from preprocessed speech; knows no network and no loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audio.errors import TrainingError
from audio.signal import label_to_float, pre_emphasis
from training.corpus import ManifestEntry
from vocoder.config import SampleForm, VocosConfig
from vocoder.signal import to_labels, to_network_signal

Model = TypeVar("Model", bound=SampleForm | VocosConfig)
Drawn = TypeVar("Drawn")

TRAIN_STREAM, VALIDATION_STREAM = 1, 2
_INT16 = 32767.0
# Frames whose level lies in the lowest quarter between a clip's quiet and its loud frames count as silence.
_QUIET_SHARE = 0.25


@dataclass(frozen=True)
class WindowConfig:
    """What a batch is made of."""

    batch_size: int = 32
    window_frames: int = 5
    """Samples of a window in mel frames: 5 frames of 200 samples are RTVC's 1,000 samples."""
    balance: float = 0.5
    """A speaker is drawn with probability ~ (their amount of speech) ** balance: 0 all alike, 1 as recorded."""
    silence_share: float = 0.15
    """Probability of keeping a window of silence that was drawn; the others are drawn again."""
    mels: str = "mels"
    """Folder of the mels: mels, or mels_gta for those that a synthesizer predicted."""
    own_mels: float = 0.0
    """Share of the windows that have the recording's own mels even so."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.window_frames < 1:
            raise TrainingError("batch_size and window_frames must be at least 1.")
        if not 0.0 <= self.balance <= 1.0 or not 0.0 < self.silence_share <= 1.0:
            raise TrainingError("balance must lie in [0, 1] and silence_share in (0, 1].")
        if not 0.0 <= self.own_mels < 1.0:
            raise TrainingError("own_mels must lie in [0, 1).")


@dataclass(frozen=True)
class WindowBatch:
    """Windows of S samples: x (B, S) the samples before, mels (B, n_mels, S / hop + 2 * pad), y (B, S) the samples.

    x in [-1, 1]; mels divided by the network's mel_scale; y labels (int64) in RAW mode, values in MOL mode.
    """

    x: Tensor
    mels: Tensor
    y: Tensor

    def to(self, device: torch.device | str) -> WindowBatch:
        """The same batch on another device."""
        return WindowBatch(self.x.to(device), self.mels.to(device), self.y.to(device))


@dataclass(frozen=True)
class _Clip:
    """Compact form of an utterance: signal (T * hop,) and mel (T, n_mels) scaled to int16, quiet (windows,) bool."""

    signal: npt.NDArray[np.int16]
    mel: npt.NDArray[np.int16]
    quiet: npt.NDArray[np.bool_]


class ClipDataset(ABC, Generic[Model, Drawn]):
    """The utterances of a manifest, kept in memory as int16 once they were drawn (about 180 MB an hour).

    Every batch is a pure function of (seed, step, rank).

    Raises:
        TrainingError: no entries, or arrays that are missing or do not belong together.
    """

    def __init__(
        self, root: Path, entries: Sequence[ManifestEntry], model: Model, cfg: WindowConfig, *, seed: int
    ) -> None:
        if not entries:
            raise TrainingError(f"{root} has no utterances to train on: run the preprocessing first.")
        self.root, self.cfg, self.seed = Path(root), cfg, seed
        self.model: Model = model
        # Sorted: the draw must not depend on the order in which parallel preprocessing finished.
        self.entries = sorted(entries, key=lambda entry: (entry.speaker, entry.id))
        frames = np.array([max(1, entry.frames) for entry in self.entries], dtype=np.float64)
        speakers = np.unique([entry.speaker for entry in self.entries], return_inverse=True)[1]
        per_speaker = np.bincount(speakers, weights=frames)
        weights = per_speaker[speakers] ** (cfg.balance - 1.0) * frames
        weights /= weights.sum()
        # Entries again, with their own mels, stand behind the others.
        own = [cfg.own_mels * weights] if cfg.own_mels else []
        self._cumulative = np.cumsum(np.concatenate([(1.0 - cfg.own_mels) * weights, *own]))
        self._clips: dict[int, _Clip] = {}

    def batch(self, step: int, rank: int = 0) -> Drawn:
        """The training batch of a step."""
        return self._draw(np.random.default_rng((self.seed, TRAIN_STREAM, step, rank)), self._cumulative)

    def fixed_batches(self, count: int) -> list[Drawn]:
        """Batches that are always the same, every utterance drawn as often as the others."""
        places = len(self._cumulative)
        even = np.arange(1, places + 1) / places
        return [self._draw(np.random.default_rng((self.seed, VALIDATION_STREAM, i)), even) for i in range(count)]

    def mel(self, index: int) -> npt.NDArray[np.float32]:
        """Mel (n_mels, T) of an entry, normalised as on disk."""
        return self._load_mel(self.entries[index], self.cfg.mels).T

    def _draw(self, rng: np.random.Generator, cumulative: npt.NDArray[np.float64]) -> Drawn:
        windows = [self._window(*self._place(rng, cumulative)) for _ in range(self.cfg.batch_size)]
        signal, mels = (np.stack(parts) for parts in zip(*windows, strict=True))
        return self._batch(signal, np.ascontiguousarray(mels.transpose(0, 2, 1)))

    @abstractmethod
    def _signal(self, wav: npt.NDArray[np.float32], mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A recording (S,) with its mel (n_mels, T) as the network speaks it, in [-1, 1]."""

    @abstractmethod
    def _window(self, clip: _Clip, first: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Signal and mel of the window that begins at a frame."""

    @abstractmethod
    def _batch(self, signal: npt.NDArray[np.float32], mels: npt.NDArray[np.float32]) -> Drawn:
        """A batch of signals (B, ...) and mels (B, n_mels, ...)."""

    def _place(self, rng: np.random.Generator, cumulative: npt.NDArray[np.float64]) -> tuple[_Clip, int]:
        for _ in range(20):
            index = min(int(np.searchsorted(cumulative, rng.random(), side="right")), len(cumulative) - 1)
            clip = self._clip(index)
            first = int(rng.integers(len(clip.quiet)))
            if not clip.quiet[first] or rng.random() < self.cfg.silence_share:
                break
        return clip, first

    def _clip(self, index: int) -> _Clip:
        clip = self._clips.get(index)
        if clip is None:
            own, entry = divmod(index, len(self.entries))
            clip = self._clips[index] = self._load(self.entries[entry], "mels" if own else self.cfg.mels)
        return clip

    def _load(self, entry: ManifestEntry, mels: str) -> _Clip:
        mel = self._load_mel(entry, mels)
        signal = self._signal(_read(self.root / "wavs" / f"{entry.id}.npy"), mel.T)
        hop, top = self.model.hop_length, self.model.mel.max_abs_value
        if abs(len(mel) - 1 - len(signal) // hop) > 1:
            raise TrainingError(
                f"{entry.id} in {self.root} has {len(signal)} samples but {len(mel)} mel frames of {hop} samples: "
                "they were made with other settings; preprocess this corpus again."
            )
        signal = _slice(signal, 0, len(mel) * hop, 0.0)
        return _Clip(
            np.round(signal * _INT16).astype(np.int16),
            np.round(np.clip(mel / top, -1.0, 1.0) * _INT16).astype(np.int16),
            self._quiet_windows(mel.mean(axis=1)),
        )

    def _load_mel(self, entry: ManifestEntry, mels: str) -> npt.NDArray[np.float32]:
        path = self.root / mels / f"{entry.id}.npy"
        mel = _read(path)
        if mel.ndim != 2 or mel.shape[1] != self.model.n_mels or len(mel) == 0:
            raise TrainingError(f"{path} has shape {mel.shape}; expected (frames, {self.model.n_mels}).")
        return mel

    def _quiet_windows(self, level: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which of the possible first frames give a window of silence."""
        count = self.cfg.window_frames
        low, high = np.quantile(level, [0.02, 0.95])
        starts = max(1, len(level) - count + 1)
        means = np.array([level[first : first + count].mean() for first in range(starts)])
        return np.asarray((means < low + _QUIET_SHARE * (high - low)) & (high - low > 0.5))


class WindowDataset(ClipDataset[SampleForm, WindowBatch]):
    """Windows for networks that speak a sample at a time."""

    def _signal(self, wav: npt.NDArray[np.float32], mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return to_network_signal(wav, self.model, mel)

    def _window(self, clip: _Clip, first: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Signal (S + 1,) from one sample before the window, and mel (window_frames + 2 * pad, n_mels)."""
        hop, count, pad = self.model.hop_length, self.cfg.window_frames, self.model.pad
        signal = _slice(clip.signal, first * hop - 1, count * hop + 1, 0)
        mel = _slice(clip.mel, first - pad, count + 2 * pad, -round(_INT16))
        return signal.astype(np.float32) / np.float32(_INT16), mel.astype(np.float32) / np.float32(_INT16)

    def _batch(self, signal: npt.NDArray[np.float32], mels: npt.NDArray[np.float32]) -> WindowBatch:
        labels = to_labels(signal, self.model)
        x = torch.from_numpy(label_to_float(labels[:, :-1], self.model.label_bits).astype(np.float32))
        y = torch.from_numpy(labels[:, 1:].copy())
        if self.model.mode == "MOL":
            y = torch.from_numpy(label_to_float(labels[:, 1:], self.model.label_bits).astype(np.float32))
        return WindowBatch(x, torch.from_numpy(mels), y)


@dataclass(frozen=True)
class SpectrumBatch:
    """Windows of F frames: mels (B, n_mels, F) divided by the network's mel_scale, and the pre-emphasised signal
    (B, (F - 1) * hop + n_fft) that their STFT frames, not padded, lie on."""

    mels: Tensor
    signal: Tensor

    def to(self, device: torch.device | str) -> SpectrumBatch:
        """The same batch on another device."""
        return SpectrumBatch(self.mels.to(device), self.signal.to(device))


class SpectrumDataset(ClipDataset[VocosConfig, SpectrumBatch]):
    """Windows for networks that make spectra: whole STFT frames, no labels."""

    def _signal(self, wav: npt.NDArray[np.float32], mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.clip(pre_emphasis(wav, self.model.mel.preemphasis), -1.0, 1.0)

    def _window(self, clip: _Clip, first: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        mel_cfg, count = self.model.mel, self.cfg.window_frames
        start = first * mel_cfg.hop_length - mel_cfg.n_fft // 2
        signal = _slice(clip.signal, start, (count - 1) * mel_cfg.hop_length + mel_cfg.n_fft, 0)
        mel = _slice(clip.mel, first, count, -round(_INT16))
        return signal.astype(np.float32) / np.float32(_INT16), mel.astype(np.float32) / np.float32(_INT16)

    def _batch(self, signal: npt.NDArray[np.float32], mels: npt.NDArray[np.float32]) -> SpectrumBatch:
        return SpectrumBatch(torch.from_numpy(mels), torch.from_numpy(signal))


def _slice(array: npt.NDArray, first: int, count: int, fill: float) -> npt.NDArray:
    """array[first : first + count] along the first axis, with `fill` where that lies outside."""
    before, after = max(0, -first), max(0, first + count - len(array))
    part = array[max(0, first) : max(0, first + count)]
    if before or after:
        widths = [(before, min(after, count - before)), *[(0, 0)] * (array.ndim - 1)]
        part = np.pad(part, widths, constant_values=fill)
    return part


def _read(path: Path) -> npt.NDArray[np.float32]:
    try:
        return np.load(path).astype(np.float32, copy=False)
    except FileNotFoundError:
        raise TrainingError(f"{path} is missing, though the manifest lists it: preprocess the corpus again.") from None
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"{path} cannot be read ({error}): delete it and preprocess the corpus again.") from error
