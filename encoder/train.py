"""``python -m encoder.train RUN DATA``: a speaker encoder from what encoder.preprocess made; knows no formats."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from encoder.dataset import hold_out, usable_entries
from encoder.task import EncoderTask, EncoderTraining
from models.device import choose_device
from training.cli import add_training_arguments, apply_overrides_to, run_command, run_dir, trainer_config
from training.corpus import read_manifest
from training.holdout import trainable
from training.trainer import Trainer, TrainResult

logger = logging.getLogger(__name__)


def train(
    cfg: EncoderTraining,
    data_root: Path,
    directory: Path,
    device: str | None = "cpu",
    *,
    force_restart: bool = False,
) -> TrainResult:
    """Train in ``directory`` until ``cfg.trainer`` says stop, going on from what is there.

    Raises:
        TrainingError: no preprocessed data, or fewer than two speakers to train on.
    """
    entries = trainable(read_manifest(data_root), cfg.task.all_speakers)
    entries = usable_entries(entries, cfg.model.partial_frames, cfg.batch)
    training, validation = hold_out(entries, cfg.task.validation_fraction, cfg.trainer.seed)
    task = EncoderTask(cfg, data_root, training, validation)
    held_out = sorted({entry.speaker for entry in validation})
    logger.info("%d speakers to train on, %d held out.", len(task.dataset.speakers), len(held_out))
    if task.dataset.speakers_per_batch < cfg.batch.speakers:
        logger.warning(
            "There are only %d speakers, so batches have that many instead of %d.",
            task.dataset.speakers_per_batch,
            cfg.batch.speakers,
        )
    details = {
        "data": data_root.name,
        "train_speakers": len(task.dataset.speakers),
        "train_utterances": len(training),
        "validation_speakers": held_out,
        **{name: dataclasses.asdict(getattr(cfg, name)) for name in ("model", "batch", "augment", "task")},
    }
    trainer = Trainer(task, cfg.trainer, directory, choose_device(device), force_restart=force_restart, details=details)
    return trainer.fit()


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line flags; those of RTVC's encoder_train.py keep their names."""
    parser = argparse.ArgumentParser(prog="python -m encoder.train", description=__doc__)
    add_training_arguments(parser, "folder that encoder.preprocess wrote")
    parser.add_argument("-u", "--umap_every", type=int, metavar="N", dest="plot_every",
                        help="steps between pictures of the held-out speakers")  # fmt: skip
    parser.add_argument("--no_visdom", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--visdom_server", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def configure(args: argparse.Namespace) -> EncoderTraining:
    """The training that the flags ask for: defaults, then flags, then ``--set``.

    Raises:
        TrainingError: an unknown setting or a value that cannot be used.
    """
    base = EncoderTraining()
    parts = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    parts["trainer"] = trainer_config(args, base.trainer)
    return EncoderTraining(**apply_overrides_to(parts, args.overrides))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    args = parse(argv)

    def command() -> None:
        if args.no_visdom or args.visdom_server:
            logger.info("Visdom is not used here: see plots/ of the run, or tensorboard --logdir on it.")
        train(configure(args), args.data_root, run_dir(args), args.device, force_restart=args.force_restart)

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
