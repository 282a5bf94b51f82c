"""Mel spectrograms and their inversion, the only STFT code; knows sampled sound, no files and no networks."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from audio.errors import EmptyAudioError, NonFiniteAudioError, ShortAudioError, SignalSettingsError
from audio.signal import de_emphasis

FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

# The power to which RTVC raises the recovered magnitudes before Griffin-Lim: it deepens the valleys that the
# pseudo-inverse fills, which is heard as less of a hoarse background.
SHARPENING = 1.5
# STFT frames worked on at once: 2,048 x 401 complex bins are 7 MB, while half an hour
# in one piece would take a gigabyte.
BLOCK_FRAMES = 2048


@dataclass(frozen=True)
class MelConfig:
    """How sound becomes a mel spectrogram.

    `power` is the exponent of the STFT magnitude before the filterbank (1 magnitude, 2 power). With scale
    "power" the bands are left as they are; with "db" they become decibels relative to `ref_level_db`, and the
    range from `min_level_db` to 0 is laid on [-max_abs_value, max_abs_value] and clipped there. Frequencies are
    in Hz, lengths in samples.
    """

    sample_rate: int = 16000
    n_fft: int = 800
    hop_length: int = 200
    win_length: int = 800
    n_mels: int = 80
    fmin: float = 55.0
    fmax: float = 7600.0
    preemphasis: float = 0.97
    power: float = 1.0
    scale: Literal["db", "power"] = "db"
    ref_level_db: float = 20.0
    min_level_db: float = -100.0
    max_abs_value: float = 4.0

    def __post_init__(self) -> None:
        sizes = (self.sample_rate, self.n_fft, self.hop_length, self.win_length, self.n_mels)
        sound = (
            all(isinstance(size, int) and size > 0 for size in sizes)
            and self.n_fft % 2 == 0
            and self.win_length <= self.n_fft
            and self.hop_length <= self.win_length
            and 0 <= self.fmin < self.fmax <= self.sample_rate / 2
            and 0 <= self.preemphasis < 1
            and self.power > 0
            and self.scale in ("db", "power")
            and self.min_level_db < 0 < self.max_abs_value
        )
        if not sound:
            raise SignalSettingsError(
                f"These mel settings contradict each other: {self.to_dict()}. Needed: whole positive sizes, an even "
                "n_fft, hop_length <= win_length <= n_fft, 0 <= fmin < fmax <= sample_rate / 2, 0 <= preemphasis < 1, "
                "power > 0, scale 'db' or 'power', min_level_db < 0 < max_abs_value."
            )

    @property
    def n_bins(self) -> int:
        """Number of bins of the linear spectrogram."""
        return self.n_fft // 2 + 1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MelConfig":
        """The inverse of `to_dict`; a setting that is absent keeps its default, an unknown one is an error."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SignalSettingsError(f"Unknown mel settings {unknown}; known are {sorted(known)}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise SignalSettingsError(f"Mel settings of the wrong type in {dict(values)}: {error}") from error


SYNTHESIZER_MEL = MelConfig()
ENCODER_MEL = MelConfig(
    n_fft=400,
    hop_length=160,
    win_length=400,
    n_mels=40,
    fmin=0.0,
    fmax=8000.0,
    preemphasis=0.0,
    power=2.0,
    scale="power",
)


