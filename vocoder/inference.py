"""Vocoders ready for use: mel spectrogram in, wav out; knows no text and no training.

The functions at the end keep the names that scripts written for Real-Time-Voice-Cloning import; they delegate to the
one vocoder given to ``load_model``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from audio.errors import AudioError, ModelError
from audio.signal import fade_out
from vocoder.config import WaveRNNConfig
from vocoder.folding import FoldPlan, even_plan
from vocoder.generation import generate
from vocoder.griffin_lim import GriffinLimVocoder, check_mel
from vocoder.names import is_griffin_lim
from vocoder.signal import from_network_signal
from vocoder.wavernn import WaveRNN

Progress = Callable[[int, int], None]
RtvcProgress = Callable[[int, int, int, float], None]

TARGET_SAMPLES = 8000
OVERLAP_SAMPLES = 800
# The generation ends in the middle of breath or noise: the original fades its last frames.
TAIL_FRAMES = 20


class Vocoder(Protocol):
    """Anything that makes sound from a mel spectrogram."""

    name: str

    @property
    def sample_rate(self) -> int:
        """Hz of what ``vocode`` returns."""

    def vocode(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """mel (n_mels, T) normalised to [-4, 4] -> wav (S,), S = hop_length * max(T - 1, 1)."""


class WaveRNNVocoder:
    """A WaveRNN with its folding and the way from its signal to a wav.

    Args:
        network: used on the device it is on and put in eval mode while it works.
        target, overlap: samples of a fold and of what it shares with its neighbours.
        batched: False speaks the whole mel as one fold: no joints, but slower (256 units, one core:
            5,400 samples a second instead of 18,000 in 9 folds).
    """

    def __init__(
        self,
        network: WaveRNN,
        name: str = "wavernn",
        *,
        target: int = TARGET_SAMPLES,
        overlap: int = OVERLAP_SAMPLES,
        batched: bool = True,
    ) -> None:
        self.network = network
        self.name = name
        self.target = target
        self.overlap = overlap
        self.batched = batched

    @classmethod
    def from_file(cls, path: str | Path, device: torch.device | str | None = None) -> WaveRNNVocoder:
        """Load a checkpoint: safetensors with its config, or an original .pt file.

        Raises:
            ModelError: missing or broken file, another kind of model, shapes that do not fit.
        """
        from models.checkpoint import load_state, read_checkpoint
        from models.device import choose_device

        path = Path(path)
        checkpoint = read_checkpoint(path, expected_kind="vocoder")
        if checkpoint.architecture != "wavernn":
            raise ModelError(f"{path} is a vocoder of the kind {checkpoint.architecture}, not a WaveRNN.")
        try:
            cfg = (
                WaveRNNConfig.from_dict(checkpoint.config)
                if checkpoint.config
                else WaveRNNConfig.from_state_dict(checkpoint.state)
            )
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        network = WaveRNN(cfg)
        load_state(network, checkpoint.state, path)
        device = choose_device(device) if device is None or isinstance(device, str) else device
        return cls(network.to(device).eval(), path.stem)

    @property
    def cfg(self) -> WaveRNNConfig:
        return self.network.cfg

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.cfg.mel.sample_rate

    def plan(self, n_frames: int) -> FoldPlan:
        """How a mel of n_frames frames is cut into folds."""
        length = self.cfg.hop_length * max(n_frames - 1, 1)
        if not self.batched:
            return FoldPlan(length, 1, length, 0)
        if self.target < 1 or self.overlap < 0:
            raise AudioError(f"Folds need a target above 0 and no negative overlap: {self.target}, {self.overlap}.")
        return even_plan(length, self.target, self.overlap)

    def vocode(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """mel (n_mels, T) normalised to [-4, 4] -> wav (S,) float32, S = hop_length * max(T - 1, 1).

        Args:
            seed: the same seed gives the same samples; None draws one.
            progress: called with (samples done, samples of all folds); raise ``Cancelled`` from it to stop.

        Raises:
            AudioError: the mel has no frames, another number of bands, or values that are not numbers.
        """
        mel = check_mel(mel, self.cfg.n_mels)
        scaled = torch.from_numpy(mel) / self.cfg.mel_scale
        seed = secrets.randbelow(2**31) if seed is None else seed
        plan = self.plan(mel.shape[1])
        was_training = self.network.training
        self.network.eval()
        try:
            signal = generate(self.network, scaled, plan, seed=seed, progress=progress)
        finally:
            self.network.train(was_training)
        wav = from_network_signal(signal, self.cfg)
        tail = TAIL_FRAMES * self.cfg.hop_length
        return fade_out(wav, tail) if len(wav) > tail else wav


def load_vocoder(registry: Any, name: str, device: torch.device | str | None = "cpu") -> Vocoder:
    """The vocoder of that name or path in a models.registry.ModelRegistry; "griffin-lim" needs no model.

    Raises:
        ModelError: no such model, or one that cannot be used.
    """
    if is_griffin_lim(str(name)):
        return GriffinLimVocoder()
    network = registry.load(name, "vocoder", device)
    if not isinstance(network, WaveRNN):
        raise ModelError(f"The vocoder {name!r} is a {type(network).__name__}, which this version cannot use.")
    is_file = Path(name).suffix in (".safetensors", ".pt")
    return WaveRNNVocoder(network, Path(name).stem if is_file else str(name))


class _Loaded:
    """The vocoder of the functions below."""

    vocoder: WaveRNNVocoder | None = None


def load_model(
    weights_fpath: str | Path, verbose: bool = True, device: torch.device | str | None = None
) -> WaveRNNVocoder:
    """Load the vocoder that the functions of this module use; device None = the best there is."""
    _Loaded.vocoder = WaveRNNVocoder.from_file(weights_fpath, device)
    return _Loaded.vocoder


def is_loaded() -> bool:
    """Whether ``load_model`` has been called."""
    return _Loaded.vocoder is not None


def infer_waveform(
    mel: npt.NDArray[np.floating],
    normalize: bool = True,
    batched: bool = True,
    target: int = TARGET_SAMPLES,
    overlap: int = OVERLAP_SAMPLES,
    progress_callback: RtvcProgress | None = None,
    seed: int | None = None,
) -> npt.NDArray[np.float32]:
    """mel (80, T) -> wav (S,) with the vocoder given to ``load_model``.

    Args:
        normalize: the mel lies in [-4, 4]; False: it has been divided by 4 already.
        batched, target, overlap: see ``WaveRNNVocoder``.
        progress_callback: called with (steps done, steps, folds, thousand samples a second); each step makes one
            sample of each fold.
    """
    loaded = _Loaded.vocoder
    if loaded is None:
        raise ModelError("No vocoder is loaded: call vocoder.inference.load_model(path) first.")
    vocoder = WaveRNNVocoder(loaded.network, loaded.name, target=target, overlap=overlap, batched=batched)
    mel = np.asarray(mel) if normalize else np.asarray(mel) * vocoder.cfg.mel_scale
    report: Progress | None = None
    if progress_callback is not None:
        n_folds = vocoder.plan(mel.shape[-1]).count
        report = _rtvc_progress(progress_callback, n_folds)
    return vocoder.vocode(mel, seed=seed, progress=report)


def _rtvc_progress(callback: RtvcProgress, n_folds: int) -> Progress:
    started = time.perf_counter()

    def report(done: int, total: int) -> None:
        callback(done // n_folds, total // n_folds, n_folds, done / max(time.perf_counter() - started, 1e-6) / 1000)

    return report
