"""Turns corpora into what the synthesizer and the vocoder train on: wav, mel and speaker embedding of each clip.

``python -m synthesizer.preprocess CORPUS [CORPUS ...] -o OUT``. Can be killed and started again: what exists is kept.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from audio.errors import ToolboxError, TrainingError
from audio.io import load_wav
from audio.mel import SYNTHESIZER_MEL, MelTransform
from audio.signal import normalize_volume, resample
from audio.vad import trim_long_silences
from encoder.inference import VoiceEncoder
from training.corpus import (
    DropReport,
    ManifestEntry,
    ManifestWriter,
    Utterance,
    find_utterances,
    read_manifest,
    run_parallel,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreprocessConfig:
    min_seconds: float = 1.0
    max_seconds: float = 8.0
    min_rate: float = 6.0
    """Letters a second; slower is halting or mostly silent."""
    max_rate: float = 22.0
    """Letters a second; faster is a cut clip or a wrong transcript."""
    volume_dbfs: float = -23.0
    """All clips are brought to this RMS level, so that level is nothing the network has to guess."""
    peak: float = 0.95
    sample_rate: int = 16000


@dataclass(frozen=True)
class Clip:
    """An utterance, or the same played ``factor`` times faster as another speaker's."""

    utterance: Utterance
    factor: float = 1.0

    @property
    def entry_id(self) -> str:
        return self.utterance.id if self.factor == 1.0 else f"{self.utterance.id}-{round(100 * self.factor)}"

    @property
    def speaker(self) -> str:
        return self.utterance.speaker if self.factor == 1.0 else f"{self.utterance.speaker}-{round(100 * self.factor)}"


