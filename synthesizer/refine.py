"""``python -m synthesizer.refine RUN DATA MODEL``: trains the post-net on what synthesizer.drafts wrote."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from models.device import choose_device
from models.registry import ModelRegistry
from synthesizer.drafts import DRAFTS
from synthesizer.refine_task import RefineConfig, RefineTask
from training.cli import add_training_arguments, apply_overrides_to, run_command, run_dir, trainer_config
from training.corpus import read_manifest, split_speakers
from training.holdout import trainable
from training.trainer import Trainer, TrainerConfig

logger = logging.getLogger(__name__)

DEFAULT_TRAINER = TrainerConfig(
    steps=20_000,
    lr=((0, 4e-4), (10_000, 2e-4)),
    warmup_steps=100,
    # What adversarial trainings of sound use (Kong et al. 2020, section 3.2).
    adam_betas=(0.8, 0.99),
    clip_norm=5.0,
    ema_decay=0.998,
    backup_every=1000,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(prog="python -m synthesizer.refine", description=__doc__)
    add_training_arguments(parser, "folder that synthesizer.drafts was run on")
    parser.add_argument("model", type=Path, help="the synthesizer that made the drafts")
    args = parser.parse_args(argv)

    def train() -> None:
        configs = apply_overrides_to(
            {"data": RefineConfig(seed=args.seed or 0), "trainer": trainer_config(args, DEFAULT_TRAINER)},
            args.overrides,
        )
        cfg = configs["data"]
        network = ModelRegistry().load(args.model, "synthesizer", torch.device("cpu"))
        drafted = {path.stem for path in (args.data_root / DRAFTS).glob("*.npy")}
        entries = [entry for entry in read_manifest(args.data_root) if entry.id in drafted]
        training, validation = split_speakers(trainable(entries, cfg.all_speakers), cfg.validation_fraction, cfg.seed)
        task = RefineTask(args.data_root, cfg, network, training, validation)
        logger.info("%d clips to train on, %d held out.", len(training), len(validation))
        details = {"data": asdict(cfg), "data_root": args.data_root.name, "initial": args.model.name}
        device = choose_device(args.device)
        Trainer(
            task, configs["trainer"], run_dir(args), device, force_restart=args.force_restart, details=details
        ).fit()

    return run_command(train, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
