"""``python -m encoder.preprocess CORPUS``: recordings to mel frames for the training; knows no network."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audio.mel import MelTransform
from encoder.config import EncoderConfig
from encoder.dataset import mel_path
from encoder.inference import TARGET_DBFS, check_wav, preprocess
from training.cli import apply_overrides, run_command
from training.corpus import DropReport, ManifestEntry, Utterance
from training.preprocessing import (
    Progress,
    UnsuitableClipError,
    add_preprocessing_arguments,
    chosen_utterances,
    clip_bar,
    out_dir,
    preprocess_clips,
    save_array,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessConfig:
    """What is kept of a corpus."""

    model: EncoderConfig = EncoderConfig()
    trim: bool = True
    """Cut out long silences, as ``VoiceEncoder.preprocess`` does with the clips of users."""


def preprocess_utterance(utterance: Utterance, out: Path, cfg: PreprocessConfig) -> ManifestEntry:
    """Write the mel (T, mel_n) of an utterance to ``<out>/<speaker>/<id>.npy``, float32 power.

    Raises:
        AudioError: the recording cannot be read, is silent, or has less speech than a partial utterance.
    """
    mel_cfg = cfg.model.mel
    wav = preprocess(utterance.path, None, cfg.model) if cfg.trim else _load_untrimmed(utterance.path, cfg.model)
    mel = np.ascontiguousarray(np.asarray(MelTransform(mel_cfg)(wav)).T, dtype=np.float32)
    needed = cfg.model.partial_frames
    if len(mel) < needed:
        seconds = needed * mel_cfg.hop_length / mel_cfg.sample_rate
        raise UnsuitableClipError(f"less than {seconds:.1f} s of speech", f"{len(mel)} frames, {needed} are needed.")
    entry = ManifestEntry(
        id=utterance.id,
        speaker=utterance.speaker,
        text=utterance.text,
        samples=len(wav),
        frames=len(mel),
        sex=utterance.sex,
        split=utterance.split,
    )
    save_array(mel_path(out, entry), mel)
    return entry


def _load_untrimmed(path: Path, cfg: EncoderConfig) -> np.ndarray:
    from audio.io import load_wav
    from audio.signal import normalize_volume

    wav = load_wav(path, cfg.mel.sample_rate)
    check_wav(wav, cfg.mel.sample_rate)
    return normalize_volume(wav, TARGET_DBFS, increase_only=True)


def preprocess_corpus(
    utterances: Sequence[Utterance],
    out: Path,
    cfg: PreprocessConfig | None = None,
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """See ``training.preprocessing.preprocess_clips``."""
    work = partial(preprocess_utterance, out=out, cfg=cfg or PreprocessConfig())
    return preprocess_clips(utterances, work, out, processes=processes, progress=progress)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(prog="python -m encoder.preprocess", description=__doc__)
    add_preprocessing_arguments(parser, "encoder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        utterances = chosen_utterances(args)
        cfg = apply_overrides(PreprocessConfig(trim=not args.no_trim), args.overrides)
        with clip_bar() as show:
            report = preprocess_corpus(
                utterances, out_dir(args, "encoder"), cfg, processes=args.n_processes, progress=show
            )
        logger.info("%s", report.summary(len(utterances)))

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
