"""``python -m synthesizer.train_detail RUN DATA MODEL``: trains a detailer on what synthesizer.drafts wrote."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from models.device import choose_device
from models.registry import ModelRegistry
from synthesizer.detail import DetailConfig
from synthesizer.detail_task import DetailTask, DetailTaskConfig
from synthesizer.drafts import DRAFTS
from training.cli import add_training_arguments, apply_overrides_to, run_command, run_dir, trainer_config
from training.corpus import read_manifest, split_speakers
from training.holdout import trainable
from training.trainer import Trainer, TrainerConfig

logger = logging.getLogger(__name__)

NEW_DETAIL = DetailConfig(
    dims=320, hidden=640, steps=5, temperature=0.0, guidance=1.0, contrast=1.15, envelope_bands=0.0
)
"""What was best on held-out voices, see docs/training.md."""
DEFAULT_TRAINER = TrainerConfig(
    steps=50_000,
    lr=((0, 1e-3), (25_000, 5e-4), (40_000, 2e-4)),
    warmup_steps=100,
    ema_decay=0.999,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(prog="python -m synthesizer.train_detail", description=__doc__)
    add_training_arguments(parser, "folder that synthesizer.drafts was run on")
    parser.add_argument("model", type=Path, help="the synthesizer that made the drafts; one it has is trained on")
    args = parser.parse_args(argv)

    def train() -> None:
        network = ModelRegistry().load(args.model, "synthesizer", torch.device("cpu"))
        configs = apply_overrides_to(
            {
                "detail": network.cfg.detail or NEW_DETAIL,
                "data": DetailTaskConfig(seed=args.seed or 0),
                "trainer": trainer_config(args, DEFAULT_TRAINER),
            },
            args.overrides,
        )
        if network.cfg.detail is None:
            torch.manual_seed(configs["data"].seed)
            network.add_detailer(configs["detail"])
        network.cfg = replace(network.cfg, detail=configs["detail"])
        data = configs["data"]
        drafted = {path.stem for path in (args.data_root / DRAFTS).glob("*.npy")}
        entries = [entry for entry in read_manifest(args.data_root) if entry.id in drafted]
        entries = trainable(entries, data.all_speakers)
        training, validation = split_speakers(entries, data.validation_fraction, data.seed)
        task = DetailTask(args.data_root, data, network, training, validation)
        logger.info("%d clips to train on, %d held out.", len(training), len(validation))
        details = {"data": asdict(data), "data_root": args.data_root.name, "initial": args.model.name}
        device = choose_device(args.device)
        Trainer(
            task, configs["trainer"], run_dir(args), device, force_restart=args.force_restart, details=details
        ).fit()

    return run_command(train, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
