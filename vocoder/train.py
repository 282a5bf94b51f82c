"""``python -m vocoder.train RUN DATA``: trains a vocoder on preprocessed speech; knows no model formats."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.device import choose_device
from training.cli import add_training_arguments, apply_overrides_to, run_command, run_dir, trainer_config
from training.corpus import read_manifest, split_speakers
from training.holdout import trainable
from training.trainer import Trainer, TrainResult
from vocoder.task import VocoderTraining, WaveNetTask, WaveNetTraining, WaveRNNTask
from vocoder.vocos_task import VocosTask, VocosTraining

logger = logging.getLogger(__name__)

Training = VocoderTraining | WaveNetTraining | VocosTraining
ARCHITECTURES: dict[str, tuple[type[Training], type[Any]]] = {
    "wavernn": (VocoderTraining, WaveRNNTask),
    "wavenet": (WaveNetTraining, WaveNetTask),
    "vocos": (VocosTraining, VocosTask),
}
"""Settings and task of each."""


def train(
    cfg: Training,
    data_root: Path,
    directory: Path,
    device: str | None = "cpu",
    *,
    force_restart: bool = False,
    initial: Path | None = None,
) -> TrainResult:
    """Train in ``directory`` until ``cfg.trainer`` says stop, going on from what is there.

    initial: a vocoder of the same sizes whose weights a new training starts from (fine-tuning).

    Raises:
        TrainingError: no preprocessed data. ModelError: ``initial`` cannot be used.
    """
    entries = trainable(read_manifest(data_root), cfg.task.all_speakers)
    training, validation = split_speakers(entries, cfg.task.validation_fraction, cfg.trainer.seed)
    make_task = next(task for settings, task in ARCHITECTURES.values() if isinstance(cfg, settings))
    task = make_task(cfg, data_root, training, validation)
    if initial is not None:
        from models.checkpoint import load_state, read_checkpoint

        load_state(task.network, read_checkpoint(initial, "vocoder").state, initial)
    hours = sum(entry.samples for entry in training) / cfg.model.mel.sample_rate / 3600
    logger.info("%d utterances (%.2f h) to train on, %d held out.", len(training), hours, len(validation))
    details = {
        "data": data_root.name,
        "train_speakers": len({entry.speaker for entry in training}),
        "train_utterances": len(training),
        "train_hours": round(hours, 3),
        "validation_speakers": sorted({entry.speaker for entry in validation}),
        "initial": initial.name if initial is not None else None,
        **{name: dataclasses.asdict(getattr(cfg, name)) for name in ("data", "task")},
    }
    return Trainer(
        task, cfg.trainer, directory, choose_device(device), force_restart=force_restart, details=details
    ).fit()


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags; those of RTVC's vocoder_train.py keep their names."""
    parser = argparse.ArgumentParser(prog="python -m vocoder.train", description=__doc__)
    add_training_arguments(parser, "folder that vocoder.preprocess or synthesizer.preprocess wrote")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="wavernn", help="default: wavernn")
    parser.add_argument(
        "-g", "--ground_truth", action="store_true",
        help="train on the mels of the recordings even when there are those of a synthesizer",
    )  # fmt: skip
    parser.add_argument("--init", type=Path, metavar="MODEL", help="start from the weights of this vocoder")
    parser.add_argument("--syn_dir", help=argparse.SUPPRESS)
    parser.add_argument("--voc_dir", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def configure(args: argparse.Namespace) -> Training:
    """The training that the flags ask for: defaults, then flags, then ``--set``.

    Raises:
        TrainingError: an unknown setting or a value that cannot be used.
    """
    settings, _ = ARCHITECTURES[args.architecture]
    base = settings()
    parts = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    parts["trainer"] = trainer_config(args, base.trainer)
    if not args.ground_truth and (args.data_root / "mels_gta").is_dir():
        parts["data"] = dataclasses.replace(base.data, mels="mels_gta")
    return settings(**apply_overrides_to(parts, args.overrides))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        if args.syn_dir or args.voc_dir:
            logger.info("--syn_dir and --voc_dir are not used: everything lies in the data folder.")
        train(
            configure(args),
            args.data_root,
            run_dir(args),
            args.device,
            force_restart=args.force_restart,
            initial=args.init,
        )

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
