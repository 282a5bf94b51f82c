"""From a text and a voice to a wav: encoder, synthesizer and vocoder in a row; knows no window and no command
line.

    speech = VoiceCloner().clone("Hello there.", "voice.mp3", seed=1)
    speech.save("hello.wav")
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import AudioError, ModelError, TextError
from toolbox.provenance import ModelInfo, Provenance, file_sha256, voice_id
from toolbox.vocoding import vocode_segments
from vocoder.names import GRIFFIN_LIM, is_griffin_lim

Progress = Callable[[int, int], None]
Reference = str | Path | np.ndarray | Sequence["str | Path | np.ndarray"]

log = logging.getLogger(__name__)

DEFAULT_MODEL = "default"
STAGES = (("encoder", 5), ("synthesizer", 30), ("vocoder", 65))
"""Stages of ``clone`` with the per cent of the progress that each is given: what a WaveRNN would take, an estimate;
with Griffin-Lim the last stage passes faster (benchmarks.pipeline)."""


@dataclass(frozen=True)
class Speech:
    """A result: the sound, what it was made from, and what made it."""

    wav: np.ndarray
    """float32 (S,), peak at most 0.97."""
    sample_rate: int
    mel: np.ndarray
    """(80, T) normalised to [-4, 4]; the segments one after the other, without the pauses between them."""
    alignments: list[np.ndarray]
    """Per segment (T/r, L): attention of each decoder step over the symbols."""
    embed: np.ndarray
    """(256,) the voice asked for."""
    segments: list[Any]
    """Per segment: .text, .ok and .warnings."""
    text: str
    seed: int
    models: tuple[ModelInfo, ...]
    voice: str = ""
    """Start of the SHA-256 of the reference."""
    trim_silences: bool = False
    retakes: tuple[tuple[int, int], ...] = ()
    """(index, seed) of each segment that was said again."""

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.wav) / self.sample_rate

    @property
    def alignment(self) -> np.ndarray:
        """The segments' alignments as one matrix with these along its diagonal."""
        return joined_alignment(self.alignments)

    @property
    def warnings(self) -> list[str]:
        """What is probably wrong with the speech, a sentence each."""
        return [
            f"“{_shorten(segment.text)}”: {warning}"
            for segment in self.segments
            for warning in getattr(segment, "warnings", ())
        ]

    @property
    def provenance(self) -> Provenance:
        """The mark that ``save`` writes into the file."""
        models = {model.kind: str(model) for model in self.models}
        return Provenance(self.text, self.seed, models, self.voice, self.trim_silences, self.retakes)

    def save(self, path: str | Path) -> Path:
        """Write a wav, flac or ogg file that says of itself that it is synthetic.

        Raises:
            AudioError: unknown suffix, or the file cannot be written.
        """
        from audio.io import save_wav

        save_wav(Path(path), self.wav, self.sample_rate, metadata=self.provenance.metadata())
        return Path(path)


