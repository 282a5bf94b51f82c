"""From text and a speaker embedding to mels: splits, batches, judges and retries; knows no encoder and no vocoder.

``Synthesizer`` carries the names that RTVC's users import, and ``synthesize`` that new code uses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio.errors import TextError
from audio.io import load_wav
from audio.mel import MelConfig, MelTransform, denormalize_db, griffin_lim, normalize_db, sharpen
from audio.signal import normalize_peak
from synthesizer.alignment import Alignment, judge
from synthesizer.config import TacotronConfig
from synthesizer.generation import DecoderWeights, GeneratedLine, generate
from synthesizer.network import Tacotron
from synthesizer.speed import check_speed
from synthesizer.text import get_front_end
from synthesizer.text.split import split_text
from synthesizer.text.symbols import PUNCTUATION

Progress = Callable[[int, int], None]

BATCH = 16
"""Lines that are spoken at once, at most. The first is spoken alone, to be heard soon, then four, then sixteen: a
batch of four takes twice as long as one line."""
MAX_TRIES = 6
"""A line whose alignment fails is spoken again with another seed, five times at most."""
FRAMES_PER_SYMBOL = 14
EXTRA_FRAMES = 60
"""The limit of a line's length: the slowest readers of the training corpora take 12 frames a letter."""


@dataclass(frozen=True)
class SynthesizedSegment:
    """One segment of the text as it was spoken."""

    text: str
    seed: int
    """What the pre-net's dropout was drawn from; with it the segment can be made again alone."""
    tries: int
    alignment: Alignment

    @property
    def ok(self) -> bool:
        return self.alignment.ok

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.alignment.problems


@dataclass(frozen=True)
class Spoken:
    """One segment, ready for a vocoder."""

    mel: np.ndarray
    """(n_mels, T), silence at the end trimmed."""
    alignment: np.ndarray
    """(steps, L): of the decoder, r frames each before they were stretched (``TacotronConfig.stretch``)."""
    segment: SynthesizedSegment
    pause: float
    """Seconds of silence after it."""
    done: float
    """Share of the text that has been said when it ends: 1 for the last segment only."""


@dataclass(frozen=True)
class SynthesisResult:
    """A text's mels. All lists have one entry a segment."""

    mels: list[np.ndarray]
    """(n_mels, T) each, silence at the ends trimmed."""
    alignments: list[np.ndarray]
    """(steps, L) each, see ``Spoken``."""
    segments: list[SynthesizedSegment]
    pauses: list[float]
    """Seconds of silence after each segment."""
    seed: int

    @property
    def mel(self) -> np.ndarray:
        """(n_mels, T), the segments one after the other without the pauses."""
        return np.concatenate(self.mels, axis=1)


@dataclass(frozen=True)
class _Try:
    line: GeneratedLine
    alignment: Alignment
    seed: int
    number: int


