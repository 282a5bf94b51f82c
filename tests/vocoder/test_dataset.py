import json

import numpy as np
import pytest
import torch

from audio.errors import TrainingError
from audio.mel import MelTransform
from audio.signal import mu_law_encode, pre_emphasis
from training.manifest import ManifestEntry, read_manifest
from vocoder.dataset import WindowConfig, WindowDataset
from vocoder.signal import PlainSound, to_labels, to_network_signal


def _dataset(root, cfg, seed=0, **window):
    return WindowDataset(root, read_manifest(root), cfg, WindowConfig(**{"batch_size": 6, **window}), seed=seed)


def test_labels_are_the_reference_mu_law_after_pre_emphasis(reference, tiny_config, speechlike):
    expected = reference("vocoder.npz")
    cfg = tiny_config()
    wav = expected["mu_in"].astype(np.float32)
    labels = to_labels(to_network_signal(wav, cfg, MelTransform()(wav)), cfg)
    direct = mu_law_encode(np.clip(pre_emphasis(wav, 0.97), -1, 1), 512)
    assert np.abs(labels - direct).max() <= 1  # a sample at the border of two classes may fall to either side
    assert (labels != direct).mean() < 0.01


@pytest.mark.parametrize(
    "changes",
    [{}, {"mu_law": False, "bits": 10}, {"mode": "MOL"}, {"prediction": 16}, {"mode": "MOL", "prediction": 8}],
)
def test_signal_and_back(changes, tiny_config, speechlike):
    cfg, wav = tiny_config(**changes), speechlike(0.3)
    mel = MelTransform()(wav)
    signal = to_network_signal(wav, cfg, mel)
    assert np.abs(signal).max() <= 1
    sound = PlainSound(cfg, mel)
    pieces = [sound.of(piece, last=last) for piece, last in ((signal[:1234], False), (signal[1234:], True))]
    np.testing.assert_allclose(np.concatenate(pieces), wav, atol=2e-4)
    labels = to_labels(signal, cfg)
    assert labels.min() >= 0 and labels.max() < 2**cfg.label_bits


def test_windows_hold_samples_their_predecessors_and_their_frames(data_root, tiny_config):
    cfg = tiny_config()
    data = _dataset(data_root, cfg, batch_size=20, silence_share=1.0)
    batch = data.batch(0)
    assert batch.x.shape == batch.y.shape == (20, 1000)
    assert batch.mels.shape == (20, 80, 9)
    assert batch.y.dtype == torch.int64
    torch.testing.assert_close(batch.x[:, 1:], batch.y[:, :-1] * (2 / 511) - 1, rtol=0, atol=1e-6)
    found = 0
    for entry in data.entries:
        mel = np.load(data_root / "mels" / f"{entry.id}.npy") / 4
        labels = to_labels(to_network_signal(np.load(data_root / "wavs" / f"{entry.id}.npy"), cfg, 4 * mel.T), cfg)
        for row in range(20):
            middle = batch.mels[row, :, 4].numpy()
            distance = np.abs(mel - middle).max(axis=1)
            frame = int(distance.argmin()) - 2  # the row's third frame is the first that speaks
            # Frames of silence look alike: only those that can be told apart count.
            alone = np.sort(distance)[1] > 1e-2
            if alone and distance.min() < 1e-4 and frame >= 0 and (frame + 5) * 200 <= len(labels):
                found += 1
                difference = np.abs(batch.y[row].numpy() - labels[frame * 200 : frame * 200 + 1000])
                assert difference.max() <= 1
    assert found >= 10


def test_batches_depend_on_seed_step_and_rank_alone(data_root, tiny_config):
    first, second = _dataset(data_root, tiny_config()), _dataset(data_root, tiny_config())
    second.batch(7)
    for place in [(0, 0), (3, 0), (3, 1)]:
        assert torch.equal(first.batch(*place).y, second.batch(*place).y)
    others = [first.batch(4), first.batch(3, 1), _dataset(data_root, tiny_config(), seed=1).batch(3)]
    assert all(not torch.equal(first.batch(3).y, other.y) for other in others)
    fixed = first.fixed_batches(2)
    assert len(fixed) == 2
    assert torch.equal(fixed[1].x, second.fixed_batches(2)[1].x)


