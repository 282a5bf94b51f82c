"""Turns corpora into what the synthesizer and the vocoder train on: wav, mel and speaker embedding of each clip.

``python -m synthesizer.preprocess CORPUS [CORPUS ...] -o OUT``. Can be killed and started again: what exists is kept.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from audio.errors import TrainingError
from audio.mel import MelTransform
from encoder.inference import VoiceEncoder
from training.cli import apply_overrides, run_command
from training.corpus import DropReport, ManifestEntry, Utterance, read_manifest
from training.preprocessing import (
    ClipConfig,
    Progress,
    UnsuitableClipError,
    add_preprocessing_arguments,
    chosen_utterances,
    clip_bar,
    load_clip,
    out_dir,
    preprocess_clips,
    save_array,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessConfig:
    """What is kept of a corpus: clips, and transcripts that can be theirs."""

    clip: ClipConfig = ClipConfig(max_seconds=8.0)
    min_rate: float = 6.0
    """Letters a second; slower is halting or mostly silent."""
    max_rate: float = 22.0
    """Letters a second; faster is a cut clip or a wrong transcript."""


@dataclass(frozen=True)
class SpeakerClip:
    """An utterance, or the same played ``factor`` times faster as another speaker's."""

    utterance: Utterance
    factor: float = 1.0

    @property
    def id(self) -> str:
        return self.utterance.id + self._suffix

    @property
    def speaker(self) -> str:
        return self.utterance.speaker + self._suffix

    @property
    def _suffix(self) -> str:
        return "" if self.factor == 1.0 else f"-{round(100 * self.factor)}"


def preprocess_corpus(
    utterances: Sequence[Utterance],
    out: Path,
    encoder: Path,
    cfg: PreprocessConfig | None = None,
    *,
    vary: Mapping[str, Sequence[float]] | None = None,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """Write ``out/{wavs,mels,embeds}/<id>.npy``; see ``training.preprocessing.preprocess_clips`` for the rest.

    Args:
        encoder: model file of the speaker encoder.
        vary: speaker -> speeds at which the clips are added again as another speaker's.

    Raises:
        TrainingError: no utterance has a transcript.
    """
    clips = [SpeakerClip(u) for u in utterances if u.text]
    if not clips:
        raise TrainingError("None of these clips has a transcript, which the synthesizer needs.")
    clips += [SpeakerClip(c.utterance, f) for c in clips for f in (vary or {}).get(c.utterance.speaker, ())]
    work = partial(preprocess_clip, out=out, encoder=encoder, cfg=cfg or PreprocessConfig())
    return preprocess_clips(clips, work, out, processes=processes, progress=progress)


def preprocess_clip(clip: SpeakerClip, out: Path, encoder: Path, cfg: PreprocessConfig) -> ManifestEntry:
    """Write wav (S,), mel (T, n_mels) and embedding (256,) of a clip.

    Raises:
        AudioError: the recording cannot be read or is not fit to train on.
    """
    utterance = clip.utterance
    wav = load_clip(utterance.path, cfg.clip, clip.factor)
    seconds = len(wav) / cfg.clip.mel.sample_rate * clip.factor
    rate = len(utterance.text or "") / seconds
    if not cfg.min_rate <= rate <= cfg.max_rate:
        reason = "read too slowly" if rate < cfg.min_rate else "read too fast"
        raise UnsuitableClipError(reason, f"{rate:.1f} letters a second")
    mel = MelTransform(cfg.clip.mel)(wav).T
    for folder, array in (("wavs", wav), ("mels", mel), ("embeds", _voice_encoder(encoder).embed_utterance(wav))):
        save_array(out / folder / f"{clip.id}.npy", array)
    return ManifestEntry(
        id=clip.id,
        speaker=clip.speaker,
        text=utterance.text,
        samples=len(wav),
        frames=len(mel),
        sex=utterance.sex,
        split=utterance.split,
    )


@lru_cache(maxsize=1)
def _voice_encoder(path: Path) -> VoiceEncoder:
    """One a worker process, as loading takes longer than a clip."""
    return VoiceEncoder.from_file(path, "cpu")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(
        prog="python -m synthesizer.preprocess",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_preprocessing_arguments(parser, "synthesizer", "corpora with transcripts")
    parser.add_argument("-e", "--encoder_model_fpath", type=Path, default=Path("models/default/encoder.pt"))
    parser.add_argument("--vary", action="append", default=[], metavar="SPEAKER=F,F",
                        help="add the speaker's clips again, played F times faster, as another speaker's")  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        cfg = PreprocessConfig(clip=ClipConfig(max_seconds=8.0, trim=not args.no_trim))
        out = out_dir(args, "synthesizer")
        with clip_bar() as show:
            report = preprocess_corpus(
                chosen_utterances(args),
                out,
                args.encoder_model_fpath,
                apply_overrides(cfg, args.overrides),
                vary=dict(_parse_vary(text) for text in args.vary),
                processes=args.n_processes,
                progress=show,
            )
        entries = read_manifest(out)
        hours = sum(entry.samples for entry in entries) / cfg.clip.mel.sample_rate / 3600
        logger.info("%s", report.summary())
        logger.info("%d clips, %.2f h, %d speakers.", len(entries), hours, len({entry.speaker for entry in entries}))

    return run_command(command, args.verbose)


def _parse_vary(text: str) -> tuple[str, tuple[float, ...]]:
    speaker, _, factors = text.partition("=")
    try:
        return speaker, tuple(float(f) for f in factors.split(","))
    except ValueError as error:
        raise TrainingError(f"--vary needs SPEAKER=FACTOR,FACTOR (for example 84=0.9,1.1), not {text}") from error


if __name__ == "__main__":
    sys.exit(main())
