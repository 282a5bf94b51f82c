"""Durations of symbols by forced alignment, on the bundled clip whose text is known."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from audio.io import load_wav
from audio.mel import MelTransform
from synthesizer import align
from synthesizer.dataset import SynthesizerDataset
from synthesizer.loss import alignment_loss
from synthesizer.text import get_front_end
from training.corpus import ManifestEntry, ManifestWriter, read_manifest
from training.preprocessing import UnsuitableClipError

pytest.importorskip("pocketsphinx")

CLIP = Path(__file__).resolve().parents[2] / "toolbox" / "assets" / "reference.flac"
TEXT = (
    "Good morning, and welcome. I grew up in a small town near the sea, "
    "and every summer we watched the boats come home."
)


@pytest.fixture(scope="module")
def clip():
    wav = load_wav(CLIP, 16000)
    return wav, MelTransform()(wav).T


def test_every_frame_belongs_to_a_symbol_and_pauses_to_the_marks(clip):
    wav, mel = clip
    durations = align.symbol_durations(wav, TEXT, len(mel))
    front_end = get_front_end("arpabet")
    symbols = [front_end.symbols[i] for i in front_end.encode(TEXT)]
    assert len(durations) == len(symbols) and durations.sum() == len(mel) and durations.min() >= 0
    phones = np.array([s[0].isalpha() for s in symbols])
    assert (durations[phones] > 0).mean() > 0.95
    assert durations[phones].max() < 40, "no phone is longer than half a second"
    owner = np.repeat(np.arange(len(symbols)), durations)
    level = mel.mean(axis=1)
    vowels = np.array([s[-1].isdigit() for s in symbols])
    silence = ~phones & (durations > 4)
    assert silence.any() and level[vowels[owner]].mean() > level[silence[owner]].mean() + 1.0


def test_another_text_is_refused(clip):
    wav, mel = clip
    with pytest.raises(UnsuitableClipError, match="words were found|align|hyp") as caught:
        align.symbol_durations(wav[:8000], "a text that is much too long for half a second of sound " * 3, 41)
    assert caught.value.reason == "not what the transcript says"


@pytest.fixture
def data(tmp_path, clip):
    """The clip, a varied copy of it, and a clip with a wrong text, as synthesizer.preprocess writes them."""
    wav, mel = clip
    slow = MelTransform()(np.interp(np.arange(0, len(wav), 0.9), np.arange(len(wav)), wav).astype(np.float32)).T
    with ManifestWriter(tmp_path) as manifest:
        for name, array, text in (("a-1", mel, TEXT), ("a-1-90", slow, TEXT), ("b-1", mel[:60], TEXT * 4)):
            for folder, content in (("wavs", wav[: 200 * len(array)]), ("mels", array), ("embeds", np.ones(256))):
                (tmp_path / folder).mkdir(exist_ok=True)
                np.save(tmp_path / folder / f"{name}.npy", content.astype(np.float32))
            manifest.write(ManifestEntry(name, name[0], text, 200 * len(array), len(array)))
    return tmp_path


def test_corpus_is_aligned_once_and_teaches_the_attention(data):
    report = align.align_corpus(data, processes=1)
    assert dict(report.counts) == {"not what the transcript says": 1}
    durations = {name: np.load(data / "durations" / f"{name}.npy") for name in ("a-1", "a-1-90")}
    frames = {entry.id: entry.frames for entry in read_manifest(data)}
    assert {name: int(d.sum()) for name, d in durations.items()} == {n: frames[n] for n in durations}
    dataset = SynthesizerDataset(data, read_manifest(data), get_front_end("arpabet"))
    assert dataset.unspeakable == ["b-1"] and len(dataset.items) == 2
    batch = dataset.collate([0, 1], r=4, rng=None)
    assert batch.alignment is not None
    assert batch.alignment.shape == (2, batch.mels.shape[2] // 4, batch.ids.shape[1])
    assert np.allclose(batch.alignment.sum(-1), 1.0)
    exact = alignment_loss(batch.alignment, batch.alignment, batch.lengths * 0 + batch.stop.shape[1])
    uniform = alignment_loss(
        batch.alignment * 0 + 1 / batch.ids.shape[1], batch.alignment, batch.lengths * 0 + batch.stop.shape[1]
    )
    assert exact < 0.5 < np.log(batch.ids.shape[1]) == pytest.approx(float(uniform), rel=1e-4)
    before = (data / "durations" / "a-1.npy").stat().st_mtime_ns
    align.align_corpus(data, processes=1)
    assert (data / "durations" / "a-1.npy").stat().st_mtime_ns == before


def test_the_command_and_a_missing_package(data, monkeypatch, capsys):
    assert align.main([str(data), "-n", "1"]) == 0
    shutil.rmtree(data / "durations")
    monkeypatch.setattr(align, "_have_pocketsphinx", lambda: False)
    assert align.main([str(data)]) == 1
    assert "pip install pocketsphinx" in capsys.readouterr().err