def test_silence_is_mostly_left_out(tmp_path, tiny_config):
    wav = np.concatenate([np.zeros(16000), 0.3 * np.sin(np.arange(16000))]).astype(np.float32)
    mel = np.full((161, 80), -4.0, np.float32)
    mel[80:] = 1.0
    for folder, array in (("wavs", wav), ("mels", mel)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", array)
    entries = [ManifestEntry("x", "s", None, len(wav), len(mel))]
    shares = []
    for share in (0.1, 1.0):
        cfg = WindowConfig(batch_size=200, silence_share=share)
        batch = WindowDataset(tmp_path, entries, tiny_config(), cfg, seed=0).batch(0)
        shares.append(float((batch.mels[:, :, 4].mean(1) < -0.9).float().mean()))
    assert shares[0] < 0.2 < 0.4 < shares[1]


def test_balance_of_speakers(tmp_path, tiny_config):
    entries = [ManifestEntry(f"a{i}", "a", None, 200000, 1000) for i in range(9)] + [
        ManifestEntry("b", "b", None, 200000, 1000)
    ]
    for balance, expected in ((0.0, 0.5), (1.0, 0.1), (0.5, 0.25)):
        data = WindowDataset(tmp_path, entries, tiny_config(), WindowConfig(balance=balance), seed=0)
        assert 1.0 - data._cumulative[-2] == pytest.approx(expected)


def test_clip_shorter_than_a_window_is_padded_with_silence(data_root, tiny_config):
    entries = [entry for entry in read_manifest(data_root) if entry.frames < 5]
    assert len(entries) == 1
    batch = WindowDataset(data_root, entries, tiny_config(), WindowConfig(batch_size=2), seed=0).batch(0)
    assert torch.isfinite(batch.x).all()
    assert (batch.mels[:, :, -1] == -1).all() and (batch.mels[:, :, 0] == -1).all()
    assert (batch.y[:, -100:] == 256).all()


def test_mol_targets_are_values(data_root, tiny_config):
    batch = _dataset(data_root, tiny_config(mode="MOL")).batch(0)
    assert batch.y.dtype == torch.float32 and batch.y.abs().max() <= 1
    torch.testing.assert_close(batch.x[:, 1:], batch.y[:, :-1])


def test_bad_data_is_a_training_error(tmp_path, data_root, tiny_config):
    with pytest.raises(TrainingError, match="no utterances"):
        WindowDataset(tmp_path, [], tiny_config(), WindowConfig(), seed=0)
    entry = ManifestEntry("gone", "s", None, 16000, 81)
    data = WindowDataset(tmp_path, [entry], tiny_config(), WindowConfig(), seed=0)
    with pytest.raises(TrainingError, match="missing"):
        data.batch(0)
    for folder in ("wavs", "mels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mels" / "gone.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(TrainingError, match="cannot be read"):
        data.batch(0)
    np.save(tmp_path / "mels" / "gone.npy", np.zeros((80, 81), np.float32))
    with pytest.raises(TrainingError, match=r"\(frames, 80\)"):
        data.batch(0)
    np.save(tmp_path / "mels" / "gone.npy", np.zeros((81, 80), np.float32))
    np.save(tmp_path / "wavs" / "gone.npy", np.zeros(99, np.float32))
    with pytest.raises(TrainingError, match="other settings"):
        data.batch(0)
    with pytest.raises(TrainingError, match="silence_share"):
        WindowConfig(silence_share=0.0)
    assert json.loads((data_root / "manifest.jsonl").read_text().splitlines()[0])["speaker"] == "a"
