"""Layouts of corpora, made of empty files."""

import logging

import pytest

from audio.errors import TrainingError
from training.corpus import Utterance, find_utterances, split_speakers


def make(root, *paths, **texts):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    return root


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def librispeech(root):
    make(root, "dev-clean/84/121/84-121-0000.flac", "dev-clean/84/121/84-121-0001.opus")
    make(root, "dev-clean/174/50/174-50-0000.mp3", "dev-clean/174/50/._174-50-0000.mp3")
    write(root / "dev-clean/84/121/84-121.trans.txt", "84-121-0000 GO ON\n84-121-0001 IT'S LATE\n")
    write(root / "SPEAKERS.TXT", "; ID |SEX| SUBSET\n84  | F | dev-clean | 8 | A B\n174 | M | dev-clean | 8 | C\n")
    return root


def facts(utterances):
    return {u.id: (u.speaker, u.text, u.split, u.sex) for u in utterances}


@pytest.mark.parametrize("start", ["", "dev-clean"])
@pytest.mark.parametrize("layout", ["auto", "librispeech"])
def test_librispeech(tmp_path, start, layout):
    librispeech(tmp_path)
    assert facts(find_utterances(tmp_path / start, layout)) == {
        "174-50-0000": ("174", None, "dev-clean", "M"),
        "84-121-0000": ("84", "GO ON", "dev-clean", "F"),
        "84-121-0001": ("84", "IT'S LATE", "dev-clean", "F"),
    }


def test_libritts_prefers_the_normalised_text(tmp_path):
    folder = tmp_path / "train-clean-100" / "19" / "198"
    for number in (0, 1):
        make(folder, f"19_198_000000_00000{number}.wav")
        write(folder / f"19_198_000000_00000{number}.original.txt", "Mr. Fox\n")
    write(folder / "19_198_000000_000000.normalized.txt", "Mister Fox\n")
    write(tmp_path / "speakers.tsv", "READER\tGENDER\tSUBSET\tNAME\n19\tF\ttrain-clean-100\tX\n")
    found = find_utterances(tmp_path, "libritts")
    assert [u.text for u in found] == ["Mister Fox", "Mr. Fox"]
    assert {u.sex for u in found} == {"F"}


def test_ljspeech(tmp_path):
    root = make(tmp_path / "LJSpeech-1.1", "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav")
    write(root / "metadata.csv", "LJ001-0001|In 1455|In fourteen fifty-five\nLJ001-0002|and so|\n")
    assert facts(find_utterances(tmp_path)) == {
        "LJ001-0001": ("LJSpeech-1.1", "In fourteen fifty-five", "LJSpeech-1.1", None),
        "LJ001-0002": ("LJSpeech-1.1", "and so", "LJSpeech-1.1", None),
    }


@pytest.mark.parametrize(
    ("folder", "suffix"), [("wav48", ".wav"), ("wav48_silence_trimmed", "_mic1.flac")], ids=["0.80", "0.92"]
)
def test_vctk(tmp_path, folder, suffix):
    make(
        tmp_path,
        f"{folder}/p225/p225_001{suffix}",
        f"{folder}/p225/p225_001_mic2.flac",
        f"{folder}/p315/p315_001{suffix}",
    )
    write(tmp_path / "txt/p225/p225_001.txt", "Please call Stella.\n")
    write(tmp_path / "speaker-info.txt", "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English    Southern\n")
    assert facts(find_utterances(tmp_path)) == {
        "p225_001": ("p225", "Please call Stella.", tmp_path.name, "F"),
        "p315_001": ("p315", None, tmp_path.name, None),
    }


def test_voxceleb(tmp_path):
    make(tmp_path, "VoxCeleb2/dev/aac/id00012/21Uxsk56VDQ/00001.m4a", "VoxCeleb1/wav/id10001/1zcIwhmdeo4/00001.wav")
    write(
        tmp_path / "VoxCeleb1/vox1_meta.csv",
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA\tm\tIreland\tdev\n",
    )
    assert facts(find_utterances(tmp_path)) == {
        "id10001-1zcIwhmdeo4-00001": ("id10001", None, "VoxCeleb1", "M"),
        "id00012-21Uxsk56VDQ-00001": ("id00012", None, "dev", None),
    }


def test_folder_per_speaker_with_texts_beside(tmp_path):
    make(tmp_path, "anna/one.wav", "anna/later/two.wav", "bert/one.mp3", "bert/notes.doc", "anna/.hidden.wav")
    write(tmp_path / "anna/one.txt", "Hello\nthere\n")
    assert facts(find_utterances(tmp_path)) == {
        "anna-one": ("anna", "Hello there", tmp_path.name, None),
        "anna-later-two": ("anna", None, tmp_path.name, None),
        "bert-one": ("bert", None, tmp_path.name, None),
    }


