"""Turns recordings into what the vocoder trains on: the wav and the mel of each clip, with or without a text.

``python -m vocoder.preprocess CORPUS [CORPUS ...] -o OUT`` makes them from a corpus. ``python -m vocoder.preprocess
DATA --gta MODEL`` adds, to a folder that synthesizer.preprocess wrote, the mels that a synthesizer predicts for the
same clips (ground-truth aligned), so that the vocoder learns to undo its smoothing. Both can be killed and started
again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.errors import TrainingError
from audio.mel import MelTransform
from training.cli import apply_overrides, run_command
from training.corpus import DropReport, ManifestEntry, Utterance, read_manifest
from training.preprocessing import (
    ClipConfig,
    Progress,
    add_preprocessing_arguments,
    chosen_utterances,
    clip_bar,
    load_clip,
    out_dir,
    preprocess_clips,
    save_array,
)

logger = logging.getLogger(__name__)

GTA_FOLDER = "mels_gta"


def preprocess_utterance(utterance: Utterance, out: Path, cfg: ClipConfig) -> ManifestEntry:
    """Write ``out/wavs/<id>.npy`` (S,) and ``out/mels/<id>.npy`` (T, n_mels), float32.

    Raises:
        AudioError: the recording cannot be read, is silent, too short or too long.
    """
    wav = load_clip(utterance.path, cfg)
    mel = MelTransform(cfg.mel)(wav).T
    save_array(out / "wavs" / f"{utterance.id}.npy", wav)
    save_array(out / "mels" / f"{utterance.id}.npy", mel)
    return ManifestEntry(
        id=utterance.id,
        speaker=utterance.speaker,
        text=utterance.text,
        samples=len(wav),
        frames=len(mel),
        sex=utterance.sex,
        split=utterance.split,
    )


def preprocess_corpus(
    utterances: Sequence[Utterance],
    out: Path,
    cfg: ClipConfig | None = None,
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """See ``training.preprocessing.preprocess_clips``."""
    work = partial(preprocess_utterance, out=out, cfg=cfg or ClipConfig())
    return preprocess_clips(utterances, work, out, processes=processes, progress=progress)


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
            save_array(path, _gta_mel(entry, data, network, front_end, target, report))
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


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(
        prog="python -m vocoder.preprocess", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_preprocessing_arguments(parser, "vocoder", "corpora; with --gta the preprocessed folder")
    parser.add_argument("--gta", "-s", "--syn_model_fpath", type=Path, dest="gta", metavar="MODEL",
                        help="add the mels that this synthesizer predicts")  # fmt: skip
    parser.add_argument("--device", help="for --gta: cpu, cuda or cuda:N; default: the best there is")
    parser.add_argument("--cpu", action="store_const", const="cpu", dest="device", help="same as --device cpu")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        with clip_bar() as show:
            if args.gta is not None:
                report = make_gta_mels(args.datasets_root[0], args.gta, device=args.device, progress=show)
                logger.info("%s", report.summary())
                return
            utterances = chosen_utterances(args)
            cfg = apply_overrides(ClipConfig(trim=not args.no_trim), args.overrides)
            report = preprocess_corpus(
                utterances, out_dir(args, "vocoder"), cfg, processes=args.n_processes, progress=show
            )
        logger.info("%s", report.summary(len(utterances)))

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
