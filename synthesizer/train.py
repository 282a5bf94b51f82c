"""``python -m synthesizer.train RUN DATA``: trains a Tacotron on what synthesizer.preprocess wrote."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from models.checkpoint import load_state, read_checkpoint
from models.device import choose_device
from synthesizer.config import TacotronConfig
from synthesizer.task import SynthesizerTask, SynthesizerTaskConfig
from synthesizer.text import get_front_end
from training.cli import (
    add_training_arguments,
    apply_overrides_to,
    run_command,
    run_dir,
    trainer_config,
)
from training.trainer import Trainer, TrainerConfig

logger = logging.getLogger(__name__)

DEFAULT_NETWORK = TacotronConfig(embed_dims=256, lstm_dims=512, postnet_dims=128, r=4)
DEFAULT_TRAINER = TrainerConfig(
    steps=100_000,
    lr=((0, 1e-3), (20_000, 5e-4), (40_000, 2e-4), (80_000, 1e-4)),
    warmup_steps=200,
    amp="bf16",
    ema_decay=0.998,
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m synthesizer.train", description=__doc__)
    add_training_arguments(parser, "folder that synthesizer.preprocess wrote")
    parser.add_argument("--front_end", default="arpabet", choices=("arpabet", "rtvc"), help="phonemes or letters")
    parser.add_argument("--init", type=Path, metavar="MODEL", help="start from the weights of this synthesizer")
    args = parser.parse_args(argv)

    def train() -> None:
        symbols = get_front_end(args.front_end).symbols
        network = replace(DEFAULT_NETWORK, front_end=args.front_end, symbols=symbols, n_symbols=len(symbols))
        configs = apply_overrides_to(
            {
                "network": network,
                "data": SynthesizerTaskConfig(seed=args.seed or 0),
                "trainer": trainer_config(args, DEFAULT_TRAINER),
            },
            args.overrides,
        )
        device = choose_device(args.device)
        on_device = device.type == "cuda"
        task = SynthesizerTask(args.data_root, configs["data"], configs["network"], on_device)
        if args.init is not None:
            load_state(task.network, read_checkpoint(args.init, "synthesizer").state, args.init)
        if task.train_data.unspeakable:
            logger.warning("%d utterances have no text that can be spoken.", len(task.train_data.unspeakable))
        details = {
            "data": asdict(configs["data"]),
            "data_root": args.data_root.name,
            "initial": args.init.name if args.init is not None else None,
        }
        Trainer(
            task, configs["trainer"], run_dir(args), device, force_restart=args.force_restart, details=details
        ).fit()

    return run_command(train, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
