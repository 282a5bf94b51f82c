"""Where somebody speaks in a sound, and cutting away where nobody does; knows sampled sound, no files."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import EmptyAudioError, NonFiniteAudioError, ShortAudioError, SilentAudioError
from audio.signal import dbfs, resample

FloatArray = npt.NDArray[Any]

# RTVC's settings, and so those of the public encoder's training data (its parameters page, after Wan et al. 2018).
VAD_SAMPLE_RATE = 16000
WINDOW_MS = 30
AGGRESSIVENESS = 3
SMOOTHING_WINDOWS = 8
MAX_SILENT_WINDOWS = 6
# Lower than the noise of any 16-bit recording chain, higher than the dither in digital silence.
SILENCE_DBFS = -80.0


def speech_windows(wav: FloatArray, sample_rate: int = VAD_SAMPLE_RATE) -> npt.NDArray[np.bool_]:
    """wav (S,) -> (S // window,) for windows of 30 ms: speech, or within three windows of it.

    webrtcvad's raw decisions flicker; a moving average over eight windows and a dilation by three on each side
    leave only pauses that a listener would call long.
    """
    import webrtcvad

    at_16k = resample(wav, sample_rate, VAD_SAMPLE_RATE) if sample_rate != VAD_SAMPLE_RATE else wav
    length = VAD_SAMPLE_RATE * WINDOW_MS // 1000
    n_windows = len(wav) // _window_length(sample_rate)
    pcm = np.round(np.clip(at_16k, -1.0, 1.0) * 32767).astype("<i2")
    octets = np.pad(pcm, (0, max(0, n_windows * length - len(pcm)))).tobytes()
    detector = webrtcvad.Vad(mode=AGGRESSIVENESS)
    starts = range(0, 2 * length * n_windows, 2 * length)
    raw = np.array([detector.is_speech(octets[at : at + 2 * length], VAD_SAMPLE_RATE) for at in starts], dtype=int)
    if not raw.any():
        return np.zeros(n_windows, dtype=bool)
    padded = np.pad(raw, ((SMOOTHING_WINDOWS - 1) // 2, SMOOTHING_WINDOWS // 2))
    voiced = 2 * np.convolve(padded, np.ones(SMOOTHING_WINDOWS, dtype=int), mode="valid") > SMOOTHING_WINDOWS
    reach = MAX_SILENT_WINDOWS // 2
    return np.convolve(np.pad(voiced, reach), np.ones(MAX_SILENT_WINDOWS + 1, dtype=int), mode="valid") > 0


def trim_long_silences(wav: FloatArray, sample_rate: int = VAD_SAMPLE_RATE) -> FloatArray:
    """wav (S,) without its long pauses; empty when nobody speaks. A last incomplete window of 30 ms is dropped."""
    mask = np.repeat(speech_windows(wav, sample_rate), _window_length(sample_rate))
    return wav[: len(mask)][mask]


def trim_edges(wav: FloatArray, sample_rate: int = VAD_SAMPLE_RATE, margin_seconds: float = 0.1) -> FloatArray:
    """wav (S,) from margin_seconds before its first speech to as long after its last; empty without speech."""
    speech = np.flatnonzero(speech_windows(wav, sample_rate))
    if len(speech) == 0:
        return wav[:0]
    window, margin = _window_length(sample_rate), round(margin_seconds * sample_rate)
    return wav[max(0, speech[0] * window - margin) : (speech[-1] + 1) * window + margin]


def speech_seconds(wav: FloatArray, sample_rate: int = VAD_SAMPLE_RATE) -> float:
    """Seconds of wav (S,) that `trim_long_silences` keeps."""
    return float(speech_windows(wav, sample_rate).sum()) * _window_length(sample_rate) / sample_rate


def require_sound(wav: FloatArray, sample_rate: int, min_seconds: float = 0.0) -> None:
    """Raise EmptyAudioError, NonFiniteAudioError, ShortAudioError or SilentAudioError if wav (S,) cannot be used."""
    if wav.size == 0:
        raise EmptyAudioError("The sound is empty: it has no samples. Choose another file or record again.")
    if not np.isfinite(wav).all():
        raise NonFiniteAudioError("The sound holds samples that are not numbers or are infinite: export it again.")
    seconds = wav.size / sample_rate
    if seconds < min_seconds:
        raise ShortAudioError(f"The sound lasts {seconds:.2f} s; at least {min_seconds:.2f} s are needed.")
    level = dbfs(wav - wav.mean())
    if level < SILENCE_DBFS:
        amount = "nothing" if math.isinf(level) else f"only {level:.0f} dB"
        raise SilentAudioError(f"The sound is silent ({amount}): check the microphone or choose another file.")


def require_speech(wav: FloatArray, sample_rate: int, min_seconds: float) -> None:
    """`require_sound`, and at least min_seconds of it are speech: SilentAudioError if none, else ShortAudioError."""
    require_sound(wav, sample_rate, min_seconds)
    seconds = speech_seconds(wav, sample_rate)
    if seconds == 0:
        raise SilentAudioError("No speech was found in the sound: choose a clip in which somebody speaks clearly.")
    if seconds < min_seconds:
        raise ShortAudioError(
            f"The sound holds {seconds:.1f} s of speech; at least {min_seconds:.1f} s are needed: choose a longer one."
        )


def _window_length(sample_rate: int) -> int:
    return sample_rate * WINDOW_MS // 1000
