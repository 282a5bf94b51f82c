"""What the three preprocessing commands share: flags, the resumable parallel run, arrays; knows no network."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from audio.errors import AudioError, ShortAudioError, SilentAudioError, TrainingError
from audio.mel import SYNTHESIZER_MEL, MelConfig
from audio.signal import normalize_volume, resample
from training.cli import add_set_argument, add_verbose_argument
from training.corpus import LAYOUTS, Utterance, find_utterances
from training.manifest import DropReport, ManifestEntry, ManifestWriter
from training.parallel import run_parallel

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class HasId(Protocol):
    """A clip to preprocess."""

    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=HasId)


class UnsuitableClipError(AudioError):
    """A recording that can be read but is not trained on; ``reason`` is what the report counts."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, str(self))


@dataclass(frozen=True)
class ClipConfig:
    """What is kept of a corpus for the synthesizer and the vocoder, and how loud it is made."""

    min_seconds: float = 1.0
    max_seconds: float = 30.0
    volume_dbfs: float = -23.0
    """All clips are brought to this mean level, so that level is nothing that a network has to guess."""
    peak: float = 0.95
    trim: bool = True
    """Shorten long silences: attention fails in them (RTVC's users, threads 53 and 433)."""
    mel: MelConfig = field(default_factory=lambda: SYNTHESIZER_MEL)


def load_clip(path: Path, cfg: ClipConfig, factor: float = 1.0) -> npt.NDArray[np.float32]:
    """A recording as it is trained on, float32 (S,); ``factor`` plays it so many times faster, and higher.

    Raises:
        AudioError: it cannot be read, is silent, too short or too long.
    """
    from audio.io import load_wav
    from audio.vad import trim_long_silences

    rate = cfg.mel.sample_rate
    wav = load_wav(path, rate)
    if factor != 1.0:
        wav = resample(wav, round(rate * factor), rate)
    if cfg.trim:
        wav = trim_long_silences(wav, rate)
    seconds = len(wav) / rate
    if seconds < cfg.min_seconds:
        raise ShortAudioError(f"{seconds:.1f} s of speech, {cfg.min_seconds:g} s are needed.")
    if seconds > cfg.max_seconds:
        raise UnsuitableClipError(
            "too long", f"{seconds:.1f} s of speech, {cfg.max_seconds:g} s are allowed: cut it or set max_seconds."
        )
    if not wav.any():
        raise SilentAudioError("There is nothing to hear in this recording.")
    wav = normalize_volume(wav, cfg.volume_dbfs).astype(np.float32)
    return wav * np.float32(min(1.0, cfg.peak / float(np.abs(wav).max())))


def preprocess_clips(
    clips: Sequence[ItemT],
    work: Callable[[ItemT], ManifestEntry],
    out: Path,
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """Do what ``out/manifest.jsonl`` does not list yet, in parallel; can be killed and resumed.

    Args:
        work: writes a clip's arrays and returns its entry; a function of a module or a functools.partial of one.
        processes: 0 = one a core.
        progress: called with (clips done, clips to do).

    Returns:
        What was dropped in this call and why; also written to ``out/dropped.jsonl``.
    """
    report = DropReport()
    with ManifestWriter(out) as manifest:
        todo = [clip for clip in clips if clip.id not in manifest]
        logger.info("%d of %d clips are done already.", len(clips) - len(todo), len(clips))
        for outcome in run_parallel(work, todo, processes, progress):
            if outcome.error is not None:
                report.add(outcome.item.id, _reason(outcome.error), str(outcome.error))
            elif outcome.value is not None:
                manifest.write(outcome.value)
    report.write(out)
    return report


def _reason(error: Exception) -> str:
    if isinstance(error, UnsuitableClipError):
        return error.reason
    if isinstance(error, ShortAudioError):
        return "too short"
    if isinstance(error, SilentAudioError):
        return "no speech"
    return "unreadable recording" if isinstance(error, AudioError) else f"failed: {type(error).__name__}"


def save_array(path: Path, array: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> None:
    """Write float32; a kill leaves no half array under the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with partial_path.open("wb") as file:
            np.save(file, np.ascontiguousarray(array, dtype=np.float32))
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def add_preprocessing_arguments(parser: argparse.ArgumentParser, kind: str, roots: str = "corpora") -> None:
    """Add the flags that the three commands share; those of RTVC keep their names."""
    parser.add_argument("datasets_root", type=Path, nargs="+", help=roots)
    parser.add_argument("-o", "--out_dir", type=Path, help=f"default: DATASETS_ROOT/SV2TTS/{kind}")
    parser.add_argument("-d", "--datasets", help="splits to use, separated by commas; default: all that are found")
    parser.add_argument("--speakers", type=Path, metavar="FILE",
                        help="keep only the speakers named in this file, separated by white space")  # fmt: skip
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    parser.add_argument("--skip_existing", action="store_true",
                        help="what is done is always skipped; kept for old scripts")  # fmt: skip
    parser.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))
    parser.add_argument("--no_trim", action="store_true", help="leave long silences in")
    add_set_argument(parser)
    add_verbose_argument(parser)


def chosen_utterances(args: argparse.Namespace) -> list[Utterance]:
    """What the flags ask for. Raises TrainingError when nothing is found."""
    splits = [name.strip() for name in args.datasets.split(",")] if args.datasets else None
    found = [u for root in args.datasets_root for u in find_utterances(root, args.layout, splits)]
    if args.speakers is None:
        return found
    try:
        wanted = frozenset(args.speakers.read_text(encoding="utf-8").split())
    except OSError as error:
        raise TrainingError(f"The list of speakers {args.speakers} cannot be read: {error.strerror}.") from error
    kept = [utterance for utterance in found if utterance.speaker in wanted]
    if not kept:
        raise TrainingError(f"None of the speakers that {args.speakers} names is in this corpus.")
    return kept


def out_dir(args: argparse.Namespace, kind: str) -> Path:
    """Where the flags say that the result goes."""
    return args.out_dir or args.datasets_root[0] / "SV2TTS" / kind


@contextmanager
def clip_bar() -> Iterator[Progress]:
    """A progress callback that draws a bar on a terminal."""
    from tqdm import tqdm

    with tqdm(total=0, unit="clip", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
