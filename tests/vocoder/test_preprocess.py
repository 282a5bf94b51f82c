import numpy as np
import pytest

from audio.io import save_wav
from audio.mel import MelTransform
from audio.signal import dbfs
from training.manifest import read_manifest
from training.preprocessing import ClipConfig
from vocoder.preprocess import main, make_gta_mels, preprocess_corpus, preprocess_utterance


@pytest.fixture
def corpus(tmp_path, speechlike):
    """Two speakers; one clip with a text, one too short, one that is no sound."""
    for index, (speaker, seconds) in enumerate([("ann", 1.6), ("ann", 1.4), ("bob", 1.5), ("bob", 0.3)]):
        folder = tmp_path / "corpus" / speaker
        folder.mkdir(parents=True, exist_ok=True)
        save_wav(folder / f"{speaker}{index}.wav", speechlike(seconds, seed=index), 16000)
    (tmp_path / "corpus" / "ann" / "ann0.txt").write_text("Hello.")
    (tmp_path / "corpus" / "bob" / "bob9.wav").write_bytes(b"RIFF no sound")
    return tmp_path / "corpus"


def test_command_makes_wavs_and_mels_and_says_what_it_dropped(corpus, tmp_path, caplog):
    out = tmp_path / "out"
    flags = [str(corpus), "-o", str(out), "-n", "1", "--no_trim"]
    caplog.set_level("INFO")
    assert main(flags) == 0
    entries = read_manifest(out)
    assert [entry.speaker for entry in entries] == ["ann", "ann", "bob"]
    assert [entry.text for entry in entries] == ["Hello.", None, None]
    for entry in entries:
        wav, mel = np.load(out / "wavs" / f"{entry.id}.npy"), np.load(out / "mels" / f"{entry.id}.npy")
        assert wav.dtype == mel.dtype == np.float32
        assert (len(wav), len(mel)) == (entry.samples, entry.frames)
        np.testing.assert_allclose(mel, MelTransform()(wav).T, atol=1e-5)
        assert np.abs(wav).max() <= 0.951
        assert dbfs(wav) == pytest.approx(-23, abs=0.1) or np.abs(wav).max() == pytest.approx(0.95, abs=1e-3)
    assert "too short" in caplog.text and "unreadable recording" in caplog.text
    before = (out / "wavs" / f"{entries[0].id}.npy").stat().st_mtime_ns
    assert main(flags) == 0
    assert (out / "wavs" / f"{entries[0].id}.npy").stat().st_mtime_ns == before
    assert len(read_manifest(out)) == 3


def test_limits_are_settings(corpus, tmp_path):
    assert main([str(corpus), "-o", str(tmp_path / "out"), "-n", "1", "--no_trim", "--set", "max_seconds=1.55"]) == 0
    assert len(read_manifest(tmp_path / "out")) == 2


def test_long_silences_are_cut(tmp_path, speechlike):
    from training.corpus import Utterance

    path = tmp_path / "clip.wav"
    save_wav(path, np.concatenate([speechlike(1.5), np.zeros(48000, np.float32), speechlike(1.5, seed=1)]), 16000)
    entry = preprocess_utterance(Utterance(path, "s", "clip"), tmp_path / "out", ClipConfig())
    assert entry.samples < 16000 * 5


def test_synthesizers_mels_are_teacher_forced_and_complete(tmp_path, data_root):
    torch = pytest.importorskip("torch")
    from models.checkpoint import write_checkpoint
    from synthesizer.config import TacotronConfig
    from synthesizer.network import Tacotron
    from training.manifest import ManifestWriter

    network = Tacotron(TacotronConfig(embed_dims=16, encoder_dims=16, decoder_dims=16, lstm_dims=16, postnet_dims=16))
    model = write_checkpoint(
        tmp_path / "synthesizer.safetensors", kind="synthesizer", architecture="tacotron",
        config=network.cfg.to_dict(), state=network.state_dict(), card={},
    )  # fmt: skip
    entries = read_manifest(data_root)[:2]
    data = tmp_path / "data"
    rng = np.random.default_rng(0)
    with ManifestWriter(data) as manifest:
        for index, entry in enumerate(entries):
            for folder in ("mels", "embeds"):
                (data / folder).mkdir(exist_ok=True)
            np.save(data / "mels" / f"{entry.id}.npy", np.load(data_root / "mels" / f"{entry.id}.npy"))
            if index == 0:
                np.save(data / "embeds" / f"{entry.id}.npy", rng.random(256).astype(np.float32))
            manifest.write(type(entry)(entry.id, entry.speaker, "Hello there.", entry.samples, entry.frames))
    torch.manual_seed(0)
    report = make_gta_mels(data, model, device="cpu")
    assert [record["id"] for record in report.records] == [entries[1].id]
    made = [np.load(data / "mels_gta" / f"{entry.id}.npy") for entry in entries]
    assert [len(mel) for mel in made] == [entry.frames for entry in entries]
    assert made[0].shape[1] == 80 and np.isfinite(made[0]).all()
    assert not np.allclose(made[0], np.load(data / "mels" / f"{entries[0].id}.npy"), atol=0.1)
    np.testing.assert_array_equal(made[1], np.load(data / "mels" / f"{entries[1].id}.npy"))
    (data / "mels_gta" / f"{entries[0].id}.npy").unlink()
    make_gta_mels(data, model, device="cpu")
    np.testing.assert_allclose(np.load(data / "mels_gta" / f"{entries[0].id}.npy"), made[0], atol=1e-5)


def test_parallel_processes_give_the_same(corpus, tmp_path):
    from training.corpus import find_utterances

    utterances = find_utterances(corpus)
    cfg = ClipConfig(trim=False)
    one, two = tmp_path / "one", tmp_path / "two"
    preprocess_corpus(utterances, one, cfg, processes=1)
    report = preprocess_corpus(utterances, two, cfg, processes=2)
    assert read_manifest(one) == read_manifest(two)
    assert sum(report.counts.values()) == 2
