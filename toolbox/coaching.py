"""Says in a line how fit a clip is to be cloned; knows sampled sound, and no file, model or window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["good", "usable", "poor"]

WINDOW_SECONDS = 0.03
"""The windows of ``audio.vad.speech_windows``."""
ENCODER_DBFS = -30.0
ENOUGH_SECONDS = 3.0
LEAST_SECONDS = 1.0
QUIET_DBFS = -40.0
"""The encoder raises clips to -30 dBFS: under this, what it raises is more and more the recorder's own noise."""
FAINT_DBFS = -52.0
NOISY_DB = 15.0
"""Of 60 audiobook clips the noisiest was at 18.5 dB, the median at 29 dB."""
VERY_NOISY_DB = 8.0
CLIPPED_SHARE = 5e-4
BADLY_CLIPPED_SHARE = 1e-2
NARROW_HZ = 4500.0
"""Telephone speech ends at 3.4 kHz, its sample rate at 4 kHz."""
MIXED_AGREEMENT = 0.88
"""60 clips of one speaker each: 0.89 to 1.00, median 0.94; 29 of two speakers: median 0.84, 95 % under 0.895."""
VERY_MIXED_AGREEMENT = 0.80
MAX_SNR_DB = 60.0
"""More than any room: the bottom of the range is digital silence, not quiet."""


@dataclass(frozen=True)
class Coaching:
    """What was measured on a clip, and what to do about it."""

    seconds: float
    """Length of the clip."""
    speech_seconds: float
    """Seconds that voice activity detection keeps."""
    level_dbfs: float
    """Mean power of the speech; -inf without sound."""
    clipped_share: float
    """Share of the samples that stand in flat tops."""
    noise_db: float | None
    """Estimated signal-to-noise ratio in dB, at most 60; None when there is no speech."""
    bandwidth_hz: float | None
    """Where the speech's spectrum ends; None when there is no speech."""
    agreement: float | None
    """Mean cosine of the partial embeddings to the clip's embedding; None when it has not been embedded yet."""
    verdict: Verdict
    advice: str
    """One line: what is wrong and what to do, or that the clip is fine."""


def coach(wav: np.ndarray, sample_rate: int, agreement: float | None = None) -> Coaching:
    """Judge a clip.

    A clip that nothing can be made of (empty, silent, without speech) is a judgement too, not an error.

    Args:
        wav: (S,) mono in [-1, 1], before any normalisation or trimming.
        sample_rate: Hz.
        agreement: ``PartialEmbeds.agreement`` of the clip when it has been embedded.

    Raises:
        ValueError: wav is not (S,).
    """
    wav = np.asarray(wav, dtype=np.float32)
    if wav.ndim != 1:
        raise ValueError(f"a clip has the shape (S,), not {wav.shape}")
    seconds = len(wav) / sample_rate
    speech, powers = _windows(wav, sample_rate)
    speech_seconds = float(speech.sum()) * WINDOW_SECONDS
    unusable = _unusable(wav, speech)
    if unusable is not None:
        level = _decibels(float(np.mean(powers))) if len(powers) else -math.inf
        level = level if math.isfinite(level) else -math.inf
        return Coaching(seconds, speech_seconds, level, 0.0, None, None, agreement, "poor", unusable)
    level = _decibels(float(np.mean(powers[speech])))
    clipped = clipped_share(wav)
    snr = _signal_to_noise(powers, speech)
    bandwidth = _bandwidth(wav, sample_rate, speech)
    faults = _faults(speech_seconds, level, clipped, snr, bandwidth, agreement)
    worst = max((weight for weight, _ in faults), default=0)
    verdict: Verdict = ("good", "usable", "poor")[worst]  # type: ignore[assignment]
    advice = _line(speech_seconds, faults)
    return Coaching(seconds, speech_seconds, level, clipped, snr, bandwidth, agreement, verdict, advice)


def clipped_share(wav: np.ndarray) -> float:
    """Share of the samples (S,) that stand in flat tops: three or more in a row of one sign within 2 % of the peak.

    Flat tops below full scale count too, as clipped recordings are often turned down afterwards. A clean vowel
    with its first formant at 300 Hz and 16 kHz has three such samples at its one highest peak, hence the share of
    0.05 % from which this is called clipping.
    """
    peak = float(np.abs(wav).max(initial=0.0))
    if peak <= 0.0:
        return 0.0
    # Resampling makes flat tops overshoot, so that the highest sample may lie far above the level they had.
    bar = min(0.98 * peak, 0.985)
    flat = np.sign(wav) * (np.abs(wav) >= bar)
    edges = np.flatnonzero(np.diff(flat, prepend=np.nan, append=np.nan))
    lengths = np.diff(np.append(edges, len(flat))) if len(edges) else np.zeros(0, int)
    runs = lengths[(flat[np.minimum(edges, len(flat) - 1)] != 0) & (lengths >= 3)]
    return float(runs.sum()) / len(wav)


