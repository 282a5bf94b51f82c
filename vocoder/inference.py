"""Vocoders ready for use: mel spectrogram in, wav out; knows no text and no training.

The functions at the end keep the names that scripts written for Real-Time-Voice-Cloning import; they delegate to the
one vocoder given to ``load_model``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from audio.errors import AudioError, ModelError
from audio.signal import de_emphasis
from vocoder.config import SampleForm, VocosConfig, WaveRNNConfig
from vocoder.folding import FoldPlan, shared_plan
from vocoder.generation import SampleNetwork, Speaker, generate, generate_pieces
from vocoder.griffin_lim import GriffinLimVocoder, check_mel
from vocoder.names import is_griffin_lim
from vocoder.signal import PlainSound
from vocoder.vocos import Vocos
from vocoder.vocos_generation import speak
from vocoder.wavenet import WaveNet
from vocoder.wavernn import WaveRNN

Progress = Callable[[int, int], None]
RtvcProgress = Callable[[int, int, int, float], None]

DEFAULT_PRECISION = "int16"
TARGET_SAMPLES = 8000
OVERLAP_SAMPLES = 800
# What lies behind the network is done for so many samples at a time, so that memory stays bounded.
SOUND_SAMPLES = 64_000
# The generation ends in the middle of breath or noise: the original fades its last frames. A sound that is matched to
# the mel ends as that does, and keeps its last consonant.
TAIL_FRAMES = 20
# The first piece is heard soon, later ones cost fewer calls; frames of 12.5 ms.
PIECE_FRAMES = (8, 12, 16, 24, 32)


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

    def stream(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Pieces that, joined, are what ``vocode`` returns, each as soon as it is made.

        Where ``vocode`` works on folds, they are what it returns without.
        """