def mel_filterbank(cfg: MelConfig) -> FloatArray:
    """Triangular filters of equal area on Slaney's mel scale -> (n_mels, n_fft // 2 + 1).

    Auditory Toolbox (Slaney 1998). Written out because librosa, which gives the same numbers, takes seconds to import.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(cfg.fmin), _hz_to_mel(cfg.fmax), cfg.n_mels + 2))
    bins = np.linspace(0.0, cfg.sample_rate / 2, cfg.n_bins)
    width = np.diff(edges)[:, None]
    distance = bins[None, :] - edges[:, None]
    rising = distance[:-2] / width[:-1]
    falling = -distance[2:] / width[1:]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]).astype(np.float32)


@functools.cache
def _inverse_filterbank(cfg: MelConfig) -> Tensor:
    """Pseudo-inverse (n_bins, n_mels), kept: it takes 0.16 s, as long as half a second of sound by Griffin-Lim."""
    return torch.from_numpy(np.linalg.pinv(mel_filterbank(cfg)))


# Slaney's scale: 200/3 Hz a mel up to 1 kHz, from there 27 mels for a factor of 6.4.
_HZ_PER_MEL = 200.0 / 3.0
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = math.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _KNEE_HZ else _KNEE_MEL + math.log(hz / _KNEE_HZ) / _LOG_STEP


def _mel_to_hz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logarithmic = _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL))
    return np.where(mels < _KNEE_MEL, mels * _HZ_PER_MEL, logarithmic)


class MelTransform:
    """Sound to mel spectrogram: centred STFT with zero padding and a periodic Hann window, as in librosa 0.11.

    Tensors keep their device and their gradient; autocast is switched off inside, because the squares of quiet
    bins do not fit half precision.
    """

    def __init__(self, cfg: MelConfig = SYNTHESIZER_MEL) -> None:
        self.cfg = cfg
        self._window = torch.hann_window(cfg.win_length)
        self._filters = torch.from_numpy(mel_filterbank(cfg))

    @overload
    def __call__(self, wav: Tensor) -> Tensor: ...
    @overload
    def __call__(self, wav: npt.NDArray[Any]) -> FloatArray: ...

    def __call__(self, wav: Tensor | npt.NDArray[Any]) -> Tensor | FloatArray:
        """wav (S,) -> (n_mels, T), wav (B, S) -> (B, n_mels, T), T = 1 + S // hop_length; float32.

        Raises AudioError when there are no samples.
        """
        if isinstance(wav, np.ndarray):
            with torch.no_grad():
                return self._transform(torch.from_numpy(np.ascontiguousarray(wav, dtype=np.float32))).numpy()
        return self._transform(wav)

    def _transform(self, wav: Tensor) -> Tensor:
        single = wav.dim() == 1
        filters = self._filters.to(wav.device)
        with torch.autocast(wav.device.type, enabled=False):
            blocks = [filters @ block for block in self._magnitude_blocks(wav[None] if single else wav)]
            mel = torch.cat(blocks, dim=-1) if len(blocks) > 1 else blocks[0]
            if self.cfg.scale == "db":
                mel = normalize_db(mel, self.cfg)
        return mel[0] if single else mel

    def magnitude(self, wav: Tensor) -> Tensor:
        """STFT magnitudes, raised to cfg.power, after pre-emphasis: (B, S) -> (B, n_fft // 2 + 1, T)."""
        with torch.autocast(wav.device.type, enabled=False):
            return torch.cat(list(self._magnitude_blocks(wav)), dim=-1)

    def _magnitude_blocks(self, wav: Tensor) -> Iterator[Tensor]:
        cfg = self.cfg
        if wav.dim() != 2:
            raise ValueError(f"wav must be (S,) or (B, S), not {tuple(wav.shape)}")
        if wav.shape[-1] == 0:
            raise EmptyAudioError("The sound is empty: it has no samples. Choose another file or record again.")
        wav = wav.float()
        if cfg.preemphasis > 0:
            wav = torch.cat([wav[:, :1], wav[:, 1:] - cfg.preemphasis * wav[:, :-1]], dim=-1)
        n_frames = 1 + wav.shape[-1] // cfg.hop_length
        padded = F.pad(wav, (cfg.n_fft // 2, cfg.n_fft // 2))
        window = self._window.to(wav.device)
        step = max(64, BLOCK_FRAMES // wav.shape[0])
        for first in range(0, n_frames, step):
            last = min(first + step, n_frames) - 1
            piece = padded[:, first * cfg.hop_length : last * cfg.hop_length + cfg.n_fft]
            spectrum = torch.stft(
                piece, cfg.n_fft, cfg.hop_length, cfg.win_length, window, center=False, return_complex=True
            )
            if cfg.power == 2.0:
                yield spectrum.real.square() + spectrum.imag.square()
            else:
                magnitude = spectrum.abs()
                yield magnitude if cfg.power == 1.0 else magnitude**cfg.power


def normalize_db(mel: Tensor, cfg: MelConfig) -> Tensor:
    """Amplitudes of any shape -> decibels laid on [-max_abs_value, max_abs_value]."""
    floor = 10.0 ** (cfg.min_level_db / 20.0)
    decibels = 20.0 * torch.log10(mel.clamp(min=floor)) - cfg.ref_level_db
    scaled = 2.0 * cfg.max_abs_value * (decibels - cfg.min_level_db) / -cfg.min_level_db - cfg.max_abs_value
    return scaled.clamp(-cfg.max_abs_value, cfg.max_abs_value)


def denormalize_db(mel: Tensor, cfg: MelConfig) -> Tensor:
    """The inverse of `normalize_db`; values outside the range are clipped first."""
    clipped = mel.clamp(-cfg.max_abs_value, cfg.max_abs_value)
    decibels = cfg.min_level_db * (1.0 - (clipped + cfg.max_abs_value) / (2.0 * cfg.max_abs_value))
    return 10.0 ** ((decibels + cfg.ref_level_db) / 20.0)


@overload
def mel_to_linear(mel: Tensor, cfg: MelConfig = ...) -> Tensor: ...
@overload
def mel_to_linear(mel: npt.NDArray[Any], cfg: MelConfig = ...) -> FloatArray: ...


def mel_to_linear(mel: Tensor | npt.NDArray[Any], cfg: MelConfig = SYNTHESIZER_MEL) -> Tensor | FloatArray:
    """Mel (..., n_mels, T) as MelTransform gives it -> linear STFT magnitude (..., n_fft // 2 + 1, T).

    By the pseudo-inverse of the filterbank, at least 1e-10: an estimate, as what lies within a band is lost.
    """
    if isinstance(mel, np.ndarray):
        return mel_to_linear(torch.from_numpy(np.ascontiguousarray(mel, dtype=np.float32)), cfg).numpy()
    if mel.dim() < 2 or mel.shape[-2] != cfg.n_mels:
        raise ValueError(f"mel must be (..., {cfg.n_mels}, T), not {tuple(mel.shape)}")
    inverse = _inverse_filterbank(cfg).to(mel.device)
    amplitude = denormalize_db(mel.float(), cfg) if cfg.scale == "db" else mel.float()
    linear = (inverse @ amplitude).clamp(min=1e-10)
    return linear if cfg.power == 1.0 else linear ** (1.0 / cfg.power)


def griffin_lim(
    mel: Tensor | npt.NDArray[Any],
    cfg: MelConfig = SYNTHESIZER_MEL,
    n_iter: int = 60,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    momentum: float = 0.99,
    sharpening: float = SHARPENING,
) -> FloatArray:
    """Sound whose mel spectrogram is near `mel` (n_mels, T): wav (S,), S = hop_length * (T - 1).

    The fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013) from phases drawn with `seed`, with
    pre-emphasis undone; momentum 0 is the original algorithm (Griffin and Lim 1984), which after 100 rounds is
    where 0.99 is after 30. Raises AudioError for a mel of fewer than two frames or with values that are not
    numbers.
    """
    frames = torch.as_tensor(mel, dtype=torch.float32).detach().cpu()
    if frames.dim() != 2:
        raise ValueError(f"mel must be (n_mels, T), not {tuple(frames.shape)}")
    if frames.shape[-1] < 2:
        raise ShortAudioError("The spectrogram is too short to be made into sound: it needs two frames at least.")
    if not bool(torch.isfinite(frames).all()):
        raise NonFiniteAudioError("The spectrogram holds values that are not numbers: make it anew.")
    with torch.no_grad():
        magnitude = sharpen(mel_to_linear(frames, cfg), sharpening)
        wav = _recover_phase(magnitude, cfg, n_iter, seed, momentum, progress)
    return de_emphasis(wav.numpy(), cfg.preemphasis).astype(np.float32)


def sharpen(amplitude: Tensor, power: float) -> Tensor:
    """Amplitudes of any shape to a power, as loud on the whole as before: alone it trebles the peak of speech."""
    sharpened = amplitude**power
    return sharpened * (amplitude.norm() / sharpened.norm())


def _recover_phase(
    magnitude: Tensor, cfg: MelConfig, n_iter: int, seed: int, momentum: float, progress: Progress | None
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    window = torch.hann_window(cfg.win_length)
    length = cfg.hop_length * (magnitude.shape[-1] - 1)

    def synthesize(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, cfg.n_fft, cfg.hop_length, cfg.win_length, window, length=length)

    spectrum = torch.polar(magnitude, 2.0 * math.pi * torch.rand(magnitude.shape, generator=generator))
    previous = torch.zeros_like(spectrum)
    for done in range(n_iter):
        rebuilt = torch.stft(
            synthesize(spectrum), cfg.n_fft, cfg.hop_length, cfg.win_length, window,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        # rebuilt + m (rebuilt - previous), up to a factor that the next line divides out.
        step = rebuilt - previous * (momentum / (1.0 + momentum))
        previous = rebuilt
        spectrum = step * (magnitude / (step.abs() + 1e-16))
        if progress is not None:
            progress(done + 1, n_iter)
    return synthesize(spectrum)
