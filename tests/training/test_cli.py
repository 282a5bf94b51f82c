"""Flags and --set."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from audio.errors import TrainingError
from training.cli import (
    add_training_arguments,
    apply_overrides,
    apply_overrides_to,
    run_command,
    run_dir,
    trainer_config,
)
from training.trainer import TrainerConfig


@dataclass(frozen=True)
class Inner:
    n_fft: int = 800
    power: float = 1.0


@dataclass(frozen=True)
class Outer:
    size: int = 4
    rate: float = 0.5
    on: bool = False
    name: str = "x"
    mode: Literal["RAW", "MOL"] = "RAW"
    limit: int | None = 3
    factors: tuple[int, ...] = (5, 5, 8)
    lr: tuple[tuple[int, float], ...] = ((0, 1e-3),)
    mel: Inner = field(default_factory=Inner)
    folder: Path = Path("a")
    weights: dict[str, float] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("size=7", "size", 7),
        ("rate=1e-3", "rate", 1e-3),
        ("rate=2", "rate", 2.0),
        ("on=yes", "on", True),
        ("on=False", "on", False),
        ("name=a=b", "name", "a=b"),
        ("mode=MOL", "mode", "MOL"),
        ("limit=none", "limit", None),
        ("limit=9", "limit", 9),
        ("factors=[4, 4]", "factors", (4, 4)),
        ("lr=[[0, 1], [10, 0.5]]", "lr", ((0, 1.0), (10, 0.5))),
        ("mel.n_fft=1024", "mel", Inner(n_fft=1024)),
        ('mel={"power": 2}', "mel", Inner(power=2.0)),
        ("folder=/b/c", "folder", Path("/b/c")),
        ('weights={"a": 1}', "weights", {"a": 1.0}),
    ],
)
def test_values_are_parsed_by_the_fields_type(override, name, value):
    changed = apply_overrides(Outer(), [override])
    assert getattr(changed, name) == value
    assert type(getattr(changed, name)) is type(value)
    assert Outer() == Outer(**{**vars(changed), name: getattr(Outer(), name)})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("size=4.5", "size=4.5: expected int"),
        ("on=maybe", "true or false"),
        ("mode=FFT", "one of RAW, MOL"),
        ("factors=5", "JSON"),
        ("factors=[1.5]", "JSON"),
        ("lr=[[0]]", "JSON"),
        ("lr=0.1", "JSON"),
        ("speed=1", "Settings are: size, rate, on"),
        ("mel.hop=1", "Settings are: n_fft, power"),
        ("size.x=1", "no settings of its own"),
        ("size", "write --set key=value"),
    ],
)
def test_mistakes_say_what_was_expected(override, message):
    with pytest.raises(TrainingError, match=message):
        apply_overrides(Outer(), [override])


def test_a_value_that_the_config_refuses_keeps_its_message():
    with pytest.raises(TrainingError, match="amp must be"):
        apply_overrides(TrainerConfig(), ["amp=fp8"])


@dataclass(frozen=True)
class Shared:
    size: int = 6
    parts: int = 3

    def __post_init__(self):
        if self.size % self.parts:
            raise ValueError("size and parts do not fit")


@pytest.mark.parametrize("order", [1, -1])
def test_settings_that_must_fit_each_other_come_in_any_order(order):
    overrides = ["size=8", "parts=4"][::order]
    assert apply_overrides(Shared(), overrides) == Shared(8, 4)
    assert apply_overrides_to({"model": Shared()}, overrides) == {"model": Shared(8, 4)}
    with pytest.raises(TrainingError, match="size=8: size and parts do not fit"):
        apply_overrides(Shared(), ["size=8"])


def test_several_configs_share_one_list_of_settings():
    configs = {"model": Outer(), "trainer": TrainerConfig()}
    changed = apply_overrides_to(configs, ["size=9", "model.lr=[[0, 2]]", "trainer.clip_norm=0", "mel.power=3"])
    assert changed["model"].size == 9 and changed["model"].lr == ((0, 2.0),) and changed["model"].mel.power == 3
    assert changed["trainer"].clip_norm == 0
    with pytest.raises(TrainingError, match="model.lr or trainer.lr"):
        apply_overrides_to(configs, ["lr=[[0, 1]]"])
    with pytest.raises(TrainingError, match="model: size.*trainer: steps"):
        apply_overrides_to(configs, ["nothing=1"])


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    return parser.parse_args(argv)


def test_flags_change_only_what_they_name():
    args = parse("run", "data", "-s", "7", "-b", "9", "-v", "11", "-m", "models", "--steps", "5", "--amp", "bf16", "-f")
    cfg = trainer_config(args, TrainerConfig(clip_norm=3.0, seed=4))
    assert (cfg.save_every, cfg.backup_every, cfg.validate_every, cfg.steps, cfg.amp) == (7, 9, 11, 5, "bf16")
    assert (cfg.clip_norm, cfg.seed, cfg.log_every) == (3.0, 4, TrainerConfig().log_every)
    assert run_dir(args) == Path("models/run") and args.force_restart and args.data_root == Path("data")
    assert trainer_config(parse("run", "data"), TrainerConfig(seed=4)) == TrainerConfig(seed=4)


@pytest.mark.parametrize("name", ["../other", "a/b", "", "..", "."])
def test_a_run_name_is_no_path(name):
    with pytest.raises(TrainingError, match="run name"):
        run_dir(parse(name, "data"))


def test_errors_for_users_are_one_line_and_a_status(capsys):
    def fail():
        raise TrainingError("no data: look there")

    assert run_command(fail) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "no data: look there"
    assert run_command(lambda: None) == 0

    def interrupt():
        raise KeyboardInterrupt

    assert run_command(interrupt) == 130
