import dataclasses
import json

import numpy as np
import pytest
import torch

from audio.errors import TrainingError
from models.registry import ModelRegistry
from training.corpus import read_manifest, split_speakers
from training.manifest import ManifestEntry
from training.trainer import Trainer, TrainerConfig
from vocoder.base_task import TaskConfig
from vocoder.dataset import WindowConfig
from vocoder.distribution import uniform_nats
from vocoder.inference import WaveNetVocoder, WaveRNNVocoder, load_vocoder
from vocoder.task import VocoderTraining, WaveNetTraining, WaveRNNTask
from vocoder.train import configure, main, parse, train


def _training(model, **trainer) -> VocoderTraining:
    settings = {
        "steps": 4,
        "lr": ((0, 3e-3),),
        "save_every": 2,
        "validate_every": 2,
        "plot_every": 0,
        "ema_decay": 0.9,
    }
    return VocoderTraining(
        model=model,
        data=WindowConfig(batch_size=3, window_frames=2),
        task=TaskConfig(validation_fraction=0.4, validation_batches=2, sample_seconds=0.1),
        trainer=TrainerConfig(**{**settings, **trainer}),
    )


@pytest.mark.parametrize("mode", ["RAW", "MOL"])
def test_resumed_training_equals_a_straight_one(tmp_path, data_root, tiny_config, mode):
    cfg = _training(tiny_config(mode=mode))
    train(cfg, data_root, tmp_path / "straight")
    first = dataclasses.replace(cfg, trainer=dataclasses.replace(cfg.trainer, steps=2))
    train(first, data_root, tmp_path / "resumed")
    result = train(cfg, data_root, tmp_path / "resumed")
    assert result.step == 4
    states = [
        WaveRNNVocoder.from_file(tmp_path / run / "best.safetensors", "cpu").network.state_dict()
        for run in ("straight", "resumed")
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    rows = [(tmp_path / run / "log.csv").read_text().splitlines()[-1].split(",")[2] for run in ("straight", "resumed")]
    assert rows[0] == rows[1]


def test_loss_falls_and_the_exported_model_speaks(tmp_path, data_root, tiny_config, random_mel):
    cfg = _training(tiny_config(rnn_dims=32), steps=30, validate_every=30, lr=((0, 1e-2),), ema_decay=0.0)
    task = WaveRNNTask(cfg, data_root, *split_speakers(read_manifest(data_root), 0.4, 0))
    batch = task.train_batch(0, 0, 1)
    before = float(task.loss(task.network.train(), batch, 0)[0].detach())
    result = Trainer(task, cfg.trainer, tmp_path).fit()
    after, metrics = task.loss(task.network, batch, 30)
    assert float(after.detach()) < before - 0.5
    assert 0 <= float(metrics["accuracy"]) <= 1
    assert result.best_loss < before
    vocoder = WaveRNNVocoder.from_file(tmp_path / "best.safetensors", "cpu")
    assert vocoder.network.step.item() == 30
    assert len(vocoder.vocode(random_mel(3), seed=0)) == 400
    description = json.loads((tmp_path / "best.json").read_text())
    assert description["architecture"] == "wavernn" and description["config"]["rnn_dims"] == 32


def test_a_wavenet_is_trained_exported_and_chosen_like_any_vocoder(tmp_path, data_root, tiny_wavenet, random_mel):
    base = _training(None, steps=30, validate_every=30, lr=((0, 1e-2),), ema_decay=0.0)
    cfg = WaveNetTraining(model=tiny_wavenet().cfg, data=base.data, task=base.task, trainer=base.trainer)
    result = train(cfg, data_root, tmp_path)
    assert result.step == 30 and result.best_loss < uniform_nats(cfg.model) - 0.3
    vocoder = load_vocoder(ModelRegistry(), str(tmp_path / "best.safetensors"))
    assert isinstance(vocoder, WaveNetVocoder) and vocoder.cfg == cfg.model
    assert len(vocoder.vocode(random_mel(3), seed=0)) == 400
    parsed = configure(parse(["run", str(data_root), "--architecture", "wavenet", "--set", "gate=16"]))
    assert isinstance(parsed, WaveNetTraining) and parsed.model.gate == 16


def test_pictures_and_sounds_of_a_held_out_clip(data_root, tiny_config):
    cfg = _training(tiny_config())
    entries = read_manifest(data_root)
    task = WaveRNNTask(cfg, data_root, entries[:4], entries[4:])
    task.network.eval()
    figures, samples = task.figures(7), task.samples(7)
    assert list(figures) == ["generated"] and len(figures["generated"].axes) >= 2
    assert set(samples) == {"target", "generated"}
    for wav, rate in samples.values():
        assert rate == 16000 and len(wav) == 1400
    assert task.samples(7)["generated"][0] is samples["generated"][0]
    assert WaveRNNTask(cfg, data_root, entries, []).figures(7) == {}


def test_command_trains_resumes_and_refuses(tmp_path, data_root, monkeypatch, capsys):
    flags = ["run", str(data_root), "-m", str(tmp_path), "-s", "2", "-v", "2", "--device", "cpu", "--steps", "2"]
    sizes = [
        "rnn_dims=8",
        "fc_dims=8",
        "compute_dims=4",
        "res_out_dims=4",
        "res_blocks=1",
        "batch_size=2",
        "window_frames=1",
    ]
    flags += [part for size in sizes for part in ("--set", size)]
    assert main(flags) == 0
    model = tmp_path / "run" / "best.safetensors"
    assert model.is_file()
    assert main([*flags[: -2 * len(sizes) - 1], "3", *flags[-2 * len(sizes) :]]) == 0
    assert main(["tuned", *flags[1:], "--init", str(model)]) == 0
    assert json.loads((tmp_path / "tuned" / "best.json").read_text())["card"]["initial"] == "best.safetensors"
    assert main([*flags, "--set", "rnn_dim=3"]) == 1
    assert "rnn_dims" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "nowhere")]) == 1
    assert "preprocessing" in capsys.readouterr().err


def test_mels_of_a_synthesizer_are_preferred(tmp_path):
    (tmp_path / "mels_gta").mkdir()
    assert configure(parse(["run", str(tmp_path)])).data.mels == "mels_gta"
    assert configure(parse(["run", str(tmp_path), "-g"])).data.mels == "mels"
    assert configure(parse(["run", str(tmp_path), "--set", "mels=mels"])).data.mels == "mels"


def test_settings_out_of_range_are_training_errors():
    for wrong in ({"validation_fraction": 1.0}, {"validation_batches": 0}, {"sample_seconds": -1.0}):
        with pytest.raises(TrainingError, match="validation_fraction"):
            TaskConfig(**wrong)


def test_synthesizers_mels_are_read_from_their_folder(tmp_path, data_root, tiny_config):
    for folder in ("wavs", "mels_gta"):
        (tmp_path / folder).mkdir()
    wav = np.load(data_root / "wavs" / "clip0.npy")
    np.save(tmp_path / "wavs" / "clip0.npy", wav)
    np.save(tmp_path / "mels_gta" / "clip0.npy", np.full((len(wav) // 200 + 1, 80), 2.0, np.float32))
    cfg = dataclasses.replace(
        _training(tiny_config()), data=WindowConfig(batch_size=2, window_frames=2, mels="mels_gta")
    )
    entry = ManifestEntry("clip0", "a", None, len(wav), len(wav) // 200 + 1)
    batch = WaveRNNTask(cfg, tmp_path, [entry], []).train_batch(0, 0, 1)
    assert batch.mels[:, :, 2:4].mean() == pytest.approx(0.5, abs=1e-3)
