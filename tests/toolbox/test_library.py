"""Corpora of every layout open level by level, and what that costs does not grow with their files."""

import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from audio.errors import Cancelled
from toolbox import library as module
from toolbox.library import CorpusIndex, LibraryError, filter_names, natural_key


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


class Entries(list):
    """What os.scandir returns, without a disk: making 100,000 files takes seconds to minutes."""

    def __init__(self, folders=(), files=()):
        super().__init__(SimpleNamespace(name=name, is_dir=lambda: True) for name in folders)
        self += [SimpleNamespace(name=name, is_dir=lambda: False) for name in files]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def big(tmp_path, monkeypatch):
    """A LibriSpeech split of 1,000 speakers with 100 files each, in two chapters."""

    def scandir(folder):
        parts = Path(folder).relative_to(tmp_path).parts
        if len(parts) < 2:
            return Entries(folders=[("LibriSpeech", "train")[len(parts)]])
        if len(parts) == 2:
            return Entries(folders=[str(number) for number in reversed(range(1000))])
        if len(parts) == 3:
            return Entries(folders=["200", "100"])
        return Entries(files=[f"{parts[2]}-{parts[3]}-{number:04d}.flac" for number in range(50)])

    monkeypatch.setattr(module.os, "scandir", scandir)
    return tmp_path


def test_a_big_corpus_costs_a_few_folders_a_level(big):
    index = CorpusIndex(big)
    assert index.folders_read == 0
    assert index.datasets() == ["LibriSpeech/train"]
    assert index.folders_read <= 60
    before = index.folders_read
    speakers = index.speakers("LibriSpeech/train")
    assert speakers == [str(number) for number in range(1000)]
    assert index.folders_read - before == 1
    before = index.folders_read
    clips = index.utterances("LibriSpeech/train", "7")
    assert len(clips) == 100
    assert index.folders_read - before == 3
    index.random_clip(random.Random(0))
    assert index.folders_read - before == 6
    before = index.folders_read
    for clip in clips[:5]:
        assert index.next_clip(clip).speaker == "7"
        index.speakers("LibriSpeech/train")
    assert index.folders_read == before


def test_a_hundred_thousand_clips_of_one_speaker_are_one_folder(tmp_path, monkeypatch):
    touch(tmp_path, "sp/x.wav")

    index = CorpusIndex(tmp_path)
    index.speakers(*index.datasets())
    monkeypatch.setattr(module.os, "scandir", lambda _: Entries(files=[f"u{n}.wav" for n in range(100_000)]))
    before = index.folders_read
    clips = index.utterances(tmp_path.name, "sp")
    assert len(clips) == 100_000
    assert [clip.name for clip in (clips[9], clips[10], clips[99_999])] == ["u9.wav", "u10.wav", "u99999.wav"]
    assert index.folders_read - before == 1


def test_every_known_layout_is_recognised(tmp_path):
    touch(
        tmp_path,
        "LibriSpeech/dev-clean/84/121/84-121-0000.flac",
        "LibriSpeech/dev-clean/84/121/84-121.trans.txt",
        "LibriSpeech/dev-clean/1272/1/1272-1-0000.flac",
        "LibriSpeech/test-clean/61/7/61-7-0000.opus",
        "LJSpeech-1.1/metadata.csv",
        "LJSpeech-1.1/wavs/LJ001-0001.wav",
        "VCTK-Corpus/wav48_silence_trimmed/p225/p225_001_mic1.flac",
        "VCTK-Corpus/wav48_silence_trimmed/p225/p225_001_mic2.flac",
        "VCTK-Corpus/txt/p225/p225_001.txt",
        "VoxCeleb2/dev/aac/id00012/21Uxsk56VDQ/00001.m4a",
        "mine/Anna/a.wav",
        "mine/Ben/sub/b.mp3",
        "mine/Ben/B.WAV",
        "notes/readme.txt",
        ".hidden/Anna/a.wav",
    )
    index = CorpusIndex(tmp_path)
    assert index.datasets() == [
        "LibriSpeech/dev-clean", "LibriSpeech/test-clean", "LJSpeech-1.1", "mine", "VCTK-Corpus", "VoxCeleb2/dev/aac",
    ]  # fmt: skip
    speakers = {dataset: index.speakers(dataset) for dataset in index.datasets()}
    assert speakers == {
        "LibriSpeech/dev-clean": ["84", "1272"],
        "LibriSpeech/test-clean": ["61"],
        "LJSpeech-1.1": ["LJSpeech-1.1"],
        "mine": ["Anna", "Ben"],
        "VCTK-Corpus": ["p225"],
        "VoxCeleb2/dev/aac": ["id00012"],
    }
    names = {
        dataset: [clip.name for speaker in found for clip in index.utterances(dataset, speaker)]
        for dataset, found in speakers.items()
    }
    assert names["mine"] == ["a.wav", "B.WAV", "sub/b.mp3"]
    assert names["VCTK-Corpus"] == ["p225_001_mic1.flac"]
    assert names["VoxCeleb2/dev/aac"] == ["21Uxsk56VDQ/00001.m4a"]
    assert names["LJSpeech-1.1"] == ["LJ001-0001.wav"]
    for dataset, found in speakers.items():
        for speaker in found:
            assert all(clip.path.is_file() for clip in index.utterances(dataset, speaker))


