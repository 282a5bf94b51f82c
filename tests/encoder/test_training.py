"""Preprocessing and training of a tiny encoder through the real commands: resume, reports, pictures, errors."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from audio.errors import TrainingError
from audio.io import save_wav
from encoder import preprocess as preprocessing
from encoder import train as training
from encoder.augment import AugmentConfig
from encoder.config import EncoderConfig
from encoder.dataset import BatchConfig
from encoder.figures import project, projection_figure, similarity_figure
from encoder.inference import VoiceEncoder
from encoder.preprocess import PreprocessConfig, preprocess_corpus
from encoder.task import EncoderTask, EncoderTraining, TaskConfig, default_trainer
from models.checkpoint import load_training_state
from tests.conftest import make_speechlike
from training.corpus import find_utterances, read_manifest
from training.trainer import TrainerConfig

MODEL = EncoderConfig(hidden=10, layers=1, embed=6, partial_frames=40)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Six speakers of two clips, one clip that is too short, one that is silent, one that is no sound."""
    root = tmp_path_factory.mktemp("corpus")
    for speaker in range(6):
        for clip in range(2):
            path = root / f"voice{speaker}" / f"clip{clip}.wav"
            path.parent.mkdir(exist_ok=True)
            save_wav(path, make_speechlike(2.5, seed=speaker), 16000)
    save_wav(root / "voice0" / "short.wav", make_speechlike(0.3, seed=9), 16000)
    save_wav(root / "voice1" / "silent.wav", np.zeros(32000, np.float32), 16000)
    (root / "voice2" / "broken.wav").write_bytes(b"RIFF")
    return root


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("mels")
    report = preprocess_corpus(find_utterances(corpus), out, PreprocessConfig(MODEL), processes=1)
    assert sum(report.counts.values()) == 3
    return out


def settings(steps: int = 4, **changes) -> EncoderTraining:
    trainer = TrainerConfig(steps=steps, lr=((0, 1e-2),), save_every=2, validate_every=2, plot_every=0, log_every=1)
    parts = {
        "model": MODEL,
        "batch": BatchConfig(speakers=3, utterances=3, piece_frames=60),
        "augment": AugmentConfig(probability=0.5),
        "task": TaskConfig(validation_fraction=0.3, projection="pca"),
        "trainer": trainer,
    }
    return EncoderTraining(**{**parts, **changes})


def test_preprocessing_keeps_usable_clips_and_says_why_it_drops_others(data):
    entries = read_manifest(data)
    assert len(entries) == 12 and len({entry.speaker for entry in entries}) == 6
    for entry in entries:
        mel = np.load(data / entry.speaker / f"{entry.id}.npy")
        assert mel.shape == (entry.frames, 40) and mel.dtype == np.float32
        assert entry.frames == 1 + entry.samples // 160 and (mel >= 0).all()
    dropped = [json.loads(line) for line in (data / "dropped.jsonl").read_text().splitlines()]
    reasons = {record["id"].split("-")[-1]: record["reason"] for record in dropped}
    assert reasons["silent"] == "no speech"
    assert reasons["broken"] == "unreadable recording"
    assert reasons["short"] == "too short"
    assert not list(data.rglob("*.tmp"))


def test_preprocessing_again_does_only_what_is_missing(corpus, data, monkeypatch):
    def no_more(utterance, out, cfg):
        raise AssertionError(f"{utterance.id} is done already")

    whole = [u for u in find_utterances(corpus) if u.path.stem.startswith("clip")]
    monkeypatch.setattr(preprocessing, "preprocess_utterance", no_more)
    report = preprocess_corpus(whole, data, PreprocessConfig(MODEL), processes=1)
    assert report.records == []


def test_preprocessing_command(corpus, tmp_path):
    out = tmp_path / "out"
    assert preprocessing.main([str(corpus), "-o", str(out), "-n", "1", "--no_trim"]) == 0
    assert all(entry.samples == 40000 for entry in read_manifest(out))
    assert preprocessing.main([str(tmp_path / "absent"), "-n", "1"]) == 1


