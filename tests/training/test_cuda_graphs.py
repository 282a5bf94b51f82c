"""Recorded training steps are the plain ones."""

import csv

import pytest
import torch

from models.checkpoint import load_training_state
from tests.training.tiny import TinyTask
from training.trainer import Trainer, TrainerConfig

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_a_recorded_training_is_the_plain_one(tmp_path):
    trained = {}
    for graphs in (False, True):
        cfg = TrainerConfig(steps=6, lr=((0, 1e-2),), validate_every=3, plot_every=0, cuda_graphs=graphs)
        Trainer(TinyTask(dropout=0.0), cfg, tmp_path / str(graphs), torch.device("cuda")).fit()
        trained[graphs] = load_training_state(tmp_path / str(graphs) / "last.pt")["network"]
    before = TinyTask(dropout=0.0).network.state_dict()
    assert (trained[False]["0.weight"].cpu() - before["0.weight"]).abs().max() > 1e-3
    for name, value in trained[False].items():
        torch.testing.assert_close(trained[True][name], value, rtol=1e-3, atol=1e-4)


def test_recorded_dropout_is_drawn_anew_at_every_step(tmp_path):
    cfg = TrainerConfig(steps=12, lr=((0, 1e-9),), log_every=1, plot_every=0, cuda_graphs=True)
    task = TinyTask(dropout=0.5)
    drawn = task.train_batch
    task.train_batch = lambda step, rank, world_size: drawn(0, rank, world_size)
    Trainer(task, cfg, tmp_path, torch.device("cuda")).fit()
    with (tmp_path / "log.csv").open(newline="") as file:
        losses = [row["mse"] for row in csv.DictReader(file) if row["phase"] == "train"]
    assert len(set(losses)) == len(losses) == 12
