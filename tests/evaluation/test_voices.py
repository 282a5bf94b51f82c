"""Figures of likeness and pitch against cases worked out by hand, and the choice of voices."""

import numpy as np
import pytest

from audio.io import save_wav
from evaluation.channel import change_channel
from evaluation.data import held_out, spread
from evaluation.encoders import error_rates
from evaluation.voices import Gallery, choose_voices, likeness, pitch_figures, scores
from training.corpus import Utterance
from training.holdout import is_held_out

EAST, NORTH = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_clones_that_are_their_speakers():
    gallery = Gallery([np.stack([EAST, EAST]), np.stack([NORTH])], ["a", "a"])
    figures = likeness(scores(np.stack([EAST, NORTH]), [0, 1], gallery), [0, 1])
    assert figures == {"own": 1.0, "others": 0.0, "nearest": 1.0, "candidates": 2.0, "eer": 0.0, "items": 2}
    swapped = likeness(scores(np.stack([EAST, NORTH]), [1, 0], gallery), [1, 0])
    assert (swapped["own"], swapped["nearest"], swapped["eer"]) == (0.0, 0.0, 1.0)


def test_a_recording_is_not_compared_with_itself():
    gallery = Gallery([np.stack([EAST, NORTH]), np.stack([EAST])], ["a", "a"])
    items = np.stack([EAST, NORTH, EAST])
    matrix = scores(items, [0, 0, 1], gallery, inside=True)
    assert matrix[0, 0] == 0 and matrix[0, 1] == 1
    # The only recording of a voice has nothing left to be compared with, and counts nowhere.
    assert np.isnan(matrix[2, 1]) and likeness(matrix, [0, 0, 1])["items"] == 2


def test_voices_are_compared_within_their_split():
    gallery = Gallery([EAST[None], NORTH[None], EAST[None]], ["a", "a", "b"])
    matrix = scores(EAST[None], [0], gallery)
    assert np.isnan(matrix[0, 2]) and likeness(matrix, [0])["candidates"] == 2


def test_no_items():
    assert likeness(np.zeros((0, 3)), [])["own"] is None


def test_equal_error_rates_of_embeddings():
    owners = np.repeat([0, 1], 5)
    apart = np.repeat(np.stack([EAST, NORTH]), 5, axis=0)
    assert error_rates(apart, owners, ["a", "a"]) == {"centroid": 0.0, "pairs": 0.0}
    assert error_rates(apart, owners, ["a", "b"]) == {"centroid": None, "pairs": None}
    alike = np.tile(EAST, (10, 1))
    assert error_rates(alike, owners, ["a", "a"]) == {"centroid": 0.5, "pairs": 0.5}
    few = error_rates(apart[3:7], owners[3:7], ["a", "a"])
    assert few == {"centroid": None, "pairs": 0.0}


def test_pitch_figures():
    references, sexes = [100, 120, 140, 200, 220, 240], list("MMMFFF")
    same = pitch_figures(references, references, sexes)
    assert same["all"] == same["F"] == same["M"] == pytest.approx(1) and same["confused"] == 0
    turned = pitch_figures(references, [140, 120, 100, 240, 220, 110], sexes)
    assert turned["M"] == pytest.approx(-1, abs=0.05) and turned["confused"] == 1
    low = pitch_figures([100, 120, 140, 130, 220, 240], [100, 120, 140, 130, 220, 240], sexes)
    assert low["confused"] == 0, "she is as low as her reference"
    unvoiced = pitch_figures(references, [0] * 6, sexes)
    assert unvoiced["all"] is None and unvoiced["items"] == 0


def test_a_changed_channel_is_the_same_for_the_same_seed(speechlike):
    wav = speechlike(1.0)
    changed = change_channel(wav, 1)
    assert changed.shape == wav.shape and changed.dtype == np.float32
    assert np.array_equal(changed, change_channel(wav, 1)) and not np.array_equal(changed, change_channel(wav, 2))
    assert not np.allclose(changed, wav, atol=0.01)


def test_clips_are_spread_over_splits_sexes_and_speakers():
    clips = [
        Utterance(None, f"{sex}{n}", f"{sex}{n}-{i}", split="s", sex=sex)
        for sex, count in (("F", 2), ("M", 8))
        for n in range(count)
        for i in range(5)
    ]
    chosen = spread(clips, 4)
    assert sorted(clip.sex for clip in chosen) == list("FFMM") and len({clip.speaker for clip in chosen}) == 4
    assert spread(clips[::-1], 4) == chosen and len(spread(clips, 999)) == len(clips)


def speech(folder, speaker, clips, seconds, speechlike):
    for number in range(clips):
        path = folder / "part" / str(speaker) / "1" / f"{speaker}-1-{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_wav(path, speechlike(seconds, seed=10 * speaker + number), 16000)


def test_children_and_speakers_that_were_trained_on_are_left_out(tmp_path, speechlike):
    for speaker in range(100, 145):
        speech(tmp_path, speaker, 1, 0.3, speechlike)
    names = [str(n) for n in range(100, 145) if is_held_out(str(n))]
    assert len(names) >= 2
    (tmp_path / "SPEAKERS.TXT").write_text(
        f"{names[0]} | F | part | 1 | somebody, age 9\n"
        + "".join(f"{name} | M | part | 1 | age 30\n" for name in names[1:])
    )
    data = held_out(tmp_path)
    assert data.by_rule and set(data.speakers) == set(names[1:])


def test_single_recordings_are_cut_into_pieces(tmp_path, speechlike):
    speech(tmp_path, 1, 1, 16.0, speechlike)
    speech(tmp_path, 2, 5, 2.0, speechlike)
    speech(tmp_path, 3, 1, 3.0, speechlike)
    data = held_out(tmp_path)
    assert not data.by_rule
    voices = {voice.speaker: voice for voice in choose_voices(data, 10)}
    assert set(voices) == {"1", "2"} and len(voices["2"].excerpts) == 5 and not voices["2"].excerpts[0].seconds
    pieces = voices["1"].excerpts
    assert len(pieces) >= 4 and {piece.clip.id for piece in pieces} == {"1-1-0"}
    assert len(pieces[0].load()) == 3 * 16000 and not np.array_equal(pieces[0].load(), pieces[1].load())
    assert voices["2"].reference + voices["2"].others == voices["2"].excerpts
