"""Turns recordings into what the vocoder trains on: the wav and the mel of each clip, with or without a text.

``python -m vocoder.preprocess CORPUS [CORPUS ...] -o OUT`` makes them from a corpus. ``python -m vocoder.preprocess
DATA --gta MODEL`` adds, to a folder that synthesizer.preprocess wrote, the mels that a synthesizer predicts for the
same clips (ground-truth aligned), so that the vocoder learns to undo its smoothing. Both can be killed and started
again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import AudioError, ShortAudioError, SilentAudioError, TrainingError
from audio.mel import SYNTHESIZER_MEL, MelConfig, MelTransform
from audio.signal import normalize_volume
from training.cli import add_verbose_argument, apply_overrides, run_command
from training.corpus import (
    LAYOUTS,
    DropReport,
    ManifestEntry,
    ManifestWriter,
    Utterance,
    find_utterances,
    read_manifest,
    run_parallel,
)

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
GTA_FOLDER = "mels_gta"


@dataclass(frozen=True)
class PreprocessConfig:
    """What is kept of a corpus, and how loud it is made."""

    min_seconds: float = 1.0
    max_seconds: float = 30.0
    volume_dbfs: float = -23.0
    """All clips are brought to this mean level, as they are for the synthesizer, whose mels the vocoder will read."""
    peak: float = 0.95
    trim: bool = True
    """Shorten long silences."""
    mel: MelConfig = field(default_factory=lambda: SYNTHESIZER_MEL)


def preprocess_utterance(utterance: Utterance, out: Path, cfg: PreprocessConfig) -> ManifestEntry:
    """Write ``out/wavs/<id>.npy`` (S,) and ``out/mels/<id>.npy`` (T, n_mels), float32.

    Raises:
        AudioError: the recording cannot be read, is silent, too short or too long.
    """
    from audio.io import load_wav

    rate = cfg.mel.sample_rate
    wav = load_wav(utterance.path, rate)
    if cfg.trim:
        from audio.vad import trim_long_silences

        wav = trim_long_silences(wav, rate)
    seconds = len(wav) / rate
    if seconds < cfg.min_seconds:
        raise ShortAudioError(f"{seconds:.1f} s of speech, {cfg.min_seconds:g} s are needed.")
    if seconds > cfg.max_seconds:
        raise TooLongError(f"{seconds:.1f} s of speech, {cfg.max_seconds:g} s are allowed: cut it or set max_seconds.")
    highest = float(np.abs(wav).max())
    if highest == 0:
        raise SilentAudioError("There is nothing to hear in this recording.")
    wav = normalize_volume(wav, cfg.volume_dbfs).astype(np.float32)
    wav *= min(1.0, cfg.peak / float(np.abs(wav).max()))
    mel = np.ascontiguousarray(MelTransform(cfg.mel)(wav).T)
    _save(out / "wavs" / f"{utterance.id}.npy", wav)
    _save(out / "mels" / f"{utterance.id}.npy", mel)
    return ManifestEntry(
        id=utterance.id,
        speaker=utterance.speaker,
        text=utterance.text,
        samples=len(wav),
        frames=len(mel),
        sex=utterance.sex,
        split=utterance.split,
    )


class TooLongError(AudioError):
    """A recording that is longer than what a training keeps in memory."""


def preprocess_corpus(
    utterances: Sequence[Utterance],
    out: Path,
    cfg: PreprocessConfig | None = None,
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """Preprocess what ``out/manifest.jsonl`` does not list yet, in parallel; can be killed and resumed.

    Args:
        processes: 0 = one a core.
        progress: called with (clips done, clips to do).

    Returns:
        What was dropped in this call and why; also written to ``out/dropped.jsonl``.
    """
    report = DropReport()
    with ManifestWriter(out) as manifest:
        todo = [utterance for utterance in utterances if utterance.id not in manifest]
        logger.info("%d of %d clips are done already.", len(utterances) - len(todo), len(utterances))
        work = partial(preprocess_utterance, out=out, cfg=cfg or PreprocessConfig())
        for outcome in run_parallel(work, todo, processes, progress):
            if outcome.error is not None:
                report.add(outcome.item.id, _reason(outcome.error), str(outcome.error))
            elif outcome.value is not None:
                manifest.write(outcome.value)
    report.write(out)
    return report


def make_gta_mels(
    data: Path, synthesizer: Path, *, device: str | None = None, progress: Progress | None = None
) -> DropReport:
    """Write ``data/mels_gta/<id>.npy`` (T, n_mels): what a Tacotron predicts, teacher-forced with the recording.

    Pre-net dropout is off, as in the original program. Clips without a usable text or an embedding get a copy of the
    recording's mel, so that the folder is complete. What exists is kept: delete the folder for another model.

    Raises:
        TrainingError: no preprocessed data. ModelError: the synthesizer cannot be used.
    """
    # Here because a vocoder needs no synthesizer but for this.
    from models.device import choose_device
    from models.registry import ModelRegistry
    from synthesizer.layers import PreNet
    from synthesizer.text import get_front_end

    entries = read_manifest(data)
    target = choose_device(device)
    network = ModelRegistry().load(synthesizer, "synthesizer", target)
    for module in network.modules():
        if isinstance(module, PreNet):
            module.dropout = 0.0
    front_end = get_front_end(network.cfg.front_end)
    report = DropReport()
    for done, entry in enumerate(entries, 1):
        path = data / GTA_FOLDER / f"{entry.id}.npy"
        if not path.exists():
            _save(path, _gta_mel(entry, data, network, front_end, target, report))
        if progress is not None:
            progress(done, len(entries))
    return report


def _gta_mel(
    entry: ManifestEntry, data: Path, network: Any, front_end: Any, device: Any, report: DropReport
) -> npt.NDArray[np.float32]:
    import torch

    from audio.errors import TextError
    from synthesizer.dataset import SynthesizerDataset

    try:
        if not (data / "embeds" / f"{entry.id}.npy").exists():
            raise TextError("no speaker embedding")
        dataset = SynthesizerDataset(data, [entry], front_end)
    except (TextError, TrainingError) as error:
        report.add(entry.id, "mel of the recording taken", str(error))
        return np.load(data / "mels" / f"{entry.id}.npy")
    batch = dataset.collate([0], int(network.r), None).to(device)
    with torch.inference_mode():
        out = network(batch.ids, batch.lengths, batch.mels, batch.embeds, batch.frame_lengths)
    return out.mels_post[0, :, : entry.frames].float().cpu().numpy().T


def _save(path: Path, array: npt.NDArray[np.floating]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with partial_path.open("wb") as file:
            np.save(file, np.ascontiguousarray(array, dtype=np.float32))
        os.replace(partial_path, path)
    finally:
        partial_path.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, ShortAudioError):
        return "too short"
    if isinstance(error, TooLongError):
        return "too long"
    if isinstance(error, SilentAudioError):
        return "no speech"
    return "unreadable recording" if isinstance(error, AudioError) else f"failed: {type(error).__name__}"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags; those of RTVC's vocoder_preprocess.py keep their names."""
    parser = argparse.ArgumentParser(
        prog="python -m vocoder.preprocess", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets_root", type=Path, nargs="+", help="corpora; with --gta the preprocessed folder")
    parser.add_argument("-o", "--out_dir", type=Path, help="default: DATASETS_ROOT/SV2TTS/vocoder")
    parser.add_argument("-d", "--datasets", help="splits to use, separated by commas; default: all that are found")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    parser.add_argument("--layout", default="auto", choices=("auto", *LAYOUTS))
    parser.add_argument("--no_trim", action="store_true", help="leave long silences in")
    parser.add_argument("--gta", "-s", "--syn_model_fpath", type=Path, dest="gta", metavar="MODEL",
                        help="add the mels that this synthesizer predicts")  # fmt: skip
    parser.add_argument("--device", help="for --gta: cpu, cuda or cuda:N; default: the best there is")
    parser.add_argument("--cpu", action="store_const", const="cpu", dest="device", help="same as --device cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="change a setting (min_seconds, max_seconds, volume_dbfs, ...)")  # fmt: skip
    add_verbose_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        from tqdm import tqdm

        with tqdm(total=0, unit="clip", disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            if args.gta is not None:
                report = make_gta_mels(args.datasets_root[0], args.gta, device=args.device, progress=show)
                total = None
            else:
                splits = [name.strip() for name in args.datasets.split(",")] if args.datasets else None
                found = [u for root in args.datasets_root for u in find_utterances(root, args.layout, splits)]
                cfg = replace(apply_overrides(PreprocessConfig(), args.overrides), trim=not args.no_trim)
                out = args.out_dir or args.datasets_root[0] / "SV2TTS" / "vocoder"
                report = preprocess_corpus(found, out, cfg, processes=args.n_processes, progress=show)
                total = len(found)
        logger.info("%s", report.summary(total))

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
