"""Recordings to voice embeddings with a trained speaker encoder; knows no training, no text and no window.

``VoiceEncoder`` is the object that new code uses. The module-level functions at the end keep the names that
scripts written for Real-Time-Voice-Cloning import; they delegate to the one encoder given to ``load_model``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio.errors import AudioError, ModelError, NonFiniteAudioError, ShortAudioError, SilentAudioError
from audio.mel import ENCODER_MEL, MelTransform
from encoder.config import EncoderConfig
from encoder.network import SpeakerEncoder

Progress = Callable[[int, int], None]

TARGET_DBFS = -30.0
"""Loudness that quiet recordings are raised to, as the public model's training data was; louder ones stay."""
MIN_SECONDS = 0.4
"""A quarter of a partial utterance: under it the network would read mostly padding."""
SILENCE_PEAK = 1e-4
"""-80 dBFS, under the dither of a 16-bit recording at working level: taken for no sound at all."""
BATCH_PARTIALS = 64
"""Partials per forward pass: the LSTM's activations stay near 50 MB however long the clips are."""


@dataclass(frozen=True)
class PartialEmbeds:
    """The embeddings of one clip's partial utterances."""

    embeds: np.ndarray
    """(P, embed) float32, unit norm each."""
    wav_slices: list[slice]
    """P slices of the clip in samples; the last may reach beyond its end (padding)."""

    @property
    def utterance(self) -> np.ndarray:
        """The clip's embedding (embed,): the partials' mean, renormalised (GE2E section 2.2)."""
        return normalized_mean(self.embeds)

    @property
    def similarities(self) -> np.ndarray:
        """Cosine (P,) of each partial to the clip's embedding: low where a stretch disagrees."""
        return self.embeds @ self.utterance

    @property
    def agreement(self) -> float:
        """Mean of ``similarities``; 1 for a voice that stays the same, and for a single partial."""
        return float(self.similarities.mean())


def normalized_mean(embeds: np.ndarray) -> np.ndarray:
    """Centroid (embed,) float32 of unit norm of embeddings (N, embed)."""
    mean = embeds.mean(axis=0)
    return (mean / max(float(np.linalg.norm(mean)), 1e-8)).astype(np.float32)


