"""``python -m encoder.preprocess CORPUS``: recordings to mel frames for the training; knows no network."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audio.errors import AudioError, ShortAudioError, SilentAudioError
from audio.mel import MelTransform
from encoder.config import EncoderConfig
from encoder.dataset import mel_path
from encoder.inference import MIN_SECONDS, TARGET_DBFS, check_wav, preprocess
from training.cli import add_verbose_argument, run_command
from training.corpus import (
    LAYOUTS,
    DropReport,
    ManifestEntry,
    ManifestWriter,
    Utterance,
    find_utterances,
    run_parallel,
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
        raise ShortAudioError(f"{len(mel)} frames of speech, {needed} are needed ({seconds:.1f} s).")
    entry = ManifestEntry(
        id=utterance.id,
        speaker=utterance.speaker,
        text=utterance.text,
        samples=len(wav),
        frames=len(mel),
        sex=utterance.sex,
        split=utterance.split,
    )
    _write_array(mel_path(out, entry), mel)
    return entry


def _load_untrimmed(path: Path, cfg: EncoderConfig) -> np.ndarray:
    from audio.io import load_wav
    from audio.signal import normalize_volume

    wav = load_wav(path, cfg.mel.sample_rate)
    check_wav(wav, cfg.mel.sample_rate)
    return normalize_volume(wav, TARGET_DBFS, increase_only=True)


def _write_array(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.save(content, array)
    # Written beside and replaced, so that a kill leaves no half array under the final name.
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(content.getbuffer())
    os.replace(file.name, path)


def preprocess_corpus(
    utterances: Sequence[Utterance],
    out: Path,
    cfg: PreprocessConfig | None = None,
    *,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> DropReport:
    """Preprocess what ``<out>/manifest.jsonl`` does not list yet, in parallel; can be killed and resumed.

    Args:
        processes: 0 = one a core.
        progress: called with (utterances done, utterances to do).

    Returns:
        What was dropped in this call and why; also written to ``<out>/dropped.jsonl``.
    """
    cfg = cfg or PreprocessConfig()
    report = DropReport()
    with ManifestWriter(out) as manifest:
        todo = [utterance for utterance in utterances if utterance.id not in manifest]
        logger.info("%d of %d utterances are done already.", len(utterances) - len(todo), len(utterances))
        work = partial(preprocess_utterance, out=out, cfg=cfg)
        for outcome in run_parallel(work, todo, processes, progress):
            if outcome.error is not None:
                report.add(outcome.item.id, _reason(outcome.error, cfg), str(outcome.error))
            elif outcome.value is not None:
                manifest.write(outcome.value)
    report.write(out)
    return report


def _reason(error: Exception, cfg: PreprocessConfig) -> str:
    if isinstance(error, ShortAudioError):
        seconds = cfg.model.partial_frames * cfg.model.mel.hop_length / cfg.model.mel.sample_rate
        return f"less than {max(seconds, MIN_SECONDS):.1f} s of speech"
    if isinstance(error, SilentAudioError):
        return "no speech"
    if isinstance(error, AudioError):
        return "unreadable recording"
    return f"failed: {type(error).__name__}"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags; those of RTVC's encoder_preprocess.py keep their names."""
    parser = argparse.ArgumentParser(prog="python -m encoder.preprocess", description=__doc__)
    parser.add_argument("datasets_root", type=Path, help="folder of a corpus, or of several")
    parser.add_argument("-o", "--out_dir", type=Path, help="default: DATASETS_ROOT/SV2TTS/encoder")
    parser.add_argument("-d", "--datasets", help="splits to use, separated by commas; default: all that are found")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    parser.add_argument("-s", "--skip_existing", action="store_true",
                        help="what is done is always skipped; kept for old scripts")  # fmt: skip
    parser.add_argument("--no_trim", action="store_true", help="leave long silences in")
    parser.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))
    add_verbose_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        from tqdm import tqdm

        splits = [name.strip() for name in args.datasets.split(",")] if args.datasets else None
        utterances = find_utterances(args.datasets_root, args.layout, splits)
        out = args.out_dir or args.datasets_root / "SV2TTS" / "encoder"
        with tqdm(total=0, unit="clip", disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = preprocess_corpus(
                utterances, out, PreprocessConfig(trim=not args.no_trim), processes=args.n_processes, progress=show
            )
        logger.info("%s", report.summary(len(utterances)))

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