def _windows(wav: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of 30 ms: (speech or not (W,), mean power (W,))."""
    from audio.signal import normalize_volume
    from audio.vad import speech_windows

    length = round(sample_rate * WINDOW_SECONDS)
    count = len(wav) // length
    if count == 0 or not np.isfinite(wav).all():
        return np.zeros(0, dtype=bool), np.zeros(0)
    # Raised as the encoder does it before it looks for speech, so that both find the same seconds.
    speech = speech_windows(normalize_volume(wav, ENCODER_DBFS, increase_only=True), sample_rate)[:count]
    centred = wav[: count * length].astype(np.float64) - float(wav.mean(dtype=np.float64))
    return speech, np.mean(np.square(centred.reshape(count, length)), axis=1)[: len(speech)]


def _unusable(wav: np.ndarray, speech: np.ndarray) -> str | None:
    if wav.size == 0:
        return "The clip is empty: record again or choose another file."
    if not np.isfinite(wav).all():
        return "The clip holds samples that are not numbers: export it again from where it was made."
    if float(np.abs(wav - wav.mean()).max()) < 1e-4:
        return "The clip is silent: check that the right microphone is chosen and not muted."
    if not speech.any():
        return "No speech was found: use a clip in which one person speaks clearly."
    return None


def _decibels(power: float) -> float:
    return 10.0 * math.log10(power) if power > 0 else -math.inf


def _signal_to_noise(powers: np.ndarray, speech: np.ndarray) -> float:
    """Power of the speech over that of the pauses, in dB.

    The pauses' median, as a click or a breath is no noise; in a clip without pauses the quietest tenth of its
    windows, which are the gaps between words.
    """
    # The smoothed decision keeps the edges of words; a window beside speech may hold some of it.
    inner = ~np.convolve(speech, np.ones(3, dtype=int), mode="same").astype(bool)
    pauses = powers[inner] if int(inner.sum()) >= 5 else np.sort(powers)[: max(1, len(powers) // 10)]
    noise = float(np.median(pauses))
    signal = float(np.mean(powers[speech])) - noise
    if signal <= 0:
        return 0.0
    return min(_decibels(signal / noise), MAX_SNR_DB) if noise > 0 else MAX_SNR_DB


def _bandwidth(wav: np.ndarray, sample_rate: int, speech: np.ndarray) -> float:
    """Hz at which the spectrum of the speech ends: its highest band of 250 Hz within 50 dB of 1 to 3 kHz."""
    length = round(sample_rate * WINDOW_SECONDS)
    windows = wav[: len(speech) * length].reshape(len(speech), length)[speech]
    # A minute is plenty for a mean spectrum, and bounds the memory.
    windows = windows[:: max(1, len(windows) // 2000)]
    power = np.mean(np.abs(np.fft.rfft(windows * np.hanning(length).astype(np.float32), axis=1)) ** 2, axis=0)
    frequency = np.fft.rfftfreq(length, 1.0 / sample_rate)
    reference = float(power[(frequency >= 1000) & (frequency <= 3000)].mean())
    top = 0.0
    for low in np.arange(0.0, sample_rate / 2 - 125.0, 250.0):
        band = power[(frequency >= low) & (frequency < low + 250.0)]
        if len(band) and float(band.mean()) > reference * 1e-5:
            top = min(float(low) + 250.0, sample_rate / 2)
    return top


def _faults(
    speech_seconds: float, level: float, clipped: float, snr: float, bandwidth: float, agreement: float | None
) -> list[tuple[int, str]]:
    """(1 = usable, 2 = poor; what is wrong and what to do), the gravest first."""
    found: list[tuple[int, str]] = []
    if speech_seconds < ENOUGH_SECONDS:
        weight = 2 if speech_seconds < LEAST_SECONDS else 1
        found.append((weight, f"Only {speech_seconds:.1f} s of speech: 3 to 10 s work best."))
    if agreement is not None and agreement < MIXED_AGREEMENT:
        weight = 2 if agreement < VERY_MIXED_AGREEMENT else 1
        found.append((weight, "The voice changes within the clip: keep one person, without music."))
    if snr < NOISY_DB:
        weight = 2 if snr < VERY_NOISY_DB else 1
        found.append((weight, f"Noisy (speech only {snr:.0f} dB above the noise): go closer to the microphone."))
    if clipped > CLIPPED_SHARE:
        weight = 2 if clipped > BADLY_CLIPPED_SHARE else 1
        found.append((weight, "Too loud, the peaks are cut off: record at a lower level."))
    if level < QUIET_DBFS:
        weight = 2 if level < FAINT_DBFS else 1
        found.append((weight, f"Very quiet ({level:.0f} dBFS): go closer or raise the input level."))
    if bandwidth < NARROW_HZ:
        top = f"{bandwidth / 1000:.1f} kHz"
        found.append((1, f"Sounds like a telephone (nothing above {top}): use a fuller recording."))
    return sorted(found, key=lambda fault: -fault[0])


def _line(speech_seconds: float, faults: list[tuple[int, str]]) -> str:
    if not faults:
        return f"{speech_seconds:.1f} s of speech, good level, quiet room: fine."
    # Two at most: whoever mends the gravest records again, and is coached again.
    return " ".join(text for _, text in faults[:2])
