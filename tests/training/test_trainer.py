"""The training loop on a network of a few weights."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from audio.errors import TrainingError
from models.checkpoint import load_training_state
from tests.training.tiny import PlainTask, TinyTask, settings
from training.ema import Ema
from training.trainer import Trainer, TrainerConfig, step_seed

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("tiny.py")


def rows(run_dir, phase="train"):
    """(step, loss as written) of log.csv: strings, so that equal means equal bits."""
    with open(run_dir / "log.csv", newline="") as file:
        return [(int(row["step"]), row["loss"]) for row in csv.DictReader(file) if row["phase"] == phase]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def assert_same_state(one, other):
    for part in ("network", "loss_module"):
        assert one[part].keys() == other[part].keys()
        for name in one[part]:
            assert torch.equal(one[part][name], other[part][name]), name
    for name, value in one["ema"]["shadow"].items():
        assert torch.equal(value, other["ema"]["shadow"][name]), name
    for index, moments in one["optimizer"].items():
        for name, value in moments.items():
            assert torch.equal(value, other["optimizer"][index][name]), (index, name)


def test_training_lowers_the_loss_and_leaves_its_files(tmp_path):
    task = TinyTask()
    cfg = settings(40, lr=((0, 0.05),), plot_every=20, backup_every=20)
    result = Trainer(task, cfg, tmp_path, details={"data_root": "tiny"}).fit()
    losses = [float(loss) for _, loss in rows(tmp_path, "validation")]
    assert result.stopped_by == "steps" and result.step == 40
    assert result.best_loss == min(losses) < losses[0] / 2
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert {"last.pt", "best.safetensors", "best.json", "backup_000020.safetensors", "plots/loss.png"} <= names
    assert {"plots/attention-0000020.png", "plots/mel-0000040.png"} <= names
    assert any(name.startswith("events/") for name in names)
    assert not any("tmp" in name for name in names)
    card = json.loads((tmp_path / "best.json").read_text())["card"]
    assert card["validation"]["loss"] == result.best_loss and card["data_root"] == "tiny"


def test_run_record_tells_how_to_repeat_it_without_this_machines_paths(tmp_path):
    Trainer(TinyTask(), settings(2), tmp_path, details={"data_root": "tiny"}).fit()
    Trainer(TinyTask(), settings(4, lr=((0, 0.01),)), tmp_path, details={"data_root": "tiny"}).fit()
    text = (tmp_path / "train_config.json").read_text()
    record = json.loads(text)
    assert record["trainer"]["steps"] == 4 and record["data_root"] == "tiny"
    assert record["parameters"] == sum(p.numel() for p in TinyTask().network.parameters())
    assert record["versions"]["torch"] == torch.__version__
    assert [start["step"] for start in record["starts"]] == [0, 2]
    assert set(record["starts"][1]["changed"]) == {"steps", "lr"}
    assert str(tmp_path) not in text and str(ROOT) not in text


def test_resumed_training_equals_straight_training(tmp_path):
    Trainer(TinyTask(), settings(12), tmp_path / "straight").fit()
    Trainer(TinyTask(), settings(5), tmp_path / "halves").fit()
    task = TinyTask(seed=0)
    with torch.no_grad():
        task.network[0].weight.zero_()
    Trainer(task, settings(12), tmp_path / "halves").fit()
    assert rows(tmp_path / "halves") == rows(tmp_path / "straight")
    assert task.prepared[0] == 5
    assert_same_state(
        load_training_state(tmp_path / "halves" / "last.pt"), load_training_state(tmp_path / "straight" / "last.pt")
    )


def test_training_killed_without_warning_resumes_exactly(tmp_path):
    run_dir = tmp_path / "killed"
    command = [sys.executable, str(SCRIPT), "tiny", str(run_dir), "1000", "0.05"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    log = run_dir / "log.csv"
    deadline = time.monotonic() + 60
    while not (log.is_file() and len(log.read_text().splitlines()) > 9) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    saved = load_training_state(run_dir / "last.pt")["step"]
    assert 3 <= saved < 1000
    end = saved + 6
    Trainer(TinyTask(), settings(end), run_dir).fit()
    Trainer(TinyTask(), settings(end), tmp_path / "straight").fit()
    assert rows(run_dir) == rows(tmp_path / "straight")
    assert rows(run_dir, "validation") == rows(tmp_path / "straight", "validation")
    assert_same_state(load_training_state(run_dir / "last.pt"), load_training_state(tmp_path / "straight" / "last.pt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_returns(tmp_path, number):
    class Interrupted(TinyTask):
        def loss(self, network, batch, step):
            if step == 4 and network.training:
                signal.raise_signal(number)
            return super().loss(network, batch, step)

    before = signal.getsignal(number)
    result = Trainer(Interrupted(), settings(100, save_every=1000), tmp_path).fit()
    assert (result.stopped_by, result.step) == ("interrupt", 5)
    assert load_training_state(tmp_path / "last.pt")["step"] == 5
    assert signal.getsignal(number) is before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    Trainer(TinyTask(), settings(9), tmp_path).fit()
    Trainer(TinyTask(), settings(9), tmp_path / "straight").fit()
    assert rows(tmp_path) == rows(tmp_path / "straight")


def test_max_minutes_stops_cleanly_with_a_validation(tmp_path):
    result = Trainer(TinyTask(slow=0.02), settings(10_000, max_minutes=0.002, validate_every=9999), tmp_path).fit()
    assert result.stopped_by == "time" and 0 < result.step < 100
    assert rows(tmp_path, "validation")[-1][0] == result.step
    assert math.isfinite(load_training_state(tmp_path / "last.pt")["best_loss"])


def test_a_non_finite_step_is_left_out(tmp_path, caplog):
    task = TinyTask(bad_steps=(2,))
    Trainer(task, settings(3, save_every=1), tmp_path).fit()
    assert "Step 3 left out" in caplog.text
    two = tmp_path / "two"
    Trainer(TinyTask(), settings(2), two).fit()
    good, after_bad = load_training_state(two / "last.pt"), load_training_state(tmp_path / "last.pt")
    assert after_bad["step"] == 3
    assert_same_state(good, after_bad)
    assert all(bool(torch.isfinite(value).all()) for value in after_bad["network"].values())


def test_many_non_finite_steps_end_the_training_and_keep_the_good_state(tmp_path):
    task = TinyTask(bad_steps=range(6, 100))
    with pytest.raises(TrainingError, match="lower the learning rate"):
        Trainer(task, settings(50, max_bad_steps=3), tmp_path).fit()
    state = load_training_state(tmp_path / "last.pt")
    assert state["step"] == 6
    assert all(bool(torch.isfinite(value).all()) for value in state["network"].values())


def test_an_error_while_loading_a_batch_surfaces(tmp_path):
    class Broken(TinyTask):
        def train_batch(self, step, rank, world_size):
            if step == 3:
                raise TrainingError("clip 7 is gone")
            return super().train_batch(step, rank, world_size)

    with pytest.raises(TrainingError, match="clip 7 is gone"):
        Trainer(Broken(), settings(10), tmp_path).fit()
    assert load_training_state(tmp_path / "last.pt")["step"] == 3


def test_failing_figures_do_not_end_the_training(tmp_path, caplog):
    class NoFigures(TinyTask):
        def figures(self, step):
            raise RuntimeError("no ink")

    result = Trainer(NoFigures(), settings(4, plot_every=2), tmp_path).fit()
    assert result.step == 4 and "could not be made" in caplog.text


def test_figures_and_validation_do_not_change_the_training(tmp_path):
    class Greedy(TinyTask):
        def figures(self, step):
            torch.rand(7)
            return {}

    Trainer(Greedy(), settings(6, plot_every=1, validate_every=2), tmp_path / "often").fit()
    Trainer(TinyTask(), settings(6, validate_every=0), tmp_path / "never").fit()
    assert rows(tmp_path / "often") == rows(tmp_path / "never")


def test_the_averaged_weights_are_validated_and_exported(tmp_path):
    task = TinyTask()
    Trainer(task, settings(4), tmp_path).fit()
    _, exported, _ = task.exports[-1]
    shadow = load_training_state(tmp_path / "last.pt")["ema"]["shadow"]
    assert torch.equal(exported["0.weight"], shadow["0.weight"])
    assert not torch.equal(exported["0.weight"], task.network.state_dict()["0.weight"])


def test_ema_follows_its_formula():
    network = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(0.0)
    ema = Ema(network, 0.5)
    expected = 0.0
    for n, value in enumerate([1.0, 3.0, -2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]):
        with torch.no_grad():
            network.weight.fill_(value)
        ema.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert ema.shadow["weight"].item() == pytest.approx(expected, rel=1e-6)
    with ema.applied():
        assert network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 4.0


def test_learning_rate_schedule():
    cfg = TrainerConfig(steps=100, lr=((0, 1.0), (10, 0.5), (20, 0.1)), warmup_steps=4)
    rates = [cfg.lr_at(step) for step in (0, 1, 3, 4, 9, 10, 19, 20, 99)]
    assert rates == pytest.approx([0.25, 0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.1, 0.1])


def test_the_learning_rate_falls_along_half_a_cosine():
    cfg = TrainerConfig(steps=101, lr=((0, 1.0),), warmup_steps=2, final_lr=0.1)
    rates = [cfg.lr_at(step) for step in (0, 25, 50, 75, 100, 500)]
    assert rates == pytest.approx([0.5, 0.55 + 0.45 * 0.5**0.5, 0.55, 0.55 - 0.45 * 0.5**0.5, 0.1, 0.1])


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0}, {"final_lr": 0.01}, {"lr": ()}, {"lr": ((5, 1.0),)}, {"lr": ((0, -1.0),)}, {"amp": "fp8"},
        {"ema_decay": 1.0},
    ],  # fmt: skip
)
def test_settings_that_cannot_be_used_are_named(bad):
    with pytest.raises(TrainingError, match=next(iter(bad))):
        TrainerConfig(**bad)


def test_another_architecture_is_refused_clearly(tmp_path):
    Trainer(TinyTask(), settings(2), tmp_path).fit()
    with pytest.raises(TrainingError, match=r"another architecture.*0\.weight is \(8, 4\), now \(6, 4\)"):
        Trainer(TinyTask(width=6), settings(4), tmp_path).fit()
    result = Trainer(TinyTask(width=6), settings(1), tmp_path, force_restart=True).fit()
    assert result.step == 1 and rows(tmp_path)[0][0] == 1


def test_another_kind_of_training_in_the_folder_is_refused(tmp_path):
    Trainer(TinyTask(), settings(2), tmp_path).fit()
    task = TinyTask()
    task.kind = "encoder"
    with pytest.raises(TrainingError, match="another run name"):
        Trainer(task, settings(4), tmp_path).fit()


def test_averaging_can_be_turned_on_later(tmp_path):
    Trainer(TinyTask(), settings(3, ema_decay=0.0), tmp_path).fit()
    Trainer(TinyTask(), settings(5), tmp_path).fit()
    assert load_training_state(tmp_path / "last.pt")["ema"]["updates"] == 2


def test_bf16_autocast_trains(tmp_path):
    class Watch(TinyTask):
        def loss(self, network, batch, step):
            self.seen = network(batch.x).dtype
            return super().loss(network, batch, step)

    task = Watch()
    Trainer(task, settings(3, amp="bf16"), tmp_path).fit()
    assert task.seen == torch.bfloat16
    assert task.network[0].weight.dtype == torch.float32


def test_gradients_are_clipped_and_their_norm_logged(tmp_path):
    task = PlainTask()
    Trainer(task, settings(1, clip_norm=1e-3), tmp_path).fit()
    with open(tmp_path / "log.csv", newline="") as file:
        logged = float(next(csv.DictReader(file))["grad_norm"])
    total = sum(float(p.grad.square().sum()) for m in (task.network, task.loss_module) for p in m.parameters())
    assert logged > 0.1 and math.sqrt(total) == pytest.approx(1e-3, rel=1e-2)


def test_step_seeds_differ():
    seeds = {step_seed(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(2)}
    assert len(seeds) == 300
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3)


def test_two_processes_train_as_one_with_their_joint_batch(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(SCRIPT)]
    done = subprocess.run(
        [*command, "plain", str(tmp_path / "two"), "6", "0"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    Trainer(PlainTask(batch=16), settings(6), tmp_path / "one").fit()
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [step for step, _ in two] == [1, 2, 3, 4, 5, 6]
    assert [float(loss) for _, loss in two] == pytest.approx([float(loss) for _, loss in one], rel=1e-5)
    states = [load_training_state(tmp_path / name / "last.pt") for name in ("one", "two")]
    for part in ("network", "loss_module"):
        for name, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][name], value, rtol=1e-4, atol=1e-6)