def test_the_root_may_be_at_any_level(tmp_path):
    touch(tmp_path, "LibriSpeech/dev/84/121/84-121-0000.flac", "LibriSpeech/dev/85/121/85-121-0000.flac")
    for root, name in (("LibriSpeech", "dev"), ("LibriSpeech/dev", "dev")):
        index = CorpusIndex(tmp_path / root)
        assert index.datasets() == [name]
        assert index.speakers(name) == ["84", "85"]
    clips = CorpusIndex(tmp_path / "LibriSpeech/dev/84/121")
    assert clips.datasets() == ["121"]
    assert clips.speakers("121") == ["121"]
    assert [clip.name for clip in clips.utterances("121", "121")] == ["84-121-0000.flac"]


def test_clips_beside_corpora_do_not_swallow_them(tmp_path):
    touch(tmp_path, "loose.wav", "Anna/a.wav", "LibriSpeech/dev/84/121/84-121-0000.flac")
    index = CorpusIndex(tmp_path)
    assert index.datasets() == sorted(["Anna", "LibriSpeech/dev", tmp_path.name], key=natural_key)
    loose = index.utterances(tmp_path.name, tmp_path.name)
    assert [clip.name for clip in loose] == ["loose.wav"]


def test_a_speaker_with_sessions_is_still_a_speaker(tmp_path):
    touch(tmp_path, "Anna/a.wav", "Ben/morning/b.wav", "Ben/evening/c.wav")
    index = CorpusIndex(tmp_path)
    assert index.speakers(*index.datasets()) == ["Anna", "Ben"]
    assert [clip.name for clip in index.utterances(tmp_path.name, "Ben")] == ["evening/c.wav", "morning/b.wav"]


def test_nothing_to_browse_says_what_is_expected(tmp_path):
    with pytest.raises(LibraryError, match="not a folder"):
        CorpusIndex(tmp_path / "missing").datasets()
    touch(tmp_path, "a/b/readme.txt")
    with pytest.raises(LibraryError, match="sub-folder of clips"):
        CorpusIndex(tmp_path).datasets()
    touch(tmp_path, "a/b/x.wav")
    index = CorpusIndex(tmp_path)
    with pytest.raises(LibraryError, match="no dataset x"):
        index.speakers("x")
    with pytest.raises(LibraryError, match="no speaker x"):
        index.utterances(index.datasets()[0], "x")


def test_a_root_with_far_too_many_folders_is_given_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "MAX_FOLDERS", 20)
    for number in range(100):
        (tmp_path / f"d{number}" / "e").mkdir(parents=True)
    index = CorpusIndex(tmp_path)
    with pytest.raises(LibraryError):
        index.datasets()
    assert index.folders_read < 100
    assert "too many folders" in caplog.text


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "data/Anna/a.wav", "data/Ben/b.wav")
    (tmp_path / "data/Anna/again").symlink_to(tmp_path / "data/Anna")
    (tmp_path / "data/Anna/nowhere").symlink_to(tmp_path / "data/Anna/nowhere")
    index = CorpusIndex(tmp_path / "data")
    assert index.datasets() == ["data"]
    assert len(index.utterances("data", "Anna")) <= module.MAX_DEPTH + 1


def test_random_clips_follow_the_seed_and_pass_over_empty_speakers(tmp_path):
    touch(tmp_path, *(f"d{d}/s{s}/u{u}.wav" for d in range(2) for s in range(3) for u in range(4)))
    (tmp_path / "d0" / "empty").mkdir()
    index = CorpusIndex(tmp_path)
    draw = [index.random_clip(random.Random(seed)) for seed in range(60)]
    assert draw == [CorpusIndex(tmp_path).random_clip(random.Random(seed)) for seed in range(60)]
    assert {clip.dataset for clip in draw} == {"d0", "d1"}
    assert {clip.speaker for clip in draw} == {"s0", "s1", "s2"}
    named = index.random_clip(random.Random(1), "d1", "s2")
    assert (named.dataset, named.speaker) == ("d1", "s2")
    with pytest.raises(LibraryError, match="empty of d0"):
        index.random_clip(random.Random(1), "d0", "empty")


def test_next_goes_round_and_survives_a_deleted_file(tmp_path):
    touch(tmp_path, *(f"s/u{u}.wav" for u in (1, 2, 10)))
    index = CorpusIndex(tmp_path)
    clip = index.utterances(tmp_path.name, "s")[0]
    names = []
    for _ in range(4):
        names.append(clip.name)
        clip = index.next_clip(clip)
    assert names == ["u1.wav", "u2.wav", "u10.wav", "u1.wav"]
    assert clip.name == "u2.wav"
    clip.path.unlink()
    index.refresh()
    assert index.next_clip(clip).name == "u10.wav"
    last = index.next_clip(clip)
    last.path.unlink()
    index.refresh()
    assert index.next_clip(last).name == "u1.wav"
    (tmp_path / "s/u1.wav").unlink()
    index.refresh()
    with pytest.raises(LibraryError):
        index.next_clip(last)


def test_listing_can_be_cancelled(big):
    index = CorpusIndex(big)

    def cancel(done, total):
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        index.datasets(cancel)
    assert index.datasets() == ["LibriSpeech/train"]


def test_typing_narrows_the_list():
    names = ["Hannah", "anna", "Anna Maria", "Ben", "maria-anna"]
    assert filter_names(names, "") == names
    assert filter_names(names, "ANN") == ["anna", "Anna Maria", "Hannah", "maria-anna"]
    assert filter_names(names, " maria  an") == ["Anna Maria", "maria-anna"]
    assert filter_names(names, "x") == []
    assert sorted(["p10", "P9", "p9a", "a", "10"], key=natural_key) == ["10", "a", "P9", "p9a", "p10"]
