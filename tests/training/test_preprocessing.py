"""What the preprocessing commands share, and the corpus of made-up speakers."""

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from audio.errors import AudioError, ShortAudioError, SilentAudioError
from audio.io import load_wav, save_wav
from training import synthetic_speakers
from training.corpus import find_utterances
from training.preprocessing import ClipConfig, UnsuitableClipError, load_clip, save_array
from vocoder.preprocess import main as preprocess_for_vocoder


def test_clips_are_levelled_and_bounded(tmp_path, speechlike):
    path = tmp_path / "clip.wav"
    save_wav(path, 0.02 * speechlike(2.0), 16000)
    wav = load_clip(path, ClipConfig(trim=False))
    level = 20 * np.log10(np.sqrt(np.mean(wav**2)))
    assert level == pytest.approx(-23, abs=0.1) and np.abs(wav).max() <= 0.95
    # Twice as fast is half as long.
    assert len(load_clip(path, ClipConfig(trim=False, min_seconds=0.5), factor=2.0)) == pytest.approx(16000, abs=2)


def test_unfit_clips_say_why(tmp_path, speechlike):
    path = tmp_path / "clip.wav"
    save_wav(path, speechlike(2.0), 16000)
    with pytest.raises(ShortAudioError, match="3 s are needed"):
        load_clip(path, ClipConfig(trim=False, min_seconds=3))
    with pytest.raises(UnsuitableClipError, match="1 s are allowed") as caught:
        load_clip(path, ClipConfig(trim=False, max_seconds=1))
    assert caught.value.reason == "too long"
    save_wav(path, np.zeros(32000, np.float32), 16000)
    with pytest.raises(SilentAudioError):
        load_clip(path, ClipConfig(trim=False))


def test_the_reason_survives_the_way_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(UnsuitableClipError("too long", "it is 9 s")))
    assert isinstance(error, AudioError) and (error.reason, str(error)) == ("too long", "it is 9 s")


def test_a_failed_write_leaves_the_old_array(tmp_path, monkeypatch):
    path = tmp_path / "a" / "x.npy"
    save_array(path, np.ones(3))
    monkeypatch.setattr(np, "save", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_array(path, np.zeros(3))
    monkeypatch.undo()
    assert np.load(path).tolist() == [1, 1, 1] and len(list(path.parent.iterdir())) == 1


def test_a_list_of_speakers_chooses(tmp_path, speechlike, capsys):
    for speaker in ("ann", "bob"):
        (tmp_path / "corpus" / speaker).mkdir(parents=True)
        save_wav(tmp_path / "corpus" / speaker / f"{speaker}.wav", speechlike(1.5), 16000)
    chosen = tmp_path / "speakers.txt"
    flags = [str(tmp_path / "corpus"), "-o", str(tmp_path / "out"), "-n", "1", "--speakers", str(chosen)]
    assert preprocess_for_vocoder(flags) == 1 and "cannot be read" in capsys.readouterr().err
    chosen.write_text("eve")
    assert preprocess_for_vocoder(flags) == 1 and "None of the speakers" in capsys.readouterr().err
    chosen.write_text("bob\n")
    assert preprocess_for_vocoder(flags) == 0
    assert [path.stem for path in (tmp_path / "out" / "wavs").iterdir()] == ["bob"]


@pytest.fixture
def flite(tmp_path, monkeypatch):
    """A program called flite that hums for a second."""
    program = tmp_path / "bin" / "flite"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, wave, math, struct\n"
        "out = wave.open(sys.argv[sys.argv.index('-o') + 1], 'wb')\n"
        "out.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "out.writeframes(b''.join(struct.pack('<h', int(9000 * math.sin(n / 9))) for n in range(16000)))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(program.parent))


def corpus_of_texts(root: Path) -> Path:
    (root / "texts" / "ann").mkdir(parents=True)
    for number in range(3):
        save_wav(root / "texts" / "ann" / f"{number}.wav", np.full(1600, 0.1, np.float32), 16000)
        (root / "texts" / "ann" / f"{number}.txt").write_text(f"Sentence number {number} is here")
    return root / "texts"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in program is a script")
def test_made_up_speakers(tmp_path, flite):
    texts = corpus_of_texts(tmp_path)
    assert synthetic_speakers.main([str(tmp_path / "out"), "--texts", str(texts), "--sentences", "2", "-n", "1"]) == 0
    found = find_utterances(tmp_path / "out")
    speakers = {u.speaker for u in found}
    assert len(speakers) == len(synthetic_speakers.VOICES) * len(synthetic_speakers.FACTORS)
    assert len(found) == 2 * len(speakers) and all(u.text and u.text.startswith("sentence") for u in found)
    lengths = {f: len(load_wav(tmp_path / "out" / f"slt-{f}" / f"slt-{f}-0000.flac", 16000)) for f in (86, 100, 114)}
    assert lengths[86] > lengths[100] > lengths[114]


def test_without_the_program_the_package_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert synthetic_speakers.main([str(tmp_path / "out"), "--texts", str(tmp_path)]) == 1
    assert "apt install flite" in capsys.readouterr().err
