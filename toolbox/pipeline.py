"""From a text and a voice to a wav: encoder, synthesizer and vocoder in a row; knows no window and no command
line.

    speech = VoiceCloner().clone("Hello there.", "voice.mp3", seed=1)
    speech.save("hello.wav")

    stream = VoiceCloner().stream("Hello there. How are you?", "voice.mp3", seed=1)
    for piece in stream:
        play(piece.wav, piece.sample_rate)
    stream.result.save("the same.wav")
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import AudioError, ModelError, TextError
from toolbox.provenance import ModelInfo, Provenance, file_sha256, voice_id
from toolbox.vocoding import Piece, Stream, Voiced, segments_of, vocode_segments
from toolbox.voice_space import uniform, voice_space
from vocoder.names import GRIFFIN_LIM, is_griffin_lim

Progress = Callable[[int, int], None]
Reference = str | Path | np.ndarray | Sequence["str | Path | np.ndarray"]

log = logging.getLogger(__name__)

DEFAULT_MODEL = "default"
KINDS = ("encoder", "synthesizer", "vocoder")
SYNTHESIZER_SHARE = 0.3
"""Of the progress of ``say``; the rest is the vocoder's: what a WaveRNN would take, an estimate."""


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
    speed: float = 1.0

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
        return Provenance(self.text, self.seed, models, self.voice, self.trim_silences, self.retakes, self.speed)

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
        for done, kind in enumerate(KINDS):
            if progress is not None:
                progress(done, len(KINDS))
            self._model(kind)
        if progress is not None:
            progress(len(KINDS), len(KINDS))

    def model_info(self) -> tuple[ModelInfo, ...]:
        """Names and hashes of the three models; reads the files but loads no network."""
        return tuple(self._described(kind) for kind in KINDS)

    def _described(self, kind: str) -> ModelInfo:
        with self._lock:
            if kind not in self._info:
                self._info[kind] = self._describe(kind)
            return self._info[kind]

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
        """Embedding (256,) of a person who does not exist: where people's voices lie, if that is known of the encoder
        (``toolbox.voice_space``), else anywhere (SV2TTS section 3.2).
        """
        space, rng = voice_space(), np.random.default_rng(seed)
        if self._described("encoder").sha256 == space.encoder:
            return space.draw(rng)
        return uniform(self._embed_size(), rng)

    def _embed_size(self) -> int:
        return int(getattr(getattr(self.encoder, "cfg", None), "embed", 256))

    def synthesize(
        self,
        text: str,
        embed: np.ndarray,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        progress: Progress | None = None,
    ) -> Any:
        """Text in the voice of ``embed`` (256,) -> the synthesizer's result: mel (80, T), mels, alignments,
        segments."""
        return self.synthesizer.synthesize(text, embed, seed=seed, speed=speed, progress=progress)

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
        return Stream(
            vocode_segments(self.vocoder, segments_of(parts, pauses), seed=seed, progress=progress)
        ).finish().wav

    def stream(
        self,
        text: str,
        reference: Reference,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        trim_silences: bool = False,
        progress: Progress | None = None,
    ) -> Stream[Speech]:
        """Say ``text`` in the voice of ``reference`` (see ``embed_reference``): sound of the first sentence as soon as
        it is made, then of two sentences, of four, and so on; joined, the pieces are the ``wav`` of the result.

        The work is done while the pieces are asked for, and errors are raised then.

        Args:
            seed: the same seed gives the same samples; None draws one, which the result names.
            speed: from 0.5 to 2 times the usual one, at the same pitch.
            trim_silences: shorten the long silences of the result.
            progress: called with (done, total) in growing order; raise ``Cancelled`` from it to stop.
        """
        return Stream(self._stream(text, reference, seed, speed, trim_silences, progress))

    def clone(
        self,
        text: str,
        reference: Reference,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        trim_silences: bool = False,
        progress: Progress | None = None,
    ) -> Speech:
        """The result of ``stream``, which tells what the arguments are."""
        return self.stream(
            text, reference, seed=seed, speed=speed, trim_silences=trim_silences, progress=progress
        ).finish()

    def _stream(
        self,
        text: str,
        reference: Reference,
        seed: int | None,
        speed: float,
        trim_silences: bool,
        progress: Progress | None,
    ) -> Generator[Piece, None, Speech]:
        report = progress or (lambda done, total: None)
        seed = secrets.randbelow(2**31) if seed is None else seed
        report(0, 100)
        embed = self.embed_reference(reference)
        spoken, voiced = yield from say(
            self.synthesizer, self.vocoder, text, embed, seed=seed, speed=speed, trim_silences=trim_silences,
            progress=lambda done, total: report(5 + 95 * done // total, 100),
        )
        return Speech(
            wav=voiced.wav,
            sample_rate=voiced.sample_rate,
            mel=np.concatenate([part.mel for part in spoken], axis=1),
            alignments=[part.alignment for part in spoken],
            embed=embed,
            segments=[part.segment for part in spoken],
            text=text,
            seed=seed,
            models=self.model_info(),
            voice=_voice_of(reference),
            trim_silences=trim_silences,
            speed=speed,
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


def say(
    synthesizer: Any,
    vocoder: Any,
    text: str,
    embed: np.ndarray,
    *,
    seed: int,
    speed: float = 1.0,
    trim_silences: bool = False,
    progress: Progress | None = None,
    on_spoken: Callable[[list[Any]], None] | None = None,
) -> Generator[Piece, None, tuple[list[Any], Voiced]]:
    """Text in the voice of ``embed`` (256,) -> pieces of sound, and at last the ``synthesizer.inference.Spoken``
    segments and the whole sound; for a ``Stream``.

    Synthesizer and vocoder take turns in one thread, the synthesizer when the vocoder has nothing left to do. Side by
    side in two threads on two cores they made a text of five sentences in the same time (1.7 to 2.5 s, Griffin-Lim),
    but its first sentence, which both then delayed, later: after 1.0 s instead of 0.7 s, medians of six.

    Args:
        progress: called with (done, total) in growing order; raise ``Cancelled`` from it to stop.
        on_spoken: given the segments when the last has been synthesized; sound of the first ones is out by then.
    """
    if not text.strip():
        raise TextError("There is no text to say: type a sentence.")
    shares = {"synthesizer": 0.0, "vocoder": 0.0}
    furthest = 0

    def report_of(kind: str) -> Progress:
        def report(done: int, total: int) -> None:
            nonlocal furthest
            shares[kind] = done / max(total, 1)
            share = SYNTHESIZER_SHARE * shares["synthesizer"] + (1 - SYNTHESIZER_SHARE) * shares["vocoder"]
            # A segment that is said once more takes the synthesizer back.
            furthest = max(furthest, round(1000 * share))
            if progress is not None:
                progress(furthest, 1000)

        return report

    spoken: list[Any] = []

    def segments() -> Iterator[Any]:
        said = synthesizer.stream(text, embed, seed=seed, speed=speed, progress=report_of("synthesizer"))
        for segment in said:
            spoken.append(segment)
            if on_spoken is not None and segment.done >= 1.0:
                on_spoken(spoken)
            yield segment

    voiced = yield from vocode_segments(
        vocoder, segments(), seed=seed, trim_silences=trim_silences, progress=report_of("vocoder")
    )
    report_of("vocoder")(1, 1)
    return spoken, voiced


def _load_encoder(registry: Any, name: str, device: Any) -> Any:
    from encoder.inference import VoiceEncoder

    return VoiceEncoder(registry.load(name, "encoder", device), device)


def _load_synthesizer(registry: Any, name: str, device: Any) -> Any:
    from synthesizer.inference import Synthesizer

    synthesizer = Synthesizer(registry.load(name, "synthesizer", device), device)
    synthesizer.prepare()
    return synthesizer


def _load_vocoder(registry: Any, name: str, device: Any) -> Any:
    from vocoder.inference import load_vocoder

    vocoder = load_vocoder(registry, name, device)
    # The first run prepares tables and libraries (0.2 s with Griffin-Lim): that is part of loading, too.
    vocoder.vocode(np.full((80, 2), -4.0, dtype=np.float32), seed=0)
    return vocoder


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