class SampleVocoder:
    """A network that speaks sample by sample, with its folding and the way from its signal to a wav.

    Args:
        network: used on the device it is on and put in eval mode while it works.
        target, overlap: samples of a fold and of what it shares with its neighbours.
        batched: False speaks the whole mel as one fold: no joints, but slower.
        precision: of the weights on a CPU, one of ``vocoder.config.PRECISIONS``; may be changed between two sounds.

    The weights are read when the first sound is made; make another vocoder when they have changed.
    """

    def __init__(
        self,
        network: SampleNetwork,
        name: str,
        *,
        target: int = TARGET_SAMPLES,
        overlap: int = OVERLAP_SAMPLES,
        batched: bool = True,
        precision: str = DEFAULT_PRECISION,
    ) -> None:
        self.network = network
        self.name = name
        self.target = target
        self.overlap = overlap
        self.batched = batched
        self.precision = precision
        self._speaker: Speaker | None = None

    @property
    def cfg(self) -> SampleForm:
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
        return shared_plan(length, self.target, self.overlap)

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
        plan = self.plan(mel.shape[1])
        if plan.count == 1:
            return np.concatenate(list(self.stream(mel, seed=seed, progress=progress)))
        scaled, pulse = torch.from_numpy(mel) / self.cfg.mel_scale, _Pulse(progress)
        signal = generate(self._ready(), scaled, plan, seed=_seed(seed), progress=pulse.report)
        sound = PlainSound(self.cfg, mel, pulse.repeat)
        pieces = [
            sound.of(signal[first : first + SOUND_SAMPLES], first + SOUND_SAMPLES >= plan.length)
            for first in range(0, plan.length, SOUND_SAMPLES)
        ]
        return self._faded(np.concatenate(pieces), 0, plan.length)

    def stream(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Pieces of 0.1 to 0.4 s, each as soon as it is made: joined, what ``vocode`` returns with batched=False.

        The arguments and errors are those of ``vocode``.
        """
        mel = check_mel(mel, self.cfg.n_mels)
        return self._pieces(mel, _seed(seed), progress)

    def _pieces(
        self, mel: npt.NDArray[np.float32], seed: int, progress: Progress | None
    ) -> Iterator[npt.NDArray[np.float32]]:
        length, first, pulse = self.cfg.hop_length * max(mel.shape[1] - 1, 1), 0, _Pulse(progress)
        sound = PlainSound(self.cfg, mel, pulse.repeat)
        scaled, lengths = torch.from_numpy(mel) / self.cfg.mel_scale, _piece_lengths(length, self.cfg)
        spoken = 0
        for signal in generate_pieces(self._ready(), scaled, lengths, seed=seed, progress=pulse.report):
            spoken += len(signal)
            wav = sound.of(signal, last=spoken == length)
            if len(wav):
                yield self._faded(wav, first, length)
            first += len(wav)

    def _ready(self) -> Speaker:
        if self._speaker is None or self._speaker.precision != self.precision:
            self._speaker = Speaker(self.network, self.precision)
        return self._speaker

    def _faded(self, wav: npt.NDArray[np.float32], first: int, length: int) -> npt.NDArray[np.float32]:
        """wav, which begins at sample `first` of `length`, with its part of the fade at the end."""
        tail = TAIL_FRAMES * self.cfg.hop_length
        if length <= tail or self.cfg.matching:
            return wav
        to_end = np.arange(length - 1 - first, length - 1 - first - len(wav), -1)
        return wav * np.minimum(to_end / (tail - 1), 1.0).astype(np.float32)


class _Pulse:
    """Reports progress, and again what was reported last: where there is none, a cancel must be heard all the same."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last: tuple[int, int] | None = None

    def report(self, done: int, total: int) -> None:
        self._last = done, total
        self.repeat()

    def repeat(self) -> None:
        if self._progress is not None and self._last is not None:
            self._progress(*self._last)


class WaveRNNVocoder(SampleVocoder):
    """A WaveRNN."""

    network: WaveRNN

    def __init__(self, network: WaveRNN, name: str = "wavernn", **options: Any) -> None:
        super().__init__(network, name, **options)

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


class WaveNetVocoder(SampleVocoder):
    """A WaveNet."""

    network: WaveNet

    def __init__(self, network: WaveNet, name: str = "wavenet", **options: Any) -> None:
        super().__init__(network, name, **options)


def _piece_lengths(length: int, cfg: SampleForm) -> list[int]:
    """Samples of each piece of a sound of `length` samples."""
    pieces: list[int] = []
    while length:
        frames = PIECE_FRAMES[min(len(pieces), len(PIECE_FRAMES) - 1)]
        pieces.append(min(frames * cfg.hop_length, length))
        length -= pieces[-1]
    return pieces


def _seed(seed: int | None) -> int:
    return secrets.randbelow(2**31) if seed is None else seed


class VocosVocoder:
    """A Vocos with the phases and the inverse STFT behind it; makes the same sound each time."""

    def __init__(self, network: Vocos, name: str = "vocos") -> None:
        self.network = network
        self.name = name

    @property
    def cfg(self) -> VocosConfig:
        return self.network.cfg

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.cfg.mel.sample_rate

    def vocode(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """mel (n_mels, T) normalised to [-4, 4] -> wav (S,) float32, S = hop_length * max(T - 1, 1).

        Args:
            seed: nothing is drawn.
            progress: called with (frames done, T); raise ``Cancelled`` from it to stop.

        Raises:
            AudioError: the mel has no frames, another number of bands, or values that are not numbers.
        """
        return np.concatenate(list(self.stream(mel, seed=seed, progress=progress)))

    def stream(
        self, mel: npt.NDArray[np.floating], *, seed: int | None = None, progress: Progress | None = None
    ) -> Iterator[npt.NDArray[np.float32]]:
        """As ``vocode``, in pieces of about a second: joined, they are its result."""
        mel = check_mel(mel, self.cfg.n_mels)
        if mel.shape[1] == 1:
            mel = np.repeat(mel, 2, axis=1)
        scaled = torch.from_numpy(mel)[None].to(self.network.embed.weight.device) / self.cfg.mel_scale
        last = 0.0
        for done, signal in speak(self.network.eval(), scaled):
            wav = de_emphasis(signal[0].double().cpu().numpy(), self.cfg.mel.preemphasis, last)
            last = float(wav[-1])
            yield wav.astype(np.float32)
            if progress is not None:
                progress(done + 1, mel.shape[1])


def load_vocoder(registry: Any, name: str, device: torch.device | str | None = "cpu") -> Vocoder:
    """The vocoder of that name or path in a models.registry.ModelRegistry; "griffin-lim" needs no model.

    Raises:
        ModelError: no such model, or one that cannot be used.
    """
    if is_griffin_lim(str(name)):
        return GriffinLimVocoder()
    network = registry.load(name, "vocoder", device)
    shown = Path(name).stem if Path(name).suffix in (".safetensors", ".pt") else str(name)
    if isinstance(network, WaveRNN):
        return WaveRNNVocoder(network, shown)
    if isinstance(network, WaveNet):
        return WaveNetVocoder(network, shown)
    if isinstance(network, Vocos):
        return VocosVocoder(network, shown)
    raise ModelError(f"The vocoder {name!r} is a {type(network).__name__}, which this version cannot use.")


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
