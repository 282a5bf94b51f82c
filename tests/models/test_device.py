"""Devices, threads, seeds and folders."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from audio.errors import ModelError
from models.device import MAX_THREADS, available_cpus, choose_device, configure_threads, seed_everything
from models.environment import default_models_dir, prepare_environment, user_models_dir


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cpu") == choose_device(None) == choose_device("auto") == torch.device("cpu")
    for name in ("gpu", "", "cuda:x", "cpu:1"):
        with pytest.raises(ModelError, match="use cpu, cuda"):
            choose_device(name)
    with pytest.raises(ModelError, match="'cuda' cannot be used"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(None) == torch.device("cuda") and choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ModelError, match="cuda:0 to cuda:1"):
        choose_device("cuda:2")


def test_thread_counts(threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert configure_threads() == 3 == torch.get_num_threads()
    assert configure_threads(1) == 1 == torch.get_num_threads()
    for value in ("", "many", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert configure_threads() == min(available_cpus(), MAX_THREADS)


def test_seed_repeats_all_generators() -> None:
    def draw(seed: int | None) -> tuple[int, list[float]]:
        generator = seed_everything(seed)
        numbers = [random.random(), float(np.random.rand()), torch.rand(1).item()]
        return generator.initial_seed(), numbers + [torch.rand(1, generator=generator).item()]

    assert draw(2**40 + 5) == draw(2**40 + 5) != draw(6)
    seed, numbers = draw(None)
    assert draw(seed) == (seed, numbers) and 0 <= seed < 2**32


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    prepare_environment()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    prepare_environment()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    monkeypatch.setenv("VOICE_TOOLBOX_MODELS", str(tmp_path))
    assert user_models_dir() == tmp_path
    monkeypatch.delenv("VOICE_TOOLBOX_MODELS")
    assert user_models_dir().name == "models" and user_models_dir().is_absolute()
    assert (default_models_dir() / "catalog.json").is_file()