class DroppedClip(Exception):
    """A clip that is not trained on, with the reason."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def preprocess(
    roots: Sequence[Path],
    out: Path,
    encoder_path: Path,
    cfg: PreprocessConfig = PreprocessConfig(),
    *,
    speakers: frozenset[str] | None = None,
    vary: dict[str, tuple[float, ...]] | None = None,
    need_text: bool = True,
    processes: int = 0,
    progress=None,
) -> DropReport:
    """Write ``out/manifest.jsonl`` and ``out/{wavs,mels,embeds}/<id>.npy``; return what was dropped and why.

    speakers: keep only these; vary: speaker -> speeds at which the clips are added again as another speaker's.
    """
    utterances = [u for root in roots for u in find_utterances(root)]
    clips = [Clip(u) for u in utterances if (u.text or not need_text) and (speakers is None or u.speaker in speakers)]
    clips += [Clip(c.utterance, f) for c in clips for f in (vary or {}).get(c.utterance.speaker, ())]
    if not clips:
        raise TrainingError(f"No usable clips under {', '.join(map(str, roots))}: the synthesizer needs transcripts.")
    for name in ("wavs", "mels", "embeds"):
        (out / name).mkdir(parents=True, exist_ok=True)
    report = DropReport()
    with ManifestWriter(out) as manifest:
        todo = [clip for clip in clips if clip.entry_id not in manifest]
        work = partial(_process, out=out, encoder_path=encoder_path, cfg=cfg)
        for outcome in run_parallel(work, todo, processes, progress):
            if outcome.value is not None:
                manifest.write(outcome.value)
            elif isinstance(outcome.error, DroppedClip):
                report.add(outcome.item.entry_id, outcome.error.reason, outcome.error.detail)
            else:
                report.add(outcome.item.entry_id, "failed", str(outcome.error))
    report.write(out)
    return report


def _process(clip: Clip, out: Path, encoder_path: Path, cfg: PreprocessConfig) -> ManifestEntry:
    wav = load_wav(clip.utterance.path, cfg.sample_rate)
    if clip.factor != 1.0:
        wav = resample(wav, round(cfg.sample_rate * clip.factor), cfg.sample_rate)
    wav = trim_long_silences(wav, cfg.sample_rate)
    seconds = len(wav) / cfg.sample_rate
    if not cfg.min_seconds <= seconds <= cfg.max_seconds:
        raise DroppedClip("too short" if seconds < cfg.min_seconds else "too long", f"{seconds:.1f} s of speech")
    if clip.utterance.text:
        rate = len(clip.utterance.text) / seconds / clip.factor
        if not cfg.min_rate <= rate <= cfg.max_rate:
            raise DroppedClip("read too slowly" if rate < cfg.min_rate else "read too fast", f"{rate:.1f} letters/s")
    wav = normalize_volume(wav, cfg.volume_dbfs).astype(np.float32)
    wav *= min(1.0, cfg.peak / float(np.abs(wav).max()))
    mel = _mel_transform()(wav).T
    embed = _encoder(encoder_path).embed_utterance(wav)
    for name, array in (("wavs", wav), ("mels", mel), ("embeds", embed)):
        _save_array(out / name / f"{clip.entry_id}.npy", array)
    u = clip.utterance
    return ManifestEntry(clip.entry_id, clip.speaker, u.text, len(wav), len(mel), u.sex, u.split)


def _save_array(path: Path, array: np.ndarray) -> None:
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    with scratch.open("wb") as file:
        np.save(file, np.ascontiguousarray(array, dtype=np.float32))
    os.replace(scratch, path)


@lru_cache(maxsize=1)
def _mel_transform() -> MelTransform:
    return MelTransform(SYNTHESIZER_MEL)


@lru_cache(maxsize=1)
def _encoder(path: Path) -> VoiceEncoder:
    """One per worker process."""
    return VoiceEncoder.from_file(path, "cpu")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m synthesizer.preprocess", description=__doc__)
    parser.add_argument("datasets_root", type=Path, nargs="+", help="corpora with transcripts")
    parser.add_argument("-o", "--out_dir", type=Path, required=True)
    parser.add_argument("-e", "--encoder_model_fpath", type=Path, default=Path("models/default/encoder.pt"))
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="0: one per core")
    parser.add_argument("--speakers", type=Path, help="file with the speakers to keep, separated by white space")
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="SPEAKER=F,F",
        help="add the speaker's clips again, played F times faster, as another speaker's",
    )
    parser.add_argument("--no_text", action="store_true", help="also clips without a transcript (for a vocoder)")
    for name in ("min_seconds", "max_seconds", "min_rate", "max_rate"):
        parser.add_argument(f"--{name}", type=float, default=getattr(PreprocessConfig, name))
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        cfg = replace(
            PreprocessConfig(),
            min_seconds=args.min_seconds,
            max_seconds=args.max_seconds,
            min_rate=args.min_rate,
            max_rate=args.max_rate,
        )
        speakers = frozenset(args.speakers.read_text(encoding="utf-8").split()) if args.speakers else None
        report = preprocess(
            args.datasets_root,
            args.out_dir,
            args.encoder_model_fpath,
            cfg,
            speakers=speakers,
            vary=dict(_parse_vary(v) for v in args.vary),
            need_text=not args.no_text,
            processes=args.n_processes,
            progress=_log_progress,
        )
    except ToolboxError as error:
        print(error, file=sys.stderr)
        return 1
    logger.info("%s", report.summary())
    entries = read_manifest(args.out_dir)
    hours = sum(e.samples for e in entries) / cfg.sample_rate / 3600
    logger.info("%d clips, %.2f h, %d speakers.", len(entries), hours, len({e.speaker for e in entries}))
    return 0


def _parse_vary(text: str) -> tuple[str, tuple[float, ...]]:
    speaker, _, factors = text.partition("=")
    try:
        return speaker, tuple(float(f) for f in factors.split(","))
    except ValueError as error:
        raise TrainingError(f"--vary needs SPEAKER=FACTOR,FACTOR (for example 84=0.9,1.1), not {text}") from error


def _log_progress(done: int, total: int) -> None:
    if done % 500 == 0 or done == total:
        logger.info("%d of %d clips", done, total)


if __name__ == "__main__":
    sys.exit(main())