def compute_partial_slices(
    n_samples: int,
    partial_utterance_n_frames: int = 160,
    min_pad_coverage: float = 0.75,
    overlap: float = 0.5,
    *,
    hop_length: int = ENCODER_MEL.hop_length,
) -> tuple[list[slice], list[slice]]:
    """Where to cut a wav of ``n_samples`` and its mel into partial utterances of equal length.

    The last partial may reach beyond the wav, which is then to be padded with zeros; it is left out when less
    than ``min_pad_coverage`` of it is sound, unless it is the only one.

    Returns:
        (wav_slices, mel_slices): slices in samples and in frames, one of each per partial.

    Raises:
        ValueError: overlap outside [0, 1) or coverage outside (0, 1].
    """
    if not 0.0 <= overlap < 1.0:
        raise ValueError(f"overlap must lie in [0, 1), not {overlap}")
    if not 0.0 < min_pad_coverage <= 1.0:
        raise ValueError(f"min_pad_coverage must lie in (0, 1], not {min_pad_coverage}")
    length = partial_utterance_n_frames
    step = max(round(length * (1.0 - overlap)), 1)
    n_frames = n_samples // hop_length + 1
    # The first partial, then one more for each step begun beyond its end.
    count = 1 + max(0, -((length - n_frames - 1) // step))
    starts = [index * step for index in range(count)]
    while len(starts) > 1 and n_samples - starts[-1] * hop_length < min_pad_coverage * length * hop_length:
        starts.pop()
    mel_slices = [slice(start, start + length) for start in starts]
    wav_slices = [slice(start * hop_length, (start + length) * hop_length) for start in starts]
    return wav_slices, mel_slices


def preprocess(
    path_or_wav: str | Path | np.ndarray, source_sr: int | None = None, cfg: EncoderConfig | None = None
) -> np.ndarray:
    """A recording as the encoder wants it: the network's rate, at least -30 dBFS, long silences cut out.

    Args:
        path_or_wav: an audio file, or a mono wav (S,) in [-1, 1].
        source_sr: rate of the wav in Hz; None when it is at the encoder's rate already. Ignored for files.

    Returns:
        float32 (S',) at ``cfg.mel.sample_rate``.

    Raises:
        AudioError: unreadable file, NaN or infinite samples, silence, or too little speech.
    """
    from audio.io import load_wav
    from audio.signal import normalize_volume, resample
    from audio.vad import trim_long_silences

    sample_rate = (cfg.mel if cfg is not None else ENCODER_MEL).sample_rate
    if isinstance(path_or_wav, str | Path):
        wav = load_wav(path_or_wav, sample_rate)
    else:
        wav = np.asarray(path_or_wav, dtype=np.float32)
        if source_sr is not None and source_sr != sample_rate and wav.ndim == 1 and len(wav):
            wav = resample(wav, source_sr, sample_rate)
    check_wav(wav, sample_rate)
    wav = normalize_volume(wav, TARGET_DBFS, increase_only=True)
    trimmed = trim_long_silences(wav, sample_rate)
    if len(trimmed) < MIN_SECONDS * sample_rate:
        raise ShortAudioError(
            f"Only {len(trimmed) / sample_rate:.1f} s of speech was found in {len(wav) / sample_rate:.1f} s of sound: "
            "use a recording with a few seconds of speech, close to the microphone."
        )
    return trimmed.astype(np.float32, copy=False)


def check_wav(wav: np.ndarray, sample_rate: int) -> None:
    """Refuse what no embedding can be made of.

    Raises:
        AudioError: not mono, NaN or infinite samples, shorter than ``MIN_SECONDS``, or silence.
    """
    if wav.ndim != 1:
        raise AudioError(f"A voice embedding needs one channel (S,), not an array of shape {wav.shape}: mix it down.")
    if len(wav) < MIN_SECONDS * sample_rate:
        raise ShortAudioError(
            f"The clip is too short for a voice embedding ({len(wav) / sample_rate:.2f} s): "
            f"at least {MIN_SECONDS} s is needed, and 5 s of speech is best."
        )
    peak = float(np.max(np.abs(wav)))
    if not np.isfinite(peak):
        raise NonFiniteAudioError(
            "The clip contains samples that are not numbers (NaN or infinite): record or export it again."
        )
    if peak < SILENCE_PEAK:
        raise SilentAudioError("The clip is silent: check the microphone or choose another recording.")


class VoiceEncoder:
    """A speaker encoder ready to use on recordings.

    Wavs are float32 (S,) at ``sample_rate``, best out of ``preprocess``; embeddings are float32 (embed,),
    unit norm, all >= 0. Every method raises AudioError for a clip that is silent or shorter than 0.4 s.
    """

    def __init__(self, network: SpeakerEncoder, device: torch.device | str | None = None) -> None:
        self.cfg: EncoderConfig = network.cfg
        self.device = torch.device(device) if device is not None else next(network.parameters()).device
        self.network = network.to(self.device).eval()
        self._transform = MelTransform(self.cfg.mel)

    @classmethod
    def from_file(cls, path: str | Path, device: torch.device | str | None = None) -> VoiceEncoder:
        """Load a checkpoint: safetensors with its config, or an original .pt file.

        Raises:
            ModelError: missing or broken file, another kind of model, shapes that do not fit.
        """
        from models.checkpoint import load_state, read_checkpoint
        from models.device import choose_device

        checkpoint = read_checkpoint(Path(path), expected_kind="encoder")
        cfg = (
            EncoderConfig.from_dict(checkpoint.config)
            if checkpoint.config
            else EncoderConfig.from_state_dict(checkpoint.state)
        )
        network = SpeakerEncoder(cfg)
        load_state(network, checkpoint.state, Path(path))
        return cls(network, choose_device(device) if device is None or isinstance(device, str) else device)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.cfg.mel.sample_rate

    def preprocess(self, path_or_wav: str | Path | np.ndarray, source_sr: int | None = None) -> np.ndarray:
        """See ``encoder.inference.preprocess``."""
        return preprocess(path_or_wav, source_sr, self.cfg)

    @torch.inference_mode()
    def embed_frames(self, frames: np.ndarray) -> np.ndarray:
        """Mel frames (B, T, mel_n) in power -> embeddings (B, embed), as one forward pass."""
        mels = torch.as_tensor(np.ascontiguousarray(frames), dtype=torch.float32, device=self.device)
        return self.network(mels).float().cpu().numpy()

    def embed_whole(self, wav: np.ndarray) -> np.ndarray:
        """Embedding (embed,) of a clip read in one go, a length that the network was not trained on."""
        check_wav(wav, self.sample_rate)
        return self.embed_frames(self._mel_frames(wav, 0, 1 + len(wav) // self.cfg.mel.hop_length)[None])[0]

    def embed_partials(
        self,
        wavs: Sequence[np.ndarray],
        *,
        overlap: float | None = None,
        min_coverage: float | None = None,
        progress: Progress | None = None,
    ) -> list[PartialEmbeds]:
        """Embeddings of the partial utterances of several clips, batched across clips.

        Memory does not grow with the clips: mels are made for at most ``BATCH_PARTIALS`` partials at a time.

        Args:
            overlap, min_coverage: None = the model's own (0.5 and 0.75).
            progress: called with (partials done, partials in all).
        """
        slices = []
        for wav in wavs:
            check_wav(wav, self.sample_rate)
            slices.append(
                compute_partial_slices(
                    len(wav),
                    self.cfg.partial_frames,
                    self.cfg.min_coverage if min_coverage is None else min_coverage,
                    self.cfg.partial_overlap if overlap is None else overlap,
                    hop_length=self.cfg.mel.hop_length,
                )
            )
        total = sum(len(wav_slices) for wav_slices, _ in slices)
        embeds: list[np.ndarray] = []
        batch: list[np.ndarray] = []
        for frames in self._partial_frames(wavs, [mel_slices for _, mel_slices in slices]):
            batch.append(frames)
            if len(batch) == BATCH_PARTIALS or len(embeds) + len(batch) == total:
                embeds.extend(self.embed_frames(np.stack(batch)))
                batch.clear()
                if progress is not None:
                    progress(len(embeds), total)
        rows = iter(embeds)
        return [PartialEmbeds(np.stack([next(rows) for _ in cut]), cut) for cut, _ in slices]

    def embed_utterances(self, wavs: Sequence[np.ndarray], *, progress: Progress | None = None) -> np.ndarray:
        """Embeddings (N, embed) of N clips."""
        if not wavs:
            return np.zeros((0, self.cfg.embed), dtype=np.float32)
        return np.stack([partials.utterance for partials in self.embed_partials(wavs, progress=progress)])

    def embed_utterance(self, wav: np.ndarray, return_partials: bool = False) -> Any:
        """Embedding (embed,) of one clip.

        With ``return_partials``: (embedding, partial embeddings (P, embed), wav slices).
        """
        partials = self.embed_partials([wav])[0]
        if return_partials:
            return partials.utterance, partials.embeds, partials.wav_slices
        return partials.utterance

    def embed_speaker(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        """Centroid (embed,) of several clips of one voice, each clip with the same weight."""
        if not wavs:
            raise AudioError("No clip to make a voice of: give at least one recording.")
        return normalized_mean(self.embed_utterances(wavs))

    def _mel_frames(self, wav: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Mel frames [start, stop) of a wav padded with zeros as needed: (stop - start, mel_n).

        Made from the stretch around them, so that half an hour of sound never has its whole spectrogram in
        memory.
        """
        hop = self.cfg.mel.hop_length
        # A frame reaches n_fft / 2 samples to either side of its centre.
        margin = -(-self.cfg.mel.n_fft // (2 * hop))
        first = max(0, start - margin)
        stretch = wav[first * hop : (stop + margin) * hop]
        missing = stop * hop - (first * hop + len(stretch))
        if missing > 0:
            stretch = np.pad(stretch, (0, missing))
        mel = self._transform(np.ascontiguousarray(stretch, dtype=np.float32))
        return np.asarray(mel).T[start - first : stop - first]

    def _partial_frames(self, wavs: Sequence[np.ndarray], slices: list[list[slice]]) -> Iterator[np.ndarray]:
        for wav, mel_slices in zip(wavs, slices, strict=True):
            for at in range(0, len(mel_slices), BATCH_PARTIALS):
                block = mel_slices[at : at + BATCH_PARTIALS]
                offset = block[0].start
                frames = self._mel_frames(wav, offset, block[-1].stop)
                for cut in block:
                    yield frames[cut.start - offset : cut.stop - offset]


# What follows keeps the names and signatures of Real-Time-Voice-Cloning's encoder.inference.

sampling_rate = ENCODER_MEL.sample_rate
mel_n_channels = ENCODER_MEL.n_mels


class _Loaded:
    """The one encoder behind the functions below."""

    encoder: VoiceEncoder | None = None


def load_model(weights_fpath: str | Path, device: torch.device | str | None = None) -> VoiceEncoder:
    """Load the encoder that the functions of this module use; device None = the best there is."""
    _Loaded.encoder = VoiceEncoder.from_file(weights_fpath, device)
    return _Loaded.encoder


def is_loaded() -> bool:
    """Whether ``load_model`` has been called."""
    return _Loaded.encoder is not None


def _loaded() -> VoiceEncoder:
    if _Loaded.encoder is None:
        raise ModelError("No speaker encoder is loaded: call encoder.inference.load_model(path) first.")
    return _Loaded.encoder


def preprocess_wav(fpath_or_wav: str | Path | np.ndarray, source_sr: int | None = None) -> np.ndarray:
    """See ``preprocess``; needs no loaded model."""
    return preprocess(fpath_or_wav, source_sr, _Loaded.encoder.cfg if _Loaded.encoder else None)


def embed_frames_batch(frames_batch: np.ndarray) -> np.ndarray:
    """Mel frames (B, T, 40) -> embeddings (B, 256)."""
    return _loaded().embed_frames(frames_batch)


def embed_utterance(
    wav: np.ndarray,
    using_partials: bool = True,
    return_partials: bool = False,
    min_pad_coverage: float = 0.75,
    overlap: float = 0.5,
) -> Any:
    """Embedding (256,) of a preprocessed clip.

    With ``return_partials``: (embedding, partial embeddings (P, 256), wav slices), the last two None when
    ``using_partials`` is False.
    """
    encoder = _loaded()
    if not using_partials:
        embed = encoder.embed_whole(wav)
        return (embed, None, None) if return_partials else embed
    partials = encoder.embed_partials([wav], overlap=overlap, min_coverage=min_pad_coverage)[0]
    if return_partials:
        return partials.utterance, partials.embeds, partials.wav_slices
    return partials.utterance


def embed_speaker(wavs: Sequence[np.ndarray]) -> np.ndarray:
    """Centroid (256,) of several preprocessed clips of one voice."""
    return _loaded().embed_speaker(wavs)