class Synthesizer:
    """A Tacotron with its text front end.

    model: path of a model file (.safetensors or RTVC's .pt) or a ready ``Tacotron``. Loading a path waits until the
    first use, as RTVC's does.
    """

    def __init__(
        self, model: str | Path | Tacotron, device: torch.device | str | None = None, verbose: bool = False
    ) -> None:
        self._path = None if isinstance(model, Tacotron) else Path(model)
        self._network = model if isinstance(model, Tacotron) else None
        self._device = torch.device(device) if device is not None else None
        self._front_end: Any = None
        self._weights: DecoderWeights | None = None

    def is_loaded(self) -> bool:
        return self._network is not None

    def load(self) -> None:
        """Read the model file now. Raises ModelError when it cannot be used."""
        if self._network is None and self._path is not None:
            from models.device import choose_device
            from models.registry import ModelRegistry

            device = self._device if self._device is not None else choose_device(None)
            self._network = ModelRegistry().load(self._path, "synthesizer", device)

    def prepare(self) -> None:
        """Make ready what the first text would wait for: model, dictionary (0.2 s), compiled decoder (0.6 s).

        Raises ModelError when the model file cannot be used.
        """
        self.front_end.encode("a")
        self._weights = self.weights

    @property
    def network(self) -> Tacotron:
        self.load()
        assert self._network is not None
        return self._network

    @property
    def weights(self) -> DecoderWeights:
        """The network's decoder made ready for the loop, once: later changes of the network are not heard."""
        if self._weights is None:
            self._weights = DecoderWeights(self.network)
        return self._weights

    @property
    def front_end(self) -> Any:
        """The text front end that the model was trained with."""
        if self._front_end is None:
            self._front_end = get_front_end(self.network.cfg.front_end)
        return self._front_end

    @property
    def cfg(self) -> TacotronConfig:
        return self.network.cfg

    @property
    def hparams(self) -> TacotronConfig:
        """RTVC's name for the settings."""
        return self.cfg

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return TacotronConfig().mel.sample_rate if self._network is None else self.cfg.mel.sample_rate

    def stream(
        self,
        text: str,
        embed: np.ndarray,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        progress: Progress | None = None,
    ) -> Iterator[Spoken]:
        """Speak ``text`` in the voice of ``embed`` (256,), segment after segment, each as soon as it is ready.

        Long texts are split at sentence ends and line breaks; a segment whose attention skips, repeats or does not
        end is spoken again with another seed and the best of the tries is kept. The same seed gives the same mels.
        At ``speed`` 2 the same is said in half the time, pauses included, and at the same pitch.
        ``progress(done, total)`` may raise Cancelled. Raises TextError when there is nothing to say, or the speed is
        out of ``synthesizer.speed.SPEEDS``.
        """
        check_speed(speed)
        seed = secrets.randbelow(2**31) if seed is None else seed
        parts, ids = [], []
        for part in split_text(text, speed=speed):
            if (line := self._ids_or_none(part.text)) is not None:
                parts.append(part)
                ids.append(line)
        if not parts:
            raise TextError("There is nothing to say in this text: write a word or more.")
        said, total = 0, sum(map(len, ids))
        tries = self._speak(ids, [np.asarray(embed)] * len(ids), seed, progress)
        for part, line, best in zip(parts, ids, tries, strict=True):
            said += len(line)
            segment = SynthesizedSegment(part.text, best.seed, best.number, best.alignment)
            mel = self._finished(best, line, np.asarray(embed), speed)
            yield Spoken(mel, best.line.attention, segment, part.pause, said / total)

    def synthesize(
        self,
        text: str,
        embed: np.ndarray,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        progress: Progress | None = None,
    ) -> SynthesisResult:
        """All that ``stream`` gives, at once."""
        seed = secrets.randbelow(2**31) if seed is None else seed
        spoken = list(self.stream(text, embed, seed=seed, speed=speed, progress=progress))
        return SynthesisResult(
            mels=[s.mel for s in spoken],
            alignments=[s.alignment for s in spoken],
            segments=[s.segment for s in spoken],
            pauses=[s.pause for s in spoken],
            seed=seed,
        )

    def synthesize_spectrograms(
        self,
        texts: Sequence[str],
        embeddings: np.ndarray | Sequence[np.ndarray],
        return_alignments: bool = False,
        seed: int | None = None,
    ) -> Any:
        """RTVC's call: one mel (80, T) a text, each text one line; with alignments also (L, T / r) arrays.

        embeddings: (N, 256), a list of N, or one (256,) for all texts.
        """
        embeds = np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
        if len(embeds) == 1:
            embeds = np.repeat(embeds, len(texts), axis=0)
        if len(embeds) != len(texts):
            raise TextError(f"There are {len(texts)} texts, but {len(embeds)} voice embeddings.")
        seed = secrets.randbelow(2**31) if seed is None else seed
        ids = [self._ids(text) for text in texts]
        tries = list(self._speak(ids, list(embeds), seed, None))
        specs = [self._finished(*line) for line in zip(tries, ids, embeds, strict=True)]
        return (specs, [t.line.attention.T for t in tries]) if return_alignments else specs

    @staticmethod
    def load_preprocess_wav(fpath: str | Path) -> np.ndarray:
        """A sound file as float32 (S,) at the synthesizer's rate with peak 0.9."""
        return normalize_peak(load_wav(fpath, TacotronConfig().mel.sample_rate), 0.9)

    @staticmethod
    def make_spectrogram(fpath_or_wav: str | Path | np.ndarray) -> np.ndarray:
        """The mel (80, T) of a file, or of a wav (S,) at the synthesizer's rate, as the networks see it."""
        if not isinstance(fpath_or_wav, np.ndarray):
            fpath_or_wav = Synthesizer.load_preprocess_wav(fpath_or_wav)
        return MelTransform(TacotronConfig().mel)(fpath_or_wav.astype(np.float32))

    @staticmethod
    def griffin_lim(mel: np.ndarray) -> np.ndarray:
        """mel (80, T) -> wav (S,)."""
        return griffin_lim(mel, TacotronConfig().mel)

    def _ids(self, text: str) -> list[int]:
        """Ids of a segment. One without a mark at its end gets a full stop where the training knew no other endings:
        a sentence that was cut, or typed without one, then comes to its end as surely as others.

        Raises TextError when there is nothing to say.
        """
        ids, symbols = self.front_end.encode(text), self.front_end.symbols
        if not self.front_end.ends_in_mark or symbols[ids[-2]] in PUNCTUATION:
            return ids
        return [*ids[:-1], symbols.index("."), ids[-1]]

    def _ids_or_none(self, text: str) -> list[int] | None:
        """None for a segment of which nothing can be said; braces that hold no phonemes are an error all the same."""
        try:
            return self._ids(text)
        except TextError:
            if "{" in text:
                raise
            return None

    def _speak(
        self, ids: list[list[int]], embeds: list[np.ndarray], seed: int, progress: Progress | None
    ) -> Iterator[_Try]:
        """The best try at each line, in order."""
        start, size = 0, 1
        while start < len(ids):
            best: dict[int, _Try] = {}
            lines = todo = list(range(start, min(start + size, len(ids))))
            start, size = start + size, min(4 * size, BATCH)
            for number in range(1, MAX_TRIES + 1):
                step = _batch_progress(progress, lines[-1] + 1 - len(todo), len(todo), len(ids))
                for line, result in zip(todo, self._run(todo, ids, embeds, seed, number, step), strict=True):
                    if line not in best or result.alignment.cost < best[line].alignment.cost:
                        best[line] = result
                todo = [line for line in todo if not best[line].alignment.ok]
                if not todo:
                    break
            if progress is not None:
                progress(100 * (lines[-1] + 1), 100 * len(ids))
            yield from (best[line] for line in lines)

    def _run(
        self,
        lines: list[int],
        ids: list[list[int]],
        embeds: list[np.ndarray],
        seed: int,
        number: int,
        progress: Progress | None,
    ) -> list[_Try]:
        seeds = [_line_seed(seed, line, number) for line in lines]
        made = generate(
            self.network,
            [ids[line] for line in lines],
            torch.from_numpy(np.stack([embeds[line] for line in lines]).astype(np.float32)),
            seeds=seeds,
            max_frames=[EXTRA_FRAMES + FRAMES_PER_SYMBOL * len(ids[line]) for line in lines],
            progress=progress,
            weights=self.weights,
        )
        mel = self.cfg.mel
        step_seconds = self.network.r * mel.hop_length / mel.sample_rate
        return [
            _Try(line, judge(line.attention, line.stopped, step_seconds), line_seed, number)
            for line, line_seed in zip(made, seeds, strict=True)
        ]

    def _finished(self, best: _Try, ids: list[int], embed: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Cut the frames from the end whose every band is below the model's stop threshold, but one; change length,
        add contrast and detail, where the model or the user asks for them.
        """
        mel = best.line.mel
        loud = np.flatnonzero(mel.max(axis=0) >= float(self.network.stop_threshold))
        mel = mel[:, : loud[-1] + 1] if len(loud) else mel[:, :1]
        symbols = np.array(ids)[best.line.attention.argmax(axis=1)].repeat(self.network.r)[: mel.shape[1]]
        mel, symbols = stretched(mel, symbols, self.cfg.stretch / speed)
        detail = self.cfg.detail
        if detail is None:
            return add_contrast(mel, self.cfg.contrast, self.cfg.mel)
        detailed = add_contrast(self._detailed(mel, symbols, embed, best.seed), detail.contrast, self.cfg.mel)
        if not detail.envelope_bands:
            return detailed
        return replace_fine_structure(
            add_contrast(mel, self.cfg.contrast, self.cfg.mel), detailed, detail.envelope_bands
        )

    @torch.inference_mode()
    def _detailed(self, mel: np.ndarray, symbols: np.ndarray, embed: np.ndarray, seed: int) -> np.ndarray:
        """mel (n_mels, T), symbols (T,) -> mel (n_mels, T)"""
        detailer, limit = self.network.detailer, self.cfg.mel.max_abs_value
        assert detailer is not None
        device = next(detailer.parameters()).device
        arrays = (mel.astype(np.float32), symbols, embed.astype(np.float32))
        draft, ids, voice = (torch.from_numpy(array).to(device) for array in arrays)
        made = detailer.sample(draft, ids, voice, torch.Generator().manual_seed(seed))
        return made.clamp(-limit, limit).cpu().numpy()


def stretched(mel: np.ndarray, symbols: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """mel (n_mels, T) and symbols (T,) made ``factor`` times as long; the pitch stays."""
    length = max(1, round(mel.shape[1] * factor))
    if length == mel.shape[1]:
        return mel, symbols
    longer = torch.nn.functional.interpolate(
        torch.from_numpy(mel)[None], size=length, mode="linear", align_corners=True
    )
    return longer[0].numpy(), symbols[np.arange(length) * mel.shape[1] // length]


def add_contrast(mel: np.ndarray, power: float, cfg: MelConfig) -> np.ndarray:
    """mel (n_mels, T) with its amplitudes raised to ``power``, as loud on the whole as before.

    Training on distances blurs formants, harmonics and onsets. What is left of them is deepened, as Griffin-Lim's
    sharpening does (Wang et al. 2017, section 3.3), and the postfilters of statistical synthesis.
    """
    if power == 1.0:
        return mel
    return normalize_db(sharpen(denormalize_db(torch.from_numpy(mel), cfg), power), cfg).numpy()


def replace_fine_structure(mel: np.ndarray, other: np.ndarray, bands: float) -> np.ndarray:
    """mel (n_mels, T) with what changes within a few bands taken from ``other`` (n_mels, T).

    bands: deviation of the Gaussian that divides envelope from fine structure. The envelope says which sound it is,
    which the Tacotron knows best; the fine structure has pitch and breath.
    """
    # Here, as it takes a while.
    from scipy.ndimage import gaussian_filter

    smooth = lambda x: gaussian_filter(x, (bands, 1.0))  # noqa: E731
    limit = max(float(np.abs(mel).max()), float(np.abs(other).max()))
    return np.clip(smooth(mel) + other - smooth(other), -limit, limit)


def _line_seed(seed: int, line: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, line, number)).generate_state(1, np.uint32)[0])


def _batch_progress(progress: Progress | None, done: int, lines: int, total: int) -> Progress | None:
    """A callback for a batch that reports its share of all lines, in hundredths of a line."""
    if progress is None:
        return None
    return lambda part, whole: progress(int(100 * (done + lines * part / max(whole, 1))), 100 * total)
