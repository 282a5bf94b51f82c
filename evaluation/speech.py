"""Makes the clones and listens to them; knows the pipeline."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.errors import AudioError
from audio.io import load_wav
from audio.signal import normalize_volume
from evaluation.cache import Value
from evaluation.data import CLIP, SAMPLE_RATE, load
from evaluation.installed import Model, load_model
from evaluation.measures import dnsmos
from evaluation.pitch import median_pitch
from evaluation.voices import Voice, voiceprint
from evaluation.words import plain, recognise
from toolbox.pipeline import VoiceCloner
from training.corpus import Utterance

ESPEAK = "espeak-ng"
SEED = 0


@dataclass(frozen=True)
class System:
    """What speaks: three models, or espeak-ng with a stock voice of the sex asked for."""

    name: str
    encoder: Model | None = None
    synthesizer: Model | None = None
    vocoder: Model | None = None

    @property
    def identity(self) -> list[str]:
        """What the cache tells systems apart by."""
        models = (self.encoder, self.synthesizer, self.vocoder)
        return [model.sha256 or model.name for model in models if model] or [self.name]


@dataclass(frozen=True)
class Take:
    """A sentence to be said in a voice."""

    voice: Voice
    text: str


def measure_take(take: Take, system: System, judge: Model, candidates: tuple[str, ...]) -> Value:
    """The take made by the system, and what is heard in it."""
    wav, notes = _say(take, system)
    return notes | _listened(wav, take.text, judge, candidates)


def measure_reading(clip: Utterance, judge: Model, candidates: tuple[str, ...]) -> Value:
    """What is heard in a real recording of a transcript."""
    return _listened(load(clip), clip.text or "", judge, candidates)


def _listened(wav: npt.NDArray[np.float32], text: str, judge: Model, candidates: tuple[str, ...]) -> Value:
    wav = normalize_volume(wav, CLIP.volume_dbfs).astype(np.float32)
    wav *= np.float32(min(1.0, CLIP.peak / max(float(np.abs(wav).max(initial=0.0)), 1e-9)))
    words = recognise(wav, plain(text), candidates) if candidates else {}
    try:
        embed = voiceprint(wav, judge)
    except AudioError:  # nothing that the encoder takes for speech is a result, too
        embed = None
    return words | {
        "embed": embed,
        "f0": median_pitch(wav, SAMPLE_RATE),
        "mos": dnsmos(wav, SAMPLE_RATE),
        "letters": len(plain(text)),
        "seconds": len(wav) / SAMPLE_RATE,
    }


def _say(take: Take, system: System) -> tuple[npt.NDArray[np.float32], Value]:
    if system.synthesizer is None:
        return _espeak(take), {}
    speech = _cloner(system).clone(take.text, _reference(take.voice), seed=SEED)
    return speech.wav, {"ok": all(segment.ok for segment in speech.segments)}


@lru_cache(maxsize=2)
def _cloner(system: System) -> VoiceCloner:
    models = {model.kind: load_model(model) for model in (system.encoder, system.synthesizer, system.vocoder) if model}
    return VoiceCloner(**models, device="cpu")


def _reference(voice: Voice) -> list[npt.NDArray[np.float32]]:
    return [excerpt.load() for excerpt in voice.reference]


def have_espeak() -> bool:
    """Whether the program is installed."""
    return shutil.which(ESPEAK) is not None


def _espeak(take: Take) -> npt.NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        voice = "en-us+f3" if take.voice.sex == "F" else "en-us"
        subprocess.run([ESPEAK, "-v", voice, "-w", str(path), "--", take.text], check=True, capture_output=True)
        return load_wav(path, SAMPLE_RATE)


@dataclass(frozen=True)
class Trial:
    """A sentence for the synthesizer alone."""

    voice: Voice
    text: str


def measure_trial(trial: Trial, encoder: Model, synthesizer: Model) -> Value:
    """Whether a text was spoken whole and once, and how long it became."""
    embed = VoiceCloner(encoder=load_model(encoder), device="cpu").embed_reference(_reference(trial.voice))
    result = load_model(synthesizer).synthesize(trial.text, embed, seed=SEED)
    cfg = load_model(synthesizer).cfg.mel
    frames = sum(mel.shape[1] for mel in result.mels)
    return {
        "ok": all(segment.ok for segment in result.segments),
        "segments": len(result.segments),
        "failed_segments": sum(not segment.ok for segment in result.segments),
        "first_time": all(segment.ok and segment.tries == 1 for segment in result.segments),
        "problems": sorted({warning for segment in result.segments for warning in segment.warnings}),
        "seconds": frames * cfg.hop_length / cfg.sample_rate,
        "letters": len(plain(trial.text)),
        "words": len(trial.text.split()),
    }


def takes_for(voices: Sequence[Voice], texts: Sequence[str], each: int) -> list[Take]:
    """``each`` of the texts for every voice, all texts in turn."""
    return [
        Take(voice, texts[(number * each + take) % len(texts)])
        for number, voice in enumerate(voices)
        for take in range(each)
    ]
