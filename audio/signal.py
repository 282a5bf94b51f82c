"""Arithmetic on sampled sound: rates, loudness, pre-emphasis, companding, fades; knows no files, no spectra."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import UnsupportedAudioError

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]

# Half a telephone's rate keeps nothing of a voice; no recorder goes above 768 kHz, but broken headers do.
MIN_SAMPLE_RATE = 4000
MAX_SAMPLE_RATE = 768000


def check_sample_rate(sample_rate: int, what: str = "The sound") -> None:
    """Raises UnsupportedAudioError outside 4 to 768 kHz; `what` opens the message."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedAudioError(
            f"{what} has a sample rate of {sample_rate} Hz; rates from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz "
            "can be used. If the rate looks wrong, the file's header is damaged: convert the original again."
        )


def resample(wav: Array, source_sr: int, target_sr: int) -> FloatArray:
    """wav (S,) at source_sr Hz -> float32 (about S * target_sr / source_sr,), band-limited (soxr)."""
    check_sample_rate(source_sr)
    check_sample_rate(target_sr, "The wanted sound")
    wav = np.ascontiguousarray(wav, dtype=np.float32)
    if source_sr == target_sr or wav.size == 0:
        return wav
    import soxr

    return np.asarray(soxr.resample(wav, source_sr, target_sr, quality="HQ"), dtype=np.float32)


def dbfs(wav: Array) -> float:
    """Mean power in dB, 0 for a full-scale square wave, -inf for digital silence or no samples."""
    if wav.size == 0:
        return -math.inf
    power = float(np.mean(np.square(wav, dtype=np.float64)))
    return 10.0 * math.log10(power) if power > 0 else -math.inf


def normalize_volume(wav: Array, target_dbfs: float, increase_only: bool = False, decrease_only: bool = False) -> Array:
    """Scale wav (S,) to a mean power of target_dbfs, in one direction only if asked; silence stays as it is."""
    if increase_only and decrease_only:
        raise ValueError("increase_only and decrease_only exclude each other")
    change = target_dbfs - dbfs(wav)
    if math.isinf(change) or (change < 0 and increase_only) or (change > 0 and decrease_only):
        return wav
    return wav * np.asarray(10.0 ** (change / 20.0), dtype=wav.dtype)


def normalize_peak(wav: Array, peak: float = 0.9) -> Array:
    """Scale wav (S,) so that its largest absolute sample is `peak`; silence is left as it is."""
    highest = float(np.abs(wav).max(initial=0.0))
    return wav * np.asarray(peak / highest, dtype=wav.dtype) if highest > 0 else wav


def pre_emphasis(wav: Array, coef: float = 0.97) -> Array:
    """y[t] = x[t] - coef * x[t-1] along the last axis: lifts the high frequencies."""
    emphasized = np.array(wav)
    emphasized[..., 1:] -= np.asarray(coef, dtype=emphasized.dtype) * wav[..., :-1]
    return emphasized


def de_emphasis(wav: Array, coef: float = 0.97, last: float = 0.0) -> Array:
    """y[t] = x[t] + coef * y[t-1] along the last axis: the inverse of `pre_emphasis`; `last` is the y before wav."""
    # In double precision: a pole at 0.97 multiplies single-precision rounding by about thirty.
    emphasized, shift, factor = wav.astype(np.float64), 1, coef
    emphasized[..., :1] += coef * last
    # 1 / (1 - c z) = (1 + c z) (1 + c^2 z^2) (1 + c^4 z^4) ... to double's last bit. Importing scipy.signal for its
    # lfilter took two seconds before the first sound.
    while shift < wav.shape[-1] and abs(factor) > 1e-17:
        emphasized[..., shift:] += factor * emphasized[..., :-shift]
        shift, factor = 2 * shift, factor * factor
    return emphasized.astype(wav.dtype)


def float_to_label(wav: Array, bits: int) -> Array:
    """[-1, 1] -> [0, 2**bits - 1], linear, not rounded; what lies outside is clipped."""
    top = 2**bits - 1
    return np.clip((wav + 1.0) * (top / 2.0), 0, top)


def label_to_float(labels: Array, bits: int) -> Array:
    """[0, 2**bits - 1] -> [-1, 1], linear."""
    return 2.0 * labels / (2**bits - 1.0) - 1.0


def mu_law_encode(wav: Array, n_classes: int) -> Array:
    """[-1, 1] -> whole labels 0 .. n_classes - 1 as floats: continuous mu-law with mu = n_classes - 1."""
    mu = n_classes - 1
    wav = np.clip(wav, -1.0, 1.0)
    companded = np.sign(wav) * np.log1p(mu * np.abs(wav)) / math.log1p(mu)
    return np.floor((companded + 1.0) / 2.0 * mu + 0.5)


def mu_law_decode(labels: Array, n_classes: int, from_labels: bool = True) -> Array:
    """The inverse of `mu_law_encode`; from_labels=False takes companded floats in [-1, 1] instead."""
    mu = n_classes - 1
    companded = 2.0 * labels / mu - 1.0 if from_labels else labels
    return np.sign(companded) * np.expm1(np.abs(companded) * math.log1p(mu)) / mu


def fade_in(wav: Array, n: int) -> Array:
    """Copy of wav (S,) whose first n samples rise linearly from zero."""
    n = min(n, wav.shape[-1])
    faded = np.array(wav)
    faded[..., :n] *= np.linspace(0.0, 1.0, n, dtype=faded.dtype)
    return faded


def fade_out(wav: Array, n: int) -> Array:
    """Copy of wav (S,) whose last n samples fall linearly to zero."""
    return fade_in(wav[..., ::-1], n)[..., ::-1].copy()


def cross_fade(first: Array, second: Array, n: int) -> Array:
    """first (S1,) and second (S2,) joined with n samples of overlap: (S1 + S2 - n,).

    Equal-power weights, as the two are different sounds: linear ones would leave a dip of 3 dB.
    """
    n = min(n, len(first), len(second))
    if n <= 0:
        return np.concatenate([first, second])
    angle = (np.arange(n, dtype=np.float32) + 0.5) * (math.pi / 2 / n)
    overlap = first[len(first) - n :] * np.cos(angle) + second[:n] * np.sin(angle)
    return np.concatenate([first[: len(first) - n], overlap.astype(first.dtype), second[n:]])