def test_a_folder_of_clips_is_one_speaker(tmp_path):
    make(tmp_path / "me", "a.wav", "b.wav")
    assert {u.speaker for u in find_utterances(tmp_path / "me")} == {"me"}


def test_several_corpora_under_one_root(tmp_path):
    librispeech(tmp_path / "LibriSpeech")
    make(tmp_path / "LJ", "wavs/a.wav")
    write(tmp_path / "LJ/metadata.csv", "a|Hi\n")
    make(tmp_path / "mine" / "anna", "one.wav")
    make(tmp_path / "loose", "x.wav")
    found = facts(find_utterances(tmp_path))
    assert len(found) == 6
    assert found["84-121-0000"][0] == "84" and found["a"][1] == "Hi"
    assert found["anna-one"][2] == "mine" and found["loose-x"][0] == "loose"


def test_ids_are_unique_and_fit_for_file_names(tmp_path):
    make(tmp_path, "one/a/x.wav", "two/a/x.wav", "one/a/x.flac", "one/b/ü:?.wav", "two/a/X.wav")
    found = find_utterances(tmp_path)
    ids = [u.id for u in found]
    assert len({name.lower() for name in ids}) == 5
    assert not any(set(name) & set('/\\:?* "<>|') for name in ids)
    assert ids == sorted(ids) == [u.id for u in find_utterances(tmp_path)]


def test_splits_are_chosen_by_name(tmp_path):
    librispeech(tmp_path)
    make(tmp_path, "test-clean/9/1/9-1-0000.flac")
    assert [u.id for u in find_utterances(tmp_path, splits=["test-clean"])] == ["9-1-0000"]
    with pytest.raises(TrainingError, match="train-x; it has dev-clean, test-clean"):
        find_utterances(tmp_path, splits=["train-x"])


def test_nothing_found_tells_what_layouts_look_like(tmp_path):
    with pytest.raises(TrainingError, match="SPEAKER/CHAPTER.*metadata.csv.*wav48.*idNNNNN"):
        find_utterances(tmp_path)
    with pytest.raises(TrainingError, match="not a folder"):
        find_utterances(tmp_path / "missing")
    with pytest.raises(TrainingError, match="choose auto, librispeech"):
        find_utterances(tmp_path, "librivox")


def test_an_unreadable_folder_is_left_out_with_a_warning(tmp_path, monkeypatch, caplog):
    import os

    make(tmp_path, "anna/one.wav", "bert/one.wav")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("bert"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING):
        assert [u.speaker for u in find_utterances(tmp_path)] == ["anna"]
    assert "bert cannot be read" in caplog.text


def test_the_shared_corpus(shared_dir):
    root = shared_dir / "corpus"
    if not root.is_dir():
        pytest.skip("no corpus on this machine")
    found = find_utterances(root)
    assert len(found) == 6555 and len({u.speaker for u in found}) == 491
    assert sum(u.text is not None for u in found) == 6304
    assert {u.sex for u in found} == {"F", "M"}
    train, validation = split_speakers(found, 0.02, seed=0)
    assert "900001" in {u.speaker for u in train}
    assert 0 < len(validation) < 400


def spoken(**counts):
    return [Utterance(None, name, f"{name}-{i}") for name, count in counts.items() for i in range(count)]


def test_speakers_are_never_in_both_parts():
    everyone = spoken(**{f"s{n}": 5 for n in range(40)})
    train, validation = split_speakers(everyone, 0.1, seed=3)
    assert len({u.speaker for u in validation}) == 4
    assert not {u.speaker for u in train} & {u.speaker for u in validation}
    assert len(train) + len(validation) == len(everyone)
    assert split_speakers(everyone[::-1], 0.1, seed=3)[1] == validation[::-1]
    assert {u.speaker for u in split_speakers(everyone, 0.1, seed=4)[1]} != {u.speaker for u in validation}


def test_a_voice_at_another_speed_stays_with_its_original():
    everyone = spoken(**{f"{100 + n}{speed}": 2 for n in range(40) for speed in ("", "-92", "-109")})
    validation = split_speakers(everyone, 0.1)[1]
    assert len({u.speaker[:3] for u in validation}) == 4 and len({u.speaker for u in validation}) == 12


def test_few_speakers_and_one_speaker():
    train, validation = split_speakers(spoken(a=4, b=4), 0.1)
    assert len(train) == len(validation) == 4
    train, validation = split_speakers(spoken(a=50), 0.1)
    assert (len(train), len(validation)) == (45, 5)
    train, validation = split_speakers(spoken(main=95, **{f"s{n}": 1 for n in range(5)}), 0.05)
    assert {u.speaker for u in train} > {"main"} and len(validation) == 1
    assert split_speakers(spoken(a=3), 0.0) == (spoken(a=3), [])
    with pytest.raises(TrainingError, match="fraction"):
        split_speakers(spoken(a=3), 1.5)