class VoiceCloner:
    """The three models behind one call. They are loaded when first needed, once, and kept.

    Args:
        registry: where models are looked up; None = the models of this program and of this user.
        encoder, synthesizer, vocoder: a name in the registry, the path of a model file, or a ready object
            (``VoiceEncoder``, ``Synthesizer``, ``Vocoder``); None = the default.
        device: "cpu", "cuda", "cuda:1"; None = the best there is.

    Methods raise ModelError (a model is missing or broken), AudioError (the reference cannot be used),
    TextError (there is nothing to say), and let ``Cancelled`` pass when a progress callback raises it. The
    object may be shared between threads; loading happens once.
    """

    def __init__(
        self,
        registry: Any = None,
        encoder: Any = None,
        synthesizer: Any = None,
        vocoder: Any = None,
        device: str | None = None,
    ) -> None:
        self._registry = registry
        self._chosen = {"encoder": encoder, "synthesizer": synthesizer, "vocoder": vocoder}
        self._loaded: dict[str, Any] = {k: v for k, v in self._chosen.items() if _is_ready(v)}
        self._info: dict[str, ModelInfo] = {}
        self._device_name = device
        self._lock = threading.RLock()

    # --- the models

    @property
    def registry(self) -> Any:
        """The ``ModelRegistry`` in use."""
        with self._lock:
            if self._registry is None:
                from models.registry import ModelRegistry

                self._registry = ModelRegistry()
            return self._registry

    @property
    def encoder(self) -> Any:
        """The speaker encoder, loaded on first use."""
        return self._model("encoder")

    @property
    def synthesizer(self) -> Any:
        """The synthesizer, loaded on first use."""
        return self._model("synthesizer")

    @property
    def vocoder(self) -> Any:
        """The vocoder, loaded on first use."""
        return self._model("vocoder")

    @property
    def sample_rate(self) -> int:
        """Hz of what ``vocode`` and ``clone`` return."""
        return int(self.vocoder.sample_rate)

    def load(self, progress: Progress | None = None) -> None:
        """Load all three models now rather than on first use."""
        for done, (kind, _) in enumerate(STAGES):
            if progress is not None:
                progress(done, len(STAGES))
            self._model(kind)
        if progress is not None:
            progress(len(STAGES), len(STAGES))

    def model_info(self) -> tuple[ModelInfo, ...]:
        """Names and hashes of the three models; reads the files but loads no network."""
        with self._lock:
            for kind, _ in STAGES:
                if kind not in self._info:
                    self._info[kind] = self._describe(kind)
            return tuple(self._info[kind] for kind, _ in STAGES)

    def _model(self, kind: str) -> Any:
        with self._lock:
            if kind not in self._loaded:
                self._loaded[kind] = _LOADERS[kind](self.registry, self._name(kind), self._device())
                log.info("loaded %s %s", kind, self._name(kind))
            return self._loaded[kind]

    def _name(self, kind: str) -> str:
        name = str(self._chosen[kind] if self._chosen[kind] is not None else DEFAULT_MODEL)
        if kind == "vocoder" and name == DEFAULT_MODEL and not self._has_default_vocoder():
            return GRIFFIN_LIM
        return name

    def _has_default_vocoder(self) -> bool:
        return any(entry.name == DEFAULT_MODEL and entry.installed for entry in self.registry.list("vocoder"))

    def _device(self) -> Any:
        from models.device import choose_device

        return choose_device(self._device_name)

    def _describe(self, kind: str) -> ModelInfo:
        ready = self._chosen[kind] if _is_ready(self._chosen[kind]) else None
        if ready is not None:
            return ModelInfo(kind, str(getattr(ready, "name", type(ready).__name__)))
        name = self._name(kind)
        if kind == "vocoder" and is_griffin_lim(name):
            return ModelInfo(kind, GRIFFIN_LIM)
        entry = self.registry.find(name, kind)
        if entry.path is None or not Path(entry.path).is_file():
            raise ModelError(
                f"The {kind} {name!r} is not on this machine: python -m toolbox models fetch {name}"
            )
        return ModelInfo(kind, str(entry.name), file_sha256(Path(entry.path)))

    # --- the steps

    def embed_reference(self, reference: Reference) -> np.ndarray:
        """Voice embedding (256,), unit norm, of a recording or of several of one voice (their centroid).

        Args:
            reference: the path of an audio file, a wav (S,) at the encoder's rate, an embedding (256,), or a
            list of
                any of these.
        """
        parts: list[Any] = list(reference) if isinstance(reference, list | tuple) else [reference]
        if not parts:
            raise AudioError("No voice given: name at least one recording.")
        if all(self._is_embed(part) for part in parts):
            embeds = np.stack([np.asarray(part, dtype=np.float32) for part in parts])
        else:
            embeds = np.stack([self._embed_one(part) for part in parts])
        if len(embeds) == 1:
            return embeds[0]
        mean = embeds.mean(axis=0)
        return (mean / max(float(np.linalg.norm(mean)), 1e-8)).astype(np.float32)

    def _embed_one(self, part: Any) -> np.ndarray:
        if self._is_embed(part):
            return np.asarray(part, dtype=np.float32)
        return np.asarray(self.encoder.embed_utterance(self.encoder.preprocess(part)), dtype=np.float32)

    @staticmethod
    def _is_embed(part: Any) -> bool:
        # Unit norm and no more values than 25 ms of sound: no wav that can be used is so short.
        return (
            isinstance(part, np.ndarray)
            and part.ndim == 1
            and len(part) <= 400
            and abs(float(np.linalg.norm(part)) - 1.0) < 1e-3
        )

    def random_voice(self, seed: int) -> np.ndarray:
        """Embedding (256,) of a person who does not exist (SV2TTS section 3.2).

        Embeddings come out of a ReLU and have unit norm: a normal vector, cut at zero and normalised, is
        uniform on that kind of sphere and has, like theirs, about half of its values at zero.
        """
        rng = np.random.default_rng(seed)
        embed = np.maximum(rng.standard_normal(self._embed_size()), 0.0)
        return (embed / np.linalg.norm(embed)).astype(np.float32)

    def _embed_size(self) -> int:
        return int(getattr(getattr(self.encoder, "cfg", None), "embed", 256))

    def synthesize(
        self, text: str, embed: np.ndarray, *, seed: int | None = None, progress: Progress | None = None
    ) -> Any:
        """Text in the voice of ``embed`` (256,) -> the synthesizer's result: mel (80, T), mels, alignments,
        segments."""
        if not text.strip():
            raise TextError("There is no text to say: type a sentence.")
        return self.synthesizer.synthesize(text, embed, seed=seed, progress=progress)

    def vocode(
        self,
        mels: np.ndarray | Sequence[np.ndarray],
        *,
        pauses: Sequence[float] = (),
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Mel (80, T), or the mels of several segments, -> wav (S,) float32 with peak 0.97.

        Args:
            pauses: seconds of silence after each segment; missing ones are 0.
        """
        parts = [mels] if isinstance(mels, np.ndarray) else list(mels)
        return vocode_segments(self.vocoder, parts, pauses, seed=seed, progress=progress).wav

    def clone(
        self,
        text: str,
        reference: Reference,
        *,
        seed: int | None = None,
        trim_silences: bool = False,
        progress: Progress | None = None,
    ) -> Speech:
        """Say ``text`` in the voice of ``reference`` (see ``embed_reference``).

        Args:
            seed: the same seed gives the same samples; None draws one, which the result names.
            trim_silences: shorten the long silences of the result.
            progress: called with (done, total) in growing order; raise ``Cancelled`` from it to stop.
        """
        seed = secrets.randbelow(2**31) if seed is None else seed
        stage = _StageProgress(progress)
        stage.start("encoder")
        embed = self.embed_reference(reference)
        result = self.synthesize(text, embed, seed=seed, progress=stage.start("synthesizer"))
        voiced = vocode_segments(
            self.vocoder, list(result.mels), list(result.pauses), seed=seed, trim_silences=trim_silences,
            progress=stage.start("vocoder"),
        )
        stage.finish()
        return Speech(
            wav=voiced.wav,
            sample_rate=voiced.sample_rate,
            mel=np.concatenate(list(result.mels), axis=1),
            alignments=list(result.alignments),
            embed=embed,
            segments=list(result.segments),
            text=text,
            seed=seed,
            models=self.model_info(),
            voice=_voice_of(reference),
            trim_silences=trim_silences,
        )

    def similarity(self, speech: Speech | np.ndarray, embed: np.ndarray | None = None) -> float:
        """Cosine between the voice of a result (or of a wav at the encoder's rate) and ``embed`` (a result's
        own)."""
        if isinstance(speech, Speech):
            target = speech.embed if embed is None else embed
            prepared = self.encoder.preprocess(speech.wav, speech.sample_rate)
        else:
            if embed is None:
                raise ValueError("a bare wav needs the embedding to compare with")
            target, prepared = embed, self.encoder.preprocess(speech)
        heard = np.asarray(self.encoder.embed_utterance(prepared))
        return float(heard @ target / max(float(np.linalg.norm(heard) * np.linalg.norm(target)), 1e-8))


class _StageProgress:
    """Maps the progress of each stage to its share of the whole."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0

    def start(self, name: str) -> Progress | None:
        """Begin a stage: returns its progress callback."""
        names = [stage for stage, _ in STAGES]
        base = sum(share for _, share in STAGES[: names.index(name)])
        share = dict(STAGES)[name]
        self._report(base)
        if self._progress is None:
            return None
        return lambda done, total: self._report(base + int(share * min(done, total) / max(total, 1)))

    def finish(self) -> None:
        self._report(100)

    def _report(self, done: int) -> None:
        self._done = max(self._done, done)
        if self._progress is not None:
            self._progress(self._done, 100)


def stage_at(done: int, total: int) -> str:
    """Name of the stage that a progress of ``clone`` stands in."""
    reached = 0.0
    for name, share in STAGES:
        reached += share / 100
        if done < reached * total:
            return name
    return "done"


def _load_encoder(registry: Any, name: str, device: Any) -> Any:
    from encoder.inference import VoiceEncoder

    return VoiceEncoder(registry.load(name, "encoder", device), device)


def _load_synthesizer(registry: Any, name: str, device: Any) -> Any:
    from synthesizer.inference import Synthesizer

    return Synthesizer(registry.load(name, "synthesizer", device), device)


def _load_vocoder(registry: Any, name: str, device: Any) -> Any:
    from vocoder.inference import load_vocoder

    return load_vocoder(registry, name, device)


_LOADERS: Mapping[str, Callable[[Any, str, Any], Any]] = {
    "encoder": _load_encoder,
    "synthesizer": _load_synthesizer,
    "vocoder": _load_vocoder,
}


def _is_ready(model: Any) -> bool:
    return model is not None and not isinstance(model, str | Path)


def _voice_of(reference: Reference) -> str:
    try:
        return voice_id(reference)
    except OSError as error:
        raise AudioError(f"The reference cannot be read: {error}") from error


def _shorten(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def joined_alignment(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Alignments (T/r, L) of segments as one matrix with these along its diagonal."""
    joined = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)), dtype=np.float32)
    row = column = 0
    for block in blocks:
        joined[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return joined