def same_state(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_two_steps_and_two_more_equal_four_steps(data, tmp_path):
    training.train(settings(4), data, tmp_path / "straight")
    training.train(settings(2), data, tmp_path / "resumed")
    result = training.train(settings(4), data, tmp_path / "resumed")
    assert result.step == 4
    straight = load_training_state(tmp_path / "straight" / "last.pt")
    resumed = load_training_state(tmp_path / "resumed" / "last.pt")
    assert same_state(straight["network"], resumed["network"])
    rows = [(tmp_path / name / "log.csv").read_text().splitlines()[-1] for name in ("straight", "resumed")]
    assert rows[0].split(",")[0] == rows[1].split(",")[0] == "4"


def test_training_lowers_the_loss_and_exports_a_usable_encoder(data, tmp_path):
    cfg = settings(40, augment=AugmentConfig())
    before = mean_validation(EncoderTask(cfg, data, *split(data, cfg)))
    result = training.train(cfg, data, tmp_path / "run")
    assert result.best_loss < before
    encoder = VoiceEncoder.from_file(tmp_path / "run" / "best.safetensors", "cpu")
    assert encoder.cfg == MODEL
    assert encoder.embed_utterance(make_speechlike(2.0)).shape == (6,)
    card = json.loads((tmp_path / "run" / "best.json").read_text())["card"]
    assert card["validation"]["eer"] <= 1.0 and card["step"] > 0
    assert str(data.parent) not in json.dumps(card)


def split(data: Path, cfg: EncoderTraining):
    from encoder.dataset import hold_out

    return hold_out(read_manifest(data), cfg.task.validation_fraction, cfg.trainer.seed)


def mean_validation(task: EncoderTask) -> float:
    with torch.no_grad():
        return float(np.mean([task.loss(task.network, b, 0)[0] for b in task.validation_batches()]))


@pytest.mark.parametrize("variant", ["softmax", "contrast"])
def test_loss_is_one_function_with_gradients_for_all_parameters(data, variant):
    cfg = settings(task=TaskConfig(loss=variant, validation_fraction=0.3, projection="pca"))
    task = EncoderTask(cfg, data, *split(data, cfg))
    loss, metrics = task.loss(task.network, task.train_batch(0, 0, 1), 0)
    loss.backward()
    assert all(parameter.grad is not None for parameter in task.network.parameters())
    assert 0 <= metrics["eer"] <= 1 and not any(getattr(v, "requires_grad", False) for v in metrics.values())
    assert {batch.speakers for batch in task.validation_batches()} == {2}
    assert set(task.figures(0)) == {"projection", "similarity"}
    assert task.samples(0) == {}


def test_the_same_seed_starts_from_the_same_weights(data):
    cfg = settings()
    torch.manual_seed(1)
    first = EncoderTask(cfg, data, *split(data, cfg)).network.state_dict()
    torch.manual_seed(2)
    assert same_state(first, EncoderTask(cfg, data, *split(data, cfg)).network.state_dict())


def test_training_command_with_flags_and_settings(data, tmp_path):
    flags = ["-m", str(tmp_path), "--steps", "2", "-u", "2", "-v", "2", "-s", "1", "--device", "cpu", "--no_visdom"]
    values = ["hidden=10", "layers=1", "embed=6", "partial_frames=40", "speakers=3", "utterances=2", "projection=pca",
              "lr=[[0, 0.001]]", "loss=contrast", "task.validation_fraction=0.3"]  # fmt: skip
    sets = [word for value in values for word in ("--set", value)]
    assert training.main(["first", str(data), *flags, *sets]) == 0
    record = json.loads((tmp_path / "first" / "train_config.json").read_text())
    assert '"contrast"' in json.dumps(record)
    assert any((tmp_path / "first" / "plots").glob("projection*.png"))
    assert training.main(["second", str(data), *flags, "--set", "hiden=10"]) == 1
    assert training.main(["third", str(tmp_path / "absent"), *flags]) == 1


def test_defaults_are_those_of_the_original_program():
    cfg = training.configure(training.parse(["name", "data"]))
    assert (cfg.batch.speakers, cfg.batch.utterances, cfg.model.partial_frames) == (64, 10, 160)
    assert cfg.trainer == default_trainer()
    assert cfg.trainer.lr_at(10**6) == 1e-4 and cfg.trainer.clip_norm == 3.0


def test_settings_that_make_no_sense_are_refused():
    for change in ({"loss": "cosine"}, {"projection": "tsne"}, {"validation_fraction": 1.0}, {"validation_rounds": 0}):
        with pytest.raises(TrainingError):
            TaskConfig(**change)


def test_principal_components_keep_distances_of_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((20, 2))
    embeds = plane @ np.linalg.qr(rng.standard_normal((6, 2)))[0].T
    shown = project(embeds, "pca")
    np.testing.assert_allclose(
        np.linalg.norm(shown[0] - shown, axis=1), np.linalg.norm(embeds[0] - embeds, axis=1), atol=1e-9
    )


def test_umap_is_asked_for_cosine_distance_and_a_fixed_seed(monkeypatch):
    asked = {}

    class FakeUmap:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, embeds):
            return embeds[:, :2]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=FakeUmap))
    embeds = np.random.default_rng(0).random((5, 5, 6)).astype(np.float32)
    figure = projection_figure(embeds, "umap", "title", seed=3)
    assert asked == {"n_neighbors": 5, "metric": "cosine", "random_state": 3}
    assert len(figure.axes[0].collections) == 5
    assert project(embeds[0], "umap").shape == (5, 2)
    assert similarity_figure(np.random.default_rng(0).random((3, 4, 3)), "title").axes
