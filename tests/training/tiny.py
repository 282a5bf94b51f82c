"""A training small enough for tests: a two-layer network that learns a fixed linear map."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.checkpoint import write_checkpoint
from training.plots import attention_figure, mel_figure
from training.trainer import Adversary, Trainer, TrainerConfig, step_seed


@dataclass
class Pair:
    x: torch.Tensor
    y: torch.Tensor

    def to(self, device):
        return Pair(self.x.to(device), self.y.to(device))


class TinyTask:
    kind = "vocoder"

    def __init__(self, *, width=8, dropout=0.2, batch=8, seed=0, bad_steps=(), slow=0.0):
        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 2)
        )
        self.loss_module = nn.Linear(1, 1)
        self.adversary: Adversary | None = None
        self.batch, self.seed, self.bad_steps, self.slow = batch, seed, set(bad_steps), slow
        self.prepared = []
        self.exports = []

    def prepare_step(self, step):
        self.prepared.append(step)

    def phase(self, step):
        return None

    def _pair(self, seed, count):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((count, 4)).astype(np.float32)
        y = np.stack([x.sum(1), x[:, 0] - x[:, 1]], axis=1)
        return Pair(torch.from_numpy(x), torch.from_numpy(y))

    def train_batch(self, step, rank, world_size):
        joint = self._pair(step_seed(self.seed, step), self.batch * world_size)
        part = slice(rank * self.batch, (rank + 1) * self.batch)
        pair = Pair(joint.x[part], joint.y[part])
        if step in self.bad_steps:
            pair.x[0] = float("nan")
        return pair

    def validation_batches(self):
        return [self._pair(10_000 + index, 16) for index in range(2)]

    def loss(self, network, batch, step):
        if network.training:
            time.sleep(self.slow)
        error = network(batch.x) - batch.y
        mse = error.square().mean()
        # Linear in mse, so that the mean over processes is the loss of their joint batch.
        loss = mse + self.loss_module(mse.reshape(1, 1)).squeeze()
        return loss, {"mse": error.detach().square().mean(), "at": float(step)}

    def figures(self, step):
        return {
            "attention": attention_figure(np.eye(4)),
            "mel": mel_figure({"target": np.eye(4), "out": np.eye(4)}),
        }

    def samples(self, step):
        return {"tone": (np.zeros(160, np.float32), 16000)}

    def export(self, path, state, card):
        self.exports.append((path.name, state, card))
        config = {"width": state["0.weight"].shape[0]}
        write_checkpoint(path, kind=self.kind, architecture="tiny", config=config, state=state, card=card)


class PlainTask(TinyTask):
    """Without batch norm and dropout: the gradient of a joint batch is the mean of its parts'."""

    def __init__(self, **options):
        super().__init__(dropout=0.0, **options)
        self.network[1] = nn.Identity()


def settings(steps, **changes):
    """Log every step, save and validate now and then."""
    values = {"log_every": 1, "save_every": 3, "validate_every": 4, "plot_every": 0, "ema_decay": 0.9}
    return TrainerConfig(steps=steps, **{**values, **changes})


if __name__ == "__main__":
    torch.set_num_threads(1)
    kind, folder, n_steps, delay = sys.argv[1:]
    if kind == "plain":
        Trainer(PlainTask(batch=8, slow=float(delay)), settings(int(n_steps)), Path(folder)).fit()
    else:
        Trainer(TinyTask(slow=float(delay)), settings(int(n_steps)), Path(folder)).fit()
