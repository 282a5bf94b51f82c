"""How far a sound is from the one it should be, and from what was said; knows arrays and words, no models."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from audio.mel import MelConfig, MelTransform
from evaluation.pitch import track_pitch

Wav = npt.NDArray[np.float32]

CEPSTRA = 24
"""Cepstral coefficients compared, without the zeroth, which is loudness."""
SPEECH_RANGE_DB = 40.0
"""Frames further than this under the loudest one are silence, whose spectrum nobody hears."""
STFT_SIZES = ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200))
"""FFT, hop and window of Parallel WaveGAN (Yamamoto et al. 2020)."""
STFT_FLOOR = 1e-3
MOS_SECONDS = 9.01
MOS_CURVE = (-0.06766283, 1.11546468, 0.04602535)
"""From the network's output to the mean opinion score, as published with it."""


def have(package: str) -> bool:
    """Whether an optional package is installed."""
    return importlib.util.find_spec(package) is not None


def pesq_wb(reference: Wav, wav: Wav, sample_rate: int) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2), 1 to 4.64; None without the package pesq or where it hears no speech."""
    if not have("pesq"):
        return None
    from pesq import PesqError, pesq

    try:
        return float(pesq(sample_rate, reference, wav, "wb"))
    except (PesqError, ValueError):  # ValueError: the sound is silent
        return None


def stoi(reference: Wav, wav: Wav, sample_rate: int) -> float | None:
    """Short-time objective intelligibility (Taal et al. 2011), up to 1; None without the package pystoi."""
    if not have("pystoi"):
        return None
    from pystoi import stoi as measure

    return float(measure(reference, wav, sample_rate))


def dnsmos(wav: Wav, sample_rate: int) -> float | None:
    """Overall quality as DNSMOS P.835 guesses it (Reddy et al. 2022), 1 to 5; None without speechmos and onnxruntime.

    Done here with the package's model file, as its own code needs an older pandas and takes all cores.
    """
    if not (have("speechmos") and have("onnxruntime")) or not wav.any():
        return None
    length = int(MOS_SECONDS * sample_rate)
    # As the package does it: short sounds are doubled until they are long enough, then a window every second.
    while len(wav) < length:
        wav = np.tile(wav, 2)
    starts = range(int(len(wav) // sample_rate - MOS_SECONDS) + 1)
    parts = [wav[start * sample_rate :][:length] for start in starts]
    raw = [float(_mos_session().run(None, {"input_1": part[None].astype(np.float32)})[0][0][2]) for part in parts]
    return float(np.mean(np.polyval(MOS_CURVE, raw)))


@lru_cache(maxsize=1)
def _mos_session() -> Any:
    import onnxruntime

    spec = importlib.util.find_spec("speechmos")
    assert spec is not None and spec.submodule_search_locations is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(next(iter(spec.submodule_search_locations)), "dnsmos_models", "sig_bak_ovr.onnx")
    return onnxruntime.InferenceSession(str(path), options)


def mel_cepstral_distortion(reference: Wav, wav: Wav, sample_rate: int) -> float:
    """Mean over the reference's speech of the dB by which smoothed log mel spectra differ; equal lengths, aligned.

    The usual 10 sqrt(2) / ln 10 times the distance of the cepstra of log amplitude, written with orthonormal ones.
    """
    ours, theirs = (_log_mels(sound, sample_rate) for sound in (reference, wav))
    loudness = np.log(np.mean(np.exp(2 * ours), axis=0)) / 2
    speech = loudness > loudness.max() - SPEECH_RANGE_DB / 20 * math.log(10)
    difference = _cepstra(len(ours)) @ (ours - theirs)[:, speech]
    return float(np.mean(20 / math.log(10) * np.sqrt(np.square(difference).sum(axis=0) / len(ours))))


def _log_mels(wav: Wav, sample_rate: int) -> npt.NDArray[np.float64]:
    """Natural logarithm of mel amplitudes (80, T), at least 60 dB under the loudest."""
    cfg = MelConfig(
        sample_rate=sample_rate, n_fft=1024, hop_length=sample_rate // 200, fmin=0.0, fmax=sample_rate / 2,
        preemphasis=0.0, scale="power",
    )  # fmt: skip
    mels = MelTransform(cfg)(wav).astype(np.float64)
    return np.log(np.maximum(mels, max(1e-3 * float(mels.max()), 1e-6)))


@lru_cache(maxsize=1)
def _cepstra(bands: int) -> npt.NDArray[np.float64]:
    """Rows 1 to CEPSTRA of the orthonormal cosine transform: (CEPSTRA, bands)."""
    angle = np.pi / bands * np.outer(np.arange(1, CEPSTRA + 1), np.arange(bands) + 0.5)
    return np.sqrt(2 / bands) * np.cos(angle)


def mfcc_statistics(wav: Wav, sample_rate: int) -> npt.NDArray[np.float64]:
    """Means and deviations of the cepstra of speech frames (2 * CEPSTRA,): the plainest description of a voice."""
    mels = _log_mels(wav, sample_rate)
    loudness = mels.max(axis=0)
    cepstra = _cepstra(len(mels)) @ mels[:, loudness > loudness.max() - SPEECH_RANGE_DB / 20 * math.log(10)]
    return np.concatenate([cepstra.mean(axis=1), cepstra.std(axis=1)])


def stft_distance(reference: Wav, wav: Wav) -> float:
    """Spectral convergence plus mean difference of log magnitudes, mean of three resolutions (Yamamoto et al. 2020)."""
    total = 0.0
    for size, hop, window in STFT_SIZES:
        cfg = MelConfig(n_fft=size, hop_length=hop, win_length=window, preemphasis=0.0)
        ours, theirs = (MelTransform(cfg).magnitude(torch.from_numpy(sound)[None]) for sound in (reference, wav))
        convergence = (ours - theirs).norm() / ours.norm().clamp(min=1e-9)
        logs = (ours.clamp(min=STFT_FLOOR).log() - theirs.clamp(min=STFT_FLOOR).log()).abs().mean()
        total += float(convergence + logs)
    return total / len(STFT_SIZES)


def pitch_errors(reference: Wav, wav: Wav, sample_rate: int) -> tuple[float | None, float]:
    """(mean cents by which pitch is off, share of frames in which it is lost).

    Lost is pitch that is more than 20 % off, or heard in one of the two only; the cents are of the other frames. The
    share is the F0 frame error of Chu and Alwan 2009.
    """
    ours, theirs = track_pitch(reference, sample_rate), track_pitch(wav, sample_rate)
    both = (ours > 0) & (theirs > 0)
    ratio = np.where(both, ours, 1.0) / np.where(both, theirs, 1.0)
    near = both & (np.abs(ratio - 1) <= 0.2)
    cents = float(np.mean(np.abs(1200 * np.log2(ratio[near])))) if near.any() else None
    return cents, float(np.mean(np.where(both, ~near, (ours > 0) | (theirs > 0))))


def edit_distance(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions from one to the other."""
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1]


def error_rate(expected: Sequence[str], heard: Sequence[str]) -> float:
    """Errors per symbol of what was expected: of words WER, of letters CER; may exceed 1."""
    return edit_distance(expected, heard) / max(len(expected), 1)


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of what was measured; None where nothing was."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(known)) if known else None
